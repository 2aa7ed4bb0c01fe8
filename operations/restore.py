"""Going back: a backup's directories and puppet.conf exactly as they were."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from facts.archives import ARCHIVED
from facts.script import DIGESTS, REAL_PATH
from operations.backup import ARCHIVE_LIMIT, archive_of, make_backup
from operations.clearing import CLEARING
from operations.step import changing, show_diff, step_failed
from procedures.host import HostFacts
from procedures.restoration import restoration_of
from recert.backups import Backup
from recert.certificates import describe, read_certificate
from recert.freshness import Retired

_UNPACK = (
    DIGESTS
    + REAL_PATH
    + CLEARING
    + ARCHIVED
    + r"""
LC_ALL=C; export LC_ALL
archive=$1 digest=$2; shift 2
kept=$(cat "${archive%/*}/kept" 2>/dev/null)
keeping=
for option in --acls --selinux --xattrs; do
    case " $kept " in (*" $option "*) keeping="$keeping $option" ;; esac
done
case $keeping in
    (*--xattrs*) # all of them, where this tar would otherwise take users' alone
        if tar --xattrs-include='*' -tf "$archive" >/dev/null 2>&1; then
            keeping="$keeping --xattrs-include=*"
        fi ;;
esac
found=$(digests <"$archive")
[ "${found%% *}" = "$digest" ] ||
    fail "The archive $archive is damaged; nothing was replaced."
odd=$(whole odd_members "$@" 2>&1) || odd=${odd:-"it cannot be listed"}
[ -z "$odd" ] || fail "The archive $archive holds what no backup does; nothing was replaced: $odd"
odd=$(whole odd_flags "$@" 2>&1) || odd=${odd:-"they cannot be read"}
flags=${archive%/*}/flags
[ -z "$odd" ] || fail "$flags is about what no backup holds; nothing was replaced: $odd"
for path in "$@"; do empty "$path"; done
set -f # the options are words, and no names of files
tar -C / $keeping -xpf "$archive" || fail "Unpacking $archive failed."
left=$(tar -C / -df "$archive" 2>&1) || left=${left:-"tar ended with status $?"}
[ -z "$left" ] || fail "Not everything is as in the backup: $left"
case $keeping in
    (*--selinux*) ;; # what was labelled by hand has its label again
    (*) if command -v restorecon >/dev/null 2>&1; then restorecon -R "$@"; fi ;;
esac
settable() { stage printf '%s' "$1" | stage tr -cd aAcCdDijsStTu; }
[ ! -s "$flags" ] || while read -r found path; do
    found=$(whole settable "$found") || fail "The flags of $path cannot be told."
    chattr "+$found" "$path" || fail "The flags $found of $path cannot be set again."
done <"$flags"
sync
"""
)


@operation()
def replaced_saved() -> Generator[PyinfraCommand, None, None]:
    """Back up what the restoration replaces, unless all of it is in a backup already."""
    restoration = restoration_of(host)
    facts = restoration.facts
    if not restoration.work_due or not facts.backups.unsaved:
        host.noop("what is replaced is backed up")
        return
    conf = facts.settings
    ca = read_certificate(facts.ssl.texts.get(conf.cacert, ""))
    prefix = f"{conf.signeddir}/"
    signed = tuple(
        sorted(
            p[len(prefix) :].removesuffix(".pem") for p in facts.ssl.files if p.startswith(prefix)
        )
    )
    of = Retired(ca.fingerprint, ca.key) if ca is not None else None
    yield from make_backup(facts, archive_of(facts), of, ca, signed)
    if facts.backups.unsaved:
        yield step_failed([f"The backup in {facts.backup_root} does not hold what it should"])


@operation()
def put_back() -> Generator[PyinfraCommand, None, None]:
    """
    Empty the backup's directories and unpack its archive, then compare the two.
    """
    restoration = restoration_of(host)
    facts, backup = restoration.facts, restoration.backup
    if not backup.differs:
        host.noop("everything is as in the backup")
        return
    conf, manifest = facts.settings, backup.manifest
    show_diff(
        host,
        "CA",
        describe(read_certificate(facts.ssl.texts.get(conf.cacert, ""))),
        [
            f"subject:     {manifest.ca_subject}",
            f"expires:     {(manifest.ca_expires or '')[:16].replace('T', ' ')} UTC",
            f"fingerprint: {manifest.ca_fingerprint}",
        ],
    )
    show_diff(host, "Directories", [], [f"{path}: as in {backup.name}" for path in manifest.paths])
    yield unpacking(facts, backup)
    facts.forget("ssl", "components", "backups", "presented")
    if restoration.backup.differs:
        yield step_failed([f"The live files are not those of the backup {backup.name}"])


def unpacking(facts: HostFacts, backup: Backup, limit: int = ARCHIVE_LIMIT) -> StringCommand:
    """The command that makes the directories of a backup what they were."""
    return changing(
        facts.lock,
        _UNPACK,
        f"{facts.backup_root}/{backup.name}/archive.tar",
        backup.manifest.archive_sha256,
        *backup.manifest.paths,
        limit=limit,
    )
