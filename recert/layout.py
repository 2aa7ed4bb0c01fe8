"""What only PE knows: a monolithic PE 3.7 master as tables.

Another deployment shape is another set of tables. Paths that Puppet itself knows (certname,
ssldir, cadir, client_datadir …) are not here; they come from the host.

Source: "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise
Deployments", PE 3.7.1, steps 1 to 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

CERTNAME = "<CERTNAME>"
"""Stands for the master's certname in the tables, as it does in the document."""

INTERNAL = "pe-internal-"
"""How the names begin that PE gives to its own certificates, those of other versions as well."""

INTERNAL_NAMES = (
    "pe-internal-classifier",
    "pe-internal-dashboard",
    "pe-internal-mcollective-servers",
    "pe-internal-peadmin-mcollective-client",
    "pe-internal-puppet-console-mcollective-client",
)
"""Step 2.6: the certificates for PE's own services."""

STOP_ORDER = (
    "pe-puppet",
    "pe-puppetserver",
    "pe-activemq",
    "pe-mcollective",
    "pe-puppetdb",
    "pe-postgresql",
    "pe-console-services",
    "pe-httpd",
)
"""Step 1."""

START_ORDER = (
    "pe-puppetserver",
    "pe-postgresql",
    "pe-puppetdb",
    "pe-console-services",
    "pe-httpd",
    "pe-activemq",
    "pe-mcollective",
    "pe-puppet",
)
"""Step 5."""

AGENT_SERVICE = "pe-puppet"
ORCHESTRATION_SERVICE = "pe-mcollective"
AGENT_SERVICES = (AGENT_SERVICE, ORCHESTRATION_SERVICE)
"""Steps 6.2 and 6.3: what runs on every agent."""
MASTER_SERVICE = "pe-puppetserver"

NEEDED_SERVICES = frozenset({MASTER_SERVICE})
"""Without these the procedure cannot end well: the Puppet run of step 5 needs a master."""

CLASSIFIER_PORT = 4433
POSTGRESQL_SERVICE = "pe-postgresql"
BROKER_SERVICE = "pe-activemq"
CONSOLE_SERVICE = "pe-console-services"


@dataclass(frozen=True)
class Endpoint:
    """Where a service listens, and how it shows that it is ready.

    `port`: the usual one; `configured`: the files that may name another, and what `sed -n` finds it
    with there. `path`: what it is asked for over HTTP, empty where a TLS handshake has to do.
    `client`: the name whose credential it is offered. `log`: where it says why it is not ready.
    """

    port: int
    log: str
    path: str = ""
    client: str = CERTNAME
    configured: tuple[str, str] = ("", "")


NOWHERE = 0
"""For a port: the service listens on no network, but on a socket of the host."""

_SSL_PORT = r"s/#.*//; s,//.*,,; s/.*ssl-port[\"[:space:]:=]*\([0-9]*\).*/\1/p"
"""In a webserver.conf, without its comments."""

