"""What every procedure has, and which one the operations on a host carry out."""

from __future__ import annotations

from pyinfra.api import Host

from procedures.master import MasterFacts
from procedures.run import Run, run_of
from recert.observed import Service


class Procedure:
    """What the operations on a host carry out: the facts of its master, and whether it is over."""

    facts: MasterFacts
    stopped_now: frozenset[str] = frozenset()
    """The services that this run has stopped and not started again."""
    silent_now: frozenset[str] = frozenset()
    """The services that did not answer before this run stopped them."""
    to_run: tuple[str, ...] = ()
    """Those that the run has found due when it started them."""

    @property
    def services_due(self) -> list[str]:
        """Those that are to run in the end, in step 5's order: what runs, what this run or one that
        was interrupted has stopped, and what the procedure cannot end without.

        Where nothing of the master's runs and nobody has noted why, all of PE was stopped by hand
        or by a crash, and nothing tells what ran: then it is all that is installed.
        """
        states, seat = self.facts.services, self.facts.seat
        installed = [name for name in seat.started if states[name] is not Service.MISSING]
        ran = {name for name, state in states.items() if state.active}
        ran |= self.facts.backups.stopped | self.stopped_now
        if not ran.difference(self.facts.deployment.agent.services):
            return installed
        return [name for name in installed if name in ran | seat.needed]

    @property
    def must_answer(self) -> list[str]:
        """Of the services that are to run, those that have to answer in the end: what did not
        before step 1 need not after it. Without the master nobody can go on."""
        silent = self.facts.backups.silent | self.silent_now
        server = self.facts.seat.server
        return [name for name in self.services_due if name == server or name not in silent]

    @property
    def left_stopped(self) -> list[str]:
        """The services that do not run, and are not started."""
        due, states = self.services_due, self.facts.services
        started = self.facts.seat.started
        return [n for n in started if n not in due and states[n] is not Service.MISSING]

    @property
    def started_from_rest(self) -> list[str]:
        """The services that do not run, that nobody has noted to have run, and that are started."""
        noted, states = self.facts.backups.stopped | self.stopped_now, self.facts.services
        return [n for n in self.services_due if states[n] is Service.STOPPED and n not in noted]

    @property
    def work_due(self) -> bool:
        """Whether anything has to be replaced, so that the services have to be stopped."""
        raise NotImplementedError

    @property
    def note_for_resuming(self) -> str:
        """A CA's fingerprint to remember as classified; empty if there is nothing to remember."""
        return ""

    @property
    def serves_old_certificate(self) -> bool:
        """Whether a running master presents another certificate than the one in ssldir."""
        presented, in_use = self.facts.presented, self.facts.certificate_in_use
        return (
            self.facts.services[self.facts.seat.server] is Service.RUNNING
            and presented is not None
            and (in_use is None or presented.fingerprint != in_use.fingerprint)
        )


def _procedures(_: Run) -> dict[str, Procedure]:
    """By host."""
    return {}


def begin(host: Host, procedure: Procedure) -> None:
    """Make `procedure` the one that the operations on `host` carry out."""
    run_of(host.state).part(_procedures)[host.name] = procedure


def procedure_of(host: Host) -> Procedure:
    """What `begin` was given for `host`."""
    return run_of(host.state).part(_procedures)[host.name]
