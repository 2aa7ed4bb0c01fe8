"""How long a run has kept PE's services down."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from weakref import WeakKeyDictionary

from pyinfra.api import State

from recert.certificates import utc_now
from recert.report import Outage

_outages: WeakKeyDictionary[State, Outage] = WeakKeyDictionary()


def note_down(state: State) -> None:
    """The run is about to stop the first service."""
    _outages.setdefault(state, Outage(utc_now(), None))


def note_up(state: State, began: datetime) -> None:
    """All services run again.

    :param began: when they have gone down at the latest, where an earlier run has stopped them.
    """
    _outages[state] = replace(_outages.get(state) or Outage(began, None), ended=utc_now())


def outage_of(state: State) -> Outage | None:
    """The outage, None if there was none."""
    return _outages.get(state)
