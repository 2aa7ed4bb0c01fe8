"""Asking who is back in orchestration, for as long as somebody may still come back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from facts.orchestration import DiscoveredNodes
from procedures.master import MasterFacts
from procedures.telling import say
from recert.observed import Orchestration

DISCOVERY = 3
"""Seconds in which nodes have to answer a question."""

LIMIT = 120
"""Seconds within which nodes may come back: a pe-mcollective that has lost its broker tries again
after half a minute at most."""


def ask_orchestration(master: MasterFacts, awaited: Mapping[str, frozenset[str]]) -> Orchestration:
    """Who answers, by the end of the wait for the hosts that have to.

    :param awaited: the identities by which each of them may answer.
    :raises Exception: the master does not answer.
    """
    began = time.monotonic()
    answering: set[str] = set()
    twice: set[str] = set()
    while True:
        seen = master.seen(DiscoveredNodes, discovery=DISCOVERY)
        answering |= seen.answering
        twice |= seen.twice
        back = sum(not names.isdisjoint(answering) for names in awaited.values())
        waited = time.monotonic() - began
        if not seen.why:
            say(
                master.host,
                f"{back} of {len(awaited)} nodes are back in orchestration, "
                f"after {waited:.0f} of at most {LIMIT} s",
            )
        if seen.why or back == len(awaited) or waited >= LIMIT:
            return replace(seen, answering=frozenset(answering), twice=frozenset(twice))
