"""What differs between the generations of Puppet Enterprise that the lab knows: a row for each.

Read from the vendor's documents by the lab's own eyes. The suite's tables are checked against hosts
made of these, so nothing here may come from the suite.
"""

from dataclasses import dataclass, replace
from typing import Literal

CERTNAME = "<CERTNAME>"
"""Stands for the host's own, among names of certificates."""

SSLDIR = "/etc/puppetlabs/puppet/ssl"
BROKER = "pe-internal-mcollective-servers"
"""Whose credential ActiveMQ has: the master's Puppet run puts it there."""


@dataclass(frozen=True)
class Place:
    """A directory with copies out of Puppet's ssldir, as the document has them made by hand."""

    directory: str
    account: str
    # Whose certificate, public key and private key are there.
    trios: tuple[str, ...]
    # Beside the host's own private key there is the same for Java: PKCS#8, in DER, not encrypted.
    pk8: bool = False
    # Its files are for the account to read and for nobody else; the directory is as it was.
    tight: bool = False
    # What is no copy of a credential, and what it is copied from.
    dh: tuple[tuple[str, str], ...] = ()
    # The administrator's certificates, with private keys: of another CA, and nowhere else.
    custom: tuple[str, ...] = ()

    def modes(self, certname: str) -> dict[str, int]:
        """The files on a host of this certname, with the modes that the document's commands and the
        lab's Puppet leave."""
        usual = {"cert": 0o644, "private_key": 0o640, "public_key": 0o644}
        files = {
            f"{name.replace(CERTNAME, certname)}.{kind}.pem": 0o400 if self.tight else mode
            for name in self.trios
            for kind, mode in usual.items()
        }
        if self.pk8:
            files[f"{certname}.private_key.pk8"] = 0o600
        files |= {name: 0o644 for name, _ in self.dh}
        for name in self.custom:
            files |= {f"{name}.cert.pem": 0o644, f"{name}.private_key.pem": 0o600}
        return files


@dataclass(frozen=True)
class Program:
    """A service of PE, and what its stand-in (`image/component`) has to have to start."""

    service: str
    description: str
    log: str
    # Who reads the credentials, and who then serves with them if that is somebody else.
    account: str = "root"
    serves_as: str = ""
    ports: tuple[int, ...] = ()
    protocol: Literal["http", "classifier", "postgresql", "stomp"] = "http"
    # Which clients it serves if it looks at them: those without a certificate too, or not.
    clients: Literal["", "asked", "demanded"] = ""
    directory: str = ""
    trios: tuple[str, ...] = ()
    pk8: bool = False
    custom: tuple[str, ...] = ()
    # Names of files there; and what in Hiera's defaults names another in place of each.
    dh: tuple[tuple[str, str], ...] = ()
    # True: the host's credential in the ssldir itself, whatever CA it is of.
    own: bool = False


@dataclass(frozen=True)
class Generation:
    """PE of one version: what its monolithic masters and their agents are like."""

    name: str
    # What a master says that it is, and an agent; each in a file.
    version: str
    version_file: str
    agent_version: str
    agent_version_file: str
    # Where Puppet's programs are; where links to some of them are, for people.
    programs: str
    links: str
    codedir: str
    vardir: str
    rundir: str
    logdir: str
    # [main] of puppet.conf has these two of those.
    configured: tuple[str, ...]
    # The server's own: a vardir beside the agent's, where it has one.
    server_vardir: str
    server_pidfile: str
    server_log: str
    # Whether the server tells anybody how it is.
    server_status: bool
    # Of a master. The first is Puppet's.
    accounts: tuple[str, ...]
    # Whose the files of an agent's Puppet are.
    agent_account: str
    internal_certnames: tuple[str, ...]
    # In the order in which the document fills them.
    places: tuple[Place, ...]
    agent_service: str
    # A master's services in the orders in which the document stops and starts them.
    stopped: tuple[str, ...]
    started: tuple[str, ...]
    # Besides Puppet itself; in the order in which they start at boot, for want of a better one.
    master_programs: tuple[Program, ...]
    agent_programs: tuple[Program, ...]
    confdir: str = "/etc/puppetlabs/puppet"
    ssldir: str = SSLDIR
    server_service: str = "pe-puppetserver"
    # True: Debian's own packages as they are, with their units; nothing is laid out around them.
    packaged: bool = False
    # What a master of it is built on, by the name of that, where it is not what its kind says; with
    # "puppetserver" its agents, too.
    base: str = ""

    @property
    def cadir(self) -> str:
        """Where the CA of a master is."""
        own = self.base == "puppetserver"
        return f"{self.confdir}/puppetserver/ca" if own else f"{self.ssldir}/ca"

    @property
    def master_services(self) -> tuple[str, ...]:
        """All that runs on a master."""
        programs = (program.service for program in self.master_programs)
        return (self.server_service, *programs, self.agent_service)

    @property
    def agent_services(self) -> tuple[str, ...]:
        """All that runs on an agent."""
        return (*(program.service for program in self.agent_programs), self.agent_service)

    @property
    def catalogs(self) -> str:
        """The directory in which a host keeps its own catalog, under its certname."""
        return f"{self.vardir}/client_data/catalog"


