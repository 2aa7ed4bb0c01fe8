"""A report as one HTML page for a person: nothing to fetch, nothing in it that a host could run.

What hosts have written is text wherever it stands: escaped by Jinja2, never inside a script or a
style, and with what a reader could not see made visible. A Content-Security-Policy allows the
page's own script and style, by their digests, and nothing else.
"""

from __future__ import annotations

import hashlib
import unicodedata
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from recert.lifetimes import lifetimes, picture
from recert.outcomes import in_order
from recert.report import (
    CaRecord,
    CertificateRecord,
    Kind,
    OperationRecord,
    Report,
    Result,
    Severity,
    Snapshot,
    Standing,
    trusted,
)

AT_ONCE = 200
"""Rows of a table that a browser shows until it is asked for more."""

_TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
_TITLES = {
    Kind.SURVEY: "Survey",
    Kind.VERIFY: "Verification",
    Kind.SITE: "Regeneration of the site",
    Kind.AGENTS: "Renewal of the agents",
    Kind.REPLACE: "Replacement of certificates",
    Kind.RESTORE: "Return to a backup",
}


@dataclass(frozen=True)
class CertificateRow:
    """One file, as it is now and as it was: `change` says in words what became of it."""

    record: CertificateRecord
    was: CertificateRecord | None
    change: str
    issuer: str


@dataclass(frozen=True)
class OperationRow:
    """One operation over all hosts. `seconds`: from its first begin to its last end."""

    name: str
    began: datetime
    seconds: float
    hosts: dict[str, int]
    slowest: OperationRecord


