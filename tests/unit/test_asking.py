"""Asking hosts for facts: who has failed stays failed, whatever comes of it."""

from __future__ import annotations

import pytest
from pyinfra.api import Config, Inventory, State
from pyinfra.api.exceptions import ConnectError

from facts.host import WhoAndWhen
from procedures.host import ask


def test_who_could_not_be_connected_to_and_still_cannot_has_failed() -> None:
    nobody = {"ssh_hostname": "127.0.0.1", "ssh_port": 1, "ssh_user": "root"}
    state = State(Inventory(([("web01", nobody)], {})), Config())
    (host,) = state.inventory
    state.failed_hosts.add(host)
    with pytest.raises(ConnectError):
        ask(host, WhoAndWhen)
    assert host in state.failed_hosts, "the run would end with 0"
