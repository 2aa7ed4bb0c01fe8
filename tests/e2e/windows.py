"""The lab's Windows agents as the tests use them, seen past what is tested."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import lab
from recert.certificates import Certificate, read_certificate, read_public_key
from tests.e2e.nodes import Site
from tests.e2e.site import until_no_run

DATA = {
    "win01": "/C:/ProgramData",
    "win03": "/C:/Documents and Settings/All Users/Application Data",
}
"""Where each keeps its programs' data; the lab shows drive C: as `/C:`."""


_INVENTORY = """
from inventories.lab_hosts import lab_host, lab_host_over_winrm

def reached(host, **data):
    name, known = host
    return name, {{**known, **data}}

master = [lab_host("master")]
agents = [lab_host("agent01")]
windows_agents = [
    reached(lab_host_over_winrm("win01"), **{win01!r}),
    reached(lab_host("win03"), **{win03!r}),
]
"""


@dataclass
class MixedSite(Site):
    """The master, one Linux agent and both Windows agents."""

    directory: Path = field(default_factory=Path)
    windows: tuple[str, ...] = ("win01", "win03")

    @classmethod
    def mixed(cls, directory: Path) -> MixedSite:
        site = cls("master", directory / "mixed.py", agents=("agent01",), directory=directory)
        site.inventory.write_text(_INVENTORY.format(win01={}, win03={}))
        return site

    def connected_as(self, win01: Mapping[str, str], win03: Mapping[str, str]) -> MixedSite:
        """The same site over an inventory with other data for these two."""
        other = self.directory / "other.py"
        other.write_text(_INVENTORY.format(win01=dict(win01), win03=dict(win03)))
        return MixedSite("master", other, agents=self.agents, directory=self.directory)

    def reset(self) -> None:
        lab.reset(self.name, *self.agents, *self.windows)

    def etc(self, name: str) -> str:
        return f"{DATA[name]}/PuppetLabs/puppet/etc"

    def backups_on(self, name: str) -> str:
        return f"{DATA[name]}/pe-recert/backups"

    def typed(self, name: str, line: str) -> str:
        """What a session of the Administrator prints for a line."""
        return lab.run(name, ["/opt/pe-lab/cmd", "Administrator", line], check=False).stdout

    def remember_windows(self) -> None:
        """Keep what the Windows agents have now for `set_windows_back`."""
        for name in self.windows:
            puppet = shlex.quote(f"{DATA[name]}/PuppetLabs")
            self.on(name, f"tar -C / -cf /root/seed.tar {puppet}")

    def set_windows_back(self) -> None:
        """Give the Windows agents back what they had, and have the master forget their names."""
        certnames = " ".join(f"{{requests,signed}}/{self.certname_of(n)}.pem" for n in self.windows)
        self.sh(f"bash -c 'cd /etc/puppetlabs/puppet/ssl/ca && rm -f {certnames}'")
        for name in self.windows:
            data = shlex.quote(DATA[name])
            self.on(
                name,
                f"rm -rf {data}/pe-recert {data}/PuppetLabs/puppet /C:/pe-lab/*.hangs-*;"
                " tar -P -C / -xpf /root/seed.tar",
            )
            for service in ("pe-puppet", "pe-mcollective"):
                self.typed(name, f"sc start {service}")

    def windows_state(self, name: str) -> str:
        """Every file of Puppet's data but what a run leaves, with digest and time of change."""
        data = shlex.quote(DATA[name])
        return self.on(
            name,
            f"find {data}/PuppetLabs/puppet/etc -type f -exec stat -c '%n %Y' {{}} + "
            f"-exec sha256sum {{}} + | sort; find {data}/pe-recert 2>/dev/null | sort",
        ) + str(self.services_on(name))

    def services_on(self, name: str) -> tuple[str, ...]:
        """Those of the agent's services that run."""
        services = ("pe-puppet", "pe-mcollective")
        return tuple(s for s in services if "RUNNING" in self.typed(name, f"sc query {s}"))

    def certificate_on(self, name: str, ssldir: str | None = None) -> Certificate:
        path = f"{ssldir or self.etc(name) + '/ssl'}/certs/{self.certname_of(name)}.pem"
        cert = read_certificate(self.on(name, f"cat {shlex.quote(path)}"))
        assert cert is not None, f"{name} has no certificate"
        return cert


def assert_windows_renewed(site: MixedSite, name: str, ssldir: str | None = None) -> None:
    """Everything that step 6 promises, looked at from outside of it, and then an ordinary Puppet
    run."""
    certname, place = site.certname_of(name), ssldir or f"{site.etc(name)}/ssl"
    cert, ca = site.certificate_on(name, place), site.ca
    ssl = shlex.quote(place)
    assert cert.issued_by(ca) and cert.subject == certname
    assert read_certificate(site.on(name, f"cat {ssl}/certs/ca.pem")) == ca
    public = "puts OpenSSL::PKey::RSA.new(File.read(ARGV[0])).public_key.to_pem"
    key = site.on(name, f"ruby -ropenssl -e '{public}' {ssl}/private_keys/{certname}.pem")
    assert read_public_key(key) == cert.key
    old = site.on(name, f"find {ssl} -name '*.pem' ! -newer {ssl}/certs/ca.pem ! -name ca.pem")
    assert not old.strip(), f"{name}: from before: {old}"
    assert site.certificate(f"/etc/puppetlabs/puppet/ssl/ca/signed/{certname}.pem") == cert
    assert site.services_on(name) == ("pe-puppet", "pe-mcollective")
    assert_accepted(site, name)


def assert_accepted(site: MixedSite, name: str) -> None:
    """A Puppet run of the agent succeeds, once its service's own is over."""
    program = site.on(name, "find /C:/Program* -name puppet.bat").strip()
    typed = program.removeprefix("/").replace("/", "\\")
    lock = shlex.quote(f"{DATA[name]}/PuppetLabs/puppet/var/state/agent_catalog_run.lock")
    site.on(name, until_no_run(lock))
    said = site.typed(name, f'@call "{typed}" agent --test & if not errorlevel 3 echo accepted')
    assert "accepted" in said.split() and "Applied catalog" in said, said
