"""Reading certificates, keys and revocation lists, and telling who signed them."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from recert.certificates import (
    LARGEST_EXPONENT,
    LONGEST_RSA_KEY,
    colon_hex,
    describe,
    is_affordable,
    read_certificate,
    read_public_key,
    read_request,
    read_revocation_list,
)
from recert.identity import proves
from tests.unit.issuing_ca import (
    CA_SUBJECT,
    MICROSOFT,
    NEW,
    NOW,
    OLD,
    STANDARD,
    certificate_for,
    costly_key,
    key,
    key_digest,
    key_pem,
    odd_request_pem,
    public_pem,
    read,
    read_csr,
    request_for,
    request_pem,
    without_parameters,
)

SHA1_CA = """-----BEGIN CERTIFICATE-----
MIICLDCCAZWgAwIBAgIUbbJLEnBaoadxV6EC5wTm2ZLEOFIwDQYJKoZIhvcNAQEL
BQAwKDEmMCQGA1UEAwwdUHVwcGV0IENBOiBtYXN0ZXIuZXhhbXBsZS5jb20wHhcN
MjYxMTIzMTM1NDQ5WhcNMzYxMTIwMTM1NDQ5WjAoMSYwJAYDVQQDDB1QdXBwZXQg
Q0E6IG1hc3Rlci5leGFtcGxlLmNvbTCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkC
gYEAv+FqjI37tWdITeJtdig7vL2n1HrWEs3kwFfyeXgczX/8e40g4B6L0XxE8eoo
BhHLOWSzT6roUFgwRQf301rS47YTH0F6vDmAHTHQFWTOwMYspz/FEEbE0BopGX4T
BnDi1a1+0NqmxER01rAgiztlJGG91hs+uRFqk8lTnYJze+sCAwEAAaNTMFEwHQYD
VR0OBBYEFM/hVfxbAhvAw1K4hvpXkiZl8lr2MB8GA1UdIwQYMBaAFM/hVfxbAhvA
w1K4hvpXkiZl8lr2MA8GA1UdEwEB/wQFMAMBAf8wDQYJKoZIhvcNAQELBQADgYEA
Jre674B2d+IrT6vdkSsAGljQsrGJ9QSbB9QVx98ewH0nKIKxRN6xQw/K7VCram3I
6wM823Q2Nrr8AEJ6PBbWKQACfT4WiKzVz6i/4/Lr6fXxYpHkwxomTO4hy0x4UwMf
gBj/AtYcKgy3Sh02N0mlGevNXMovvqqz7KInSpGszuc=
-----END CERTIFICATE-----
"""
SHA1_CRL = """-----BEGIN X509 CRL-----
MIHsMFcwDQYJKoZIhvcNAQEFBQAwKDEmMCQGA1UEAwwdUHVwcGV0IENBOiBtYXN0
ZXIuZXhhbXBsZS5jb20XDTI2MTEyMzEzNTQ0OVoXDTMxMTEyMjEzNTQ0OVowDQYJ
KoZIhvcNAQEFBQADgYEADAEQyblC7KL2bp6NmFD4t7kxsW+e3BuHCXS9txWs5LMs
nWn5JugbNkBmKKmpSyM5D/E0RYsNXPciD/Wg3opQ/tB69xAD8ZzfdVKg9bnTGYK5
KpEoORu9XNGDQpyzgU75iVjqSpUSieufvrtUA5H7eH8yhVLJa/qtvNN575kxYLU=
-----END X509 CRL-----
"""
"""Made with `openssl ca -gencrl -md sha1`: Puppet 3.7 signs its CRL so."""

LEAF = NEW.issue("Master", 0x1F, ["Puppet", "a.example.com"])
GARBAGE = {
    "empty": "",
    "text": "no PEM at all",
    "cut short": LEAF[:300],
    "NUL": "\0" * 1024,
    "not base64": "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n",
    "not DER": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "not UTF-8": b"\xff\xfe-----BEGIN".decode("utf-8", "surrogateescape"),
    "private key": key_pem("new-ca"),
}


def test_certificate_is_read() -> None:
    cert = read(LEAF)
    assert cert.subject == "Master"
    assert cert.issuer == CA_SUBJECT
    assert cert.serial == 0x1F
    assert cert.not_after == NOW + timedelta(days=1825)
    assert cert.alt_names == {"puppet", "a.example.com"}
    assert cert.other_alt_names == ()
    assert cert.key == read_public_key(public_pem("Master"))


def test_fingerprint_is_the_one_that_openssl_prints() -> None:
    # openssl x509 -noout -fingerprint -sha256
    assert read(SHA1_CA).fingerprint == (
        "55:CC:DD:80:34:79:37:3B:FE:54:D4:81:88:D9:FE:4A:"
        "00:E5:9C:68:A1:8C:8D:5F:85:97:52:88:2F:BC:78:55"
    )


def test_key_digest_is_that_of_the_whole_public_key() -> None:
    # openssl x509 -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum
    body = "".join(public_pem("new-ca").splitlines()[1:-1])
    assert NEW.certificate.key == hashlib.sha256(base64.b64decode(body)).hexdigest()


def test_digest_is_shown_in_upper_case_with_colons() -> None:
    assert colon_hex(b"\x0a\xbc") == "0A:BC"


def test_certificate_survives_being_written() -> None:
    assert read(read(LEAF).pem) == read(LEAF)


def test_text_around_a_certificate_does_not_matter() -> None:
    assert read(f"Certificate:\n    Data:\n{LEAF}\n") == read(LEAF)


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_nothing_and_no_error(kind: str) -> None:
    assert read_certificate(GARBAGE[kind]) is None
    assert read_public_key(GARBAGE[kind]) is None
    assert read_revocation_list(GARBAGE[kind]) is None


def test_one_kind_is_not_taken_for_another() -> None:
    assert read_certificate(NEW.crl()) is None
    assert read_certificate(public_pem("new-ca")) is None
    assert read_public_key(LEAF) is None
    assert read_revocation_list(LEAF) is None


def test_ca_is_self_signed_and_a_certificate_is_not() -> None:
    assert NEW.certificate.is_self_signed
    assert not read(LEAF).is_self_signed


def test_subject_equal_to_issuer_is_not_yet_self_signed() -> None:
    cert = read(OLD.issue(CA_SUBJECT, 1, key="new-ca"))
    assert cert.subject == cert.issuer
    assert not cert.is_self_signed


def test_issuer_is_told_by_its_key_and_not_by_its_name() -> None:
    assert OLD.certificate.subject == NEW.certificate.subject
    assert read(LEAF).issued_by(NEW.certificate)
    assert not read(LEAF).issued_by(OLD.certificate)


def test_certificate_is_valid_between_its_two_moments() -> None:
    cert = read(LEAF)
    second = timedelta(seconds=1)
    assert cert.invalidity(cert.not_before) is None
    assert cert.invalidity(cert.not_after - second) is None
    assert "expired on" in (cert.invalidity(cert.not_after) or "")
    assert "is not valid before" in (cert.invalidity(cert.not_before - second) or "")


def test_alt_names_of_other_kinds_are_kept_apart() -> None:
    others = [
        x509.IPAddress(ip_address("192.0.2.1")),
        x509.UniformResourceIdentifier("http://example.com"),
    ]
    cert = read(NEW.issue("master", 5, ["puppet"], others=others))
    assert cert.alt_names == {"puppet"}
    assert cert.other_alt_names == (
        "IPAddress:192.0.2.1",
        "UniformResourceIdentifier:http://example.com",
    )


# Requests


def test_request_is_read() -> None:
    request = read_csr(request_pem("Agent", ["Puppet", "a.example.com"]))
    assert request.subject == "Agent"
    assert request.key == key_digest("Agent")
    assert request.alt_names == {"puppet", "a.example.com"}
    assert request.other_alt_names == ()


def test_request_without_alt_names_has_none() -> None:
    request = read_csr(request_pem("agent"))
    assert (request.alt_names, request.other_alt_names) == (frozenset(), ())


def test_requests_alt_names_of_other_kinds_are_kept_apart() -> None:
    others = [x509.IPAddress(ip_address("192.0.2.1")), x509.RFC822Name("a@example.com")]
    request = read_csr(request_pem("agent", ["puppet"], others=others))
    assert request.alt_names == {"puppet"}
    assert request.other_alt_names == ("IPAddress:192.0.2.1", "RFC822Name:a@example.com")


def test_requests_digest_is_that_of_all_of_it() -> None:
    # openssl req -outform DER | sha256sum
    pem = request_pem("agent")
    der = base64.b64decode("".join(pem.splitlines()[1:-1]))
    assert read_csr(pem).digest == colon_hex(hashlib.sha256(der).digest())


def test_requests_differ_by_whatever_is_in_them() -> None:
    pems = [
        request_pem("agent"),
        request_pem("agent", key="other"),
        request_pem("agent", ["puppet"]),
        request_pem("other", key="agent"),
    ]
    assert len({read_csr(pem).digest for pem in pems}) == len(pems)


def test_text_around_a_request_does_not_matter() -> None:
    pem = request_pem("agent")
    assert read_csr(f"Certificate Request:\n    Data:\n{pem}\n") == read_csr(pem)


@pytest.mark.parametrize("kind", [*GARBAGE, "certificate", "CRL", "request cut short"])
def test_what_is_no_request_is_nothing_and_no_error(kind: str) -> None:
    others = {
        "certificate": LEAF,
        "CRL": NEW.crl(),
        "request cut short": request_pem("agent")[:300],
    }
    assert read_request((GARBAGE | others)[kind]) is None


def test_alt_names_asked_for_in_microsofts_way_are_seen() -> None:
    """Puppet sees them too."""
    assert read_csr(odd_request_pem("agent", (MICROSOFT, "puppet"))).alt_names == {"puppet"}


@pytest.mark.parametrize(
    "asked",
    [
        [(MICROSOFT, "a"), (STANDARD, "puppet")],
        [(STANDARD, "a"), (STANDARD, "puppet")],
        [(MICROSOFT, "a"), (MICROSOFT, "puppet")],
    ],
    ids=["Microsoft's first", "twice", "twice Microsoft's"],
)
def test_request_that_asks_for_extensions_twice_is_none(asked: list[tuple[bytes, str]]) -> None:
    """Puppet would not sign the ones that would be judged."""
    assert read_request(odd_request_pem("agent", *asked)) is None


# Revocation lists


def test_revocation_list_is_read() -> None:
    crl = read_revocation_list(NEW.crl(revoked=[5, 0x1F]))
    assert crl is not None
    assert crl.revoked == {5, 0x1F}
    assert crl.signed_by(NEW.certificate)
    assert not crl.signed_by(OLD.certificate)


def test_revocation_list_without_entries_is_one() -> None:
    crl = read_revocation_list(NEW.crl())
    assert crl is not None
    assert crl.revoked == frozenset()


def test_revocation_list_signed_with_sha1_is_believed() -> None:
    crl = read_revocation_list(SHA1_CRL)
    assert crl is not None
    assert crl.signed_by(read(SHA1_CA))
    assert not crl.signed_by(NEW.certificate)


def test_description_tells_the_certificate_and_its_issuers_fingerprint() -> None:
    cert = read(LEAF)
    lines = describe(cert, NEW.certificate)
    assert lines == [
        "subject:     Master",
        f"issuer:      {CA_SUBJECT}, {NEW.certificate.fingerprint}",
        "serial:      0x001f",
        f"expires:     {cert.not_after:%Y-%m-%d %H:%M} UTC",
        f"fingerprint: {cert.fingerprint}",
        "alt names:   DNS:a.example.com, DNS:puppet",
    ]


def test_description_says_that_the_issuer_is_another() -> None:
    assert describe(read(LEAF), OLD.certificate)[1].endswith("not the CA on this host")


def test_description_of_nothing_is_empty() -> None:
    assert describe(None, NEW.certificate) == []


@pytest.mark.parametrize("kind", [b"\xa3", b"\xa5"], ids=["x400Address", "ediPartyName"])
def test_request_for_names_of_a_kind_that_nobody_knows_is_none(kind: bytes) -> None:
    # Anybody can leave one on a master, and all that wait there are read.
    names = x509.UnrecognizedExtension(
        x509.ObjectIdentifier("2.5.29.17"), b"\x30\x02" + kind + b"\x00"
    )
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "agent01")]))
        .add_extension(names, critical=False)
        .sign(key("agent01"), hashes.SHA256())
    )
    assert read_request(request.public_bytes(Encoding.PEM).decode()) is None


# What was made to do harm


def test_a_signature_that_cannot_be_read_is_nobodys() -> None:
    odd = read(without_parameters(NEW.issue("web01", 5)))
    assert odd.subject == "web01"
    assert odd.signature_hash is None
    assert not odd.issued_by(NEW.certificate)
    assert not read(without_parameters(NEW.pem)).is_self_signed
    assert describe(odd, NEW.certificate)


def test_nothing_is_verified_with_a_costly_key(verifications: list[object]) -> None:
    costly = read(certificate_for(CA_SUBJECT, costly_key()))
    assert not costly.is_self_signed
    assert not read(NEW.issue("web01", 5)).issued_by(costly)
    crl = read_revocation_list(NEW.crl())
    assert crl is not None and not crl.signed_by(costly)
    assert not proves("words", [bytes(384)], costly)
    assert verifications == []
    assert NEW.certificate.is_self_signed
    assert len(verifications) == 1


@pytest.mark.parametrize(
    "public",
    [costly_key(), ec.generate_private_key(ec.SECP256K1()).public_key()],
    ids=["its exponent", "its curve"],
)
def test_a_request_for_a_costly_key_is_none(
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
) -> None:
    assert read_request(request_for("web01", public)) is None
    assert read_request(request_for("web01", key("web01").public_key())) is not None


def spki(curve: ec.EllipticCurve, form: PublicFormat) -> str:
    """A public key on a curve, its point in this form; cryptography writes none compressed."""
    public = ec.generate_private_key(curve).public_key()
    whole = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    other = public.public_bytes(Encoding.X962, form)
    bits = bytes([3, len(other) + 1, 0]) + other
    algorithm = whole[: -len(point)].rpartition(b"\x03")[0][2:]
    algorithm = algorithm[1:] if whole[1] & 0x80 else algorithm
    der = bytes([0x30, len(algorithm) + len(bits)]) + algorithm + bits
    text = base64.b64encode(der).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize("curve", [ec.SECP224R1(), ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_a_point_that_is_to_be_computed_is_not_read(curve: ec.EllipticCurve) -> None:
    compressed = spki(curve, PublicFormat.CompressedPoint)
    assert load_pem_public_key(compressed.encode())
    assert read_public_key(compressed) is None
    public = ec.generate_private_key(curve).public_key()
    whole = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    assert read_public_key(whole) is not None


def test_nor_is_one_in_a_certificate_or_behind_another() -> None:
    signer = ec.generate_private_key(ec.SECP224R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "web01")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signer.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2015, 1, 1))
        .not_valid_after(datetime(2065, 1, 1))
    )
    made = builder.sign(signer, hashes.SHA256())
    assert read_certificate(made.public_bytes(Encoding.PEM).decode()) is not None
    point = signer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    der = made.public_bytes(Encoding.DER)
    assert der.count(point) == 1
    # Not a point on the curve any more, but nobody is to compute that.
    forged = der.replace(point, b"\x02" + point[1:])
    text = base64.b64encode(forged).decode()
    pem = f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
    assert x509.load_pem_x509_certificate(pem.encode())
    assert read_certificate(pem) is None


def test_which_keys_are_worth_the_time() -> None:
    def rsa_key(bits: int, exponent: int) -> rsa.RSAPublicKey:
        return rsa.RSAPublicNumbers(exponent, (1 << (bits - 1)) + 1).public_key()

    assert is_affordable(rsa_key(LONGEST_RSA_KEY, 65537))
    assert not is_affordable(rsa_key(LONGEST_RSA_KEY + 8, 65537))
    assert not is_affordable(rsa_key(2048, LARGEST_EXPONENT + 1))
    assert is_affordable(ec.generate_private_key(ec.SECP384R1()).public_key())
    assert not is_affordable(ec.generate_private_key(ec.BrainpoolP512R1()).public_key())
    assert not is_affordable(None)
