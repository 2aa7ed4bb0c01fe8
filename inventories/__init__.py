"""Who: hosts, groups and their data."""

from __future__ import annotations

from types import ModuleType
from typing import Any

HostData = tuple[str, dict[str, Any]]
"""A host's name and pyinfra's data of it."""

Hosts = list[HostData]


def with_data(hosts: Hosts, group_data: ModuleType) -> tuple[Hosts, dict[str, Any]]:
    """A group as pyinfra wants it: its hosts, and the values of a module of `group_data`.

    pyinfra finds group data by itself only beside the inventory file that is named.
    """
    data = {key: value for key, value in vars(group_data).items() if not key.startswith("_")}
    return hosts, data
