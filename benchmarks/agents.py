"""How long step 6 takes over the lab's five agents: the deploy, Ansible and a loop over ssh.

    python -m benchmarks.agents [--rounds N] [--json FILE]

Each round goes each way from the same state: hosts as seeded, then the master regenerated, which
is not timed. The two others type the document's commands (`step6.yml`, `step6.sh`). However an
agent was renewed, the proof is the same: a certificate of the new CA for its own key, a successful
run of Puppet since, and both services. The figures are ratios: seconds differ from machine to
machine.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

import lab
from benchmarks.outage import spread
from facts.puppet import read_summary
from lab.state import KEY, KNOWN_HOSTS
from recert.certificates import Certificate, read_certificate, read_public_key
from recert.deployments.pe_3_7 import PE_3_7

MASTER = "master"
AGENTS = ("agent01", "agent02", "agent03", "agent04", "agent05")
HERE = Path(__file__).resolve().parent
SSLDIR = "/etc/puppetlabs/puppet/ssl"
SUMMARY = "/var/opt/lib/pe-puppet/state/last_run_summary.yaml"
INSTALL = "pip install -r benchmarks/requirements.txt"


class Ground:
    """A place for what the ways need beside the lab: an ssh configuration, an inventory, logs.

    `retire_ca`: the fingerprint of the CA that the lab's hosts had as seeded.
    """

    def __init__(self, directory: Path, ansible: str) -> None:
        self.directory = directory
        self.ansible = ansible
        self.retire_ca = ""
        self.ssh_config = directory / "ssh_config"
        self.inventory = directory / "inventory.json"
        self.log = directory / "log"

    def prepare(self) -> None:
        """Everything as it has to be when the clock starts."""
        lab.reset(MASTER, *AGENTS)
        self.retire_ca = the_ca().fingerprint
        self._write_connections()
        self._pyinfra("deploys/master.py")
        time.sleep(3)  # what the services' start left to do is not ours to time

    def _write_connections(self) -> None:
        known, lines = lab.hosts(), []
        for name in (MASTER, *AGENTS):
            lines += [
                f"Host {name}",
                f"    HostName {known[name]['ssh_hostname']}",
                f"    Port {known[name]['ssh_port']}",
                f"    User {known[name]['ssh_user']}",
            ]
        lines += [
            "Host *",
            f'    IdentityFile "{KEY}"',
            "    IdentitiesOnly yes",
            f'    UserKnownHostsFile "{KNOWN_HOSTS}"',
            "    StrictHostKeyChecking yes",
            # One login to a host, as pyinfra and Ansible have it.
            "    ControlMaster auto",
            f'    ControlPath "{self.directory}/%C"',
            "    ControlPersist 60",
        ]
        self.ssh_config.write_text("\n".join(lines) + "\n")
        become = {name: known[name]["ssh_user"] != "root" for name in (MASTER, *AGENTS)}
        agents = {
            name: {"certname": known[name]["certname"], "ansible_become": become[name]}
            for name in AGENTS
        }
        inventory = {
            "agents": {"hosts": agents},
            "masters": {"hosts": {MASTER: {"ansible_become": become[MASTER]}}},
            "all": {"vars": {"ansible_ssh_common_args": f'-F "{self.ssh_config}"'}},
        }
        self.inventory.write_text(json.dumps(inventory))

    # The ways

    def deploy(self) -> None:
        self._pyinfra("deploys/agents.py")

    def by_ansible(self) -> None:
        nothing = self.directory / "ansible.cfg"  # nor what the person has set
        nothing.write_text("")
        environment = {
            "ANSIBLE_CONFIG": str(nothing),
            "ANSIBLE_HOME": str(self.directory / "ansible"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.directory / "ansible" / "cp"),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_FORKS": str(len(AGENTS)),
            "LC_ALL": "C.UTF-8",  # it refuses to work in any other encoding
        }
        self._run([self.ansible, "-i", str(self.inventory), "benchmarks/step6.yml"], environment)

    def by_ssh(self) -> None:
        known = lab.hosts()
        pairs = [f"{name}={known[name]['certname']}" for name in AGENTS]
        self._run(["sh", "benchmarks/step6.sh", str(self.ssh_config), *pairs])

    def _pyinfra(self, deploy: str) -> None:
        pyinfra = Path(sys.executable).with_name("pyinfra")
        command = [str(pyinfra), "inventory.py", deploy, "-y"]
        self._run([*command, "--data", f"retire_ca={self.retire_ca}"])

    def _run(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        environment = {**os.environ, **(environment or {})}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # Python may keep what it has compiled
        # A file: a connection that ssh keeps for a while would hold a pipe open.
        with self.log.open("w") as log:
            done = subprocess.run(
                command,
                cwd=HERE.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            raise SystemExit(f"{self.log.read_text()}{command[0]} ended with {done.returncode}")

    def close_connections(self) -> None:
        """End what ssh has kept; a host that is put back has no use for it."""
        for name in (MASTER, *AGENTS):
            command = ["ssh", "-F", str(self.ssh_config), "-O", "exit", name]
            subprocess.run(command, capture_output=True, check=False)

    def require_renewed(self) -> None:
        """:raises SystemExit: an agent is not what step 6 makes of it."""
        ca = the_ca()
        if ca.fingerprint == self.retire_ca:
            raise SystemExit("the master has the CA that was to be retired")
        for name in AGENTS:
            problem = problem_of(name, lab.hosts()[name]["certname"], ca)
            if problem is not None:
                raise SystemExit(f"{self.log.read_text()}{name}: {problem}")


def the_ca() -> Certificate:
    """The CA's certificate on the master."""
    ca = read_certificate(lab.run(MASTER, ["cat", f"{SSLDIR}/ca/ca_crt.pem"]).stdout)
    assert ca is not None
    return ca


