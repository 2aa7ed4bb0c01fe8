"""What an agent has to be given anew, in every state it can be found in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from recert import certificates
from recert.ca_records import Autosign, Autosigning
from recert.observed import LastRun
from tests.unit.agent import AGENT, SERIAL, Agent, agent, half_done
from tests.unit.issuing_ca import (
    CERTNAME,
    MADE,
    NEW,
    NOW,
    OLD,
    SSLDIR,
    IssuingCa,
    file_state,
    read,
    read_csr,
    request_pem,
)

BEFORE, AFTER = LastRun(MADE - 1, succeeded=True), LastRun(MADE + 1, succeeded=True)
NEW_KEY_AGAIN = IssuingCa("new-ca", serial=9, expires=NOW + timedelta(days=900))
"""The same key under another certificate."""

EXPIRED = NOW - timedelta(days=1)
DAY_AFTER = NOW + timedelta(days=3651)
"""When something expires that is valid from tomorrow on."""


def stale() -> Agent:
    """One that is wholly of the CA that was retired."""
    return agent(OLD)


# The whole


def test_fresh_agent_has_nothing_to_do() -> None:
    judged = agent().judge()
    assert judged.certificate_problem is None
    assert judged.trusts_ca_in_place
    assert not judged.everything_goes
    assert judged.remains == ()
    assert not judged.ca_due
    assert not judged.replacement_due
    assert not judged.catalog_due(file_state(mtime=MADE))
    assert not judged.request_due
    assert not judged.signature_due
    assert not judged.run_due(AFTER)
    assert judged.conflict is None


def test_stale_agent_has_everything_to_do() -> None:
    found = stale()
    judged = found.judge()
    problem = judged.certificate_problem
    assert problem is not None
    assert (problem.path, problem.why) == (
        found.paths.certificate,
        "was not issued by the master's CA",
    )
    assert not judged.trusts_ca_in_place
    assert judged.everything_goes
    assert set(judged.remains) == found.file_paths
    assert judged.ca_due
    assert judged.replacement_due
    assert judged.catalog_due(file_state(mtime=MADE + 1))
    assert judged.request_due
    assert judged.signature_due
    assert judged.run_due(AFTER)
    assert judged.conflict is None


def test_of_a_stale_agent_everything_but_directories_goes() -> None:
    found = stale()
    extra = f"{SSLDIR}/private_keys/forgotten.pem"
    found.files[extra] = file_state()
    found.files[f"{SSLDIR}/link"] = file_state("l")
    remains = found.judge().remains
    assert {extra, f"{SSLDIR}/link", found.settings.localcacert} <= set(remains)
    assert SSLDIR + "/certs" not in remains


def test_without_a_ca_on_the_master_everything_is_stale() -> None:
    """A preview of a whole site, whose CA is made in the run."""
    found = agent()
    found.ca = None
    judged = found.judge()
    assert judged.certificate_problem is not None
    assert judged.certificate_problem.why == "is of a CA that goes"
    assert not judged.trusts_ca_in_place
    assert judged.everything_goes
    assert set(judged.remains) == found.file_paths
    assert judged.ca_due
    assert judged.replacement_due
    assert judged.request_due
    assert judged.signature_due
    assert judged.run_due(AFTER)
    assert judged.conflict is None


# The agent's certificate


def missing(found: Agent) -> None:
    found.remove(found.paths.certificate)


def empty(found: Agent) -> None:
    found.write(found.paths.certificate, "")


def garbage(found: Agent) -> None:
    found.write(found.paths.certificate, "\0" * 1000)


def of_another_ca(found: Agent) -> None:
    found.write(found.paths.certificate, OLD.issue(AGENT, SERIAL))


def of_somebody_else(found: Agent) -> None:
    found.write(found.paths.certificate, NEW.issue("web", SERIAL, key=AGENT))


def expired(found: Agent) -> None:
    found.write(found.paths.certificate, NEW.issue(AGENT, SERIAL, expires=EXPIRED))


def not_yet_valid(found: Agent) -> None:
    found.write(found.paths.certificate, NEW.issue(AGENT, SERIAL, expires=DAY_AFTER))


def revoked(found: Agent) -> None:
    found.revoked = (1, SERIAL)


def retired(found: Agent) -> None:
    found.retired = (found.texts[found.paths.certificate],)


def another_key(found: Agent) -> None:
    found.make_key("another")


def unusable_key(found: Agent) -> None:
    found.make_key(None)


def no_key(found: Agent) -> None:
    found.remove(found.paths.private_key)


DAMAGES: dict[Callable[[Agent], None], tuple[str, str]] = {
    missing: ("certificate", "is missing"),
    empty: ("certificate", "is empty"),
    garbage: ("certificate", "is not a certificate"),
    of_another_ca: ("certificate", "was not issued by the master's CA"),
    of_somebody_else: ("certificate", "is that of web"),
    expired: ("certificate", "expired on 2015-11-22"),
    not_yet_valid: ("certificate", "is not valid before 2015-11-24 12:00 UTC"),
    revoked: ("certificate", "is revoked"),
    retired: ("certificate", "is to be retired"),
    another_key: ("private_key", "does not belong to the certificate"),
    unusable_key: ("private_key", "does not belong to the certificate"),
    no_key: ("private_key", "does not belong to the certificate"),
}


def damaged(damage: Callable[[Agent], None]) -> Agent:
    found = agent()
    damage(found)
    return found


every_damage = pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)


@every_damage
def test_certificate_that_cannot_be_used_is_a_problem(damage: Callable[[Agent], None]) -> None:
    found = damaged(damage)
    problem = found.judge().certificate_problem
    assert problem is not None
    field, why = DAMAGES[damage]
    assert (problem.path, problem.why) == (getattr(found.paths, field), why)


@every_damage
def test_agent_without_a_usable_certificate_is_stopped_and_runs_again(
    damage: Callable[[Agent], None],
) -> None:
    judged = damaged(damage).judge()
    assert judged.replacement_due
    assert judged.run_due(AFTER)
    assert judged.catalog_due(file_state(mtime=MADE + 1))


def test_certificate_is_fresh_to_its_last_second() -> None:
    found = agent()
    cert = read(found.texts[found.paths.certificate])
    found.now = cert.not_after - timedelta(seconds=1)
    assert found.judge().certificate_problem is None
    found.now = cert.not_after
    assert found.judge().certificate_problem is not None


def test_serial_number_that_another_ca_has_revoked_does_not_matter() -> None:
    found = stale()
    found.revoked = (SERIAL,)
    problem = found.judge().certificate_problem
    assert problem is not None
    assert problem.why == "was not issued by the master's CA"


# The CA that it trusts


@pytest.mark.parametrize("trusted", [OLD.pem, NEW_KEY_AGAIN.pem, "", "garbage", None], ids=range(5))
def test_agent_with_a_fresh_certificate_may_lack_its_masters_ca(trusted: str | None) -> None:
    found = agent()
    found.remove(found.settings.localcacert)
    if trusted is not None:
        found.write(found.settings.localcacert, trusted)
    judged = found.judge()
    assert not judged.trusts_ca_in_place
    assert judged.ca_due
    assert judged.replacement_due
    assert not judged.everything_goes
    assert judged.remains == ()
    assert not judged.request_due
    assert not judged.run_due(AFTER)


# Everything goes, or only what is of no use


@pytest.mark.parametrize("damage", [d for d in DAMAGES if d not in (revoked, retired)])
def test_agent_that_does_not_trust_its_master_keeps_nothing(
    damage: Callable[[Agent], None],
) -> None:
    found = damaged(damage)
    found.trust(OLD)
    judged = found.judge()
    assert judged.everything_goes
    assert set(judged.remains) == found.file_paths
    assert judged.request_due


@pytest.mark.parametrize("damage", [revoked, retired])
def test_key_of_a_certificate_that_was_given_up_goes(damage: Callable[[Agent], None]) -> None:
    """It may be somebody else's by now, who can ask for another certificate with it."""
    found = damaged(damage)
    found.requests[AGENT] = request_pem(AGENT)
    judged = found.judge()
    assert judged.trusts_ca_in_place
    assert judged.everything_goes
    assert found.paths.private_key in judged.remains
    assert set(judged.remains) == found.file_paths
    assert judged.ca_due
    assert judged.request_due
    assert judged.signature_due


