"""What the inventory says of the names of its hosts."""

from __future__ import annotations

from pyinfra.api import Host

from procedures.names import ADDRESSES
from procedures.options import options_of
from procedures.run import Run, run_of
from recert.identity import Identities, Listed


def identities_of(host: Host) -> Identities:
    """All hosts of the inventory, whether they are up, and in --limit, or not."""
    return run_of(host.state).part(_identities)


def _identities(run: Run) -> Identities:
    return Identities(map(_listed, run.state.inventory))


def _listed(host: Host) -> Listed:
    certname = options_of(host).certname
    addresses = [host.data.get(name) for name in ADDRESSES]
    return Listed(
        host=host.name,
        name=host.name.rpartition("/")[2].lower(),
        certname=certname,
        addresses=frozenset(found.lower() for found in addresses if isinstance(found, str)),
    )