ENDPOINTS = {
    # puppet.conf's `masterport` is the agents'; where both differ, this is where it listens.
    MASTER_SERVICE: Endpoint(
        8140,
        "/var/log/pe-puppetserver/puppetserver.log",
        path="/",
        configured=("/etc/puppetlabs/puppetserver/conf.d/webserver.conf", _SSL_PORT),
    ),
    # 2.x listens once it is ready, and does not know that path; later ones answer it with 503.
    "pe-puppetdb": Endpoint(
        8081,
        "/var/log/pe-puppetdb/pe-puppetdb.log",
        path="/pdb/meta/v1/version",
        configured=(
            "/etc/puppetlabs/puppetdb/conf.d/jetty.ini",
            r"s/^[[:space:]]*ssl-port[[:space:]]*=[[:space:]]*\([0-9]*\).*/\1/p",
        ),
    ),
    POSTGRESQL_SERVICE: Endpoint(
        5432,
        "/var/log/pe-postgresql/pgstartup.log",
        configured=(
            "/opt/puppet/var/lib/pgsql/9.2/data/postgresql.conf",
            r"s/^[[:space:]]*port[[:space:]=']*\([0-9]*\).*/\1/p; "
            r"s/^[[:space:]]*listen_addresses[[:space:]=]*''.*/0/p",
        ),
    ),
    CONSOLE_SERVICE: Endpoint(
        CLASSIFIER_PORT,
        "/var/log/pe-console-services/console-services.log",
        path="/classifier-api/v1/groups",
        client="pe-internal-classifier",
        configured=(
            "/etc/puppetlabs/console-services/conf.d/webserver.conf",
            _SSL_PORT,
        ),
    ),
    "pe-httpd": Endpoint(
        443,
        "/var/log/pe-httpd/error.log",
        path="/",
        configured=(
            "/etc/puppetlabs/httpd/conf.d/*.conf",
            r"s/^[[:space:]]*Listen[[:space:]]*\([^[:space:]]*:\)\{0,1\}\([0-9][0-9]*\).*/\2/p",
        ),
    ),
    BROKER_SERVICE: Endpoint(
        61613,
        "/var/log/pe-activemq/activemq.log",
        client="pe-internal-mcollective-servers",
        configured=(
            "/etc/puppetlabs/activemq/activemq.xml",
            r"s/<!--.*-->//; /<!--/,/-->/d; "
            r"s/.*[\"']stomp[^\"':]*ssl:[/][/][^\"':]*:\([0-9]*\).*/\1/p",
        ),
    ),
}
"""Source of the logs: "What Gets Installed and Where", PE 3.7."""

SERVICE_PORTS = {name: endpoint.port for name, endpoint in ENDPOINTS.items()}
"""Where the services usually listen."""

NEEDS = {
    "pe-puppetdb": (POSTGRESQL_SERVICE,),
    "pe-console-services": (POSTGRESQL_SERVICE,),
    AGENT_SERVICE: (MASTER_SERVICE, "pe-puppetdb", "pe-console-services"),
}
"""Which services have to answer before another is started: without its database it gives up, and
the agent's first run fails without one of those that make its catalog. The console needs PuppetDB
as well, but waits for it by itself, and answers 503 meanwhile."""


class Part(Enum):
    """The three files of a credential: how a copy of each is called, and its mode."""

    CERTIFICATE = ("cert.pem", 0o644)
    PUBLIC_KEY = ("public_key.pem", 0o644)
    PRIVATE_KEY = ("private_key.pem", 0o640)

    def __init__(self, copy_suffix: str, mode: int) -> None:
        self.copy_suffix = copy_suffix
        self.mode = mode
        """The mode of Puppet's own file, and of a copy where the component has no other rule.
        Puppet 3.7.4 leaves private keys at 0644; no private key may stay readable by others."""


@dataclass(frozen=True)
class Component:
    """A directory with copies of the master's credentials, owned by one service account.

    `owns_directory`: the document's `chown -R` takes the directory along; PostgreSQL's
    `chown …/*` does not. `mode`: one mode for every file, or None for those of `Part`.
    """

    title: str
    directory: str
    account: str
    credentials: tuple[str, ...]
    owns_directory: bool = True
    mode: int | None = None

    def file_name(self, name: str, part: Part) -> str:
        return f"{name}.{part.copy_suffix}"

    def file_mode(self, part: Part) -> int:
        return part.mode if self.mode is None else self.mode


