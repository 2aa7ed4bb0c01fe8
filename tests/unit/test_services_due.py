"""Which services run in the end: what ran, whatever has stopped it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from procedures.master import MasterFacts
from procedures.procedure import Procedure
from recert.deployments.pe_3_7 import PE_3_7
from recert.observed import Service

SEAT = PE_3_7.master


def procedure(*running: str, noted: frozenset[str] = frozenset()) -> Procedure:
    """On a master where these run, and these were stopped by a run that was interrupted."""
    states = {
        name: Service.RUNNING if name in running else Service.STOPPED for name in SEAT.started
    }
    facts: Any = SimpleNamespace(
        seat=SEAT,
        deployment=PE_3_7,
        services=states,
        backups=SimpleNamespace(stopped=noted, silent=frozenset()),
    )
    found = Procedure()
    found.facts = cast(MasterFacts, facts)
    return found


def test_what_somebody_has_stopped_stays_stopped_and_is_told() -> None:
    some = procedure(*SEAT.needed, SEAT.server)
    assert set(some.services_due) == {*SEAT.needed, SEAT.server}
    assert some.started_from_rest == []
    assert set(some.left_stopped) == set(SEAT.started) - {*SEAT.needed, SEAT.server}


def test_what_is_started_though_nothing_tells_that_it_ran_is_told() -> None:
    down = procedure()
    assert down.services_due == list(SEAT.started)
    assert down.started_from_rest == list(SEAT.started)
    assert down.left_stopped == []


def test_what_somebody_has_stopped_beside_the_master_stays_so_too() -> None:
    stopped = {SEAT.server, "pe-httpd", PE_3_7.agent.puppet}
    some = procedure(*set(SEAT.started) - stopped)
    assert set(some.services_due) == set(SEAT.started) - stopped | {SEAT.server}
    assert some.started_from_rest == [SEAT.server]
    assert set(some.left_stopped) == stopped - {SEAT.server}
    # Whether the agent's own run says nothing of that.
    beside = procedure(*PE_3_7.agent.services)
    assert beside.services_due == list(SEAT.started)


def test_what_an_interrupted_run_has_stopped_needs_no_telling() -> None:
    interrupted = procedure(noted=frozenset(SEAT.started))
    assert interrupted.services_due == list(SEAT.started)
    assert interrupted.started_from_rest == []
