"""A run that is about no host at all: pyinfra ends with 0 then, as if everything were well."""

from __future__ import annotations

from typing import Any

from pyinfra.api import Config, Inventory, State
from pyinfra.api.exceptions import InventoryError

_init = State.init


def refuse() -> None:
    """Let such a run end with an error before anything is connected to."""
    setattr(State, "init", _init_with_hosts)  # noqa: B010  pyinfra has no hook there


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