def problem_of(agent: str, certname: str, ca: Certificate) -> str | None:
    """Why an agent does not count as renewed under `ca`, None if it does."""
    path = f"{SSLDIR}/certs/{certname}.pem"
    cert = read_certificate(lab.run(agent, ["cat", path], check=False).stdout)
    if cert is None or cert.subject != certname or not cert.issued_by(ca):
        return f"{path} is no certificate of the new CA"
    key = f"{SSLDIR}/private_keys/{certname}.pem"
    public = lab.run(agent, ["openssl", "pkey", "-in", key, "-pubout"], check=False).stdout
    if read_public_key(public) != cert.key:
        return f"{key} does not belong to its certificate"
    made = float(lab.run(agent, ["stat", "-c", "%Y", path]).stdout)
    last_run = read_summary(lab.run(agent, ["cat", SUMMARY], check=False).stdout)
    if last_run is None or not last_run.succeeded or last_run.time < made:
        return "no run of Puppet has succeeded under its certificate"
    for service in PE_3_7.agent.services:
        if lab.run(agent, ["service", service, "status"], check=False).returncode != 0:
            return f"{service} does not run"
    return None


def the_ansible() -> str:
    """:raises SystemExit: there is none."""
    beside = Path(sys.executable).with_name("ansible-playbook")
    found = str(beside) if beside.exists() else shutil.which("ansible-playbook")
    if found is None:
        raise SystemExit(
            f"ansible-playbook is missing: `make benchmark-agents` installs it, or run {INSTALL}"
        )
    return found


def measured(ground: Ground, way: Callable[[], None]) -> float:
    """Seconds."""
    ground.prepare()
    began = time.monotonic()
    way()
    seconds = time.monotonic() - began
    ground.require_renewed()
    ground.close_connections()
    return seconds


def compare(ground: Ground, rounds: int, console: Console) -> dict[str, list[float]]:
    """Seconds of each way, round by round."""
    ways = [("deploy", ground.deploy), ("ssh", ground.by_ssh), ("Ansible", ground.by_ansible)]
    timings: dict[str, list[float]] = {name: [] for name, _ in ways}
    for number in range(1, rounds + 1):
        for name, way in ways:
            timings[name].append(measured(ground, way))
            console.print(f"round {number} of {rounds}, {name}: {timings[name][-1]:.1f} s")
        ways.append(ways.pop(0))  # nobody is always the first
    return timings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args()
    ansible = the_ansible()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="step6-") as directory:
        ground = Ground(Path(directory), ansible)
        try:
            timings = compare(ground, arguments.rounds, console)
        finally:
            ground.close_connections()
    table = Table("", "s", "the deploy's ratio to it")
    figures: dict[str, object] = {"agents": len(AGENTS), "seconds": timings, "ratio": {}}
    medians = {}
    for name, seconds in timings.items():
        ratios = [ours / theirs for ours, theirs in zip(timings["deploy"], seconds, strict=True)]
        medians[name] = statistics.median(ratios)
        table.add_row(name, spread(seconds), "" if name == "deploy" else spread(ratios))
    figures["ratio"] = {name: ratio for name, ratio in medians.items() if name != "deploy"}
    console.print("Medians, and the smallest and largest of", arguments.rounds, "rounds:")
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
