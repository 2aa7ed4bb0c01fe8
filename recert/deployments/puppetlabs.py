"""What monolithic masters from PE 2015.2 to 2016.2 have in common: programs and data below
/opt/puppetlabs, and agents of Puppet's own package.

Source: "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise
Deployments" and "What Gets Installed and Where" of PE 2015.2 to 2016.2.
"""

from __future__ import annotations

from dataclasses import replace

from recert.deployments.model import (
    CERTNAME,
    SSL_PORT,
    Agent,
    Component,
    Delivery,
    Deployment,
    Endpoint,
    Extra,
    Messaging,
    Seat,
)

_ETC, _DATA, _LOG = "/etc/puppetlabs", "/opt/puppetlabs/server/data", "/var/log/puppetlabs"
_DATABASE = f"{_DATA}/postgresql/9.4/data"
_MASTER, _PUPPETDB, _POSTGRESQL = "pe-puppetserver", "pe-puppetdb", "pe-postgresql"
_CONSOLE, _PROXY, _ORCHESTRATOR = "pe-console-services", "pe-nginx", "pe-orchestration-services"
_BROKER, _ORCHESTRATION, _AGENT, _PXP = "pe-activemq", "mcollective", "puppet", "pxp-agent"
_PEADMIN = "/var/lib/peadmin"
_ORCHESTRATOR_NAME = "pe-internal-orchestrator"
_SERVERS = "pe-internal-mcollective-servers"

_ENDPOINTS = {
    _MASTER: Endpoint(
        8140,
        f"{_LOG}/puppetserver/puppetserver.log",
        path="/",
        configured=(f"{_ETC}/puppetserver/conf.d/webserver.conf", SSL_PORT),
    ),
    _PUPPETDB: Endpoint(
        8081,
        f"{_LOG}/puppetdb/puppetdb.log",
        path="/pdb/meta/v1/version",
        configured=(
            f"{_ETC}/puppetdb/conf.d/jetty.ini",
            r"s/^[[:space:]]*ssl-port[[:space:]]*=[[:space:]]*\([0-9]*\).*/\1/p",
        ),
    ),
    _POSTGRESQL: Endpoint(
        5432,
        f"{_LOG}/postgresql/pgstartup.log",
        handshake="postgresql",
        configured=(
            f"{_DATABASE}/postgresql.conf",
            r"s/^[[:space:]]*port[[:space:]=']*\([0-9]*\).*/\1/p; "
            r"s/^[[:space:]]*listen_addresses[[:space:]=]*''.*/0/p",
        ),
    ),
    _CONSOLE: Endpoint(
        4433,
        f"{_LOG}/console-services.log",
        path="/classifier-api/v1/groups",
        client="pe-internal-classifier",
        configured=(
            f"{_ETC}/console-services/conf.d/webserver.conf",
            SSL_PORT,
        ),
    ),
    _PROXY: Endpoint(
        443,
        f"{_LOG}/nginx/error.log",
        path="/",
        configured=(
            f"{_ETC}/nginx/conf.d/*.conf",
            r"s/^[[:space:]]*listen[[:space:]][^;]*\b\([0-9][0-9]*\)[[:space:]]*ssl.*/\1/p",
        ),
    ),
    _BROKER: Endpoint(
        61613,
        f"{_LOG}/activemq/activemq.log",
        client=_SERVERS,
        configured=(
            f"{_ETC}/activemq/activemq.xml",
            r"s/<!--.*-->//; /<!--/,/-->/d; "
            r"s/.*[\"']stomp[^\"':]*ssl:[/][/][^\"':]*:\([0-9]*\).*/\1/p",
        ),
    ),
}
_ORCHESTRATOR_ENDPOINT = Endpoint(
    8143,
    f"{_LOG}/orchestration-services.log",
    client=_ORCHESTRATOR_NAME,
    configured=(
        f"{_ETC}/orchestration-services/conf.d/webserver.conf",
        r"s/#.*//; s,//.*,,; s/.*ssl-port[\"[:space:]:=]*\(814[0-9]*\).*/\1/p",
    ),
)

_INTERNAL_NAMES = (
    "pe-internal-classifier",
    "pe-internal-dashboard",
    _SERVERS,
    "pe-internal-peadmin-mcollective-client",
    "pe-internal-puppet-console-mcollective-client",
)

# A certificate for browsers that somebody has bought.
_BOUGHT = (Extra("public-console.cert.pem"), Extra("public-console.private_key.pem"))


