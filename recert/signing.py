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

from recert.certificates import (
    Certificate,
    CertificateRequest,
    read_certificate,
    read_request,
    read_revocation_list,
)
from recert.pasted import for_sh, word


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
    ) -> None:
        self.ca = ca
        self.autosign = autosign or Autosign()
        self.csrdir = csrdir
        self.retired = retired
        self._crl = crl
        self._requests = requests or {}
        self._signed = signed or {}
        self._read_requests: dict[str, CertificateRequest | None] = {}
        self._read_signed: dict[str, Certificate | None] = {}

    def with_signed(self, signed: Mapping[str, str]) -> Authority:
        """The same after it has signed these, PEM by name."""
        return Authority(
            self.ca,
            self._crl,
            {name: pem for name, pem in self._requests.items() if name not in signed},
            {**self._signed, **signed},
            self.autosign,
            self.csrdir,
            self.retired,
        )

    @cached_property
    def revoked(self) -> frozenset[int]:
        """Serial numbers."""
        crl = read_revocation_list(self._crl)
        return crl.revoked if crl is not None else frozenset()

    @property
    def requesting(self) -> list[str]:
        """The names under which requests wait, sorted."""
        return sorted(self._requests)

    def request(self, certname: str) -> CertificateRequest | None:
        if certname not in self._read_requests:
            self._read_requests[certname] = read_request(self._requests.get(certname, ""))
        return self._read_requests[certname]

    def request_pem(self, certname: str) -> str | None:
        return self._requests.get(certname)

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
    file holds, and the alternative names that its previous certificate had.

    `request` is None where the agent's Puppet did not keep it, because the master took it but
    answered with an error; what the master holds then has to be made with the agent's key.
    """

    certname: str
    key: str
    request: CertificateRequest | None
    previous_alt_names: frozenset[str]


def certified_alt_names(
    certname: str, certificates: Iterable[Certificate], cas: Iterable[Certificate]
) -> frozenset[str]:
    """The alternative names of the first of these certificates that is this agent's and that one
    of these CAs has made.

    What an agent has lying about is not believed: a certificate that it made for itself, or
    that of somebody else, would get it any name.
    """
    trusted = list(cas)
    for cert in certificates:
        if cert.subject == certname and any(cert.issued_by(ca) for ca in trusted):
            return cert.alt_names
    return frozenset()


class Verdict(Enum):
    SIGN = "sign"
    SIGN_WITH_ALT_NAMES = "sign with alt names"
    SIGNED = "signed"
    ANOTHER = "another"
    UNKNOWN = "unknown"
    ALT_NAMES = "alt names"
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
    if authority.signed(name) is not None:
        return Judgement(Verdict.SIGNED)
    request = authority.request(name)
    if request is None:
        return Judgement(Verdict.UNKNOWN, f"The master has no request under the name {name}.")
    # Whose key it is for has been compared above.
    its_own = request.by_its_key if own is None else request.digest == own.digest
    if not its_own:
        return Judgement(Verdict.ANOTHER, _another_request(name, request, authority))
    if request.subject != name:
        return Judgement(Verdict.ANOTHER, f"Its request is for {request.subject}, not for {name}.")
    extra = (request.alt_names | set(request.other_alt_names)) - {name}
    if not extra:
        return Judgement(Verdict.SIGN)
    if extra == application.previous_alt_names - {name}:
        return Judgement(Verdict.SIGN_WITH_ALT_NAMES)
    had = ", ".join(sorted(application.previous_alt_names - {name})) or "none"
    return Judgement(
        Verdict.ALT_NAMES,
        f"Its request carries the alt names {', '.join(sorted(extra))}. It may have {had}: what "
        "its previous certificate had and no other node has. If more is right, run on the master: "
        + for_sh("puppet cert sign --allow-dns-alt-names", name),
    )


def conflict_at_ca(certname: str, key: str | None, authority: Authority) -> str | None:
    """What stands in the way of a certificate under this name: somebody else's request or
    certificate.

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
    if held is not None and (key is None or held.key != key):
        return _another_request(certname, held, authority)
    if held is None and authority.request_pem(certname) is not None:
        return (
            f"What the master holds as the request of {certname} is none. Remove "
            f"{word(f'{authority.csrdir}/{certname}.pem')} there, then run the same command again."
        )
    left = authority.ever_signed(certname)
    if held is None and left is not None and left.fingerprint not in authority.retired:
        return (
            f"The master still holds a certificate for {certname} that is worth nothing any more "
            f"({left.fingerprint}), and takes no request beside it. Remove it with `{clean}` on "
            "the master and run the same command again."
        )
    if held is None and left is None and authority.holds_file(certname):
        return (
            f"What the master keeps as the certificate of {certname} is none. Remove "
            f"{word(f'{certname}.pem')} from its signeddir (`puppet master --configprint "
            "signeddir`), then run the same command again."
        )
    return None


def _another_request(certname: str, held: CertificateRequest, authority: Authority) -> str:
    return (
        f"The master holds a request under the name {certname} that is not this agent's "
        f"({held.digest}); it is not signed. Find out who sent it; then remove "
        f"{word(f'{authority.csrdir}/{certname}.pem')} on the master and run the same command "
        "again."
    )
