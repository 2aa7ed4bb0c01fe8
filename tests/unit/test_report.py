"""The document that is left for people's pages and for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import jsonschema
import pytest
from pydantic import TypeAdapter
from pyinfra.api import Config, Inventory, State

from procedures import reports
from procedures.looks import BEFORE, NOW, Survey
from procedures.reports import Reporting, write
from procedures.run import Run
from procedures.verification import Verification
from recert.options import RunMode
from recert.outcomes import Outcome, Status
from recert.report import SCHEMA, Check, Report, Result, Snapshot, Summary, read_report, schema

EXAMPLE = Path(SCHEMA).with_name("report.example.json")


@pytest.fixture
def example() -> Report:
    return read_report(EXAMPLE.read_text())


def _check(document: dict[str, Any]) -> None:
    jsonschema.validate(
        document,
        json.loads(SCHEMA.read_text()),
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )


def test_the_schema_in_the_docs_is_that_of_the_classes() -> None:
    assert SCHEMA.read_text() == schema(), "run `python -m recert.report`"


def test_the_example_follows_the_schema() -> None:
    _check(json.loads(EXAMPLE.read_text()))


@pytest.mark.parametrize(
    ("where", "value"),
    [("version", 1), ("kind", "elsewhere"), ("agents", [{"host": "web01"}]), ("now", "soon")],
)
def test_the_schema_refuses_what_is_no_report(where: str, value: object) -> None:
    document = json.loads(EXAMPLE.read_text())
    document[where] = value
    with pytest.raises(jsonschema.ValidationError):
        _check(document)


def test_a_report_can_be_read_back(example: Report) -> None:
    assert example.before is not None and example.now is not None
    assert example.before.certificates and example.checks and example.operations
    assert read_report(example.to_json()) == example


def test_times_and_enumerations_are_written_as_people_read_them(example: Report) -> None:
    document = json.loads(example.to_json())
    assert next(iter(document)) == "version"
    assert document["kind"] == "site"
    assert document["finished"] == "2015-11-23T10:11:00Z"
    assert document["before"]["certificates"][0]["standing"] == "retired"


def test_it_is_written_as_pydantic_would_which_the_schema_is_made_by(example: Report) -> None:
    by_pydantic = TypeAdapter(Report).dump_python(example, mode="json")
    assert json.loads(example.to_json()) == by_pydantic


@pytest.mark.parametrize("status", Status)
def test_each_status_is_named_as_people_read_it(example: Report, status: Status) -> None:
    text = replace(example, agents=(Outcome("a", None, status),)).to_json()
    document = json.loads(text)
    assert document["agents"][0]["status"] == status.value


def test_json_is_text_that_ends_in_a_line(example: Report) -> None:
    failed = Outcome("a", None, Status.FAILED, why="not UTF-8: \udcff, ü")
    text = replace(example, agents=(failed,)).to_json()
    assert text.endswith("}\n")
    assert text.isascii()
    assert json.loads(text)["agents"][0]["why"] == failed.why


# The files


def test_report_is_written_under_the_time_of_its_run(
    example: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(example)[0]
    assert str(path) == "reports/site-20151123T101100Z.json"
    assert path.read_text() == example.to_json()
    assert path.stat().st_mode & 0o777 == 0o600


def test_report_never_takes_the_place_of_another(
    example: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = [write(replace(example, command=command))[0] for command in ("first", "second")]
    assert [p.name for p in paths] == ["site-20151123T101100Z.json", "site-20151123T101100Z-2.json"]
    assert json.loads(paths[0].read_text())["command"] == "first"


# The sum


def test_whoever_fails_a_check_is_not_back(example: Report) -> None:
    assert example.now is not None
    well = [replace(host, well=True, why="") for host in example.now.hosts]
    now = replace(example.now, hosts=tuple(well))
    found = Summary.of(example.agents, now, example.checks, example.outage)
    failed = {check.host for check in example.checks if check.result is Result.FAILED}
    assert {entry.host for entry in found.not_back} == failed == {"master", "db01"}
    assert (found.nodes, found.back, found.well) == (4, 2, False)
    assert found.outage_seconds == 41.5


def test_without_a_look_the_agents_are_counted(example: Report) -> None:
    found = Summary.of(example.agents)
    assert (found.nodes, found.back) == (3, 1)
    assert {(entry.host, entry.why) for entry in found.not_back} == {
        ("db01", "No space left on device"),
        ("app01", "it could not be connected to"),
    }


def test_nothing_to_do_is_well(example: Report) -> None:
    assert Summary.of([Outcome("a", None, Status.FRESH)]).well
    assert not Summary.of([Outcome("a", None, Status.DUE)]).well


# What cannot be told


class Broken:
    """A survey, or a verification, whose judgement fails."""

    empty = False
    survey = SimpleNamespace(retired=None)

    def snapshot(self) -> Snapshot:
        raise ValueError("nobody has thought of that")

    def checks(self) -> tuple[Check, ...]:
        raise ValueError("nor of that")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """One that has looked at a site, where looking before failed, and so does judging checks."""
    monkeypatch.setattr(reports, "fail_in_the_end", lambda: None)
    state = State(Inventory((["web01", "puppet"], {}), master=(["puppet"], {})), Config())
    run = Run(state)
    monkeypatch.setattr(reports, "outage_of", lambda _: None)
    monkeypatch.setattr(reports, "verification_of", lambda _: Broken())
    return run


def test_a_part_that_cannot_be_told_keeps_no_other_one_from_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, example: Report
) -> None:
    found = example.now
    well = SimpleNamespace(empty=False, snapshot=lambda: found)
    surveys = {BEFORE: Broken(), NOW: well}
    monkeypatch.setattr(reports, "known_survey", lambda _, moment: surveys[moment])
    with caplog.at_level("ERROR", logger="pyinfra"):
        told = Reporting(run).report()
    assert (told.now, told.before, told.checks) == (found, None, ())
    assert [record.getMessage().strip() for record in caplog.records] == [
        "What was verified cannot be told: nor of that",
        "What was seen of the hosts cannot be told: nobody has thought of that",
    ]


def test_what_cannot_be_shown_is_written_all_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, example: Report
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Reporting, "report", lambda _: replace(example, preview=False))

    def fail(_: Report) -> None:
        raise ValueError("nobody has thought of that")

    monkeypatch.setattr(reports, "_show", fail)
    Reporting(run).tell()
    assert len(list(tmp_path.glob("reports/*"))) == 2


def test_nobody_is_proven_by_what_cannot_be_judged(run: Run) -> None:
    verification = Verification(run, RunMode.LAST, cast(Survey, SimpleNamespace()))
    host = run.state.inventory.get_host("web01")
    verification.checks = Broken().checks  # type: ignore[method-assign]
    (check,) = verification.failed_on(host)
    assert (check.host, check.result) == ("web01", Result.FAILED)
    assert check.saw.endswith("cannot be judged: nor of that")
