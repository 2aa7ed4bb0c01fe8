"""Single certificates are replaced: whose they are, and what the new ones may have."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyinfra.api.exceptions import DeployError

from procedures.renewal import (
    AgentRenewal,
    _certificate_named,
    _refusals_of_the_way,
    _warn_of_what_is_left,
)
from procedures.site import Site
from recert.ca_records import CaRecords
from recert.certificates import Certificate
from recert.deployments.authority import PUPPET_CERT
from recert.observed import Service
from recert.options import Options
from tests.unit.issuing_ca import NEW, read, settings

NAME, OTHER = "agent01.example.com", "agent02.example.com"
OWN, BEFORE = read(NEW.issue(NAME, 9)), read(NEW.issue(NAME, 5, key="before"))
OTHERS = read(NEW.issue(OTHER, 7))


def renewal(
    named: Certificate,
    shown: Certificate | None,
    *former: Certificate,
    revoked: tuple[int, ...] = (),
    kept: Certificate | None = None,
) -> Any:
    """An agent that shows these, where somebody has named one certificate to replace, and the
    master has kept one."""
    ca_records = CaRecords(
        PUPPET_CERT,
        NEW.certificate,
        NEW.crl(revoked),
        signed={NAME: kept.pem} if kept is not None else {},
        retired=frozenset({named.fingerprint}),
    )
    site = SimpleNamespace(
        retire_certs=ca_records.retired,
        run=SimpleNamespace(replaces=True),
        ca_records=lambda: ca_records,
        found=set(),
        compared=set(),
    )
    now = SimpleNamespace(
        certname=NAME, certificate=shown, certificate_problem="is missing", ca_records=ca_records
    )
    facts = SimpleNamespace(
        settings=SimpleNamespace(certname=NAME), host=SimpleNamespace(name="agent01")
    )
    return SimpleNamespace(
        now=now, site=site, facts=facts, named={}, former_certificates=list(former)
    )


@pytest.mark.parametrize("where", ["shown", "backed up"])
def test_whoever_shows_another_ones_is_not_replaced(where: str) -> None:
    shown, former = (OTHERS, ()) if where == "shown" else (None, (OTHERS,))
    asked = renewal(OTHERS, shown, *former)
    (refusal,) = _certificate_named(cast(AgentRenewal, asked))
    assert "none of those to retire" in refusal
    assert asked.named == {}
    assert asked.site.found == set()


def test_its_own_is_wherever_it_is() -> None:
    for asked in (renewal(OWN, OWN), renewal(OWN, None, BEFORE, OWN)):
        assert _certificate_named(cast(AgentRenewal, asked)) == []
        assert asked.named == {OWN.fingerprint: OWN}


def test_a_run_that_names_none_is_over_before_anybody_is_asked_whether_to_begin() -> None:
    def site(replaces: bool, said: str) -> Site:
        run = SimpleNamespace(
            replaces=replaces,
            options=Options({"retire_certs": said}.get),
            once=lambda _, act, **__: act(),
            agents=[],
        )
        return Site(cast(Any, run))

    for said in ("", " ,"):
        with pytest.raises(DeployError, match="no certificate to retire is named"):
            site(True, said).require_all_found()
    site(False, "").require_all_found()
    named = site(True, OWN.fingerprint)
    named.found.add(OWN.fingerprint)
    named.require_all_found()


def measure(asked: Any) -> Certificate | None:
    """By which certificate it is told what the new one may have."""
    found: Certificate | None = AgentRenewal.former_certificate.fget(asked)  # type: ignore[attr-defined]
    return found


def test_what_lies_on_the_agent_is_no_measure() -> None:
    """It may have had more at a time, in a certificate that has expired, or been replaced."""
    assert measure(renewal(OTHERS, BEFORE, OWN)) is None
    assert measure(renewal(OTHERS, BEFORE, OWN, kept=OWN)) == OWN
    assert measure(renewal(OTHERS, BEFORE, OWN, kept=OTHERS)) is None


def test_what_was_named_is_the_measure_wherever_it_is_kept() -> None:
    """After an interruption the master has none any more."""
    asked = renewal(OWN, BEFORE, OWN, revoked=(BEFORE.serial, OWN.serial))
    assert _certificate_named(cast(AgentRenewal, asked)) == []
    assert measure(asked) == OWN


def test_what_was_revoked_before_is_no_measure() -> None:
    assert measure(renewal(OTHERS, None, kept=OWN, revoked=(OWN.serial,))) is None
    # What this run has had revoked is what it replaces.
    assert measure(renewal(OWN, None, kept=OWN, revoked=(OWN.serial,))) == OWN


# On the way to its master


def test_who_asks_dns_for_its_master_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("procedures.renewal.warn", lambda _, line: said.append(line))
    host, view = SimpleNamespace(data={}), SimpleNamespace(names=["puppet"], port=8140)
    for srv in ("false", "true"):
        conf = settings(server="puppet", ca_server="puppet", use_srv_records=srv)
        assert _refusals_of_the_way(cast(Any, host), conf, cast(Any, view)) == []
    (line,) = said
    assert "use_srv_records" in line and "one of puppet there, at port 8140" in line


def test_what_dns_says_counts_for_more_than_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("procedures.renewal.warn", lambda *_: None)
    host, view = SimpleNamespace(data={}), SimpleNamespace(names=["ca.example.com"], port=8140)
    for srv, refused in (("false", 2), ("true", 0)):
        conf = settings(server="puppet", ca_server="puppet", ca_port="9999", use_srv_records=srv)
        found = _refusals_of_the_way(cast(Any, host), conf, cast(Any, view))
        assert len(found) == refused


@pytest.mark.parametrize(
    ("noop", "state", "warned"),
    [
        ("false", Service.RUNNING, []),
        ("true", Service.STOPPED, ["noop = true"]),
        ("false", Service.MISSING, ["None of puppet, mcollective is a service there"]),
    ],
)
def test_what_a_renewal_leaves_is_told_of(
    monkeypatch: pytest.MonkeyPatch, noop: str, state: Service, warned: list[str]
) -> None:
    said: list[str] = []
    monkeypatch.setattr("procedures.renewal.warn", lambda _, line: said.append(line))
    facts = SimpleNamespace(
        host=None,
        settings=settings(noop=noop),
        services_asked=("puppet", "mcollective"),
        services={"puppet": state, "mcollective": Service.MISSING},
    )
    now = SimpleNamespace(everything_goes=False)
    _warn_of_what_is_left(cast(AgentRenewal, SimpleNamespace(facts=facts, now=now)))
    assert len(said) == len(warned)
    assert all(words in line for words, line in zip(warned, said, strict=True))


@pytest.mark.parametrize(
    ("said", "refused"),
    [({}, ["ca_port is 9999"]), ({"forwarded_ports": 9999}, []), ({"forwarded_ports": "x"}, ["x"])],
    ids=str,
)
def test_who_would_not_reach_its_master_is_refused(
    said: dict[str, object], refused: list[str]
) -> None:
    """Before its ssldir is emptied: the request would be refused, with its services down."""
    host = SimpleNamespace(data=said)
    view = SimpleNamespace(names=["puppet"], port=8140)
    conf = settings(server="puppet", ca_server="puppet", ca_port="9999")
    found = _refusals_of_the_way(cast(Any, host), conf, cast(Any, view))
    assert len(found) == len(refused)
    assert all(words in message for words, message in zip(refused, found, strict=True))
