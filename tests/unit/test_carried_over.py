"""What the master's own new certificates carry: nothing of one that somebody else may have had
made, before a person has said so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from procedures.carried_over import CarriedOver
from recert.altnames import AltNames
from recert.deployments.pe_3_7 import PE_3_7
from recert.errors import RecertError
from recert.freshness import Retired
from recert.options import Options
from recert.signing import BACKDATED
from tests.unit.issuing_ca import (
    CERTNAME,
    NEW,
    OLD,
    IssuingCa,
    puppets_extension,
    read,
    settings,
)

DAY = datetime(2015, 11, 1, tzinfo=UTC)
SINCE = {"compromised_since": f"{DAY:%Y-%m-%d}"}
BEFORE, LATER = DAY - timedelta(days=9), DAY + timedelta(days=9)
ROLE, HAD = puppets_extension("compile"), {"1.3.6.1.4.1.34380.1.1.13": "compile"}
SERVICE = "pe-internal-dashboard"
SIGNED = {
    at: read(
        OLD.issue(
            CERTNAME,
            7,
            [CERTNAME, "puppet", "evil.example.com"],
            begins=at - BACKDATED,
            extensions=[ROLE],
        )
    )
    for at in (BEFORE, LATER)
}
PLAIN = read(OLD.issue(CERTNAME, 8, [CERTNAME, "puppet"], begins=LATER - BACKDATED))
OF_SERVICE = read(OLD.issue(SERVICE, 9, [SERVICE, "db"], begins=LATER - BACKDATED))
APPROVED = {"approved_certs": SIGNED[LATER].fingerprint, **SINCE}
DISOWNED = {"disowned_certs": SIGNED[LATER].fingerprint, **SINCE}


def carrying(
    in_use: Any,
    said: dict[str, str] = SINCE,
    *,
    saved: Any = (),
    services: Any = (),
    own_file: str | None = None,
    ca: IssuingCa = OLD,
    configured: str = "puppet",
) -> CarriedOver:
    conf = settings(dns_alt_names=configured)
    backups = [SimpleNamespace(manifest=SimpleNamespace(certificate=c.pem)) for c in saved]
    facts = SimpleNamespace(
        settings=conf,
        certificate_in_use=in_use,
        backups=SimpleNamespace(of_ca=lambda *_: backups),
        ssl=SimpleNamespace(texts={conf.cacert: ca.pem}),
        deployment=PE_3_7,
        retired_certificates=lambda _: {cert.subject: cert for cert in services},
        csr_attributes=[own_file] if own_file is not None else [],
        attributes_path="/etc/puppetlabs/puppet/csr_attributes.yaml",
    )
    retired = Retired(OLD.certificate.fingerprint, OLD.certificate.key, OLD.certificate)
    return CarriedOver.of(cast(Any, facts), retired, Options(dict[str, object](said).get))


def names(found: CarriedOver) -> set[str]:
    return set(found.alt_names.names)


@pytest.mark.parametrize(
    ("at", "said", "counts"),
    [
        (BEFORE, SINCE, True),
        (LATER, {}, True),
        (LATER, APPROVED, True),
        (LATER, SINCE, False),
        (LATER, DISOWNED, False),
        (BEFORE, {"disowned_certs": SIGNED[BEFORE].fingerprint}, False),
        (LATER, {**APPROVED, **DISOWNED}, False),
    ],
)
def test_what_counts_is_carried_over(at: datetime, said: dict[str, str], counts: bool) -> None:
    """Whether the certificate is still there or a backup has it alone."""
    for found in (carrying(SIGNED[at], said), carrying(None, said, saved=[SIGNED[at]])):
        assert names(found) == {"puppet", "evil.example.com"} - (
            set() if counts else {"evil.example.com"}
        )
        assert found.extensions == (HAD if counts else {})


def test_what_may_be_somebody_elses_is_asked_about() -> None:
    (why,) = carrying(SIGNED[LATER]).refusals(lambda _: True)
    fingerprint = SIGNED[LATER].fingerprint
    assert f"The certificate of {CERTNAME} was signed since" in why and "compromised_since" in why
    assert "the alternative names evil.example.com and the extensions pp_role=compile" in why
    assert f"--data approved_certs={fingerprint}" in why
    assert f"--data disowned_certs={fingerprint}" in why
    assert "--data dns_alt_names=" in why and "csr_attributes.yaml" in why
    assert carrying(SIGNED[LATER]).refusals(lambda name: name != CERTNAME) == []


@pytest.mark.parametrize(
    ("found", "open_"),
    [
        (carrying(SIGNED[BEFORE]), False),
        (carrying(SIGNED[LATER], {}), False),
        (carrying(SIGNED[LATER], APPROVED), False),
        (carrying(SIGNED[LATER], DISOWNED), False),
        (carrying(PLAIN), False),
        (carrying(PLAIN, configured=""), False),
        (carrying(PLAIN, configured="www"), True),
        (carrying(None, saved=[SIGNED[LATER]]), True),
        # The names are said, what else it has is not; or all of it.
        (carrying(SIGNED[LATER], {**SINCE, "dns_alt_names": "puppet"}), True),
        (
            carrying(
                SIGNED[LATER],
                {**SINCE, "dns_alt_names": "puppet"},
                own_file="extension_requests: {pp_role: compile}",
            ),
            False,
        ),
    ],
)
def test_a_person_is_asked_where_nothing_else_says_so(found: CarriedOver, open_: bool) -> None:
    assert bool(found.refusals(lambda _: True)) is open_


def test_what_puppet_gives_by_itself_it_goes_on_to_give() -> None:
    assert carrying(PLAIN, configured="").alt_names == AltNames(CERTNAME, ("puppet",))


def test_names_that_are_said_are_the_names() -> None:
    said = {**SINCE, "dns_alt_names": "puppet,www"}
    assert names(carrying(SIGNED[LATER], said)) == {"puppet", "www"}


def test_what_is_left_out_is_told_in_the_preview() -> None:
    (line,) = carrying(SIGNED[LATER], DISOWNED).told(lambda _: True)
    assert "evil.example.com and the extensions pp_role=compile" in line and CERTNAME in line
    assert carrying(SIGNED[LATER], APPROVED).told(lambda _: True) == []


def test_the_one_before_it_counts() -> None:
    """Extensions of a backup's, which nobody else had made."""
    assert carrying(SIGNED[LATER], DISOWNED, saved=[SIGNED[BEFORE]]).extensions == HAD


