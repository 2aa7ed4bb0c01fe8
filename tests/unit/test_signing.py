"""Which requests are signed: the agent's own, and nobody else's."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from recert.ca_records import Autosign, Autosigning, CaRecords
from recert.deployments.authority import PUPPET_CERT
from recert.extensions import ARC
from recert.signing import (
    Application,
    Verdict,
    certified,
    conflict_at_ca,
    foreign_request,
    judge,
)
from tests.unit.issuing_ca import (
    CERTNAME,
    NEW,
    OLD,
    IssuingCa,
    key_digest,
    read,
    read_csr,
    request_pem,
)

NAME = "agent01.example.com"
OWN = request_pem(NAME)
FOREIGN = request_pem(NAME, key="attacker")
CERT = NEW.issue(NAME, 7)
CSRDIR = "/ssl/ca/requests"
OLD_CA_CERT = OLD.issue(NAME, 7)

ADDRESS = x509.IPAddress(ip_address("192.0.2.1"))


def ca_records(
    requests: dict[str, str] | None = None,
    signed: dict[str, str] | None = None,
    revoked: tuple[int, ...] = (),
    retired: tuple[str, ...] = (),
    autosign: Autosign | None = None,
) -> CaRecords:
    fingerprints = frozenset(read(pem).fingerprint for pem in retired)
    crl = NEW.crl(revoked)
    return CaRecords(
        PUPPET_CERT, NEW.certificate, crl, requests, signed, autosign, CSRDIR, fingerprints
    )


def application(pem: str = OWN, had: tuple[str, ...] = (), name: str = NAME) -> Application:
    request = read_csr(pem)
    return Application(name, request.key, request, frozenset(had))


def verdict(held: str | None, own: str = OWN, had: tuple[str, ...] = ()) -> Verdict:
    """On an agent's application if the master holds that request under its name."""
    requests = {} if held is None else {NAME: held}
    return judge(application(own, had), ca_records(requests)).verdict


# The request that the agent itself has made


def test_own_request_is_signed() -> None:
    assert verdict(held=OWN) is Verdict.SIGN


def test_verdict_to_sign_says_nothing() -> None:
    assert judge(application(), ca_records({NAME: OWN})).why == ""


def test_text_around_the_request_does_not_make_it_another() -> None:
    assert verdict(held=f"Certificate Request:\n{OWN}\n") is Verdict.SIGN


def test_request_that_the_master_does_not_have_is_not_signed() -> None:
    found = judge(application(), ca_records({"other": OWN}))
    assert found.verdict is Verdict.UNKNOWN
    assert NAME in found.why


# Somebody else's request under the agent's name


def test_request_with_somebody_elses_key_is_not_signed() -> None:
    found = judge(application(), ca_records({NAME: FOREIGN}))
    assert found.verdict is Verdict.FOREIGN
    for part in (NAME, read_csr(FOREIGN).digest, f"{CSRDIR}/{NAME}.pem", "not this agent's"):
        assert part in found.why


@pytest.mark.parametrize(
    "held",
    [
        request_pem(NAME, ["puppet"]),
        request_pem(NAME, [NAME]),
        request_pem(NAME, others=[ADDRESS]),
        request_pem("other.example.com", key=NAME),
        request_pem(CERTNAME, key=NAME),
    ],
    ids=["alt name", "its own alt name", "address", "another subject", "the master's subject"],
)
def test_another_request_for_the_agents_key_is_not_signed(held: str) -> None:
    assert read_csr(held).key == read_csr(OWN).key
    found = judge(application(), ca_records({NAME: held}))
    assert found.verdict is Verdict.ANOTHER
    assert read_csr(held).digest in found.why


def test_another_request_with_alt_names_that_the_agent_had_is_not_signed() -> None:
    assert verdict(held=request_pem(NAME, ["puppet"]), had=("puppet",)) is Verdict.ANOTHER


def test_request_that_the_agent_sent_without_the_alt_names_of_its_file_is_not_signed() -> None:
    assert verdict(held=OWN, own=request_pem(NAME, ["puppet"])) is Verdict.ANOTHER


@pytest.mark.parametrize("held", ["", "garbage", OWN[:300], CERT], ids=range(4))
def test_what_is_no_request_is_not_signed(held: str) -> None:
    found = judge(application(), ca_records({NAME: held}))
    assert found.verdict is Verdict.FOREIGN
    assert f"{CSRDIR}/{NAME}.pem" in found.why


