"""Slips in what a run is to be about: pyinfra passes over them, and ends with 0 as if all were
well. It has no hook there."""

from __future__ import annotations

from typing import Any

from pyinfra.api import Config, Inventory, State
from pyinfra.api.exceptions import InventoryError

_init = State.init
_make_hosts = Inventory.make_hosts_and_groups


def refuse() -> None:
    """Let a run with one of them end with an error before anything is connected to."""
    for owner, name, value in (
        (State, "init", _init_with_hosts),
        (Inventory, "make_hosts_and_groups", _make_each_host_once),
    ):
        setattr(owner, name, value)


def _init_with_hosts(
    self: State, inventory: Inventory, config: Config | None, initial_limit: Any = None
) -> None:
    if not len(inventory):
        raise InventoryError(
            "the inventory has no host, so that nothing would be done and nothing looked at. See "
            "whether its path is right (inventories/mysite.py), and what it says of `master`."
        )
    if initial_limit is not None and not initial_limit:
        names = ", ".join(sorted(host.name for host in inventory)[:5])
        raise InventoryError(
            "--limit or --exclude leaves no host of the inventory, so that nothing would be done "
            f"and nothing looked at. Hosts are named as it does: {names}, ..."
        )
    _init(self, inventory, config, initial_limit)


def _make_each_host_once(self: Inventory, names: Any, groups: Any) -> None:
    for group, (hosts, _) in groups.items():
        data_of: dict[str, object] = {}
        for host in hosts:
            name, data = host if isinstance(host, tuple) else (host, {})
            if data_of.setdefault(name, data) != data:
                raise InventoryError(
                    f"the group {group} of the inventory has {name} twice, with other data: one of "
                    "two hosts would be left out. Give each a name of its own; where it is reached "
                    "is said by ssh_hostname and ssh_port."
                )
    _make_hosts(self, names, groups)
