"""What a person sees at the end, on standard error like everything else that is for people: in
colour and at the terminal's width, plain where there is no terminal."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum

from rich.console import Console
from rich.table import Table
from rich.text import Text

from procedures.telling import LONG, first_of_a_kind, shortened
from recert.harmless import harmless
from recert.outcomes import Outcome, Status, summary
from recert.report import (
    CaRecord,
    CertificateRecord,
    Check,
    HostRecord,
    Kind,
    Problem,
    Report,
    Result,
    Severity,
    Snapshot,
    Standing,
    trusted,
)

WIDTH = 160
"""Columns where there is no terminal."""


class Well(Enum):
    """Of a host."""

    YES = "well"
    NO = "not well"


_STYLES: dict[Enum, str] = {
    Status.FAILED: "red",
    Status.UNREACHABLE: "red",
    Status.WAITING: "yellow",
    Status.INTERRUPTED: "red",
    Status.UNTOUCHED: "yellow",
    Status.DUE: "cyan",
    Status.TO_RESTORE: "cyan",
    Status.RENEWED: "green",
    Status.FRESH: "green",
    Status.RESTORED: "green",
    Status.AS_BEFORE: "green",
    Well.YES: "green",
    Well.NO: "red",
    Severity.BAD: "red",
    Severity.WARNING: "yellow",
    Severity.NOTE: "cyan",
    Standing.RETIRED: "red",
    Standing.UNUSABLE: "red",
    Standing.FOREIGN: "yellow",
    Standing.REVOKED: "cyan",
    Standing.EXPIRED: "red",
    Standing.EXPIRING: "yellow",
    Standing.UNJUDGED: "yellow",
    Standing.GOOD: "green",
    Result.FAILED: "red",
    Result.NOT_MADE: "yellow",
    Result.PASSED: "green",
}

Cell = str | Enum

OF_A_HOST = 10
"""Problems of one host that are printed where there are more than a person reads."""

_PROBLEM_COLUMNS = ("", "host", "about", "what", "remedy")
_HOST_COLUMNS = (
    *("host", "certname", "", "trusts", "at the CA"),
    *("last Puppet run", "clock", "services", "why"),
)


def console(width: int = WIDTH) -> Console:
    """Where tables are printed, as they are: a fingerprint may hold `:AB:`, which is an emoji to
    rich, and what a host is called may look like its markup.

    :param width: where there is no terminal.
    """
    columns = None if sys.stderr.isatty() else width
    return Console(stderr=True, width=columns, highlight=False, emoji=False, markup=False)


def plain(found: str) -> Text:
    """What others have written, without what a terminal would obey."""
    return Text(harmless(found))


def show_agents(report: Report) -> None:
    """What became of each agent."""
    done = "The restoration" if report.kind is Kind.RESTORE else "Step 6"
    what = f"{done} would find" if report.preview else done
    shown = [agent for agent in report.agents if not agent.status.good or agent.why]
    good = [agent for agent in report.agents if agent not in shown]
    shown += good[: max(LONG - len(shown), 0)]
    _print(
        f"{what}: {summary(report.agents)}",
        ("agent", "certname", "status", "step", "why"),
        (_agent_row(agent) for agent in shown),
        limit=len(shown),
    )
    if len(shown) < len(report.agents):
        _say(f"and {len(report.agents) - len(shown)} more that are well")
    if report.foreign_requests:
        _say(
            "These requests wait on the master, and no agent of this run is known to be called so:"
        )
        unread = "no request, or not read"
        requests = [f"{r.certname} {r.digest or unread}" for r in report.foreign_requests]
        for line in shortened(requests, "the report has them all"):
            _say(f"  {line}")


def show_snapshot(found: Snapshot) -> None:
    """Problems first, then the CA, the hosts and the certificates."""
    bad = sum(problem.severity is Severity.BAD for problem in found.problems)
    title = f"{bad} bad, {len(found.problems) - bad} other" if found.problems else "none"
    most = OF_A_HOST if len(found.problems) > LONG else LONG
    problems, more = first_of_a_kind(found.problems, lambda problem: problem.host, most)
    _print(
        f"Problems: {title}",
        _PROBLEM_COLUMNS,
        map(_problem_row, problems),
        left_out=sum(more.values()),
    )
    if found.ca is not None:
        ca = found.ca
        _say(f"CA in place: {ca.subject}, {ca.key_bits}-bit key, signed over {ca.signature}")
        _say(f"  fingerprint {ca.fingerprint}")
        _say(f"  expires {ca.not_after:%Y-%m-%d}, its revocation list {_day(ca.crl_expires)}")
        _say(f"  has signed {ca.signed}, {ca.revoked} revoked, {len(ca.requests)} waiting")
    _print(
        f"Hosts: {sum(host.well for host in found.hosts)} of {len(found.hosts)} well",
        _HOST_COLUMNS,
        (_host_row(host, found.ca) for host in sorted(found.hosts, key=lambda host: host.well)),
    )
    order = list(Standing)
    records = sorted(found.certificates, key=lambda record: order.index(record.standing))
    # The CA's own copy of each node's certificate says nothing that the node's does not.
    shown = [r for r in records if r.used_by or r.standing not in (Standing.GOOD, Standing.REVOKED)]
    _print(
        f"Certificates: {len(records)}; those in use and those that are not well:",
        ("host", "path", "holder", "serial", "expires", "owner, mode", "used by", ""),
        map(_certificate_row, shown),
    )


def show_checks(checks: Sequence[Check]) -> None:
    """The checks that failed or were not made, of each kind and host as many as are worth reading;
    then how many of each kind were passed."""
    order = list(Result)
    shown, left_out = first_of_a_kind(
        sorted(
            (check for check in checks if check.result is not Result.PASSED),
            key=lambda check: order.index(check.result),
        ),
        lambda check: (check.result, check.about, check.host),
    )
    rows: list[tuple[Cell, ...]] = [
        (check.result, check.about, check.host, f"{check.did}: {check.saw}", check.remedy)
        for check in shown
    ]
    rows += [
        (*kind, f"and {count} more", "the report has them") for kind, count in left_out.items()
    ]
    of_kind = Counter(check.about for check in checks)
    passed = Counter(check.about for check in checks if check.result is Result.PASSED)
    rows += [
        (Result.PASSED, kind, "", f"{passed[kind]} of {of_kind[kind]} checks", "")
        for kind in of_kind
        if passed[kind]
    ]
    failed, not_made = (
        sum(check.result is result for check in checks)
        for result in (Result.FAILED, Result.NOT_MADE)
    )
    title = f"Verified: {failed} of {len(checks)} checks failed"
    title += f", {not_made} not made" if not_made else ""
    _print(title, ("", "what", "host", "seen", "remedy"), rows, limit=len(rows))


def show_warnings(problems: Sequence[Problem]) -> None:
    """What no check is about, and somebody should know all the same."""
    shown = [problem for problem in problems if problem.severity is not Severity.BAD]
    if shown:
        _print(f"Beside the checks: {len(shown)}", _PROBLEM_COLUMNS, map(_problem_row, shown))


def _agent_row(agent: Outcome) -> tuple[Cell, ...]:
    return agent.host, agent.certname or "", agent.status, agent.step, agent.why


def _problem_row(problem: Problem) -> tuple[Cell, ...]:
    return problem.severity, problem.host, problem.subject, problem.what, problem.remedy


def _host_row(host: HostRecord, ca: CaRecord | None) -> tuple[Cell, ...]:
    run = ""
    if host.last_run is not None:
        run = f"{host.last_run:%Y-%m-%d %H:%M}{'' if host.last_run_succeeded else ' failed'}"
    running = sum(service.state.value == "running" for service in host.services)
    skew = f"{round(host.clock_skew):+d} s" if host.clock_skew is not None else ""
    known = {None: "", True: "signed", False: "not signed"}[host.in_inventory]
    services = f"{running} of {len(host.services)}" if host.services else ""
    word = Well.YES if host.well else Well.NO
    trusts = trusted(host, ca.fingerprint if ca is not None else None)
    return (
        host.host,
        host.certname or "",
        word,
        trusts,
        "revoked" if host.revoked else known,
        run,
        skew,
        services,
        host.why,
    )


def _certificate_row(record: CertificateRecord) -> tuple[Cell, ...]:
    expires = f"{record.not_after:%Y-%m-%d}" if record.not_after is not None else ""
    names = ", ".join(record.alt_names)
    holder = f"{record.subject or ''}{f' ({names})' if names else ''}"
    return (
        record.host,
        record.path,
        holder,
        record.serial or "",
        expires,
        f"{record.owner} {record.mode}",
        ", ".join(record.used_by),
        record.standing,
    )


def _print(
    title: str,
    columns: Iterable[str],
    rows: Iterable[tuple[Cell, ...]],
    limit: int = LONG,
    left_out: int = 0,
) -> None:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    for number, row in enumerate(rows):
        if number >= limit:
            left_out += 1
            continue
        table.add_row(*(_cell(cell) for cell in row))
    if table.row_count:
        console().print(table)
    else:
        _say(title)
    if left_out:
        _say(f"and {left_out} more, which the report has")


def _cell(cell: Cell) -> Text:
    return plain(cell) if isinstance(cell, str) else Text(cell.value, style=_STYLES[cell])


def _say(line: str) -> None:
    console().print(plain(line))


def _day(when: datetime | None) -> str:
    return f"{when:%Y-%m-%d}" if when is not None else "cannot be read"
