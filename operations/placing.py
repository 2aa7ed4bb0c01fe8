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
    enter "$1"
    aside
}
aside() { # the same in the directory that was entered
    umask 077
    own=$(mktemp -d .pe-recert.XXXXXX) && cd -- "$own" || exit
    [ "$(pwd -P)" = "$here/$own" ] || exit
    # A directory whose files have its group hands that on to those in it.
    case $(stat -c '%u %a' .) in ("$(id -u) 700"|"$(id -u) 2700") ;; (*) exit 1 ;; esac
}
given_away() { # $1 of what is here, to the owner $2 (none: root), with mode $3
    { [ -z "$2" ] || chown -h "$2" "$1"; } && chmod "$3" "$1"
}
known() { # of ../$1, if it may be read for the account $account, which has the directory
    seen=$(stat -c '%u %h %d:%i %f %z' -- "../$1" 2>/dev/null) || return
    case $seen in
        ("0 1 "*) ;;
        ("0 "*) return 1 ;;
        # What is the account's own tells it nothing, whatever other names that has.
        ("$account "*) ;;
        (*) return 1 ;;
    esac
}
get_theirs() {
    (
        name=${1##*/}
        enter "${1%/*}"
        account=$(stat -c %u .)
        case $(stat -c '%u %a' .) in
            ("0 "*[2367]|"0 "*[2367]?) ;;
            # Where only root puts anything, nobody has put anything in root's way.
            ("0 "*) got "./$name"; exit ;;
        esac
        [ -f "./$name" ] && [ ! -L "./$name" ] || exit
        aside
        status=3
        if known "$name"; then
            # Nothing is told before it is sure that no other file was read: putting one in its
            # place, and the first one back, changes a time.
            before=$seen status=1
            got "../$name" >"./$name" && known "$name" && [ "$seen" = "$before" ] &&
                cat "./$name" && status=0
        fi
        rm -f "./$name"
        cd .. && rmdir -- "$own"
        exit "$status"
    )
    case $? in
        (0) return ;;
        (3) echo "$1 has another name besides, or is neither root's nor of the account that has" \
            "its directory. It might be anybody's and is not copied. If it is what it should be," \
            "give it to that account (chown), or make it a file of its own: copy it beside itself" \
            "(cp -p), and move the copy (mv -f) into its place." >&2 ;;
        (*) echo "$1 cannot be read, is a link, or changed while it was read." >&2 ;;
    esac
    return 1
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
got_and_put() { stage get_theirs "$1" | stage put "$2" "$3" "$4"; }
place() { whole got_and_put "$@"; }
guarded() { # whether the kernel keeps accounts from giving others' files another name in here
    [ "$(cat /proc/sys/fs/protected_hardlinks 2>/dev/null)" = 1 ]
}
give_found() { # to $whose, of what is here, what find finds with the arguments
    # What has another name may be anybody's: old kernels let everybody give it one in here.
    set -- "$@" \( -type d -o -links 1 \)
    if [ "$how" = directory ]; then find . "$@" -execdir chown -h "$whose" {} +
    else find . -mindepth 1 -maxdepth 1 ! -name '.*' "$@" -exec chown -h "$whose" {} +
    fi
}
give_closed() { # the same, while only root puts anything in here: no name comes after the look
    own=$(umask 077; mktemp -d) || exit
    level=0
    trap reopen EXIT
    trap 'exit 1' HUP INT PIPE TERM
    # From above, so that nothing is put in the place of the next ones.
    while
        at="-mindepth $level -maxdepth $level -type d"
        if [ "$how" = directory ]; then
            find . $at \( "$@" -printf 'given %m %p\0' -o -printf '%U:%G %m %p\0' \)
        else find . $at -printf '%U:%G %m %p\0'
        fi >"$own/$level" || exit
        [ -s "$own/$level" ]
    do
        find . $at -exec chown 0:0 {} + && find . $at -exec chmod go-w {} + || exit
        [ "$how" = directory ] || break
        level=$((level + 1))
    done
    [ "$how" != directory ] || set -- ! -type d "$@"
    give_found "$@"
}
reopen() { # from below
    status=$?
    while [ "$level" -ge 0 ]; do
        [ ! -s "$own/$level" ] || xargs -0 sh -c '
failed=0
for entry; do
    owner=${entry%% *} entry=${entry#* }
    [ "$owner" != given ] || owner=$0
    chmod "${entry%% *}" "${entry#* }" && chown -h "$owner" "${entry#* }" || failed=1
done
exit "$failed"' "$whose" <"$own/$level" || status=1
        level=$((level - 1))
    done
    rm -rf "$own"
    exit "$status"
}
give() {
    (
        whose=$1 below=$2 how=$3; shift 3
        for stays; do shift; set -- "$@" ! -path "$stays"; done
        enter "$below"
        if guarded; then give_found "$@"; else give_closed "$@"; fi
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
into a pipe; `get_theirs` does so where others are to have it, and therefore not if it might be what
the account that has its directory could not read: old kernels let everybody give any file another
name. `put` makes one of what it reads, which has to be something, of an owner (none: root)
and with a mode; `place` makes one of another. `make` makes a directory that is not there, with a
mode and of an owner (none: root), and those above it. `give` changes the owner of all that is in a
directory, and with "directory" of itself, but not of what matches the patterns after that, which
begin with `./`, nor of files that have another name; where the kernel lets everybody give them one,
the directories are root's meanwhile. `close_to_others` makes private keys anew that
others could read."""
