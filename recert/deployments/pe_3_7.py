"""A monolithic PE 3.7 master and its agents.

Source: "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise
Deployments", PE 3.7.1, steps 1 to 6.
"""

from __future__ import annotations

from recert.deployments.model import (
    CERTNAME,
    SSL_PORT,
    Agent,
    Classifier,
    Component,
    Delivery,
    Deployment,
    Endpoint,
    Messaging,
    Seat,
)

_ETC, _SHARE = "/etc/puppetlabs", "/opt/puppet/share"
_DATABASE = "/opt/puppet/var/lib/pgsql/9.2/data"
_MASTER, _PUPPETDB, _POSTGRESQL = "pe-puppetserver", "pe-puppetdb", "pe-postgresql"
_CONSOLE, _PROXY = "pe-console-services", "pe-httpd"
_BROKER, _ORCHESTRATION, _AGENT = "pe-activemq", "pe-mcollective", "pe-puppet"
_PEADMIN = "/var/lib/peadmin"

# Source of the logs: "What Gets Installed and Where", PE 3.7.
_ENDPOINTS = {
    # puppet.conf's `masterport` is the agents'; where both differ, this is where it listens.
    _MASTER: Endpoint(
        8140,
        "/var/log/pe-puppetserver/puppetserver.log",
        path="/",
        configured=(f"{_ETC}/puppetserver/conf.d/webserver.conf", SSL_PORT),
    ),
    # 2.x listens once it is ready, and does not know that path; later ones answer it with 503.
    _PUPPETDB: Endpoint(
        8081,
        "/var/log/pe-puppetdb/pe-puppetdb.log",
        path="/pdb/meta/v1/version",
        configured=(
            f"{_ETC}/puppetdb/conf.d/jetty.ini",
            r"s/^[[:space:]]*ssl-port[[:space:]]*=[[:space:]]*\([0-9]*\).*/\1/p",
        ),
    ),
    _POSTGRESQL: Endpoint(
        5432,
        "/var/log/pe-postgresql/pgstartup.log",
        handshake="postgresql",
        configured=(
            f"{_DATABASE}/postgresql.conf",
            r"s/^[[:space:]]*port[[:space:]=']*\([0-9]*\).*/\1/p; "
            r"s/^[[:space:]]*listen_addresses[[:space:]=]*''.*/0/p",
        ),
    ),
    _CONSOLE: Endpoint(
        4433,
        "/var/log/pe-console-services/console-services.log",
        path="/classifier-api/v1/groups",
        client="pe-internal-classifier",
        configured=(
            f"{_ETC}/console-services/conf.d/webserver.conf",
            SSL_PORT,
        ),
    ),
    _PROXY: Endpoint(
        443,
        "/var/log/pe-httpd/error.log",
        path="/",
        configured=(
            f"{_ETC}/httpd/conf.d/*.conf",
            r"s/^[[:space:]]*Listen[[:space:]]*\([^[:space:]]*:\)\{0,1\}\([0-9][0-9]*\).*/\2/p",
        ),
    ),
    _BROKER: Endpoint(
        61613,
        "/var/log/pe-activemq/activemq.log",
        client="pe-internal-mcollective-servers",
        configured=(
            f"{_ETC}/activemq/activemq.xml",
            r"s/<!--.*-->//; /<!--/,/-->/d; "
            r"s/.*[\"']stomp[^\"':]*ssl:[/][/][^\"':]*:\([0-9]*\).*/\1/p",
        ),
    ),
}

