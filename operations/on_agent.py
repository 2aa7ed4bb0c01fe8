"""What every operation on an agent shares: it fails alone, and nobody waits for it in a batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import wraps
from typing import ParamSpec, cast

from pyinfra import host
from pyinfra.api import FunctionCommand, operation
from pyinfra.api.operation import OperationMeta, PyinfraOperation

from operations.hands import Commands, hands_of
from operations.step import printable, show_diff, step_failed, wait_until
from procedures.agent import AgentFacts, AgentWork
from procedures.outcomes import Outcomes
from procedures.run import run_of
from procedures.telling import reason_of
from recert.observed import Service

P = ParamSpec("P")

LIMIT = 240
"""Seconds that one sub-step may take on one agent while the others wait."""


def on_agent(function: Callable[P, Commands]) -> PyinfraOperation[P]:
    """An operation on an agent. An agent that stops answering fails alone: an exception would
    end the run for all of them. Nor do others wait in batches for the slowest of each."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> Commands:
        try:
            for command in function(*args, **kwargs):
                if host.state.is_executing:
                    run_of(host.state).part(Outcomes).touched(host)
                yield command
        except Exception as error:
            yield failed(reason_of(error).splitlines())

    return all_at_once(operation()(guarded))


def all_at_once(pyinfra_operation: PyinfraOperation[P]) -> PyinfraOperation[P]:
    """An operation that no host waits for in a batch."""

    @wraps(pyinfra_operation)
    def called(*args: P.args, **kwargs: P.kwargs) -> OperationMeta:
        return pyinfra_operation(*args, **{**kwargs, "_parallel": 0})  # type: ignore[arg-type]

    return cast(PyinfraOperation[P], called)


def failed(found: Iterable[object]) -> FunctionCommand:
    """As `step_failed`, and kept for the table at the end."""
    lines = [printable(line) for line in found]
    run_of(host.state).part(Outcomes).reason(host, lines)
    return step_failed(lines)


def run_over(facts: AgentFacts, limit: int) -> Commands:
    """Wait for a Puppet run, which would go on writing below ssldir: the service's, or cron's.

    :param limit: seconds.
    """

    def no_run() -> bool:
        facts.forget("agent")
        return facts.agent.running is None

    yield wait_until(no_run, "the Puppet run in progress to end", limit, poll=1)
    if facts.agent.running is not None:
        yield failed(
            [
                f"Process {facts.agent.running} is still applying a catalog after {limit} s. Its "
                "certificates are as they were; run the same command again later."
            ]
        )


def services_started(work: AgentWork, stopping: bool, later: Collection[str] = ()) -> Commands:
    """Start those of the agent's services that ran before.

    :param stopping: whether this is a preview of a run that stops them first.
    :param later: those that have to wait.
    """
    facts = work.facts
    down = [
        name
        for name in work.services_due
        if name not in later and (stopping or facts.services[name] is not Service.RUNNING)
    ]
    if not down and work.stopped <= set(later):
        host.noop("what is to run does")
        return
    show_started(down)
    # What runs by now, and did not when it was looked at, works with the files of before. What ran
    # then has been started by Puppet, or by an interrupted run, and nothing here starts it again.
    states = facts.services
    again = [n for n in work.stopped_beside_puppet if states[n] is not Service.RUNNING]
    yield from hands_of(facts).start(down, later, again, LIMIT)
    facts.learn_services(Service.RUNNING, *down)
    facts.forget("agent", "ssl")
    work.note_started(later)


def show_started(services: Iterable[str]) -> None:
    """The diff of services that are started."""
    before, after = (
        [f"{name}: {state.value}" for name in services]
        for state in (Service.STOPPED, Service.RUNNING)
    )
    show_diff(host, "Services", before, after)
