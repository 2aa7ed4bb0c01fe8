"""A site of the lab as the tests use it: one master and its agents, seen past what is tested."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lab
from lab.hosts import HOSTS
from lab.services import REAL
from recert.certificates import Certificate, read_certificate, read_public_key, read_request
from tests.e2e.site import BACKUPS, KILLING, ROOT, SSLDIR, VARDIR, Master, Run, until_no_run

SUMMARY = f"{VARDIR}/state/last_run_summary.yaml"
SERVICES = ("pe-puppet", "pe-mcollective")
_INVENTORY = """from inventories.lab_hosts import lab_host
master = [lab_host({master!r})]
agents = [lab_host(name) for name in {agents!r}]
"""
_ALIASES = """from inventories.lab_hosts import lab_host
def called(name, alias):
    data = dict(lab_host(name)[1])
    del data["certname"]
    return alias, data
master = [called({master!r}, "the-master")]
agents = [called(*pair) for pair in {agents!r}.items()]
"""
NO_MCO = "there is no mco on the master"
"""Why, with stand-ins for its services, nobody can be asked who is back in orchestration."""
_SEED = "/root/seed.tar"


def reset_alone(*names: str) -> None:
    """Put hosts with real services to their seeded state, with no other host up: one that a test
    before has left with a certificate of the seeded CA is still known to all services."""
    lab.down()
    lab.reset(*names, services=REAL)


@dataclass
class Site(Master):
    """A master of the lab with its agents, and the inventory that names them."""

    agents: tuple[str, ...] = ()

    @classmethod
    def under_aliases(cls, directory: Path, master: str, agents: Mapping[str, str]) -> Site:
        """The same with an inventory that has no certname, but an alias or address of each agent,
        by its name in the lab."""
        inventory = directory / f"aliases-of-{master}-{len(agents)}.py"
        inventory.write_text(_ALIASES.format(master=master, agents=dict(agents)))
        return cls(master, inventory, agents=tuple(agents))

    @classmethod
    def of(cls, directory: Path, master: str, agents: tuple[str, ...]) -> Site:
        inventory = directory / f"site-of-{master}-{len(agents)}.py"
        inventory.write_text(_INVENTORY.format(master=master, agents=list(agents)))
        return cls(master, inventory, agents=agents)

    def reset(self) -> None:
        lab.reset(self.name, *self.agents)

    def on(self, agent: str, script: str, check: bool = True) -> str:
        """Run `script` as root in an agent's container."""
        return lab.run(agent, script, check=check).stdout

    def on_all(self, script: str, agents: Iterable[str] = ()) -> dict[str, str]:
        """The same on several at once; on all if none is named."""
        names = tuple(agents) or self.agents
        with ThreadPoolExecutor(len(names)) as pool:
            return dict(
                zip(names, pool.map(lambda name: self.on(name, script), names), strict=True)
            )

    def whole(self, retire: str, *arguments: str) -> Run:
        """Steps 1 to 6, the results in JSON."""
        return self._deploy("deploys/site.py", "-y", f"retire_ca={retire}", *arguments)

    def renew(self, retire: str, *arguments: str) -> Run:
        """Step 6, the results in JSON."""
        return self._deploy("deploys/agents.py", "-y", f"retire_ca={retire}", *arguments)

    def preview_renewal(self, retire: str, *arguments: str) -> Run:
        return self._deploy("deploys/agents.py", "--dry", f"retire_ca={retire}", *arguments)

    def replace(self, retire: str, *arguments: str) -> Run:
        """The replacement of certificates, by fingerprint."""
        return self._deploy("deploys/replace.py", "-y", f"retire_certs={retire}", *arguments)

    def preview_replacement(self, retire: str, *arguments: str) -> Run:
        return self._deploy("deploys/replace.py", "--dry", f"retire_certs={retire}", *arguments)

    def _deploy(self, deploy: str, how: str, data: str, *arguments: str) -> Run:
        return self.pyinfra(deploy, how, "--json", "--data", data, *arguments)

    def certname_of(self, agent: str) -> str:
        return lab.hosts()[agent]["certname"]

    def certificate_of(self, agent: str) -> Certificate:
        ssldir = HOSTS[agent].generation.ssldir
        pem = self.on(agent, f"cat {ssldir}/certs/{self.certname_of(agent)}.pem")
        cert = read_certificate(pem)
        assert cert is not None
        return cert

    def retire_ca(self) -> str:
        """Regenerate the master alone, with everybody as seeded; the fingerprint of what it had."""
        self.remember()
        retired = self.ca.fingerprint
        run = self.regenerate(retired)
        assert run.status == 0, run.stderr
        return retired

    def remember(self) -> None:
        """Keep what the agents have now for `set_back`."""
        self.on_all(f"tar -C / -cf {_SEED} etc/puppetlabs {VARDIR[1:]}")

    def set_back(self, *agents: str) -> None:
        """Give agents back what they had, and have the master forget their names."""
        chosen = agents or self.agents
        names = [self.certname_of(agent) for agent in chosen]
        self.sh(
            f"cd {SSLDIR}/ca && rm -f "
            + " ".join(f"requests/{name}.pem signed/{name}.pem" for name in names)
        )
        self.on_all(
            f"""
            rm -rf {BACKUPS} {VARDIR}
            find /etc/puppetlabs -mindepth 1 -delete
            tar -C / -xpf {_SEED}
            for service in {" ".join(SERVICES)}; do
                service $service status >/dev/null 2>&1 || service $service start
            done
            """,
            chosen,
        )

    def state_of(self, agent: str) -> str:
        """Every file of Puppet's configuration with digest, owner, mode and time of change, and
        the services that run."""
        return self.on(
            agent,
            "find /etc/puppetlabs /var/lib/pe-recert -printf '%p %y %U:%G %m %s %C@\\n' 2>/dev/null"
            " | sort; find /etc/puppetlabs -type f -exec sha256sum {} + | sort;"
            f" for s in {' '.join(SERVICES)}; do service $s status >/dev/null 2>&1 && echo $s; done"
            "; true",
        )

    def submit(self, from_agent: str, certname: str) -> None:
        """Send the master a request under a name, as anybody in the network can."""
        self.on(
            from_agent,
            f"rm -rf /tmp/stranger; /opt/puppet/bin/puppet agent --test --waitforcert 0 --certname "
            f"{certname} --ssldir /tmp/stranger --vardir /tmp/stranger/var >/dev/null 2>&1; true",
        )
        assert f"{certname}.pem" in self.sh(f"ls {SSLDIR}/ca/requests").split()