def with_an_old_key(cert_remains: bool) -> Agent:
    """One whose CA's certificate alone was lost, so that Puppet fetched the new one, and who
    has asked for a certificate with the key that it had; or somebody else with that key has."""
    found = agent(OLD)
    found.trust(NEW)
    found.write(found.settings.hostcrl, NEW.crl())
    found.requests[AGENT] = found.texts[found.paths.request]
    found.former = (found.texts[found.paths.certificate],)
    if cert_remains:
        found.former = ()
    else:
        found.remove(found.paths.certificate)
    return found


@pytest.mark.parametrize("cert_remains", [True, False])
def test_key_that_had_a_certificate_of_another_ca_is_not_certified_anew(cert_remains: bool) -> None:
    found = with_an_old_key(cert_remains)
    judged = found.judge()
    assert judged.trusts_ca_in_place
    assert judged.everything_goes
    assert set(judged.remains) == found.file_paths
    assert judged.ca_due
    assert judged.request_due
    assert judged.signature_due
    assert judged.foreign_request is not None


@pytest.mark.parametrize("cert_remains", [True, False])
def test_nor_is_its_certificate_fetched_that_somebody_had_signed(cert_remains: bool) -> None:
    found = with_an_old_key(cert_remains)
    found.get_signed()
    judged = found.judge()
    assert judged.everything_goes
    assert judged.request_due
    assert judged.signature_due
    assert judged.conflict is not None


