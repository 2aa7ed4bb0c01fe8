"""The Puppet run that ends step 5."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import Host, operation
from pyinfra.api.command import PyinfraCommand

from facts.puppet import PUPPET_PROCESS, UTF8_LOCALE
from operations.readiness import until_answering
from operations.services import RUN_LIMIT
from operations.signing import run_on
from operations.step import REMEMBER, changing, printable, show_diff, step_failed, wait_until
from procedures.host import HostFacts
from procedures.regeneration import regeneration_of, warn_left_behind
from recert.observed import Service

# The agent service may begin a run of its own in the moment in which this one starts; Puppet
# then skips ours. The lock tells, or, where that run is over already, what Puppet said.
RUN = (
    UTF8_LOCALE
    + PUPPET_PROCESS
    + r"""
lockfile=$1 limit=$2; shift 2
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
in_progress() { puppet_process "$(pid_in "$lockfile")"; }
for attempt in 1 2 3; do
    in_progress || rm -f "$lockfile" # a lock of nobody's keeps Puppet from running
    puppet agent --test --waitforcert 0 --color=false "$@" >"$log" 2>&1 </dev/null
    status=$?
    case $status in
        (0|2) exit 0 ;;
    esac
    in_progress || grep -q 'already in progress' "$log" || break
    waited=0
    while in_progress && [ "$waited" -lt "$limit" ]; do sleep 1; waited=$((waited + 1)); done
done
# A run's diffs can show what managed files keep secret.
of_note() {
    grep -iE '^(err|warn|exiting|notice: (run of|skipping run))' "$1" || [ "$?" -eq 1 ]
}
told() { stage of_note "$1" | stage tail -n 20; }
whole told "$log" >&2
fail "The Puppet run failed with status $status; its messages are above."
"""
)


_TO_BE_STARTED = r"""
root=$1; shift
for service in "$@"; do remember "$root" stopped "$service"; done
"""


@operation()
def run() -> Generator[PyinfraCommand, None, None]:
    """
    Kick off a Puppet run on the master, unless one has succeeded since its certificate was made
    (step 5). Only after it orchestration and ActiveMQ are configured for the new credentials.
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    conf, last_run = facts.settings, facts.agent.last_run
    if freshness.run_due(last_run):
        before = "last run: none under this certificate"
        show_diff(host, "Puppet run", [before], ["last run: succeeded under the new CA"])

        # The agent service begins a run as soon as it is started, and two do not run at once.
        def no_run() -> bool:
            facts.forget("agent")
            return facts.agent.running is None

        yield wait_until(no_run, "the agent service's own run to end", RUN_LIMIT)
        states = facts.services
        running = [n for n in regeneration.must_answer if states[n] is Service.RUNNING]
        fed = facts.seat.fed_by_run
        yield from until_answering(facts, [name for name in running if name not in fed])
        if regeneration.freshness.run_due(facts.agent.last_run):
            lockfile = conf.agent_catalog_run_lockfile
            # Another run may be let end first, before ours has as much time as any.
            yield changing(facts.lock, RUN, lockfile, str(RUN_LIMIT), limit=2 * RUN_LIMIT)
        facts.forget("agent", "ssl")
        if regeneration.freshness.run_due(facts.agent.last_run):
            yield step_failed(
                [
                    "Puppet ended without an error, but its summary shows no successful run:",
                    conf.lastrunfile,
                ]
            )
        # A service may take its credentials, start, and only then refuse them.
        facts.forget("services")
        dead = [name for name in regeneration.to_run if facts.services[name] is Service.STOPPED]
        if dead:
            # The next run must not take them for what somebody wants stopped.
            yield changing(facts.lock, REMEMBER + _TO_BE_STARTED, facts.backup_root, *dead)
            yield step_failed([f"These services have stopped since: {', '.join(dead)}"])
        yield from until_answering(facts, running)
    else:
        host.noop("a Puppet run has succeeded since the certificate was made")
    if host.state.is_executing:
        warn_left_behind(regeneration)


def failure_of_run(facts: HostFacts, host: Host, limit: int, options: list[str]) -> list[str]:
    """Run Puppet at once and give back what it says if that fails.

    :param limit: seconds, also for a run in progress, which is let end first.
    :param options: more ones for `puppet agent --test`.
    """
    lockfile = facts.settings.agent_catalog_run_lockfile
    command = changing(facts.lock, RUN, lockfile, str(limit), *options, limit=2 * limit)
    ok, output = run_on(host, command)
    said = [printable(line.line) for line in output]
    said = [line for line in said if not line.startswith("The step failed")]
    return [] if ok else said or ["it failed"]