def test_certificates_of_services_are_asked_about_as_well() -> None:
    found = carrying(PLAIN, services=[OF_SERVICE])
    assert found.kept_names == {}
    (why,) = found.refusals(lambda _: True)
    assert f"The certificate of {SERVICE} " in why and "the alternative names db," in why
    assert "dns_alt_names" not in why

    approved = {**SINCE, "approved_certs": OF_SERVICE.fingerprint}
    found = carrying(PLAIN, approved, services=[OF_SERVICE])
    assert (found.kept_names, found.refusals(lambda _: True)) == ({SERVICE: frozenset({"db"})}, [])

    disowned = {**SINCE, "disowned_certs": OF_SERVICE.fingerprint}
    found = carrying(PLAIN, disowned, services=[OF_SERVICE])
    assert (found.kept_names, found.refusals(lambda _: True)) == ({}, [])
    assert [SERVICE in line for line in found.told(lambda _: True)] == [True]


def test_what_the_new_ca_has_signed_is_nobody_elses() -> None:
    new = read(NEW.issue(CERTNAME, 9, [CERTNAME, "puppet", "www"], begins=LATER))
    found = carrying(new, saved=[SIGNED[LATER]], ca=NEW)
    assert names(found) == {"puppet", "www"}
    assert found.refusals(lambda name: name != CERTNAME) == []


def test_what_is_not_understood_is_refused() -> None:
    with pytest.raises(RecertError, match="compromised_since=yesterday"):
        carrying(PLAIN, {"compromised_since": "yesterday"})
