"""What one certificate file is worth at a site: whose it is, and what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from recert.certificates import SHORTEST_KEY, Certificate, read_certificates
from recert.findings import FindingKind, Flaw
from recert.freshness import OTHERS, Retired
from recert.looks import HostLook
from recert.observed import FileState
from recert.report import CaRecord, CertificateRecord, Role, Standing
from recert.settings import Settings
from recert.turns import in_turns

SOON = timedelta(days=90)
"""Before its end a certificate has to be renewed."""

_TRUSTSTORES = (".ts", ".truststore")

WEAK_HASHES = frozenset({"md5", "sha1"})


@dataclass(frozen=True)
class KnownCas:
    """The CAs that a certificate can be of. `ca`: the one in place; `known`: every other one whose
    certificate is known, such as those that were retired. `revoked`: serial numbers."""

    ca: Certificate | None
    known: tuple[Certificate, ...]
    revoked: frozenset[int]
    retired: Retired | None
    now: datetime

    def issuer_of(self, cert: Certificate) -> Certificate | None:
        """The CA whose key made the signature."""
        candidates = [ca for ca in (self.ca, *self.known) if ca is not None]
        return next((ca for ca in candidates if cert.issued_by(ca)), None)

    def is_retired(self, cert: Certificate) -> bool:
        """Whether a certificate is that of the CA to retire, or of that CA."""
        if self.retired is None:
            return False
        of = self.retired.certificate
        return (
            cert.fingerprint == self.retired.fingerprint
            or cert.key == self.retired.key
            or (of is not None and cert.issued_by(of))
        )

    def is_of_the_ca(self, cert: Certificate) -> bool:
        """Whether a certificate is that of the CA in place, or of that CA."""
        return self.ca is not None and cert.issued_by(self.ca)

    def standing(self, cert: Certificate) -> Standing:
        """What the certificate is worth whatever lies beside it."""
        if self.is_retired(cert):
            return Standing.RETIRED
        if self.ca is not None and not self.is_of_the_ca(cert):
            return Standing.FOREIGN
        if cert.serial in self.revoked:
            return Standing.REVOKED
        if not cert.names_one_holder:
            return Standing.UNUSABLE
        if cert.not_after <= self.now:
            return Standing.EXPIRED
        if cert.not_after <= self.now + SOON:
            return Standing.EXPIRING
        return Standing.GOOD if self.ca is not None else Standing.UNJUDGED


def ca_record(
    ca: Certificate,
    counts: tuple[int, int] | None = None,
    requests: Iterable[str] = (),
    crl_expires: datetime | None = None,
) -> CaRecord:
    """
    :param counts: certificates that it has signed, and how many of them are revoked.
    """
    return CaRecord(
        fingerprint=ca.fingerprint,
        subject=ca.subject,
        not_before=ca.not_before,
        not_after=ca.not_after,
        key_bits=ca.key_bits,
        signature=ca.signature_hash,
        signed=counts[0] if counts else None,
        revoked=counts[1] if counts else None,
        requests=tuple(requests),
        crl_expires=crl_expires,
    )


@dataclass(frozen=True)
class JudgedCertificate:
    """A certificate's file, with what is wrong with it."""

    record: CertificateRecord
    flaws: tuple[Flaw, ...]


def judged_certificates(
    look: HostLook, cas: KnownCas, pause: Callable[[], None] = lambda: None
) -> list[JudgedCertificate]:
    """All certificate files of a host, those that should be some and are not, and what keystores
    hold.

    :param pause: see `recert.turns.in_turns`.
    """
    paths = sorted({*look.found.certificates, *_broken(look)})
    texts = [(path, look.found.certificates.get(path, "")) for path in paths]
    stores = sorted(look.keystores.certificates.items())
    texts += [(path, pem) for path, pems in stores for pem in pems]
    return [_judged(look, path, text, cas) for path, text in in_turns(texts, pause)]


def is_pes_own(look: HostLook, path: str) -> bool:
    """Whether a file lies where PE keeps credentials."""
    conf = look.settings
    own = [conf.confdir, *conf.ssl_roots] if conf is not None else []
    return path.startswith(tuple(f"{place}/" for place in (*own, *look.credential_places)))


def is_where_put(look: HostLook, path: str) -> bool:
    """Whether a file lies where the procedure puts credentials, and not only Puppet or people."""
    roots = list(look.settings.ssl_roots) if look.settings is not None else []
    if look.role is Role.MASTER:
        roots += look.deployment.master.directories
    return path.startswith(tuple(f"{root}/" for root in roots))


def open_keys(look: HostLook) -> Iterator[tuple[str, int]]:
    """PE's private keys, and keystores that may hold some, that others can get at, and their
    modes."""
    stores = [path for path in look.keystores.certificates if not path.endswith(_TRUSTSTORES)]
    for path in (*look.found.keys, *stores):
        entry = look.found.files.get(path)
        if entry is not None and entry.mode & OTHERS and is_pes_own(look, path):
            yield path, entry.mode


def weaknesses(cert: Certificate) -> list[Flaw]:
    """What makes a certificate easier to forge than it should be."""
    found = []
    bits = cert.key_bits
    if bits is not None and bits < SHORTEST_KEY and not hasattr(cert.x509.public_key(), "curve"):
        found.append(Flaw(FindingKind.WEAK, f"has a {bits}-bit key"))
    if cert.signature_hash in WEAK_HASHES:
        found.append(Flaw(FindingKind.WEAK, f"is signed over {cert.signature_hash.upper()}"))
    return found


