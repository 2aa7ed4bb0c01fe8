"""The backups that the suite has made on a host."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from facts.numbers import count
from facts.packed import gunzip
from facts.public import WITHOUT_KEYS
from facts.script import read_records, record_script
from recert.backups import Backup, read_manifest

# The archive is compared with the digest in the manifest; of the live files it is asked
# whether each is in the backup as it is now (sums are sorted lines of sha256sum).
LIVE_SUMS = r"""
live_sums() { # of the files below the given paths, real paths, sorted
    for path in "$@"; do
        path=$(readlink -f "$path") && [ -e "$path" ] && find "$path" -type f -print0
    done | xargs -0 -r sha256sum | sort
}
"""


class ArchivedCertificates(FactBase[list[str]]):
    """
    What the files below a directory hold in a backup's archive: the texts of the certificates
    that a CA has signed, one after the other.

    + archive: path on the host
    + directory: as it is in there, without the slash at the beginning
    """

    def command(self, archive: str, directory: str) -> StringCommand:
        return record_script(
            f"""
say texts "$(tar -xOf "$1" -- "$2" 2>/dev/null | sed '{WITHOUT_KEYS}' | gzip -c | $encode)"
""",
            archive,
            directory,
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
    certificates that the master has been restarted to refuse."""

    backups: tuple[Backup, ...]
    classified: frozenset[str]
    unsaved: int
    stopped: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()

    def of_ca(self, fingerprint: str) -> list[Backup]:
        return [b for b in self.backups if b.manifest.ca_fingerprint == fingerprint]


# tar prints odd names in its own way; they are left to the digests.
LIVE_ENTRIES = r"""
live_entries() { # whatever lies at or below the given paths, as tar names it
    for path in "$@"; do
        path=$(readlink -f "$path") && [ -e "$path" ] && find "$path" ! -name '*[! -~]*'
    done | sed 's,^/,,'
}
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
for note in classified stopped refused; do
    [ -f "$root/$note" ] && say note "$note" "$(cat "$root/$note")"
done
live=$(live_sums "$@")
entries=
for backup in "$root"/*/; do
    if [ -f "$backup/manifest.json" ]; then entries=$(live_entries "$@"); break; fi
done
set -- # from here on: the lists of what valid backups hold
for backup in "$root"/*/; do
    backup=${backup%/}
    [ -f "$backup/manifest.json" ] || continue
    state=damaged
    digest=$(sha256sum <"$backup/archive.tar" 2>/dev/null)
    digest=${digest%% *}
    if [ -n "$digest" ] && grep -q "\"archive_sha256\": \"$digest\"" "$backup/manifest.json" &&
        [ -f "$backup/SHA256SUMS" ]; then
        state=valid
        set -- "$@" "$backup/SHA256SUMS"
    fi
    uncovered=$(printf '%s\n' "$live" | comm -23 - "$backup/SHA256SUMS" | grep -c .)
    # Directories change their times whenever a service looks after them.
    added=$(
        tar -tf "$backup/archive.tar" 2>/dev/null | sed 's,/$,,' | awk '
            FNR == NR { held[$0] = 1; next }
            $0 != "" && !($0 in held) { count++ }
            END { print count + 0 }' - /dev/fd/3 3<<EOF
$entries
EOF
    )
    differs=$(tar -C / -df "$backup/archive.tar" 2>&1 | grep -vc 'Mod time differs$')
    say backup "${backup##*/}" "$(cat "$backup/manifest.json")" "$state" "$uncovered" \
        "$((differs + added))"
done
say unsaved "$({
    [ "$#" -eq 0 ] || cat "$@"
    echo 'live:'
    printf '%s\n' "$live"
} | awk '$0 == "live:" { live = 1; next }
         live { if ($0 != "" && !($0 in seen)) count++; next }
         { seen[$0] = 1 }
         END { print count + 0 }')"
""",
            root,
            *paths,
        )

    def process(self, output: list[str]) -> BackupStore:
        backups = []
        notes: dict[str, frozenset[str]] = {}
        unsaved = 0
        for record in read_records(output):
            if record[0] == "note":
                notes[record[1]] = frozenset(record[2].split())
                continue
            if record[0] == "unsaved":
                unsaved = count(record[1])
                continue
            _, name, text, state, uncovered, differs = record
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
        classified, stopped, refused = (
            notes.get(name, frozenset()) for name in ("classified", "stopped", "refused")
        )
        return BackupStore(tuple(backups), classified, unsaved, stopped, refused)