def monolithic(
    version: str,
    *,
    orchestrator: bool = True,
    orchestrator_copies: bool = False,
    pk8_of: frozenset[str] = frozenset(),
) -> Deployment:
    """One of them.

    :param version: the vendor's, without its last number.
    :param orchestrator: whether there is one, and its agent on every node (from 2015.3).
    :param orchestrator_copies: whether the document copies its credentials; before, Puppet does.
    :param pk8_of: titles of the components that want the host's own key as PKCS#8.
    """

    components = [
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
            directory=f"{_DATA}/console-services/certs",
            account="pe-console-services",
            credentials=("pe-internal-classifier", CERTNAME, "pe-internal-dashboard"),
            used_by=_CONSOLE,
            extras=_BOUGHT,
        ),
    ]
    if orchestrator_copies:
        its_own = Component(
            title="orchestration-services",
            directory=f"{_ETC}/orchestration-services/ssl",
            account="pe-orchestration-services",
            credentials=(_ORCHESTRATOR_NAME, CERTNAME),
            used_by=_ORCHESTRATOR,
        )
        components.insert(2, its_own)
    last = (_ORCHESTRATOR, _PXP) if orchestrator else ()
    by_run = orchestrator and not orchestrator_copies
    seat = Seat(
        name="master",
        server=_MASTER,
        stopped=(
            *(_AGENT, _MASTER, _BROKER, _ORCHESTRATION, _PUPPETDB, _POSTGRESQL, _CONSOLE, _PROXY),
            *last,
        ),
        started=(
            *(_MASTER, _POSTGRESQL, _PUPPETDB, _CONSOLE, _PROXY, _BROKER, _ORCHESTRATION, _AGENT),
            *last,
        ),
        needed=frozenset({_MASTER}),
        endpoints={
            **_ENDPOINTS,
            **({_ORCHESTRATOR: _ORCHESTRATOR_ENDPOINT} if orchestrator else {}),
        },
        needs={
            _PUPPETDB: (_POSTGRESQL,),
            _CONSOLE: (_POSTGRESQL,),
            _ORCHESTRATOR: (_POSTGRESQL,),
            _AGENT: (_MASTER, _PUPPETDB, _CONSOLE),
        },
        # What its credentials are before the document copies them, only Puppet knows.
        fed_by_run=frozenset({_BROKER, _ORCHESTRATOR} if by_run else {_BROKER}),
        components=tuple(
            replace(component, pk8=(CERTNAME,)) if component.title in pk8_of else component
            for component in components
        ),
    )
    return Deployment(
        name=f"pe-{version}-mono",
        title=f"Puppet Enterprise {version}, monolithic",
        document=(
            "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise "
            f"Deployments, PE {version}"
        ),
        programs=("/opt/puppetlabs/bin", "/opt/puppetlabs/puppet/bin"),
        java=("/opt/puppetlabs/server/bin",),
        prefix="/opt/puppetlabs",
        version_file="/opt/puppetlabs/server/pe_version",
        versions=(version,),
        seats=(seat,),
        agent=Agent(
            puppet=_AGENT,
            orchestration=_ORCHESTRATION,
            others=(_PXP,) if orchestrator else (),
            # Those of PE 3, whose agents stay as they are while their master is upgraded, have
            # the other names.
            windows={
                **{name: (name, f"pe-{name}") for name in (_AGENT, _ORCHESTRATION)},
                _PXP: (_PXP,),
            },
        ),
        internal_names=(*_INTERNAL_NAMES, *((_ORCHESTRATOR_NAME,) if orchestrator else ())),
        internal_prefix="pe-internal-",
        searched=(_ETC, _DATA, "/opt/puppetlabs/puppet/cache", _PEADMIN),
        configuration=_ETC,
        delivery=Delivery(
            users={
                f"{_ETC}/activemq": _BROKER,
                f"{_ETC}/mcollective": _ORCHESTRATION,
                f"{_PEADMIN}/.mcollective.d": "mco",
                **({f"{_ETC}/orchestration-services/ssl": _ORCHESTRATOR} if by_run else {}),
            },
            names={
                "mcollective": _SERVERS,
                "peadmin": "pe-internal-peadmin-mcollective-client",
                "puppet-dashboard": "pe-internal-puppet-console-mcollective-client",
            },
            keystore=f"{_ETC}/activemq/broker.ks",
            truststore=f"{_ETC}/activemq/broker.ts",
            broker=_SERVERS,
        ),
        classifier=None,
        messaging=Messaging(broker=_BROKER, log=f"{_LOG}/mcollective.log"),
    )
