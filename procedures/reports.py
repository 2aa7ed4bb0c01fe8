"""The files that a run leaves below `reports/` on the control machine."""

from __future__ import annotations

from pathlib import Path

from recert.report import Report

REPORTS = Path("reports")


def write(report: Report) -> list[Path]:
    """The report as files of its own, which only their owner reads: what is in them is public,
    and still a map of the site."""
    REPORTS.mkdir(exist_ok=True)
    name = f"{report.kind.value}-{report.finished:%Y%m%dT%H%M%SZ}"
    stem, number = name, 1
    while (REPORTS / f"{stem}.json").exists():
        number += 1
        stem = f"{name}-{number}"
    return [_written(REPORTS / f"{stem}.json", report.to_json())]


def _written(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path
