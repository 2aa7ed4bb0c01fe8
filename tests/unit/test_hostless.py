"""A command line that leaves nothing to look at does not say that all is well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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
