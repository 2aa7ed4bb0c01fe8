"""Certificates, public keys and revocation lists, as far as a regeneration has to judge them.

Only public material comes here. Signatures are verified against keys, never names compared:
the subject of a new Puppet CA equals that of the one it replaces.
"""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from recert.demands import Demand, demands_of
from recert.extensions import puppets_extensions

# Anybody can send a master a request or put a file somewhere, and what an odd one makes a parser
# raise, while it is read or when more of it is asked for, is not to be foreseen: it must not end a
# run over a whole site.
_UNREADABLE = Exception

LONGEST_RSA_KEY = 8192
"""Bits."""

LARGEST_EXPONENT = 2**32
"""Everybody's is 65537. One as long as its key makes a verification cost hundreds of usual ones."""

_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)

# By which a request asks for extensions: the standard's attribute, and Microsoft's.
_EXTENSION_REQUESTS = ("1.2.840.113549.1.9.14", "1.3.6.1.4.1.311.2.1.14")


LEAST_BITS = 1024
"""Of an RSA key. With a shorter one PostgreSQL and other services do not start."""
SHORTEST_KEY = 2048
"""One that is not called weak."""


def colon_hex(digest: bytes) -> str:
    """A digest as people compare it: upper-case hexadecimal, a colon between bytes."""
    return digest.hex(":").upper()


@dataclass(frozen=True)
class Certificate:
    """What is worth knowing of one X.509 certificate.

    `subject` and `issuer` are common names where the name is nothing but one; anything else begins
    with a slash and is nobody's certname (see `_holder`).
    `key` is the SHA-256 of the public key (SubjectPublicKeyInfo, DER), so that two
    certificates for one key can be told from two keys. `alt_names` are the DNS names;
    `other_alt_names` are alternative names of any other kind, as text.
    """

    x509: x509.Certificate
    subject: str
    issuer: str
    serial: int
    not_before: datetime
    not_after: datetime
    fingerprint: str
    key: str
    alt_names: frozenset[str]
    other_alt_names: tuple[str, ...]

    @property
    def extensions(self) -> dict[str, str]:
        """Puppet's own; see `recert.extensions`."""
        try:
            return puppets_extensions(self.x509.extensions)
        except _UNREADABLE:
            return {}

    @property
    def demands(self) -> frozenset[Demand]:
        """Its extensions, by which those that a request asks for are compared with what was there
        before; none if they cannot be read."""
        try:
            return demands_of(self.x509.extensions)
        except _UNREADABLE:
            return frozenset()

    @property
    def pem(self) -> str:
        return self.x509.public_bytes(Encoding.PEM).decode("ascii")

    @property
    def key_bits(self) -> int | None:
        """The length of the public key; None for a kind whose keys all have one length, or one
        that is not known."""
        try:
            size: int | None = getattr(self.x509.public_key(), "key_size", None)
        except _UNREADABLE:
            return None
        return size

    @property
    def weakness(self) -> str | None:
        """Why nobody takes its key today, however new it is; None if some do."""
        key = self.x509.public_key()
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < LEAST_BITS:
            return f"has a key of {key.key_size} bits"
        return None

    @property
    def signature_hash(self) -> str | None:
        """The hash algorithm under the issuer's signature: `sha256`. None for one that has none, or
        that cannot be read."""
        try:
            algorithm = self.x509.signature_hash_algorithm
        except _UNREADABLE:
            return None
        return algorithm.name if algorithm is not None else None

    @property
    def is_self_signed(self) -> bool:
        try:
            itself = self.x509.subject == self.x509.issuer
        except _UNREADABLE:
            return False
        return itself and _verifies(self.x509, self)

    @property
    def names_one_holder(self) -> bool:
        """Whether its subject is one name, which every program takes for the same."""
        return not self.subject.startswith("/")

    def issued_by(self, ca: Certificate) -> bool:
        """Whether the key of `ca` made this certificate's signature."""
        return _verifies(self.x509, ca)

    def invalidity(self, now: datetime) -> str | None:
        """Why its dates make everybody refuse it at the moment `now`; None if they do not."""
        if self.not_after <= now:
            return f"expired on {self.not_after:%Y-%m-%d}"
        if self.not_before > now:
            return f"is not valid before {self.not_before:%Y-%m-%d %H:%M} UTC"
        return None


@dataclass(frozen=True)
class RevocationList:
    """A CRL: the serial numbers it revokes."""

    x509: x509.CertificateRevocationList
    revoked: frozenset[int]

    @property
    def expires(self) -> datetime | None:
        """When its issuer has to have made another."""
        return self.x509.next_update_utc

    def invalidity(self, now: datetime) -> str | None:
        """Why everybody who goes by it refuses everybody at the moment `now`; None if nobody does.

        Source: RFC 5280, 5.1.2.5; OpenSSL ends such a handshake with "CRL has expired"."""
        if self.expires is None or self.expires > now:
            return None
        return f"expired on {self.expires:%Y-%m-%d}"

    def signed_by(self, ca: Certificate) -> bool:
        return _verifies(self.x509, ca)


