"""The lab keeps what it promises: agents that work with their master, and ways to trouble them."""

from __future__ import annotations

import base64
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest

import lab
from lab.reaching import ssh_argv
from tests.unit.scripts import lines, scripts
from tests.unit.test_shells import SHELLS

AGENTS = ("agent01", "agent02", "agent03", "agent04", "agent05", "auto01")
MASTERS = ("master", "master-init")
_SSLDIR = "/etc/puppetlabs/puppet/ssl"


@pytest.fixture(scope="module", autouse=True)
def _whole_lab() -> None:
    # Not only up: what earlier tests did to the masters' CAs is not the agents' fault.
    lab.reset()


def _master_of(agent: str) -> str:
    server = lab.hosts()[agent]["server"]
    return next(name for name in MASTERS if lab.hosts()[name]["certname"] == server)


def _puppet(name: str) -> int:
    """How a run of Puppet on the host ends: 0 or 2 if all is well."""
    return lab.run(name, "/opt/puppet/bin/puppet agent --test", check=False).returncode


def _over_ssh(name: str, command: str) -> str:
    argv = ssh_argv(name, [command])
    return subprocess.run(argv, capture_output=True, text=True, timeout=30).stdout.strip()


def test_hosts_are_unlike_each_other() -> None:
    """What has only ever run with dash has not been tried."""
    shells = {}
    for name in (*MASTERS, *AGENTS):
        said = lab.run(name, "readlink -f /bin/sh; getent passwd root").stdout.split("\n")
        shells[name] = (said[0].rpartition("/")[2], said[1].rpartition("/")[2])
    assert shells["master-init"] == ("bash", "bash")
    assert shells["agent02"] == ("bash", "tcsh")
    assert shells["agent04"] == ("mksh", "fish")
    assert set(shells.values()) - {("bash", "bash"), ("bash", "tcsh"), ("mksh", "fish")} == {
        ("dash", "bash")
    }
    assert "version 5.1" in lab.run("agent02", "sh --version").stdout


def test_every_shell_of_the_lab_reads_every_script() -> None:
    """Those that the machine of the unit tests need not have, and older ones."""
    texts = list(dict.fromkeys(script.text for script in (*scripts(), *lines())))
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for number, text in enumerate(texts):
            member = tarfile.TarInfo(f"{number}.sh")
            member.size = len(text.encode())
            archive.addfile(member, BytesIO(text.encode()))
    shells = "\n".join(" ".join(argv) for argv in SHELLS.values())
    done = lab.run(
        "agent02",
        f"""
        rm -rf /tmp/scripts && mkdir /tmp/scripts && cd /tmp/scripts
        echo {base64.b64encode(packed.getvalue()).decode()} | base64 -d | tar -xzf -
        while read -r shell; do
            for script in *.sh; do
                $shell -n "$script" || echo "$shell cannot read $script" >&2
                echo "$shell"
            done | sort | uniq -c
        done <<'END'
{shells}
END
        """,
    )
    assert "cannot read" not in done.stderr
    assert "not found" not in done.stderr
    counted = {line.strip().partition(" ")[2]: line.split()[0] for line in done.stdout.splitlines()}
    assert counted == {" ".join(argv): str(len(texts)) for argv in SHELLS.values()}


def test_every_agent_works_with_its_master() -> None:
    with ThreadPoolExecutor(len(AGENTS)) as pool:
        ended = dict(zip(AGENTS, pool.map(_puppet, AGENTS), strict=True))
    assert all(status in (0, 2) for status in ended.values()), ended
    for name in AGENTS:
        cached = f"{lab.hosts()[name]['certname']}.json"
        lab.run(name, ["test", "-s", f"/var/opt/lib/pe-puppet/client_data/catalog/{cached}"])


def test_no_master_has_an_agents_private_key() -> None:
    certnames = {lab.hosts()[name]["certname"] for name in AGENTS}
    for name in MASTERS:
        keys = lab.run(name, f"ls {_SSLDIR}/private_keys").stdout.split()
        assert not certnames & {key.removesuffix(".pem") for key in keys}


def test_names_lead_from_agents_to_masters_and_back() -> None:
    for name in AGENTS:
        info = lab.hosts()[name]
        lab.run(name, ["getent", "hosts", info["server"]])
        lab.run(_master_of(name), ["getent", "hosts", info["certname"]])


def test_cut_off_an_agent_has_ssh_but_no_master() -> None:
    agent = "agent01"
    lab.cut(agent)
    lab.reset(_master_of(agent))
    assert _puppet(agent) == 1, "another address of its master is no way around"
    assert _over_ssh(agent, "echo here") == "here"
    lab.mend(agent)
    assert _puppet(agent) in (0, 2)


@pytest.mark.parametrize("agent", ["agent01", "agent02"], ids=["systemd", "init"])
def test_switched_off_and_on_a_host_keeps_its_disk_and_its_port(agent: str) -> None:
    before = lab.hosts()[agent]
    lab.run(agent, ["touch", "/root/mark"])
    lab.switch_off(agent)
    assert lab.status()[agent].state == "off"
    assert _over_ssh(agent, "echo here") == ""
    lab.switch_on(agent)
    assert lab.hosts()[agent] == before
    assert _over_ssh(agent, "ls /root/mark") == "/root/mark"


def test_reset_brings_a_deleted_ssldir_back() -> None:
    agent = "agent04"
    lab.run(agent, ["rm", "-r", _SSLDIR])
    lab.reset(agent)
    assert _puppet(agent) in (0, 2)
