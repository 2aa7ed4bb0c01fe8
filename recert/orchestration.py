"""Which nodes have to answer in orchestration, which do, and why the others may not.

A node that was renewed answers once a Puppet run of its own has delivered the shared credentials
and restarted its pe-mcollective; one that was not has none that the broker takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from recert.delivered import RUN_PUPPET, is_delivered
from recert.looks import HostLook
from recert.observed import Orchestration, Service
from recert.problems import renew_remedy
from recert.report import Result, Standing
from recert.survey import SiteState

MESSAGE_LIFE = 60
"""Seconds after which MCollective takes a message for a replayed one, by the receiver's clock.
Source: MCollective's setting `ttl`."""

MOST_STRANGERS = 20
"""That are named one by one."""

LOOK_WHO_ANSWERS = "Run the same command again; or look who answers, as peadmin: mco find."

NTP = "Bring NTP in order on both."


@dataclass(frozen=True)
class NodeAnswer:
    """What orchestration shows of one host."""

    host: str
    saw: str
    result: Result
    remedy: str = ""


def awaited(state: SiteState) -> dict[str, frozenset[str]]:
    """The hosts that are to answer and that nothing keeps from it as far as is known, each with
    the identities by which it may."""
    return {look.host: look.identities for look in state.looks if _is_awaited(state, look)}


def _is_awaited(state: SiteState, look: HostLook) -> bool:
    try:
        return _has_to(state, look) and not any(_obstacles(state, look))
    except Exception:
        return False  # a verification says of it that it cannot be judged


def node_answers(
    state: SiteState,
    seen: Orchestration,
    left_out: Mapping[str, frozenset[str]],
) -> Iterator[NodeAnswer]:
    """One for each host, and one for each stranger that answers.

    :param left_out: identities of the inventory's agents that the run is not about, by host.
    """
    known: set[str] = set()
    for look in state.looks:
        known |= look.identities
        try:
            answer = _node_answer(state, seen, look)
        except Exception as error:
            answer = _node_answer(state, seen, look.without_judgement(error))
        yield answer
    for host, identities in left_out.items():
        if not identities & seen.answering:
            saw = "it is not part of this run, and does not answer"
            yield NodeAnswer(host, saw, Result.NOT_MADE)
    if state.master is None:
        return
    if seen.cut_short:
        saw = "what mco answered was cut short: nobody knows who else answers"
        yield NodeAnswer(state.master.host, saw, Result.FAILED, LOOK_WHO_ANSWERS)
    strangers = sorted(seen.answering - known)
    for identity in [name for name in strangers if name in seen.twice][:MOST_STRANGERS]:
        yield NodeAnswer(state.master.host, *_impostor(state.master, identity))
    unsigned: list[str] = []
    for identity in strangers:
        if state.ca_records.signed(identity) is None:
            unsigned.append(identity)
        elif state.master.deployment.is_internal(identity):
            saw = f"{identity} answers, which is the name of a service and of no node"
            yield NodeAnswer(state.master.host, saw, Result.FAILED, _accepted(state))
    saws = [f"{name} answers, and has no certificate of the CA in place" for name in unsigned]
    if len(saws) > MOST_STRANGERS:
        # Any node can answer under any number of names.
        more = len(saws) - MOST_STRANGERS
        saws[MOST_STRANGERS:] = [f"{more} more names answer that have no certificate of that CA"]
    for saw in saws:
        yield NodeAnswer(state.master.host, saw, Result.FAILED, _accepted(state))


def _node_answer(
    state: SiteState,
    seen: Orchestration,
    look: HostLook,
) -> NodeAnswer:
    answers = sorted(look.identities & seen.answering)
    service = look.deployment.agent.orchestration
    if doubtful := sorted(look.identities & seen.twice):
        return NodeAnswer(look.host, *_impostor(look, doubtful[0]))
    if state.ca_records.ca is None:
        saw = "the master has no CA to compare with"
        return NodeAnswer(look.host, saw, Result.NOT_MADE)
    if not is_renewed(state, look) and not (look.why and _is_signed(state, look)):
        if answers:
            saw = f"{answers[0]} answers, though it has not been renewed"
            return NodeAnswer(look.host, saw, Result.FAILED, _accepted(state))
        if not look.why:
            return NodeAnswer(look.host, "it does not answer: it is not renewed", Result.PASSED)
    if answers:
        return NodeAnswer(look.host, f"{answers[0]} answers", Result.PASSED)
    if look.why:
        saw = f"it does not answer: {look.why}"
        return NodeAnswer(look.host, saw, Result.FAILED, renew_remedy(state))
    if not service:
        saw = f"there is none on an agent of {look.deployment.title}"
        return NodeAnswer(look.host, saw, Result.NOT_MADE)
    if not _has_to(state, look):
        installed = look.services.get(service, Service.MISSING)
        what = "is not installed" if installed is Service.MISSING else "did not run before, either"
        return NodeAnswer(look.host, f"{service} {what}", Result.NOT_MADE)
    reasons = list(_obstacles(state, look))
    if not reasons:
        said = f"; mco says: {seen.said}" if seen.said else ""
        why = f"nothing that is known of it explains that{said}"
        assert look.deployment.messaging is not None
        log = look.kind.orchestration_log(look.deployment.messaging, look.credential_places)
        reasons = [(why, f"Look into {log} there, then restart {service}.")]
    saw = "; ".join(why for why, _ in reasons)
    remedy = " ".join(dict.fromkeys(remedy for _, remedy in reasons))
    return NodeAnswer(look.host, f"it does not answer: {saw}", Result.FAILED, remedy)


