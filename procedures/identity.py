"""What the inventory says of the names of its hosts."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from pyinfra.api import Host, State

from procedures.names import ADDRESSES
from procedures.options import options_of
from recert.identity import Identities, Listed


def identities_of(host: Host) -> Identities:
    """All hosts of the inventory, whether they are up, and in --limit, or not."""
    state = host.state
    if state not in _identities:
        _identities[state] = Identities(map(_listed, state.inventory))
    return _identities[state]


_identities: WeakKeyDictionary[State, Identities] = WeakKeyDictionary()


def _listed(host: Host) -> Listed:
    certname = options_of(host).certname
    addresses = [host.data.get(name) for name in ADDRESSES]
    return Listed(
        host=host.name,
        name=host.name.rpartition("/")[2].lower(),
        certname=certname.lower() if certname is not None else None,
        addresses=frozenset(found.lower() for found in addresses if isinstance(found, str)),
    )
