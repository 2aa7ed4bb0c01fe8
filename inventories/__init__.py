"""Who: hosts, groups and their data."""

from __future__ import annotations

from types import ModuleType
from typing import Any

Hosts = list[tuple[str, dict[str, Any]]]


def with_data(hosts: Hosts, group_data: ModuleType) -> tuple[Hosts, dict[str, Any]]:
    """A group as pyinfra wants it: its hosts, and the values of a module of `group_data`.

    pyinfra finds group data by itself only beside the inventory file that is named.
    """
    data = {key: value for key, value in vars(group_data).items() if not key.startswith("_")}
    return hosts, data
