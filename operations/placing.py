"""Files in directories of service accounts, made by root without following what such an account
puts in its way.

A path below a directory that somebody else can write is looked up anew each time that it is named:
between two times a link may stand there. So a directory is entered, and it is looked where one has
arrived; a file is made in a directory that is root's alone, with its owner and its mode, and
renamed into place; and nothing there is acted upon twice by its path.
"""

from __future__ import annotations

from facts.entering import ENTERING
from facts.reading import BLOCK, LARGEST_FILE

PLACING = (
    ENTERING
    + rf"""
got() {{ dd if="$1" iflag=nofollow,nonblock bs={BLOCK} count={LARGEST_FILE // BLOCK} 2>/dev/null; }}
"""
    + r"""
get() {
    (enter "${1%/*}" && got "./${1##*/}") && return
    echo "$1 cannot be read, or is a link." >&2
    return 1
}
apart() { # into a directory of root's own, made in the directory $1
    umask 077
    enter "$1"
    own=$(mktemp -d .pe-recert.XXXXXX) && cd -- "$own" || exit
    [ "$(pwd -P)" = "$here/$own" ] || exit
    # A directory whose files have its group hands that on to those in it.
    case $(stat -c '%u %a' .) in ("$(id -u) 700"|"$(id -u) 2700") ;; (*) exit 1 ;; esac
}
given_away() { # $1 of what is here, to the owner $2 (none: root), with mode $3
    { [ -z "$2" ] || chown -h "$2" "$1"; } && chmod "$3" "$1"
}
put() {
    (
        new=./${1##*/} whose=$2 mode=$3
        apart "${1%/*}"
        # Under its own name: under another it would go into what a link in its place leads to.
        cat >"$new" && [ -s "$new" ] && given_away "$new" "$whose" "$mode" && mv -f "$new" ..
        status=$?
        rm -f "$new"
        cd .. && rmdir -- "$own"
        exit "$status"
    ) && return
    echo "$1 could not be put into place." >&2
    return 1
}
make() {
    [ ! -d "$1" ] || return 0
    [ -d "${1%/*}" ] || make "${1%/*}" "$2" "$3"
    (
        apart "${1%/*}"
        new=./${1##*/}
        mkdir "$new" && given_away "$new" "$3" "$2" && mv -f "$new" ..
        status=$?
        [ ! -d "$new" ] || rmdir "$new"
        cd .. && rmdir -- "$own"
        exit "$status"
    ) || fail "Cannot make $1."
}
got_and_put() { stage get "$1" | stage put "$2" "$3" "$4"; }
place() { whole got_and_put "$@"; }
give() {
    (
        whose=$1 below=$2 how=$3; shift 3
        for stays; do shift; set -- "$@" ! -path "$stays"; done
        enter "$below"
        # What has another name may be anybody's: old kernels let everybody give it one in here.
        set -- "$@" \( -type d -o -links 1 \)
        if [ "$how" != directory ]; then
            find . -mindepth 1 -maxdepth 1 ! -name '.*' "$@" -exec chown -h "$whose" {} +
        else find . "$@" -execdir chown -h "$whose" {} +
        fi
    ) || fail "Giving $2 to $1 failed."
}
close_to_others() {
    for key; do
        [ -z "$(find "$key" -type f -perm /007 2>/dev/null)" ] || {
            owner=$(stat -c '%u:%g' "$key") || fail "Nobody knows whose $key is."
            place "$key" "$key" "$owner" 0640 || exit
        }
    done
}
"""
)
"""Needs `fail`. `get` prints a file, no more of it than there can be, and waits for nobody to write
into a pipe; `put` makes one of what it reads, which has to be something, of an owner (none: root)
and with a mode; `place` makes one of another. `make` makes a directory that is not there, with a
mode and of an owner (none: root), and those above it. `give` changes the owner of all that is in a
directory, and with "directory" of itself, but not of what matches the patterns after that, which
begin with `./`, nor of files that have another name. `close_to_others` makes private keys anew that
others could read."""
