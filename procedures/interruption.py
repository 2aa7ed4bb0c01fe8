"""Ctrl-C: pyinfra ends with 0 then, as if everything were done."""

from __future__ import annotations

import signal
from types import FrameType
from typing import NoReturn

from pyinfra import logger

STATUS = 128 + signal.SIGINT
"""As a shell has it."""


def end_with_a_status() -> None:
    """Let an interrupt end the run with `STATUS`, and say how to go on."""
    signal.signal(signal.SIGINT, _interrupted)


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    # No report: hosts may be at work, and whoever holds the locks that it needs does not go on.
    logger.error(
        "Interrupted. Commands that have begun on hosts are not ended by this. Nothing is lost: "
        "the same command goes on where this run has stopped; deploys/survey.py -y tells where "
        "that is."
    )
    raise SystemExit(STATUS)
