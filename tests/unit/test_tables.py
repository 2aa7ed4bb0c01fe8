"""What a person sees of a survey and of a verification."""

from __future__ import annotations

import re
from dataclasses import replace
from unittest.mock import Mock

import pytest

from facts.backups import BackupStore
from procedures.listing import show_backups
from procedures.tables import show_checks, show_snapshot
from procedures.telling import LONG
from recert.backups import Backup, Manifest
from recert.report import SCHEMA, Check, Report, Result, Severity, Snapshot, read_report


@pytest.fixture
def example() -> Report:
    return read_report(SCHEMA.with_name("report.example.json").read_text())


@pytest.fixture
def found(example: Report) -> Snapshot:
    assert example.now is not None
    return example.now


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[str, list[list[str]]]:
    """Everything that was printed, and the cells of all tables."""
    out, err = capsys.readouterr()
    assert out == ""
    rows = [line.strip("│").split("│") for line in err.splitlines() if line.startswith("│")]
    return err, [[cell.strip() for cell in row] for row in rows]


def test_problems_come_first_and_with_their_remedies(
    capsys: pytest.CaptureFixture[str], found: Snapshot
) -> None:
    show_snapshot(found)
    text, rows = printed(capsys)
    assert text.startswith("Problems: 4 bad, 1 other")
    assert [row[0] for row in rows if row[0] in ("bad", "warning")] == [*["bad"] * 4, "warning"]
    assert "Start it (`service pe-puppet start`)" in re.sub(r"[│\s]+", " ", text)
    assert "Hosts: 2 of 4 well" in text
    assert found.ca is not None and f"fingerprint {found.ca.fingerprint}" in text


def test_hosts_that_are_not_well_come_before_the_others(
    capsys: pytest.CaptureFixture[str], found: Snapshot
) -> None:
    show_snapshot(replace(found, problems=(), certificates=()))
    text, rows = printed(capsys)
    assert text.startswith("Problems: none")
    assert [(row[0], row[2]) for row in rows if row[2]] == [
        ("db01", "not well"),
        ("app01", "not well"),
        ("master", "well"),
        ("web01", "well"),
    ]


def test_a_long_list_is_cut_and_says_so(
    capsys: pytest.CaptureFixture[str], found: Snapshot
) -> None:
    problem = found.problems[0]
    many = tuple(replace(problem, host=f"host{n}") for n in range(LONG + 12))
    show_snapshot(replace(found, problems=many, certificates=()))
    text, _ = printed(capsys)
    assert "and 12 more, which the report has" in text
    assert f"host{LONG - 1} " in text and f"host{LONG} " not in text


def test_checks_that_are_passed_are_counted_and_the_others_named(
    capsys: pytest.CaptureFixture[str], example: Report
) -> None:
    show_checks(example.checks)
    text, rows = printed(capsys)
    assert text.startswith("Verified: 2 of 8 checks failed")
    first = [(row[0], row[2]) for row in rows if row[0]]
    assert first[:3] == [("failed", "master"), ("failed", "db01"), ("not made", "app01")]
    assert {result for result, _ in first[3:]} == {"passed"}
    assert "2 of 2 checks" in text and "1 of 2 checks" in text


def test_every_failed_check_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    checks = [
        Check("It works", f"host{n}", "looked", "no", Result.FAILED, "mend it") for n in range(99)
    ]
    show_checks(checks)
    _, rows = printed(capsys)
    assert {row[2] for row in rows} == {f"host{n}" for n in range(99)}


def test_what_one_host_says_leaves_room_for_the_others(
    capsys: pytest.CaptureFixture[str], found: Snapshot
) -> None:
    checks = [
        Check("It works", "loud", "looked", f"no {n}", Result.FAILED, "mend it") for n in range(999)
    ]
    show_checks([*checks, Check("It works", "quiet", "looked", "no", Result.FAILED, "mend it")])
    text, rows = printed(capsys)
    assert len(rows) == 30 + 1 + 1
    assert {row[2] for row in rows} == {"loud", "quiet"}
    assert "and 969 more" in text and "1000 of 1000 checks failed" in text

    loud = [replace(found.problems[0], host="loud", subject=str(n)) for n in range(99)]
    quiet = replace(found.problems[0], host="quiet")
    show_snapshot(replace(found, problems=(*loud, quiet)))
    text, rows = printed(capsys)
    assert "quiet" in {row[1] for row in rows}
    assert "and 89 more, which the report has" in text


def test_control_characters_do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str], found: Snapshot
) -> None:
    evil = "x\x1b[2Jy\x07 [bold]z[/]"
    problem = replace(found.problems[0], severity=Severity.NOTE, subject=evil, what=evil)
    record = replace(found.certificates[0], subject=evil, path=evil)
    host = replace(found.hosts[0], certname=evil, why=evil)
    show_snapshot(
        replace(found, problems=(problem,), certificates=(record,), hosts=(host,), ca=None)
    )
    show_checks([Check(evil, evil, evil, evil, Result.FAILED, evil)])
    text, _ = printed(capsys)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert text.count("[bold]z[/]") >= 6


def test_fingerprints_and_names_are_printed_as_they_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Rich makes an emoji of `:AB:`, and a colour of `[red]`."""
    fingerprint = ":".join(["F1", "AB"] * 16)
    manifest = Manifest("", "", "", fingerprint, None, None, None, (), {})
    backup = Backup("20261126T000000Z-f1ab", manifest, valid=True, uncovered=0, differs=False)
    host = Mock(print_prefix="")
    host.name = "web[red]01"

    show_backups(host, "/backups", BackupStore((backup,), frozenset(), 0), names_are_taken=True)

    text, rows = printed(capsys)
    assert fingerprint in {row[2] for row in rows}
    assert "Backups on web[red]01 in /backups" in text
