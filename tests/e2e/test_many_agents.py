"""What a master is asked when it has more agents than one signature's command takes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.growth import measured, register_connector
from benchmarks.simulated import make_site

AGENTS = 120


def test_the_master_is_asked_for_all_agents_at_once(tmp_path: Path) -> None:
    register_connector(tmp_path)
    site = tmp_path / "site.sqlite"
    make_site(site, AGENTS, print)

    asked = measured(AGENTS, site, tmp_path).asked

    assert asked["puppet cert sign"] == 2
    # Once each: for the preview, when the first agent is about to be changed, and in the round
    # of signatures; what it has signed also after each hundred.
    assert asked["requests"] <= 3
    assert asked["signed"] <= 3 + 2
    # For the preview, and when the first agent is about to be changed.
    assert asked["SslDirectories"] <= 2
    assert asked["PuppetSettings"] == 1