_INTERNAL_CERTNAMES = (
    "pe-internal-classifier",
    "pe-internal-dashboard",
    "pe-internal-mcollective-servers",
    "pe-internal-peadmin-mcollective-client",
    "pe-internal-puppet-console-mcollective-client",
)
_ORCHESTRATOR = "pe-internal-orchestrator"
_CONSOLE_TRIOS = ("pe-internal-classifier", CERTNAME, "pe-internal-dashboard")


def _puppetdb(place: Place, log: str) -> Program:
    return Program(
        "pe-puppetdb",
        "PuppetDB",
        log,
        account=place.account,
        ports=(8081,),
        clients="demanded",
        directory=place.directory,
        trios=place.trios,
        pk8=place.pk8,
    )


def _postgresql(place: Place, log: str) -> Program:
    return Program(
        "pe-postgresql",
        "PostgreSQL",
        log,
        account=place.account,
        ports=(5432,),
        protocol="postgresql",
        directory=place.directory,
        trios=place.trios,
    )


def _console_services(place: Place, log: str) -> Program:
    return Program(
        "pe-console-services",
        "PE console services",
        log,
        account=place.account,
        ports=(4433,),
        protocol="classifier",
        clients="asked",
        directory=place.directory,
        # The first is what it presents.
        trios=(CERTNAME, *(name for name in place.trios if name != CERTNAME)),
        pk8=place.pk8,
    )


def _activemq(log: str) -> Program:
    return Program(
        "pe-activemq",
        "ActiveMQ",
        log,
        account="pe-activemq",
        ports=(61613,),
        protocol="stomp",
        clients="demanded",
        directory="/etc/puppetlabs/activemq",
        trios=(BROKER,),
    )


def _pe_3(
    name: str, version: str, dh: tuple[tuple[str, str], ...], accounts: tuple[str, ...]
) -> Generation:
    """PE 3.7 or 3.8.

    :param dh: the files in the dashboard's directory, and what in Hiera's defaults names another.
    """
    share = "/opt/puppet/share"
    sources = f"{share}/puppet/modules/puppet_enterprise/files/console"
    database = Place("/etc/puppetlabs/puppetdb/ssl", "pe-puppetdb", (CERTNAME,))
    postgresql = Place(
        "/opt/puppet/var/lib/pgsql/9.2/data/certs", "pe-postgres", (CERTNAME,), tight=True
    )
    console = Place(f"{share}/console-services/certs", "pe-console-services", _CONSOLE_TRIOS)
    dashboard = Place(
        f"{share}/puppet-dashboard/certs",
        "puppet-dashboard",
        (CERTNAME, "pe-internal-dashboard"),
        dh=tuple((file, f"{sources}/{file.replace('_cert', '')}") for file, _ in dh),
    )
    mcollective = Program(
        "pe-mcollective", "MCollective server", "/var/log/pe-mcollective/mcollective.log"
    )
    return Generation(
        name=name,
        version=version,
        version_file="/opt/puppet/pe_version",
        agent_version=version,
        agent_version_file="/opt/puppet/pe_version",
        programs="/opt/puppet/bin",
        links="",
        codedir="/etc/puppetlabs/puppet",
        vardir="/var/opt/lib/pe-puppet",
        rundir="/var/run/pe-puppet",
        logdir="/var/log/pe-puppet",
        configured=("logdir", "rundir"),
        server_vardir="",
        server_pidfile="/run/pe-puppet/master.pid",
        server_log="/var/log/pe-puppetserver/puppetserver.log",
        server_status=False,
        accounts=accounts,
        agent_account="pe-puppet",
        internal_certnames=_INTERNAL_CERTNAMES,
        places=(database, postgresql, console, dashboard),
        agent_service="pe-puppet",
        stopped=(
            "pe-puppet",
            "pe-puppetserver",
            "pe-activemq",
            "pe-mcollective",
            "pe-puppetdb",
            "pe-postgresql",
            "pe-console-services",
            "pe-httpd",
        ),
        started=(
            "pe-puppetserver",
            "pe-postgresql",
            "pe-puppetdb",
            "pe-console-services",
            "pe-httpd",
            "pe-activemq",
            "pe-mcollective",
            "pe-puppet",
        ),
        master_programs=(
            _postgresql(postgresql, "/var/log/pe-postgresql/pgstartup.log"),
            _puppetdb(database, "/var/log/pe-puppetdb/pe-puppetdb.log"),
            _console_services(console, "/var/log/pe-console-services/console-services.log"),
            Program(
                "pe-httpd",
                "PE console web server",
                "/var/log/pe-httpd/error.log",
                account=dashboard.account,
                ports=(443,),
                directory=dashboard.directory,
                trios=dashboard.trios,
                dh=dh,
            ),
            _activemq("/var/log/pe-activemq/activemq.log"),
            mcollective,
        ),
        agent_programs=(mcollective,),
    )