# Alternative names


@pytest.mark.parametrize(
    ("asked", "had"),
    [
        (["puppet"], ["puppet"]),
        (["puppet", NAME], ["puppet"]),
        (["puppet"], ["puppet", NAME]),
        (["Puppet"], ["puppet"]),
        (["b", "a"], ["a", "b"]),
    ],
)
def test_alt_names_that_the_agent_had_are_signed(asked: list[str], had: list[str]) -> None:
    pem = request_pem(NAME, asked)
    assert verdict(pem, pem, tuple(had)) is Verdict.SIGN_WITH_ALT_NAMES


@pytest.mark.parametrize("had", [[], [NAME], ["puppet"]])
def test_request_with_no_name_but_its_own_is_signed_as_one_without(had: list[str]) -> None:
    for pem in (OWN, request_pem(NAME, [NAME]), request_pem(NAME, [NAME.upper()])):
        assert verdict(pem, pem, tuple(had)) is Verdict.SIGN


@pytest.mark.parametrize(
    ("asked", "had"),
    [
        (["puppet"], []),
        (["puppet"], [NAME]),
        (["puppet", "web"], ["web"]),
        (["web"], ["web", "puppet"]),
        (["puppet"], ["web"]),
        ([CERTNAME], ["web"]),
        (["*"], []),
        (["*.example.com"], ["web.example.com"]),
        (["web", "web.example.com"], ["web"]),
    ],
)
def test_other_alt_names_wait_for_a_person(asked: list[str], had: list[str]) -> None:
    pem = request_pem(NAME, asked)
    assert verdict(pem, pem, tuple(had)) is Verdict.ALT_NAMES


def test_alternative_names_of_other_kinds_wait_for_a_person() -> None:
    for names in ([], ["web"]):
        pem = request_pem(NAME, names, others=[ADDRESS])
        assert verdict(pem, pem, ("web",)) is Verdict.ALT_NAMES


def test_address_is_not_made_good_by_a_dns_name_that_reads_like_one() -> None:
    pem = request_pem(NAME, others=[ADDRESS])
    assert verdict(pem, pem, ("ipaddress:192.0.2.1",)) is Verdict.ALT_NAMES


def test_who_waits_is_told_both_lists_of_names_and_what_to_run() -> None:
    pem = request_pem(NAME, ["web", "puppet", NAME])
    found = judge(application(pem, ("db", "a", NAME)), ca_records({NAME: pem}))
    assert "the alt names puppet, web. It may have a, db: what" in found.why
    assert f"add --data approved_requests={read_csr(pem).digest}, and" in found.why


def test_who_waits_and_had_no_alt_names_is_told_so() -> None:
    pem = request_pem(NAME, ["puppet"])
    assert "It may have none: what" in judge(application(pem, (NAME,)), ca_records({NAME: pem})).why


# The names that an agent had


FORMER = NEW.issue(NAME, 5, ["web", NAME])
THEIRS = [
    OLD.issue(NAME, 6, ["puppet"]),
    OLD.issue(CERTNAME, 2, ["puppet"], key=NAME),
    NEW.issue(CERTNAME, 2, ["puppet"]),
    IssuingCa("attacker").issue(NAME, 5, ["puppet"]),
]


def alt_names(*pems: str, ca: IssuingCa = NEW) -> frozenset[str]:
    found = certified(NAME, map(read, pems), ca.certificate)
    return found.alt_names if found is not None else frozenset()


def test_agent_had_the_names_of_its_certificate() -> None:
    assert alt_names(FORMER) == {"web", NAME}


def test_agent_had_the_names_of_its_newest_certificate() -> None:
    assert alt_names(NEW.issue(NAME, 8, ["newer"]), FORMER) == {"newer"}
    assert alt_names(NEW.issue(NAME, 9), FORMER) == frozenset()


@pytest.mark.parametrize("pem", THEIRS, ids=["another CA", "the master's", "alike", "its own"])
def test_names_of_what_is_not_its_certificate_are_not_believed(pem: str) -> None:
    assert alt_names(pem) == frozenset()
    assert alt_names(pem, FORMER) == {"web", NAME}


def test_without_a_certificate_it_had_no_names() -> None:
    assert alt_names() == frozenset()
    assert alt_names(FORMER, ca=OLD) == frozenset()


# What the CA has signed already


