"""What pyinfra makes of an inventory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def debugged(inventory: Path) -> subprocess.CompletedProcess[str]:
    """It prints to stderr; nothing is connected to."""
    return subprocess.run(
        [Path(sys.executable).with_name("pyinfra"), inventory, "debug-inventory"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def shown_of(inventory: Path) -> str:
    """Its hosts and their data."""
    done = debugged(inventory)
    assert done.returncode == 0, done.stderr
    return done.stderr
