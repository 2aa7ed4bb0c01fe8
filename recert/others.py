"""What in a directory that is to be emptied belongs to somebody else, and stays.

Puppet's SSL directories are a place where people put keys: hiera-eyaml's, a web server's. A private
key, certificate or keystore goes if it is of the CA to retire, or of one that the master has had,
or belongs to something that is. Parameters of a key exchange are of no CA. What is too large to be
looked into, or cannot be read, may be anything. What is none of these goes, as the document says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from recert.certificates import Certificate, bundled
from recert.errors import RecertError
from recert.observed import FileState
from recert.settings import Settings
from recert.turns import in_turns

PRIVATE_KEY, CERTIFICATE, KEYSTORE, PUBLIC_KEY, PARAMETERS, UNREAD = (
    "a private key",
    "a certificate",
    "a keystore",
    "a public key",
    "Diffie-Hellman parameters",
    "a file that could not be looked into",
)

GROUP_READS = 0o040

MOST_COMPARED = 100_000
"""Signatures that are compared for one host, which takes some ten seconds: hundreds of bundles of
public CAs, with a handful of a site's own."""

SURVEYED = "deploys/survey.py lists them"


@dataclass(frozen=True)
class Stray:
    """A file that holds credentials where nothing of Puppet's own names lies. `what`: one of the
    words above. `certificates`: those in it. `keys`: digests of the public halves of the keys in
    it, None for one that cannot be read, for want of its password."""

    path: str
    what: str
    certificates: tuple[Certificate, ...] = ()
    keys: tuple[str | None, ...] = ()


def of_others(
    strays: Iterable[Stray],
    cas: Iterable[Certificate],
    certified: Iterable[str] = (),
    pause: Callable[[], None] = lambda: None,
) -> dict[str, str]:
    """The files that stay, by path, each with what it is.

    :param cas: whose things go.
    :param certified: digests of public keys that these have certified, as far as they are known
        from elsewhere.
    :param pause: see `recert.turns.in_turns`.
    :raises RecertError: they are too many to be compared.
    """
    strays, cas = list(strays), list(cas)
    ca_keys = {ca.key for ca in cas}
    issued = _issued(strays, cas, pause)
    theirs = {*certified, *ca_keys}
    theirs |= {
        cert.key
        for stray in strays
        for cert in stray.certificates
        if cert.key in ca_keys or cert.fingerprint in issued
    }
    stay: dict[str, str] = {}
    for stray in strays:
        held = {*stray.keys, *(cert.key for cert in stray.certificates)}
        if stray.what != PUBLIC_KEY and theirs.isdisjoint(held):
            stay[stray.path] = stray.what
    # The other half of a key that stays is of no use to anybody else.
    kept = {key for stray in strays if stray.path in stay for key in stray.keys if key is not None}
    for stray in strays:
        if stray.what == PUBLIC_KEY and not kept.isdisjoint(stray.keys):
            stay[stray.path] = stray.what
    return dict(sorted(stay.items()))


def _issued(
    strays: Iterable[Stray], cas: Iterable[Certificate], pause: Callable[[], None]
) -> set[str]:
    """The fingerprints of those certificates that one of these CAs has issued.

    :raises RecertError: they are too many to be compared.
    """
    # A CA that was signed anew has its key still, and bundles hold the same certificates.
    by_key = {ca.key: ca for ca in cas}
    certs = {cert.fingerprint: (cert, s.path) for s in strays for cert in s.certificates}
    if len(certs) * len(by_key) > MOST_COMPARED:
        (_, path), *_ = certs.values()
        raise RecertError(
            f"There are {len(certs)} certificates under names that are none of Puppet's (such as "
            f"{path}), too many to be compared with {len(by_key)} CAs. Move what is somebody "
            "else's out of Puppet's directories, and run the same command again."
        )
    return {
        fingerprint
        for fingerprint, (cert, _) in in_turns(certs.items(), pause)
        if any(map(cert.issued_by, by_key.values()))
    }


def other_names(
    strays: Iterable[Stray], cas: Iterable[Certificate], pause: Callable[[], None] = lambda: None
) -> dict[str, str]:
    """The names of which these are a private key and a certificate of one of these CAs, and where
    the certificate lies.

    :param pause: as for `of_others`.
    :raises RecertError: they are too many to be compared.
    """
    strays = list(strays)
    keys = {key for stray in strays if stray.what == PRIVATE_KEY for key in stray.keys}
    paired = [
        replace(stray, certificates=tuple(c for c in stray.certificates if c.key in keys))
        for stray in strays
    ]
    issued = _issued(paired, cas, pause)
    return {
        cert.subject: stray.path
        for stray in paired
        for cert in stray.certificates
        if cert.fingerprint in issued and not cert.is_self_signed
    }


def kept_directories(stay: Iterable[str], settings: Settings, roots: Iterable[str]) -> set[str]:
    """The directories that are there for the sake of these files, and not for Puppet's."""
    puppets = {
        *(settings.certdir, settings.signeddir, settings.csrdir, settings.cadir),
        *(settings.privatekeydir, settings.publickeydir, settings.requestdir),
        *roots,
    }
    puppets |= {str(parent) for path in puppets for parent in PurePosixPath(path).parents}
    if settings.capass:
        puppets |= {str(parent) for parent in PurePosixPath(settings.capass).parents}
    parents = {str(parent) for path in stay for parent in PurePosixPath(path).parents}
    return parents - puppets


def told_of_readers(path: str, key: FileState | None, group: str) -> list[str]:
    """One line about a private key that somebody reads by its group, which the one that takes its
    place will not have.

    :param group: Puppet's. Root's does not count, nor does Windows, which has none.
    """
    if key is None or not key.mode & GROUP_READS or key.group in (group, "root"):
        return []
    return [
        f"{path} can be read by the group {key.group} ({key.mode:04o}), the new one by Puppet's "
        f"({group}) instead: who reads it there has to be put into that, or be given it anew"
    ]


def told_of_other_cas(path: str, pem: str, cas: Iterable[Certificate]) -> list[str]:
    """One line about what else is in the file in which Puppet keeps the CA that it trusts: a new
    one has that CA's certificate alone.

    :param cas: those that the site has had.
    """
    keys = {ca.key for ca in cas}
    others = sorted({cert.subject for cert in bundled(pem) if cert.key not in keys})
    if not keys or not others:
        return []
    return [
        f"{path} has other CAs' certificates as well, which go with it ({', '.join(others[:5])}); "
        "the backup has them: put them back in the end, behind the new CA's, if they are wanted"
    ]


_ELSES = "that is of no CA of this site's, so somebody else's"
_WHOSE = {
    PARAMETERS: "Diffie-Hellman parameters, which belong to no certificate",
    UNREAD: "nobody could look into it (too large, or it cannot be read), so it may be a key",
}


def told(stay: Mapping[str, str]) -> list[str]:
    """One line about each, for a person."""
    return [
        f"{path} stays as it is: {_WHOSE.get(what, f'{what} {_ELSES}')}"
        for path, what in stay.items()
    ]