@dataclass(frozen=True)
class CertificateRequest:
    """A CSR. `digest`: SHA-256 of the whole request (DER), by which two are compared; `subject`,
    `key` and `alt_names` as in `Certificate`. `by_its_key`: it was signed with the private key of
    `key`, so that nobody else can have made it. `demands`: the other extensions that
    it asks for; `extensions`: Puppet's own among them."""

    subject: str
    key: str
    digest: str
    alt_names: frozenset[str]
    other_alt_names: tuple[str, ...]
    by_its_key: bool
    extensions: frozenset[tuple[str, str]] = frozenset()
    demands: frozenset[Demand] = frozenset()

    @property
    def asks_for_more(self) -> bool:
        """Whether it asks for anything but a certificate for its name and key."""
        names = (self.alt_names | set(self.other_alt_names)) - {self.subject}
        return bool(names or self.demands)


def read_certificate(pem: str) -> Certificate | None:
    """The certificate in `pem`, or None for anything that is not one (an empty file too)."""
    try:
        cert = x509.load_pem_x509_certificate(pem.encode("utf-8", "surrogateescape"))
        _require_points_in_full(cert.tbs_certificate_bytes)
        dns, others = _alternative_names(cert)
        return Certificate(
            x509=cert,
            subject=_holder(cert.subject),
            issuer=_holder(cert.issuer),
            serial=cert.serial_number,
            not_before=cert.not_valid_before_utc,
            not_after=cert.not_valid_after_utc,
            fingerprint=colon_hex(
                hashlib.sha256(cert.public_bytes(Encoding.DER)).digest(),
            ),
            key=_key_digest(cert.public_key()),
            alt_names=dns,
            other_alt_names=others,
        )
    except _UNREADABLE:
        return None


def read_certificates(pem: str) -> list[Certificate]:
    """All that can be read in `pem`, in their order."""
    end = "-----END CERTIFICATE-----"
    parts = (part.rpartition("-----BEGIN CERTIFICATE-----") for part in pem.split(end)[:-1])
    found = (read_certificate(f"{begin}{body}{end}\n") for _, begin, body in parts)
    return [cert for cert in found if cert is not None]


LONGEST_BUNDLE = 2**20
"""Characters: all public CAs together are a quarter of that, and a host may say what it likes."""


def bundled(pem: str) -> list[Certificate]:
    """The certificates in a file of CAs that a host trusts."""
    return read_certificates(pem[:LONGEST_BUNDLE])


def read_request(pem: str) -> CertificateRequest | None:
    """The request in `pem`, or None for anything that is not one.

    Nor is one that asks for extensions twice, in the standard's place and in Microsoft's: Puppet
    signs those in the first, while what would be judged here might be those in the second. Nor one
    whose key is none that Puppet makes: see `is_affordable`.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode("utf-8", "surrogateescape"))
        _require_points_in_full(request.tbs_certrequest_bytes)
        if not is_affordable(request.public_key()):
            return None
        if sum(part.oid.dotted_string in _EXTENSION_REQUESTS for part in request.attributes) > 1:
            return None
        dns, others = _alternative_names(request)
        return CertificateRequest(
            subject=_holder(request.subject),
            key=_key_digest(request.public_key()),
            digest=colon_hex(hashlib.sha256(request.public_bytes(Encoding.DER)).digest()),
            alt_names=dns,
            other_alt_names=others,
            by_its_key=request.is_signature_valid,
            extensions=frozenset(puppets_extensions(request.extensions).items()),
            demands=demands_of(request.extensions),
        )
    except _UNREADABLE:
        return None


def read_public_key(pem: str) -> str | None:
    """The digest (see `Certificate.key`) of a public key in PEM, or None."""
    try:
        _, _, body = pem.partition("-----BEGIN PUBLIC KEY-----")
        _require_points_in_full(b64decode(body.partition("-----END")[0]))
        return _key_digest(load_pem_public_key(pem.encode("utf-8", "surrogateescape")))
    except _UNREADABLE:
        return None


_ON_A_CURVE = bytes.fromhex("06072a8648ce3d0201")
"""Of an elliptic curve's key, in DER: what it is."""


def _require_points_in_full(der: bytes) -> None:
    """
    :param der: with public keys somewhere in it.
    :raises ValueError: one of them is a compressed point, as nobody has it in a certificate: what
        it leaves out takes a millisecond to compute on some curves, and a host has thousands.
    """
    _, *found = der.split(_ON_A_CURVE)
    for after in found:
        point = after[2 + after[1] :] if after[:1] == b"\x06" else b""
        head = 3 if point[1:2] < b"\x80" else 4  # a long one's length has a byte in front of it
        if point[:1] != b"\x03" or point[head : head + 1] != b"\x04":
            raise ValueError("a point of an elliptic curve is not there in full")


