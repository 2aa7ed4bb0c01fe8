"""What a person, and what a program, is told became of each agent."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from pyinfra.api import Config, Inventory, State
from pyinfra.api.operation import OperationMeta
from pyinfra.connectors.util import CommandOutput, OutputLine

from procedures.names import inventory_certnames
from procedures.outcomes import Outcomes, said_of_failure
from procedures.run import Run
from procedures.tables import show_agents
from procedures.telling import LONG
from recert.ca_records import CaRecords
from recert.outcomes import ForeignRequest, Outcome, Status, in_order, summary
from recert.report import Kind, Report, Summary

FAILED = Outcome("web01", "web01.example.com", Status.FAILED, "6.4 Delete", "No space left")
FRESH = Outcome("db01", "db01.example.com", Status.FRESH)
AT = datetime(2015, 11, 23, 10, 15, tzinfo=UTC)
UNREACHABLE = Outcome("app01", None, Status.UNREACHABLE, why="it could not be connected to")


def report(
    *agents: Outcome, preview: bool = False, foreign: tuple[ForeignRequest, ...] = ()
) -> Report:
    return Report(
        kind=Kind.AGENTS,
        began=AT,
        finished=AT,
        summary=Summary.of(agents),
        command="pyinfra inventory.py deploys/agents.py",
        preview=preview,
        master="master",
        retired=("AB:CD",),
        ca="EF:01",
        agents=agents,
        foreign_requests=foreign,
    )


def test_what_one_host_says_leaves_room_for_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = State(Inventory((["web01", "puppet"], {"master": (["puppet"], {})})), Config())
    outcomes = Outcomes(Run(state))
    host = state.inventory.get_host("web01")
    with caplog.at_level("ERROR", logger="pyinfra"):
        outcomes.refused(host, ["x" * 100_000, *map(str, range(10**5))], counted=True)
    assert len(caplog.records) == LONG + 1
    assert "and 99971 more" in caplog.text
    assert len(caplog.text) < 10_000


def test_a_host_is_known_under_every_name_that_the_inventory_has_for_it() -> None:
    web = {"certname": "web01.example.com", "ssh_hostname": "10.0.0.17"}
    win = {"winrm_hostname": "WIN01.example.com"}
    state = State(Inventory(([("web", web), ("@winrm/shop", win)], {})), Config())
    assert inventory_certnames(state.inventory.get_host("web")) == {
        *("web", "web01.example.com", "10.0.0.17"),
        *("shop", "win01.example.com"),
    }


def test_others_have_a_turn_while_many_requests_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    turns: list[int] = []
    monkeypatch.setattr("recert.turns.AT_ONCE", 2)
    monkeypatch.setattr("procedures.outcomes.give_turn", lambda: turns.append(len(read)))
    ca_records = SimpleNamespace(requesting=list("abcde"), too_many_wait=False, request=read.append)
    outcomes = Outcomes(Run(State(Inventory((["puppet"], {})), Config())))
    found = outcomes._foreign_requests(cast(CaRecords, ca_records))
    assert [one.certname for one in found] == read == list("abcde")
    assert turns == [2, 4]


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


# The table


Shown = list[list[str]]


def shown(capsys: pytest.CaptureFixture[str], found: Report) -> tuple[str, Shown]:
    """What is printed, and the cells of the table."""
    show_agents(found)
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
        "These requests wait on the master, and no agent of this run is known to be called so:",
        "  stranger 12:34",
        "  garbage no request, or not read",
    ]


# What a command has said of its failure

_FAILED = "The step failed with status 1. Mend the cause, then run the same command again."


@pytest.mark.parametrize(
    ("stdout", "stderr", "said"),
    [
        (["done"], ["broken", _FAILED], ["broken", _FAILED]),
        (["done", "broken", _FAILED], [], ["done", "broken", _FAILED]),
        (["half of what it"], [], []),
        ([], [], []),
    ],
    ids=["apart", "on a terminal", "a connection that was lost", "nothing"],
)
def test_what_a_command_says_of_its_failure(
    stdout: list[str], stderr: list[str], said: list[str]
) -> None:
    lines = [OutputLine("stdout", line) for line in stdout]
    lines += [OutputLine("stderr", line) for line in stderr]
    meta = OperationMeta("hash", True)
    meta.set_complete(False, [], CommandOutput(lines))
    assert said_of_failure(meta) == said
