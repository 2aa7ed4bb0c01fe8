"""How the lab's containers are reached, for inventories that name some of them."""

import json
import os
from pathlib import Path
from typing import Any, Literal

from pyinfra.api import HiddenValue
from pyinfra.api.exceptions import InventoryError

_STATE = Path(__file__).resolve().parent.parent / ".lab" / os.environ.get("PE_LAB", "")


def hosts_up() -> dict[str, Any]:
    """What the lab has on record, by host."""
    try:
        known: dict[str, Any] = json.loads((_STATE / "hosts.json").read_text())
    except FileNotFoundError:
        return {}
    return known


def _info(name: str) -> dict[str, Any]:
    try:
        info: dict[str, Any] = hosts_up()[name]
    except KeyError:
        raise InventoryError(f"the lab's host {name} is not up: run `python3 -m lab up`") from None
    return info


def lab_host(name: str) -> tuple[str, dict[str, Any]]:
    """A host of the lab as pyinfra wants it: its name and how to connect, over SSH."""
    info = _info(name)
    return name, {
        "ssh_hostname": info["ssh_hostname"],
        "ssh_port": info["ssh_port"],
        "ssh_user": info["ssh_user"],
        "ssh_key": info["ssh_key"],
        "ssh_known_hosts_file": str(_STATE / "known_hosts"),
        "ssh_strict_host_key_checking": "yes",
        "certname": info["certname"],
        "_sudo": info["ssh_user"] not in ("root", "Administrator"),
    }


def lab_host_over_winrm(
    name: str, transport: Literal["https", "http"] = "https", user: str = "Administrator"
) -> tuple[str, dict[str, Any]]:
    """A Windows host of the lab over WinRM: HTTPS with Basic, or HTTP with encrypted messages.

    + user: or `operator`, who has no Administrator rights
    """
    info = _info(name)
    winrm = info["winrm"]
    return f"@winrm/{name}", {
        "winrm_hostname": winrm["hostname"],
        "winrm_port": winrm[f"{transport}_port"],
        "winrm_transport": transport,
        "winrm_auth": "basic" if transport == "https" else "negotiate",
        **({"winrm_ca_file": winrm["certificate_file"]} if transport == "https" else {}),
        "winrm_user": user,
        "winrm_password": HiddenValue(Path(winrm["password_file"]).read_text()),
        # Wine's programs write the ANSI code page, and say none when they are asked.
        "winrm_codepage": 1252,
        "certname": info["certname"],
    }
