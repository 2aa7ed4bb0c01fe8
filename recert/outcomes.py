"""What became of each agent in a run: for the table at its end and for the file beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Status(Enum):
    """In the order in which the table shows them: what needs somebody comes first."""

    FAILED = "failed"
    INTERRUPTED = "interrupted"
    UNREACHABLE = "unreachable"
    WAITING = "waiting for a signature"
    UNTOUCHED = "untouched"
    DUE = "to be renewed"
    TO_RESTORE = "to be restored"
    RENEWED = "renewed"
    RESTORED = "restored"
    FRESH = "already fresh"
    AS_BEFORE = "as it was"

    @property
    def good(self) -> bool:
        """Whether there is nothing left for anybody to do."""
        return self in (Status.RENEWED, Status.FRESH, Status.RESTORED, Status.AS_BEFORE)


@dataclass(frozen=True)
class Outcome:
    """One agent: its name in the inventory, its certname where it is known, and for a failure
    the step and what was found."""

    host: str
    certname: str | None
    status: Status
    step: str = ""
    why: str = ""


@dataclass(frozen=True)
class ForeignRequest:
    """A request that waits on the master and is not of an agent of this run. `digest`: SHA-256."""

    certname: str
    digest: str | None


def in_order(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those that need somebody first, then by name."""
    order = list(Status)
    return sorted(outcomes, key=lambda outcome: (order.index(outcome.status), outcome.host))


def summary(outcomes: Iterable[Outcome]) -> str:
    """`3 renewed, 1 unreachable`."""
    counts = Counter(outcome.status for outcome in outcomes)
    return ", ".join(f"{counts[status]} {status.value}" for status in Status if counts[status])
