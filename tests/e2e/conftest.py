"""The lab's two masters: systemd and root here, init scripts and sudo there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import lab
from tests.e2e.site import Master

_INVENTORY = """from inventories.lab import lab_host
master = [lab_host({name!r})]
"""


def pytest_sessionfinish() -> None:
    """A worker's lab is nobody else's; the one without a name may be in use."""
    if "PYTEST_XDIST_WORKER" in os.environ and lab.hosts():
        lab.down()


@pytest.fixture(scope="session")
def inventories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lab.up(["master", "master-init"])
    return tmp_path_factory.mktemp("inventories")


def _master(inventories: Path, name: str, *options: str) -> Master:
    inventory = inventories / f"{name}.py"
    inventory.write_text(_INVENTORY.format(name=name))
    return Master(name, inventory, list(options))


@pytest.fixture(scope="session")
def _systemd_master(inventories: Path) -> Master:
    return _master(inventories, "master")


@pytest.fixture(scope="session")
def _init_master(inventories: Path) -> Master:
    return _master(inventories, "master-init", "--sudo")


@pytest.fixture
def master(_systemd_master: Master) -> Master:
    """The master with systemd, as seeded."""
    _systemd_master.reset()
    return _systemd_master


@pytest.fixture
def init_master(_init_master: Master) -> Master:
    """The master with plain init scripts and everything else that can differ, as seeded."""
    _init_master.reset()
    return _init_master


@pytest.fixture(params=["systemd", "init"])
def any_master(request: pytest.FixtureRequest) -> Master:
    """Either of them, as seeded."""
    name = "master" if request.param == "systemd" else "init_master"
    found: Master = request.getfixturevalue(name)
    return found
