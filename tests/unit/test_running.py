"""The options with which Puppets have been started, looked for among real processes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyinfra.api.exceptions import FactProcessError

from facts.reaching import Unreached
from facts.running import LONGEST_COMMAND, MOST_RUNNING, RunningPuppets
from tests.unit.records import printed
from tests.unit.shell import Sh


def test_nothing_is_tried_where_nothing_is_asked(sh: Sh, tmp_path: Path) -> None:
    conf = tmp_path / "puppet.conf"
    sh.provide("ruby", "exit 1")
    assert sh.ask(Unreached, servers=[], config=str(conf)) == {}
    conf.write_text("[main]\n http_proxy_host = proxy.invalid\n")
    assert sh.ask(Unreached, servers=[("puppet", 8140)], config=str(conf)) == {}


@contextmanager
def running(program: Path, *arguments: str) -> Iterator[int]:
    """A process of that program, which goes on until it reads something."""
    program.write_text("echo; read -r line\n")
    process = subprocess.Popen(
        ["sh", str(program), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid


def test_options_of_agents_and_masters_are_told(sh: Sh, tmp_path: Path) -> None:
    puppet = tmp_path / "puppet"
    with (
        running(puppet, "agent", "--ssldir=/srv/the ssl", "--onetime") as agent,
        running(puppet, "master", "-v", "--certname", "b") as master,
        running(puppet, "agent") as without,
        running(puppet, "cert", "--ssldir=/srv/ssl") as other_kind,
        running(tmp_path / "apuppet", "agent", "--ssldir=/srv/ssl") as other_program,
    ):
        found = sh.ask(RunningPuppets)
    assert found[agent] == ["--ssldir=/srv/the ssl", "--onetime"]
    assert found[master] == ["-v", "--certname", "b"]
    assert not {without, other_kind, other_program} & found.keys()


def test_processes_of_a_container_are_not_the_hosts(sh: Sh, tmp_path: Path) -> None:
    # What a container's list of processes says of others is all that can be had without one.
    sh.provide("readlink", 'case $1 in (*/self/*) echo "pid:[1]" ;; (*) echo "pid:[2]" ;; esac')
    with running(tmp_path / "puppet", "agent", "--ssldir=/srv/ssl") as pid:
        assert pid not in sh.ask(RunningPuppets)


def test_a_process_of_which_that_cannot_be_told_is_the_hosts(sh: Sh, tmp_path: Path) -> None:
    sh.provide("readlink", 'case $1 in (*/self/*) echo "pid:[1]" ;; (*) exit 1 ;; esac')
    with running(tmp_path / "puppet", "agent", "--ssldir=/srv/ssl") as pid:
        assert pid in sh.ask(RunningPuppets)


def test_who_says_more_than_a_host_can_have_is_not_believed() -> None:
    one = ("puppet", 1, "/opt/puppet/bin/puppet\nagent\n--onetime")
    assert RunningPuppets().process(printed(*[one] * MOST_RUNNING)) == {1: ["--onetime"]}
    longer = ("puppet", 1, one[2] + "x" * LONGEST_COMMAND)
    for said in ([one] * (MOST_RUNNING + 1), [longer]):
        with pytest.raises(FactProcessError, match="more than"):
            RunningPuppets().process(printed(*said))
    server = ("unreached", "puppet", 8140, "Connection refused")
    assert Unreached().process(printed(server)) == {("puppet", 8140): "Connection refused"}
    with pytest.raises(FactProcessError, match="more than 2 servers"):
        Unreached().process(printed(*[server] * 3))
