"""The proof: what has to be so for a check to be passed, and what fails it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recert.certificates import Certificate
from recert.deployments.model import NOWHERE
from recert.deployments.pe_3_7 import PE_3_7
from recert.deployments.pe_2015_2 import PE_2015_2
from recert.findings import Finding, FindingKind
from recert.freshness import Retired
from recert.looks import HostLook
from recert.observed import (
    ClientCredential,
    Handshake,
    Handshakes,
    Keystores,
    Offered,
    Orchestration,
    Service,
)
from recert.others import PRIVATE_KEY, Stray
from recert.problems import OF_A_FILE
from recert.report import Check, Result, Role, Severity
from recert.survey import SiteState
from recert.verification import PROVEN, About, Evidence, RunSeen, verify
from tests.tables import POSTGRESQL_SERVICE, SERVICE_PORTS
from tests.unit.agent import AGENT, SERIAL, agent
from tests.unit.issuing_ca import CERTNAME, NEW, OLD, SSLDIR, IssuingCa, master, without_parameters
from tests.unit.looks import look_at_agent, look_at_master, site, with_file

THIRD = IssuingCa("third-ca")
ASKING = {"pe-puppetserver", "pe-puppetdb", "pe-console-services", "pe-activemq"}
STORE = "/etc/puppetlabs/elsewhere.ks"
RAN = RunSeen("puppet agent --test", True, "it succeeded in 3 s")


pytestmark = pytest.mark.usefixtures("short_keys_will_do")


@pytest.fixture
def state() -> SiteState:
    web = agent()
    return site(look_at_master(master(), [web]), look_at_agent(web))


def shake(service: str, offered: Offered, **changes: object) -> Handshake:
    """As with a service that has been regenerated and restarted."""
    asked = service in ASKING
    accepted = not asked or offered is not Offered.RETIRED
    pem = NEW.issue(CERTNAME, 2, key=CERTNAME)
    said = "" if accepted else "alert unknown ca"
    port = SERVICE_PORTS[service]
    made = Handshake(service, port, offered, True, accepted, asked, pem, said)
    return replace(made, **changes)  # type: ignore[arg-type]


def handshakes(service: str = "", offered: Offered | None = None, **changes: object) -> Handshakes:
    """All that there are to make; `changes` in those with one service, offering one thing."""
    made = [
        shake(
            name,
            offer,
            **(changes if name == service and offered in (None, offer) else {}),
        )
        for name in SERVICE_PORTS
        for offer in Offered
    ]
    return Handshakes(
        tuple(made),
        (
            ClientCredential(Offered.CURRENT, NEW.issue(CERTNAME, 2, key=CERTNAME)),
            ClientCredential(Offered.RETIRED, OLD.issue(CERTNAME, 2, key=CERTNAME)),
        ),
    )


def evidence(**changes: object) -> Evidence:
    runs = {"master": RAN, "web01": RAN}
    there = Orchestration(frozenset({CERTNAME, AGENT}))
    seen = Evidence(handshakes(), runs=runs, orchestration=there)
    return replace(seen, **changes)  # type: ignore[arg-type]


def failed(state: SiteState, seen: Evidence) -> list[tuple[str, str, str]]:
    checks = verify(state, seen)
    assert all(check.remedy for check in checks if check.result is Result.FAILED)
    return [(c.about, c.host, c.saw) for c in checks if c.result is Result.FAILED]


def of(checks: tuple[Check, ...], about: About) -> list[Check]:
    return [check for check in checks if check.about == about.value]


def test_a_regenerated_site_passes_every_check(state: SiteState) -> None:
    checks = verify(state, evidence())
    assert {check.result for check in checks} == {Result.PASSED}
    assert [about for about in About if of(checks, about)] == list(About)[1:]
    assert len(of(checks, About.PRESENTED)) == len(of(checks, About.REFUSED)) == 6
    postgresql = next(c for c in checks if "pe-postgresql" in c.did)
    assert "after its SSLRequest" in postgresql.did


# Findings

LOOKED_AT_FOR_ITSELF = {About.ASKED, About.KNOWN}
"""Checks that say what was seen also where nothing is wrong, and so ask for themselves."""


@pytest.mark.parametrize("severity", Severity)
@pytest.mark.parametrize("kind", FindingKind)
def test_what_is_found_fails_the_check_of_its_kind(
    state: SiteState, kind: FindingKind, severity: Severity
) -> None:
    """Nothing that is bad is left out, whoever adds a kind."""
    path = f"{SSLDIR}/certs/{AGENT}.pem"
    found = Finding(kind, severity, "web01", path, "is not as it should be", "Mend it.")
    # A cached property of a frozen value.
    state.__dict__["findings"] = (found,)
    about = next((one for one, kinds in PROVEN.items() if kind in kinds), About.NOTHING_ELSE)
    hidden = kind in OF_A_FILE and kind not in (
        FindingKind.WEAK,
        FindingKind.EXPIRED,
        FindingKind.EXPIRES_SOON,
    )
    if about in LOOKED_AT_FOR_ITSELF:
        return
    fails = about is not About.NOTHING_ELSE or (severity is Severity.BAD and not hidden)
    assert {where for where, _, _ in failed(state, evidence())} == (
        {about.value} if fails else set()
    )


def test_an_old_key_is_judged_once(state: SiteState) -> None:
    """By what a survey judges, which tells the certificate beside it; the check asks that."""
    master, web = state.looks
    keys, kept = {"/root.key": OLD.certificate.key}, frozenset({"/kept.pem"})
    web = replace(web, found=replace(web.found, keys={**web.found.keys, **keys}, saved=kept))
    found = site(master, web)
    kind = FindingKind.KEY_OF_RETIRED_CA
    old = [str(one) for one in found.findings if one.kind is kind]
    assert [saw.split()[0] for saw in old] == ["/kept.pem", "/root.key"]
    assert [saw for _, _, saw in failed(found, evidence())] == old
    assert found.problems == state.problems
    # What is still to be retired has its keys.
    assert not [one for one in site(master, web, retiring=True).findings if one.kind is kind]


def test_what_is_somebody_elses_or_stays_is_no_old_key() -> None:
    bought = "/opt/puppetlabs/server/data/console-services/certs/public-console.private_key.pem"
    theirs = f"{SSLDIR}/private_keys/theirs.pem"
    saved = frozenset({bought, theirs})
    web = replace(look_at_agent(agent()), strays=(Stray(theirs, PRIVATE_KEY, keys=("ab",)),))
    own = replace(look_at_master(master(deployment=PE_2015_2)), deployment=PE_2015_2)
    looks = [replace(look, found=replace(look.found, saved=saved)) for look in (own, web)]
    found = site(*looks).findings
    old = {(f.host, f.subject) for f in found if f.kind is FindingKind.KEY_OF_RETIRED_CA}
    assert old == {("master", theirs), ("web01", bought)}


def test_a_check_says_whether_a_certificate_lies_where_the_procedure_puts_it(
    state: SiteState,
) -> None:
    own, web = state.looks
    for directory, did in (
        (own.deployment.master.directories[0], "read the certificates where the procedure"),
        ("/etc/puppetlabs/elsewhere", "searched for certificates elsewhere"),
    ):
        seen = with_file(own, f"{directory}/odd.pem", OLD.issue("odd", 9))
        checks = of(verify(site(seen, web), evidence()), About.RETIRED)
        (one,) = (check for check in checks if "odd.pem holds odd" in check.saw)
        assert one.did.startswith(did)


def test_a_kind_of_finding_fails_one_check() -> None:
    kinds = [kind for kinds in PROVEN.values() for kind in kinds]
    assert len(kinds) == len(set(kinds))


# What belongs to the retired CA


@pytest.mark.parametrize("path", ["/etc/puppetlabs/elsewhere.pem", f"{SSLDIR}/certs/other.pem"])
def test_a_certificate_of_the_retired_ca_wherever_it_lies(state: SiteState, path: str) -> None:
    look = with_file(state.looks[1], path, OLD.issue("old", 9))
    found = failed(replace(state, looks=(state.looks[0], look)), evidence())
    assert found == [(About.RETIRED.value, "web01", f"{path} holds old (0x0009) of the retired CA")]


def test_a_certificate_of_a_third_ca_is_somebody_elses(state: SiteState) -> None:
    look = with_file(state.looks[1], "/etc/puppetlabs/else.pem", THIRD.issue("other", 9))
    state = replace(state, looks=(state.looks[0], look))
    assert failed(state, evidence()) == []
    # Unless nobody can tell whether that CA is the retired one.
    unknown = replace(state, retired=Retired(OLD.certificate.fingerprint, None))
    assert [
        saw for about, _, saw in failed(unknown, evidence()) if about == About.RETIRED.value
    ] == ["/etc/puppetlabs/else.pem holds other (0x0009) of another CA"]


def test_what_may_be_of_the_retired_ca_counts_without_its_key_too(state: SiteState) -> None:
    path = f"{SSLDIR}/certs/other.pem"
    look = with_file(state.looks[1], path, THIRD.issue("other", 9))
    unknown = Retired(OLD.certificate.fingerprint, None)
    found = failed(replace(state, looks=(state.looks[0], look), retired=unknown), evidence())
    assert (About.RETIRED.value, "web01", f"{path} holds other (0x0009) of another CA") in found


def test_a_file_that_may_not_be_read_fails(state: SiteState) -> None:
    master_look, web = state.looks
    path = "C:/ProgramData/PuppetLabs/puppet/etc/ssl/private_keys/web.pem"
    unread = replace(web, found=replace(web.found, unreadable=frozenset({path})))
    found = failed(replace(state, looks=(master_look, unread)), evidence())
    saw = f"the connected account may not read {path}"
    assert found == [(About.RETIRED.value, web.host, saw)]


def test_without_the_ca_nothing_is_called_another_cas(state: SiteState) -> None:
    web = state.looks[1]
    gone = HostLook("master", Role.MASTER, PE_3_7, "it could not be connected to")
    checks = verify(replace(state, looks=(gone, web)), evidence())
    assert [c.saw for c in checks if c.host == web.host and c.result is Result.FAILED] == [
        "the master has no CA to compare with"
    ]
    # And where nobody knows the retired CA, either, that is no proof.
    unknown = replace(state, looks=(gone, web), retired=Retired(NEW.certificate.fingerprint, None))
    not_made = [c.saw for c in verify(unknown, evidence()) if c.result is Result.NOT_MADE]
    assert "neither CA is known with which 1 files could be compared" in not_made


def test_a_box_that_wants_a_password_proves_nothing(state: SiteState) -> None:
    master_look, web = state.looks
    boxes = frozenset({"/etc/puppetlabs/spare.p12", "/opt/puppet/share/gem/test.p12"})
    old = frozenset({"/root.key"})
    seen = with_file(web, "/root.key", mode=0o600, key="12")
    seen = replace(seen, found=replace(seen.found, sealed=boxes, saved=old))
    checks = of(verify(replace(state, looks=(master_look, seen)), evidence()), About.RETIRED)
    assert [c.saw for c in checks if c.result is Result.NOT_MADE] == [
        "/etc/puppetlabs/spare.p12 wants a password: nobody could look into it"
    ]


def test_a_private_key_of_before(state: SiteState) -> None:
    look = with_file(state.looks[1], "/root.key", mode=0o600, key="12")
    look = replace(look, found=replace(look.found, saved=frozenset({"/root.key"})))
    other = with_file(state.looks[0], "/spare.pem", key=OLD.certificate.key)
    found = failed(replace(state, looks=(other, look)), evidence())
    assert found == [
        (
            About.RETIRED.value,
            "master",
            "/spare.pem is a private key from before the CA was retired",
        ),
        (About.RETIRED.value, "web01", "/root.key is a private key from before the CA was retired"),
    ]


def test_a_key_that_the_retired_ca_has_certified_in_any_form(state: SiteState) -> None:
    master_look, web = state.looks
    assert master_look.master is not None
    side = replace(master_look.master, retired_keys=frozenset({"12:34"}))
    look = with_file(web, "/etc/spare.der", mode=0o600, key="12:34")
    looks = (replace(master_look, master=side), look)
    found = failed(replace(state, looks=looks), evidence())
    saw = "/etc/spare.der is a private key from before the CA was retired"
    assert found == [(About.RETIRED.value, "web01", saw)]


def test_without_a_backup_keys_are_compared_with_nothing(state: SiteState) -> None:
    master_look, web = state.looks
    bare = replace(web, found=replace(web.found, backups=0))
    checks = of(verify(replace(state, looks=(master_look, bare)), evidence()), About.RETIRED)
    (not_made,) = [check for check in checks if check.result is not Result.PASSED]
    assert not_made.result is Result.NOT_MADE
    assert not_made.saw == "no backup of that CA was found to compare 1 keys with"
    assert master_look.master is not None
    known = replace(master_look.master, retired_keys=frozenset({"12:34"}))
    looks = (replace(master_look, master=known), bare)
    made = of(verify(replace(state, looks=looks), evidence()), About.RETIRED)
    assert {check.result for check in made} == {Result.PASSED}


@pytest.mark.parametrize(
    ("store", "result", "saw"),
    [
        (Keystores(True, {STORE: [NEW.pem]}), Result.PASSED, "1 certificates, none of the retired"),
        (Keystores(True, {STORE: [NEW.pem, OLD.pem]}), Result.FAILED, "of the retired CA"),
        (Keystores(True, {STORE: []}), Result.NOT_MADE, f"{STORE} cannot be read"),
        (Keystores(False, {STORE: []}), Result.NOT_MADE, "there is no keytool"),
    ],
)
def test_keystores(state: SiteState, store: Keystores, result: Result, saw: str) -> None:
    look = replace(state.looks[0], keystores=store)
    checks = verify(replace(state, looks=(look, state.looks[1])), evidence())
    (check,) = [c for c in checks if "keytool" in c.did]
    assert check.result is result
    assert saw in check.saw


# Services


def test_a_service_that_does_not_run(state: SiteState) -> None:
    services = {"pe-puppet": Service.STOPPED, "pe-mcollective": Service.RUNNING}
    stopped = replace(state, looks=(state.looks[0], replace(state.looks[1], services=services)))
    seen = evidence()
    assert failed(stopped, seen) == [(About.RUNNING.value, "web01", "pe-puppet does not run")]
    before = replace(stopped, stopped_before={"web01": frozenset({"pe-puppet"})})
    assert failed(before, seen) == []
    assert before.snapshot().hosts[1].well


def test_a_check_names_the_port_that_was_asked(state: SiteState) -> None:
    seen = evidence(handshakes=handshakes("pe-puppetserver", port=8150))
    did = {c.did for c in verify(state, seen) if "handshake with pe-puppetserver" in c.did}
    assert did and all("on port 8150" in one for one in did)


def test_what_did_not_answer_before_need_not_now(state: SiteState) -> None:
    seen = evidence(handshakes=handshakes("pe-httpd", answered=False, said="nothing listens"))
    assert [saw for _, _, saw in failed(state, seen)] == ["no TLS: nothing listens"]
    look = replace(state.looks[0], silent_before=frozenset({"pe-httpd"}))
    before = replace(state, looks=(look, state.looks[1]))
    assert failed(before, seen) == []
    # Nor has it been proven to present anything.
    (check,) = [check for check in verify(before, seen) if "with pe-httpd" in check.did]
    assert check.result is Result.NOT_MADE
    assert failed(before, evidence(handshakes=handshakes("pe-puppetdb", answered=False)))


def test_what_listens_on_its_socket_alone_is_said_not_to_be_asked(state: SiteState) -> None:
    look = replace(state.looks[0], ports={POSTGRESQL_SERVICE: NOWHERE})
    made = tuple(shake for shake in handshakes().made if shake.service != POSTGRESQL_SERVICE)
    seen = evidence(handshakes=replace(handshakes(), made=made))
    checks = verify(replace(state, looks=(look, state.looks[1])), seen)
    (check,) = [check for check in checks if POSTGRESQL_SERVICE in check.did]
    assert (check.result, check.saw) == (Result.NOT_MADE, "it listens on its socket alone")


def test_a_service_that_is_not_installed_is_not_asked(state: SiteState) -> None:
    look = state.looks[0]
    missing = replace(look, services={**look.services, "pe-activemq": Service.MISSING})
    checks = verify(replace(state, looks=(missing, state.looks[1])), evidence())
    assert not any("pe-activemq" in check.did for check in checks)
    assert {check.result for check in checks} == {Result.PASSED}


@pytest.mark.parametrize(
    ("changes", "about", "saw"),
    [
        (
            {"presented": OLD.issue(CERTNAME, 2, key=CERTNAME)},
            About.PRESENTED,
            f"{CERTNAME} (0x0002), of the retired CA",
        ),
        (
            {"presented": THIRD.issue("console", 7)},
            About.PRESENTED,
            "console (0x0007), of another CA",
        ),
        (
            {"answered": False, "said": "nothing listens"},
            About.PRESENTED,
            "no TLS: nothing listens",
        ),
        (
            {"presented": "garbage"},
            About.PRESENTED,
            "a certificate that cannot be read",
        ),
    ],
)
def test_a_service_that_presents_something_else(
    state: SiteState, changes: dict[str, object], about: About, saw: str
) -> None:
    found = failed(state, evidence(handshakes=handshakes("pe-puppetdb", None, **changes)))
    assert found == [(about.value, "master", saw)]


@pytest.mark.parametrize(("ca", "result"), [(OLD, Result.FAILED), (THIRD, Result.PASSED)])
def test_what_was_put_there_by_hand_is_well_unless_it_is_of_the_retired_ca(
    ca: IssuingCa, result: Result
) -> None:
    bought, front = ca.issue("console", 9), "pe-nginx"
    look = replace(look_at_master(master(deployment=PE_2015_2), [agent()]), deployment=PE_2015_2)
    path = next(path for path in look.extras if path.endswith(".cert.pem"))
    made = Handshake(front, 443, Offered.CURRENT, True, True, False, bought, "")
    seen = evidence(handshakes=Handshakes((made,), ()))
    checks = of(verify(site(with_file(look, path, bought)), seen), About.PRESENTED)
    assert [check.result for check in checks if front in check.did] == [result]


def test_a_service_that_takes_a_certificate_of_the_retired_ca(state: SiteState) -> None:
    seen = handshakes("pe-puppetdb", Offered.RETIRED, accepted=True)
    assert failed(state, evidence(handshakes=seen)) == [
        (About.REFUSED.value, "master", "it was accepted")
    ]


def test_a_service_that_takes_nobody_proves_nothing(state: SiteState) -> None:
    seen = handshakes("pe-puppetdb", Offered.CURRENT, accepted=False, said="bad certificate")
    ((about, _, saw),) = failed(state, evidence(handshakes=seen))
    assert about == About.REFUSED.value
    assert saw == "it does not take a certificate of the CA in place, either: bad certificate"


@pytest.mark.parametrize(
    ("credential", "why"),
    [
        (None, "no backup here holds"),
        (
            ClientCredential(Offered.RETIRED, None, "No such file"),
            "cannot be offered: No such file",
        ),
        (ClientCredential(Offered.RETIRED, NEW.issue("new", 9)), "is not of the retired CA"),
    ],
)
def test_without_a_certificate_of_the_retired_ca_its_refusal_is_not_proven(
    state: SiteState, credential: ClientCredential | None, why: str
) -> None:
    seen = replace(handshakes(), credentials=(credential,) if credential else ())
    checks = of(verify(state, evidence(handshakes=seen)), About.REFUSED)
    not_made = [check for check in checks if check.result is Result.NOT_MADE]
    assert len(not_made) == len(ASKING)
    assert all(why in check.saw for check in not_made)


# Puppet and the CA


def test_a_run_that_failed_and_one_that_was_not_made(state: SiteState) -> None:
    bad = RunSeen("puppet agent --test", False, "Error: no route to host")
    checks = of(verify(state, evidence(runs={"web01": bad})), About.RUN)
    assert [(c.host, c.result, c.saw) for c in checks] == [
        ("master", Result.FAILED, "it was not run"),
        ("web01", Result.FAILED, "Error: no route to host"),
    ]


def test_a_certificate_that_the_ca_does_not_list(state: SiteState) -> None:
    look = state.looks[0]
    assert look.master is not None
    kept = frozenset(entry for entry in look.master.inventory if entry[1] != AGENT)
    forgetful = replace(look, master=replace(look.master, inventory=kept))
    found = failed(replace(state, looks=(forgetful, state.looks[1])), evidence())
    saw = f"{AGENT} (0x{SERIAL:04x}) is not what the CA has signed"
    assert found == [(About.KNOWN.value, "web01", saw)]


def test_a_certificate_that_is_revoked() -> None:
    web, puppet = agent(), master()
    for path in (puppet.settings.cacrl, puppet.settings.hostcrl):
        puppet.write(path, NEW.crl([SERIAL]))
    found = failed(site(look_at_master(puppet, [web]), look_at_agent(web)), evidence())
    assert (About.PLACED.value, "web01", f"{SSLDIR}/certs/{AGENT}.pem is revoked") in found
    assert any(saw.endswith("is there, and revoked") for *_, saw in found)


# Hosts


def test_no_host_is_proven_of_which_a_survey_says_that_it_is_not_well(state: SiteState) -> None:
    key = "/etc/puppetlabs/activemq/a.pem"
    open_key = with_file(state.looks[0], key, key="12:34")
    late = replace(state.looks[1], clock_ahead=400.0)
    bad = replace(state, looks=(open_key, late))
    assert failed(bad, evidence()) == [
        (About.PLACED.value, "master", f"{key} is open to others (0644)"),
        (About.NOTHING_ELSE.value, "web01", "clock is 400 s ahead of the master's"),
    ]
    assert not any(host.well for host in bad.snapshot().hosts)


def test_an_agent_that_goes_by_an_old_revocation_list() -> None:
    web = agent()
    web.write(web.settings.hostcrl, OLD.crl())
    found = failed(site(look_at_master(master(), [web]), look_at_agent(web)), evidence())
    saw = f"{SSLDIR}/crl.pem is not a revocation list of the master's CA that is in force"
    assert found == [(About.PLACED.value, "web01", saw)]


def test_an_agent_that_trusts_the_retired_ca() -> None:
    web = agent()
    web.trust(OLD)
    found = failed(site(look_at_master(master(), [web]), look_at_agent(web)), evidence())
    path = f"{SSLDIR}/certs/ca.pem"
    assert {saw for *_, saw in found} == {
        f"{path} is not the certificate of the master's CA",
        f"{path} holds {OLD.certificate.subject} (0x0001) of the retired CA",
    }


def test_a_master_that_still_has_the_ca_to_retire() -> None:
    old = master(OLD)
    found = failed(site(look_at_master(old)), evidence(runs={"master": RAN}))
    assert (About.PLACED.value, "master", f"{SSLDIR}/ca/ca_crt.pem is to be retired") in found


def test_hosts_that_cannot_be_asked(state: SiteState) -> None:
    gone = HostLook("app01", Role.AGENT, PE_3_7, "it could not be connected to")
    windows = HostLook("win01", Role.WINDOWS_AGENT, PE_3_7, "it has no Puppet")
    checks = of(
        verify(replace(state, looks=(*state.looks, gone, windows)), evidence()), About.ASKED
    )
    assert [(c.host, c.result, c.saw) for c in checks] == [
        ("app01", Result.FAILED, "it could not be connected to"),
        ("win01", Result.FAILED, "it has no Puppet"),
    ]


# What was made to do harm


def test_a_certificate_whose_signature_cannot_be_read_is_no_end(state: SiteState) -> None:
    odd = without_parameters(OLD.issue("odd", 9))
    look = with_file(state.looks[1], f"{SSLDIR}/certs/odd.pem", odd)
    assert failed(replace(state, looks=(state.looks[0], look)), evidence()) == []


@pytest.mark.parametrize(
    ("where", "nothing"), [("standing.weaknesses", []), ("verification.is_delivered", False)]
)
def test_who_cannot_be_judged_fails_and_nobody_else(
    state: SiteState, monkeypatch: pytest.MonkeyPatch, where: str, nothing: object
) -> None:
    """In a survey's judgement, or in a check's."""
    path = f"{SSLDIR}/certs/odd.pem"
    look = with_file(state.looks[1], path, NEW.issue("odd", 9))

    def failing(*arguments: object) -> object:
        for one in arguments:
            if one == path or (isinstance(one, Certificate) and one.subject == "odd"):
                raise ValueError("nobody has thought of that")
        return nothing

    monkeypatch.setattr(f"recert.{where}", failing)
    what = "what it shows cannot be judged: ValueError: nobody has thought of that"
    checks = verify(replace(state, looks=(state.looks[0], look)), evidence())
    wrong = [check for check in checks if check.result is Result.FAILED]
    assert [(one.about, one.host, one.saw) for one in wrong][:1] == [
        (About.ASKED.value, "web01", what)
    ]
    assert {one.host for one in wrong} == {"web01"}
    assert {check.host for check in checks if check.result is Result.PASSED} >= {"master"}
