"""The document that is left for people's pages and for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from recert.outcomes import Outcome, Status
from recert.report import SCHEMA, Report, read_report, schema

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
    document = example.document()
    assert next(iter(document)) == "version"
    assert document["kind"] == "site"
    assert document["finished"] == "2015-11-23T10:11:00Z"
    assert document["before"]["certificates"][0]["standing"] == "retired"


@pytest.mark.parametrize("status", Status)
def test_each_status_is_named_as_people_read_it(example: Report, status: Status) -> None:
    document = replace(example, agents=(Outcome("a", None, status),)).document()
    assert document["agents"][0]["status"] == status.value


def test_json_is_text_that_ends_in_a_line(example: Report) -> None:
    failed = Outcome("a", None, Status.FAILED, why="not UTF-8: \udcff, ü")
    text = replace(example, agents=(failed,)).to_json()
    assert text.endswith("}\n")
    assert text.isascii()
    assert json.loads(text)["agents"][0]["why"] == failed.why