def test_request_whose_certificate_is_there_needs_no_signature() -> None:
    assert judge(application(), ca_records(signed={NAME: CERT})).verdict is Verdict.SIGNED


def test_certificate_for_another_key_is_in_the_way() -> None:
    theirs = NEW.issue(NAME, 8, key="attacker")
    for requests in ({}, {NAME: OWN}):
        found = judge(application(), ca_records(requests, {NAME: theirs}))
        assert found.verdict is Verdict.ANOTHER
        assert read(theirs).fingerprint in found.why
        assert f"`puppet cert clean -- {NAME}`" in found.why


@pytest.mark.parametrize("key", [NAME, "attacker"])
@pytest.mark.parametrize("worth", ["of another CA", "revoked", "to be retired", "garbage"])
def test_certificate_that_is_worth_nothing_is_not_in_the_way(key: str, worth: str) -> None:
    pem = NEW.issue(NAME, 9, key=key)
    if worth == "of another CA":
        pem = OLD.issue(NAME, 9, key=key)
    held = ca_records(
        {NAME: OWN},
        {NAME: "garbage" if worth == "garbage" else pem},
        revoked=(9,) if worth == "revoked" else (),
        retired=(pem,) if worth == "to be retired" else (),
    )
    assert judge(application(), held).verdict is Verdict.SIGN


# What stands in the way of a name, before any request


KEY = key_digest(NAME)


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "its key"])
def test_nothing_stands_in_the_way_of_a_free_name(key: str | None) -> None:
    others = {"other": FOREIGN}
    held = ca_records(others, {"other": NEW.issue("other", 5)}, revoked=(1,))
    assert conflict_at_ca(NAME, key, held) is None


def test_own_request_and_own_certificate_do_not_stand_in_the_way() -> None:
    assert conflict_at_ca(NAME, KEY, ca_records({NAME: OWN})) is None
    assert conflict_at_ca(NAME, KEY, ca_records({NAME: FOREIGN}, {NAME: CERT})) is None


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "its key"])
def test_anothers_certificate_and_request_stand_in_the_way(key: str | None) -> None:
    theirs = NEW.issue(NAME, 8, key="attacker")
    cert_in_the_way = conflict_at_ca(NAME, key, ca_records({NAME: OWN}, {NAME: theirs}))
    assert cert_in_the_way is not None and read(theirs).fingerprint in cert_in_the_way
    held = ca_records({NAME: FOREIGN})
    assert conflict_at_ca(NAME, key, held) is None
    assert foreign_request(NAME, key, held) == read_csr(FOREIGN).digest
    assert foreign_request(NAME, key, ca_records({NAME: ""})) == "no request at all"
    assert foreign_request(NAME, key, ca_records({"other": FOREIGN})) is None
    assert foreign_request(NAME, key, ca_records({NAME: OWN})) == (
        read_csr(OWN).digest if key is None else None
    )


def test_what_was_of_the_agents_old_key_stands_in_the_way_of_its_new_one() -> None:
    """Whoever has the old key can submit the very request that the agent once made."""
    assert foreign_request(NAME, None, ca_records({NAME: OWN})) is not None
    assert conflict_at_ca(NAME, None, ca_records(signed={NAME: CERT})) is not None


def test_revoked_certificate_that_is_still_there_stands_in_the_way() -> None:
    found = conflict_at_ca(NAME, None, ca_records(signed={NAME: CERT}, revoked=(7,)))
    assert found is not None and f"clean -- {NAME}`" in found


def test_certificate_to_be_retired_does_not_stand_in_the_way() -> None:
    assert conflict_at_ca(NAME, None, ca_records(signed={NAME: CERT}, retired=(CERT,))) is None


def test_request_that_only_the_master_has_is_signed_if_the_agents_key_made_it() -> None:
    key = read_csr(OWN).key
    lost = Application(NAME, key, None, frozenset())
    assert judge(lost, ca_records({NAME: OWN})).verdict is Verdict.SIGN
    assert judge(lost, ca_records({NAME: FOREIGN})).verdict is Verdict.FOREIGN
    der = x509.load_pem_x509_csr(OWN.encode()).public_bytes(Encoding.DER)
    copied = x509.load_der_x509_csr(der[:-1] + bytes([der[-1] ^ 1]))
    forged = copied.public_bytes(Encoding.PEM).decode()
    assert not read_csr(forged).by_its_key
    assert judge(lost, ca_records({NAME: forged})).verdict is Verdict.ANOTHER
    assert judge(lost, ca_records()).verdict is Verdict.UNKNOWN