_PE_3_ACCOUNTS = (
    "pe-puppet",
    "pe-puppetdb",
    "pe-postgres",
    "pe-console-services",
    "puppet-dashboard",
    "pe-apache",
    "pe-activemq",
)
# The masters with real services have peadmin as well: `image/setup-orchestration.sh` makes it.
PE_3_7 = _pe_3("3.7", "3.7.2", (), _PE_3_ACCOUNTS)
PE_3_8 = _pe_3(
    "3.8",
    "3.8.5",
    (
        (
            "dhparam_puppetproxy_cert.pem",
            "puppet_enterprise::profile::console::apache_proxy::dhparam_file",
        ),
        (
            "dhparam_puppetdashboard_cert.pem",
            "puppet_enterprise::console::config::dhparam_file",
        ),
    ),
    (*_PE_3_ACCOUNTS, "peadmin"),
)


def _pe_2015(name: str, version: str, agent_version: str) -> Generation:
    """PE 2015.2, in which the prefix and most names of services changed."""
    server = "/opt/puppetlabs/server"
    logs = "/var/log/puppetlabs"
    database = Place("/etc/puppetlabs/puppetdb/ssl", "pe-puppetdb", (CERTNAME,))
    postgresql = Place(
        f"{server}/data/postgresql/9.4/data/certs", "pe-postgres", (CERTNAME,), tight=True
    )
    console = Place(
        f"{server}/data/console-services/certs",
        "pe-console-services",
        _CONSOLE_TRIOS,
        custom=("public-console",),
    )
    mcollective = Program("mcollective", "MCollective server", f"{logs}/mcollective.log")
    return Generation(
        name=name,
        version=version,
        version_file=f"{server}/pe_version",
        agent_version=agent_version,
        agent_version_file="/opt/puppetlabs/puppet/VERSION",
        programs="/opt/puppetlabs/puppet/bin",
        links="/opt/puppetlabs/bin",
        codedir="/etc/puppetlabs/code",
        vardir="/opt/puppetlabs/puppet/cache",
        rundir="/var/run/puppetlabs",
        logdir=f"{logs}/puppet",
        configured=(),
        server_vardir=f"{server}/data/puppetserver",
        server_pidfile="/run/puppetlabs/puppetserver.pid",
        server_log=f"{logs}/puppetserver/puppetserver.log",
        server_status=False,
        accounts=(
            "pe-puppet",
            "pe-puppetdb",
            "pe-postgres",
            "pe-console-services",
            "pe-webserver",
            "pe-activemq",
            "peadmin",
        ),
        # Its package has no account, and Puppet there is root's.
        agent_account="root",
        internal_certnames=_INTERNAL_CERTNAMES,
        places=(database, postgresql, console),
        agent_service="puppet",
        stopped=(
            "puppet",
            "pe-puppetserver",
            "pe-activemq",
            "mcollective",
            "pe-puppetdb",
            "pe-postgresql",
            "pe-console-services",
            "pe-nginx",
        ),
        started=(
            "pe-puppetserver",
            "pe-postgresql",
            "pe-puppetdb",
            "pe-console-services",
            "pe-nginx",
            "pe-activemq",
            "mcollective",
            "puppet",
        ),
        master_programs=(
            _postgresql(postgresql, f"{logs}/postgresql/pgstartup.log"),
            _puppetdb(database, f"{logs}/puppetdb/puppetdb.log"),
            _console_services(console, f"{logs}/console-services.log"),
            # nginx reads its files before it stops being root, and the console class names these.
            Program(
                "pe-nginx",
                "PE console web server",
                f"{logs}/nginx/error.log",
                serves_as="pe-webserver",
                ports=(443,),
                directory=console.directory,
                custom=console.custom,
            ),
            _activemq(f"{logs}/activemq/activemq.log"),
            mcollective,
        ),
        agent_programs=(mcollective,),
    )