def _impostor(look: HostLook, identity: str) -> tuple[str, Result, str]:
    """Who answers is called what it says itself."""
    return (
        f"two nodes answer as {identity}: one of them is not that node",
        Result.FAILED,
        "Find the other one: its MCollective's server.cfg says that identity. Only a node in other "
        "hands is called like another one.",
    )


def is_renewed(state: SiteState, look: HostLook) -> bool:
    """Whether a host has a certificate of the CA in place that works there."""
    cert = state.certificate_of(look)
    good = (Standing.GOOD, Standing.EXPIRING)
    if cert is None or state.cas.standing(cert) not in good:
        return False
    renewal = state.renewal(look)
    return renewal is None or not renewal.certificate_problem


def _is_signed(state: SiteState, look: HostLook) -> bool:
    """Whether the CA in place knows a host that could not be looked at."""
    return any(state.ca_records.signed(identity) is not None for identity in look.identities)


def _has_to(state: SiteState, look: HostLook) -> bool:
    service = look.deployment.agent.orchestration
    found = look.services.get(service, Service.MISSING)
    before = state.stopped_before.get(look.host, frozenset())
    stays_down = found is Service.STOPPED and service in before
    return found is not Service.MISSING and not stays_down and is_renewed(state, look)


def _obstacles(state: SiteState, look: HostLook) -> Iterator[tuple[str, str]]:
    """What may keep a renewed host from answering, each with its remedy."""
    service = look.deployment.agent.orchestration
    found = look.services.get(service)
    if found is Service.STOPPED:
        yield f"{service} does not run", look.kind.start(service)
    elif found is Service.PENDING:
        yield f"{service} hangs while it starts or stops", look.kind.end(service)
    skew = state.clock_skew(look)
    if skew is not None and abs(skew) > MESSAGE_LIFE:
        assert state.master is not None
        here, there = (_clock(state.at, one.clock_ahead) for one in (look, state.master))
        yield (
            f"its clock says {here} where the master's says {there}, and messages that are older "
            f"than {MESSAGE_LIFE} s are dropped",
            NTP,
        )
    renewal = state.renewal(look)
    if renewal is not None and not renewal.trusts_ca_in_place:
        yield "it trusts another CA than the one in place", renew_remedy(state)
    if old := [one.path for one in state.delivered(look)]:
        yield f"its credentials there are old: {', '.join(old)}", RUN_PUPPET
    cert_at = _made(look)
    if look.disabled is not None:
        yield (
            "its Puppet agent is disabled, so that nothing delivers its credentials",
            (f"puppet agent --enable, then: {RUN_PUPPET}"),
        )
    elif cert_at is not None and (
        look.last_run is None or not look.last_run.succeeded or look.last_run.was_before(cert_at)
    ):
        yield "no Puppet run has succeeded since its certificate was made", RUN_PUPPET
    if not any(is_delivered(look, path) for path in look.found.files):
        yield "no credential of MCollective's is there", RUN_PUPPET


def _made(look: HostLook) -> float | None:
    if look.settings is None:
        return None
    entry = look.found.files.get(look.settings.hostcert)
    return entry.mtime if entry is not None else None


def _clock(at: datetime, ahead: float | None) -> str:
    return f"{at + timedelta(seconds=ahead or 0):%Y-%m-%d %H:%M:%S} UTC"


def _accepted(state: SiteState) -> str:
    assert state.master is not None
    site = state.master.deployment
    assert site.delivery is not None and site.messaging is not None
    truststore = site.delivery.truststore.rpartition("/")[2]
    return (
        f"Something takes credentials of the retired CA: look at the master's {truststore}, "
        f"restart {site.messaging.broker} there, then run the same command again."
    )
