"""What a backup's archive would put back on a host, held against where its paths lead there now."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.script import REAL_PATH, read_records, record_script
from facts.tar_names import as_it_is, as_printed, is_plain
from recert.observed import ArchiveState

# Paths come first, up to an empty line. What the others are about has to be at or below these.
WITHIN = r"""
function within(name,    place) {
    name = plain(name)
    for (place in allowed) if (name == place || index(name, place "/") == 1) return 1
    return 0
}
function plain(name,    parts, count, i, kept, left) {
    count = split(name, parts, "/")
    for (i = 1; i <= count; i++) {
        if (parts[i] == "" || parts[i] == ".") continue
        if (parts[i] != "..") { kept[++left] = parts[i]; continue }
        if (--left < 0) return ".."
    }
    name = ""
    for (i = 1; i <= left; i++) name = name (i > 1 ? "/" : "") kept[i]
    return name
}
!begun { if ($0 == "") begun = 1; else allowed[$0] = 1; next }
"""

# What is elsewhere, or leads there, and what no certificate or key is: devices, sockets, programs
# that run as somebody else.
MEMBERS = r"""
function parent(name) { sub("/[^/]*$", "", name); return name }
function below_a_link(name) {
    while (sub("/[^/]*$", "", name)) if (name in links) return 1
    return 0
}
# Where a path leads that goes up after a name is not in its words: the name may be that of a link.
function goes_up_later(path) {
    while (sub("^[.][.](/+|$)", "", path)) continue
    return path ~ "(^|/)[.][.](/|$)"
}
# Of more than the one nobody knows where the name ends. They may have a blank in common.
function separators(text) { return of(text, " -> ") + of(text, " link to ") }
function of(text, separator,    at, count) {
    while (at = index(text, separator)) { count++; text = substr(text, at + 1) }
    return count + 0
}
{
    kind = substr($0, 1, 1); mode = substr($0, 2, 9)
    if (!match($0, "^[^ ]+ +[^ ]+ +[0-9]+ +[0-9]+-[0-9]+-[0-9]+ [0-9:.]+ ")) { print; next }
    name = substr($0, RLENGTH + 1); target = name
    if (separators(name) > (kind ~ "[lh]")) { print; next }
    if (kind == "l" && (at = index(name, " -> "))) {
        target = substr(name, at + 4); name = substr(name, 1, at - 1)
        if (goes_up_later(target)) { print; next }
        target = substr(target, 1, 1) == "/" ? target : parent(name) "/" target
        links[name]
    }
    if (kind == "h" && (at = index(name, " link to "))) {
        target = substr(name, at + 9); name = substr(name, 1, at - 1)
        if (target != plain(target) || target in links || below_a_link(target)) { print; next }
    }
    sub("/$", "", name)
    if (name != plain(name) || !within(name) || !within(target)) { print; next }
    if (below_a_link(name)) { print; next }
    if (kind !~ "[-dlh]" || (kind != "d" && mode ~ "[sS]")) print
}
"""

ARCHIVED = (
    f"WITHIN='{WITHIN}' MEMBERS='{MEMBERS}'"
    + r"""
