"""Numbers that hosts have written: no host's nonsense keeps anybody from a report or a proof."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pyinfra.api import FactBase
from pyinfra.api.exceptions import FactProcessError

from facts import numbers
from facts.agent import AgentFiles
from facts.backups import Backups
from facts.host import Basics, WhoAndWhen
from facts.puppet import PuppetAgent, PuppetSettings, read_summary
from facts.ssl import ComponentDirectory, SslDirectories
from facts.windows.agent import WindowsAgentFiles
from facts.windows.backups import WindowsBackups
from facts.windows.installation import WindowsClock
from recert.lifetimes import lifetimes, picture
from recert.looks import HostLook
from recert.observed import LastRun, Orchestration
from recert.page import page
from recert.report import Kind, Report, Result, Summary
from recert.survey import SiteState
from recert.verification import About, Evidence, verify
from tests.unit.agent import AGENT, agent
from tests.unit.issuing_ca import CERTNAME, MADE, NEW, NOW, master
from tests.unit.looks import look_at_agent, look_at_master, site, with_file
from tests.unit.records import printed

NO_TIMES = ["inf", "-inf", "nan", "1e18", "1e400", "-1", "7258118401", "9" * 400, "", "x", "1_0"]
NO_COUNTS = ["-1", "1.5", "", "x", "1e3", "9" * 5000, "\u0663", "1_0", "inf"]
FILE = ["file", "f", "644", "root", "root", "12", "100.5", "/a.pem", ""]


# What is a number


@pytest.mark.parametrize("text", [t for t in NO_TIMES if t != "1_0"])
def test_what_is_no_time_is_no_clock(text: str) -> None:
    with pytest.raises(FactProcessError):
        numbers.clock(text)


@pytest.mark.parametrize("text", NO_COUNTS)
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(FactProcessError):
        numbers.count(text)


def test_what_is_one_is_read() -> None:
    assert numbers.clock("1448272000") == 1448272000.0
    assert numbers.count(" 12 ") == 12
    assert numbers.mode("0640") == 0o640
    assert numbers.file_time("100.5") == 100.5


@pytest.mark.parametrize(
    ("text", "time"), [("-5.0", 0.0), ("1e18", numbers.LAST_MOMENT), ("0", 0.0)]
)
def test_a_files_time_is_within_what_can_be_reckoned_with(text: str, time: float) -> None:
    assert numbers.file_time(text) == time


@given(some.text(max_size=30) | some.floats().map(str) | some.integers().map(str))
def test_whatever_is_read_can_be_reckoned_with(text: str) -> None:
    for read in (numbers.clock, numbers.file_time):
        with suppress(FactProcessError):
            datetime.fromtimestamp(read(text), UTC)
    for read in (numbers.count, numbers.mode):
        with suppress(FactProcessError):
            assert read(text) >= 0


# Where they are read


@pytest.mark.parametrize("text", ["inf", "nan", "1e18", "-1", "x", ""])
@pytest.mark.parametrize(
    ("fact", "records"),
    [
        (WhoAndWhen, [["identity", "0", "N"]]),
        (PuppetSettings, [["identity", "0", "N"]]),
        (WindowsClock, [["clock", "N"]]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_clock_that_tells_no_time_is_an_error(
    fact: Callable[[], FactBase[Any]], records: list[list[str]], text: str
) -> None:
    with pytest.raises(FactProcessError):
        fact().process(printed(*filled(records, text)))


@pytest.mark.parametrize("text", ["inf", "nan", "1.5", "9" * 5000, "-1", "x", ""])
@pytest.mark.parametrize(
    ("fact", "records"),
    [
        (WhoAndWhen, [["identity", "N", "100"]]),
        (SslDirectories, [[*FILE[:5], "N", *FILE[6:]]]),
        (SslDirectories, [[*FILE[:2], "N", *FILE[3:]]]),
        (AgentFiles, [[*FILE[:5], "N", *FILE[6:]]]),
        (ComponentDirectory, [[*FILE[:5], "N", *FILE[6:]]]),
        (PuppetAgent, [["catalog", "644", "root", "root", "N", "100.5"]]),
        (PuppetAgent, [["running", "N"]]),
        (Basics, [["free", "1"], ["needed", "N"]]),
        (Backups, [["unsaved", "N"]]),
        (WindowsAgentFiles, [["file", "/a", "f", "N", "100.5"]]),
        (WindowsAgentFiles, [["catalog", "N", "100.5"]]),
        (WindowsBackups, [["unsaved", "N"]]),
    ],
    ids=str,
)
def test_a_count_that_is_none_is_an_error(
    fact: Callable[[], FactBase[Any]], records: list[list[str]], text: str
) -> None:
    with pytest.raises(FactProcessError):
        fact().process(printed(*filled(records, text)))


@pytest.mark.parametrize("text", ["inf", "nan", "x", ""])
@pytest.mark.parametrize(
    ("fact", "records"),
    [
        (SslDirectories, [[*FILE[:6], "N", *FILE[7:]]]),
        (PuppetAgent, [["catalog", "644", "root", "root", "12", "N"]]),
        (WindowsAgentFiles, [["file", "/a", "f", "12", "N"]]),
    ],
    ids=str,
)
def test_a_files_time_that_is_none_is_an_error(
    fact: Callable[[], FactBase[Any]], records: list[list[str]], text: str
) -> None:
    with pytest.raises(FactProcessError):
        fact().process(printed(*filled(records, text)))


def filled(records: list[list[str]], text: str) -> list[list[str]]:
    return [[text if field == "N" else field for field in record] for record in records]


# The last run


@pytest.mark.parametrize(
    "time",
    [".inf", "-.inf", ".nan", "1000000000000000", "-1", "true", "1" * 5000, "{}", "1e18", "[1]"],
)
def test_a_last_run_at_no_time_is_none(time: str) -> None:
    text = f"version: {{config: 1}}\nresources: {{failed: 0}}\ntime: {{last_run: {time}}}\n"
    assert read_summary(text) is None


@given(some.text(max_size=200))
def test_whatever_a_summary_says_can_be_reckoned_with(text: str) -> None:
    for summary in (text, f"time:\n  last_run: {text}"):
        found = read_summary(summary)
        assert found is None or datetime.fromtimestamp(found.time, UTC)


def test_a_summary_of_megabytes_is_not_read() -> None:
    whole = "version: {config: 1}\nresources: {failed: 0}\ntime: {last_run: 1448272000}\n"
    assert read_summary(whole) is not None
    assert read_summary(whole + "# and more\n" * 200_000) is None
    assert read_summary("[" * 100_000) is None


def test_a_run_in_the_future_proves_nothing() -> None:
    judged = agent().judge()
    assert not judged.run_due(LastRun(MADE + 60, True))
    assert not judged.run_due(LastRun(NOW.timestamp() + 600, True))
    assert judged.run_due(LastRun(NOW.timestamp() + 601, True))


# What comes of it


@pytest.fixture
def looks() -> tuple[HostLook, HostLook]:
    web = agent()
    return look_at_master(master(), [web]), look_at_agent(web)


def report(state: SiteState) -> Report:
    now = state.snapshot()
    return Report(
        kind=Kind.SURVEY,
        began=NOW,
        finished=NOW,
        command="",
        preview=True,
        master="master",
        retired=(),
        ca=None,
        summary=Summary.of((), now, (), None),
        now=now,
    )


@pytest.mark.usefixtures("short_keys_will_do")
@pytest.mark.parametrize(
    ("begins", "ends"),
    [
        (datetime(2015, 1, 1), datetime(9999, 12, 31, 23, 59, 59)),
        (datetime(1950, 1, 1), datetime(9999, 12, 31, 23, 59, 59)),
        (datetime(1950, 1, 1), datetime(1950, 1, 2)),
    ],
)
def test_a_certificate_that_is_valid_for_ever_keeps_nobody_from_a_report(
    looks: tuple[HostLook, HostLook], begins: datetime, ends: datetime
) -> None:
    puppet, web = looks
    pem = NEW.issue(AGENT, 9, begins=begins, expires=ends)
    state = site(puppet, with_file(web, "/etc/puppetlabs/ever.pem", pem), named=False)
    found = report(state)
    json.loads(found.to_json())
    assert f"{ends:%Y-%m-%d}" in page(found)
    drawn = picture(lifetimes(found), NOW)
    assert drawn is not None
    assert all(0 <= bar.left <= bar.left + bar.width <= 100.1 for bar in drawn.bars)
    # The others can still be told apart.
    assert max(bar.width for bar in drawn.bars if bar.label == CERTNAME) > 1


def test_orchestration_that_could_not_be_asked_is_a_failure(
    looks: tuple[HostLook, HostLook],
) -> None:
    seen = Orchestration(why="no answer", failed=True)
    checks = verify(site(*looks), Evidence(orchestration=seen))
    (check,) = [c for c in checks if c.about == About.ORCHESTRATED.value]
    assert (check.result, check.saw) == (Result.FAILED, "no answer")
    without = verify(site(*looks), Evidence(orchestration=replace(seen, failed=False)))
    (check,) = [c for c in without if c.about == About.ORCHESTRATED.value]
    assert check.result is Result.NOT_MADE


@pytest.mark.parametrize("end", ["raise SystemExit(0)", "pass", "import sys; sys.exit(2)"])
def test_a_report_that_could_not_be_written_is_an_exit_status(end: str) -> None:
    script = f"from procedures.status import fail_in_the_end as f; f(); print('told'); {end}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"told\n")
