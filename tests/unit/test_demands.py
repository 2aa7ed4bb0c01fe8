"""What a request asks for beyond what its node's certificate had waits for a person."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as some

from recert.ca_records import Autosign, Autosigning, CaRecords
from recert.certificates import read_request
from recert.deployments.authority import PUPPET_CERT
from recert.signing import (
    Application,
    Verdict,
    another_key_refusals,
    judge,
    more_than_judged,
)
from tests.unit.issuing_ca import (
    NEW,
    OLD,
    key,
    key_digest,
    puppets_extension,
    read,
    read_csr,
    request_pem,
)

NAME = "agent01.example.com"
ROLE = puppets_extension("puppet::master")
KEY_USAGE = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
PLAIN_USAGE = x509.KeyUsage(True, False, True, False, False, False, False, False, False)
ANOTHER_ARC = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"x")
ASKED: dict[str, tuple[x509.ExtensionType, str]] = {
    "a role": (ROLE, "pp_role = 'puppet::master'"),
    "a bare role": (puppets_extension("puppet::master", bare=True), "pp_role = 'puppet::master'"),
    "an authorization": (puppets_extension("true", "3.1"), "pp_authorization = 'true'"),
    "a number of Puppet's": (puppets_extension("x", "2.99"), "1.3.6.1.4.1.34380.1.2.99 = 'x'"),
    "another arc": (ANOTHER_ARC, "1.3.6.1.4.1.99999.1 = 'x'"),
    "no text": (
        x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.34380.1.1.1"), b"\xff\x00"),
        "pp_uuid = 0xff00",
    ),
    "to be a CA": (x509.BasicConstraints(ca=True, path_length=None), "basicConstraints = <"),
    "to sign certificates": (KEY_USAGE, "keyUsage = <KeyUsage(digital_signature=True"),
    "to be a server": (
        x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]),
        "extendedKeyUsage = <",
    ),
    "a long one": (puppets_extension("r" * 200), f"pp_role = '{'r' * 200}'"),
    "an escape": (puppets_extension("\x1b[2J"), r"pp_role = '\x1b[2J'"),
}


def judged(
    *asked: x509.ExtensionType,
    had: tuple[x509.ExtensionType, ...] = (),
    names: tuple[str, ...] = (),
    had_names: tuple[str, ...] = (),
    kept: bool = True,
    approved: str = "",
) -> tuple[Verdict, str]:
    """On a request that asks for these, of a node whose certificate had those.

    :param approved: the fingerprint of a request that somebody has looked at.
    """
    pem = request_pem(NAME, names, extensions=asked)
    former = read(OLD.issue(NAME, 5, had_names, extensions=had))
    own = read_csr(pem) if kept else None
    application = Application(
        NAME, key_digest(NAME), own, former.alt_names, previous_demands=former.demands
    )
    held = CaRecords(
        PUPPET_CERT, NEW.certificate, NEW.crl(), {NAME: pem}, approved=frozenset({approved})
    )
    found = judge(application, held)
    return found.verdict, found.why


def approving(*asked: x509.ExtensionType, names: tuple[str, ...] = ()) -> str:
    """What somebody adds who has looked at such a request."""
    digest = read_csr(request_pem(NAME, names, extensions=asked)).digest
    return f"--data approved_requests={digest}"


@pytest.mark.parametrize("kept", [True, False], ids=["own file", "no file"])
@pytest.mark.parametrize("kind", ASKED)
def test_what_was_not_there_before_waits_for_a_person(kind: str, kept: bool) -> None:
    asked, shown = ASKED[kind]
    verdict, why = judged(asked, kept=kept)
    assert verdict is Verdict.EXTENSIONS
    assert shown in why
    assert why.endswith(f"add {approving(asked)}, and this request is signed as it is")
    assert why.isprintable()
    fingerprint = read_csr(request_pem(NAME, extensions=[asked])).digest
    assert judged(asked, kept=kept, approved=fingerprint)[0] is Verdict.SIGN
    # Another one is not what somebody has looked at.
    another = judged(asked, names=("db",), kept=kept, approved=fingerprint)[0]
    assert another is Verdict.EXTENSIONS


@pytest.mark.parametrize("kind", ASKED)
def test_what_was_there_before_is_signed(kind: str) -> None:
    asked, _ = ASKED[kind]
    others = [] if isinstance(asked, x509.KeyUsage) else [PLAIN_USAGE]
    assert judged(asked, had=(asked, *others))[0] is Verdict.SIGN


def test_another_value_is_not_what_was_there_before() -> None:
    was = puppets_extension("webserver")
    verdict, why = judged(ROLE, had=(was,))
    assert verdict is Verdict.EXTENSIONS
    assert "it had pp_role = 'webserver'" in why
    number = puppets_extension("puppet::master", "1.12")
    assert judged(ROLE, had=(number,))[0] is Verdict.EXTENSIONS


def test_the_same_value_as_either_puppet_writes_it() -> None:
    assert judged(ROLE, had=(puppets_extension("puppet::master", bare=True),))[0] is Verdict.SIGN
    assert judged(puppets_extension("puppet::master", bare=True), had=(ROLE,))[0] is Verdict.SIGN


def test_alt_names_beside_it_are_judged_too() -> None:
    verdict, why = judged(ROLE, names=("web",), had_names=("web",))
    assert verdict is Verdict.EXTENSIONS
    assert f"add {approving(ROLE, names=('web',))}, and" in why
    fingerprint = read_csr(request_pem(NAME, ["web"], extensions=[ROLE])).digest
    approved = judged(ROLE, names=("web",), had_names=("web",), approved=fingerprint)
    assert approved == (Verdict.SIGN_WITH_ALT_NAMES, "")
    verdict, why = judged(ROLE, names=("puppet",))
    assert verdict is Verdict.EXTENSIONS
    assert "the alt names puppet" in why and "pp_role" in why
    assert judged(ROLE, names=("web",), had_names=("web",), had=(ROLE,))[0] is (
        Verdict.SIGN_WITH_ALT_NAMES
    )


def test_a_request_that_asks_for_nothing_is_signed() -> None:
    assert judged()[0] is Verdict.SIGN
    assert judged(had=(ROLE, KEY_USAGE))[0] is Verdict.SIGN
    assert not read_csr(request_pem(NAME, [NAME])).asks_for_more
    assert read_csr(request_pem(NAME, ["puppet"])).asks_for_more
    assert read_csr(request_pem(NAME, extensions=[ROLE])).asks_for_more


def test_an_attribute_that_is_in_no_certificate_does_not_matter() -> None:
    plain = x509.load_pem_x509_csr(request_pem(NAME).encode())
    assert not list(plain.attributes)
    # A challenge password, by which some sites sign by themselves.
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(plain.subject)
        .add_attribute(x509.oid.AttributeOID.CHALLENGE_PASSWORD, b"secret")
        .sign(key(NAME), hashes.SHA256())
    )
    request = read_request(made.public_bytes(Encoding.PEM).decode())
    assert request is not None and not request.asks_for_more


# What has been signed in the end


@pytest.mark.parametrize(
    ("names", "extensions", "more"),
    [
        ((), (), False),
        ((NAME,), (PLAIN_USAGE,), False),
        (("web",), (ROLE,), False),
        (("puppet",), (), True),
        ((), (puppets_extension("another"),), True),
        ((), (ANOTHER_ARC,), True),
        ((), (x509.BasicConstraints(ca=True, path_length=0),), True),
        ((), (x509.BasicConstraints(ca=False, path_length=None),), False),
        ((), (KEY_USAGE,), True),
    ],
)
def test_a_certificate_that_says_more_than_was_judged_is_recognised(
    names: tuple[str, ...], extensions: tuple[x509.ExtensionType, ...], more: bool
) -> None:
    former = read(OLD.issue(NAME, 5, ["web"], extensions=[ROLE]))
    own = read_csr(request_pem(NAME))
    application = Application(NAME, own.key, own, former.alt_names, previous_demands=former.demands)
    cert = read(NEW.issue(NAME, 9, names, extensions=extensions))
    held = {NAME: request_pem(NAME, names, extensions=extensions)}
    records = CaRecords(PUPPET_CERT, NEW.certificate, NEW.crl(), held)
    assert bool(more_than_judged(cert, application, records)) is more
    # Somebody has looked at that very request.
    approved = frozenset({read_csr(held[NAME]).digest})
    records = CaRecords(PUPPET_CERT, NEW.certificate, NEW.crl(), held, approved=approved)
    assert not more_than_judged(cert, application, records)
    other = read(NEW.issue(NAME, 9, ["swapped"], extensions=extensions))
    assert more_than_judged(other, application, records)


def signed_before(
    cert: str, autosign: Autosign, former: str | None = None, approved: str | None = None
) -> Verdict:
    """On an agent for whose key the master has signed something already."""
    own, before = read_csr(request_pem(NAME)), read(former) if former is not None else None
    records = CaRecords(
        PUPPET_CERT,
        NEW.certificate,
        NEW.crl(),
        signed={NAME: cert},
        autosign=autosign,
        approved=frozenset({read(approved).fingerprint} if approved else ()),
    )
    application = Application(NAME, own.key, own, frozenset(), former=before)
    return judge(application, records.with_signed({})).verdict


@pytest.mark.parametrize(
    ("autosign", "unseen"),
    [
        (Autosign(), False),
        (Autosign(Autosigning.ALL), True),
        (Autosign(Autosigning.POLICY), True),
        (Autosign(Autosigning.LISTED, ("*.example.com",)), True),
        (Autosign(Autosigning.LISTED, ("other",)), False),
    ],
)
def test_what_a_master_has_signed_by_itself_waits_for_a_person(
    autosign: Autosign, unseen: bool
) -> None:
    """Where it does not, somebody has typed `puppet cert sign`."""
    forged, plain = NEW.issue(NAME, 9, extensions=[ROLE]), OLD.issue(NAME, 5)
    expected = Verdict.UNSEEN if unseen else Verdict.SIGNED
    assert signed_before(forged, autosign, plain) is expected
    assert signed_before(forged, autosign, plain, approved=NEW.issue(NAME, 8)) is expected
    assert signed_before(forged, autosign, plain, approved=forged) is Verdict.SIGNED


def test_what_is_not_more_than_before_or_cannot_be_compared_waits_for_nobody() -> None:
    forged, by_itself = NEW.issue(NAME, 9, extensions=[ROLE]), Autosign(Autosigning.ALL)
    assert signed_before(forged, by_itself) is Verdict.SIGNED
    assert signed_before(forged, by_itself, OLD.issue(NAME, 5, extensions=[ROLE])) is Verdict.SIGNED
    assert signed_before(NEW.issue(NAME, 9, [NAME]), by_itself, OLD.issue(NAME, 5)) is (
        Verdict.SIGNED
    )
    # With alternative names no master signs by itself.
    named = NEW.issue(NAME, 9, ["web"], extensions=[ROLE])
    assert signed_before(named, by_itself, OLD.issue(NAME, 5)) is Verdict.SIGNED


@given(some.binary(max_size=300), some.integers(0, 40), some.integers(0, 200))
def test_whatever_a_request_asks_for_is_decided(value: bytes, arc: int, number: int) -> None:
    oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.34380.{arc}.{number}")
    verdict, why = judged(x509.UnrecognizedExtension(oid, value))
    assert verdict is Verdict.EXTENSIONS
    assert why.isprintable()


def test_a_record_of_another_key_is_no_measure_of_a_node() -> None:
    own = read(OLD.issue(NAME, 5))

    def refused(former: str | None, key: str | None = own.key) -> list[str]:
        record = None if former is None else read(former)
        return another_key_refusals(own, key, record, PUPPET_CERT)

    forged = OLD.issue(NAME, 6, key="another", extensions=[ROLE])
    (why,) = refused(forged)
    assert "pp_role" in why and why.endswith(f"puppet cert clean -- {NAME}")
    # It says no more than the node's own; is of its key; or the node has none to compare with.
    assert refused(OLD.issue(NAME, 6, key="another")) == []
    assert refused(OLD.issue(NAME, 6, extensions=[ROLE])) == []
    assert refused(None) == refused(forged, key=None) == refused(forged, key="new") == []
