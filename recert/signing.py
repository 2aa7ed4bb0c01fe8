"""What a CA has to say about names: what it holds, what it would sign by itself, and which
requests may be signed.

A request is signed only if the agent's own file is the very request that the CA holds under
the agent's certname. Who the agent is has been settled by the connection over which its file
was read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from functools import cached_property

from cryptography import x509

from recert.certificates import (
    Certificate,
    CertificateRequest,
    read_certificate,
    read_request,
    read_revocation_list,
)
from recert.demands import Demand, demands_of
from recert.extensions import named
from recert.pasted import for_sh, word

_COMMENT = "2.16.840.1.113730.1.13"
"""Netscape's, in which Puppet names itself."""


class Autosigning(Enum):
    """Puppet's setting `autosign`: nobody, everybody, who is listed, or whom a program accepts."""

    OFF = "off"
    ALL = "all"
    LISTED = "listed"
    POLICY = "policy"


@dataclass(frozen=True)
class Autosign:
    """How the master signs by itself. `patterns`: certnames and globs of `autosign.conf`."""

    kind: Autosigning = Autosigning.OFF
    patterns: tuple[str, ...] = ()

    def accepts(self, certname: str) -> bool:
        """Whether a request without alternative names is signed as it comes in. What a policy
        program would say is not known beforehand."""
        if self.kind is Autosigning.LISTED:
            return any(fnmatchcase(certname, pattern.lower()) for pattern in self.patterns)
        return self.kind is Autosigning.ALL


class Authority:
    """The CA that nodes are to trust, as it was at one moment.

    :param ca: its certificate; None as long as it is to be made anew, when nothing is fresh.
    :param crl: its revocation list, as PEM.
    :param requests: what waits for a signature, PEM by name.
    :param signed: what it has signed, PEM by name.
    :param csrdir: where the requests wait, on the master.
    :param retired: SHA-256 fingerprints of certificates that somebody named to be replaced.
    :param taken: the names whose requests have been signed since these were read.
    :param too_many_wait: for more to be told of them all than their names.
    """

    def __init__(
        self,
        ca: Certificate | None,
        crl: str = "",
        requests: Mapping[str, str] | None = None,
        signed: Mapping[str, str] | None = None,
        autosign: Autosign | None = None,
        csrdir: str = "",
        retired: frozenset[str] = frozenset(),
        taken: frozenset[str] = frozenset(),
        too_many_wait: bool = False,
    ) -> None:
        self.ca = ca
        self.too_many_wait = too_many_wait
        self.autosign = autosign or Autosign()
        self.csrdir = csrdir
        self.retired = retired
        self._crl = crl
        self._requests: Mapping[str, str] = {} if requests is None else requests
        self._signed = signed or {}
        self._taken = taken
        self._read_requests: dict[str, CertificateRequest | None] = {}
        self._read_signed: dict[str, Certificate | None] = {}

    def with_signed(self, signed: Mapping[str, str]) -> Authority:
        """The same after it has signed these, PEM by name."""
        return Authority(
            self.ca,
            self._crl,
            self._requests,
            {**self._signed, **signed},
            self.autosign,
            self.csrdir,
            self.retired,
            self._taken | signed.keys(),
            self.too_many_wait,
        )

    @cached_property
    def revoked(self) -> frozenset[int]:
        """Serial numbers."""
        crl = read_revocation_list(self._crl)
        return crl.revoked if crl is not None else frozenset()

    @property
    def requesting(self) -> list[str]:
        """The names under which requests wait, sorted."""
        return sorted(self._requests.keys() - self._taken)

    def request(self, certname: str) -> CertificateRequest | None:
        if certname not in self._read_requests:
            self._read_requests[certname] = read_request(self.request_pem(certname) or "")
        return self._read_requests[certname]

    def request_pem(self, certname: str) -> str | None:
        return None if certname in self._taken else self._requests.get(certname)

    def signed(self, certname: str) -> Certificate | None:
        """What it has signed for a name; None also if that is not of this CA, is for another
        name, or is revoked or named to be replaced."""
        cert = self._valid(certname)
        return cert if cert is not None and cert.subject == certname else None

    def misnamed(self, certname: str) -> Certificate | None:
        """What it has signed under a name, and is for another one: whoever has that may pass for
        somebody else."""
        cert = self._valid(certname)
        return cert if cert is not None and cert.subject != certname else None

    def _valid(self, certname: str) -> Certificate | None:
        cert = self.ever_signed(certname)
        if cert is None or self.ca is None or not cert.issued_by(self.ca):
            return None
        if cert.serial in self.revoked or cert.fingerprint in self.retired:
            return None
        return cert

    def ever_signed(self, certname: str) -> Certificate | None:
        """What lies among the signed certificates under a name, whatever it is worth."""
        if certname not in self._read_signed:
            self._read_signed[certname] = read_certificate(self._signed.get(certname, ""))
        return self._read_signed[certname]

    def holds_file(self, certname: str) -> bool:
        """Whether anything lies among the signed certificates under a name."""
        return certname in self._signed

    @cached_property
    def retired_names(self) -> list[str]:
        """The names whose signed certificates are to be retired and are still there, sorted."""
        if not self.retired:
            return []
        return sorted(
            name
            for name in self._signed
            if (cert := self.ever_signed(name)) is not None and cert.fingerprint in self.retired
        )

    def knows_key(self, certname: str, key: str) -> bool:
        """Whether it has signed that key, or holds a request for it, under that name."""
        signed, request = self.signed(certname), self.request(certname)
        if signed is not None:
            return signed.key == key
        return request is not None and request.key == key