@pytest.mark.parametrize("withdraw", [revoked, retired])
def test_key_whose_former_certificate_was_given_up_goes(
    withdraw: Callable[[Agent], None],
) -> None:
    """It was interrupted while everything was being deleted."""
    found = agent()
    pem = found.texts[found.paths.certificate]
    withdraw(found)
    found.former = (NEW.issue(AGENT, 1, key="oldest"), pem)
    missing(found)
    found.signed.clear()
    found.requests[AGENT] = request_pem(AGENT)
    judged = found.judge()
    assert judged.everything_goes
    assert judged.foreign_request is not None


@pytest.mark.parametrize("moment", ["placed", "keyed", "requesting", "signed"])
def test_new_key_is_kept_whatever_former_ones_had(moment: str) -> None:
    found = half_done()[moment]
    found.former = (
        OLD.issue(AGENT, SERIAL, key="old"),
        NEW.issue(AGENT, 3, key="older"),
    )
    found.revoked = (3,)
    assert Due.of(found) == INTERRUPTED[moment]


def test_key_whose_former_certificate_is_the_masters_is_kept() -> None:
    found = agent()
    found.former = (found.texts[found.paths.certificate],)
    missing(found)
    assert not found.judge().everything_goes


@pytest.mark.parametrize("withdraw", [revoked, retired])
def test_new_key_beside_a_certificate_that_was_given_up_is_kept(
    withdraw: Callable[[Agent], None],
) -> None:
    found = agent()
    withdraw(found)
    found.make_key("new")
    found.signed.clear()
    found.make_request(key="new")
    judged = found.judge()
    assert not judged.everything_goes
    assert judged.remains == (found.paths.certificate,)


def test_foreign_certificate_beside_a_new_key_goes_without_it() -> None:
    found = half_done()["requesting"]
    found.write(found.paths.certificate, OLD.issue(AGENT, SERIAL, key="old"))
    judged = found.judge()
    assert not judged.everything_goes
    assert judged.remains == (found.paths.certificate,)


