"""The hosts of the lab and the services that each of them runs: the one place to add a host."""

from dataclasses import dataclass
from typing import Literal

INTERNAL_CERTNAMES = (
    "pe-internal-classifier",
    "pe-internal-dashboard",
    "pe-internal-mcollective-servers",
    "pe-internal-peadmin-mcollective-client",
    "pe-internal-puppet-console-mcollective-client",
)


@dataclass(frozen=True)
class Service:
    """A service of PE; `start` writes `pidfile` and ends with 0 once the service is up."""

    name: str
    description: str
    start: str
    pidfile: str
    after: tuple[str, ...] = ()


def _component(name: str, description: str) -> Service:
    return Service(name, description, f"/opt/pe-lab/component {name}", f"/run/{name}.pid")


def _agent_daemon(after: tuple[str, ...] = ()) -> Service:
    start = "/opt/puppet/bin/puppet agent"
    return Service("pe-puppet", "Puppet agent", start, "/run/pe-puppet/agent.pid", after)


_MCOLLECTIVE = _component("pe-mcollective", "MCollective server")

# In the order in which they start where nothing but the order says what needs what.
_MASTER_SERVICES = (
    Service(
        "pe-puppetserver",
        "Puppet master",
        "/opt/pe-lab/start-puppetserver",
        "/run/pe-puppet/master.pid",
    ),
    _component("pe-postgresql", "PostgreSQL"),
    _component("pe-puppetdb", "PuppetDB"),
    _component("pe-console-services", "PE console services"),
    _component("pe-httpd", "PE console web server"),
    _component("pe-activemq", "ActiveMQ"),
    _MCOLLECTIVE,
    _agent_daemon(after=("pe-puppetserver",)),
)
_AGENT_SERVICES = (_MCOLLECTIVE, _agent_daemon())


@dataclass(frozen=True)
class Windows:
    """What kind of Windows an agent is; directories are below C:/."""

    # As winecfg names it.
    version: str
    data: str
    program: str


@dataclass(frozen=True)
class Host:
    """A container of the lab: a monolithic master, or an agent of one."""

    name: str
    hostname: str
    certname: str
    service_manager: Literal["systemd", "init", "windows"]
    ssh_user: str = "root"
    alt_names: tuple[str, ...] = ()
    # False: only the certificate in use carries the alternative names.
    alt_names_configured: bool = True
    # An agent's master, by the name of its host.
    master: str = ""
    # A master whose CA signs every request from lab.test by itself.
    autosigns: bool = False
    openssl: bool = True
    # True: it carries files that years of administration leave behind.
    leftovers: bool = False
    windows: Windows | None = None

    @property
    def role(self) -> Literal["master", "agent"]:
        """What the host is in its deployment."""
        return "agent" if self.master else "master"

    @property
    def server(self) -> str:
        """The certname of the master that the host's own agent talks to."""
        return HOSTS[self.master].certname if self.master else self.certname

    @property
    def services(self) -> tuple[Service, ...]:
        """What the host runs."""
        return _AGENT_SERVICES if self.master else _MASTER_SERVICES

    @property
    def ports(self) -> dict[str, int]:
        """What answers to the machine that the lab is on."""
        if self.windows:
            return {"ssh": 22, "winrm_http": 5985, "winrm_https": 5986}
        return {"ssh": 22}

    @property
    def own_names(self) -> tuple[str, ...]:
        """Every name under which the host has to find itself."""
        return tuple(dict.fromkeys((self.hostname, self.certname, *self.alt_names)))

    @property
    def agents(self) -> "tuple[Host, ...]":
        """The agents of this master."""
        return tuple(host for host in HOSTS.values() if host.master == self.name)


HOSTS = {
    host.name: host
    for host in (
        Host(
            name="master",
            hostname="master.lab.test",
            certname="master.lab.test",
            alt_names=("puppet", "puppet.lab.test"),
            service_manager="systemd",
        ),
        # All that an administrator's oldest machine can do differently, in one host.
        Host(
            name="master-init",
            hostname="pe-box-2",
            certname="puppet-ca.lab.test",
            alt_names=("puppet", "puppet.lab.test", "ca-alias.lab.test"),
            service_manager="init",
            ssh_user="admin",
            alt_names_configured=False,
            autosigns=True,
            openssl=False,
            leftovers=True,
        ),
        Host(
            name="agent01",
            hostname="agent01.lab.test",
            certname="agent01.lab.test",
            service_manager="systemd",
            master="master",
        ),
        Host(
            name="agent02",
            hostname="agent02.lab.test",
            certname="agent02.lab.test",
            service_manager="init",
            master="master",
        ),
        Host(
            name="agent03",
            hostname="agent03.lab.test",
            certname="agent03.lab.test",
            service_manager="systemd",
            ssh_user="admin",
            master="master",
        ),
        # Only its puppet.conf knows what it is called in its certificate.
        Host(
            name="agent04",
            hostname="db-box-7",
            certname="agent04.lab.test",
            service_manager="init",
            master="master",
        ),
        # Puppet's CA signs its requests only when told that alternative names are all right.
        Host(
            name="agent05",
            hostname="agent05.lab.test",
            certname="agent05.lab.test",
            alt_names=("www.lab.test", "agent05-alias.lab.test"),
            service_manager="systemd",
            master="master",
        ),
        # Reached over WinRM in the inventory; 32-bit Puppet on a 64-bit Windows.
        Host(
            name="win01",
            hostname="win01",
            certname="win01.lab.test",
            service_manager="windows",
            ssh_user="Administrator",
            master="master",
            windows=Windows(
                version="win2008r2",
                data="ProgramData/PuppetLabs",
                program="Program Files (x86)/Puppet Labs/Puppet Enterprise",
            ),
        ),
        # Reached over SSH.
        Host(
            name="win03",
            hostname="win03",
            certname="win03.lab.test",
            service_manager="windows",
            ssh_user="Administrator",
            master="master",
            windows=Windows(
                version="win2003",
                data="Documents and Settings/All Users/Application Data/PuppetLabs",
                program="Program Files/Puppet Labs/Puppet",
            ),
        ),
        Host(
            name="auto01",
            hostname="auto01.lab.test",
            certname="auto01.lab.test",
            service_manager="systemd",
            master="master-init",
        ),
    )
}
