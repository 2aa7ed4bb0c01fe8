"""The interlock: a CA is destroyed only by whoever names it by its fingerprint."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from recert.backups import Manifest
from recert.certificates import Certificate, colon_hex, read_certificate
from recert.errors import RecertError
from recert.freshness import Retired

# As puppet and openssl print them: "(SHA256) AB:…", "SHA256 Fingerprint=AB:…".
_PREFIX = re.compile(r"^\(?sha-?256\)?( fingerprint)?[:= ]*", re.IGNORECASE)


def parse_fingerprint(value: object, data: str = "retire_ca") -> str:
    """A SHA-256 fingerprint with or without colons, as `AB:CD:…`.

    :param data: the name of the data that holds it, for the error.
    :raises RecertError: `value` is not one.
    """
    digits = _PREFIX.sub("", str(value).strip()).replace(":", "")
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", digits):
        raise RecertError(f"{data}={value} is not a SHA-256 fingerprint (64 hexadecimal digits).")
    return colon_hex(bytes.fromhex(digits))


def ca_to_retire(
    fingerprint: str | None,
    current: Certificate | None,
    manifests: Sequence[Manifest],
) -> Retired:
    """The CA that the data `retire_ca` names: the one on the host, or one that a backup here holds.

    :param fingerprint: of it, None if none is named.
    :param current: the CA's certificate on the host, None if there is none that can be read.
    :raises RecertError: it names neither.
    """
    if fingerprint is None:
        raise RecertError("no CA to retire is named.")
    here = {manifest.ca_fingerprint for manifest in manifests}
    if fingerprint not in here and (current is None or current.fingerprint != fingerprint):
        raise RecertError(
            f"retire_ca={fingerprint} is neither the CA on this host nor that of a backup made "
            "here."
        )
    return named_ca(fingerprint, current, manifests)


def named_ca(
    fingerprint: str, current: Certificate | None, manifests: Iterable[Manifest]
) -> Retired:
    """What is known of the CA with a fingerprint: that it is the one on the host, or what a backup
    has of it, or nothing more.

    :param current: the CA's certificate on the host, None if there is none that can be read.
    """
    if current is not None and current.fingerprint == fingerprint:
        return Retired(fingerprint, current.key, current)
    of_it = [one for one in manifests if one.ca_fingerprint == fingerprint]
    # A backup that an interrupted run goes on with may hold the certificate of the CA that comes.
    held = (read_certificate(one.ca_certificate or "") for one in of_it)
    certificate = next((c for c in held if c is not None and c.fingerprint == fingerprint), None)
    key = certificate.key if certificate else next((m.ca_key for m in of_it if m.ca_key), None)
    return Retired(fingerprint, key, certificate)


def describe_ca(
    ca: Certificate | None, counts: tuple[int, int], command: str, damaged_path: str
) -> str:
    """What the host has, and the command that retires it.

    :param counts: certificates that are valid, and that are revoked.
    """
    if ca is None:
        return (
            f"  Found no CA certificate that can be read at {damaged_path}.\n"
            "  If a run was interrupted here, name the CA that it was to retire; "
            "deploys/restore.py lists the backups."
        )
    valid, revoked = counts
    return (
        f"  CA on this host:  {ca.subject}\n"
        f"  fingerprint:      {ca.fingerprint}\n"
        f"  expires:          {ca.not_after:%Y-%m-%d}\n"
        f"  has signed:       {valid + revoked} certificates, {revoked} of them revoked\n"
        f"  To see what retiring it means, run\n"
        f"    {command} --dry --diff --data retire_ca={ca.fingerprint}"
    )


def succeeded(ca: Certificate | None, manifests: Iterable[Manifest]) -> list[str]:
    """That a CA has taken the place of another one already: it may be that which somebody means.

    :param manifests: of the backups on the host, oldest first.
    """
    manifests = [manifest for manifest in manifests if manifest.ca_fingerprint is not None]
    # One that is in a backup itself has been put back, or is going to be retired.
    if ca is None or not manifests or ca.fingerprint in {m.ca_fingerprint for m in manifests}:
        return []
    last = manifests[-1]
    return [
        f"  It took the place of {last.ca_fingerprint},\n"
        f"  backed up at {last.made_at[:16].replace('T', ' ')} UTC. To go on with that one's "
        "regeneration, name that one."
    ]


def not_asked_yet(hosts: int) -> str:
    """What keeps a name from being nobody's: hosts that may be called otherwise in the inventory.

    :param hosts: how many have not said their certname.
    """
    return (
        f"Whether one of the inventory's hosts is (its certname counts) is not known yet: {hosts} "
        "not asked. Clean none of these names before deploys/survey.py has asked all hosts."
    )


def left_behind(
    signed: Mapping[str, Certificate | None], own: Iterable[str], inventory_names: Iterable[str]
) -> list[str]:
    """Names with a certificate of the CA to retire that nothing here brings back.

    They belong neither to PE itself nor to a host of the inventory: compile masters,
    load-balanced services, forgotten nodes. Each with what helps to recognise it.

    :param own: the names whose certificates the master itself needs.
    """
    known = {*own, *inventory_names}
    lines = []
    for name in sorted(signed.keys() - known):
        cert = signed[name]
        others = sorted(cert.alt_names - {name}) if cert is not None else []
        lines.append(f"{name} (alt names {', '.join(others)})" if others else name)
    return lines