def test_fresh_agent_whose_certificate_is_fresh_keeps_it_whatever_it_had() -> None:
    found = agent()
    found.former = (OLD.issue(AGENT, 3),)
    assert not found.judge().everything_goes


def test_key_whose_certificate_the_ca_still_has_is_kept() -> None:
    for damage in (missing, empty, garbage, of_somebody_else):
        found = damaged(damage)
        judged = found.judge()
        assert not judged.everything_goes
        assert set(judged.remains) == {found.paths.certificate} & found.file_paths
        assert not judged.request_due
        assert not judged.signature_due
        assert not judged.ca_due


def test_key_that_the_ca_does_not_know_goes_with_what_was_made_of_it() -> None:
    for damage in (another_key, unusable_key):
        found = damaged(damage)
        paths = found.paths
        judged = found.judge()
        assert set(judged.remains) == {
            paths.certificate,
            paths.private_key,
            paths.public_key,
            paths.request,
        }
        assert judged.request_due
        assert judged.signature_due


def test_request_of_another_key_goes_and_the_key_stays() -> None:
    found = half_done()["requesting"]
    found.make_request(key="another", sent=False)
    judged = found.judge()
    assert judged.request is None
    assert judged.remains == (found.paths.request,)
    assert not judged.request_due


@pytest.mark.parametrize("content", ["", "garbage"])
def test_request_that_is_none_goes_and_the_key_stays(content: str) -> None:
    found = half_done()["requesting"]
    found.write(found.paths.request, content)
    assert found.judge().remains == (found.paths.request,)
    assert not found.judge().request_due


def test_what_another_name_left_in_a_renewed_ssldir_stays() -> None:
    found = half_done()["keyed"]
    other = f"{SSLDIR}/private_keys/other.pem"
    found.files[other] = file_state()
    assert other not in found.judge().remains


def test_files_of_a_ca_of_its_own_under_its_name_go_with_the_certificate() -> None:
    found = half_done()["requesting"]
    for path in (found.paths.request_at_ca, found.paths.signed):
        found.files[path] = file_state()
    remains = found.judge().remains
    assert set(remains) == {found.paths.request_at_ca, found.paths.signed}


# The revocation list


@pytest.mark.parametrize(
    "crl",
    [OLD.crl(), "", "garbage", NEW.crl(expires=timedelta(0))],
    ids=["foreign", "empty", "garbage", "expired"],
)
def test_revocation_list_that_is_of_no_use_goes_alone(crl: str) -> None:
    found = agent()
    found.write(found.settings.hostcrl, crl)
    judged = found.judge()
    assert judged.remains == (found.settings.hostcrl,)
    assert judged.replacement_due
    assert not judged.everything_goes
    assert not judged.request_due
    assert not judged.ca_due
    assert not judged.run_due(AFTER)


def test_agent_needs_no_revocation_list() -> None:
    found = agent()
    found.remove(found.settings.hostcrl)
    judged = found.judge()
    assert judged.remains == ()
    assert not judged.replacement_due


def test_older_revocation_list_of_the_same_ca_stays() -> None:
    found = agent()
    found.revoked = (1, 2, 3)
    assert found.judge().remains == ()


# A renewal that was interrupted


@dataclass(frozen=True)
class Due:
    """What is still to be done of a renewal: the predicates of steps 6.4 to 6.7."""

    everything_goes: bool = False
    remains: tuple[str, ...] = ()
    ca: bool = False
    request: bool = False
    signature: bool = False
    replacement: bool = True
    run: bool = True

    @staticmethod
    def of(found: Agent) -> Due:
        judged = found.judge()
        names = {path: name for name, path in vars(found.paths).items()}
        return Due(
            judged.everything_goes,
            tuple(names.get(path, path) for path in judged.remains),
            judged.ca_due,
            judged.request_due,
            judged.signature_due,
            judged.replacement_due,
            judged.run_due(BEFORE),
        )


