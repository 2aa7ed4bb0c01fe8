"""The groups of an inventory file, from the snapshot beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import InventoryError

from inventories import HostData
from recert.errors import RecertError
from recert.nodes import read_snapshot


@dataclass(frozen=True)
class Groups:
    """The groups of an inventory, as pyinfra wants their hosts."""

    master: list[HostData]
    agents: list[HostData]
    windows_agents: list[HostData]


def known_keys(inventory: str) -> dict[str, str]:
    """The data by which hosts are only what their keys say: those in the file beside an inventory
    file (`mysite.known_hosts` beside `mysite.py`), if there is one, else in the user's own."""
    path = Path(inventory).with_suffix(".known_hosts")
    data = {"ssh_strict_host_key_checking": "yes"}
    return {**data, "ssh_known_hosts_file": str(path)} if path.exists() else data


def groups_beside(inventory: str, data: Mapping[str, Mapping[str, Any]] | None = None) -> Groups:
    """What the snapshot beside an inventory file (`mysite.json` beside `mysite.py`) names.

    Hosts are called by their certnames.

    :param data: pyinfra's data of single hosts: `{"db01": {"ssh_hostname": "10.0.0.17"}}`.
    :raises InventoryError: there is no snapshot, it cannot be read, or `data` has a name that is
        not in it.
    """
    path = Path(inventory).with_suffix(".json")
    special = dict(data or {})
    try:
        snapshot = read_snapshot(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InventoryError(
            f"{path} is not there: `python3 -m inventories {path.stem} --help` says how to take it"
        ) from None
    except (OSError, UnicodeError, RecertError) as error:
        raise InventoryError(f"{path}: {error}") from error
    unknown = sorted(special.keys() - snapshot.nodes - {snapshot.master})
    if unknown:
        raise InventoryError(f"{inventory} has data of {', '.join(unknown)}, not in {path.name}")

    def hosts(names: tuple[str, ...]) -> list[HostData]:
        return [(name, {"certname": name, **special.get(name, {})}) for name in names]

    return Groups(hosts((snapshot.master,)), hosts(snapshot.agents), hosts(snapshot.windows_agents))
