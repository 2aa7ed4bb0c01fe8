"""A monolithic PE 3.7 master and its agents.

Source: "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise
Deployments", PE 3.7.1, steps 1 to 6.
"""

from __future__ import annotations

from recert.deployments.authority import PUPPET_CERT
from recert.deployments.model import (
    CERTNAME,
    Agent,
    Classifier,
    Component,
    Deployment,
    Endpoint,
    Messaging,
    Seat,
)
from recert.deployments.monolithic import (
    ACCOUNT,
    BROKER,
    CLASSIFIER_CERT,
    CONSOLE,
    DASHBOARD_CERT,
    ETC,
    INTERNAL_NAMES,
    INTERNAL_PREFIX,
    MASTER,
    PEADMIN,
    POSTGRESQL,
    PUPPETDB,
    PUPPETDB_COPIES,
    VENDOR,
    broker_endpoint,
    console_copies,
    console_endpoint,
    delivery,
    document,
    master_endpoint,
    postgresql_copies,
    postgresql_endpoint,
    puppetdb_endpoint,
    title,
)
from recert.deployments.trapperkeeper import ADDRESS

_SHARE, _LOG = "/opt/puppet/share", "/var/log"
_DATABASE = "/opt/puppet/var/lib/pgsql/9.2/data"
_PROXY, _ORCHESTRATION, _AGENT = "pe-httpd", "pe-mcollective", "pe-puppet"

# Source of the logs: "What Gets Installed and Where", PE 3.7.
_ENDPOINTS = {
    MASTER: master_endpoint(f"{_LOG}/pe-puppetserver/puppetserver.log"),
    PUPPETDB: puppetdb_endpoint(f"{_LOG}/pe-puppetdb/pe-puppetdb.log"),
    POSTGRESQL: postgresql_endpoint(f"{_LOG}/pe-postgresql/pgstartup.log", _DATABASE),
    CONSOLE: console_endpoint(f"{_LOG}/pe-console-services/console-services.log"),
    _PROXY: Endpoint(
        443,
        f"{_LOG}/pe-httpd/error.log",
        path="/",
        configured=(
            f"{ETC}/httpd/conf.d/*.conf",
            r"s/^[[:space:]]*Listen[[:space:]]*\([^[:space:]]*:\)\{0,1\}\([0-9][0-9]*\).*/\2/p",
        ),
        bound=rf"s/^[[:space:]]*Listen[[:space:]]*\[*{ADDRESS}\]*:[0-9].*/\1/p",
    ),
    BROKER: broker_endpoint(f"{_LOG}/pe-activemq/activemq.log"),
}

_MONOLITHIC = Seat(
    server=MASTER,
    # Step 1
    stopped=(_AGENT, MASTER, BROKER, _ORCHESTRATION, PUPPETDB, POSTGRESQL, CONSOLE, _PROXY),
    # Step 5
    started=(MASTER, POSTGRESQL, PUPPETDB, CONSOLE, _PROXY, BROKER, _ORCHESTRATION, _AGENT),
    # The Puppet run of step 5 needs a master.
    needed=frozenset({MASTER}),
    endpoints=_ENDPOINTS,
    # Without its database a service gives up, and the agent's first run fails without one of those
    # that make its catalog. The console needs PuppetDB as well, but waits for it by itself, and
    # answers 503 meanwhile.
    needs={
        PUPPETDB: (POSTGRESQL,),
        CONSOLE: (POSTGRESQL,),
        _AGENT: (MASTER, PUPPETDB, CONSOLE),
    },
    fed_by_run=frozenset({BROKER}),
    # Steps 3 and 4
    components=(
        PUPPETDB_COPIES,
        postgresql_copies(_DATABASE),
        console_copies(f"{_SHARE}/console-services/certs"),
        Component(
            title="puppet-dashboard",
            directory=f"{_SHARE}/puppet-dashboard/certs",
            account="puppet-dashboard",
            credentials=(CERTNAME, DASHBOARD_CERT),
            used_by=_PROXY,
        ),
    ),
)

PE_3_7 = Deployment(
    name="pe-3.7-mono",
    vendor=VENDOR,
    title=title("3.7"),
    document=document("3.7"),
    programs=("/opt/puppet/bin",),
    java=("/opt/puppet/jre/bin", f"{_SHARE}/java/bin"),
    prefix="/opt/puppet",
    sign="/opt/puppet",
    account=ACCOUNT,
    version_file="/opt/puppet/pe_version",
    versions=("3.7",),
    puppet_versions=("3.7",),
    seats=(_MONOLITHIC,),
    # Steps 6.2 and 6.3
    agent=Agent(
        puppet=_AGENT,
        orchestration=_ORCHESTRATION,
        # Puppet Enterprise's names first.
        windows={_AGENT: (_AGENT, "puppet"), _ORCHESTRATION: (_ORCHESTRATION, "mcollective")},
    ),
    authority=PUPPET_CERT,
    internal_names=INTERNAL_NAMES,
    internal_prefix=INTERNAL_PREFIX,
    searched=(ETC, _SHARE, "/opt/puppet/var/lib", "/var/opt/lib", PEADMIN),
    configuration=ETC,
    delivery=delivery(_ORCHESTRATION, {f"{_SHARE}/puppet-dashboard/.mcollective.d": _PROXY}),
    # The document's first warning: an upgrade to 3.7 makes the groups but leaves them without
    # classes. Source: "Preconfigured Node Groups", PE 3.7.
    classifier=Classifier(
        service=CONSOLE,
        client=CLASSIFIER_CERT,
        classes={
            "PE Infrastructure": "puppet_enterprise",
            "PE Certificate Authority": "puppet_enterprise::profile::certificate_authority",
            "PE Master": "puppet_enterprise::profile::master",
            "PE PuppetDB": "puppet_enterprise::profile::puppetdb",
            "PE Console": "puppet_enterprise::profile::console",
            "PE ActiveMQ Broker": "puppet_enterprise::profile::amq::broker",
        },
    ),
    messaging=Messaging(broker=BROKER, log=f"{_LOG}/pe-mcollective/mcollective.log"),
)
