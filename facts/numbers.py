"""Numbers that hosts have written: finite, within what can be meant, or an error of that host's.

What is no time, or too large, would otherwise fail wherever it is first reckoned with: in the
report over all hosts, for one.
"""

from __future__ import annotations

import re
from math import isfinite

from pyinfra.api.exceptions import FactProcessError

LAST_MOMENT = 7_258_118_400.0
"""The end of the year 2199, seconds, UTC: what a clock or a file says later is no time."""

_DIGITS = re.compile(r"\s*[0-9]{1,18}\s*")
_OCTAL = re.compile(r"[0-7]{1,6}")


def is_moment(value: object) -> bool:
    """Whether a number is a time, in seconds UTC."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isfinite(value) and 0 <= value <= LAST_MOMENT


def count(text: str) -> int:
    """A number of things.

    :raises FactProcessError: it is none.
    """
    if not _DIGITS.fullmatch(text) or not text.isascii():
        raise FactProcessError(f"the host says {text[:40]!r} where a number has to be")
    return int(text)


def mode(text: str) -> int:
    """A file's permissions, as find prints them.

    :raises FactProcessError: these are none.
    """
    if not _OCTAL.fullmatch(text):
        raise FactProcessError(f"the host says {text[:40]!r} where permissions have to be")
    return int(text, 8)


def clock(text: str) -> float:
    """What a host's clock says, in seconds UTC.

    :raises FactProcessError: that is no time.
    """
    found = _number(text)
    if not is_moment(found):
        raise FactProcessError(f"the host's clock says {text[:40]!r}, which is no time")
    return found


def file_time(text: str) -> float:
    """When a file was changed, in seconds UTC. File systems hold any: what is before 1970 or after
    2199 is as good as these.

    :raises FactProcessError: that is no number.
    """
    found = _number(text)
    if not isfinite(found):
        raise FactProcessError(f"the host says {text[:40]!r} where a time has to be")
    return min(max(found, 0.0), LAST_MOMENT)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise FactProcessError(f"the host says {text[:40]!r} where a number has to be") from None
