"""What a survey says of a site as it is, of one whose regeneration was cut off, and of damage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import lab
from tests.e2e.nodes import Site, reported
from tests.e2e.site import KILLING, SSLDIR, Run

AGENTS = ("agent01", "agent02")
DB_CERT = "/etc/puppetlabs/puppetdb/ssl/master.lab.test.cert.pem"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    found = Site.of(tmp_path_factory.mktemp("survey"), "master", AGENTS)
    found.reset()
    return found


def surveyed(site: Site, *arguments: str) -> tuple[Run, dict[str, Any]]:
    run = site.pyinfra("deploys/survey.py", "-y", *arguments)
    assert run.status == 0, run.stderr
    return run, reported(run)


def problems(document: dict[str, Any], severity: str) -> dict[str, str]:
    """What is wrong, by what it is about."""
    found = document["now"]["problems"]
    return {p["subject"]: p["what"] for p in found if p["severity"] == severity}


def test_programs_that_cannot_do_it_are_told_and_make_no_finding(site: Site) -> None:
    """busybox' grep, first on the PATH, would find no certificate; its xargs can do all."""
    site.on("agent01", "ln -s /bin/busybox /usr/local/bin/grep")
    site.on("agent02", "ln -s /bin/busybox /usr/local/bin/xargs")
    try:
        _, document = surveyed(site)
    finally:
        site.on("agent01", "rm /usr/local/bin/grep")
        site.on("agent02", "rm /usr/local/bin/xargs")
    hosts = {host["host"]: host for host in document["now"]["hosts"]}
    assert {name: host["answered"] for name, host in hosts.items() if name in AGENTS} == {
        "agent01": False,
        "agent02": True,
    }
    why = hosts["agent01"]["why"]
    assert "/usr/local/bin/grep, the first grep on the PATH, cannot" in why
    assert "Install grep (2.5 or later)" in why
    assert hosts["agent02"]["well"]


def test_a_survey_of_a_site_that_works(site: Site) -> None:
    paths = ("/etc", "/opt/puppet", "/root")
    before, agent = site.snapshot(paths), site.state_of("agent02")

    run, document = surveyed(site)

    assert site.snapshot(paths) == before
    assert site.state_of("agent02") == agent
    assert (document["kind"], document["checks"], document["operations"]) == ("survey", [], [])
    now, ca = document["now"], site.ca
    assert now["ca"]["fingerprint"] == ca.fingerprint
    assert (now["ca"]["signed"], now["ca"]["revoked"]) == (15, 1)
    assert now["ca"]["requests"] == ["waiting01.lab.test"]
    assert f"--data retire_ca={ca.fingerprint}" in run.stderr
    assert problems(document, "bad") == {}
    assert {name.split()[0] for name in problems(document, "warning")} == {
        *(f"{name}.lab.test" for name in ("agent03", "agent04", "agent05", "win01", "win03")),
        "compile01.lab.test",
    }
    hosts = {host["host"]: host for host in now["hosts"]}
    assert {name: host["well"] for name, host in hosts.items()} == dict.fromkeys(hosts, True)
    assert hosts["agent01"]["trusts"] == ca.fingerprint
    assert hosts["agent01"]["in_inventory"] is True
    assert hosts["agent01"]["last_run_succeeded"] is True
    assert abs(hosts["agent02"]["clock_skew"]) < 10
    assert {s["name"]: s["state"] for s in hosts["agent02"]["services"]} == {
        "pe-puppet": "running",
        "pe-mcollective": "running",
    }
    copy = next(c for c in now["certificates"] if c["path"] == DB_CERT)
    cert = site.certificate(DB_CERT)
    assert copy["fingerprint"] == cert.fingerprint
    assert (copy["subject"], copy["serial"]) == ("master.lab.test", "0x0002")
    assert copy["alt_names"] == sorted(cert.alt_names)
    assert (copy["issuer_fingerprint"], copy["belongs"]) == (ca.fingerprint, True)
    assert (copy["owner"], copy["used_by"]) == ("pe-puppetdb:pe-puppetdb", ["pe-puppetdb"])


def test_a_survey_of_some_hosts(site: Site) -> None:
    _, document = surveyed(site, "--limit", "agent01")
    hosts = {host["host"]: host for host in document["now"]["hosts"]}
    assert set(hosts) == {"master", "agent01"}
    assert hosts["agent01"]["in_inventory"] is True


def test_hosts_count_under_their_certnames_whatever_the_inventory_calls_them(
    site: Site, tmp_path: Path
) -> None:
    inventory = tmp_path / "addresses.py"
    inventory.write_text(
        "from inventories.lab import lab_host\n"
        "def called(name, alias):\n"
        "    _, data = lab_host(name)\n"
        "    return alias, {key: data[key] for key in data if key != 'certname'}\n"
        "master = [called('master', 'm')]\n"
        "agents = [called('agent01', 'a1'), called('agent02', 'a2')]\n"
    )
    aliases = Site("master", inventory, agents=("agent01", "agent02"))
    own = {"agent01.lab.test", "agent02.lab.test"}

    _, asked = surveyed(aliases)
    _, some = surveyed(aliases, "--limit", "a1")
    interlock = aliases.pyinfra("deploys/site.py", "--dry")

    hosts = {host["host"]: host["certname"] for host in asked["now"]["hosts"]}
    assert hosts == {"m": "master.lab.test", "a1": "agent01.lab.test", "a2": "agent02.lab.test"}
    warnings = problems(asked, "warning")
    assert not own & warnings.keys()
    assert warnings["agent03.lab.test"].endswith("no host of the inventory has that name")
    # Who was not asked may be anybody.
    warnings = problems(some, "warning")
    assert own & warnings.keys() == {"agent02.lab.test"}
    assert set(warnings.values()) >= {
        "has a certificate, and no host of the inventory is called like that"
    }
    assert not any("has that name" in what for what in warnings.values())
    remedies = {p["subject"]: p["remedy"] for p in some["now"]["problems"]}
    assert "Clean none of these names" in remedies["agent02.lab.test"]
    assert interlock.status == 1
    # Whether the agents have been asked by then is a matter of who is faster.
    shown = {name for name in own if name in interlock.stderr}
    assert not shown or "is not known yet: " in interlock.stderr