def test_request_for_another_name_is_not_signed() -> None:
    other = request_pem("other.example.com", key=NAME)
    found = judge(application(other), ca_records({NAME: other}))
    assert found.verdict is Verdict.ANOTHER and "other.example.com" in found.why


# The CA


def test_signed_certificate_is_known_by_its_name() -> None:
    held = ca_records(signed={NAME: CERT})
    assert held.signed(NAME) == read(CERT)
    assert held.signed("other") is None


def test_without_a_ca_nothing_is_signed() -> None:
    held = CaRecords(PUPPET_CERT, None, signed={NAME: CERT}, requests={NAME: OWN})
    assert held.signed(NAME) is None
    assert held.ever_signed(NAME) == read(CERT)


@pytest.mark.parametrize(
    "held",
    [
        ca_records(signed={NAME: OLD_CA_CERT}),
        ca_records(signed={NAME: CERT}, revoked=(6, 7)),
        ca_records(signed={NAME: CERT}, retired=(CERT,)),
    ],
    ids=["another CA's", "revoked", "to be retired"],
)
def test_certificate_that_is_worth_nothing_is_none_and_was_signed_once(held: CaRecords) -> None:
    assert held.signed(NAME) is None
    assert held.ever_signed(NAME) is not None


def test_what_others_have_revoked_or_retired_does_not_matter() -> None:
    other = NEW.issue("other", 8)
    held = ca_records(signed={NAME: CERT, "other": other}, revoked=(8,), retired=(other,))
    assert held.signed(NAME) == read(CERT)


@pytest.mark.parametrize("crl", ["", "garbage"])
def test_without_a_readable_revocation_list_nothing_is_revoked(crl: str) -> None:
    assert CaRecords(PUPPET_CERT, NEW.certificate, crl).revoked == frozenset()


def test_revoked_serial_numbers() -> None:
    assert ca_records(revoked=(3, 9)).revoked == {3, 9}


def test_names_whose_certificates_are_to_be_retired() -> None:
    certs = {name: NEW.issue(name, serial) for serial, name in enumerate(("c", "a", "b"), 20)}
    held = ca_records(signed={**certs, "garbage": ""}, retired=(certs["c"], certs["a"], CERT))
    assert held.retired_names == ["a", "c"]


def test_revoked_certificate_that_is_still_there_is_to_be_retired() -> None:
    """It was interrupted between revoking and cleaning."""
    held = ca_records(signed={NAME: CERT}, revoked=(7,), retired=(CERT,))
    assert held.retired_names == [NAME]


def test_no_name_is_retired_unless_named() -> None:
    assert ca_records(signed={NAME: CERT}).retired_names == []


def test_names_that_wait_are_sorted() -> None:
    assert ca_records({"b": "", "a": OWN, "c": OWN}).requesting == ["a", "b", "c"]


def test_request_is_read_and_kept_as_it_is() -> None:
    held = ca_records({NAME: f"text\n{OWN}", "garbage": "x"})
    assert held.request(NAME) == read_csr(OWN)
    assert held.request_pem(NAME) == f"text\n{OWN}"
    assert (held.request("garbage"), held.request_pem("garbage")) == (None, "x")
    assert (held.request("other"), held.request_pem("other")) == (None, None)


# After it has signed


def test_who_was_signed_waits_no_more_and_is_signed() -> None:
    other = request_pem("other")
    before = ca_records({NAME: OWN, "other": other}, {"first": NEW.issue("first", 5)})
    after = before.with_signed({NAME: CERT})
    assert after.requesting == ["other"]
    assert after.signed(NAME) == read(CERT)
    assert after.signed("first") is not None
    assert before.requesting == [NAME, "other"]
    assert before.signed(NAME) is None


def test_new_certificate_takes_the_old_ones_place() -> None:
    again = NEW.issue(NAME, 70, key="new")
    assert ca_records(signed={NAME: CERT}).with_signed({NAME: again}).signed(NAME) == read(again)


