"""Steps 1 and 5: a master's services, all in one process on the host, each looked at afterwards."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from pyinfra import host, logger
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from facts.services import SERVICE_FUNCTIONS
from operations.readiness import FIRST_ROUND, until_answering
from operations.step import (
    CHANGE_LIMIT,
    REMEMBER,
    changing,
    printable,
    show_diff,
    step_failed,
    wait_until,
)
from procedures.outage import note_down, note_up
from procedures.procedure import Procedure, procedure_of
from recert.certificates import utc_now
from recert.deployments.model import NOWHERE
from recert.observed import Answer, Service

Commands = Generator[PyinfraCommand, None, None]

RUN_LIMIT = 1800
"""Seconds that a Puppet run in progress may take to its end."""

SERVICE_LIMIT = 300
"""Seconds that a service manager may take for one service, where the host can end it."""


def services_limit(count: int) -> int:
    """Seconds in which that many services have to have stopped or started: each may take its time
    twice, with its manager and with its init script, and none is ended half way."""
    return CHANGE_LIMIT + 2 * SERVICE_LIMIT * count


# An init script's daemon keeps the files it inherits, so its output must not be ours.
SERVICE_CHANGES = (
    SERVICE_FUNCTIONS
    + rf"""
limit=
timeout {SERVICE_LIMIT} true >/dev/null 2>&1 && limit='timeout {SERVICE_LIMIT}' # old ones want -t
"""
    + r"""
logs=$(mktemp -d) || exit 1
trap 'rm -rf "$logs"' EXIT
manage() { # start or stop $1 a service $2
    log=$logs/$2
    if loaded_unit "$2"; then $limit systemctl "$1" "$2"
    elif init_script "$2"; then $limit "/etc/init.d/$2" "$1"
    else $limit initctl "$1" "$2"
    fi >"$log" 2>&1 </dev/null
}
settle() { # until the arguments are true; 1 if they are not in ten seconds
    tries=0
    until "$@"; do
        [ "$tries" -lt 40 ] || return 1
        sleep 0.25 2>/dev/null || sleep 1
        tries=$((tries + 1))
    done
}
gone() { ! running "$1"; }
stop_service() {
    manage stop "$1" && settle gone "$1" && return
    if running "$1" && loaded_unit "$1" && init_script "$1"; then
        $limit "/etc/init.d/$1" stop >>"$log" 2>&1 </dev/null
    fi
    if running "$1"; then
        cat "$log" >&2
        fail "The service $1 is still running after it was stopped."
    fi
}
stop_running() { # of services that were stopped: cron or a watchdog has started them since
    for again; do
        if running "$again"; then stop_service "$again"; fi
    done
}
start_service() {
    running "$1" && return
    if manage start "$1"; then settle running "$1" && return; else running "$1" && return; fi
    cat "$log" >&2
    if loaded_unit "$1"; then systemctl status --no-pager -n 20 "$1" >&2 2>&1; fi
    fail "The service $1 does not run after it was started."
}
side_by_side() { # the function $1 with each of the services after it
    act=$1 begun='' failed=0; shift
    for service; do
        ("$act" "$service") &
        begun="$begun $!"
    done
    for each in $begun; do wait "$each" || failed=1; done
    [ "$failed" -eq 0 ] || exit 1
}
"""
)
"""Takes the first argument of a script, as `SERVICE_FUNCTIONS` does. `side_by_side` ends the script
with an error if one of the services has ended in one, once the others have come to their ends."""


@operation()
def stopped() -> Commands:
    """
    Stop the services while anything has to be replaced: the agent first, then the others side by
    side, but none before those that cannot do without it (step 1).

    Fails if one still runs afterwards; those that it needs are left running.
    """
    procedure = procedure_of(host)
    facts = procedure.facts
    agent = facts.deployment.agent.puppet
    running = [name for name in facts.seat.stopped if facts.services[name] is Service.RUNNING]
    if not running or not procedure.work_due:
        host.noop("nothing has to be replaced, or no service is running")
        return
    _show_states(procedure, running, Service.RUNNING, Service.STOPPED)
    if host.state.is_executing:
        if not facts.backups.stopped:
            procedure.silent_now = frozenset(_silent(procedure, running))
        note_down(host.state)
    yield changing(
        facts.lock,
        # The classifier is about to be stopped; an interrupted run could not ask it again. Nor
        # could it tell what is stopped here from what somebody wants stopped.
        SERVICE_CHANGES
        + REMEMBER
        + r"""
root=$1 confirmed=$2 first=$3 silent=$4; shift 4
if [ ! -e "$root/stopped" ]; then
    rm -f "$root/silent"
    for service in $silent; do remember "$root" silent "$service"; done
fi
if [ -n "$confirmed" ]; then remember "$root" classified "$confirmed"; fi
for service in "$@"; do remember "$root" stopped "$service"; done
for service in "$@"; do
    if [ "$service" = "$first" ]; then stop_service "$service"; fi
