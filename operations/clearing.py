"""Emptying a directory in which some files may be somebody else's."""

from __future__ import annotations

import re
from collections.abc import Iterable

CLEARING = r"""
empty() { # directory $1; the others are what find says of that which goes
    below=$1; shift
    [ -d "$below" ] || return 0
    # By find itself, which follows no link that somebody puts there meanwhile.
    find "$below/" -mindepth 1 "$@" ! -type d -delete
    # Mount points stay, and directories with what stays.
    find "$below/" -mindepth 1 "$@" -type d -delete 2>/dev/null
    left=$(find "$below/" -mindepth 1 "$@" ! -type d) || fail "Nobody knows what is left in $below."
    [ -z "$left" ] || fail "These could not be removed: $left"
}
clear_below() { # directory $1, $2 the pattern of its path; what matches the others stays
    below=$1 top=$2; shift 2
    for stays; do shift; set -- "$@" ! -path "$stays"; done
    empty "$below" ! -path "$top/.*" "$@"
}
"""
"""`clear_below` leaves what is hidden at the top, as the document's `rm -rf …/*` does; `empty` does
not. A mount point is emptied in place. Needs `fail`."""


def pattern(path: str) -> str:
    """What `find -path` takes for this path and no other."""
    return re.sub(r"([][*?\\])", r"\\\1", path)


def patterns(stay: Iterable[str]) -> list[str]:
    """The same of each."""
    return [pattern(path) for path in sorted(stay)]


def patterns_within(directory: str, stay: Iterable[str]) -> list[str]:
    """The same of those below a directory, for a `find .` in there."""
    inside = (
        path.removeprefix(f"{directory}/") for path in stay if path.startswith(f"{directory}/")
    )
    return [f"./{pattern(path)}" for path in sorted(inside)]
