"""How tar prints the names of an archive's members in the C locale: with C's escapes for the
backslash and for what is no printable ASCII."""

from __future__ import annotations

import re

_SHORT = {0x07: b"a", 0x08: b"b", 0x09: b"t", 0x0A: b"n", 0x0B: b"v", 0x0C: b"f", 0x0D: b"r"}
_SHORT |= {0x5C: b"\\"}
_LONG = {letter: byte for byte, letter in _SHORT.items()}
_ODD = re.compile(rb"[^ -\[\]-~]")
_ESCAPE = re.compile(rb"\\([0-7]{3}|[abtnvfr\\])")


def is_plain(name: str) -> bool:
    """Whether tar prints a name as it is."""
    return not _ODD.search(_bytes(name))


def as_printed(name: str) -> str:
    """A name as tar prints it.

    :param name: as facts have names, byte for byte.
    """
    printed = _ODD.sub(
        lambda odd: b"\\" + (_SHORT.get(odd[0][0]) or b"%03o" % odd[0][0]), _bytes(name)
    )
    return printed.decode("ascii")


def as_it_is(printed: str) -> str:
    """The name that tar prints so."""

    def byte(escape: re.Match[bytes]) -> bytes:
        code = escape[1]
        return bytes([_LONG[code] if code in _LONG else int(code, 8) & 0xFF])

    return _ESCAPE.sub(byte, _bytes(printed)).decode("utf-8", "surrogateescape")


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