PUPPETDB = Component(
    title="PuppetDB",
    directory="/etc/puppetlabs/puppetdb/ssl",
    account="pe-puppetdb",
    credentials=(CERTNAME,),
)
POSTGRESQL = Component(
    title="PostgreSQL",
    directory="/opt/puppet/var/lib/pgsql/9.2/data/certs",
    account="pe-postgres",
    credentials=(CERTNAME,),
    owns_directory=False,
    mode=0o400,
)
CONSOLE = Component(
    title="console-services",
    directory="/opt/puppet/share/console-services/certs",
    account="pe-console-services",
    credentials=("pe-internal-classifier", CERTNAME, "pe-internal-dashboard"),
)
DASHBOARD = Component(
    title="puppet-dashboard",
    directory="/opt/puppet/share/puppet-dashboard/certs",
    account="puppet-dashboard",
    credentials=(CERTNAME, "pe-internal-dashboard"),
)

COMPONENTS = (PUPPETDB, POSTGRESQL, CONSOLE, DASHBOARD)
"""Steps 3 and 4, in their order."""

MCOLLECTIVE = "/etc/puppetlabs/mcollective"
BROKER = "/etc/puppetlabs/activemq"
PEADMIN_HOME = "/var/lib/peadmin"
PEADMIN_CLIENT = f"{PEADMIN_HOME}/.mcollective.d"
CONSOLE_CLIENT = "/opt/puppet/share/puppet-dashboard/.mcollective.d"

DELIVERED_PLACES = (MCOLLECTIVE, BROKER, PEADMIN_CLIENT, CONSOLE_CLIENT)
"""Where Puppet runs put copies of the credentials in the master's ssldir: the document leaves them
to the run of step 5, and to the agents' own."""

DELIVERED_NAMES = {
    "mcollective": "pe-internal-mcollective-servers",
    "peadmin": "pe-internal-peadmin-mcollective-client",
    "puppet-dashboard": "pe-internal-puppet-console-mcollective-client",
}
"""Whose credential such a copy is, by the beginning of its file name: mcollective-public.pem,
clients/peadmin-public.pem, … Source: the vendor's pages on orchestration, and catalogs of PE 3."""

KEYSTORE, TRUSTSTORE = f"{BROKER}/broker.ks", f"{BROKER}/broker.ts"

CREDENTIAL_USERS = {
    PUPPETDB.directory: "pe-puppetdb",
    POSTGRESQL.directory: POSTGRESQL_SERVICE,
    CONSOLE.directory: "pe-console-services",
    DASHBOARD.directory: "pe-httpd",
    BROKER: BROKER_SERVICE,
    MCOLLECTIVE: ORCHESTRATION_SERVICE,
    PEADMIN_CLIENT: "mco",
    CONSOLE_CLIENT: "pe-httpd",
}
"""Which service uses the credentials below a directory; those of peadmin are used by `mco`."""

CONFIGURATION = "/etc/puppetlabs"

CREDENTIAL_PLACES = (CONFIGURATION, *CREDENTIAL_USERS)
"""Where PE keeps credentials. Elsewhere below its directories there are others' too: bundles of
public CAs, examples and tests of libraries."""

SEARCHED = (
    CONFIGURATION,
    "/opt/puppet/share",
    "/opt/puppet/var/lib",
    "/var/opt/lib",
    PEADMIN_HOME,
)
"""Where PE keeps its configuration and data, and where credentials may have been put by hand."""

GROUP_CLASSES = {
    "PE Infrastructure": "puppet_enterprise",
    "PE Certificate Authority": "puppet_enterprise::profile::certificate_authority",
    "PE Master": "puppet_enterprise::profile::master",
    "PE PuppetDB": "puppet_enterprise::profile::puppetdb",
    "PE Console": "puppet_enterprise::profile::console",
    "PE ActiveMQ Broker": "puppet_enterprise::profile::amq::broker",
}
"""Node groups and the class that each must carry before certificates may be regenerated.
An upgrade to 3.7 makes the groups but leaves them without classes (the document's first
warning; "Preconfigured Node Groups")."""


def credential_names(certname: str) -> tuple[str, ...]:
    """All names whose certificates PE itself needs on the master."""
    return (certname, *INTERNAL_NAMES)
