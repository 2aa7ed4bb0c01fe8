"""The lab goes with whom it was made for; and what is attacked there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.attacked import AGENTS, INVENTORY
from tests.e2e.conftest import pytest_sessionfinish
from tests.e2e.nodes import Site
from tests.e2e.site import SSLDIR

__all__ = ["pytest_sessionfinish"]


@pytest.fixture(scope="module")
def retired_and_site(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Site]:
    """A site whose master has been regenerated and whose agents have not."""
    directory = tmp_path_factory.mktemp("inventories")
    Site.of(directory, "master", AGENTS).reset()
    inventory = directory / "attacked.py"
    inventory.write_text(INVENTORY)
    site = Site("master", inventory, agents=AGENTS)
    return site.retire_ca(), site


@pytest.fixture
def retired(retired_and_site: tuple[str, Site]) -> str:
    return retired_and_site[0]


@pytest.fixture
def site(retired_and_site: tuple[str, Site]) -> Iterator[Site]:
    site = retired_and_site[1]
    yield site
    site.set_back()
    site.sh(f"rm -f {SSLDIR}/ca/requests/*")
