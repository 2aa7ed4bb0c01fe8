"""How root gets into a directory that others may have led elsewhere."""

from __future__ import annotations

ENTERING = r"""
enter() {
    place=$1 real= rest=${1#/}
    while [ -n "$rest" ]; do
        real=$real/${rest%%/*}
        case $rest in (*/*) rest=${rest#*/} ;; (*) rest= ;; esac
        [ -L "$real" ] || continue
        [ "$(stat -c %u -- "$real")" = 0 ] || fail "$real is a link that is not root's."
        real=$(readlink -f -- "$real") || fail "$place leads nowhere."
    done
    cd -- "$place" 2>/dev/null || fail "Cannot enter $place."
    here=$(pwd -P)
    [ "$here" = "${real:-/}" ] || fail "$place leads to $here, by a link that is not root's."
}
"""
"""`enter` goes into a directory, if no link leads there that is somebody else's than root's. Needs
`fail`."""