def page(report: Report) -> str:
    """The page. It holds no character that UTF-8 cannot."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    environment.globals["at_once"] = AT_ONCE
    environment.filters |= {"moment": _moment, "day": _day, "duration": duration}
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "report.js").read_text(encoding="utf-8")
    found = lifetimes(report)
    problems = report.now.problems if report.now is not None else ()
    failed = [check for check in report.checks if check.result is not Result.PASSED]
    return environment.get_template("report.html.j2").render(
        report=report,
        title=_TITLES[report.kind],
        verdict=_verdict(report),
        style=Markup(style),
        script=Markup(script),
        policy=(
            f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; "
            "base-uri 'none'; form-action 'none'"
        ),
        problems=problems,
        severities=Counter(problem.severity for problem in problems),
        Severity=Severity,
        trusted=trusted,
        failed=failed,
        passed=[check for check in report.checks if check.result is Result.PASSED],
        agents=in_order(report.agents),
        sides=_sides(report),
        certificates=certificate_rows(report),
        standings=_counted(report.now, list(Standing)),
        operations=operation_rows(report.operations),
        picture=picture(found, report.finished),
    )


def certificate_rows(report: Report) -> list[CertificateRow]:
    """Every file once, the worst first, with what was in its place before."""
    was = _by_file(report.before)
    rows = []
    for key, record in _by_file(report.now).items():
        old = was.pop(key, None)
        if report.before is None:
            change = ""
        elif old is None:
            change = "new"
        elif old.fingerprint == record.fingerprint:
            change = "as before"
        else:
            change = "replaced"
        rows.append(CertificateRow(record, old, change, _issuer(record, report)))
    if report.now is not None:
        rows += [
            CertificateRow(record, record, "gone", _issuer(record, report))
            for record in was.values()
        ]
    order = list(Standing)
    return sorted(
        rows,
        key=lambda row: (
            row.change == "gone",
            order.index(row.record.standing),
            not row.record.problems,
            row.record.host,
            row.record.path,
        ),
    )


def operation_rows(operations: Iterable[OperationRecord]) -> list[OperationRow]:
    """What each operation did, over all its hosts, in the order in which they began."""
    by_name: dict[str, list[OperationRecord]] = {}
    for operation in sorted(operations, key=lambda operation: operation.began):
        by_name.setdefault(operation.name, []).append(operation)
    rows = []
    for name, found in by_name.items():
        began = min(operation.began for operation in found)
        ended = max(operation.began + timedelta(seconds=operation.seconds) for operation in found)
        rows.append(
            OperationRow(
                name=name,
                began=began,
                seconds=(ended - began).total_seconds(),
                hosts=dict(Counter(str(operation.result) for operation in found)),
                slowest=max(found, key=lambda operation: operation.seconds),
            )
        )
    return rows


def duration(seconds: float | None) -> str:
    """`41.5 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return "—"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def visible(text: str) -> str:
    """What hosts have written, with what a reader would not see, or see in another order, by its
    number: control characters, direction marks, halves of surrogate pairs."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"\\u{ord(c):04x}" if unicodedata.category(c) in _UNSEEN and c not in "\n\t" else c
        for c in text
    )


_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def _finalize(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _verdict(report: Report) -> str:
    summary = report.summary
    if report.preview and report.kind not in (Kind.SURVEY, Kind.VERIFY):
        return "A preview: nothing was changed."
    missing = summary.nodes - summary.back
    if summary.well and summary.checks_not_made:
        number = summary.checks_not_made
        what = "1 check was" if number == 1 else f"{number:,} checks were"
        return f"All that could be checked is well; {what} not made."
    if summary.well:
        return "All is well." if not summary.problems else "It works, with problems to look at."
    parts = []
    if missing:
        verb = "is" if missing == 1 else "are"
        what = "not well" if report.kind is Kind.SURVEY else "not back"
        parts.append(f"{missing:,} of {summary.nodes:,} nodes {verb} {what}")
    if summary.checks_failed:
        parts.append(f"{summary.checks_failed:,} of {summary.checks:,} checks failed")
    return "; ".join(parts or ["Something is left to be done"]) + "."


@dataclass(frozen=True)
class Side:
    """What was found at one moment, for the comparison of both."""

    title: str
    at: datetime
    ca: CaRecord | None
    hosts: int
    answered: int
    well: int
    problems: int
    standings: dict[Standing, int]


def _sides(report: Report) -> list[Side]:
    titles = ("Before", "After") if report.before is not None else ("", "Now")
    return [
        Side(
            title=title,
            at=found.at,
            ca=found.ca,
            hosts=len(found.hosts),
            answered=sum(host.answered for host in found.hosts),
            well=sum(host.well for host in found.hosts),
            problems=sum(problem.severity is Severity.BAD for problem in found.problems),
            standings=_counted(found, list(Standing)),
        )
        for title, found in zip(titles, (report.before, report.now), strict=True)
        if found is not None
    ]


def _counted(snapshot: Snapshot | None, standings: Sequence[Standing]) -> dict[Standing, int]:
    found = snapshot.certificates if snapshot is not None else ()
    counts = Counter(record.standing for record in found)
    return {standing: counts[standing] for standing in standings if counts[standing]}


def _by_file(snapshot: Snapshot | None) -> dict[tuple[str, str, str], CertificateRecord]:
    """By host, path and place in the file: a keystore holds several."""
    found: dict[tuple[str, str, str], CertificateRecord] = {}
    numbers: Counter[tuple[str, str]] = Counter()
    for record in snapshot.certificates if snapshot is not None else ():
        file = record.host, record.path
        numbers[file] += 1
        found[*file, str(numbers[file])] = record
    return found


def _issuer(record: CertificateRecord, report: Report) -> str:
    fingerprint = record.issuer_fingerprint
    if fingerprint is None:
        return "no CA that is known" if record.subject is not None else ""
    if fingerprint == report.ca:
        return "the CA in place"
    return "the CA to retire" if fingerprint in report.retired else "a former CA"


def _moment(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d %H:%M:%S} UTC" if value is not None else "—"


def _day(value: datetime | None) -> str:
    return f"{value:%Y-%m-%d}" if value is not None else "—"
