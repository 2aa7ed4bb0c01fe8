"""What is said of the tests' own time."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.durations import Spent, idle_shares, summary


def report(
    test: str,
    when: Literal["setup", "call", "teardown"],
    seconds: float,
    fixtures: dict[str, float] | None = None,
    worker: str = "",
) -> pytest.TestReport:
    properties = [(f"seconds in fixture {k}", f"{v:.3f}") for k, v in (fixtures or {}).items()]
    found = pytest.TestReport(
        test, ("t.py", 1, test), {}, "passed", None, when, [], seconds, user_properties=properties
    )
    if worker:
        found.worker_id = worker  # type: ignore[attr-defined]
    return found


def test_the_slowest_tests_the_fixtures_and_who_had_nothing_to_do() -> None:
    spent = Spent()
    for one in (
        report("a", "setup", 8.0, {"master": 7.0, "small": 0.5}, "gw0"),
        report("a", "call", 2.0, {"master": 7.0, "small": 0.5}, "gw0"),
        report("b", "setup", 2.0, {"master": 1.5}, "gw1"),
        report("b", "call", 3.0, worker="gw1"),
        report("b", "teardown", 5.0, worker="gw1"),
    ):
        spent.add(one)

    lines = list(summary(spent, 20.0, {"cpu0": 0.25}))

    assert [line.split() for line in lines[:2]] == [["10.0", "s", "a"], ["10.0", "s", "b"]]
    assert lines[2] == "    75%    of 20 s spent by fixtures"
    assert lines[3] == "    8.5 s  master, made 2 times"
    assert lines[4] == "    0.5 s  small, made 1 times"
    assert lines[5:] == [
        "    50%    of 20 s worker gw0 had no test",
        "    50%    of 20 s worker gw1 had no test",
        "    25%    of 20 s cpu0 was idle",
    ]


def test_a_core_that_did_nothing_all_the_time_was_idle() -> None:
    before = {"cpu0": (100, 200), "cpu1": (50, 200), "gone": (0, 1)}
    now = {"cpu0": (200, 300), "cpu1": (100, 300), "new": (0, 5)}
    assert idle_shares(before, now) == {"cpu0": 1.0, "cpu1": 0.5}
