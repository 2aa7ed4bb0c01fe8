"""An end to what takes the square of what a host says."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE = 20
"""Seconds of the processor's time for one thing, however many others want it: the square of its
length takes a minute, what is linear much less than a second."""


@contextmanager
def ending() -> Iterator[None]:
    """Ends what hangs."""

    def end(_: int, __: FrameType | None) -> None:
        raise AssertionError("it takes too long")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
