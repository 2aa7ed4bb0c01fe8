"""What several of the unit tests start from."""

from __future__ import annotations

import shutil

import pytest
from cryptography.hazmat.primitives.hashes import HashAlgorithm
from hypothesis import settings

from recert import certificates, standing
from recert.looks import HostLook
from tests.unit.agent import agent
from tests.unit.delivered import shared, with_delivered, with_everything
from tests.unit.issuing_ca import master
from tests.unit.looks import look_at_agent, look_at_master
from tests.unit.shell import Sh

# Ten thousand of each: pytest tests/unit -m hypothesis --hypothesis-profile=long
settings.register_profile("short", max_examples=200, deadline=None, database=None)
settings.register_profile("long", settings.get_profile("short"), max_examples=10_000)
settings.load_profile("short")


@pytest.fixture
def short_keys_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the tests are short, to be made quickly."""
    monkeypatch.setattr(standing, "SHORTEST_KEY", 1024)


@pytest.fixture
def puppet() -> HostLook:
    """A master that has delivered everything to itself."""
    return with_everything(look_at_master(master(), [agent()]))


@pytest.fixture
def web(puppet: HostLook) -> HostLook:
    """Its agent, to which everything was delivered, too."""
    return with_delivered(look_at_agent(agent()), shared(), puppet)


@pytest.fixture
def verifications(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The keys with which signatures are verified meanwhile."""
    made: list[object] = []
    verify = certificates._verify

    def noted(body: bytes, signature: bytes, key: object, algorithm: HashAlgorithm) -> None:
        made.append(key)
        verify(body, signature, key, algorithm)

    monkeypatch.setattr(certificates, "_verify", noted)
    return made


@pytest.fixture(params=["dash", "bash"])
def sh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sh:
    program = shutil.which(request.param)
    assert program is not None
    directory = tmp_path_factory.mktemp("bin")
    (directory / "sh").symlink_to(program)
    return Sh(directory)
