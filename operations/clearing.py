"""Emptying a directory in which some files may be somebody else's."""

from __future__ import annotations

import re
from collections.abc import Iterable

CLEARING = r"""
clear_below() { # directory $1, $2 the pattern of its path; what matches the others stays
    below=$1 top=$2; shift 2
    [ -d "$below" ] || return 0
    for stays; do shift; set -- "$@" ! -path "$stays"; done
    # By find itself, which follows no link that somebody puts there meanwhile.
    find "$below/" -mindepth 1 ! -path "$top/.*" ! -type d "$@" -delete
    # Mount points stay, and directories with what stays.
    find "$below/" -mindepth 1 ! -path "$top/.*" -type d -delete 2>/dev/null
    left=$(find "$below/" -mindepth 1 ! -path "$top/.*" ! -type d "$@") ||
        fail "Nobody knows what is left in $below."
    [ -z "$left" ] || fail "These could not be removed: $left"
}
"""
"""What is hidden at the top stays, as with the document's `rm -rf …/*`. A mount point is emptied in
place. Needs `fail`."""


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
