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
class Host:
    """A container of the lab: a monolithic master."""

    name: str
    hostname: str
    certname: str
    alt_names: tuple[str, ...]
    service_manager: Literal["systemd", "init"]
    ssh_user: str = "root"
    # False: only the certificate in use carries the alternative names.
    alt_names_configured: bool = True
    openssl: bool = True
    # True: it carries files that years of administration leave behind.
    leftovers: bool = False

    @property
    def own_names(self) -> tuple[str, ...]:
        """Every name under which the host has to find itself."""
        return tuple(dict.fromkeys((self.hostname, self.certname, *self.alt_names)))


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
            openssl=False,
            leftovers=True,
        ),
    )
}


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


# In the order in which they start where nothing but the order says what needs what.
SERVICES = (
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
    _component("pe-mcollective", "MCollective server"),
    Service(
        "pe-puppet",
        "Puppet agent",
        "/opt/puppet/bin/puppet agent",
        "/run/pe-puppet/agent.pid",
        after=("pe-puppetserver",),
    ),
)