@dataclass(frozen=True)
class Application:
    """What an agent wants signed: its certname, the digest of its key, the request that its own
    file holds, and the alternative names and other extensions that its previous certificate had, by
    the master's own records.

    `request` is None where the agent's Puppet did not keep it, because the master took it but
    answered with an error; what the master holds then has to be made with the agent's key.
    """

    certname: str
    key: str
    request: CertificateRequest | None
    previous_alt_names: frozenset[str]
    previous_extensions: frozenset[tuple[str, str]] = frozenset()
    previous_demands: frozenset[Demand] = frozenset()


def certified(
    certname: str, certificates: Iterable[Certificate], ca: Certificate
) -> Certificate | None:
    """The first of these certificates that is this agent's and that this CA has made.

    What an agent has lying about is not believed: a certificate that it made for itself, or
    that of somebody else, would get it any name.
    """
    own = (cert for cert in certificates if cert.subject == certname)
    return next((cert for cert in own if cert.issued_by(ca)), None)


class Verdict(Enum):
    SIGN = "sign"
    SIGN_WITH_ALT_NAMES = "sign with alt names"
    SIGNED = "signed"
    ANOTHER = "another"
    FOREIGN = "somebody else's request"
    UNKNOWN = "unknown"
    ALT_NAMES = "alt names"
    LESS = "less than before"
    EXTENSIONS = "extensions"
    FAILED = "failed"


@dataclass(frozen=True)
class Judgement:
    """What is to become of an application; `why` for a person, with what to do."""

    verdict: Verdict
    why: str = ""

    @property
    def may_be_signed(self) -> bool:
        return self.verdict in (Verdict.SIGN, Verdict.SIGN_WITH_ALT_NAMES)


def judge(application: Application, authority: Authority) -> Judgement:
    """Whether the request may be signed."""
    name, own = application.certname, application.request
    if conflict := conflict_at_ca(name, application.key, authority):
        return Judgement(Verdict.ANOTHER, conflict)
    if foreign := foreign_request(name, application.key, authority):
        return Judgement(Verdict.FOREIGN, _another_request(name, foreign, authority))
    if authority.signed(name) is not None:
        return Judgement(Verdict.SIGNED)
    request = authority.request(name)
    if request is None:
        return Judgement(Verdict.UNKNOWN, f"The master has no request under the name {name}.")
    # Whose key it is for has been compared above.
    its_own = request.by_its_key if own is None else request.digest == own.digest
    if not its_own:
        return Judgement(Verdict.ANOTHER, _another_request(name, request.digest, authority))
    if request.subject != name:
        return Judgement(Verdict.ANOTHER, f"Its request is for {request.subject}, not for {name}.")
    if lost := application.previous_extensions - request.extensions:
        return Judgement(
            Verdict.LESS,
            f"Its request lacks the extensions {named(dict(lost))} of its previous certificate. "
            f"Remove {word(f'{authority.csrdir}/{name}.pem')} on the master and the agent's "
            "private key, and run the same command again; or sign it as it is: "
            + for_sh("puppet cert sign", name),
        )
    extra = (request.alt_names | set(request.other_alt_names)) - {name}
    had = application.previous_alt_names - {name}
    more = request.demands - application.previous_demands
    why = []
    if more:
        why.append(
            f"Its request asks for extensions that nobody has seen yet: {_told(more)}. By the "
            "master's own copy of its previous certificate it had "
            f"{_told(_others(application, more))}."
        )
    if extra and extra != had:
        why.append(
            f"Its request carries the alt names {', '.join(sorted(extra))}. It may have "
            f"{', '.join(sorted(had)) or 'none'}: what its previous certificate had, by the "
            "master's own copy, and no other node has."
        )
    if why:
        option = " --allow-dns-alt-names" if extra else ""
        sign = for_sh(f"puppet cert sign{option}", name)
        why.append(f"If more is right, run on the master: {sign}")
        return Judgement(Verdict.EXTENSIONS if more else Verdict.ALT_NAMES, " ".join(why))
    return Judgement(Verdict.SIGN_WITH_ALT_NAMES if extra else Verdict.SIGN)


