"""Who has to answer in orchestration, who must not, and why somebody may not."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from procedures import orchestration as asking
from procedures.master import MasterFacts
from recert import orchestration
from recert.deployments.pe_3_7 import PE_3_7
from recert.looks import HostLook
from recert.observed import LastRun, Orchestration, Service
from recert.orchestration import awaited
from recert.report import Check, Result, Role
from recert.survey import SiteState
from recert.verification import About, Evidence, verify
from tests.unit.agent import AGENT, SERIAL, agent
from tests.unit.delivered import (
    MCOLLECTIVE,
    WINDOWS_MCOLLECTIVE,
    shared,
    with_delivered,
    with_everything,
)
from tests.unit.issuing_ca import CERTNAME, MADE, NEW, OLD, master
from tests.unit.looks import look_at_agent, look_at_master, site

EVERYBODY = (CERTNAME, AGENT)


pytestmark = pytest.mark.usefixtures("short_keys_will_do")


def made(state: SiteState, *answering: str, said: str = "", **evidence: object) -> dict[str, Check]:
    """The check of each host."""
    seen = Orchestration(frozenset(answering), said=said)
    checks = verify(state, replace(Evidence(orchestration=seen), **evidence))  # type: ignore[arg-type]
    about = [check for check in checks if check.about == About.ORCHESTRATED.value]
    assert len({check.host for check in about}) == len(about)
    assert all(check.remedy for check in about if check.result is Result.FAILED)
    return {check.host: check for check in about}


def why_absent(state: SiteState, said: str = "") -> Check:
    """Why the agent does not answer."""
    check = made(state, CERTNAME, said=said)["web01"]
    assert check.result is Result.FAILED
    assert check.saw.startswith("it does not answer: ")
    return check


def test_every_renewed_node_answers(puppet: HostLook, web: HostLook) -> None:
    state = site(puppet, web)
    checks = made(state, *EVERYBODY)
    assert {host: (c.result, c.saw) for host, c in checks.items()} == {
        "master": (Result.PASSED, f"{CERTNAME} answers"),
        "web01": (Result.PASSED, f"{AGENT} answers"),
    }
    assert awaited(state) == {
        "master": {CERTNAME},
        "web01": {AGENT},
    }


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (Orchestration(why="there is no mco on the master"), "there is no mco on the master"),
        (None, "nobody was asked"),
    ],
)
def test_where_nobody_can_be_asked_nothing_is_proven(
    puppet: HostLook, web: HostLook, seen: Orchestration | None, why: str
) -> None:
    checks = verify(site(puppet, web), Evidence(orchestration=seen))
    (check,) = [c for c in checks if c.about == About.ORCHESTRATED.value]
    assert (check.host, check.result, check.saw) == ("master", Result.NOT_MADE, why)


# Those that have no certificate of the CA in place


def old_agent() -> HostLook:
    return look_at_agent(agent(OLD))


def test_a_node_that_is_not_renewed_must_be_absent() -> None:
    state = site(with_everything(look_at_master(master())), old_agent())
    absent = made(state, CERTNAME)["web01"]
    assert (absent.result, absent.saw) == (
        Result.PASSED,
        "it does not answer: it is not renewed",
    )
    present = made(state, *EVERYBODY)["web01"]
    assert (present.result, present.saw) == (
        Result.FAILED,
        f"{AGENT} answers, though it has not been renewed",
    )
    assert "broker.ts" in present.remedy
    assert set(awaited(state)) == {"master"}


def test_a_node_whose_certificate_is_revoked_must_be_absent(web: HostLook) -> None:
    revoking = master()
    for path in (revoking.settings.cacrl, revoking.settings.hostcrl):
        revoking.write(path, NEW.crl([SERIAL]))
    puppet = with_everything(look_at_master(revoking, [agent()]))
    assert made(site(puppet, web), *EVERYBODY)["web01"].result is Result.FAILED


def test_a_stranger_that_answers(puppet: HostLook) -> None:
    checks = verify(
        site(puppet), Evidence(orchestration=Orchestration(frozenset({*EVERYBODY, "gone.example"})))
    )
    seen = [(c.host, c.saw, c.result) for c in checks if c.about == About.ORCHESTRATED.value]
    # The CA has signed for the agent that this run is not about, and for the other not.
    assert seen == [
        ("master", f"{CERTNAME} answers", Result.PASSED),
        (
            "master",
            "gone.example answers, and has no certificate of the CA in place",
            Result.FAILED,
        ),
    ]


def test_who_answers_under_many_names_fills_no_report(puppet: HostLook) -> None:
    names = [f"x{number:06}" for number in range(30_000)]
    seen = Orchestration(frozenset({*EVERYBODY, *names}), twice=frozenset(names), cut_short=True)
    checks = verify(site(puppet), Evidence(orchestration=seen))
    failed = [c.saw for c in checks if c.result is Result.FAILED]
    assert 3 < len(failed) < 60
    assert "29980 more names answer that have no certificate of that CA" in failed
    assert "what mco answered was cut short: nobody knows who else answers" in failed
    assert f"{CERTNAME} answers" in [c.saw for c in checks if c.result is Result.PASSED]


def test_nobody_is_called_like_a_service(puppet: HostLook) -> None:
    """The CA has signed for those names, too."""
    name = puppet.deployment.internal_names[0]
    seen = Evidence(orchestration=Orchestration(frozenset({*EVERYBODY, name})))
    found = [(c.host, c.saw) for c in verify(site(puppet), seen) if c.result is Result.FAILED]
    assert ("master", f"{name} answers, which is the name of a service and of no node") in found


def test_two_that_answer_by_one_name(puppet: HostLook, web: HostLook) -> None:
    """An identity is what a node says of itself: one of them is another one."""
    seen = Orchestration(frozenset(EVERYBODY), twice=frozenset({AGENT}))
    for state, host in ((site(puppet, web), "web01"), (site(puppet), "master")):
        checks = verify(state, Evidence(orchestration=seen))
        failed = [
            c
            for c in checks
            if c.about == About.ORCHESTRATED.value and c.result is not Result.PASSED
        ]
        assert [(c.host, c.result) for c in failed] == [(host, Result.FAILED)]
        assert failed[0].saw == f"two nodes answer as {AGENT}: one of them is not that node"
        assert failed[0].remedy


def test_who_has_answered_twice_once_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "say", lambda *_: None)
    answers = [
        Orchestration(frozenset({"a"}), twice=frozenset({"a"})),
        Orchestration(frozenset({"a", "b"}), said="x"),
    ]
    master = SimpleNamespace(host=None, seen=lambda *_, **__: answers.pop(0))
    awaited = {name: frozenset({name}) for name in "ab"}
    assert asking.ask_orchestration(cast(MasterFacts, master), awaited) == Orchestration(
        frozenset({"a", "b"}), said="x", twice=frozenset({"a"})
    )


def test_a_node_that_was_left_out_is_named(puppet: HostLook, web: HostLook) -> None:
    left_out = {"app01": frozenset({"app01.example.com"}), "web01": frozenset({AGENT})}
    checks = made(site(puppet), *EVERYBODY, left_out=left_out)
    assert (checks["app01"].result, checks["app01"].saw) == (
        Result.NOT_MADE,
        "it is not part of this run, and does not answer",
    )
    assert "web01" not in checks, "it answers, and the CA has signed for it"


def test_a_node_that_cannot_be_reached(puppet: HostLook) -> None:
    gone = HostLook(
        "app01", Role.AGENT, PE_3_7, "it could not be connected to", names=frozenset({"app01"})
    )
    assert made(site(puppet, gone), CERTNAME)["app01"].saw == (
        "it does not answer: it could not be connected to"
    )
    assert made(site(puppet, gone), CERTNAME, "app01")["app01"].result is Result.FAILED
    # One that the CA has signed for may be renewed; it answers, whoever cannot reach it.
    known = replace(gone, names=frozenset({AGENT}))
    assert made(site(puppet, known), *EVERYBODY)["app01"].result is Result.PASSED
    assert "app01" not in awaited(site(puppet, gone))


# Why a renewed node does not answer


@pytest.mark.parametrize(
    ("state", "saw", "remedy"),
    [
        (Service.STOPPED, "pe-mcollective does not run", "service pe-mcollective start"),
        (
            Service.PENDING,
            "pe-mcollective hangs while it starts or stops",
            "service pe-mcollective",
        ),
    ],
)
def test_its_service(
    puppet: HostLook, web: HostLook, state: Service, saw: str, remedy: str
) -> None:
    look = replace(web, services={**web.services, "pe-mcollective": state})
    check = why_absent(site(puppet, look))
    assert check.saw == f"it does not answer: {saw}"
    assert check.remedy.startswith(remedy)
    assert set(awaited(site(puppet, look))) == {"master"}


def test_a_service_that_hangs_on_windows(puppet: HostLook, web: HostLook) -> None:
    look = replace(
        web,
        role=Role.WINDOWS_AGENT,
        credential_places=(WINDOWS_MCOLLECTIVE,),
        services={"pe-puppet": Service.RUNNING, "pe-mcollective": Service.PENDING},
    )
    assert "taskkill" in why_absent(site(puppet, look)).remedy


def test_a_service_that_is_not_to_run(puppet: HostLook, web: HostLook) -> None:
    stopped = replace(web, services={**web.services, "pe-mcollective": Service.STOPPED})
    missing = replace(web, services={**web.services, "pe-mcollective": Service.MISSING})
    before = {"web01": frozenset({"pe-mcollective"})}
    state = replace(site(puppet, stopped), stopped_before=before)
    check = made(state, CERTNAME)["web01"]
    assert (check.result, check.saw) == (
        Result.NOT_MADE,
        "pe-mcollective did not run before, either",
    )
    check = made(site(puppet, missing), CERTNAME)["web01"]
    assert (check.result, check.saw) == (Result.NOT_MADE, "pe-mcollective is not installed")
    assert set(awaited(state)) == {"master"}


@pytest.mark.parametrize(("ahead", "its"), [(61.0, "12:01:01"), (-61.0, "11:58:59")])
def test_its_clock(puppet: HostLook, web: HostLook, ahead: float, its: str) -> None:
    check = why_absent(site(puppet, replace(web, clock_ahead=ahead)))
    assert check.saw == (
        f"it does not answer: its clock says 2015-11-23 {its} UTC where the master's says "
        "2015-11-23 12:00:00 UTC, and messages that are older than 60 s are dropped"
    )
    assert "NTP" in check.remedy
    near = site(puppet, replace(web, clock_ahead=59.0))
    assert "clock" not in why_absent(near).saw


def test_old_credentials(puppet: HostLook, web: HostLook) -> None:
    path = f"{MCOLLECTIVE}/mcollective-cacert.pem"
    look = with_delivered(web, shared(), puppet, old=[path])
    check = why_absent(site(puppet, look))
    assert check.saw == f"it does not answer: its credentials there are old: {path}"
    assert "puppet agent --test" in check.remedy


def test_no_credentials_at_all(puppet: HostLook) -> None:
    check = why_absent(site(puppet, look_at_agent(agent())))
    assert check.saw.endswith("no credential of MCollective's is there")


def test_another_ca_that_it_trusts(puppet: HostLook, web: HostLook) -> None:
    trusting = agent()
    trusting.trust(OLD)
    look = with_delivered(look_at_agent(trusting), shared(), puppet)
    assert "it trusts another CA than the one in place" in why_absent(site(puppet, look)).saw


@pytest.mark.parametrize(
    "last", [None, LastRun(MADE + 60, succeeded=False), LastRun(MADE - 60, succeeded=True)]
)
def test_no_puppet_run_since(puppet: HostLook, web: HostLook, last: LastRun | None) -> None:
    check = why_absent(site(puppet, replace(web, last_run=last)))
    assert "no Puppet run has succeeded since its certificate was made" in check.saw


def test_a_disabled_puppet_agent(puppet: HostLook, web: HostLook) -> None:
    check = why_absent(site(puppet, replace(web, disabled="maintenance", last_run=None)))
    assert "its Puppet agent is disabled" in check.saw
    assert check.remedy.startswith("puppet agent --enable")


def test_nothing_that_is_known(puppet: HostLook, web: HostLook) -> None:
    check = why_absent(site(puppet, web), said="execution expired")
    assert check.saw.endswith(
        "nothing that is known of it explains that; mco says: execution expired"
    )
    assert "/var/log/pe-mcollective/mcollective.log" in check.remedy
    assert set(awaited(site(puppet, web))) == {"master", "web01"}


def test_who_cannot_be_judged_is_not_waited_for(
    puppet: HostLook, web: HostLook, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, renewed = site(puppet, web), orchestration.is_renewed

    def failing(state: SiteState, look: HostLook) -> bool:
        if look.host == "web01" and look.settings is not None:
            raise ValueError("nobody has thought of that")
        return renewed(state, look)

    monkeypatch.setattr(orchestration, "is_renewed", failing)
    assert awaited(state) == {"master": {CERTNAME}}
    checks = made(state, CERTNAME)
    assert checks["master"].result is Result.PASSED
    assert checks["web01"].result is Result.FAILED
    assert "cannot be judged: ValueError: nobody has thought of that" in checks["web01"].saw
