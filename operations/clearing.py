"""Deleting what may lie where a service's account can lead root elsewhere, and emptying a directory
in which some files may be somebody else's."""

from __future__ import annotations

import re
from collections.abc import Iterable

from facts.entering import ENTERING

CLEARING = (
    ENTERING
    + r"""
empty() { # directory $1; the others are what find says of that which goes, from in there
    [ -d "$1" ] || return 0
    (
        enter "$1"; shift
        # By find itself, which follows no link that somebody puts there meanwhile.
        find . -mindepth 1 "$@" ! -type d -delete
        # Mount points stay, and directories with what stays.
        find . -mindepth 1 "$@" -type d -delete 2>/dev/null
        left=$(find_lasting . -mindepth 1 "$@" ! -type d) ||
            fail "Nobody knows what is left in $place."
        [ -z "$left" ] || fail "These could not be removed in $place: $left"
    ) || exit
}
clear_below() { # directory $1, $2 the pattern of its path; what matches the others stays
    below=$1 top=$2; shift 2
    for stays; do
        shift
        case $stays in ("$top"/*) set -- "$@" ! -path ".${stays#"$top"}" ;; esac
    done
    empty "$below" ! -path './.*' "$@"
}
"""
)
"""`clear_below` leaves what is hidden at the top, as the document's `rm -rf …/*` does; `empty` does
not. A mount point is emptied in place. Needs `fail`."""

REMOVING = (
    ENTERING
    + r"""
remove() { # files, of each directory one after the other
    entered=
    for path; do
        [ -d "${path%/*}" ] || continue
        [ "${path%/*}" = "$entered" ] || enter "${path%/*}"
        entered=${path%/*}
        rm -f -- "./${path##*/}"
        [ ! -e "./${path##*/}" ] || fail "Cannot be removed: $path"
    done
}
"""
)
"""`remove` fails if a file is still there. Needs `fail`."""


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
