"""The status with which a run ends, where pyinfra has settled on it too early."""

from __future__ import annotations

import atexit
import os
import sys


def fail_in_the_end() -> None:
    """End the process with 1 whatever becomes of the run: reports are made when pyinfra leaves its
    hosts, after it has counted who failed."""
    atexit.register(_end)


def _end() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(1)
