"""What is signed on the master is what was compared, whoever writes where requests wait."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from operations.authority import ca_commands
from operations.authority.commands import WaitingRequest
from operations.step import changing
from recert.deployments.authority import PUPPET_CERT
from tests.unit.issuing_ca import settings
from tests.unit.shell import Sh

NAME, OTHER = "agent01.example.com", "agent02.example.com"


class Requests:
    """A master's csrdir, and a Puppet that signs into a directory beside it."""

    def __init__(self, sh: Sh, directory: Path) -> None:
        self.sh = sh
        self.directory = directory
        self.csrdir = directory / "requests"
        self.signed = directory / "signed"
        for made in (self.csrdir, self.signed):
            made.mkdir()

    def wait(self, name: str, content: str) -> WaitingRequest:
        """Somebody's request waits."""
        (self.csrdir / f"{name}.pem").write_text(content)
        return WaitingRequest(name, hashlib.sha256(content.encode()).hexdigest())

    def puppet(self, meanwhile: str = ":", refused: str = "") -> None:
        """`meanwhile`: what somebody does between comparison and signature."""
        self.sh.provide(
            "puppet",
            f"""
{meanwhile}
for word; do case $word in --csrdir=*) requests=${{word#*=}} ;; esac; done
stat -c '%u %a' "$requests/.." >{self.directory}/place
for word; do
    [ -e "$requests/$word.pem" ] || continue
    [ "$word" != "{refused}" ] || {{ echo "Error: refused" >&2; exit 24; }}
    mv "$requests/$word.pem" {self.signed}/
done
""",
        )

    def sign(self, *waiting: WaitingRequest) -> int:
        typed = ca_commands(PUPPET_CERT).sign(
            replace(settings(), csrdir=str(self.csrdir)), waiting, False
        )
        command = changing(f"{self.directory}/lock", typed.script, *typed.arguments)
        return self.sh.run(command.get_raw_value()).returncode

    @property
    def held(self) -> dict[str, str]:
        return {path.stem: path.read_text() for path in self.signed.iterdir()}

    @property
    def waiting(self) -> dict[str, str]:
        return {path.stem: path.read_text() for path in self.csrdir.iterdir()}


@pytest.fixture
def requests(sh: Sh, tmp_path: Path) -> Requests:
    return Requests(sh, tmp_path)


def test_what_was_compared_is_signed_and_waits_no_more(requests: Requests) -> None:
    waiting = [requests.wait(name, f"of {name}") for name in (NAME, OTHER)]
    requests.wait("stranger", "x")
    requests.puppet()
    assert requests.sign(*waiting) == 0
    assert requests.held == {NAME: f"of {NAME}", OTHER: f"of {OTHER}"}
    assert requests.waiting == {"stranger": "x"}
    assert (requests.directory / "place").read_text().split()[1] == "700"


def test_a_request_that_takes_its_place_before_the_comparison_is_not_signed(
    requests: Requests,
) -> None:
    mine = requests.wait(NAME, "mine")
    other = requests.wait(OTHER, "other")
    requests.wait(NAME, "theirs")
    requests.puppet()
    assert requests.sign(mine, other) == 0
    assert requests.held == {OTHER: "other"}
    assert requests.waiting == {NAME: "theirs"}


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_nobody_is_waited_for_at_the_end_of_a_pipe(requests: Requests, when: str) -> None:
    mine = requests.wait(NAME, "mine")
    pipe = requests.csrdir / f"{NAME}.pem"
    swap = f"rm {pipe} && mkfifo {pipe}"
    if when == "before":
        subprocess.run(["sh", "-c", swap], check=True)
    requests.puppet(meanwhile=swap if when == "meanwhile" else "")
    assert requests.sign(mine) == 0
    assert requests.held == ({NAME: "mine"} if when == "meanwhile" else {})
    assert pipe.is_fifo()


def test_nor_one_that_takes_it_between_comparison_and_signature(requests: Requests) -> None:
    mine = requests.wait(NAME, "mine")
    requests.puppet(meanwhile=f"echo theirs >{requests.csrdir}/{NAME}.pem")
    assert requests.sign(mine) == 0
    assert requests.held == {NAME: "mine"}
    assert requests.waiting == {NAME: "theirs\n"}


def test_what_puppet_refuses_goes_on_waiting(requests: Requests) -> None:
    waiting = [requests.wait(name, f"of {name}") for name in (NAME, OTHER)]
    requests.puppet(refused=OTHER)
    assert requests.sign(*waiting) == 24
    assert requests.held == {NAME: f"of {NAME}"}
    assert requests.waiting == {OTHER: f"of {OTHER}"}


def test_nothing_is_left_of_the_copies(
    requests: Requests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests.sh.provide("mktemp", f"mkdir -m 700 {tmp_path}/own && echo {tmp_path}/own")
    requests.puppet()
    assert requests.sign(requests.wait(NAME, "mine")) == 0
    assert not (tmp_path / "own").exists()
