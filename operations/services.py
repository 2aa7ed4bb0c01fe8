"""Steps 1 and 5: PE's services, all in one process on the host, each looked at afterwards."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from facts.services import SERVICE_FUNCTIONS
from operations.readiness import until_answering
from operations.step import REMEMBER, changing, show_diff, step_failed, wait_until
from procedures.outage import note_down, note_up
from procedures.procedure import Procedure, procedure_of
from recert.certificates import utc_now
from recert.layout import AGENT_SERVICE, BROKER_SERVICE, NEEDS, START_ORDER, STOP_ORDER
from recert.observed import Service

Commands = Generator[PyinfraCommand, None, None]

RUN_LIMIT = 1800
"""Seconds that a Puppet run in progress may take to its end."""

# An init script's daemon keeps the files it inherits, so its output must not be ours.
SERVICE_CHANGES = (
    SERVICE_FUNCTIONS
    + r"""
limit=
command -v timeout >/dev/null 2>&1 && limit='timeout 300'
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
manage() { # start or stop $1 a service $2
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
stop() {
    manage stop "$1" && settle gone "$1" && return
    if running "$1" && loaded_unit "$1" && init_script "$1"; then
        $limit "/etc/init.d/$1" stop >>"$log" 2>&1 </dev/null
    fi
    if running "$1"; then
        cat "$log" >&2
        fail "The service $1 is still running after it was stopped."
    fi
}
start() {
    running "$1" && return
    if manage start "$1"; then settle running "$1" && return; else running "$1" && return; fi
    cat "$log" >&2
    if loaded_unit "$1"; then systemctl status --no-pager -n 20 "$1" 2>&1 | tail -n 20 >&2; fi
    fail "The service $1 does not run after it was started."
}
"""
)


@operation()
def stopped() -> Commands:
    """
    Stop PE's services while anything has to be replaced, in the document's order (step 1).

    Fails at the first service that still runs afterwards; those after it are left running.
    """
    procedure = procedure_of(host)
    facts = procedure.facts
    running = [name for name in STOP_ORDER if facts.services[name] is Service.RUNNING]
    if not running or not procedure.work_due:
        host.noop("nothing has to be replaced, or no service is running")
        return
    _show_states(procedure, running, Service.RUNNING, Service.STOPPED)
    if host.state.is_executing:
        note_down(host.state)
    yield changing(
        facts.lock,
        # The classifier is about to be stopped; an interrupted run could not ask it again.
        SERVICE_CHANGES
        + REMEMBER
        + r"""
root=$1 confirmed=$2; shift 2
if [ -n "$confirmed" ]; then remember "$root" classified "$confirmed"; fi
for service in "$@"; do stop "$service"; done
""",
        facts.backup_root,
        procedure.note_for_resuming,
        *(name for name in running if name == AGENT_SERVICE),
    )

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
    yield changing(
        facts.lock,
        SERVICE_CHANGES + 'for service in "$@"; do stop "$service"; done',
        *(name for name in running if name != AGENT_SERVICE),
    )
    facts.forget("services", "presented")


@operation()
def running() -> Commands:
    """
    Start PE's services in the document's order, each once those answer that it cannot do without,
    and wait until all of them do and the Puppet master presents the certificate that is in ssldir
    (step 5).
    """
    procedure = procedure_of(host)
    facts = procedure.facts
    installed = [name for name in START_ORDER if facts.services[name] is not Service.MISSING]
    down = [name for name in installed if facts.services[name] is Service.STOPPED]
    if not down and not procedure.work_due and facts.presented is not None:
        host.noop("all services run, and the master answers")
        return
    began = utc_now()
    _show_states(
        procedure,
        installed if procedure.work_due else down,
        Service.STOPPED,
        Service.RUNNING,
    )
    yield from _start_in_order(procedure, installed)
    facts.forget("services", "presented")
    port = facts.settings.masterport
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


def _start_in_order(procedure: Procedure, services: list[str]) -> Commands:
    facts = procedure.facts
    answering: set[str] = set()
    begun: list[str] = []

    def start() -> Commands:
        if begun:
            yield changing(
                facts.lock,
                SERVICE_CHANGES + 'for service in "$@"; do start "$service"; done',
                *begun,
            )
            begun.clear()

    for service in services:
        needs = [n for n in NEEDS.get(service, ()) if n in services and n not in answering]
        if needs:
            yield from start()
            yield from until_answering(facts, needs)
            answering |= set(needs)
        begun.append(service)
    yield from start()
    # What the broker works with is made by the Puppet run that follows.
    yield from until_answering(
        facts, [s for s in services if s not in answering and s != BROKER_SERVICE]
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
