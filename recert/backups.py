"""The manifest of a backup: what it holds and what has to be remembered of the old CA.

A manifest is written once, on the host, beside its archive. Besides describing the archive it
keeps what the host no longer knows once step 2.2 has deleted the CA: its key's digest, the
master's alternative names and who held a certificate.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from recert.errors import RecertError
from recert.pasted import word

VERSION = 1
ARCHIVE_DIGEST = "@ARCHIVE_SHA256@"
"""Stands in a new manifest for the archive's SHA-256, which only the host knows."""

_NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-z-]{1,32}")


@dataclass(frozen=True)
class Manifest:
    """`made_at`: ISO 8601, UTC. `ca_fingerprint` and `ca_key`: of the CA in the backup, None
    where it had none that could be read; on an agent that is the CA it trusted. `paths`: what
    was archived, absolute. `settings`: the fields of `recert.settings.Settings`, for a
    restoration without a working Puppet. `certificate`: the host's own (PEM)."""

    made_at: str
    host: str
    certname: str
    ca_fingerprint: str | None
    ca_key: str | None
    ca_subject: str | None
    ca_expires: str | None
    paths: tuple[str, ...]
    settings: dict[str, Any]
    ca_certificate: str | None = None
    alt_names: tuple[str, ...] = ()
    signed: tuple[str, ...] = ()
    certificate: str | None = None
    archive_sha256: str = ARCHIVE_DIGEST
    version: int = VERSION

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"


@dataclass(frozen=True)
class Backup:
    """A backup on a host. `valid`: the archive has the digest that its manifest gives.

    `uncovered`: how many live files are not in it with the same content. `differs`: whether
    restoring it would change anything.
    """

    name: str
    manifest: Manifest
    valid: bool
    uncovered: int
    differs: bool


def read_manifest(text: str) -> Manifest | None:
    """The manifest in `text`; None if it is not one that this version understands."""
    try:
        values = json.loads(text)
        if values.get("version") != VERSION:
            return None
        for name in ("paths", "alt_names", "signed"):
            values[name] = tuple(values[name])
        values["settings"]["dns_alt_names"] = tuple(values["settings"]["dns_alt_names"])
        manifest = Manifest(**values)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None
    return manifest if _is_of_its_types(manifest) else None


def _is_of_its_types(manifest: Manifest) -> bool:
    texts = (manifest.made_at, manifest.host, manifest.certname, manifest.archive_sha256)
    several = (*manifest.paths, *manifest.alt_names, *manifest.signed)
    optional = (
        *(manifest.ca_fingerprint, manifest.ca_key, manifest.ca_subject, manifest.ca_expires),
        *(manifest.ca_certificate, manifest.certificate),
    )
    return (
        all(isinstance(value, str) for value in (*texts, *several))
        and all(value is None or isinstance(value, str) for value in optional)
        and isinstance(manifest.settings, dict)
    )


def check_paths(
    manifest: Manifest, paths: Iterable[str], places: Iterable[str], named: Iterable[str]
) -> None:
    """
    :param paths: what this suite backs up on the host, by the manifest's settings: those as well
        may be what somebody has made of them.
    :param places: the vendor's own directories there, which no backup tells.
    :param named: paths elsewhere that a person has named: the data `restored_paths`.
    :raises RecertError: the manifest has others, which a restoration would empty.
    """
    if odd := sorted(set(manifest.paths) - set(paths)):
        raise RecertError(
            f"The backup holds {', '.join(odd)}, which this suite does not back up. Nothing was "
            "replaced: somebody has changed its manifest."
        )
    own = tuple(_compared(f"{place}/") for place in places)
    elsewhere = sorted(p for p in manifest.paths if not _compared(f"{p}/").startswith(own))
    if unnamed := sorted(set(elsewhere) - set(named)):
        said = word(f"restored_paths={','.join(elsewhere)}")
        raise RecertError(
            f"The backup holds {', '.join(unnamed)}, which is in none of Puppet's usual places. "
            "Whoever has had it in his hands may have written that, and what is there would be "
            f"replaced. If Puppet's settings were such when it was made, add --data {said}"
        )


def _compared(path: str) -> str:
    """As paths are compared: on Windows in whatever case."""
    return path.lower() if _DRIVE.match(path) else path


_DRIVE = re.compile("[A-Za-z]:/")


def backup_name(fingerprint: str | None, at: datetime) -> str:
    """A name that sorts by time and tells the CA: `20151123T101500Z-ab12cd34ef56ab78`."""
    ca = "no-ca" if fingerprint is None else fingerprint.replace(":", "").lower()[:16]
    return f"{at:%Y%m%dT%H%M%SZ}-{ca}"


def check_backup_name(value: object) -> str:
    """`value` if it can be the name of a backup.

    :raises RecertError: otherwise.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise RecertError(
            f"backup={value!r} is not the name of a backup. "
            "Run deploys/restore.py without it for a list."
        )
    return value