def _broken(look: HostLook) -> list[str]:
    """Files in the place of certificates that hold nothing in PEM."""
    conf = look.settings
    if conf is None:
        return []
    places = (f"{conf.certdir}/", f"{conf.signeddir}/", conf.cacert)
    return [
        path
        for path in look.found.files
        if path not in look.found.pems
        and path.endswith(".pem")
        and (path.startswith(places) or path.endswith(".cert.pem"))
    ]


def _judged(look: HostLook, path: str, text: str, cas: KnownCas) -> JudgedCertificate:
    entry = look.found.files.get(path, FileState("f", 0, "?", "?", 0, 0.0))
    certs = read_certificates(text)
    first = certs[0] if certs else None
    if look.settings is not None and path == look.settings.localcacert and cas.ca is not None:
        # Puppet trusts all of them, whichever stands first.
        in_place = cas.ca.fingerprint
        first = next((one for one in certs if one.fingerprint == in_place), first)
    cert = next((one for one in certs if cas.is_retired(one)), first)
    used_by = _used_by(look, path)
    # Windows has neither.
    owner, mode = (entry.ownership, f"{entry.mode:04o}") if entry.owner else ("", "")
    if cert is None:
        problem = "is empty" if entry.size == 0 else "cannot be read as a certificate"
        standing = Standing.UNUSABLE
        record = CertificateRecord(look.host, path, owner, mode, standing, used_by, (problem,))
        return JudgedCertificate(record, (Flaw(FindingKind.NO_CERTIFICATE, problem),))
    standing = cas.standing(cert)
    issuer = cas.issuer_of(cert)
    flaws = _flaws(cert, standing, cas)
    belongs = None
    key_path = look.settings and _key_path(look.settings, path, cert)
    if key_path:
        belongs, problem = _pairing(look, key_path, cert)
        if belongs is False and standing is not Standing.RETIRED:
            standing = Standing.UNUSABLE
        flaws += [Flaw(FindingKind.WITHOUT_ITS_KEY, problem)] if problem else []
        if belongs:
            belongs = cas.is_of_the_ca(cert) if cas.ca is not None else None
    record = CertificateRecord(
        host=look.host,
        path=path,
        owner=owner,
        mode=mode,
        standing=standing,
        used_by=used_by,
        problems=tuple(flaw.what for flaw in flaws),
        subject=cert.subject,
        alt_names=tuple(sorted(cert.alt_names)) + cert.other_alt_names,
        serial=f"0x{cert.serial:04x}",
        issuer=cert.issuer,
        issuer_fingerprint=issuer.fingerprint if issuer is not None else None,
        not_before=cert.not_before,
        not_after=cert.not_after,
        fingerprint=cert.fingerprint,
        key_bits=cert.key_bits,
        signature=cert.signature_hash,
        is_ca=cert.is_self_signed or cert.fingerprint == (issuer and issuer.fingerprint),
        belongs=belongs,
    )
    return JudgedCertificate(record, tuple(flaws))


def _flaws(cert: Certificate, standing: Standing, cas: KnownCas) -> list[Flaw]:
    of_its_standing = {
        Standing.RETIRED: (FindingKind.OF_RETIRED_CA, "is of the CA to retire"),
        Standing.FOREIGN: (FindingKind.OF_ANOTHER_CA, "is not of the CA in place"),
        Standing.REVOKED: (FindingKind.REVOKED, "is revoked"),
        Standing.EXPIRED: (FindingKind.EXPIRED, f"expired on {cert.not_after:%Y-%m-%d}"),
        Standing.EXPIRING: (FindingKind.EXPIRES_SOON, f"expires on {cert.not_after:%Y-%m-%d}"),
        Standing.UNUSABLE: (
            FindingKind.NOT_ONE_NAME,
            f"is for {cert.subject}, which is not one name: whoever has its key may pass for each "
            "of them",
        ),
    }
    found = [Flaw(*of_its_standing[standing])] if standing in of_its_standing else []
    if cert.not_before > cas.now:
        what = f"is not valid before {cert.not_before:%Y-%m-%d %H:%M} UTC"
        found.append(Flaw(FindingKind.NOT_YET_VALID, what))
    return found + weaknesses(cert)


def _pairing(look: HostLook, key_path: str, cert: Certificate) -> tuple[bool | None, str]:
    """Whether the key at `key_path` is the certificate's, and what is wrong if it is not."""
    if key_path not in look.found.keys:
        return False, f"its private key {key_path} is missing"
    if look.found.keys[key_path] != cert.key:
        return False, f"{key_path} is not its private key"
    return True, ""


def _key_path(conf: Settings, path: str, cert: Certificate) -> str | None:
    """Where the private key of a certificate has to be; None where none belongs."""
    if path == conf.cacert:
        return conf.cakey
    if path == conf.localcacert or path.startswith(f"{conf.signeddir}/"):
        return None
    if cert.is_self_signed and path.endswith("/ca.cert.pem"):
        return None  # MCollective's copy of the CA's
    if path.startswith(f"{conf.certdir}/"):
        return f"{conf.privatekeydir}/{path.removeprefix(f'{conf.certdir}/')}"
    if path.endswith(".cert.pem"):
        return re.sub(r"\.cert\.pem$", ".private_key.pem", path)
    return None


def _used_by(look: HostLook, path: str) -> tuple[str, ...]:
    conf, deployment = look.settings, look.deployment
    for directory, service in deployment.users.items():
        if path.startswith(f"{directory}/"):
            return (service,)
    if conf is None:
        return ()
    own = conf.hostcert
    if path in (own, conf.localcacert):
        agent = (deployment.agent.puppet,)
        return (deployment.master.server, *agent) if look.role is Role.MASTER else agent
    return (deployment.master.server,) if path == conf.cacert else ()
