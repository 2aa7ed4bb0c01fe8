"""How much a command may print: what a host says is in memory until its command has ended."""

from __future__ import annotations

from sys import getsizeof

LARGEST_OUTPUT = 256 * 1024 * 1024
"""Bytes of memory that what one command prints may take: packed certificates of forty thousand
nodes, or a million lines and more that are empty."""

LARGEST_OF_AN_AGENT = 64 * 1024 * 1024
"""The same of any other host: while it is read, an answer takes several times that, and who holds
one node may let it say all that it can."""

_LINE = 150
"""Bytes that pyinfra's record of a line takes besides its text, about."""


class TooMuchError(OSError):
    """A command has printed more than anybody here asks for."""

    def __init__(self, most: int) -> None:
        super().__init__(f"a command printed more than {most >> 20} MiB of memory hold")


class Allowance:
    """What one command may still print, on both of its streams.

    :param of_a_master: whether it runs on a host that keeps a CA.
    """

    def __init__(self, of_a_master: bool) -> None:
        self._most = LARGEST_OUTPUT if of_a_master else min(LARGEST_OUTPUT, LARGEST_OF_AN_AGENT)
        self._left = self._most

    def take(self, text: str) -> None:
        """Count a line, or a piece of one that has no end yet.

        :raises TooMuchError: that is more than is left.
        """
        self._left -= getsizeof(text) + _LINE
        if self.exceeded:
            raise self.error

    @property
    def error(self) -> TooMuchError:
        """That it has."""
        return TooMuchError(self._most)

    @property
    def exceeded(self) -> bool:
        """Whether it has printed more than that."""
        return self._left < 0
