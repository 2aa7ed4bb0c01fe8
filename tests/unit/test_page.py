"""The page of a report, as text; that a browser shows it is in tests/e2e/test_page.py."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

import procedures.reports
from recert.page import certificate_rows, duration, operation_rows, page, visible
from recert.report import SCHEMA, Kind, OperationRecord, Report, Standing, Summary, read_report
from tests.unit import reports
from tests.unit.patience import ending

EXAMPLE = SCHEMA.with_name("report.example.json")


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def example() -> Report:
    return read_report(EXAMPLE.read_text(encoding="utf-8"))


def test_the_example_says_what_somebody_has_to_know(example: Report) -> None:
    text = page(example)
    assert "2 of 4 nodes are not back; 2 of 8 checks failed." in text
    assert "41.5 s" in text
    for known in (*example.retired, example.ca, "it could not be connected to"):
        assert known is not None and known in text


def test_nothing_is_fetched_and_only_the_pages_own_script_and_style_may_run(
    example: Report,
) -> None:
    text = page(example)
    found = Page(text)
    for _, attributes in found.elements:
        for name, value in attributes.items():
            assert name not in ("src", "style", "srcset"), f"{name}={value}"
            assert not name.startswith("on"), f"{name}={value}"
            assert name != "href" or (value or "").startswith("#"), value
    (policy,) = [
        attributes["content"]
        for attributes in found.all("meta")
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None and policy.startswith("default-src 'none';")
    for tag in ("script", "style"):
        (source,) = re.findall(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert "url(" not in source and "@import" not in source
    assert "unsafe" not in policy


def test_a_hosts_words_are_text_wherever_they_stand() -> None:
    plain = Page(page(reports.site_report(3)))
    hostile = page(reports.site_report(3, odd_name=reports.HOSTILE))
    assert reports.HOSTILE not in hostile
    found = Page(hostile)
    assert "".join(found.texts).count(reports.HOSTILE) >= 6, "it is shown, in many places"
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in plain.elements]
    attributes = [sorted(given) for _, given in found.elements]
    assert attributes == [sorted(given) for _, given in plain.elements]


def test_what_cannot_be_seen_is_shown_by_its_number() -> None:
    assert visible("plain näme") == "plain näme"
    assert visible("a\x1b[31m\u202eb\x00\ud800") == "a\\u001b[31m\\u202eb\\u0000\\ud800"
    text = page(reports.site_report(2, odd_name="evil\u202e\ud800name"))
    assert "evil\\u202e\\ud800name" in text
    assert text.encode("utf-8")


def test_a_files_before_and_after_stand_in_one_row() -> None:
    report = reports.site_report(3)
    assert report.now is not None and report.before is not None
    stray = replace(report.now.certificates[0], path="/root/stray.pem", standing=Standing.FOREIGN)
    gone = replace(report.before.certificates[0], path="/root/gone.pem")
    report = replace(
        report,
        now=replace(report.now, certificates=(*report.now.certificates, stray)),
        before=replace(report.before, certificates=(*report.before.certificates, gone)),
    )
    rows = certificate_rows(report)
    assert [(row.change, row.record.path.rpartition("/")[2]) for row in rows] == [
        ("as before", "node0003.example.com.pem"),
        ("new", "stray.pem"),
        ("replaced", "node0001.example.com.pem"),
        ("replaced", "node0002.example.com.pem"),
        ("gone", "gone.pem"),
    ]
    assert rows[2].was == report.before.certificates[0]  # type: ignore[union-attr]
    assert [row.issuer for row in rows[:3]] == [
        "the CA to retire",
        "the CA in place",
        "the CA in place",
    ]


def test_thousands_of_certificates_in_one_file_are_soon_in_their_rows() -> None:
    report = reports.site_report(1)
    assert report.now is not None
    keystore = report.now.certificates[:1] * 30_000
    report = replace(report, now=replace(report.now, certificates=keystore))
    with ending():
        assert len(certificate_rows(report)) == 30_000


def test_a_survey_has_neither_before_nor_checks(example: Report) -> None:
    survey = replace(
        example, kind=Kind.SURVEY, before=None, checks=(), operations=(), agents=(), outage=None
    )
    text = page(replace(survey, preview=True))  # pyinfra runs no operation in it
    assert "2 of 4 nodes are not well" in text
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", text)
    assert headings[:2] == ["Summary", "Problems"]
    assert not {"Checks", "Before and after", "Operations", "Step 6"} & set(headings)


def test_a_report_of_nothing_is_a_page_too(example: Report) -> None:
    nothing = replace(
        example,
        before=None,
        now=None,
        retired=(),
        retired_ca=None,
        ca=None,
        checks=(),
        agents=(),
        operations=(),
        foreign_requests=(),
        outage=None,
        summary=Summary.of(),
    )
    assert "None that nodes are to trust." in page(nothing)


def test_a_run_leaves_the_page_beside_the_json(
    example: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(procedures.reports, "REPORTS", tmp_path / "reports")
    written = procedures.reports.write(example)
    assert [path.suffix for path in written] == [".json", ".html"]
    assert written[0].stem == written[1].stem
    assert written[1].read_text(encoding="utf-8") == page(example)
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}


def test_operations_of_many_hosts_become_one_row() -> None:
    def operation(host: str, after: float, seconds: float, failed: bool = False) -> OperationRecord:
        began = reports.BEGAN + timedelta(seconds=after)
        return OperationRecord("6.1", host, began, seconds, "failed" if failed else "changed")

    first = OperationRecord("5", "master", reports.BEGAN - timedelta(seconds=9), 9, "changed")
    rows = operation_rows(
        [operation("b", 2, 5), operation("a", 0, 1), operation("c", 3, 1, True), first]
    )
    assert [row.name for row in rows] == ["5", "6.1"]
    assert rows[1].began == reports.BEGAN and rows[1].seconds == 7
    assert rows[1].hosts == {"changed": 2, "failed": 1} and rows[1].slowest.host == "b"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "—"), (0, "0.0 s"), (41.46, "41.5 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")],
)
def test_durations_are_said_as_people_do(seconds: float | None, words: str) -> None:
    assert duration(seconds) == words