_MONOLITHIC = Seat(
    name="master",
    server=_MASTER,
    # Step 1
    stopped=(
        _AGENT,
        _MASTER,
        _BROKER,
        _ORCHESTRATION,
        _PUPPETDB,
        _POSTGRESQL,
        _CONSOLE,
        _PROXY,
    ),
    # Step 5
    started=(
        _MASTER,
        _POSTGRESQL,
        _PUPPETDB,
        _CONSOLE,
        _PROXY,
        _BROKER,
        _ORCHESTRATION,
        _AGENT,
    ),
    # The Puppet run of step 5 needs a master.
    needed=frozenset({_MASTER}),
    endpoints=_ENDPOINTS,
    # Without its database a service gives up, and the agent's first run fails without one of those
    # that make its catalog. The console needs PuppetDB as well, but waits for it by itself, and
    # answers 503 meanwhile.
    needs={
        _PUPPETDB: (_POSTGRESQL,),
        _CONSOLE: (_POSTGRESQL,),
        _AGENT: (_MASTER, _PUPPETDB, _CONSOLE),
    },
    fed_by_run=frozenset({_BROKER}),
    # Steps 3 and 4
    components=(
        Component(
            title="PuppetDB",
            directory=f"{_ETC}/puppetdb/ssl",
            account="pe-puppetdb",
            credentials=(CERTNAME,),
            used_by=_PUPPETDB,
        ),
        Component(
            title="PostgreSQL",
            directory=f"{_DATABASE}/certs",
            account="pe-postgres",
            credentials=(CERTNAME,),
            used_by=_POSTGRESQL,
            owns_directory=False,
            mode=0o400,
        ),
        Component(
            title="console-services",
            directory=f"{_SHARE}/console-services/certs",
            account="pe-console-services",
            credentials=("pe-internal-classifier", CERTNAME, "pe-internal-dashboard"),
            used_by=_CONSOLE,
        ),
        Component(
            title="puppet-dashboard",
            directory=f"{_SHARE}/puppet-dashboard/certs",
            account="puppet-dashboard",
            credentials=(CERTNAME, "pe-internal-dashboard"),
            used_by=_PROXY,
        ),
    ),
)

PE_3_7 = Deployment(
    name="pe-3.7-mono",
    title="Puppet Enterprise 3.7, monolithic",
    document=(
        "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise Deployments, "
        "PE 3.7"
    ),
    programs=("/opt/puppet/bin",),
    java=("/opt/puppet/jre/bin", f"{_SHARE}/java/bin"),
    prefix="/opt/puppet",
    version_file="/opt/puppet/pe_version",
    versions=("3.7",),
    seats=(_MONOLITHIC,),
    # Steps 6.2 and 6.3
    agent=Agent(
        puppet=_AGENT,
        orchestration=_ORCHESTRATION,
        # Puppet Enterprise's names first.
        windows={_AGENT: (_AGENT, "puppet"), _ORCHESTRATION: (_ORCHESTRATION, "mcollective")},
    ),
    # Step 2.6
    internal_names=(
        "pe-internal-classifier",
        "pe-internal-dashboard",
        "pe-internal-mcollective-servers",
        "pe-internal-peadmin-mcollective-client",
        "pe-internal-puppet-console-mcollective-client",
    ),
    internal_prefix="pe-internal-",
    searched=(_ETC, _SHARE, "/opt/puppet/var/lib", "/var/opt/lib", _PEADMIN),
    configuration=_ETC,
    # The document leaves these to the run of step 5, and to the agents' own. Source: the vendor's
    # pages on orchestration, and catalogs of PE 3.
    delivery=Delivery(
        users={
            f"{_ETC}/activemq": _BROKER,
            f"{_ETC}/mcollective": _ORCHESTRATION,
            f"{_PEADMIN}/.mcollective.d": "mco",
            f"{_SHARE}/puppet-dashboard/.mcollective.d": _PROXY,
        },
        names={
            "mcollective": "pe-internal-mcollective-servers",
            "peadmin": "pe-internal-peadmin-mcollective-client",
            "puppet-dashboard": "pe-internal-puppet-console-mcollective-client",
        },
        keystore=f"{_ETC}/activemq/broker.ks",
        truststore=f"{_ETC}/activemq/broker.ts",
        broker="pe-internal-mcollective-servers",
    ),
    # The document's first warning: an upgrade to 3.7 makes the groups but leaves them without
    # classes. Source: "Preconfigured Node Groups", PE 3.7.
    classifier=Classifier(
        service=_CONSOLE,
        client="pe-internal-classifier",
        classes={
            "PE Infrastructure": "puppet_enterprise",
            "PE Certificate Authority": "puppet_enterprise::profile::certificate_authority",
            "PE Master": "puppet_enterprise::profile::master",
            "PE PuppetDB": "puppet_enterprise::profile::puppetdb",
            "PE Console": "puppet_enterprise::profile::console",
            "PE ActiveMQ Broker": "puppet_enterprise::profile::amq::broker",
        },
    ),
    messaging=Messaging(broker=_BROKER, log="/var/log/pe-mcollective/mcollective.log"),
)
