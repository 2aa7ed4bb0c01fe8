"""Going back on an agent: its SSL directory exactly as it was under its master's former CA."""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import operation

from operations.backup import make_backup
from operations.hands import Commands, hands_of
from operations.on_agent import (
    LIMIT,
    all_at_once,
    failed,
    on_agent,
    run_over,
    services_started,
)
from operations.step import show_diff
from procedures.agent_restoration import agent_restoration_of, master_not_back
from procedures.outcomes import Outcomes
from procedures.run import run_of
from recert.certificates import describe, read_certificate
from recert.freshness import Retired
from recert.observed import Service
from recert.outcomes import Status


@all_at_once
@operation()
def master_is_back() -> Commands:
    """Let no agent be changed unless its master serves under the restored CA at this moment."""
    if not host.state.is_executing:
        return
    problem = master_not_back(run_of(host.state))
    if problem is not None:
        yield failed([f"No agent was changed: {problem}"])


@on_agent
def stopped() -> Commands:
    """Stop the agent's services while its credentials are replaced."""
    restoration = agent_restoration_of(host)
    facts = restoration.facts
    running = [name for name, state in facts.services.items() if state.active]
    if not restoration.work_due or not (running or facts.agent.running is not None):
        host.noop("nothing has to be replaced, or no service runs")
        return
    before = [f"{name}: {facts.services[name].value}" for name in running]
    show_diff(host, "Services", before, [f"{name}: stopped" for name in running])
    for service in running:
        restoration.note_stopped(service)
        yield from hands_of(facts).stop(service, LIMIT)
    facts.learn_services(Service.STOPPED, *running)
    yield from run_over(facts, LIMIT)


@on_agent
def replaced_saved() -> Commands:
    """Back up what the restoration replaces, unless all of it is in a backup already."""
    restoration = agent_restoration_of(host)
    facts = restoration.facts
    if not restoration.work_due or not facts.backups.unsaved:
        host.noop("what is replaced is backed up")
        return
    trusted = restoration.trusted_ca
    of = Retired(trusted.fingerprint, trusted.key) if trusted is not None else None
    yield from make_backup(facts, hands_of(facts).archive, of, trusted, limit=LIMIT)
    if facts.backups.unsaved:
        yield failed([f"The backup in {facts.backup_root} does not hold what it should"])


@on_agent
def put_back() -> Commands:
    """Make the SSL directory what it was, and compare the two."""
    restoration = agent_restoration_of(host)
    facts, backup = restoration.facts, restoration.backup
    if backup is None or not backup.differs:
        host.noop("everything is as in the backup")
        return
    held = read_certificate(backup.manifest.certificate or "")
    show_diff(
        host,
        f"Certificate {facts.paths(facts.settings.certname).certificate}",
        describe(facts.certificate_in_use),
        describe(held),
    )
    yield from hands_of(facts).unpack(backup, LIMIT)
    after = restoration.backup
    if after is None or after.differs:
        yield failed([f"The live files are not those of the backup {backup.name}"])


@on_agent
def started() -> Commands:
    """Start those of the agent's services that ran before, and tell what became of it."""
    restoration = agent_restoration_of(host)
    outcomes = run_of(host.state).part(Outcomes)
    stopping = not host.state.is_executing and restoration.work_due
    yield from services_started(restoration, stopping)
    if host.state.is_executing:
        touched = outcomes.was_touched(host)
        outcomes.settle(host, Status.RESTORED if touched else Status.AS_BEFORE)
