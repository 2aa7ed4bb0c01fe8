"""The report of a run: what is told at its end, and the files that it leaves below `reports/` on
the control machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TypeVar

from pyinfra import logger
from pyinfra.api import Host, State
from pyinfra.api.state import BaseStateCallback

from procedures.looks import BEFORE, NOW, Survey, known_survey
from procedures.outage import outage_of
from procedures.outcomes import known_outcomes, step_name
from procedures.run import Run
from procedures.site import Site
from procedures.status import fail_in_the_end
from procedures.tables import show_agents, show_checks, show_snapshot, show_warnings
from procedures.telling import command_line, reason_of
from procedures.verification import verification_of
from recert.certificates import utc_now
from recert.outcomes import ForeignRequest
from recert.page import page
from recert.report import CaRecord, Check, Kind, OperationRecord, Report, Snapshot, Summary
from recert.standing import ca_record

T = TypeVar("T")

REPORTS = Path("reports")


class Reporting(BaseStateCallback):
    """Takes down when which step was done where, and tells everything in the end."""

    def __init__(self, run: Run) -> None:
        self.run = run
        run.state.add_callback_handler(self)
        self.began = utc_now()
        self._begun: dict[tuple[str, str], datetime] = {}
        self._ended: dict[tuple[str, str], datetime] = {}
        self._told = False

    def operation_host_start(self, state: State, host: Host, op_hash: str) -> None:  # type: ignore[override]
        self._begun[host.name, op_hash] = utc_now()

    def operation_host_success(  # type: ignore[override]
        self, state: State, host: Host, op_hash: str, retry_count: int = 0
    ) -> None:
        self._ended[host.name, op_hash] = utc_now()

    def operation_host_error(  # type: ignore[override]
        self,
        state: State,
        host: Host,
        op_hash: str,
        retry_count: int = 0,
        max_retries: int = 0,
    ) -> None:
        self._ended[host.name, op_hash] = utc_now()

    def host_disconnect(self, state: State, host: Host) -> None:  # type: ignore[override]
        """pyinfra is done, one way or another: the first host to be left brings the report."""
        self.tell()

    def tell(self) -> None:
        """Show the report and write it, once in a run."""
        if self._told:
            return
        self._told = True
        try:
            report = self.report()
            if not self._is_worth_telling(report):
                if report.kind is Kind.VERIFY:
                    logger.warning("    Nothing was verified: checks are made in a run, with -y")
                return
            worth_keeping = not report.preview or report.kind is Kind.SURVEY
            # First of all: showing it may take long, where one host has said much.
            what = "What was found"
            paths = _as_far_as_possible(what, lambda: write(report)) if worth_keeping else None
            _as_far_as_possible(what, lambda: _show(report))
            for path in paths or ():
                written = "The same as JSON" if path.suffix == ".json" else "The same as a page"
                logger.info(f"    {written}: {path}")
        except Exception as error:
            # Raised, it would take the place of the message with which the run has ended.
            _cannot_be_told("What was found", error)

    def report(self) -> Report:
        """Everything that is known by now."""
        run, outcomes = self.run, known_outcomes(self.run)
        verification = verification_of(run)
        ca_records = run.part(Site).known_ca_records()
        now = _snapshot(known_survey(run, NOW))
        outage = outage_of(run.state)
        agents = outcomes.outcomes() if outcomes is not None else ()
        checks: tuple[Check, ...] = ()
        if verification is not None and now is not None:
            checks = _as_far_as_possible("What was verified", verification.checks) or ()
        ca = now.ca.fingerprint if now is not None and now.ca is not None else None
        if ca is None and ca_records is not None and ca_records.ca is not None:
            ca = ca_records.ca.fingerprint
        return Report(
            kind=self._kind,
            began=self.began,
            finished=utc_now(),
            command=command_line(),
            preview=not run.state.is_executing,
            master=run.master.name,
            retired=self._retired,
            ca=ca,
            summary=Summary.of(agents, now, checks, outage),
            retired_ca=self._retired_ca,
            outage=outage,
            before=_snapshot(known_survey(run, BEFORE)),
            now=now,
            checks=checks,
            agents=agents,
            foreign_requests=self._foreign_requests,
            operations=tuple(self._operations()),
        )

    @property
    def _foreign_requests(self) -> tuple[ForeignRequest, ...]:
        outcomes = known_outcomes(self.run)
        if outcomes is None:
            return ()
        what = "What waits on the master"
        return _as_far_as_possible(what, lambda: outcomes.foreign_requests) or ()

    @property
    def _kind(self) -> Kind:
        if self.run.renews:
            return Kind.SITE
        if self.run.replaces:
            return Kind.REPLACE
        if self.run.restores:
            return Kind.RESTORE
        if known_outcomes(self.run) is not None:
            return Kind.AGENTS
        return Kind.VERIFY if verification_of(self.run) is not None else Kind.SURVEY

    def _is_worth_telling(self, report: Report) -> bool:
        outcomes = known_outcomes(self.run)
        if report.now is not None or not report.preview:
            return True
        return outcomes is not None and outcomes.looked_at > 0

    @property
    def _retired(self) -> tuple[str, ...]:
        verification = verification_of(self.run)
        if verification is not None and verification.survey.retired is not None:
            return (verification.survey.retired.fingerprint,)
        return self.run.part(Site).retired_fingerprints()

    @property
    def _retired_ca(self) -> CaRecord | None:
        verification = verification_of(self.run)
        retired = verification.survey.retired if verification is not None else None
        if retired is None or retired.certificate is None:
            return None
        return ca_record(retired.certificate)

    def _operations(self) -> list[OperationRecord]:
        """Those that changed something or failed, in the order in which they began."""
        state, found = self.run.state, []
        for (name, op_hash), began in self._begun.items():
            host = state.inventory.get_host(name)
            ended = self._ended.get((name, op_hash))
            if ended is None or op_hash not in state.ops[host]:
                continue
            meta = state.ops[host][op_hash].operation_meta
            if not meta.is_complete() or (meta.did_succeed() and not meta.did_change()):
                continue
            found.append(
                OperationRecord(
                    name=step_name(state, op_hash),
                    host=name,
                    began=began,
                    seconds=round((ended - began).total_seconds(), 3),
                    result="changed" if meta.did_succeed() else "failed",
                )
            )
        return found


def write(report: Report) -> list[Path]:
    """The report as files of its own, which only their owner reads: see `recert.report`."""
    REPORTS.mkdir(exist_ok=True)
    name = f"{report.kind.value}-{report.finished:%Y%m%dT%H%M%SZ}"
    for number in count(1):
        path = REPORTS / (f"{name}.json" if number == 1 else f"{name}-{number}.json")
        try:
            path.touch(mode=0o600, exist_ok=False)  # two runs can end in the same second
        except FileExistsError:
            continue
        break
    return [_written(path, report.to_json()), _written(path.with_suffix(".html"), page(report))]


def _written(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def _snapshot(survey: Survey | None) -> Snapshot | None:
    if survey is None or survey.empty:
        return None
    return _as_far_as_possible("What was seen of the hosts", survey.snapshot)


def _as_far_as_possible(what: str, make: Callable[[], T]) -> T | None:
    """A part of what is told; what fails in one of them is no reason not to tell the others."""
    try:
        return make()
    except Exception as error:
        _cannot_be_told(what, error)
        return None


def _cannot_be_told(what: str, error: Exception) -> None:
    logger.error(f"    {what} cannot be told: {reason_of(error)}")
    fail_in_the_end()


def _show(report: Report) -> None:
    if report.kind is Kind.SURVEY and report.now is not None:
        show_snapshot(report.now)
        if report.ca is not None:
            deploy = command_line(limit="").replace("deploys/survey.py", "deploys/site.py")
            logger.info("    To see what retiring this CA means, run")
            logger.info(f"      {deploy} --dry --diff --data retire_ca={report.ca}")
    if report.agents:
        show_agents(report)
    if report.checks:
        show_checks(report.checks)
        show_warnings(report.now.problems if report.now is not None else ())
    if report.outage is not None and report.outage.seconds is not None:
        logger.info(f"    The services were down for {report.outage.seconds:.0f} s")
