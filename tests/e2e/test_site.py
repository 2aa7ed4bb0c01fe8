"""Whole sites: from working to working with one command, and what a broken master does to them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import lab
from tests.e2e.nodes import NO_MCO, Site, assert_renewed, reported, statuses, why
from tests.e2e.site import BACKUPS, KILLING, SSLDIR, assert_regenerated, until_no_run

AGENTS = ("agent01", "agent02", "agent03", "agent04", "agent05")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The master that signs by hand and its five agents, as seeded."""
    found = Site.of(tmp_path, "master", AGENTS)
    found.reset()
    return found


def test_a_site_is_back_under_its_new_ca_with_one_command(site: Site) -> None:
    retired = site.ca.fingerprint
    options = ("deploys/site.py", "--json", "--data", f"retire_ca={retired}")

    preview = site.pyinfra(*options, "--dry")
    killed = site.pyinfra(*options, "-y", *KILLING, env={"KILL_AFTER": "31"})
    rest = site.pyinfra(*options, "--dry")
    run = site.whole(retired)

    assert killed.status == -9
    assert run.status == 0, run.stderr
    assert run.changes == rest.plan
    assert len(preview.planned) == 33
    changing = [hosts for hosts in preview.plan.values() if hosts]
    assert all(hosts == list(AGENTS) for hosts in changing[-10:])
    proof = {check["result"]: check["saw"] for check in reported(run)["checks"]}
    assert proof.keys() == {"passed", "not made"}
    assert proof["not made"] == NO_MCO
    assert reported(run)["summary"]["back"] == 1 + len(AGENTS)
    assert set(statuses(run).values()) == {"renewed"}
    assert reported(run)["retired"] == [retired]
    assert reported(run)["ca"] == site.ca.fingerprint
    assert_regenerated(site, retired)
    assert_renewed(site)
    again = site.whole(retired)
    assert (again.status, again.changed) == (0, [])
    assert_goes_back(site, retired)


def assert_goes_back(site: Site, retired: str) -> None:
    """The whole site to its former CA, and nothing more to do then."""
    renewed = {agent: site.certificate_of(agent) for agent in site.agents}
    name = sorted(site.sh(f"ls {BACKUPS}").split())[0]
    options = ("deploys/restore.py", "--json", "--data", f"backup={name}")

    listed = site.pyinfra("deploys/restore.py")
    early = site.pyinfra(*options, "-y", "--limit", "agent01")
    certs = f"{SSLDIR}/certs"
    lab.run("agent02", f"chattr +i {certs}", privileged=True)
    try:
        stuck = site.pyinfra(*options, "--dry", "--limit", "agent02")
    finally:
        lab.run("agent02", f"chattr -i {certs}", privileged=True)
    preview = site.pyinfra(*options, "--dry")
    run = site.pyinfra(*options, "-y")
    again = site.pyinfra(*options, "-y")

    assert listed.status == 0, listed.stderr
    # Every host's are told, and under the master's alone how one is put back.
    titles = re.findall(rf"Backups on (\S+) in {BACKUPS}", listed.text)
    assert sorted(titles) == sorted((site.name, *site.agents)), listed.text
    assert name in listed.text
    assert re.findall(
        r"\[(\S+)\] +To restore one: pyinfra \S+ deploys/restore.py", listed.text
    ) == [site.name]
    assert stuck.status == 1
    assert f"{certs} cannot be changed, and so not be deleted" in stuck.stderr
    assert early.status == 1
    assert "does not have the CA of that backup in place" in why(early, "agent01")
    assert run.status == 0, run.stderr
    assert run.changes == preview.plan
    assert set(statuses(run).values()) == {"restored"}
    assert site.ca.fingerprint == retired
    for agent in site.agents:
        assert site.certificate_of(agent) != renewed[agent]
        # The new certificates are in a backup now.
        assert len(site.on(agent, f"ls {BACKUPS}").split()) == 2
        assert site.certificate_of(agent).issued_by(site.ca)
    accepted = "/opt/puppet/bin/puppet agent --test >/tmp/run.log 2>&1; echo $?"
    runs = site.on_all(f"{until_no_run()}; {accepted}")
    assert {status.strip() for status in runs.values()} <= {"0", "2"}, runs
    assert (again.status, set(statuses(again).values())) == (0, {"as it was"}), again.stderr


def test_a_master_that_breaks_leaves_every_agent_as_it_was(site: Site) -> None:
    retired = site.ca.fingerprint
    before = {agent: site.state_of(agent) for agent in AGENTS}
    site.sh("chmod -x /opt/pe-lab/start-puppetserver")

    run = site.whole(retired)
    alone = site.renew(retired, "--limit", "agent01")

    assert (run.status, alone.status) == (1, 1)
    assert site.ca.fingerprint != retired
    assert set(statuses(run).values()) == {"failed"}
    assert all("the master failed before" in why(run, agent) for agent in AGENTS)
    assert "does not answer on port 8140" in alone.stderr
    assert {agent: site.state_of(agent) for agent in AGENTS} == before
    site.sh("chmod +x /opt/pe-lab/start-puppetserver")
    assert site.whole(retired).status == 0
    assert_renewed(site)


def test_an_inventory_without_a_master(site: Site, tmp_path: Path) -> None:
    before = site.state_of("agent01")
    inventory = tmp_path / "no-master.py"
    inventory.write_text(
        "from inventories.lab_hosts import lab_host\nmaster = []\nagents = [lab_host('agent01')]\n"
    )
    alone = Site("agent01", inventory, agents=("agent01",))

    run = alone.renew(site.ca.fingerprint)

    assert run.status == 1
    assert "must hold exactly one host, it holds none" in run.stderr
    assert site.state_of("agent01") == before


def test_a_master_that_signs_by_itself(tmp_path: Path) -> None:
    site = Site.of(tmp_path, "master-init", ("auto01",))
    site.reset()
    retired = site.ca.fingerprint

    preview = site.pyinfra("deploys/site.py", "--dry", "--json", "--data", f"retire_ca={retired}")
    run = site.whole(retired)

    assert run.status == 0, run.stderr
    assert run.changes == preview.plan
    assert not any("sign the request" in name for name in run.changed)
    assert "signs by itself" in preview.stderr
    assert "signs by itself" in run.stderr
    assert_renewed(site)

    # Its first run, which follows at once, takes longer than a step may.
    cert = site.certificate_of("auto01")
    with site.applying('exec { "/bin/sleep 25": }'):
        slow = site.replace(cert.fingerprint, "--config", "tests/e2e/impatient.py")
    assert slow.status == 0, slow.stderr
    assert statuses(slow) == {"auto01": "renewed"}
    assert site.certificate_of("auto01").key != cert.key
    assert_renewed(site)
