"""The options with which Puppets have been started, looked for among real processes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyinfra.api.exceptions import FactProcessError

from facts.reaching import Unreached
from facts.running import (
    LONGEST_COMMAND,
    MOST_FILES,
    MOST_RUNNING,
    RunningPuppets,
    ServiceOptions,
)
from facts.script import ScriptFailedError
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


FILES = {
    '# DAEMON_OPTS="--ssldir=/srv/ssl"\nPUPPET_EXTRA_OPTS=""\n': None,
    'START=yes\nDAEMON_OPTS="--ssldir=/srv/ssl"\n': ["--ssldir=/srv/ssl"],
    "PUPPET_EXTRA_OPTS=--certname=a.b # --server=c\n": ["--certname=a.b"],
    "OPTS='--verbose --confdir /srv/x --waitforcert 500'": ["--confdir", "/srv/x"],
    "A='--http_proxy_password=secret --http_proxy_password secret --server old'": [
        "--server",
        "old",
    ],
    "PUPPET_SERVER=old\nPUPPET_PORT=8141\n#PUPPET_SERVER=x": ["--server=old", "--masterport=8141"],
    'PUPPET_SERVER=""\nOTHER_SERVER=x\n': None,
    "nothing": None,
}


@pytest.mark.parametrize("text", FILES)
def test_options_of_services_that_do_not_run_are_told(sh: Sh, tmp_path: Path, text: str) -> None:
    place = tmp_path / "default"
    place.mkdir()
    (place / "pe-puppet").write_text(text)
    (place / "other").write_text("A=--ssldir=/other")
    found = sh.ask(
        ServiceOptions, services=["pe-puppet", "pe-missing"], places=[str(place)], managed="/none"
    )
    wanted = FILES[text]
    assert found == ({f"{place}/pe-puppet": wanted} if wanted else {})


def test_options_of_units_are_told_and_of_files_that_they_name(sh: Sh, tmp_path: Path) -> None:
    named = tmp_path / "named"
    named.write_text("OPTS=--server=old\n")
    sh.provide(
        "systemctl",
        f"""[ "$*" = "show -p ExecStart -p Environment -p EnvironmentFiles pe-puppet" ] || exit 1
cat <<'END'
ExecStart={{ path=/p ; argv[]=/p agent $OPTS --ssldir=/srv/ssl ; ignore_errors=no ; pid=0 }}
Environment=A=1 "B=--certname a.b"
EnvironmentFiles={named} (ignore_errors=yes)
EnvironmentFiles=/nowhere (ignore_errors=yes)
END""",
    )
    ask = {"services": ["pe-puppet"], "places": [], "managed": str(tmp_path)}
    assert sh.ask(ServiceOptions, **ask) == {
        "the unit pe-puppet": ["--ssldir=/srv/ssl", "--certname", "a.b"],
        str(named): ["--server=old"],
    }
    sh.provide("systemctl", "exit 1")
    with pytest.raises(ScriptFailedError, match="systemctl cannot tell of pe-puppet"):
        sh.ask(ServiceOptions, **ask)


def test_options_of_a_server_in_java_are_its_own(sh: Sh, tmp_path: Path) -> None:
    places = tmp_path / "etc"
    places.mkdir()
    for name in ("puppetserver", "puppet"):
        (places / name).write_text("ARGS='--config=/etc/x'\n")
    sh.provide(
        "systemctl",
        """for unit; do :; done
case $unit in
    (puppetserver) echo 'ExecStart={ path=/usr/bin/java ; argv[]=java --config /etc/conf.d }' ;;
    (*) echo 'ExecStart={ path=/usr/bin/puppet ; argv[]=puppet agent --config /etc/y }' ;;
esac""",
    )
    found = sh.ask(
        ServiceOptions,
        services=["puppetserver", "puppet"],
        places=[str(places)],
        managed=str(tmp_path),
    )
    assert found == {
        "the unit puppet": ["--config", "/etc/y"],
        f"{places}/puppet": ["--config=/etc/x"],
    }


def test_more_options_than_services_have_are_not_believed() -> None:
    one = ("options", "/etc/default/puppet", "--ssldir=/x")
    assert ServiceOptions().process(printed(*[one] * MOST_FILES)) == {one[1]: ["--ssldir=/x"]}
    for said in ([one] * (MOST_FILES + 1), [(*one[:2], "x" * (LONGEST_COMMAND + 1))]):
        with pytest.raises(FactProcessError, match="more than"):
            ServiceOptions().process(printed(*said))
