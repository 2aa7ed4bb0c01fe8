"""What a host must offer before anything is changed on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pyinfra.api import FactBase, StringCommand

from facts import numbers
from facts.entering import ENTERING
from facts.numbers import count
from facts.reading import TOO_LARGE
from facts.script import REAL_PATH, ROOM, read_records, record_script


@dataclass(frozen=True)
class Identity:
    """`uid`: the effective user. `clock`: the host's, seconds, UTC."""

    uid: int
    clock: float


class WhoAndWhen(FactBase[Identity]):
    """
    The user that commands run as, and the host's clock.

    .. code:: python

        Identity(uid=0, clock=1448272000.0)
    """

    def command(self) -> StringCommand:
        return record_script(r"""say identity "$(id -u)" "$(date +%s)" """)

    def process(self, output: list[str]) -> Identity:
        ((_, uid, clock),) = read_records(output)
        return Identity(count(uid), numbers.clock(clock))


@dataclass(frozen=True)
class HostBasics:
    """`free` and `needed`: kibibytes, for a backup. `crypto`: the program that computes public
    keys, None without any. `missing_tools`, `missing_files`: what the procedure will need and
    the host lacks; an empty file counts as missing. `links`: those that are symbolic links.
    `mounts`: what is mounted somewhere below them, and `mounted_files` those that are no
    directories. `unchangeable`: what even root may not write to
    there, because it is immutable or its file system is read-only. `astray`: why root would not go
    into one of them. `around`: those in which the backups would be, whatever leads there. `closed`:
    why no file can be made in a directory. `oversized`: files of a backup that are larger than any
    credential. `rooms`: the kibibytes that are free where something is going to be written."""

    free: int
    needed: int
    crypto: str | None
    missing_tools: tuple[str, ...]
    missing_files: tuple[str, ...]
    existing_accounts: frozenset[str]
    links: frozenset[str] = frozenset()
    mounts: tuple[str, ...] = ()
    mounted_files: tuple[str, ...] = ()
    unchangeable: tuple[str, ...] = ()
    astray: tuple[str, ...] = ()
    around: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    oversized: tuple[str, ...] = ()
    rooms: Mapping[str, int] = field(default_factory=dict)


TEMPORARY = "."
"""Stands for the directory in which the host's programs make their temporary files."""

TOOLS = ("tar", "find", "xargs", "comm", "sort", "readlink", "df", "du")