allowed() {
    for path; do
        path=$(real_path "$path") || return
        printf '%s\n' "${path#/}"
    done
}
listed() { allowed "$@" && echo && tar --numeric-owner -tvf "$archive"; }
odd_members() { stage listed "$@" | stage awk "$WITHIN$MEMBERS"; }
flagged() {
    allowed "$@" && echo || return
    [ ! -s "${archive%/*}/flags" ] ||
        sed 's,^[^[:blank:]]*[[:blank:]]*/,,' "${archive%/*}/flags"
}
odd_flags() { stage flagged "$@" | stage awk "$WITHIN"'!within($0)'; }
"""
)
"""What the archive $archive, and the flags beside it, hold of which no backup of the given paths
would be made. Needs `real_path` and `stage`."""

# After the members come the mount points, in the kernel's words: one with a blank or a backslash in
# its name is not to be found among them. What is in what was told already is not told. The others
# come last.
_FIT = r"""
$0 == "others:" { others = 1; next }
others { if (!($0 in members)) print "lost /" $0; next }
mounts { if (!index($0, "\\") && !($0 in members)) print "mount /" $0; next }
$0 == "mounts:" { mounts = 1; next }
{
    sub("/$", ""); members[$0]
    if (within($0)) next
    for (top in tops) if (index($0, top "/") == 1) next
    if (++count <= 5) { tops[$0]; print "outside /" $0 }
}
END { for (place in allowed) if (!(place in members)) print "missing /" place }
"""


class ArchiveFit(FactBase[ArchiveState]):
    """
    Whether an archive can be put back: everything in it at or below the real paths of those that
    it is to be put back to, and nothing that would keep the result from being what it holds.

    + archive: path on the host
    + paths: what the backup is of
    + mounts: mount points below these, as real paths
    + others: files there that are somebody else's

    .. code:: python

        ArchiveState(
            missing={"/etc/puppetlabs/puppetdb/ssl": "/srv/puppetdb-ssl"},
            outside=("/etc/puppetlabs/puppetdb/ssl",),
            odd=("drwx------ 105/107 0 2015-11-23 10:15 etc/puppetlabs/puppetdb/ssl/",),
        )
    """

    def command(
        self, archive: str, paths: list[str], mounts: list[str], others: list[str] | None = None
    ) -> StringCommand:
        halves = [half for path in others or [] for half in _halves(path)]
        return record_script(
            REAL_PATH
            + ARCHIVED
            + f"FIT='{_FIT}'"
            + r"""
archive=$1 count=$2; shift 2
mounts=
while [ "$count" -gt 0 ]; do
    mounts="$mounts${1#/}
"
    shift; count=$((count - 1))
done
count=$1 others=; shift
while [ "$count" -gt 0 ]; do
    real=$(real_path "$1") || fail "Nobody knows where $1 leads to."
    real=$real$2
    others="$others
${real#/}"
    shift 2; count=$((count - 1))
done
for path; do say place "$path" "$(real_path "$path")"; done
names() {
    allowed "$@" && echo && tar -tf "$archive" &&
        printf 'mounts:\n%sothers:' "$mounts" && lines_of "$others"
}
fit() { stage names "$@" | stage awk "$WITHIN$FIT"; }
say fit "$(fit "$@")"
odd() { odd_members "$@"; odd_flags "$@"; }
few() { stage odd "$@" | stage awk 'NR <= 5'; }
say odd "$(few "$@")"
""",
            archive,
            str(len(mounts)),
            *mounts,
            str(len(halves) // 2),
            *halves,
            *paths,
        )

    def process(self, output: list[str]) -> ArchiveState:
        places: dict[str, str] = {}
        found: dict[str, list[str]] = {}
        odd: tuple[str, ...] = ()
        for record in read_records(output):
            if record[0] == "place":
                places[record[1]] = record[2]
            elif record[0] == "fit":
                for line in record[1].splitlines():
                    kind, _, path = line.partition(" ")
                    found.setdefault(kind, []).append(path)
            elif record[0] == "odd":
                odd = tuple(record[1].splitlines())
        missing = found.get("missing", [])
        return ArchiveState(
            missing={path: real for path, real in places.items() if real in missing},
            outside=tuple(found.get("outside", [])),
            odd=odd,
            mounts=tuple(found.get("mount", [])),
            lost=tuple(map(as_it_is, found.get("lost", []))),
        )


def _halves(path: str) -> tuple[str, str]:
    """A path from which the rest is taken that tar prints otherwise, and that rest, as it does:
    only a path can be asked where it leads."""
    plain = path
    while not is_plain(plain):
        plain = plain.rpartition("/")[0]
    return plain, as_printed(path.removeprefix(plain))
