"""What is misspelt in a command line or an inventory does not pass for a run in which all is
well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.debugged import debugged

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("deploy", ["deploys/verify.py", "deploys/site.py"])
@pytest.mark.parametrize(
    ("inventory", "limit", "said"),
    [
        ("inventories/nosuch.py", (), "the inventory has no host"),
        ("host.invalid,other.invalid", ("--limit", "host"), "host.invalid, other.invalid"),
        ("host.invalid,other.invalid", ("--exclude", "*"), "--limit or --exclude leaves no host"),
    ],
)
def test_a_run_without_a_host_fails(
    inventory: str, limit: tuple[str, ...], said: str, deploy: str
) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("pyinfra"), inventory, deploy, "-y", *limit],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split())
    assert "Connecting" not in done.stderr


@pytest.mark.parametrize(("port", "taken"), [(22, True), (2222, False)])
def test_two_hosts_of_one_name_are_one_too_few(tmp_path: Path, port: int, taken: bool) -> None:
    inventory = tmp_path / "mysite.py"
    inventory.write_text(
        "master = ['puppet.invalid']\n"
        f"agents = [('web01', {{'ssh_port': 22}}), ('web01', {{'ssh_port': {port}}})]\n"
    )
    done = debugged(inventory)
    assert (done.returncode == 0) == taken
    assert ("agents of the inventory has web01 twice" in " ".join(done.stderr.split())) != taken