def test_everything_else_is_as_it_was() -> None:
    other = NEW.issue("other", 9)
    before = ca_records({}, {NAME: CERT}, (7,), (other,), Autosign(Autosigning.ALL))
    after = before.with_signed({"other": other})
    assert (after.ca, after.revoked, after.retired) == (before.ca, before.revoked, before.retired)
    assert (after.autosign, after.csrdir) == (before.autosign, CSRDIR)
    assert after.signed(NAME) is None
    assert after.signed("other") is None
    assert after.retired_names == ["other"]


# Keys


def test_key_of_a_request_or_a_certificate_is_known_under_its_name_only() -> None:
    for held in (ca_records({NAME: OWN}), ca_records(signed={NAME: CERT})):
        assert held.knows_key(NAME, KEY)
        assert not held.knows_key(NAME, key_digest("attacker"))
        assert not held.knows_key("other", KEY)


def test_request_beside_a_certificate_makes_no_key_known() -> None:
    held = ca_records({NAME: FOREIGN}, {NAME: CERT})
    assert not held.knows_key(NAME, key_digest("attacker"))
    assert held.knows_key(NAME, KEY)


@pytest.mark.parametrize(
    "held",
    [
        ca_records(),
        ca_records({NAME: ""}, {NAME: ""}),
        ca_records(signed={NAME: OLD_CA_CERT}),
        ca_records(signed={NAME: CERT}, revoked=(7,)),
        ca_records(signed={NAME: CERT}, retired=(CERT,)),
    ],
    ids=["nothing", "garbage", "another CA's", "revoked", "to be retired"],
)
def test_key_of_nothing_that_is_worth_anything_is_not_known(held: CaRecords) -> None:
    assert not held.knows_key(NAME, KEY)


# A master that signs by itself


@pytest.mark.parametrize(
    ("kind", "patterns", "accepted"),
    [
        (Autosigning.OFF, (), False),
        (Autosigning.OFF, ("*",), False),
        (Autosigning.ALL, (), True),
        (Autosigning.POLICY, (), False),
        (Autosigning.POLICY, (NAME,), False),
        (Autosigning.LISTED, (), False),
        (Autosigning.LISTED, (NAME,), True),
        (Autosigning.LISTED, ("other", NAME.upper()), True),
        (Autosigning.LISTED, ("*.example.com",), True),
        (Autosigning.LISTED, ("*.Example.COM",), True),
        (Autosigning.LISTED, ("*",), True),
        (Autosigning.LISTED, ("other", "*.example.org"), False),
        (Autosigning.LISTED, ("example.com",), False),
        (Autosigning.LISTED, ("agent01",), False),
        (Autosigning.LISTED, (f"x{NAME}",), False),
        (Autosigning.LISTED, ("*.agent01.example.com",), False),
    ],
)
def test_who_is_signed_without_asking(
    kind: Autosigning, patterns: tuple[str, ...], accepted: bool
) -> None:
    assert Autosign(kind, patterns).accepts(NAME) is accepted


def test_master_signs_nothing_by_itself_unless_told() -> None:
    assert Autosign().kind is Autosigning.OFF
    assert CaRecords(PUPPET_CERT, None).autosign == Autosign()


def test_a_request_that_lacks_an_extension_of_the_old_certificate_is_not_signed() -> None:
    had = frozenset({(f"{ARC}.1.13", "web")})
    judgement = judge(replace(application(), previous_extensions=had), ca_records({NAME: OWN}))
    assert judgement.verdict is Verdict.LESS
    assert "lacks the extensions pp_role=web" in judgement.why
    assert f"{CSRDIR}/{NAME}.pem" in judgement.why
    assert f"add --data approved_requests={read_csr(OWN).digest}, and" in judgement.why
    held = CaRecords(
        PUPPET_CERT,
        NEW.certificate,
        requests={NAME: OWN},
        approved=frozenset({read_csr(OWN).digest}),
    )
    assert judge(replace(application(), previous_extensions=had), held).verdict is Verdict.SIGN


def test_nor_is_one_that_lacks_a_name_of_it() -> None:
    kept = frozenset({"www.example.com", "shop.example.com"})
    judgement = judge(replace(application(), kept_alt_names=kept), ca_records({NAME: OWN}))
    assert judgement.verdict is Verdict.LESS
    assert "lacks the alternative names shop.example.com, www.example.com of" in judgement.why
    whole = request_pem(NAME, [NAME, *kept])
    asked = replace(application(whole, tuple(kept)), kept_alt_names=kept)
    assert judge(asked, ca_records({NAME: whole})).verdict is Verdict.SIGN_WITH_ALT_NAMES
