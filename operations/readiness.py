"""Waiting for services until they answer: that a service runs does not mean that it works."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable

from pyinfra import logger
from pyinfra.api import FunctionCommand, Host, State
from pyinfra.api.command import PyinfraCommand

from operations.step import printable, step_failed
from procedures.master import MasterFacts
from recert.deployments.model import NOWHERE
from recert.observed import Answer, Service

LIMIT = 300
"""Seconds that a service may take until it answers; a Java server takes one or two minutes on a
small machine."""

FIRST_ROUND, ROUND = 3.0, 10.0
"""Seconds for which the host asks by itself before anything is told here."""


def until_answering(
    facts: MasterFacts, services: Iterable[str]
) -> Generator[PyinfraCommand, None, None]:
    """Wait until services answer, each at its port; fail naming those that do not.

    :param services: of PE's, in any state; those that listen nowhere are left out.
    """
    asked = (name for name in services if name in facts.seat.endpoints)
    names = [name for name in asked if facts.port_of(name) != NOWHERE]
    silent: dict[str, str] = {}

    def wait(state: State, host: Host) -> bool:
        silent.update(silent_after_waiting(facts, names))
        return True

    if names:
        yield FunctionCommand(wait, (), {})
        if silent:
            yield step_failed(f"{name} {why}" for name, why in silent.items())


def silent_after_waiting(facts: MasterFacts, names: list[str]) -> dict[str, str]:
    """The services that do not answer when nothing is left to wait for, and what was seen last.

    :param names: of services that listen somewhere.
    """
    began = time.monotonic()
    stopped: set[str] = set()
    silent, patience = names, FIRST_ROUND
    while True:
        answers = facts.ask_services(silent, patience)
        silent = [name for name in silent if not answers.get(name, Answer(False)).answered]
        if not silent:
            return {}
        waited = time.monotonic() - began
        said = {n: f"port {facts.port_of(n)}: {_seen(answers.get(n))}" for n in silent}
        facts.forget("services")
        down = {n for n in silent if facts.services[n] is Service.STOPPED}
        # Once may be a service manager that is about to start it again.
        if dead := down & stopped:
            return {n: _told(facts, n, "has stopped", said[n]) for n in silent if n in dead}
        if waited >= LIMIT:
            what = f"does not answer after {waited:.0f} s"
            return {n: _told(facts, n, what, said[n]) for n in silent}
        shown = ", ".join(f"{name} ({why})" for name, why in said.items())
        message = f"waiting for {shown}: {waited:.0f} of at most {LIMIT} s"
        facts.host.log(printable(message), logger.info)
        stopped, patience = down, ROUND


def _seen(answer: Answer | None) -> str:
    return answer.said if answer is not None else "Puppet's Ruby did not ask it"


def _told(facts: MasterFacts, name: str, what: str, said: str) -> str:
    return f"{what} ({said}). Look into {facts.seat.endpoints[name].log} on the master."