def reported(run: Run) -> dict[str, Any]:
    """The report that a run has left as JSON."""
    found = re.search(r"The same as JSON: (\S+)", run.stderr)
    assert found is not None, run.stderr
    document: dict[str, Any] = json.loads((ROOT / found[1]).read_text())
    return document


def digest_of_request(site: Site, path: str) -> str:
    """Of a request on the master, its fingerprint."""
    request = read_request(site.sh(f"cat {path}"))
    assert request is not None
    return request.digest


def assert_killed_in_each_step(site: Site, retired: str, *arguments: str) -> None:
    """Renew agents by runs that each end after their first change, until there is none left."""
    *steps, proof = site.preview_renewal(retired, *arguments).planned
    assert proof.startswith("6.7 Prove")
    killed_in = set()
    for _ in range(30):
        options = ("-y", "--json", "--data", f"retire_ca={retired}", *arguments, *KILLING)
        run = site.pyinfra("deploys/agents.py", *options, env={"KILL_AFTER": "1"})
        if run.status == 0:
            break
        assert run.status == -9, run.text
        killed_in.add(run.begun)
    assert run.status == 0, run.stderr
    # The proof may be left with nothing to do: a killed run's services have had their first run.
    assert killed_in >= set(steps)


def statuses(run: Run) -> dict[str, str]:
    """What became of each agent, by host."""
    return {agent["host"]: agent["status"] for agent in reported(run)["agents"]}


def why(run: Run, agent: str) -> str:
    """The step at which an agent failed and the reason, as the report has them."""
    (found,) = [entry for entry in reported(run)["agents"] if entry["host"] == agent]
    return f"{found['step']}: {found['why']}"


def assert_renewed(site: Site, *agents: str, services: tuple[str, ...] = SERVICES) -> None:
    """Everything that step 6 promises of these agents, looked at from outside of it, and then an
    ordinary Puppet run of each."""
    ca = site.ca
    chosen = agents or site.agents
    looks = site.on_all(
        f"""
        name=$(sed -n 's/^ *certname *= *//p' /etc/puppetlabs/puppet/puppet.conf | head -n 1)
        cat {SSLDIR}/certs/ca.pem; echo ===
        cat {SSLDIR}/certs/$name.pem; echo ===
        /opt/puppet/bin/ruby -ropenssl -e '
            puts OpenSSL::PKey::RSA.new(File.read(ARGV[0])).public_key.to_pem
        ' {SSLDIR}/private_keys/$name.pem; echo ===
        find -L {SSLDIR} -name '*.pem' ! -newer {SSLDIR}/certs/ca.pem ! -path '*/certs/ca.pem'
        find -L {SSLDIR}/private_keys -type f -perm /007; echo ===
        for s in {" ".join(SERVICES)}; do service $s status >/dev/null 2>&1 && echo $s; done
        true; echo ===
        rm -f {VARDIR}/state/agent_disabled.lock
        {until_no_run()}
        /opt/puppet/bin/puppet agent --test >/tmp/run.log 2>&1; echo $?
        """,
        chosen,
    )
    signed = f"{SSLDIR}/ca/signed"
    for agent in chosen:
        trusted, own, key, wrong, running, status = looks[agent].split("===\n")
        name = site.certname_of(agent)
        cert = read_certificate(own)
        assert cert is not None, f"{agent} has no certificate"
        assert read_certificate(trusted) == ca
        assert cert.issued_by(ca) and cert.subject == name
        assert read_public_key(key) == cert.key
        assert not wrong.strip(), f"{agent}: old, or open to others: {wrong}"
        assert tuple(running.split()) == services, f"{agent} runs {running.split()}"
        assert status.strip() in ("0", "2"), site.on(agent, "cat /tmp/run.log")
        assert site.certificate(f"{signed}/{name}.pem") == cert
