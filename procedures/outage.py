"""How long a run has kept PE's services down."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from pyinfra.api import State

from procedures.run import Run, run_of
from recert.certificates import utc_now
from recert.report import Outage


class _Down:
    def __init__(self, _: Run) -> None:
        self.outage: Outage | None = None


def note_down(state: State) -> None:
    """The run is about to stop the first service."""
    down = run_of(state).part(_Down)
    down.outage = down.outage or Outage(utc_now(), None)


def note_up(state: State, began: datetime) -> None:
    """All services run again.

    :param began: when they have gone down at the latest, where an earlier run has stopped them.
    """
    down = run_of(state).part(_Down)
    down.outage = replace(down.outage or Outage(began, None), ended=utc_now())


def outage_of(state: State) -> Outage | None:
    """The outage, None if there was none."""
    return run_of(state).part(_Down).outage
