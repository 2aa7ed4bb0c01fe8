"""A survey as a run of its own: it is over when every host that was reached has been looked at."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from pyinfra.api import Host

from procedures.reports import reporting_of
from procedures.site import Site
from procedures.survey import NOW, Survey, master_facts, retired_of, survey_of, takes_part


def survey(site: Site, host: Host) -> None:
    """Look at a host; the last one brings the report."""
    reporting = reporting_of(site)
    expected = _expected.setdefault(site, _reached(site))
    if host.name not in expected:
        return
    found = survey_of(site, NOW, lambda: _begun(site))
    found.look(host)
    if site.master.name not in expected:
        look = site.once("master surveyed", lambda: found.look(site.master), lasting=True)
        if look.settings is None:
            # Not chosen by --limit, it is none of pyinfra's hosts, and nothing could be judged.
            site.state.failed_hosts.add(site.master)
    if expected <= found.seen:
        reporting.tell()


def _reached(site: Site) -> frozenset[str]:
    """The hosts that can be looked at, before any is reached on behalf of another."""
    return frozenset(host.name for host in site.state.activated_hosts if takes_part(site, host))


def _begun(site: Site) -> Survey:
    named = retired_of(site, None)
    # Only who names a CA makes the others wait for the master.
    if named is None:
        return Survey(site)
    try:
        return Survey(site, retired_of(site, master_facts(site)))
    except Exception:
        return Survey(site, named)  # the look at the master says why


_expected: WeakKeyDictionary[Site, frozenset[str]] = WeakKeyDictionary()