INTERRUPTED = {
    "emptied": Due(everything_goes=True, ca=True, request=True, signature=True),
    "placed": Due(request=True, signature=True),
    "keyed": Due(remains=("private_key", "public_key"), request=True, signature=True),
    "written": Due(remains=("private_key", "public_key", "request"), request=True, signature=True),
    "requesting": Due(signature=True),
    "signed": Due(),
    "fetched": Due(replacement=False),
}


@pytest.mark.parametrize("moment", INTERRUPTED)
def test_interrupted_renewal_is_taken_up_where_it_ended(moment: str) -> None:
    assert Due.of(half_done()[moment]) == INTERRUPTED[moment]


@pytest.mark.parametrize("moment", INTERRUPTED)
def test_interrupted_renewal_has_no_conflict_with_itself(moment: str) -> None:
    assert half_done()[moment].judge().conflict is None


def test_request_that_the_master_has_is_not_made_again_for_its_own_file() -> None:
    found = half_done()["requesting"]
    found.remove(found.paths.request)
    judged = found.judge()
    assert judged.remains == ()
    assert not judged.request_due
    assert judged.signature_due
    assert judged.conflict is None


def test_certificate_that_waits_at_the_ca_needs_no_request() -> None:
    found = half_done()["signed"]
    found.remove(found.paths.request)
    judged = found.judge()
    assert judged.remains == ()
    assert not judged.request_due


def test_own_request_is_the_one_that_belongs_to_the_key() -> None:
    found = half_done()["requesting"]
    assert found.judge().request == read_csr(found.requests[AGENT])
    found.make_request(key="another")
    assert found.judge().request is None
    found.remove(found.paths.private_key)
    assert found.judge().request is None


# Who signs


ALL = Autosign(Autosigning.ALL)


@pytest.mark.parametrize(
    ("autosign", "alt_names", "due"),
    [
        (Autosign(), "", True),
        (Autosign(), "web", True),
        (ALL, "", False),
        (ALL, "web", True),
        (Autosign(Autosigning.LISTED, ("*.example.com",)), "", False),
        (Autosign(Autosigning.LISTED, ("other",)), "", True),
        (Autosign(Autosigning.POLICY), "", True),
    ],
)
def test_signature_is_due_unless_the_master_signs_by_itself(
    autosign: Autosign, alt_names: str, due: bool
) -> None:
    for found in (agent(OLD, dns_alt_names=alt_names), agent(dns_alt_names=alt_names)):
        found.autosign = autosign
        if found.signed:
            assert not found.judge().signature_due
            found.ca = None
        assert found.judge().signature_due is due


def test_nor_does_it_sign_what_asks_for_the_names_of_before() -> None:
    found = agent(OLD)
    found.autosign = ALL
    asking = replace(found.judge(), alt_names=frozenset({"www.example.com"}))
    assert not found.judge().signature_due
    assert asking.signature_due


def test_a_key_that_nobody_takes_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    found = agent()
    monkeypatch.setattr(certificates, "LEAST_BITS", 1025)
    judged = found.judge()
    assert judged.certificate_problem is not None
    assert judged.certificate_problem.why == "has a key of 1024 bits"
    assert judged.everything_goes
    assert judged.request_due


def test_signature_for_another_key_is_none() -> None:
    found = half_done()["requesting"]
    found.get_signed(key="attacker")
    assert found.judge().signature_due


def test_certificate_for_the_key_that_goes_is_no_signature() -> None:
    found = agent(OLD)
    found.get_signed()
    judged = found.judge()
    assert judged.everything_goes
    assert judged.request_due
    assert judged.signature_due


# Somebody else's at the CA


def foreign(found: Agent) -> str | None:
    """What has to go before the agent asks; that alone is no conflict."""
    judged = found.judge()
    assert judged.conflict is None
    return judged.foreign_request


def test_request_under_a_stale_agents_name_is_not_its_own() -> None:
    found = stale()
    found.requests[AGENT] = request_pem(AGENT, key="attacker")
    assert foreign(found) == read_csr(found.requests[AGENT]).digest


