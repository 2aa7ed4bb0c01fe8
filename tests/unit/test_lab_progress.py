"""What a person is told while packages are fetched and installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab import progress
from lab.progress import Packages, run_logged

CHOSEN = """\
The following NEW packages will be installed:
0 upgraded, 3 newly installed, 0 to remove and 0 not upgraded.
Need to get 10.5 MB/12.0 MB of archives.
Get:1 http://mirror.test/debian bullseye/main amd64 puppet all 5.5.22 [9,000 kB]
Get:2 http://mirror.test/debian bullseye/main amd64 facter amd64 3.14 [500 kB]
"""


def after(text: str) -> Packages:
    packages = Packages()
    for line in text.splitlines():
        packages.read(line)
    return packages


def test_nothing_is_told_of_a_program_that_has_nothing_to_do_with_packages() -> None:
    assert after("making PE's layout\nUnpacking nothing\n").state(0, 10) == ""


def test_fetching_is_told_in_megabytes_and_with_its_speed() -> None:
    told = "10 of 10 MB of 3 packages fetched, 0.8 MB/s"
    assert after(CHOSEN).state(1.0, 10) == told


def test_a_mirror_from_which_nothing_comes_shows() -> None:
    packages = after(CHOSEN)
    assert packages.state(packages.fetched, 10).endswith("fetched, 0.0 MB/s")


def test_then_what_is_unpacked_and_set_up() -> None:
    unpacking = CHOSEN + "Unpacking facter (3.14) ...\nUnpacking puppet (5.5.22) ...\n"
    assert after(unpacking).state(0, 10) == "of 3 packages 2 unpacked, 0 set up"
    setting_up = unpacking + "Setting up facter (3.14) ...\n"
    assert after(setting_up).state(0, 10) == "of 3 packages 2 unpacked, 1 set up"


def test_another_round_begins_from_nothing() -> None:
    again = CHOSEN + "Setting up x ...\n" + "0 upgraded, 7 newly installed, 0 to remove.\n"
    assert after(again).state(0, 10) == "0 of 0 MB of 7 packages fetched, 0.0 MB/s"


def test_it_is_told_while_the_program_works(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(progress, "_TELL_EVERY", 0.01)
    # It works until that has been told.
    over = tmp_path / "over"

    def say(message: str) -> None:
        if message.startswith("base: 10 of 10 MB of 3 packages fetched, "):
            over.touch()

    monkeypatch.setattr(progress, "say", say)
    waiting = "import sys, time, pathlib\nprint(sys.argv[1], flush=True)\n"
    waiting += "while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.01)\n"

    argv = [sys.executable, "-c", waiting, CHOSEN, str(over)]
    run_logged(argv, log=tmp_path / "log", label="base", timeout=60)

    assert over.exists()
    assert "Get:1 " in (tmp_path / "log").read_text()


_STATUS = """
import sys, types
from lab import __main__ as command
host = types.SimpleNamespace(state="running", services="real", ssh="", services_down="")
command.status = lambda: {f"host{number}": host for number in range(10_000)}
sys.argv = ["lab", "status"]
command.main()
"""


def test_whoever_has_read_enough_of_the_status_gets_no_traceback() -> None:
    command = [sys.executable, "-c", _STATUS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as shown:
        assert shown.stdout is not None and shown.stderr is not None
        assert shown.stdout.readline().startswith(b"host0 ")
        shown.stdout.close()
        assert shown.stderr.read() == b""
