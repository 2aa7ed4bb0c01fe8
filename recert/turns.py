"""Something long that is judged, with a turn for the other hosts now and then."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

AT_ONCE = 200
"""Things that are judged while nobody else has a turn."""


def in_turns(things: Iterable[T], pause: Callable[[], None]) -> Iterator[T]:
    """The same things.

    :param pause: done between one `AT_ONCE` of them and the next.
    """
    for number, one in enumerate(things, 1):
        yield one
        if number % AT_ONCE == 0:
            pause()