def test_every_host_lists_its_backups(site: Site) -> None:
    assert "No backups" in site.pyinfra("deploys/restore.py", "--limit", "agent01").text
    # An agent that takes its time is waited for, and one that cannot answer is missed.
    instead = "cat >/opt/puppet/bin/{0}; chmod 755 /opt/puppet/bin/{0}"
    slow = "printf '#!/bin/sh\nsleep 2; exec /usr/bin/sort \"$@\"\n' | " + instead.format("sort")
    mute = "printf '#!/bin/sh\nexit 1\n' | " + instead.format("base64")
    site.on("agent02", slow)
    try:
        run = site.pyinfra("deploys/restore.py")
        site.on("agent02", mute)
        unread = site.pyinfra("deploys/restore.py")
    finally:
        site.on("agent02", "rm -f /opt/puppet/bin/sort /opt/puppet/bin/base64")
    assert run.status == 0, run.stderr
    for name in ("master", *AGENTS):
        assert re.search(rf"\[{name}\] +No backups in /var/lib/pe-recert/backups", run.text)
    assert unread.status == 1
    assert unread.text.count("No backups in") == 2


@pytest.mark.parametrize(
    ("gone", "chosen"),
    [("master", ()), ("agent01", ()), ("master", ("--limit", "agent02"))],
    ids=["the master", "an agent", "the master of what is chosen"],
)
def test_a_host_that_is_off_is_told_and_nothing_is_asked(
    site: Site, gone: str, chosen: tuple[str, ...]
) -> None:
    lab.switch_off(gone)
    try:
        run = site.pyinfra("deploys/survey.py", "-y", *chosen)
    finally:
        lab.switch_on(gone)
    document = reported(run)
    assert run.status == 1
    hosts = {host["host"]: host for host in document["now"]["hosts"]}
    assert {name for name, host in hosts.items() if not host["answered"]} == {gone}
    assert "connect" in hosts[gone]["why"]
    worth = {c["standing"] for c in document["now"]["certificates"] if c["host"] == "agent02"}
    assert worth == ({"not judged"} if gone == "master" else {"good"})


def test_a_regeneration_that_was_cut_off(site: Site) -> None:
    retired = site.ca.fingerprint
    options = ("--data", f"retire_ca={retired}")
    killed = site.pyinfra("deploys/site.py", "-y", *options, *KILLING, env={"KILL_AFTER": "8"})
    assert killed.status == -9
    # What is left in the end of a disk that was full.
    site.sh(f": >{SSLDIR}/certs/pe-internal-dashboard.pem; head -c 300 /dev/urandom >{DB_CERT}")
    site.on("agent02", f"printf 'garbage' >{SSLDIR}/certs/agent02.lab.test.pem")

    _, document = surveyed(site)
    verified = site.pyinfra("deploys/verify.py", "-y", *options, "--data", "puppet_run=last")

    bad = problems(document, "bad")
    assert bad["pe-puppetserver"] == bad["pe-puppetdb"] == "does not run"
    assert DB_CERT in bad
    assert bad[f"{SSLDIR}/certs/agent02.lab.test.pem"] == "is not a certificate"
    empty = f"{SSLDIR}/certs/pe-internal-dashboard.pem"
    assert {**problems(document, "warning"), **bad}[empty] == "is empty"
    assert not any(host["well"] for host in document["now"]["hosts"])
    assert all(p["remedy"] for p in document["now"]["problems"])
    assert verified.status == 1
    proof = reported(verified)
    failed = [f"{c['about']}: {c['saw']}" for c in proof["checks"] if c["result"] == "failed"]
    assert "Services run: pe-puppetserver does not run" in failed
    assert any("8140" in c["did"] and "no TLS" in c["saw"] for c in proof["checks"])
    assert any("of the retired CA" in line for line in failed)
    assert {entry["host"] for entry in proof["summary"]["not_back"]} == {"master", *AGENTS}


def test_hosts_of_which_little_can_be_seen(site: Site) -> None:
    site.sh("mv /etc/puppetlabs/puppet/puppet.conf /root/")
    site.sh("echo '[main' >/etc/puppetlabs/puppet/puppet.conf")
    site.on("agent01", "mv /opt/puppet/bin/puppet /root/")

    _, document = surveyed(site)

    site.sh("mv /root/puppet.conf /etc/puppetlabs/puppet/")
    site.on("agent01", "mv /root/puppet /opt/puppet/bin/")
    hosts = {host["host"]: host for host in document["now"]["hosts"]}
    assert {name for name, host in hosts.items() if not host["answered"]} == {"master", "agent01"}
    assert "Puppet cannot read its puppet.conf" in hosts["master"]["why"]
    assert "There is no `puppet` on the PATH" in hosts["agent01"]["why"]
    assert hosts["agent02"]["certname"] == "agent02.lab.test"
    assert hosts["agent02"]["in_inventory"] is None
