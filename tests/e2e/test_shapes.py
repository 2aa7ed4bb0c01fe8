"""Sites of other shapes go to their new CA as their documents say, by the same commands."""

from __future__ import annotations

from pathlib import Path

import pytest

import lab
from lab.hosts import HOSTS
from tests.e2e.nodes import Site, statuses
from tests.e2e.site import BACKUPS

SHAPES = {"master-38": (), "master-2016": ("agent06", "agent07")}


@pytest.mark.parametrize("name", SHAPES)
def test_a_site_of_another_shape_goes_to_its_new_ca(tmp_path: Path, name: str) -> None:
    site = Site.of(tmp_path, name, SHAPES[name])
    site.reset()
    retired = site.ca.fingerprint
    options = ("deploys/site.py", "--json", "--data", f"retire_ca={retired}")

    preview = site.pyinfra(*options, "--dry")
    assert preview.status == 0, preview.stderr
    run = site.pyinfra(*options, "-y")

    assert run.status == 0, run.stderr
    assert site.ca.fingerprint != retired
    if SHAPES[name]:
        assert set(statuses(run).values()) == {"renewed"}
    planned = [step for step, hosts in preview.plan.items() if hosts]
    assert planned == [step for step, hosts in run.changes.items() if hosts]
    again = site.pyinfra(*options, "--dry")
    assert again.status == 0, again.stderr
    assert not any(again.plan.values())
