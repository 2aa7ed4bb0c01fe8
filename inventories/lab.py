"""The default inventory: the lab's containers, which `python3 -m lab up` starts."""

import json
from pathlib import Path
from typing import Any

from pyinfra.api.exceptions import InventoryError

_STATE = Path(__file__).resolve().parent.parent / ".lab"


def lab_host(name: str) -> tuple[str, dict[str, Any]]:
    """A host of the lab as pyinfra wants it: its name and how to connect."""
    try:
        info = json.loads((_STATE / "hosts.json").read_text())[name]
    except (FileNotFoundError, KeyError):
        raise InventoryError(f"the lab's host {name} is not up: run `python3 -m lab up`") from None
    return name, {
        "ssh_hostname": info["ssh_hostname"],
        "ssh_port": info["ssh_port"],
        "ssh_user": info["ssh_user"],
        "ssh_key": str(_STATE / "id_ed25519"),
        "ssh_known_hosts_file": str(_STATE / "known_hosts"),
        "ssh_strict_host_key_checking": "yes",
    }


master = [lab_host("master")]
agents: list[tuple[str, dict[str, Any]]] = []
windows_agents: list[tuple[str, dict[str, Any]]] = []
