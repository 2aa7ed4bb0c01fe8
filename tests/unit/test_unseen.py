"""A certificate that a master has signed by itself is no renewal before a person has looked at it,
if it says more than the one before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from operations import agents
from procedures import renewal
from procedures.agent import AgentRefusedError
from procedures.renewal import AgentRenewal
from recert import preflight
from recert.ca_records import Autosign, Autosigning, CaRecords
from recert.certificates import Certificate
from recert.deployments.authority import PUPPET_CERT
from recert.signing import Judgement, Verdict
from tests.unit.issuing_ca import NEW, OLD, key_digest, puppets_extension, read

NAME = "agent01.example.com"
ROLE = puppets_extension("puppet::master")
FORGED, PLAIN = NEW.issue(NAME, 9, extensions=[ROLE]), NEW.issue(NAME, 9)


def agent(
    shown: str | None,
    signed: str | None,
    former: str | None = None,
    key: str = NAME,
    doubted: str | None = None,
) -> AgentRenewal:
    """One that shows a certificate, of a master that has signed one and signs by itself."""
    records = CaRecords(
        PUPPET_CERT,
        NEW.certificate,
        NEW.crl(),
        signed={NAME: signed} if signed else {},
        autosign=Autosign(Autosigning.ALL),
    )
    before: Certificate | None = read(former) if former else None
    site = SimpleNamespace(
        run=SimpleNamespace(replaces=False),
        ca_records=lambda: records,
        retired_certificate=lambda _: before,
        doubted_certificate=lambda _: read(doubted) if doubted else None,
    )
    now = SimpleNamespace(
        certname=NAME,
        key=key_digest(key),
        certificate=read(shown) if shown else None,
        certificate_problem=None if shown else "is missing",
        replacement_due=False,
    )
    facts = SimpleNamespace(settings=SimpleNamespace(certname=NAME), forget=lambda *_: None)
    found = Judged(cast(Any, site), cast(Any, facts))
    found.seen = now
    return found


class Judged(AgentRenewal):
    """One of which this is what is there now."""

    seen: Any
    now = property(lambda self: self.seen)


@pytest.mark.parametrize(
    ("shown", "signed", "key", "unseen"),
    [
        (FORGED, FORGED, NAME, True),
        (FORGED, None, NAME, True),
        (None, FORGED, NAME, True),
        (PLAIN, FORGED, NAME, True),
        (None, FORGED, "another", False),  # a conflict, which is refused by itself
        (PLAIN, PLAIN, NAME, False),
        (None, None, NAME, False),
    ],
)
def test_whatever_is_in_place_is_compared_with_the_one_before(
    shown: str | None, signed: str | None, key: str, unseen: bool
) -> None:
    why = agent(shown, signed, OLD.issue(NAME, 5), key).unseen
    assert bool(why) is unseen
    if why is not None:
        assert "pp_role = 'puppet::master'" in why
        assert f"approved_certs={read(FORGED).fingerprint}" in why
        assert why.isprintable()


def test_the_new_one_is_no_measure_of_itself_and_without_one_nobody_can_know() -> None:
    assert agent(FORGED, FORGED).unseen is None
    assert agent(FORGED, FORGED, OLD.issue(NAME, 5, extensions=[ROLE])).unseen is None


def test_one_that_is_not_believed_allows_nothing() -> None:
    """Whoever could have the old CA sign had it sign this."""
    why = agent(FORGED, FORGED, doubted=OLD.issue(NAME, 5, extensions=[ROLE])).unseen
    assert why is not None and "pp_role = 'puppet::master'" in why
    assert "says more than its name" in why and "compromised_since" in why
    assert agent(PLAIN, PLAIN, doubted=OLD.issue(NAME, 5, extensions=[ROLE])).unseen is None


def test_who_has_one_is_refused_before_the_first_change(monkeypatch: pytest.MonkeyPatch) -> None:
    found = agent(FORGED, FORGED, OLD.issue(NAME, 5))
    monkeypatch.setattr(renewal, "require_identity", lambda *_: None)
    monkeypatch.setattr(renewal, "AgentRenewal", lambda *_: found)
    monkeypatch.setattr(renewal, "_refusals_of_the_way", lambda *_: [])
    monkeypatch.setattr(renewal, "_named", lambda *_: [])
    monkeypatch.setattr(renewal, "_is_due", lambda _: False)
    for check in ("skew_refusals", "backup_place_refusals"):
        monkeypatch.setattr(preflight, check, lambda *_: [])
    known = SimpleNamespace(
        facts=SimpleNamespace(settings=None, backup_root="", backup_paths=[]), clock_ahead=0
    )
    view = SimpleNamespace(clock_ahead=0, signing_refusals=())
    with pytest.raises(AgentRefusedError, match="pp_role = 'puppet::master'"):
        renewal._prepared(*cast(Any, (None, known, found.site, view)))


def test_who_gets_one_is_not_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    found = agent(FORGED, FORGED, OLD.issue(NAME, 5))
    settled: list[object] = []
    cast(Any, found.site.run).part = lambda _: SimpleNamespace(
        settle=lambda *said: settled.append(said), was_touched=lambda _: True
    )
    told: list[str] = []

    def failed(lines: list[str]) -> str:
        told.extend(lines)
        return "failed"

    state = SimpleNamespace(is_executing=True)
    host = SimpleNamespace(name="web01", state=state, noop=lambda _: None, log=told.append)
    monkeypatch.setattr(agents, "host", host)
    monkeypatch.setattr(agents, "renewal_of", lambda _: found)
    monkeypatch.setattr(agents, "failed", failed)
    monkeypatch.setattr(AgentRenewal, "run_follows", property(lambda _: False))
    proven = cast(Any, agents.proven)._inner.__wrapped__
    assert list(proven()) == ["failed"]
    assert settled == []
    assert "pp_role = 'puppet::master'" in told[0]

    # The master has signed, and the agent has not fetched it yet.
    waits = agent(None, FORGED, OLD.issue(NAME, 5))
    waits.application = cast(Any, object())
    monkeypatch.setattr(agents, "renewal_of", lambda _: waits)
    judged = Judgement(Verdict.UNSEEN, "look at it"), False
    monkeypatch.setattr(agents, "judge_and_sign", lambda *_: judged)
    assert list(cast(Any, agents.signed)._inner.__wrapped__()) == []
    assert told[1:] == ["look at it"]
    assert waits.waiting is None
