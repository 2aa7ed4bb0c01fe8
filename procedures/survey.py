"""A survey as a run of its own: it is over when every host that was reached has been looked at."""

from __future__ import annotations

from pyinfra.api import Host

from procedures.looks import NOW, Survey, master_facts, retired_of, survey_of
from procedures.reports import Reporting
from procedures.run import Run


def survey(run: Run, host: Host) -> None:
    """Look at a host; the last one brings the report."""
    reporting = run.part(Reporting)
    expected = run.part(_expected)
    if host.name not in expected:
        return
    found = survey_of(run, NOW, lambda: _begun(run))
    found.look(host)
    if run.master.name not in expected:
        look = run.once("master surveyed", lambda: found.look(run.master), lasting=True)
        if look.settings is None:
            # Not chosen by --limit, it is none of pyinfra's hosts, and nothing could be judged.
            run.state.failed_hosts.add(run.master)
    if expected <= found.seen:
        reporting.tell()


def _expected(run: Run) -> frozenset[str]:
    return run.reached


def _begun(run: Run) -> Survey:
    named = retired_of(run, None)
    # Only who names a CA makes the others wait for the master.
    if named is None:
        return Survey(run)
    try:
        return Survey(run, retired_of(run, master_facts(run)))
    except Exception:
        return Survey(run, named)  # the look at the master says why
