"""Step 2.1: the backup. Made, read back and compared before anything is deleted."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import asdict

from pyinfra import host
from pyinfra.api import StringCommand, operation
from pyinfra.api.command import PyinfraCommand

from facts.backups import LIVE_SUMS
from operations.step import LookingCommand, changing, show_diff, step_failed
from procedures.host import HostFacts
from procedures.regeneration import backup_due, regeneration_of
from recert.backups import ARCHIVE_DIGEST, Manifest, backup_name
from recert.certificates import Certificate, utc_now
from recert.freshness import Retired

KEEPING = r"""
keeping=
for option in --acls --selinux --xattrs; do
    said=$(tar $option -C "$new" -cf - manifest 2>&1 >/dev/null) && [ -z "$said" ] &&
        keeping="$keeping $option"
done
with_flags() {
    for path; do
        path=$(readlink -f "$path") && [ -e "$path" ] &&
            find "$path" \( -type f -o -type d \) -exec lsattr -d {} + 2>/dev/null
    done
    :
}
flagged() { # the files below the paths with flags that chattr can set, each after its flags
    command -v lsattr >/dev/null 2>&1 || return 0
    stage with_flags "$@" | stage awk '$1 ~ /[aAcCdDijsStTu]/'
}
"""
"""What a host's tar and file system have beside owner and mode, for a backup in the directory $new.
Not every tar knows the options, and one that was built without what they need says so in a warning,
and goes on."""

ARCHIVE_LIMIT = 3600
"""Seconds in which a backup has to be made, or unpacked: some gigabytes, read three times, on a
slow disk."""

MAKE = (
    LIVE_SUMS
    + rf"""
LC_ALL=C; export LC_ALL
root=$1 name=$2; shift 2
umask 077
mkdir -p "$root" && chown 0:0 "$root" && chmod 700 "$root" || fail "Cannot make $root."
large=$(too_large "$@") || fail "Nobody knows how large the files are; nothing was deleted."
[ -z "$large" ] || fail "Larger than any credential, and not backed up; nothing was deleted: $large"
rm -rf "$root"/.[0-9]*T[0-9]*Z-*.partial
new=$root/.$name.partial
mkdir "$new" || fail "Cannot make $new."
given >"$new/manifest" || fail "Cannot write to $new."
[ -s "$new/manifest" ] || fail "The backup's manifest did not arrive; nothing was deleted."
{KEEPING}
members() {{ for path in "$@"; do
    [ -e "$path" ] || continue
    path=$(readlink -f "$path") || return
    printf '%s\0' "${{path#/}}"
done; }}
archived() {{ stage members "$@" | stage tar -C / $keeping --null -T - -cpf "$new/archive.tar"; }}
whole archived "$@" || fail "The backup could not be written to $new; nothing was deleted."
tar -C / -df "$new/archive.tar" ||
    fail "The backup in $new does not compare with what it was made of; nothing was deleted."
whole live_sums "$@" >"$new/SHA256SUMS" ||
    fail "What was backed up to $new cannot be read again; nothing was deleted."
echo "$keeping" >"$new/kept" && whole flagged "$@" >"$new/flags" || fail "Cannot write to $new."
digest=$(digests <"$new/archive.tar")
digest=${{digest%% *}}
[ "${{#digest}}" -eq 64 ] || fail "The backup in $new cannot be read back; nothing was deleted."
sed "s/{ARCHIVE_DIGEST}/$digest/" "$new/manifest" >"$new/manifest.json" && rm "$new/manifest" ||
    fail "The manifest could not be written to $new; nothing was deleted."
# Where sync takes no files, it brings everything to the disk, as it does without any.
sync "$new"/* "$new" 2>/dev/null || sync
mv "$new" "$root/$name" || fail "Cannot finish $root/$name; nothing was deleted."
"""
)


@operation()
def made() -> Generator[PyinfraCommand, None, None]:
    """
    Back up the document's directories and puppet.conf, once for a CA to retire (step 2.1).

    One archive that keeps owners and modes, readable by root only, with a manifest. An earlier
    backup is never replaced.
    """
    regeneration = regeneration_of(host)
    facts = regeneration.facts
    if not backup_due(regeneration):
        host.noop("the CA to retire is backed up")
        return
    in_place = regeneration.retiring_ca or regeneration.freshness.ca
    yield from make_backup(
        facts, archive_of(facts), regeneration.retired, in_place, regeneration.signed
    )
    if backup_due(regeneration):
        yield step_failed([f"The backup in {facts.backup_root} does not hold what it should"])


def make_backup(
    facts: HostFacts,
    archive: Callable[[str, Manifest, int], Iterable[PyinfraCommand]],
    of: Retired | None,
    in_place: Certificate | None,
    signed: tuple[str, ...] = (),
    limit: int = ARCHIVE_LIMIT,
) -> Generator[PyinfraCommand, None, None]:
    """The commands that make one more backup of what is there now.

    :param archive: how it is made on this host, out of a name, its manifest and `limit`, and how
        the facts come to know of it.
    :param of: the CA for whose sake it is made, None if there is none that can be named.
    :param in_place: the CA's certificate, None if it cannot be read; an agent's is the one
        that it trusts.
    :param signed: names with a certificate of that CA, on a master.
    :param limit: seconds that it may take.
    """
    conf = facts.settings
    now = utc_now()
    in_use = facts.certificate_in_use
    manifest = Manifest(
        made_at=now.isoformat(timespec="seconds"),
        host=facts.host.name,
        certname=conf.certname,
        ca_fingerprint=of.fingerprint if of else None,
        ca_key=of.key if of else None,
        ca_subject=in_place.subject if in_place else None,
        ca_expires=in_place.not_after.isoformat() if in_place else None,
        ca_certificate=in_place.pem if in_place else None,
        paths=tuple(facts.backup_paths),
        settings=asdict(conf),
        alt_names=tuple(sorted(in_use.alt_names)) if in_use else (),
        signed=signed,
        certificate=in_use.pem if in_use else None,
    )
    name = backup_name(manifest.ca_fingerprint, now)
    show_diff(
        facts.host,
        "Backup",
        [],
        [f"{facts.backup_root}/{name} (root only): {' '.join(manifest.paths)}"],
    )
    yield from archive(name, manifest, limit)


def archive_of(
    facts: HostFacts,
) -> Callable[[str, Manifest, int], Iterable[PyinfraCommand]]:
    """How a backup is made where there is `sh`."""
    return lambda name, manifest, limit: [archiving(facts, name, manifest, limit)]


def archiving(facts: HostFacts, name: str, manifest: Manifest, limit: int) -> StringCommand:
    """The command that makes an archive, with its manifest beside it, and looks at the backups."""
    change = changing(
        facts.lock,
        MAKE,
        facts.backup_root,
        name,
        *manifest.paths,
        limit=limit,
        stdin=manifest.to_json(),  # it names every node: too long for an argument
    )
    return LookingCommand(change, facts.look("backups"))
