"""How tar prints the names of an archive's members in the C locale: with C's escapes for the
backslash and for what is no printable ASCII."""

from __future__ import annotations

import re

_SHORT = {"\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r", "\\": "\\"}
_LONG = {letter: byte for byte, letter in _SHORT.items()}
_ODD = re.compile(r"[^ -\[\]-~]")
_ESCAPE = re.compile(r"\\([0-7]{3}|[abtnvfr\\])")


def is_plain(name: str) -> bool:
    """Whether tar prints a name as it is."""
    return not _ODD.search(name)


def as_printed(name: str) -> str:
    """A name as tar prints it.

    :param name: as facts have names, byte for byte.
    """
    return _ODD.sub(
        lambda odd: "\\" + (_SHORT.get(odd[0]) or f"{ord(odd[0]):03o}"), _bytewise(name)
    )


def as_it_is(printed: str) -> str:
    """The name that tar prints so."""

    def byte(escape: re.Match[str]) -> str:
        return _LONG.get(escape[1]) or chr(int(escape[1], 8) & 0xFF)

    found = _ESCAPE.sub(byte, _bytewise(printed))
    return found.encode("latin-1").decode("utf-8", "surrogateescape")


def _bytewise(name: str) -> str:
    """A character for each byte."""
    return name.encode("utf-8", "surrogateescape").decode("latin-1")
