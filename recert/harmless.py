"""What others have written, as far as a terminal may have it."""

from __future__ import annotations

import re


def harmless(found: str) -> str:
    """What others have written, without what a terminal would obey: control characters, changes of
    direction, and the bytes of a name that is not UTF-8, as escapes."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), found)


_CONTROL = re.compile(  # all but tab and line feed
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