def test_not_even_one_for_the_key_that_the_agent_has_as_yet() -> None:
    found = stale()
    found.requests[AGENT] = found.texts[found.paths.request]
    assert foreign(found) == read_csr(found.requests[AGENT]).digest
    found = stale()
    found.get_signed()
    assert found.judge().conflict is not None


@pytest.mark.parametrize("content", ["", "garbage"])
def test_request_that_is_none_goes_as_well(content: str) -> None:
    found = stale()
    found.requests[AGENT] = content
    assert foreign(found) == "no request at all"


def test_own_request_stays() -> None:
    found = half_done()["requesting"]
    assert foreign(found) is None


def test_request_of_another_key_than_the_one_that_was_begun_with() -> None:
    found = half_done()["requesting"]
    found.requests[AGENT] = request_pem(AGENT, key="attacker")
    assert foreign(found) == read_csr(found.requests[AGENT]).digest


def test_conflict_with_what_another_key_got() -> None:
    found = half_done()["keyed"]
    found.get_signed(key="attacker")
    assert found.judge().conflict is not None


@pytest.mark.parametrize("damage", [another_key, unusable_key, no_key])
def test_agent_that_lost_its_key_is_in_conflict_with_its_own_certificate(
    damage: Callable[[Agent], None],
) -> None:
    assert damaged(damage).judge().conflict is not None


@pytest.mark.parametrize("content", ["", "garbage"])
def test_conflict_with_a_certificate_at_the_master_that_is_none(content: str) -> None:
    found = stale()
    found.signed[found.settings.certname] = content
    conflict = found.judge().conflict
    assert conflict is not None and f"{found.settings.certname}.pem" in conflict


def test_fresh_agent_needs_nothing_of_what_the_master_holds() -> None:
    found = agent()
    found.signed.clear()
    found.requests[AGENT] = request_pem(AGENT, key="attacker")
    judged = found.judge()
    assert judged.conflict is None
    assert not judged.request_due
    assert not judged.signature_due


def test_what_waits_at_a_ca_that_goes_is_no_conflict() -> None:
    found = agent()
    found.requests[AGENT] = request_pem(AGENT, key="attacker")
    found.ca = None
    assert found.judge().conflict is None


def test_other_names_are_no_conflict() -> None:
    found = stale()
    found.requests[CERTNAME] = request_pem(CERTNAME)
    found.signed["web"] = NEW.issue("web", 5)
    assert found.judge().conflict is None


def test_revoked_certificate_that_the_master_still_holds_is_a_conflict() -> None:
    found = damaged(revoked)
    assert "worth nothing any more" in (found.judge().conflict or "")


# The catalog and the Puppet run


@pytest.mark.parametrize(("mtime", "due"), [(MADE - 1, True), (MADE, False), (MADE + 1, False)])
def test_catalog_from_before_the_certificate_goes(mtime: float, due: bool) -> None:
    assert agent().judge().catalog_due(file_state(mtime=mtime)) is due


def test_without_a_catalog_none_goes() -> None:
    assert not agent().judge().catalog_due(None)
    assert not stale().judge().catalog_due(None)


@pytest.mark.parametrize(
    ("last_run", "due"),
    [
        (None, True),
        (BEFORE, True),
        (LastRun(MADE, succeeded=True), False),
        (AFTER, False),
        (LastRun(MADE + 1, succeeded=False), True),
    ],
)
def test_run_is_due_until_one_has_succeeded_since(last_run: LastRun | None, due: bool) -> None:
    assert agent().judge().run_due(last_run) is due


def test_certname_is_the_agents() -> None:
    assert agent().judge().certname == AGENT


def test_run_in_the_second_of_its_certificate_counts() -> None:
    # Puppet notes whole seconds, the file system less.
    found = agent()
    found.files[found.paths.certificate] = file_state(mtime=MADE + 0.24)
    assert not found.judge().run_due(LastRun(MADE, succeeded=True))
    assert found.judge().run_due(LastRun(MADE - 1, succeeded=True))
