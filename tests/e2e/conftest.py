"""The lab's two masters: systemd and root here, init scripts and sudo there.

Each in the condition that a test needs, and put to its seeded state no more often than that takes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

import pytest

import lab
from tests.e2e.site import BACKUPS, Master

_INVENTORY = """from inventories.lab_hosts import lab_host
master = [lab_host({name!r})]
"""


_LONGEST = (
    *("test_resume", "test_agents", "test_windows", "test_master", "test_odd_masters", "test_site"),
    *("test_restore", "test_back_in_orchestration", "test_as_found", "test_orchestration"),
)


class Condition(Enum):
    """What a test may rely on that is given a master."""

    SEEDED = "as seeded, and nothing has been done to it"
    SERVING = "everything works, under a CA of its own"


_SEEDED = frozenset({Condition.SEEDED})
_EITHER = frozenset(Condition)
_conditions: dict[str, Condition] = {}
"""Of the masters that run, by boot: whoever resets one in another way is noticed."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first, so that the workers end together."""

    def place(item: pytest.Item) -> int:
        name = item.path.stem
        return _LONGEST.index(name) if name in _LONGEST else len(_LONGEST)

    items.sort(key=place)


def pytest_sessionfinish() -> None:
    """A worker's lab is nobody else's; the one without a name may be in use."""
    if "PYTEST_XDIST_WORKER" in os.environ and lab.hosts():
        lab.down()


@contextmanager
def _lent(
    master: Master,
    session: pytest.Session,
    needed: frozenset[Condition],
    left: Condition | None = None,
) -> Iterator[Master]:
    """A master in one of these conditions, which is in that one afterwards, if the test passes."""
    found = _conditions.pop(master.boot, None)
    if found not in needed:
        master.reset()
    elif found is Condition.SERVING:
        # Nothing tells any more that there was another one.
        master.sh(f"rm -rf {BACKUPS}")
    failed = session.testsfailed
    yield master
    if left is not None and session.testsfailed == failed:
        _conditions[master.boot] = left


@pytest.fixture(scope="session")
def inventories(tmp_path_factory: pytest.TempPathFactory) -> Path:
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


@pytest.fixture(params=["systemd", "init"])
def _any_master(
    request: pytest.FixtureRequest, _systemd_master: Master, _init_master: Master
) -> Master:
    return _systemd_master if request.param == "systemd" else _init_master


@pytest.fixture
def master(_systemd_master: Master, request: pytest.FixtureRequest) -> Iterator[Master]:
    """The master with systemd, as seeded, to do with it whatever a test wants."""
    with _lent(_systemd_master, request.session, _SEEDED) as lent:
        yield lent


@pytest.fixture
def init_master(_init_master: Master, request: pytest.FixtureRequest) -> Iterator[Master]:
    """The same with plain init scripts and everything else that can differ."""
    with _lent(_init_master, request.session, _SEEDED) as lent:
        yield lent


@pytest.fixture
def any_master(_any_master: Master, request: pytest.FixtureRequest) -> Iterator[Master]:
    """Either of them."""
    with _lent(_any_master, request.session, _SEEDED) as lent:
        yield lent


@pytest.fixture
def untouched(_systemd_master: Master, request: pytest.FixtureRequest) -> Iterator[Master]:
    """The master with systemd, as seeded, for tests that leave it so."""
    with _lent(_systemd_master, request.session, _SEEDED, Condition.SEEDED) as lent:
        yield lent


@pytest.fixture
def any_untouched(_any_master: Master, request: pytest.FixtureRequest) -> Iterator[Master]:
    """Either of them, for tests that leave it as seeded."""
    with _lent(_any_master, request.session, _SEEDED, Condition.SEEDED) as lent:
        yield lent


@pytest.fixture
def serving(_systemd_master: Master, request: pytest.FixtureRequest) -> Iterator[Master]:
    """The master with systemd, in service, for tests that leave it in service."""
    with _lent(_systemd_master, request.session, _EITHER, Condition.SERVING) as lent:
        yield lent


@pytest.fixture
def init_serving(_init_master: Master, request: pytest.FixtureRequest) -> Iterator[Master]:
    """The same with plain init scripts."""
    with _lent(_init_master, request.session, _EITHER, Condition.SERVING) as lent:
        yield lent
