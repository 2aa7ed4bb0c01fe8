"""One limit for a whole question or change, whatever a connection does inside.

pyinfra's own counts until a command's output has ended. A server that then never says with which
status, or that sends a byte now and then, would hold up everybody.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gevent import Timeout, sleep  # type: ignore[import-untyped]

GRACE = 30
"""Seconds after its own limit in which a connection has to be through with it."""

QUESTION_LIMIT = 900
"""Seconds in which a master has to answer a question. Everything in a CA with a hundred thousand
nodes, and all of its backups, take minutes on an old machine; five of them may be spent waiting
for a command of an earlier run."""


@contextmanager
def at_most(seconds: float | None) -> Iterator[None]:
    """
    :param seconds: within which what is done here has to end; None for no limit.
    :raises TimeoutError: it did not.
    """
    limit = Timeout(None if seconds is None else seconds + GRACE)
    limit.start()
    try:
        yield
    except Timeout as found:
        if found is not limit:
            raise
        raise TimeoutError(f"no end after {seconds:.0f} s") from None
    finally:
        limit.close()


def give_turn() -> None:
    """Let the other hosts go on, in the midst of something long that waits for nobody."""
    sleep(0)
