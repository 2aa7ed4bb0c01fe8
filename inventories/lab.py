"""The default inventory: the lab's containers, which `python3 -m lab up` starts."""

import json
import os
from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import InventoryError

_STATE = Path(__file__).resolve().parent.parent / ".lab" / os.environ.get("PE_LAB", "")


def _up() -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads((_STATE / "hosts.json").read_text())
    except FileNotFoundError:
        return {}
    return known


def lab_host(name: str) -> tuple[str, dict[str, Any]]:
    """A host of the lab as pyinfra wants it: its name and how to connect."""
    try:
        info = _up()[name]
    except KeyError:
        raise InventoryError(f"the lab's host {name} is not up: run `python3 -m lab up`") from None
    return name, {
        "ssh_hostname": info["ssh_hostname"],
        "ssh_port": info["ssh_port"],
        "ssh_user": info["ssh_user"],
        "ssh_key": str(_STATE / "id_ed25519"),
        "ssh_known_hosts_file": str(_STATE / "known_hosts"),
        "ssh_strict_host_key_checking": "yes",
        "certname": info["certname"],
        "_sudo": info["ssh_user"] != "root",
    }


master = [lab_host("master")]
# Those that are up: all that the master's own steps need is the master.
agents = [lab_host(name) for name in (f"agent0{number}" for number in range(1, 6)) if name in _up()]
windows_agents: list[tuple[str, dict[str, Any]]] = []
