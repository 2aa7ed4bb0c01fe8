"""With a real broker and real daemons: who is back, who is not and why, and what mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lab
from tests.e2e.nodes import Site, reported
from tests.e2e.site import BACKUPS, SSLDIR, Run

AGENTS = ("agent01", "agent02")
TRUSTED = "/etc/puppetlabs/mcollective/ssl/ca.cert.pem"
KIND = "Nodes answer in orchestration, and only those that are renewed"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    lab.reset("master", *AGENTS, services="real")
    return Site.of(tmp_path, "master", AGENTS)


def there(site: Site) -> set[str]:
    """Who answers, past what is tested."""
    return set(site.sh("su - peadmin -c '/opt/puppet/bin/mco find' || true").split())


def verified(site: Site, retired: str, how: str = "last") -> Run:
    data = ("--data", f"retire_ca={retired}", "--data", f"puppet_run={how}")
    return site.pyinfra("deploys/verify.py", "-y", "--json", *data)


def seen(run: Run) -> dict[str, tuple[str, str]]:
    checks: list[dict[str, Any]] = reported(run)["checks"]
    return {c["host"]: (c["result"], c["saw"]) for c in checks if c["about"] == KIND}


def test_nodes_come_back_and_those_that_do_not_are_told_why(site: Site) -> None:
    everybody = {"master.lab.test", "agent01.lab.test", "agent02.lab.test"}
    retired = site.ca.fingerprint
    assert there(site) == everybody

    run = site.whole(retired, "--limit", "master", "--limit", "agent01")

    assert run.status == 0, run.stderr
    assert there(site) == everybody - {"agent02.lab.test"}
    assert "2 of 2 nodes are back in orchestration" in run.text
    assert seen(run) == {
        "master": ("passed", "master.lab.test answers"),
        "agent01": ("passed", "agent01.lab.test answers"),
        "agent02": ("not made", "it is not part of this run, and does not answer"),
    }

    # One that is not renewed is rightly absent; of one that is renewed it is told what is wrong.
    site.on("agent01", "service pe-mcollective stop")
    run = verified(site, retired)
    assert run.status == 1
    assert seen(run)["agent01"] == ("failed", "it does not answer: pe-mcollective does not run")
    assert seen(run)["agent02"] == ("passed", "it does not answer: it is not renewed")

    assert site.renew(retired, "--limit", "agent02").status == 0
    old = f"tar -xOf {BACKUPS}/2*/archive.tar {SSLDIR[1:]}/certs/ca.pem"
    site.on("agent01", f"{old} >{TRUSTED} && service pe-mcollective start")
    run = verified(site, retired)
    result, saw = seen(run)["agent01"]
    assert (run.status, result) == (1, "failed")
    assert saw == f"it does not answer: its credentials there are old: {TRUSTED}"
    assert seen(run)["agent02"] == ("passed", "agent02.lab.test answers")
    assert there(site) == everybody - {"agent01.lab.test"}

    # The remedy that is named: a Puppet run of the node.
    run = verified(site, retired, how="real")
    assert run.status == 0, run.stderr
    assert {result for result, _ in seen(run).values()} == {"passed"}
    assert reported(run)["now"]["problems"] == []
    assert there(site) == everybody
