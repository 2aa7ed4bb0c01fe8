"""Where a run of the tests spends its time: printed at its end, for whoever makes it faster.

The tests that took longest, what is spent on fixtures and on which, and how long each worker and
each core had nothing to do.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_SLOWEST = 10
_FIXTURES = 8
_PROPERTY = "seconds in fixture "
_STAT = Path("/proc/stat")


@dataclass
class Spent:
    """Seconds, by test, by fixture, and by the worker of pytest-xdist that spent them."""

    tests: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    fixtures: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    made: Counter[str] = field(default_factory=Counter)
    workers: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    around: float = 0.0
    """Of all, what tests did not spend themselves, but their fixtures."""

    def add(self, report: pytest.TestReport) -> None:
        self.tests[report.nodeid] += report.duration
        self.workers[getattr(report, "worker_id", "main")] += report.duration
        if report.when != "call":
            self.around += report.duration
        if report.when == "setup":
            for name, seconds in report.user_properties:
                if name.startswith(_PROPERTY):
                    fixture = name.removeprefix(_PROPERTY)
                    self.fixtures[fixture] += float(str(seconds))
                    self.made[fixture] += 1

    @property
    def total(self) -> float:
        return sum(self.tests.values())


class Durations:
    """Gathers what the reports of all workers say, and prints it."""

    def __init__(self) -> None:
        self.spent = Spent()
        self.began = time.monotonic()
        self.cores = cores()

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[object], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        began = time.monotonic()
        try:
            return (yield)
        finally:
            item: pytest.Item = request._pyfuncitem
            name = f"{_PROPERTY}{fixturedef.argname}"
            item.user_properties.append((name, f"{time.monotonic() - began:.3f}"))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.spent.add(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.spent.total:
            return
        terminalreporter.section("where the time went")
        lasted = time.monotonic() - self.began
        for line in summary(self.spent, lasted, idle_shares(self.cores, cores())):
            terminalreporter.write_line(line)


def summary(spent: Spent, lasted: float, idle: Mapping[str, float]) -> Iterable[str]:
    """The lines to print.

    :param lasted: seconds that the whole run took.
    :param idle: the share of that in which each core had nothing to do.
    """
    for test, seconds in longest(spent.tests, _SLOWEST):
        yield f"{seconds:7.1f} s  {test}"
    yield f"{spent.around / spent.total:7.0%}    of {spent.total:.0f} s spent by fixtures"
    for fixture, seconds in longest(spent.fixtures, _FIXTURES):
        yield f"{seconds:7.1f} s  {fixture}, made {spent.made[fixture]} times"
    for worker, seconds in sorted(spent.workers.items()):
        waited = max(0.0, 1 - seconds / lasted)
        yield f"{waited:7.0%}    of {lasted:.0f} s worker {worker} had no test"
    for core, share in idle.items():
        yield f"{share:7.0%}    of {lasted:.0f} s {core} was idle"


def longest(seconds: Mapping[str, float], number: int) -> list[tuple[str, float]]:
    """Those that took longest, with what they took."""
    return sorted(seconds.items(), key=lambda entry: -entry[1])[:number]


def cores() -> dict[str, tuple[int, int]]:
    """For each core how long it was idle and how long it has run, in ticks; nothing where the
    system does not tell."""
    if not _STAT.exists():
        return {}
    found = {}
    for line in _STAT.read_text().splitlines():
        name, *ticks = line.split()
        if name.startswith("cpu") and name != "cpu":
            times = list(map(int, ticks[:8]))
            found[name] = (times[3] + times[4], sum(times))
    return found


def idle_shares(
    before: Mapping[str, tuple[int, int]], now: Mapping[str, tuple[int, int]]
) -> dict[str, float]:
    """Of each core, which share of the time between the two it was idle."""
    return {
        core: (now[core][0] - idle) / (now[core][1] - ran)
        for core, (idle, ran) in before.items()
        if core in now and now[core][1] > ran
    }


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Durations(), "durations")
