"""How much a command may print: what a host says is in memory until its command has ended."""

from __future__ import annotations

from sys import getsizeof

LARGEST_OUTPUT = 256 * 1024 * 1024
"""Bytes of memory that what one command prints may take: packed certificates of forty thousand
nodes, or a million lines and more that are empty."""

_LINE = 150
"""Bytes that pyinfra's record of a line takes besides its text, about."""


class TooMuchError(OSError):
    """A command has printed more than anybody here asks for."""

    def __init__(self) -> None:
        super().__init__(f"a command printed more than {LARGEST_OUTPUT >> 20} MiB of memory hold")


class Allowance:
    """What one command may still print, on both of its streams."""

    def __init__(self) -> None:
        self._left = LARGEST_OUTPUT

    def take(self, text: str) -> None:
        """Count a line, or a piece of one that has no end yet.

        :raises TooMuchError: that is more than is left.
        """
        self._left -= getsizeof(text) + _LINE
        if self.exceeded:
            raise TooMuchError

    @property
    def exceeded(self) -> bool:
        """Whether it has printed more than that."""
        return self._left < 0