def _with_orchestrator(old: Generation) -> Generation:
    """What came with PE 2015.3: the orchestrator, and pxp-agent on every node.

    The orchestrator's copies are its Puppet run's affair: the document only makes its certificate.
    """
    logs = "/var/log/puppetlabs"
    orchestrator = Program(
        "pe-orchestration-services",
        "PE orchestration services",
        f"{logs}/orchestration-services.log",
        account="pe-orchestration-services",
        ports=(8143, 8142),
        clients="asked",
    )
    pxp_agent = Program("pxp-agent", "PXP agent", f"{logs}/pxp-agent/pxp-agent.log", own=True)
    return replace(
        old,
        server_status=True,
        accounts=(*old.accounts, "pe-orchestration-services"),
        internal_certnames=(*old.internal_certnames, _ORCHESTRATOR),
        stopped=(*old.stopped, orchestrator.service, pxp_agent.service),
        started=(*old.started, orchestrator.service, pxp_agent.service),
        master_programs=(*old.master_programs, orchestrator, pxp_agent),
        agent_programs=(*old.agent_programs, pxp_agent),
    )


def _with_pk8(old: Generation, *services: str) -> Generation:
    """The same with the host's key in Java's format where these services have their copies."""
    programs = tuple(
        replace(program, pk8=program.service in services) for program in old.master_programs
    )
    directories = {program.directory for program in programs if program.pk8}
    places = tuple(replace(place, pk8=place.directory in directories) for place in old.places)
    return replace(old, places=places, master_programs=programs)


def _with_orchestrators_copies(old: Generation) -> Generation:
    """What PE 2016.2's document copies by hand as well, before the console's."""
    place = Place(
        "/etc/puppetlabs/orchestration-services/ssl",
        "pe-orchestration-services",
        (_ORCHESTRATOR, CERTNAME),
    )
    programs = tuple(
        replace(program, directory=place.directory, trios=(CERTNAME, _ORCHESTRATOR))
        if program.account == place.account
        else program
        for program in old.master_programs
    )
    *first, console = old.places
    return replace(old, places=(*first, place, console), master_programs=programs)


def _newer(old: Generation, name: str, version: str, agent_version: str) -> Generation:
    return replace(old, name=name, version=version, agent_version=agent_version)


PE_2015_2 = _pe_2015("2015.2", "2015.2.0", "1.2.2")
PE_2015_3 = _newer(_with_orchestrator(PE_2015_2), "2015.3", "2015.3.0", "1.3.2")
PE_2016_1 = _newer(_with_pk8(PE_2015_3, "pe-puppetdb"), "2016.1", "2016.1.1", "1.4.1")
PE_2016_2 = _newer(
    _with_pk8(
        _with_orchestrators_copies(PE_2016_1),
        "pe-puppetdb",
        "pe-orchestration-services",
        "pe-console-services",
    ),
    "2016.2",
    "2016.2.0",
    "1.5.2",
)

DEBIAN_5 = Generation(
    name="debian-5",
    version="",
    version_file="",
    agent_version="",
    agent_version_file="",
    programs="/usr/bin",
    links="",
    codedir="/etc/puppet/code",
    vardir="/var/cache/puppet",
    rundir="/run/puppet",
    logdir="/var/log/puppet",
    configured=(),
    server_vardir="/var/lib/puppet",
    server_pidfile="/run/puppet/master.pid",
    server_log="/var/log/puppet/master.log",
    server_status=False,
    accounts=("puppet",),
    agent_account="puppet",
    internal_certnames=(),
    places=(),
    agent_service="puppet",
    stopped=("puppet", "puppet-master"),
    started=("puppet-master", "puppet"),
    master_programs=(),
    agent_programs=(),
    confdir="/etc/puppet",
    ssldir="/var/lib/puppet/ssl",
    server_service="puppet-master",
    packaged=True,
    base="packaged-master",
)
"""Open source: bullseye's `puppet` and `puppet-master`, Puppet 5.5.22."""

DEBIAN_7 = replace(
    DEBIAN_5,
    name="debian-7",
    server_vardir="",
    server_pidfile="",
    server_log="/var/log/puppetserver/puppetserver.log",
    stopped=("puppet", "puppetserver"),
    started=("puppetserver", "puppet"),
    server_service="puppetserver",
    base="puppetserver",
)
"""Open source: bookworm's `puppet-agent` 7.23 and `puppetserver` 7.9.5, whose CA is its own."""

GENERATIONS = {
    generation.name: generation
    for generation in (PE_3_7, PE_3_8, PE_2015_2, PE_2015_3, PE_2016_1, PE_2016_2)
}
