"""What a person, and what a program, is told became of each agent."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from procedures.outcomes import show, write
from procedures.telling import LONG
from recert.outcomes import ForeignRequest, Outcome, RunReport, Status, in_order, summary

FAILED = Outcome("web01", "web01.example.com", Status.FAILED, "6.4 Delete", "No space left")
FRESH = Outcome("db01", "db01.example.com", Status.FRESH)
UNREACHABLE = Outcome("app01", None, Status.UNREACHABLE, why="it could not be connected to")


def report(
    *agents: Outcome, preview: bool = False, foreign: tuple[ForeignRequest, ...] = ()
) -> RunReport:
    return RunReport(
        finished="2015-11-23T10:15:00+00:00",
        command="pyinfra inventory.py deploys/agents.py",
        preview=preview,
        master="master",
        retired=("AB:CD",),
        ca="EF:01",
        agents=agents,
        foreign_requests=foreign,
    )


# Order and summary


def test_what_needs_somebody_comes_first() -> None:
    one_of_each = [Outcome("host", None, status) for status in reversed(Status)]
    assert [outcome.status for outcome in in_order(one_of_each)] == [
        Status.FAILED,
        Status.INTERRUPTED,
        Status.UNREACHABLE,
        Status.WAITING,
        Status.UNTOUCHED,
        Status.DUE,
        Status.TO_RESTORE,
        Status.RENEWED,
        Status.RESTORED,
        Status.FRESH,
        Status.AS_BEFORE,
    ]


def test_agents_of_one_status_come_by_name() -> None:
    hosts = ["c", "a", "b"]
    found = in_order(Outcome(host, host, Status.RENEWED) for host in hosts)
    assert [outcome.host for outcome in found] == ["a", "b", "c"]


def test_nothing_is_left_to_do_for_those_that_are_where_they_should_be() -> None:
    assert {status for status in Status if status.good} == {
        *(Status.RENEWED, Status.FRESH),
        *(Status.RESTORED, Status.AS_BEFORE),
    }


def test_summary_counts_by_status_the_worst_first() -> None:
    statuses = [Status.RENEWED, Status.UNREACHABLE, Status.RENEWED, Status.FAILED]
    found = summary(Outcome(str(n), None, status) for n, status in enumerate(statuses))
    assert found == "1 failed, 1 unreachable, 2 renewed"


def test_summary_of_no_agents_is_empty() -> None:
    assert summary([]) == ""


# JSON


def test_json_holds_everything() -> None:
    foreign = (ForeignRequest("stranger", "12:34"), ForeignRequest("garbage", None))
    assert json.loads(report(FAILED, UNREACHABLE, foreign=foreign).to_json()) == {
        "version": 1,
        "finished": "2015-11-23T10:15:00+00:00",
        "command": "pyinfra inventory.py deploys/agents.py",
        "preview": False,
        "master": "master",
        "retired": ["AB:CD"],
        "ca": "EF:01",
        "agents": [
            {
                "host": "web01",
                "certname": "web01.example.com",
                "status": "failed",
                "step": "6.4 Delete",
                "why": "No space left",
            },
            {
                "host": "app01",
                "certname": None,
                "status": "unreachable",
                "step": "",
                "why": "it could not be connected to",
            },
        ],
        "foreign_requests": [
            {"certname": "stranger", "digest": "12:34"},
            {"certname": "garbage", "digest": None},
        ],
    }


@pytest.mark.parametrize("status", Status)
def test_json_names_each_status_as_people_read_it(status: Status) -> None:
    document = json.loads(report(Outcome("a", None, status)).to_json())
    assert document["agents"][0]["status"] == status.value


def test_json_is_text_that_ends_in_a_line() -> None:
    text = report(Outcome("a", None, Status.FAILED, why="not UTF-8: \udcff, ü")).to_json()
    assert text.endswith("}\n")
    assert text.isascii()


# The file


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_report_is_written_under_the_time_of_its_run(here: Path) -> None:
    path = write(report(FAILED))
    assert str(path) == "reports/step6-20151123T101500Z.json"
    assert (here / path).read_text() == report(FAILED).to_json()


def test_report_never_takes_the_place_of_another(here: Path) -> None:
    paths = [write(report(agent)) for agent in (FAILED, FRESH, UNREACHABLE)]
    assert [path.name for path in paths] == [
        "step6-20151123T101500Z.json",
        "step6-20151123T101500Z-2.json",
        "step6-20151123T101500Z-3.json",
    ]
    assert json.loads((here / paths[0]).read_text())["agents"][0]["host"] == "web01"


# The table


Shown = list[list[str]]


def shown(capsys: pytest.CaptureFixture[str], found: RunReport) -> tuple[str, Shown]:
    """What is printed, and the cells of the table."""
    show(found)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if line.startswith("│")]
    return printed.err, [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


def test_table_shows_what_became_of_each(capsys: pytest.CaptureFixture[str]) -> None:
    text, rows = shown(capsys, report(FAILED, UNREACHABLE, FRESH))
    assert "Step 6: 1 failed, 1 unreachable, 1 already fresh" in text
    assert rows == [
        ["web01", "web01.example.com", "failed", "6.4 Delete", "No space left"],
        ["app01", "", "unreachable", "", "it could not be connected to"],
        ["db01", "db01.example.com", "already fresh", "", ""],
    ]
    assert "These requests wait" not in text
    assert "more that are well" not in text


def test_preview_speaks_of_what_it_would_find(capsys: pytest.CaptureFixture[str]) -> None:
    text, _ = shown(capsys, report(Outcome("a", "a", Status.DUE), preview=True))
    assert "Step 6 would find: 1 to be renewed" in text


def test_what_was_found_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    _, rows = shown(capsys, report(Outcome("a", "a", Status.FAILED, "6", "[bold]x[/] :smile:")))
    assert rows[0][4] == "[bold]x[/] :smile:"


def test_no_line_of_what_was_found_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    why = "first\nsecond\n" + "long " * 100
    text, rows = shown(capsys, report(Outcome("a", "a", Status.FAILED, "6", why)))
    assert [rows[0][4], rows[1][4]] == ["first", "second"]
    assert text.count("long") == 100


def test_control_characters_of_an_agent_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    evil = "x\x1b[2Jy\x9b0mz\x07\b"
    agent = Outcome("a", evil, Status.FAILED, evil, evil)
    text, _ = shown(capsys, report(agent, foreign=(ForeignRequest(evil, None),)))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert text.count(r"x\x1b[2Jy\x9b0mz") == 4


def many(status: Status, number: int) -> list[Outcome]:
    return [Outcome(f"{status.name}{n}", "c", status) for n in range(number)]


@pytest.mark.parametrize(
    ("bad", "good", "rows", "more"),
    [
        (0, LONG, LONG, 0),
        (0, LONG + 1, LONG, 1),
        (10, LONG, LONG, 10),
        (LONG, 5, LONG, 5),
        (LONG + 20, 5, LONG + 20, 5),
        (LONG + 20, 0, LONG + 20, 0),
        (LONG + 5, LONG, LONG + 5, LONG),
    ],
)
def test_long_table_leaves_out_only_who_is_well(
    capsys: pytest.CaptureFixture[str], bad: int, good: int, rows: int, more: int
) -> None:
    agents = in_order([*many(Status.RENEWED, good), *many(Status.UNTOUCHED, bad)])
    text, found = shown(capsys, report(*agents))
    assert len(found) == rows
    assert sum(row[2] == "untouched" for row in found) == bad
    assert (f"and {more} more that are well" in text) is (more > 0)


def test_requests_of_nobodys_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    foreign = (ForeignRequest("stranger", "12:34"), ForeignRequest("garbage", None))
    text, _ = shown(capsys, report(FRESH, foreign=foreign))
    assert text.splitlines()[-3:] == [
        "These requests wait on the master and are no agent's of this run:",
        "  stranger 12:34",
        "  garbage no request",
    ]
