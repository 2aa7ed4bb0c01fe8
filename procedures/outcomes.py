"""What is told about many agents: how far the run is, and in the end what became of each."""

from __future__ import annotations

import time
from dataclasses import replace

from pyinfra import logger
from pyinfra.api import Host, State
from pyinfra.api.operation import OperationMeta
from pyinfra.api.state import BaseStateCallback

from connectors.limits import give_turn
from procedures.names import said_certname
from procedures.run import Run
from procedures.site import Site
from procedures.telling import within_reason
from recert.ca_records import CaRecords
from recert.outcomes import ForeignRequest, Outcome, Status, in_order
from recert.turns import in_turns

EVERY = 5
"""Seconds between two messages on how far the run is."""


class Outcomes(BaseStateCallback):
    """Takes down what happens to the agents of a run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        run.state.add_callback_handler(self)
        self._settled: dict[str, tuple[Status, str, str]] = {}
        self._prepared: set[str] = set()
        self._due: set[str] = set()
        self._failed_at: dict[str, str] = {}
        self._reasons: dict[str, list[str]] = {}
        self._remarks: dict[str, list[str]] = {}
        self._reached: dict[str, int] = {}
        self._touched: set[str] = set()
        self.looked_at = 0
        """Agents, before the run."""
        self._told = time.monotonic()

    # Before the run

    def prepared(self, host: Host, due: bool) -> None:
        """An agent takes part; `due`: it will be renewed."""
        self._prepared.add(host.name)
        if due:
            self._due.add(host.name)
        self._count_look()

    def refused(self, host: Host, refusals: list[str], counted: bool = False) -> None:
        """An agent is left as it is.

        :param counted: it was prepared before that was known.
        """
        lines = within_reason(line for refusal in refusals for line in refusal.splitlines())
        self._settled[host.name] = (Status.FAILED, "before the first change", "\n".join(lines))
        for line in lines:
            logger.error(f"{host.print_prefix}{line}")
        if not counted:
            self._count_look()

    def _count_look(self) -> None:
        self.looked_at += 1
        total = len(self.run.agents)
        if self.looked_at == total or time.monotonic() - self._told >= EVERY:
            self._told = time.monotonic()
            logger.info(f"    Looked at {self.looked_at} of {total} agents")

    # In the run

    def settle(self, host: Host, status: Status, step: str = "", why: str = "") -> None:
        """What has become of an agent."""
        self._settled[host.name] = (status, step, why)

    def reason(self, host: Host, found: list[str]) -> None:
        """Why the step that an agent is at is going to fail."""
        self._reasons[host.name] = within_reason(found)

    def remark(self, host: Host, what: str) -> None:
        """Something has happened to an agent that a person should know, however it ends."""
        logger.warning(f"{host.print_prefix}{what}")
        self._remarks.setdefault(host.name, []).append(what)

    def touched(self, host: Host) -> None:
        """An agent has been changed."""
        self._touched.add(host.name)

    def was_touched(self, host: Host) -> bool:
        """Whether this run has changed an agent."""
        return host.name in self._touched

    def operation_host_success(  # type: ignore[override]
        self, state: State, host: Host, op_hash: str, retry_count: int = 0
    ) -> None:
        self._count_step(state, host, op_hash)

    def operation_host_error(  # type: ignore[override]
        self,
        state: State,
        host: Host,
        op_hash: str,
        retry_count: int = 0,
        max_retries: int = 0,
    ) -> None:
        if self.run.has_agent(host):
            self._failed_at[host.name] = op_hash
        self._count_step(state, host, op_hash)

    def operation_end(self, state: State, op_hash: str) -> None:  # type: ignore[override]
        if op_hash in self._reached:
            self._tell_step(state, op_hash)

    def _count_step(self, state: State, host: Host, op_hash: str) -> None:
        if not self.run.has_agent(host):
            return
        self._reached[op_hash] = self._reached.get(op_hash, 0) + 1
        if time.monotonic() - self._told >= EVERY:
            self._tell_step(state, op_hash)

    def _tell_step(self, state: State, op_hash: str) -> None:
        self._told = time.monotonic()
        total, failed = len(self.run.agents), len(self._failed_at)
        failures = f", {failed} failed so far" if failed else ""
        step = step_name(state, op_hash)
        logger.info(f"    {step}: {self._reached[op_hash]} of {total} agents{failures}")

    # In the end

    def outcomes(self) -> tuple[Outcome, ...]:
        """What became of every agent up to now."""
        executed = self.run.state.is_executing
        return tuple(in_order(self._remarked(agent, executed) for agent in self.run.agents))

    @property
    def foreign_requests(self) -> tuple[ForeignRequest, ...]:
        """What waits on the master under names that no agent of this run is known to have."""
        ca_records = self.run.part(Site).known_ca_records()
        return () if ca_records is None else self._foreign_requests(ca_records)

    def _foreign_requests(self, ca_records: CaRecords) -> tuple[ForeignRequest, ...]:
        site = self.run.part(Site)
        names = [name for name in ca_records.requesting if not site.has_certname(name)]
        requests = [
            None if ca_records.too_many_wait else ca_records.request(name)
            for name in in_turns(names, give_turn)
        ]
        return tuple(
            ForeignRequest(name, request.digest if request is not None else None)
            for name, request in zip(names, requests, strict=True)
        )

    def _remarked(self, host: Host, executed: bool) -> Outcome:
        outcome = self.outcome(host, executed)
        why = [outcome.why, *self._remarks.get(host.name, [])]
        return replace(outcome, why="\n".join(filter(None, why)))

    def outcome(self, host: Host, executed: bool) -> Outcome:
        """What became of one of them."""
        state, name = self.run.state, host.name
        certname = said_certname(host)
        if host not in state.activated_hosts:
            return Outcome(name, certname, Status.UNREACHABLE, why="it could not be connected to")
        if name in self._settled:
            status, step, why = self._settled[name]
            return Outcome(name, certname, status, step, why)
        if name in self._failed_at:
            op_hash = self._failed_at[name]
            meta = state.ops[host][op_hash].operation_meta
            output = said_of_failure(meta) if meta.is_complete() else []
            why = "\n".join(self._reasons.get(name) or output)
            why = why or "No answer in time, or the connection was lost."
            return Outcome(name, certname, Status.FAILED, step_name(state, op_hash), why)
        if name in self._touched:
            return Outcome(name, certname, Status.INTERRUPTED, why="the run ended before")
        if executed or name not in self._prepared:
            return Outcome(name, certname, Status.UNTOUCHED, why="the run ended before")
        fresh = Status.AS_BEFORE if self.run.restores else Status.FRESH
        return Outcome(name, certname, self._to_do if name in self._due else fresh)

    @property
    def _to_do(self) -> Status:
        return Status.TO_RESTORE if self.run.restores else Status.DUE


def said_of_failure(meta: OperationMeta) -> list[str]:
    """On a terminal, which sudo may want, it is not apart from the rest; a command that has come to
    its end says that it failed."""
    lines: list[str] = meta.stderr_lines
    if not lines and any(line.startswith("The step failed") for line in meta.stdout_lines[-1:]):
        lines = meta.stdout_lines[-6:]
    return lines


def why_left_out(run: Run, host: Host) -> str:
    """Why a run has gone on without an agent; empty if it has not, or that is not known."""
    outcomes = known_outcomes(run)
    if outcomes is None or not run.has_agent(host):
        return ""
    outcome = outcomes.outcome(host, run.state.is_executing)
    return f"{outcome.step}: {outcome.why}".removeprefix(": ") if outcome.why else ""


def known_outcomes(run: Run) -> Outcomes | None:
    """What became of the agents, where this run is about renewing them."""
    return run.part(Outcomes) if run.has_part(Outcomes) else None


def step_name(state: State, op_hash: str) -> str:
    """What a step is called, without the deploy that it is of."""
    (name, *_) = sorted(state.get_op_meta(op_hash).names)
    return name.rpartition(" | ")[2]