done
""",
        facts.listeners,
        facts.backup_root,
        procedure.note_for_resuming,
        agent,
        " ".join(sorted(procedure.silent_now)),
        *running,
        limit=services_limit(1),
    )
    if host.state.is_executing:
        procedure.stopped_now = frozenset(running)

    # An init script stops the agent's daemon, but not a run that this has begun: that goes on
    # writing below ssldir, and is let finish while there is a master to finish with.
    def no_run() -> bool:
        facts.forget("agent")
        return facts.agent.running is None

    if not no_run():
        yield wait_until(no_run, "the Puppet run in progress to end", RUN_LIMIT, poll=1)
        if facts.agent.running is not None:
            yield step_failed(
                [
                    f"Process {facts.agent.running} is still applying a catalog after "
                    f"{RUN_LIMIT} s, as {facts.settings.agent_catalog_run_lockfile} says."
                ]
            )
    waves = in_waves([name for name in running if name != agent], facts.seat.needs)
    yield changing(
        facts.lock,
        SERVICE_CHANGES + "for wave; do side_by_side stop_service $wave; done",
        facts.listeners,
        *map(" ".join, reversed(waves)),
        limit=services_limit(len(running)),
    )
    facts.forget("services", "presented")


@operation()
def running() -> Commands:
    """
    Start the services that ran before, side by side, but each once those answer that it
    cannot do without, and wait until all of them do and the Puppet master presents the certificate
    that is in ssldir (step 5: "restart the PE services you stopped").
    """
    procedure = procedure_of(host)
    facts = procedure.facts
    due = procedure.services_due
    procedure.to_run = tuple(due)
    down = [name for name in due if facts.services[name] is Service.STOPPED]
    over = not down and not procedure.work_due and not facts.backups.stopped
    if over and facts.presented is not None:
        host.noop("all services run that are to, and the master answers")
        return
    began = utc_now()
    _show_states(
        procedure,
        due if procedure.work_due else down,
        Service.STOPPED,
        Service.RUNNING,
    )
    yield from _start_in_order(procedure, due)
    yield changing(facts.lock, 'rm -f -- "$1/stopped"', facts.backup_root)
    facts.learn_stopped([])
    procedure.stopped_now = frozenset()
    facts.forget("services", "presented")
    port = facts.port_of(facts.seat.server)
    presented, in_use = facts.presented, facts.certificate_in_use
    if presented is None:
        yield step_failed([f"port {port} answers, and shows no certificate"])
    elif in_use is None or presented.fingerprint != in_use.fingerprint:
        yield step_failed(
            [
                f"port {port} presents {presented.subject}, {presented.fingerprint},",
                "which is not the master's certificate in ssldir",
            ]
        )
    if host.state.is_executing:
        note_up(host.state, began)


def in_waves(services: Sequence[str], needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The services, each in its order, in as few groups as there can be if none is in the same as
    one that it needs, or before it. Each is as late as who needs it allows, and what nobody needs
    is not in the first: the start of that is what others wait for.

    :param needs: by service, those which it cannot do without.
    """

    def earliest(name: str) -> int:
        return max(
            (1 + earliest(need) for need in needs.get(name, ()) if need in services), default=0
        )

    last = max(map(earliest, services), default=0)

    def place(name: str) -> int:
        waiting = [place(other) for other in services if name in needs.get(other, ())]
        return min(waiting) - 1 if waiting else max(earliest(name), min(1, last))

    places = {name: place(name) for name in services}
    waves = [[name for name in services if places[name] == number] for number in range(last + 1)]
    return [wave for wave in waves if wave]


def _silent(procedure: Procedure, running: list[str]) -> list[str]:
    """The services that run and do not answer."""
    facts = procedure.facts
    listening = facts.seat.endpoints
    asked = [name for name in running if name in listening and facts.port_of(name) != NOWHERE]
    if not asked:
        return []
    answers = facts.ask_services(asked, FIRST_ROUND)
    silent = [name for name in asked if not answers.get(name, Answer(False)).answered]
    for name in silent:
        said = answers[name].said if name in answers else ""
        what = f"{name} does not answer on port {facts.port_of(name)} ({said})"
        so = "and has to afterwards" if name == facts.seat.server else "and so need not afterwards"
        facts.host.log(printable(f"{what}, {so}"), logger.warning)
    return silent


def _start_in_order(procedure: Procedure, services: list[str]) -> Commands:
    facts, seat = procedure.facts, procedure.facts.seat
    must_answer = procedure.must_answer
    answering: set[str] = set()
    # What runs by now works with the files of before. All of it is stopped before any is started:
    # a manager may start others with one, or stop them with it.
    again = set(services) - {facts.deployment.agent.puppet} if procedure.stopped_now else set()
    running_again = [name for name in seat.stopped if name in again]
    for wave in in_waves(services, seat.needs):
        needed = {need for name in wave for need in seat.needs.get(name, ())} - answering
        yield from until_answering(facts, [name for name in must_answer if name in needed])
        answering |= needed
        yield changing(
            facts.lock,
            SERVICE_CHANGES
            + """
stop_running $1
shift
side_by_side start_service "$@"
""",
            facts.listeners,
            " ".join(running_again),
            *wave,
            limit=services_limit(len(wave) + len(running_again)),
        )
        running_again.clear()
    # What some work with is made by the Puppet run that follows.
    yield from until_answering(
        facts, [s for s in must_answer if s not in answering and s not in seat.fed_by_run]
    )


def _show_states(
    procedure: Procedure, services: list[str], before: Service, after: Service
) -> None:
    show_diff(
        procedure.facts.host,
        "Services",
        [f"{name}: {before.value}" for name in services],
        [f"{name}: {after.value}" for name in services],
    )
