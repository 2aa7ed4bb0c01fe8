"""A file of CAs that a host trusts may hold those of others, and in any order."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from procedures.agent_restoration import AgentRestoration
from procedures.master import MasterFacts
from procedures.renewal import AgentRenewal, _named
from recert.backups import Manifest
from recert.certificates import Certificate
from recert.freshness import Retired
from recert.report import Standing
from recert.site_cas import SiteCas, ca_of_master
from tests.unit.agent import AGENT, agent
from tests.unit.issuing_ca import CERTNAME, NEW, OLD, IssuingCa, master, read, settings
from tests.unit.looks import look_at_agent, look_at_master, site

FOREIGN, LAST = IssuingCa("other-ca"), IssuingCa("last-ca")
RETIRED = Retired(OLD.certificate.fingerprint, OLD.certificate.key, OLD.certificate)
CONF = settings()


def manifest(**known: str | None) -> Manifest:
    empty = Manifest("", "", "", None, None, None, None, (), {})
    return replace(empty, **cast(Any, known))


CAS = SiteCas.of(NEW.certificate, RETIRED, [manifest(ca_key=LAST.certificate.key)])
ORDERS = [[FOREIGN, OLD], [OLD, FOREIGN], [OLD]]


def bundle(*cas: IssuingCa) -> str:
    return "".join(ca.pem for ca in cas)


def ssl(pem: str, own: str = "") -> Any:
    return SimpleNamespace(texts={CONF.localcacert: pem, CONF.hostcert: own})


def test_a_sites_cas_are_known_by_all_that_the_master_has_of_them() -> None:
    again = IssuingCa("old-ca", serial=7)
    everything = bundle(FOREIGN, again, LAST, NEW)
    assert CAS.among(everything) == [again.certificate, LAST.certificate, NEW.certificate]
    by_name = SiteCas.of(None, Retired(OLD.certificate.fingerprint, None), [])
    assert by_name.among(bundle(FOREIGN, OLD)) == [OLD.certificate]
    by_backup = SiteCas.of(None, None, [manifest(ca_certificate=OLD.pem)])
    assert by_backup.among(bundle(FOREIGN, again)) == [again.certificate]
    assert by_backup.with_ca(NEW.certificate).has(NEW.certificate)
    assert SiteCas().among(everything) == []


@pytest.mark.parametrize("order", ORDERS)
def test_the_sites_ca_counts_wherever_it_stands(order: list[IssuingCa]) -> None:
    own = read(OLD.issue(AGENT, 9))
    assert CAS.trusted(bundle(*order), own) == OLD.certificate
    assert CAS.trusted(bundle(NEW, *order), own) == OLD.certificate
    assert CAS.trusted(bundle(FOREIGN), own) == FOREIGN.certificate
    assert CAS.trusted("", own) is None


@pytest.mark.parametrize("order", ORDERS)
def test_a_renewal_takes_no_foreign_ca_for_the_sites(order: list[IssuingCa]) -> None:
    facts = SimpleNamespace(settings=CONF, ssl=ssl(bundle(*order)))
    site = SimpleNamespace(cas=[NEW.certificate], ever_had=CAS)
    asked = cast(Any, SimpleNamespace(facts=facts, site=site))
    known: list[Certificate] = AgentRenewal.known_cas.fget(asked)  # type: ignore[attr-defined]
    assert known == [NEW.certificate, OLD.certificate]


@pytest.mark.parametrize("order", ORDERS)
def test_nor_does_a_restoration(order: list[IssuingCa]) -> None:
    own = OLD.issue(AGENT, 9)
    facts = SimpleNamespace(
        settings=CONF, ssl=ssl(bundle(*order), own), certificate_in_use=read(own)
    )
    restoration = AgentRestoration(cast(Any, facts), None, CAS)
    assert restoration.cas == [OLD.certificate]
    # What is replaced is backed up under the name of that one.
    assert restoration.trusted_ca == OLD.certificate


@pytest.mark.parametrize("order", [[FOREIGN, NEW], [NEW, FOREIGN], [NEW]])
def test_an_agent_that_trusts_others_as_well_trusts_its_master(order: list[IssuingCa]) -> None:
    found = agent()
    found.write(found.settings.localcacert, bundle(*order))
    judged = replace(found.judge(), cas=CAS)
    assert judged.trusts_ca_in_place
    assert judged.trusted_ca == NEW.certificate
    assert not judged.replacement_due


@pytest.mark.parametrize("given_up", [OLD, LAST])
def test_one_that_trusts_a_ca_that_was_given_up_does_not(given_up: IssuingCa) -> None:
    found = agent()
    for order in ([given_up, NEW], [NEW, given_up]):
        found.write(found.settings.localcacert, bundle(*order))
        judged = replace(found.judge(), cas=CAS)
        assert not judged.trusts_ca_in_place
        assert judged.ca_due


def test_a_file_that_begins_with_a_damaged_certificate_is_none() -> None:
    found = agent()
    damaged = "".join(NEW.pem.splitlines(keepends=True)[:2]) + "-----END CERTIFICATE-----\n"
    found.write(found.settings.localcacert, damaged + NEW.pem)
    assert not replace(found.judge(), cas=CAS).trusts_ca_in_place


@pytest.mark.parametrize(
    ("order", "is_refused"),
    [([FOREIGN, OLD], False), ([OLD, FOREIGN], False), ([FOREIGN], True), ([], False)],
)
def test_an_agent_of_another_site_is_refused(order: list[IssuingCa], is_refused: bool) -> None:
    found = agent(OLD)
    found.write(found.settings.localcacert, bundle(*order))
    backups = SimpleNamespace(backups=[])
    facts = SimpleNamespace(backups=backups)
    asked = SimpleNamespace(now=replace(found.judge(), cas=CAS), facts=facts)
    of_old = SimpleNamespace(manifest=manifest(ca_fingerprint=OLD.certificate.fingerprint))
    view = SimpleNamespace(
        retired=RETIRED,
        facts=SimpleNamespace(backups=SimpleNamespace(backups=[of_old])),
    )
    refusals = _named(cast(AgentRenewal, asked), cast(Any, view))
    assert any("It trusts another CA" in line for line in refusals) is is_refused
    assert bool(refusals) is is_refused


def _known_to_master(cacert: str, trusted: str, *manifests: Manifest) -> list[Certificate]:
    facts = SimpleNamespace(
        settings=CONF,
        ssl=SimpleNamespace(texts={CONF.cacert: cacert, CONF.localcacert: trusted}),
        certificate_in_use=read(OLD.issue(CERTNAME, 2)),
        backups=SimpleNamespace(backups=[SimpleNamespace(manifest=one) for one in manifests]),
    )
    known: list[Certificate] = MasterFacts.known_cas.fget(cast(Any, facts))  # type: ignore[attr-defined]
    return known


def test_nor_does_a_master_take_one_for_its_own() -> None:
    trusted = bundle(FOREIGN, OLD, LAST)
    of_last = manifest(ca_key=LAST.certificate.key)
    assert FOREIGN.certificate not in _known_to_master(OLD.pem, trusted, of_last)
    assert LAST.certificate in _known_to_master(OLD.pem, trusted, of_last)
    # Its CA's own file is damaged: the one that has certified it.
    assert all(ca == OLD.certificate for ca in _known_to_master("", trusted))
    assert _known_to_master("", trusted)
    assert ca_of_master("", trusted, None) is None


def test_a_survey_looks_at_all_of_them() -> None:
    old, new = agent(OLD), agent()
    old.write(old.settings.localcacert, bundle(FOREIGN, OLD))
    new.write(new.settings.localcacert, bundle(FOREIGN, NEW))
    for found, trusts in ((old, OLD), (new, NEW)):
        look = look_at_agent(found)
        state = site(look_at_master(master(), [found]), look)
        assert state.snapshot().hosts[1].trusts == trusts.certificate.fingerprint
        (own,) = (
            record
            for record in state.snapshot().certificates
            if (record.host, record.path) == (look.host, found.settings.localcacert)
        )
        assert own.standing is (Standing.RETIRED if found is old else Standing.GOOD)


def test_nor_are_keys_of_a_foreign_ca_the_masters_in_a_survey() -> None:
    found = master()
    found.write(found.settings.localcacert, bundle(FOREIGN, NEW))
    state = site(look_at_master(found))
    assert not state.site_cas.has(FOREIGN.certificate)
    assert state.site_cas.has(NEW.certificate)
