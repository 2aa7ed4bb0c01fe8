"""The backups that the suite has made on a host."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from facts.few import MOST_BACKUPS, require_few
from facts.numbers import count
from facts.packed import gunzip
from facts.public import WITHOUT_KEYS
from facts.reading import LARGEST_FILE, TOO_LARGE
from facts.script import DIGESTS, REAL_PATH, read_records, record_script
from recert.backups import Backup, read_manifest

# The archive is compared with the digest in the manifest; of the live files it is asked
# whether each is in the backup as it is now (sums are sorted lines of sha256sum).
LIVE_SUMS = (
    DIGESTS
    + TOO_LARGE
    + rf"""
most={LARGEST_FILE // 1024}k
"""
    + r"""
live_files() { # below the given paths, as real paths
    for path in "$@"; do
        [ -e "$path" ] || continue
        path=$(readlink -f "$path") || return
        stage find_lasting "$path" -type f ! -size "+$most" -print0
    done
}
# A file that goes before it is read has no sum; what is there has.
sums='
    digests "$@" && exit
    for file; do [ ! -e "$file" ] || digests "$file" >/dev/null || exit; done
'
# In no backup, which cannot be made where there are any.
unread() { stage too_large "$@" | stage sed 's/^/too large  /'; }
all_sums() {
    stage live_files "$@" | stage xargs -0 -r sh -c "$digests$sums" digests
    unread "$@"
}
live_sums() { stage all_sums "$@" | stage sort; }
"""
)


class ArchivedCertificates(FactBase[list[str]]):
    """
    What the files below a directory hold in a backup's archive: the texts of the certificates
    that a CA has signed, one after the other.

    + archive: path on the host
    + directory: or file; archives have it by its real path, and it may be gone since
    """

    def command(self, archive: str, directory: str) -> StringCommand:
        # There is nothing in an archive of a master that had no such directory.
        return record_script(
            REAL_PATH
            + r"""
held() {
    place=$(real_path "$2") || return
    tar -xOf "$1" -- "${place#/}" 2>/dev/null || tar -tf "$1" >/dev/null
}
stage held "$1" "$2" | stage sed "$3" | stage gzip -c | stage encode | stage relay texts
""",
            archive,
            directory,
            WITHOUT_KEYS,
        )

    def process(self, output: list[str]) -> list[str]:
        try:
            return [
                gunzip(base64.b64decode(packed)).decode("utf-8", "replace")
                for _, packed in read_records(output)
            ]
        except ValueError as error:
            raise FactProcessError(f"the archive could not be read: {error}") from error


@dataclass(frozen=True)
class BackupStore:
    """`backups`: the finished ones, oldest first. `classified`: fingerprints of the CAs for
    whose regeneration the classifier had confirmed the node groups before it was stopped.
    `unsaved`: how many live files are in no valid backup with the same content. `stopped`: the
    services that a renewal has stopped and not started again. `refused`: fingerprints of revoked
    certificates that the master has been restarted to refuse. `silent`: the services that ran and
    did not answer when a run was about to stop them. `beside`: a few names of what is nobody's of
    ours in the directory, where others see it."""

    backups: tuple[Backup, ...]
    classified: frozenset[str]
    unsaved: int
    stopped: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    beside: tuple[str, ...] = ()

    def of_ca(self, fingerprint: str, key: str | None = None) -> list[Backup]:
        """Those from under a CA.

        :param key: the digest of its key: a CA may have been signed anew with it, and whoever
            trusts an older certificate for that key has the same CA.
        """
        return [
            backup
            for backup in self.backups
            if backup.manifest.ca_fingerprint == fingerprint
            or (key is not None and backup.manifest.ca_key == key)
        ]


# tar prints odd names in its own way; they are left to the digests.
LIVE_ENTRIES = r"""
live_paths() {
    for path in "$@"; do
        [ -e "$path" ] || continue
        path=$(readlink -f "$path") || return
        stage find_lasting "$path" ! -path '*[! -~]*' ! -path '*\\*'
    done
}
# Whatever lies at or below the given paths, as tar names it.
live_entries() { stage live_paths "$@" | stage sed 's,^/,,'; }
"""


class Backups(FactBase[BackupStore]):
    """
    Every finished backup below a directory, and how it stands to the live files.

    .. code:: python

        BackupStore(
            backups=(
                Backup(name="20151123T101500Z-ab12cd34ef56ab78", manifest=Manifest(...),
                       valid=True, uncovered=0, differs=False),
            ),
            classified=frozenset(),
            unsaved=0,
        )
    """

    def command(self, root: str, paths: list[str]) -> StringCommand:
        return record_script(
            LIVE_SUMS
            + LIVE_ENTRIES
            + r"""
root=$1; shift
for note in classified stopped refused silent; do
    [ ! -f "$root/$note" ] || text_of "$root/$note" note "$note"
done
beside() {
    case $(stat -Lc '%u %a' "$root") in ("0 700"|"0 "[0-7]700) return ;; esac
    stage find_lasting "$root/" -mindepth 1 -maxdepth 1 ! -name '[0-9]*T[0-9]*Z-*' \
        ! -name '.[0-9]*T[0-9]*Z-*.partial' ! -name classified ! -name stopped ! -name refused \
        ! -name silent ! -name requests | stage sed -n 1,5p
}
[ ! -d "$root" ] || say beside "$(beside)"
live=$(live_sums "$@")
entries=
for backup in "$root"/*/; do
    if [ -f "$backup/manifest.json" ]; then entries=$(live_entries "$@"); break; fi
done
digest_of() { stage digests | stage cut -d ' ' -f 1; }
lines() { stage awk '$0 != "" { count++ } END { print count + 0 }'; }
uncovered() { stage lines_of "$live" | stage comm -23 - "$1" | stage lines; }
held_and_live() { stage tar -tf "$1"; echo 'live:'; lines_of "$entries"; }
added() { # what is not in the archive $1
    stage held_and_live "$1" | stage awk '
        $0 == "live:" { live = 1; next }
        { sub("/$", "") }
        live { if ($0 != "" && !($0 in held)) count++; next }
        { held[$0] = 1 }
        END { print count + 0 }'
}
# Its status says whether there are differences. Directories change their times whenever a service
# looks after them.
compared() { tar -C / -df "$1" 2>&1 || [ "$?" -le 2 ]; }
differing() { stage compared "$1" | stage sed '/Mod time differs$/d' | stage lines; }
tell() { stage cat "$1/manifest.json" | stage relay backup "$2" "$3" "$4" "${1##*/}"; }
count=$#
for backup in "$root"/*/; do
    backup=${backup%/}
    [ -f "$backup/manifest.json" ] || continue
    digest=
    [ ! -r "$backup/archive.tar" ] || digest=$(digest_of <"$backup/archive.tar")
    manifest=$(cat "$backup/manifest.json") || fail "Cannot read $backup/manifest.json."
    case $manifest in
        (*"\"archive_sha256\": \"${digest:-none}\""*) held=$backup/SHA256SUMS ;;
        (*) held= ;;
    esac
    if [ -f "$held" ]; then
        set -- "$@" "$held"
        tell "$backup" valid "$(uncovered "$held")" \
            "$(($(differing "$backup/archive.tar") + $(added "$backup/archive.tar")))"
    else
        tell "$backup" damaged "$(uncovered /dev/null)" 1
    fi
done
shift "$count" # what is left are the lists of what valid backups hold
saved_and_live() {
    [ "$#" -eq 0 ] || stage cat "$@"
    echo 'live:'
    lines_of "$live"
}
unsaved() {
    stage saved_and_live "$@" | stage awk '
        $0 == "live:" { live = 1; next }
        live { if ($0 != "" && !($0 in seen)) count++; next }
        { seen[$0] = 1 }
        END { print count + 0 }'
}
say unsaved "$(unsaved "$@")"
""",
            root,
            *paths,
        )

    def process(self, output: list[str]) -> BackupStore:
        backups: list[Backup] = []
        notes: dict[str, frozenset[str]] = {}
        unsaved, beside = 0, ""
        for record in read_records(output):
            if record[0] == "beside":
                beside = record[1]
                continue
            if record[0] == "note":
                notes[record[1]] = frozenset(record[2].split())
                continue
            if record[0] == "unsaved":
                unsaved = count(record[1])
                continue
            _, state, uncovered, differs, name, text = record
            require_few(len(backups) + 1, MOST_BACKUPS, "backups")
            manifest = read_manifest(text)
            if manifest is not None:
                backups.append(
                    Backup(
                        name=name,
                        manifest=manifest,
                        valid=state == "valid",
                        uncovered=count(uncovered),
                        differs=count(differs) > 0 or count(uncovered) > 0,
                    )
                )
        classified, stopped, refused, silent = (
            notes.get(name, frozenset()) for name in ("classified", "stopped", "refused", "silent")
        )
        return BackupStore(
            tuple(backups),
            classified,
            unsaved,
            stopped,
            refused,
            silent,
            tuple(path.replace("//", "/") for path in beside.splitlines()),
        )
