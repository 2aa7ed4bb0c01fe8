"""What monolithic masters from PE 2015.2 to 2016.2 have in common: programs and data below
/opt/puppetlabs, and agents of Puppet's own package.

Source: "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise
Deployments" and "What Gets Installed and Where" of PE 2015.2 to 2016.2.
"""

from __future__ import annotations

from dataclasses import replace

from recert.deployments.authority import PUPPET_CERT
from recert.deployments.model import (
    CERTNAME,
    Agent,
    Component,
    Deployment,
    Endpoint,
    Extra,
    Messaging,
    Seat,
)
from recert.deployments.monolithic import (
    ACCOUNT,
    BROKER,
    CONSOLE,
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
from recert.deployments.trapperkeeper import ADDRESS, SSL_HOST, SSL_PORT

_DATA, _LOG = "/opt/puppetlabs/server/data", "/var/log/puppetlabs"
_DATABASE = f"{_DATA}/postgresql/9.4/data"
_PROXY, _ORCHESTRATOR = "pe-nginx", "pe-orchestration-services"
_ORCHESTRATION, _AGENT, _PXP = "mcollective", "puppet", "pxp-agent"
ORCHESTRATOR_CERT = "pe-internal-orchestrator"

_ENDPOINTS = {
    MASTER: master_endpoint(f"{_LOG}/puppetserver/puppetserver.log"),
    PUPPETDB: puppetdb_endpoint(f"{_LOG}/puppetdb/puppetdb.log"),
    # 9.4's `ALTER SYSTEM` writes to the second one.
    POSTGRESQL: postgresql_endpoint(
        f"{_LOG}/postgresql/pgstartup.log", _DATABASE, "postgresql.auto.conf"
    ),
    CONSOLE: console_endpoint(f"{_LOG}/console-services.log"),
    _PROXY: Endpoint(
        443,
        f"{_LOG}/nginx/error.log",
        path="/",
        configured=(
            f"{ETC}/nginx/conf.d/*.conf",
            r"s/^[[:space:]]*listen[[:space:]][^;]*\b\([0-9][0-9]*\)[[:space:]]*ssl.*/\1/p",
        ),
        bound=rf"s/^[[:space:]]*listen[[:space:]]*\[*{ADDRESS}\]*:[0-9][0-9]*[[:space:]]*ssl.*/\1/p",
    ),
    BROKER: broker_endpoint(f"{_LOG}/activemq/activemq.log"),
}
_ORCHESTRATOR_ENDPOINT = Endpoint(
    8143,
    f"{_LOG}/orchestration-services.log",
    client=ORCHESTRATOR_CERT,
    configured=(f"{ETC}/orchestration-services/conf.d/webserver.conf", SSL_PORT),
    bound=SSL_HOST,
)

# A certificate for browsers that somebody has bought.
_BOUGHT = (Extra("public-console.cert.pem"), Extra("public-console.private_key.pem"))


def puppetlabs(
    version: str,
    puppet: str,
    *,
    orchestrator: bool = True,
    orchestrator_copies: bool = False,
    pk8_of: frozenset[str] = frozenset(),
) -> Deployment:
    """One of them.

    :param version: the vendor's, without its last number; `puppet`: Puppet's own likewise.
    :param orchestrator: whether there is one, and its agent on every node (from 2015.3).
    :param orchestrator_copies: whether the document copies its credentials; before, Puppet does.
    :param pk8_of: titles of the components that want the host's own key as PKCS#8.
    """
    components = [
        PUPPETDB_COPIES,
        postgresql_copies(_DATABASE),
        console_copies(f"{_DATA}/console-services/certs", _BOUGHT),
    ]
    if orchestrator_copies:
        its_own = Component(
            title="orchestration-services",
            directory=f"{ETC}/orchestration-services/ssl",
            account="pe-orchestration-services",
            credentials=(ORCHESTRATOR_CERT, CERTNAME),
            used_by=_ORCHESTRATOR,
        )
        components.insert(2, its_own)
    last = (_ORCHESTRATOR, _PXP) if orchestrator else ()
    by_run = orchestrator and not orchestrator_copies
    seat = Seat(
        server=MASTER,
        stopped=(
            *(_AGENT, MASTER, BROKER, _ORCHESTRATION, PUPPETDB, POSTGRESQL, CONSOLE, _PROXY),
            *last,
        ),
        started=(
            *(MASTER, POSTGRESQL, PUPPETDB, CONSOLE, _PROXY, BROKER, _ORCHESTRATION, _AGENT),
            *last,
        ),
        needed=frozenset({MASTER}),
        endpoints={
            **_ENDPOINTS,
            **({_ORCHESTRATOR: _ORCHESTRATOR_ENDPOINT} if orchestrator else {}),
        },
        needs={
            PUPPETDB: (POSTGRESQL,),
            CONSOLE: (POSTGRESQL,),
            _ORCHESTRATOR: (POSTGRESQL,),
            _AGENT: (MASTER, PUPPETDB, CONSOLE),
        },
        # What its credentials are before the document copies them, only Puppet knows.
        fed_by_run=frozenset({BROKER, _ORCHESTRATOR} if by_run else {BROKER}),
        components=tuple(
            replace(component, pk8=(CERTNAME,)) if component.title in pk8_of else component
            for component in components
        ),
    )
    return Deployment(
        name=f"pe-{version}-mono",
        vendor=VENDOR,
        title=title(version),
        document=document(version),
        programs=("/opt/puppetlabs/bin", "/opt/puppetlabs/puppet/bin"),
        java=("/opt/puppetlabs/server/bin",),
        prefix="/opt/puppetlabs",
        sign="/opt/puppetlabs",
        account=ACCOUNT,
        version_file="/opt/puppetlabs/server/pe_version",
        versions=(version,),
        puppet_versions=(puppet,),
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
        authority=PUPPET_CERT,
        internal_names=(*INTERNAL_NAMES, *((ORCHESTRATOR_CERT,) if orchestrator else ())),
        internal_prefix=INTERNAL_PREFIX,
        searched=(ETC, _DATA, "/opt/puppetlabs/puppet/cache", PEADMIN),
        configuration=ETC,
        delivery=delivery(
            _ORCHESTRATION,
            {f"{ETC}/orchestration-services/ssl": _ORCHESTRATOR} if by_run else {},
        ),
        classifier=None,
        messaging=Messaging(broker=BROKER, log=f"{_LOG}/mcollective.log"),
    )
