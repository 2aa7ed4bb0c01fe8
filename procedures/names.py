"""By which names the hosts of an inventory may be known to the CA: those that they are called by,
and the certname that each has said."""

from __future__ import annotations

from pyinfra.api import Host

from procedures.options import options_of
from procedures.run import Run, run_of

ADDRESSES = ("ssh_hostname", "winrm_hostname")
"""The data that say where a host is reached, if not under its name."""


def _said(_: Run) -> dict[str, str]:
    return {}


def note_certname(host: Host, certname: str) -> None:
    """Remember what a host's own Puppet says."""
    run_of(host.state).part(_said)[host.name] = certname


def said_certname(host: Host) -> str | None:
    """The certname that a host has said in this run; None before it was asked."""
    return run_of(host.state).part(_said).get(host.name)


def names_of(host: Host) -> frozenset[str]:
    """The names by which one host may be known to the CA, also before it has said its certname."""
    addresses = (host.data.get(name) for name in ADDRESSES)
    given = (options_of(host).certname, *addresses, said_certname(host))
    names = [host.name.rpartition("/")[2], *(name for name in given if isinstance(name, str))]
    return frozenset(name.lower() for name in names)


def inventory_certnames(host: Host) -> set[str]:
    """The same of all hosts of the inventory."""
    return {name for other in host.inventory for name in names_of(other)}


def hosts_not_asked(host: Host) -> tuple[str, ...]:
    """The hosts of the inventory that have not said their certname, sorted. As long as there are
    any, a name that none is called by may still be that of one."""
    return tuple(sorted(other.name for other in host.inventory if said_certname(other) is None))