class Basics(FactBase[HostBasics]):
    """
    Room, tools and accounts.

    + backup_root: where backups go; it need not exist
    + paths: what a backup holds
    + accounts: users to look for
    + files: files that have to be there
    + links: directories that may be symbolic links, or have mount points below them
    + places: what else is written to or deleted; what does not exist is made in a directory above
    + made: directories in which a file may be made
    + filled: directories in which files are going to be made; `TEMPORARY` is the host's own
    """

    def command(
        self,
        backup_root: str,
        paths: list[str],
        accounts: list[str],
        files: list[str],
        links: list[str] | None = None,
        places: list[str] | None = None,
        made: list[str] | None = None,
        filled: list[str] | None = None,
    ) -> StringCommand:
        return record_script(
            ENTERING
            + REAL_PATH
            + ROOM
            + TOO_LARGE
            + r"""
as_the_kernel_writes() { stage printf '%s\n' "$1" | stage sed 's/\\/\\134/g; s/ /\\040/g'; }
mounted_below() {
    [ -e "$1" ] || return 0
    root=$(readlink -f "$1") || fail "Nobody knows where $1 leads to."
    case $root in (*[\\\ ]*) root=$(as_the_kernel_writes "$root") ;; esac
    stage mount_points | while read -r point; do
        case $point in ("$root"/*) ;; (*) continue ;; esac
        say mount "$point"
        itself=$(as_it_is "$point")
        if [ -e "$itself" ] && [ ! -d "$itself" ]; then say mounted_file "$itself"; fi
    done
}
in_octal() { stage printf '%s\n' "$1" | stage sed 's/\\\([0-7][0-7][0-7]\)/\\0\1/g'; }
as_it_is() { printf '%b' "$(in_octal "$1")"; }
mount_points() {
    if [ -r /proc/self/mountinfo ]; then stage awk '{ print $5 }' /proc/self/mountinfo
    elif [ -r /proc/mounts ]; then stage awk '{ print $2 }' /proc/mounts # before Linux 2.6.26
    fi
}
led_astray() { (fail() { echo "$*"; exit 1; }; enter "$1"); }
# Not every file system has flags, which is a failure to it as well.
if command -v lsattr >/dev/null 2>&1; then
    lsattr -d / >/dev/null 2>&1 || [ "$?" -lt 126 ] || fail "lsattr is there and does not run."
fi
with_flags() { find "$@" \( -type f -o -type d \) -exec lsattr -d {} + 2>/dev/null; :; }
# The kernel is asked, who refuses that to root as well: the test of many a shell asks the mode.
unchangeable() {
    if find / -maxdepth 0 -writable >/dev/null 2>&1; then
        stage find_lasting "$@" ! -type l ! -writable
    else
        stage find_lasting "$@" ! -type l -print0 | stage ruby --disable-gems -e '
            STDIN.read.split("\0").each { |path| puts path unless File.writable?(path) }'
    fi
    ! command -v lsattr >/dev/null 2>&1 ||
        stage with_flags "$@" | stage sed -n 's/^[^ ]*a[^ ]* *//p'
}
backups=$(real_path "$1") || fail "Nobody knows where $1 leads to."
holds_the_backups() {
    root=$(real_path "$1") || fail "Nobody knows where $1 leads to."
    case $backups/ in ("$root"/*) return 0 ;; esac
    return 1
}
place=$1; shift
while [ ! -d "$place" ]; do place=$(dirname "$place"); done
say free "$(room "$place")"
count=$1; shift
total=0
while [ "$count" -gt 0 ]; do
    if [ -e "$1" ]; then
        # A link to nowhere is an error to it, and none here: the number is there all the same.
        size=$(du -sLk "$1")
        size=${size%%[!0-9]*}
        [ -n "$size" ] || fail "Nobody knows how large $1 is."
        total=$((total + size))
        large=$(too_large "$1") || fail "Nobody knows how large the files in $1 are."
        [ -z "$large" ] || say oversized "$large"
    fi
    shift; count=$((count - 1))
done
say needed "$total"
for program in openssl ruby; do
    command -v "$program" >/dev/null 2>&1 && { say crypto "$program"; break; }
done
for word in "$@"; do
    case $word in
        (filled:*)
            path=${word#filled:}
            [ "$path" != . ] || path=${TMPDIR:-/tmp}
            while [ ! -d "$path" ]; do path=$(dirname "$path"); done
            say room "$path" "$(room "$path")" ;;
        (tool:*) command -v "${word#tool:}" >/dev/null 2>&1 || say missing "${word#tool:}" ;;
        (file:*) [ -f "${word#file:}" ] && [ -s "${word#file:}" ] || say absent "${word#file:}" ;;
        (link:*)
            [ -L "${word#link:}" ] && say link "${word#link:}"
            ! holds_the_backups "${word#link:}" || say around "${word#link:}"
            mounted_below "${word#link:}"
            [ ! -d "${word#link:}" ] || led_astray=$(led_astray "${word#link:}") ||
                say astray "$led_astray"
            [ ! -d "${word#link:}" ] || say unchangeable "$(unchangeable "${word#link:}/")" ;;
        (place:*)
            path=${word#place:}
            while [ ! -e "$path" ]; do path=$(dirname "$path"); done
            say unchangeable "$(unchangeable "$path" -maxdepth 0)" ;;
        (made:*)
            path=${word#made:}
            if [ ! -d "$path" ]; then say closed "$path is no directory."
            elif ! led_astray=$(led_astray "$path"); then say closed "$led_astray"
            elif [ -n "$(unchangeable "$path" -maxdepth 0)" ]; then
                say closed "$path cannot be changed (lsattr; mount)."
            fi ;;
        (account:*) id "${word#account:}" >/dev/null 2>&1 && say account "${word#account:}" ;;
    esac
done
""",
            backup_root,
            str(len(paths)),
            *paths,
            *(f"tool:{tool}" for tool in TOOLS),
            *(f"account:{account}" for account in accounts),
            *(f"file:{path}" for path in files),
            *(f"link:{path}" for path in links or []),
            *(f"place:{path}" for path in places or []),
            *(f"made:{path}" for path in made or []),
            *(f"filled:{path}" for path in filled or []),
        )

    def process(self, output: list[str]) -> HostBasics:
        values: dict[str, list[str]] = {}
        rooms = {}
        for record in read_records(output):
            values.setdefault(record[0], []).append(record[1])
            if record[0] == "room":
                rooms[record[1]] = count(record[2] or "0")
        return HostBasics(
            free=count(values["free"][0] or "0"),
            needed=count(values["needed"][0]),
            crypto=next(iter(values.get("crypto", [])), None),
            missing_tools=tuple(values.get("missing", [])),
            missing_files=tuple(values.get("absent", [])),
            existing_accounts=frozenset(values.get("account", [])),
            links=frozenset(values.get("link", [])),
            mounts=tuple(values.get("mount", [])),
            mounted_files=tuple(values.get("mounted_file", [])),
            unchangeable=tuple(
                path.replace("//", "/")
                for found in values.get("unchangeable", [])
                for path in found.splitlines()
            ),
            astray=tuple(values.get("astray", [])),
            around=tuple(values.get("around", [])),
            closed=tuple(values.get("closed", [])),
            oversized=tuple(
                path for found in values.get("oversized", []) for path in found.splitlines()
            ),
            rooms=rooms,
        )
