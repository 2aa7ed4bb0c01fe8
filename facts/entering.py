"""How root gets into a directory that others may have led elsewhere."""

from __future__ import annotations

ENTERING = r"""
enter() {
    place=$1 real= rest=$1 links=0
    while [ -n "$rest" ]; do
        case $rest in (*/*) part=${rest%%/*} rest=${rest#*/} ;; (*) part=$rest rest= ;; esac
        case $part in (''|.) continue ;; (..) real=${real%/*}; continue ;; esac
        real=$real/$part
        [ -L "$real" ] || continue
        case $(stat -c %u:%h -- "$real") in
            (0:1) ;;
            # Old kernels let everybody give it one in a directory of his.
            (0:*) fail "$real is a link that has another name." ;;
            (*) fail "$real is a link that is not root's." ;;
        esac
        to=$(readlink -- "$real") && links=$((links + 1)) && [ "$links" -le 40 ] ||
            fail "$place leads nowhere."
        case $to in (/*) real= ;; (*) real=${real%/*} ;; esac
        rest=$to/$rest
    done
    cd -- "$place" 2>/dev/null || fail "Cannot enter $place."
    here=$(pwd -P)
    [ "$here" = "${real:-/}" ] || fail "$place leads to $here, by a link that is not root's."
}
"""
"""`enter` goes into a directory, if no link leads there that is somebody else's than root's. Needs
`fail`."""