def _others(application: Application, more: Iterable[Demand]) -> frozenset[Demand]:
    """What the previous certificate had under the numbers that are asked for now."""
    numbers = {demand.number for demand in more}
    return frozenset(d for d in application.previous_demands if d.number in numbers)


def _told(demands: Iterable[Demand]) -> str:
    return ", ".join(map(str, sorted(demands))) or "none of them"


def more_than_judged(cert: Certificate, application: Application) -> str:
    """What a certificate says beyond what was judged and beyond what Puppet puts into each; empty
    if nothing. Whoever is quick puts another request in the place of the one that was compared."""
    allowed = {application.certname, *application.previous_alt_names}
    found = sorted((cert.alt_names | set(cert.other_alt_names)) - allowed)
    try:
        extensions = [e for e in cert.x509.extensions if not _is_puppets_own(e)]
        found += map(str, sorted(demands_of(extensions) - application.previous_demands))
    except Exception:  # what an odd one makes a parser raise is not to be foreseen
        found.append("an extension that cannot be read")
    return ", ".join(found)


def _is_puppets_own(extension: x509.Extension[x509.ExtensionType]) -> bool:
    """Whether Puppet puts it into every certificate of a node."""
    value = extension.value
    if isinstance(value, x509.BasicConstraints):
        return not value.ca
    if isinstance(value, x509.KeyUsage):
        return not (value.key_cert_sign or value.crl_sign)
    ours = (x509.ExtendedKeyUsage, x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
    return isinstance(value, ours) or extension.oid.dotted_string == _COMMENT


def conflict_at_ca(certname: str, key: str | None, authority: Authority) -> str | None:
    """What stands in the way of a certificate under this name, with what to do: a certificate that
    is somebody else's or worth nothing.

    :param key: the agent's own, None if it is going to make a new one.
    """
    clean = for_sh("puppet cert clean", certname)
    if (signed := authority.signed(certname)) is not None:
        if key is not None and signed.key == key:
            return None
        return (
            f"The master's CA has already signed a certificate for {certname} that is not this "
            f"agent's ({signed.fingerprint}). Find out whose it is; then revoke it with "
            f"`{clean}` on the master and run the same command again."
        )
    if (misnamed := authority.misnamed(certname)) is not None:
        return (
            f"The master's CA has signed a certificate under the name {certname} that is for "
            f"{misnamed.subject} ({misnamed.fingerprint}): whoever has it can pass for that. "
            f"Revoke it at once with `{clean}` on the master and restart its server; then find "
            "out who asked for it."
        )
    held = authority.request(certname)
    if held is not None and key is not None and held.key == key:
        return None
    left = authority.ever_signed(certname)
    if left is not None and left.fingerprint not in authority.retired:
        return (
            f"The master still holds a certificate for {certname} that is worth nothing any more "
            f"({left.fingerprint}), and takes no request beside it. Remove it with `{clean}` on "
            "the master and run the same command again."
        )
    if left is None and authority.holds_file(certname):
        return (
            f"What the master keeps as the certificate of {certname} is none. Remove "
            f"{word(f'{certname}.pem')} from its signeddir (`puppet master --configprint "
            "signeddir`), then run the same command again."
        )
    return None


def foreign_request(certname: str, key: str | None, authority: Authority) -> str | None:
    """The digest of what waits on the master under a name and is not that agent's, which it takes
    no other request beside; "no request at all" if it is none. None if nothing of that kind waits.

    :param key: as for `conflict_at_ca`.
    """
    held = authority.request(certname)
    if held is None:
        return None if authority.request_pem(certname) is None else "no request at all"
    return None if key is not None and held.key == key else held.digest


def _another_request(certname: str, found: str, authority: Authority) -> str:
    return (
        f"The master holds a request under the name {certname} that is not this agent's "
        f"({found}); it is not signed. Find out who sent it; then remove "
        f"{word(f'{authority.csrdir}/{certname}.pem')} on the master and run the same command "
        "again."
    )
