"""What a CA has on record of names: what waits, what it has signed and revoked, and what it would
sign by itself."""

from __future__ import annotations

from collections.abc import Mapping
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
from recert.deployments.authority import Authority


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

    def may_have_signed(self, certname: str, alt_names: frozenset[str]) -> bool:
        """Whether a certificate may be one that nobody has looked at: not one with alternative
        names, which a person alone has signed."""
        policy = self.kind is Autosigning.POLICY
        return (policy or self.accepts(certname)) and not alt_names - {certname}

    def accepts(self, certname: str) -> bool:
        """Whether a request without alternative names is signed as it comes in. What a policy
        program would say is not known beforehand."""
        if self.kind is Autosigning.LISTED:
            return any(fnmatchcase(certname, pattern.lower()) for pattern in self.patterns)
        return self.kind is Autosigning.ALL


class CaRecords:
    """The CA that nodes are to trust, as it was at one moment.

    :param authority: by which it is worked with.
    :param ca: its certificate; None as long as it is to be made anew, when nothing is fresh.
    :param crl: its revocation list, as PEM.
    :param requests: what waits for a signature, PEM by name.
    :param signed: what it has signed, PEM by name.
    :param csrdir: where the requests wait, on the master.
    :param retired: SHA-256 fingerprints of certificates that somebody named to be replaced.
    :param taken: the names whose requests have been signed since these were read.
    :param too_many_wait: for more to be told of them all than their names.
    :param approved: SHA-256 fingerprints of certificates and requests of which somebody has said
        that they may say what they do.
    """

    def __init__(
        self,
        authority: Authority,
        ca: Certificate | None,
        crl: str = "",
        requests: Mapping[str, str] | None = None,
        signed: Mapping[str, str] | None = None,
        autosign: Autosign | None = None,
        csrdir: str = "",
        retired: frozenset[str] = frozenset(),
        taken: frozenset[str] = frozenset(),
        too_many_wait: bool = False,
        approved: frozenset[str] = frozenset(),
    ) -> None:
        self.authority = authority
        self.ca = ca
        self.too_many_wait = too_many_wait
        self.autosign = autosign or Autosign()
        self.csrdir = csrdir
        self.retired = retired
        self.approved = approved
        self._crl = crl
        self._requests: Mapping[str, str] = {} if requests is None else requests
        self._signed = signed or {}
        self._taken = taken
        self._read_requests: dict[str, CertificateRequest | None] = {}
        self._read_signed: dict[str, Certificate | None] = {}

    def with_signed(self, signed: Mapping[str, str]) -> CaRecords:
        """The same after it has signed these, PEM by name."""
        return CaRecords(
            self.authority,
            self.ca,
            self._crl,
            self._requests,
            {**self._signed, **signed},
            self.autosign,
            self.csrdir,
            self.retired,
            self._taken | signed.keys(),
            self.too_many_wait,
            self.approved,
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