def read_revocation_list(pem: str) -> RevocationList | None:
    """The CRL in `pem`, or None for anything that is not one."""
    try:
        crl = x509.load_pem_x509_crl(pem.encode("utf-8", "surrogateescape"))
        _ = crl.next_update_utc  # read when it is asked for, and an odd one is an error
        return RevocationList(crl, frozenset(entry.serial_number for entry in crl))
    except _UNREADABLE:
        return None


def describe(cert: Certificate | None, ca: Certificate | None = None) -> list[str]:
    """The lines by which a person tells one certificate from another, for a diff.

    `ca` is the certificate of the issuer where it is known; its fingerprint is shown, because
    the issuer's name says nothing (see the module's text).
    """
    if cert is None:
        return []
    issuer = cert.issuer
    if ca is not None and cert.issued_by(ca):
        issuer += f", {ca.fingerprint}"
    elif ca is not None:
        issuer += ", not the CA on this host"
    names = [f"DNS:{name}" for name in sorted(cert.alt_names)]
    lines = [
        f"subject:     {cert.subject}",
        f"issuer:      {issuer}",
        f"serial:      {cert.serial:#06x}",
        f"expires:     {cert.not_after:%Y-%m-%d %H:%M} UTC",
        f"fingerprint: {cert.fingerprint}",
    ]
    if names or cert.other_alt_names:
        lines.append(f"alt names:   {', '.join(names + list(cert.other_alt_names))}")
    return lines


def utc_now() -> datetime:
    return datetime.now(UTC)


def _key_digest(key: object) -> str:
    encoded: bytes = key.public_bytes(  # type: ignore[attr-defined]
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(encoded).hexdigest()


# UTF8String, PrintableString, IA5String: how ASCII is written so that bytes are characters.
_PLAIN_STRINGS = frozenset({0x0C, 0x13, 0x16})
_PLAIN = re.compile(r"[ -~]+")


def _holder(name: x509.Name) -> str:
    """The common name, if the name is that and nothing else: one RDN of one attribute, in
    printable ASCII. Otherwise the whole of it as OpenSSL prints it, `/CN=…/O=…`.

    Puppet signs a name as it is, and programs differ about what an odd one means: Ruby's TLS takes
    a server for every CN, others for the first or the last, C programs end at a NUL.
    """
    attributes = [attribute for rdn in name.rdns for attribute in rdn]
    if len(attributes) == 1 and attributes[0].oid == x509.NameOID.COMMON_NAME:
        value = attributes[0].value
        if isinstance(value, str) and _PLAIN.fullmatch(value):
            # Behind the string's tag stand its length, in one byte or two, and itself.
            before = 2 if len(value) < 128 else 3
            tag = name.public_bytes()[-len(value) - before] if len(value) < 256 else None
            if tag in _PLAIN_STRINGS:
                return value
    return "".join("/" + "+".join(map(_attribute, rdn)) for rdn in name.rdns) or "/"


def _attribute(attribute: x509.NameAttribute[str | bytes]) -> str:
    value = attribute.value
    shown = value if isinstance(value, str) else f"#{value.hex()}"
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)
    return f"{attribute.rfc4514_attribute_name}={shown}"


def _alternative_names(
    cert: x509.Certificate | x509.CertificateSigningRequest,
) -> tuple[frozenset[str], tuple[str, ...]]:
    try:
        extension = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset(), ()
    dns = frozenset(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))
    others: Iterable[x509.GeneralName] = (
        name for name in extension.value if not isinstance(name, x509.DNSName)
    )
    return dns, tuple(f"{type(name).__name__}:{name.value}" for name in others)


def _verifies(
    signed: x509.Certificate | x509.CertificateRevocationList, signer: Certificate
) -> bool:
    try:
        body = (
            signed.tbs_certificate_bytes
            if isinstance(signed, x509.Certificate)
            else signed.tbs_certlist_bytes
        )
        algorithm = signed.signature_hash_algorithm
        signature, key = signed.signature, signer.x509.public_key()
    except _UNREADABLE:
        return False
    return algorithm is not None and is_signed(body, signature, key, algorithm)


def is_affordable(key: object) -> bool:
    """Whether verifying a signature with a public key costs what it does with those that Puppet
    makes. Others can be made so that some thousand verifications hold up a run for minutes."""
    if isinstance(key, rsa.RSAPublicKey):
        return key.key_size <= LONGEST_RSA_KEY and key.public_numbers().e <= LARGEST_EXPONENT
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES)


def is_signed(body: bytes, signature: bytes, key: object, algorithm: HashAlgorithm) -> bool:
    """Whether a public key's private half made a signature; never for a key that is not worth the
    time (`is_affordable`)."""
    try:
        if not is_affordable(key):
            return False
        _verify(body, signature, key, algorithm)
    except Exception:
        return False
    return True


def _verify(body: bytes, signature: bytes, key: object, algorithm: HashAlgorithm) -> None:
    """:raises Exception: the key did not make it, or that cannot be told."""
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, body, padding.PKCS1v15(), algorithm)
    else:
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(signature, body, ec.ECDSA(algorithm))
