"""One run of pyinfra: what it is to do, to which hosts, and what its parts keep of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import cached_property
from threading import RLock
from typing import Any, TypeVar

from pyinfra.api import Host, State
from pyinfra.api.exceptions import DeployError, NoGroupError

from procedures.options import options_of, refuse_misunderstood, warn_of_misspelt
from procedures.seats import the_master
from procedures.telling import refuse_options
from procedures.terminal import guard
from recert.options import Options

T = TypeVar("T")

AGENTS = "agents"
WINDOWS_AGENTS = "windows_agents"
"""The groups of the inventory that agents are in: who is spoken to in the language of `sh`, and who
in that of cmd.exe."""


_SHOWN = 20


class Aim(Enum):
    """What a run is for."""

    REGENERATE = "steps 1 to 5"
    RENEW = "step 6 after them"
    REPLACE = "single certificates, and not a CA"
    RESTORE = "back to a former CA"


class Run:
    """The hosts of one pyinfra run, and what is kept as long as it lasts."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.aims: set[Aim] = set()
        self._parts: dict[Callable[[Run], Any], Any] = {}
        self._lock = RLock()
        self._results: dict[str, Any] = {}
        self._is_executing = False

    @property
    def regenerates(self) -> bool:
        """Whether steps 1 to 5 are part of it."""
        return Aim.REGENERATE in self.aims

    @property
    def renews(self) -> bool:
        """Whether step 6 follows them."""
        return Aim.RENEW in self.aims

    @property
    def replaces(self) -> bool:
        """Whether it is about single certificates, and not about a CA."""
        return Aim.REPLACE in self.aims

    @property
    def restores(self) -> bool:
        """Whether it goes back to a former CA."""
        return Aim.RESTORE in self.aims

    # Who. These ask nobody, so they must not wait for somebody who is asking the master.

    @property
    def master(self) -> Host:
        """:raises DeployError: the inventory has none or several."""
        return the_master(next(iter(self.state.inventory)))

    @property
    def options(self) -> Options:
        """What was said about the master, which is what the run is about."""
        return options_of(self.master)

    @cached_property
    def agents(self) -> list[Host]:
        """The agents that it is about."""
        return [
            host
            for group in (AGENTS, WINDOWS_AGENTS)
            for host in self.group(group)
            if self.state.is_host_in_limit(host)
        ]

    @property
    def groupless(self) -> dict[str, str]:
        """The hosts that are neither master nor agent, and in which groups they are instead."""
        known = {*self.group(AGENTS), *self.group(WINDOWS_AGENTS), self.master}
        return {
            host.name: ", ".join(host.groups) or "no group"
            for host in sorted(self.state.inventory, key=lambda host: host.name)
            if host not in known and self.state.is_host_in_limit(host)
        }

    def require_grouped(self) -> None:
        """:raises DeployError: a host would have nothing done to it, as if it were well."""
        if found := [f"{name} (in {groups})" for name, groups in self.groupless.items()]:
            shown = ", ".join(found[:_SHOWN])
            shown += f" and {len(found) - _SHOWN} more" if found[_SHOWN:] else ""
            raise DeployError(
                f"Nothing was changed: in the inventory, {shown} would be left as it is: "
                f"it is in none of the groups {AGENTS} and {WINDOWS_AGENTS}. Put it into one, or "
                "leave it out (--exclude)."
            )

    @cached_property
    def connected_agents(self) -> int:
        """How many of them could be connected to."""
        return sum(agent in self.state.activated_hosts for agent in self.agents)

    def has_agent(self, host: Host) -> bool:
        return host in self._agent_set

    @cached_property
    def _agent_set(self) -> frozenset[Host]:
        return frozenset(self.agents)

    def group(self, name: str) -> list[Host]:
        """The hosts of a group; none if the inventory has no such group."""
        try:
            return list(self.state.inventory.get_group(name))
        except NoGroupError:
            return []

    @property
    def reached(self) -> frozenset[str]:
        """The names of the hosts that can be looked at, before any is on behalf of another."""
        return frozenset(host.name for host in self.state.activated_hosts if self.takes_part(host))

    def takes_part(self, host: Host) -> bool:
        """Whether a host is one that can be looked at."""
        return host in self.state.active_hosts and (host == self.master or self.has_agent(host))

    @property
    def master_comes_first(self) -> bool:
        """Whether it retires the master's CA before it turns to the agents."""
        return self.regenerates and self.master in self.state.active_hosts

    # What is kept

    def part(self, kind: Callable[[Run], T]) -> T:
        """What `kind` makes of this run, made once. Whatever asks a host meanwhile has to be done
        `exclusively`: others might come, and make another."""
        if kind not in self._parts:
            self._parts[kind] = kind(self)
        made: T = self._parts[kind]
        return made

    def has_part(self, kind: Callable[[Run], object]) -> bool:
        """Whether somebody has asked for that part."""
        return kind in self._parts

    @contextmanager
    def exclusively(self) -> Iterator[None]:
        """Nobody else works for all hosts meanwhile."""
        with self._lock:
            yield

    def once(self, name: str, act: Callable[[], T], lasting: bool = False, anew: bool = False) -> T:
        """`act` for the whole run: the first caller does it, the others get its result.

        :param lasting: who asks after a refusal is refused at once.
        :param anew: what was found for the preview does not hold once the run changes something.
        """
        with self._lock:
            if self.state.is_executing and not self._is_executing:
                self._is_executing = True
                for passing in [n for n, (_, _, is_passing) in self._results.items() if is_passing]:
                    del self._results[passing]
            if name not in self._results:
                try:
                    self._results[name] = (act(), None, anew)
                except DeployError as error:
                    # The next one who asks would only be refused again, and as slowly.
                    if not lasting:
                        raise
                    self._results[name] = (None, error, anew)
            value, refusal, _ = self._results[name]
            if refusal is not None:
                raise refusal
            result: T = value
            return result

    def result_of(self, name: str) -> Any:
        """What `once` has had under that name; None if it has not, or was refused."""
        with self._lock:
            return self._results.get(name, (None,))[0]

    def replace_result(self, name: str, value: object) -> None:
        """Have `once` give that from now on."""
        with self._lock:
            _, _, anew = self._results.get(name, (None, None, False))
            self._results[name] = (value, None, anew)

    def forget(self, name: str) -> None:
        """Have `once` act anew under that name."""
        with self._lock:
            self._results.pop(name, None)


_KEPT_AS = "pe_recert_run"
"""The attribute of a state that is its run."""


def run_of(state: State, *aims: Aim) -> Run:
    """The run that a state is of.

    :param aims: what the deploy that asks is for, besides what others have said.
    """
    kept = vars(state)
    if _KEPT_AS not in kept:
        kept[_KEPT_AS] = Run(state)
        guard()  # also where another configuration is used
        refuse_options()
        refuse_misunderstood(state)
        warn_of_misspelt(state)
        # Otherwise pyinfra asks at each step whether to go on without who has failed, and
        # everything waits with services stopped. One agent's failure is no question here.
        state.should_raise_failed_hosts = lambda _: False
    run: Run = kept[_KEPT_AS]
    run.aims.update(aims)
    return run
