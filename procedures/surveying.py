"""A survey as a run of its own: it is over when every host that was reached has been looked at."""

from __future__ import annotations

from pyinfra import logger
from pyinfra.api import Host

from procedures.reports import reporting_of
from procedures.site import Site
from procedures.survey import Survey, master_facts, retired_of, survey_of, takes_part
from procedures.verification import NOW


def survey(site: Site, host: Host) -> None:
    """Look at a host; the last one brings the report."""
    reporting = reporting_of(site)
    expected = site.once_lasting("surveyed hosts", lambda: _expected(site))
    found = survey_of(site, NOW, lambda: _begin(site))
    if host.name in expected:
        found.look(host)
        if found.looked_at >= len(expected):
            reporting.tell()


def _expected(site: Site) -> frozenset[str]:
    """The hosts that were reached, before any is on behalf of another."""
    return frozenset(h.name for h in site.state.activated_hosts if takes_part(site, h))


def _begin(site: Site) -> Survey:
    try:
        facts = master_facts(site)
    except Exception as error:
        logger.warning(f"    The master cannot be asked: {error}")
        facts = None
    begun = Survey(site, retired_of(site, facts))
    if facts is not None and site.master not in site.state.activated_hosts:
        begun.look(site.master)
    return begun
