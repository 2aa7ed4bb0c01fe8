"""With a real broker and real daemons, on Linux and on Windows: who is back, who is not and why,
and what mends it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from recert.certificates import read_public_key
from tests.e2e.nodes import Site, reported, reset_alone
from tests.e2e.site import BACKUPS, SSLDIR, Run
from tests.e2e.windows import DATA, MixedSite

TRUSTED = "/etc/puppetlabs/mcollective/ssl/ca.cert.pem"
KIND = "Nodes answer in orchestration, and only those that are renewed"
EVERYBODY = {"master.lab.test", "agent01.lab.test", "win01.lab.test", "win03.lab.test"}
WIN01 = "@winrm/win01"
_SHARED = f"{SSLDIR}/public_keys/pe-internal-mcollective-servers.pem"


@pytest.fixture
def site(tmp_path: Path) -> MixedSite:
    site = MixedSite.mixed(tmp_path)
    reset_alone("master", *site.agents, *site.windows)
    return site


def there(site: Site) -> set[str]:
    """Who answers, past what is tested."""
    return set(site.sh("su - peadmin -c '/opt/puppet/bin/mco find' || true").split())


def verified(site: Site, retired: str, how: str = "last") -> Run:
    data = ("--data", f"retire_ca={retired}", "--data", f"puppet_run={how}")
    return site.pyinfra("deploys/verify.py", "-y", "--json", *data)


def checks(run: Run) -> dict[str, dict[str, Any]]:
    """What a run has found of orchestration, by host."""
    found: list[dict[str, Any]] = reported(run)["checks"]
    return {check["host"]: check for check in found if check["about"] == KIND}


def seen(run: Run) -> dict[str, tuple[str, str]]:
    return {host: (check["result"], check["saw"]) for host, check in checks(run).items()}


def delivered(name: str, file: str) -> str:
    """Where a Puppet run puts a credential of MCollective's, as Windows calls the place."""
    return f"{DATA[name].removeprefix('/')}/PuppetLabs/mcollective/etc/ssl/{file}"


def test_nodes_come_back_and_those_that_do_not_are_told_why(site: MixedSite) -> None:
    retired = site.ca.fingerprint
    assert there(site) == EVERYBODY

    limits = (word for host in ("master", "agent01", WIN01) for word in ("--limit", host))
    run = site.whole(retired, *limits)

    assert run.status == 0, run.stderr
    assert there(site) == EVERYBODY - {"win03.lab.test"}
    assert "3 of 3 nodes are back in orchestration" in run.text
    assert seen(run) == {
        "master": ("passed", "master.lab.test answers"),
        "agent01": ("passed", "agent01.lab.test answers"),
        WIN01: ("passed", "win01.lab.test answers"),
        "win03": ("not made", "it is not part of this run, and does not answer"),
    }
    shared = site.on("win01", f"cat /{delivered('win01', 'mcollective-public.pem')}")
    assert read_public_key(shared) == read_public_key(site.sh(f"cat {_SHARED}"))

    # One that is not renewed is rightly absent; of one that is renewed it is told what is wrong.
    site.on("agent01", "service pe-mcollective stop")
    site.on("win01", ": >/C:/pe-lab/pe-mcollective.hangs-stopping")
    site.typed("win01", "net stop pe-mcollective")
    run = verified(site, retired)
    assert run.status == 1
    assert seen(run)["agent01"] == ("failed", "it does not answer: pe-mcollective does not run")
    hangs = "it does not answer: pe-mcollective hangs while it starts or stops"
    assert seen(run)[WIN01] == ("failed", hangs)
    assert "taskkill /F /PID" in checks(run)[WIN01]["remedy"]
    assert seen(run)["win03"] == ("passed", "it does not answer: it is not renewed")

    assert site.renew(retired, "--limit", "win03").status == 0
    old = f"tar -xOf {BACKUPS}/2*/archive.tar {SSLDIR[1:]}/certs/ca.pem"
    site.on("agent01", f"{old} >{TRUSTED} && service pe-mcollective start")
    end_hanging(site, "win01")
    trusted = delivered("win01", "ca.cert.pem")
    kept = shlex.quote(site.backups_on("win01"))
    site.on("win01", f"cat {kept}/*/files/0/certs/ca.pem >/{trusted}")
    site.typed("win01", "net start pe-mcollective")
    run = verified(site, retired)
    assert run.status == 1
    for host, place in (("agent01", TRUSTED), (WIN01, trusted)):
        result, saw = seen(run)[host]
        assert (result, saw) == (
            "failed",
            f"it does not answer: its credentials there are old: {place}",
        )
    assert seen(run)["win03"] == ("passed", "win03.lab.test answers")
    assert there(site) == EVERYBODY - {"agent01.lab.test", "win01.lab.test"}

    # The remedy that is named: a Puppet run of the node.
    run = verified(site, retired, how="real")
    assert run.status == 0, run.stderr
    assert {result for result, _ in seen(run).values()} == {"passed"}
    assert reported(run)["now"]["problems"] == []
    assert there(site) == EVERYBODY


def end_hanging(site: MixedSite, name: str) -> None:
    """The remedy that is named for a service that hangs."""
    (pid,) = re.findall(r"PID\s*:\s*(\d+)", site.typed(name, "sc queryex pe-mcollective"))
    site.on(name, "rm /C:/pe-lab/pe-mcollective.hangs-*")
    site.typed(name, f"taskkill /F /PID {pid}")
