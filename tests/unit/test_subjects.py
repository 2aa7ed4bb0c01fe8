"""A subject is the one name of its holder: whatever says more, or says it in another way, is never
signed, believed or called fresh. Ruby's TLS takes a server for each CN that its certificate has."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as some

from facts.signing import CaInventory
from recert.ca_records import CaRecords
from recert.certificates import read_certificate, read_request
from recert.deployments.authority import PUPPET_CERT
from recert.errors import RecertError
from recert.nodes import nodes_of_ca
from recert.observed import Orchestration
from recert.report import Result, Severity, Standing
from recert.settings import check_certname
from recert.signing import (
    Application,
    Verdict,
    certified,
    conflict_at_ca,
    judge,
)
from recert.verification import About, Evidence, verify
from tests.unit.agent import AGENT, CSRDIR, SERIAL, Agent, agent
from tests.unit.issuing_ca import (
    CERTNAME,
    NEW,
    SSLDIR,
    key_digest,
    master,
    odd_subjects,
    read,
    read_csr,
    request_pem,
)
from tests.unit.looks import look_at_agent, look_at_master, site, with_file
from tests.unit.records import printed

pytestmark = pytest.mark.filterwarnings("ignore:Attribute's length")

ODD = odd_subjects(AGENT, "puppet", CERTNAME)
OF_THE_MASTER = odd_subjects(CERTNAME, "puppet")
every_oddity = pytest.mark.parametrize("oddity", ODD)


def odd_cert(oddity: str) -> str:
    return NEW.issue(ODD[oddity], SERIAL, key=AGENT)


# How a subject is read


def test_a_subject_of_one_name_is_that_name() -> None:
    for kind in ("UTF8String", "PrintableString", "IA5String"):
        value = x509.NameAttribute(
            x509.NameOID.COMMON_NAME, AGENT, getattr(x509.name._ASN1Type, kind)
        )
        assert read(NEW.issue(x509.Name([value]), 9)).subject == AGENT
        assert read_csr(request_pem(x509.Name([value]))).subject == AGENT


@pytest.mark.parametrize("length", [63, 64, 127, 128, 200, 253])
def test_however_long_it_is(length: int) -> None:
    name = "a" * length
    value = x509.NameAttribute(x509.NameOID.COMMON_NAME, name, _validate=False)
    assert read(NEW.issue(x509.Name([value]), 9)).subject == name


@every_oddity
def test_an_odd_subject_is_nobodys_certname(oddity: str) -> None:
    cert, request = read_certificate(odd_cert(oddity)), read_request(request_pem(ODD[oddity]))
    for found in (cert, request):
        if found is None:
            continue  # that nobody can read it will do as well
        assert found.subject != AGENT
        if len(ODD[oddity].rdns) != 1 or len(ODD[oddity].rdns[0]) != 1:
            assert found.subject.startswith("/")
            with pytest.raises(RecertError):
                check_certname(found.subject)
        assert found.subject.isprintable()


def test_every_name_of_an_odd_subject_is_shown() -> None:
    subject = read(odd_cert("other names after it")).subject
    assert subject == f"/CN={AGENT}/CN=puppet/CN={CERTNAME}"
    together = read(odd_cert("several in one RDN")).subject
    assert sorted(together.removeprefix("/").split("+")) == sorted(
        f"CN={name}" for name in (AGENT, "puppet", CERTNAME)
    )


attributes = some.builds(
    lambda oid, value, kind: x509.NameAttribute(oid, value, kind, _validate=False),
    some.sampled_from([x509.NameOID.COMMON_NAME] * 3 + [x509.NameOID.LOCALITY_NAME]),
    some.sampled_from([AGENT, "puppet", CERTNAME]) | some.text(max_size=8),
    some.sampled_from([x509.name._ASN1Type.UTF8String, x509.name._ASN1Type.BMPString]),
)
rdns = some.lists(attributes, min_size=1, max_size=3, unique_by=lambda a: (a.oid, a.value))
subjects = some.lists(rdns.map(x509.RelativeDistinguishedName), max_size=4).map(x509.Name)


@given(subjects)
def test_no_subject_but_the_plain_one_reads_as_a_certname(subject: x509.Name) -> None:
    cert = read_certificate(_issued(subject))
    if cert is None:
        return
    try:
        name = check_certname(cert.subject)
    except RecertError:
        return
    plain = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name, _validate=False)])
    assert subject.public_bytes() == plain.public_bytes()


def _issued(subject: x509.Name) -> str:
    try:
        return NEW.issue(subject, SERIAL, key=AGENT)
    except ValueError:
        return ""  # not even this library makes such a one


# What is signed


@every_oddity
def test_a_request_for_an_odd_subject_is_not_signed(oddity: str) -> None:
    pem = request_pem(ODD[oddity], key=AGENT)
    request, held = (
        read_request(pem),
        CaRecords(PUPPET_CERT, NEW.certificate, NEW.crl(), {AGENT: pem}),
    )
    for own in (request, None):
        found = judge(Application(AGENT, key_digest(AGENT), own, frozenset({"puppet"})), held)
        assert not found.may_be_signed
        assert found.verdict is Verdict.ANOTHER
        assert "approved_requests" not in found.why


@every_oddity
def test_what_the_ca_has_signed_for_an_odd_subject_is_not_the_agents(oddity: str) -> None:
    held = CaRecords(PUPPET_CERT, NEW.certificate, NEW.crl(), {}, {AGENT: odd_cert(oddity)})
    key = key_digest(AGENT)
    assert held.signed(AGENT) is None
    assert not held.knows_key(AGENT, key)
    assert conflict_at_ca(AGENT, key, held) is not None
    application = Application(AGENT, key, read_csr(request_pem(AGENT)), frozenset())
    assert judge(application, held).verdict is Verdict.ANOTHER


@every_oddity
def test_nor_with_a_request_beside_it(oddity: str) -> None:
    signed = {AGENT: odd_cert(oddity)}
    if read_certificate(signed[AGENT]) is None:
        return
    held = CaRecords(
        PUPPET_CERT, NEW.certificate, NEW.crl(), {AGENT: request_pem(AGENT)}, signed, csrdir=CSRDIR
    )
    application = Application(AGENT, key_digest(AGENT), read_csr(request_pem(AGENT)), frozenset())
    found = judge(application, held)
    assert found.verdict is Verdict.ANOTHER
    assert "evoke" in found.why


@every_oddity
def test_alt_names_of_an_odd_subject_are_nobodys(oddity: str) -> None:
    former = read_certificate(NEW.issue(ODD[oddity], 5, ["puppet"], key=AGENT))
    if former is not None:
        assert certified(AGENT, [former], NEW.certificate) is None


# What is called fresh


@every_oddity
def test_an_agent_with_an_odd_subject_is_stale(oddity: str) -> None:
    assert odd_agent(oddity).judge().certificate_problem is not None


@pytest.mark.parametrize("oddity", OF_THE_MASTER)
@pytest.mark.parametrize("name", [CERTNAME, "pe-internal-dashboard"])
def test_a_master_with_an_odd_subject_is_stale(name: str, oddity: str) -> None:
    found = master()
    paths = found.paths(name)
    subject = odd_subjects(name, "puppet")[oddity]
    pem = NEW.issue(subject, 2, ["puppet", "puppet.example.com", CERTNAME], key=name)
    for path in (paths.certificate, paths.signed):
        found.write(path, pem)
    assert found.judge().certificate_problem(name) is not None


# What a survey and a proof say of it


@pytest.mark.usefixtures("short_keys_will_do")
@every_oddity
def test_a_site_that_has_signed_an_odd_subject_is_not_well(oddity: str) -> None:
    web = agent()
    signed = f"{SSLDIR}/ca/signed/{AGENT}.pem"
    look = with_file(look_at_master(master(), [web]), signed, odd_cert(oddity))
    state = site(look, look_at_agent(web), named=False)
    bad = [p for p in state.problems if p.severity is Severity.BAD]
    assert any(p.host == "master" and p.subject == signed for p in bad)
    failed = [c for c in verify(state, Evidence()) if c.result is Result.FAILED]
    assert any(c.host == "master" and c.about == About.NOTHING_ELSE.value for c in failed)


@pytest.mark.usefixtures("short_keys_will_do")
@pytest.mark.parametrize("oddity", ["other names after it", "a NUL in it", "BMPString"])
def test_nor_one_on_which_such_a_certificate_lies_about(oddity: str) -> None:
    web = agent()
    path = "/etc/puppetlabs/elsewhere.pem"
    looks = look_at_master(master(), [web]), with_file(look_at_agent(web), path, odd_cert(oddity))
    state = site(*looks, named=False)
    (record,) = [r for r in state.certificates if r.path == path]
    assert record.standing is Standing.UNUSABLE
    assert [p.severity for p in state.problems if p.subject == path] == [Severity.BAD]


@pytest.mark.usefixtures("short_keys_will_do")
@pytest.mark.parametrize("oddity", ["other names before it", "a NUL in it", "BMPString"])
def test_who_answers_with_an_odd_subject_is_a_stranger(oddity: str) -> None:
    pem = NEW.issue(odd_subjects("web09", "puppet")[oddity], 9)
    look = with_file(look_at_master(master()), f"{SSLDIR}/ca/signed/web09.pem", pem)
    seen = Orchestration(frozenset({CERTNAME, "web09"}))
    failed = [
        check.saw
        for check in verify(site(look, named=False), Evidence(orchestration=seen))
        if check.about == About.ORCHESTRATED.value and check.result is Result.FAILED
    ]
    assert any(saw.startswith("web09 answers") for saw in failed)


# The CA's own list


@pytest.mark.parametrize("name", [f"{AGENT}/CN=puppet", f"C=DE/CN={AGENT}", f"{AGENT}/O=x"])
def test_the_cas_list_names_nobody_by_an_odd_subject(name: str) -> None:
    subject = name if name.startswith("C=") else f"CN={name}"
    line = f"0x0009 2015-11-22T12:00:00UTC 2020-11-21T12:00:00UTC /{subject}\n"
    plain = "0x0008 2015-11-22T12:00:00UTC 2020-11-21T12:00:00UTC /CN=web08\n"
    listed = CaInventory().process(printed(["text", "inventory.txt", plain + line]))
    assert listed == {(8, "web08")}
    found = nodes_of_ca(plain + line)
    assert AGENT not in {node.certname for node in found.nodes}
    assert "puppet" not in {node.certname for node in found.nodes}


def odd_agent(oddity: str) -> Agent:
    found = agent()
    pem = odd_cert(oddity)
    found.write(found.paths.certificate, pem)
    found.signed[AGENT] = pem
    return replace(found)
