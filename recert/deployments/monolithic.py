"""What the tables of all monolithic Puppet Enterprise masters have in common: services that are
called the same and listen alike, the copies of step 3, and what Puppet runs deliver.

Source: "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise
Deployments", PE 3.7.1 to 2016.2.
"""

from __future__ import annotations

from collections.abc import Mapping

from recert.deployments.model import (
    CERTNAME,
    SOMEWHERE,
    Component,
    Delivery,
    Endpoint,
    Extra,
)
from recert.deployments.trapperkeeper import (
    SSL_HOST,
    SSL_PORT,
    database_endpoint,
    server_endpoint,
)

VENDOR, ACCOUNT = "PE", "pe-puppet"
ETC, PEADMIN = "/etc/puppetlabs", "/var/lib/peadmin"

MASTER, PUPPETDB, POSTGRESQL = "pe-puppetserver", "pe-puppetdb", "pe-postgresql"
CONSOLE, BROKER = "pe-console-services", "pe-activemq"

CLASSIFIER_CERT, DASHBOARD_CERT = "pe-internal-classifier", "pe-internal-dashboard"
SERVERS_CERT = "pe-internal-mcollective-servers"
_PEADMIN_CERT = "pe-internal-peadmin-mcollective-client"
_CONSOLES_CLIENT_CERT = "pe-internal-puppet-console-mcollective-client"

INTERNAL_PREFIX = "pe-internal-"
INTERNAL_NAMES = (
    CLASSIFIER_CERT,
    DASHBOARD_CERT,
    SERVERS_CERT,
    _PEADMIN_CERT,
    _CONSOLES_CLIENT_CERT,
)
"""Step 2.6, in its order."""


def title(version: str) -> str:
    return f"Puppet Enterprise {version}, monolithic"


def document(version: str) -> str:
    return (
        "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise Deployments, "
        f"PE {version}"
    )


# Where services listen


def master_endpoint(log: str) -> Endpoint:
    return server_endpoint(f"{ETC}/puppetserver", log, path="/")


def puppetdb_endpoint(log: str) -> Endpoint:
    return database_endpoint(f"{ETC}/puppetdb", log)


def postgresql_endpoint(log: str, data: str, *later: str) -> Endpoint:
    """
    :param data: its data directory.
    :param later: files there that it reads after its postgresql.conf.
    """
    return Endpoint(
        5432,
        log,
        handshake="postgresql",
        configured=(
            " ".join(f"{data}/{name}" for name in ("postgresql.conf", *later)),
            r"s/^[[:space:]]*port[[:space:]=']*\([0-9]*\).*/\1/p; "
            r"s/^[[:space:]]*listen_addresses[[:space:]=]*''.*/0/p; "
            rf"s/^[[:space:]]*listen_addresses[[:space:]=]*'*[^'[:space:]=].*/{SOMEWHERE}/p",
        ),
        bound=r"s/^[[:space:]]*listen_addresses[[:space:]=]*'*\([^'#]*\).*/\1/p",
    )


def console_endpoint(log: str) -> Endpoint:
    return Endpoint(
        4433,
        log,
        path="/classifier-api/v1/groups",
        client=CLASSIFIER_CERT,
        configured=(f"{ETC}/console-services/conf.d/webserver.conf", SSL_PORT),
        bound=SSL_HOST,
    )


def broker_endpoint(log: str) -> Endpoint:
    return Endpoint(
        61613,
        log,
        client=SERVERS_CERT,
        configured=(
            f"{ETC}/activemq/activemq.xml",
            r"s/<!--.*-->//; /<!--/,/-->/d; "
            r"s/.*[\"']stomp[^\"':]*ssl:[/][/][^\"':]*:\([0-9]*\).*/\1/p",
        ),
        bound=r"s/<!--.*-->//; /<!--/,/-->/d; "
        r"s/.*[\"']stomp[^\"':]*ssl:[/][/]\([^\"':]*\):[0-9].*/\1/p",
    )


# What there are copies of

PUPPETDB_COPIES = Component(
    title="PuppetDB",
    directory=f"{ETC}/puppetdb/ssl",
    account="pe-puppetdb",
    credentials=(CERTNAME,),
    used_by=PUPPETDB,
)


def postgresql_copies(data: str) -> Component:
    """
    :param data: its data directory.
    """
    return Component(
        title="PostgreSQL",
        directory=f"{data}/certs",
        account="pe-postgres",
        credentials=(CERTNAME,),
        used_by=POSTGRESQL,
        owns_directory=False,
        mode=0o400,
    )


def console_copies(directory: str, extras: tuple[Extra, ...] = ()) -> Component:
    return Component(
        title="console-services",
        directory=directory,
        account="pe-console-services",
        credentials=(CLASSIFIER_CERT, CERTNAME, DASHBOARD_CERT),
        used_by=CONSOLE,
        extras=extras,
    )


def delivery(orchestration: str, others: Mapping[str, str]) -> Delivery:
    """The documents leave these to the run of step 5, and to the agents' own. Source: the vendor's
    pages on orchestration, and catalogs of PE 3.

    :param orchestration: the service that answers in orchestration.
    :param others: by directory, which service works with what is delivered there as well.
    """
    return Delivery(
        users={
            f"{ETC}/activemq": BROKER,
            f"{ETC}/mcollective": orchestration,
            f"{PEADMIN}/.mcollective.d": "mco",
            **others,
        },
        names={
            "mcollective": SERVERS_CERT,
            "peadmin": _PEADMIN_CERT,
            "puppet-dashboard": _CONSOLES_CLIENT_CERT,
        },
        keystore=f"{ETC}/activemq/broker.ks",
        truststore=f"{ETC}/activemq/broker.ts",
        broker=SERVERS_CERT,
    )
