"""An open source master of Debian's own packages with Puppet 7, and its agents: Puppet Server with
its own CA, and PuppetDB beside it where that is installed.

Source: "Regenerating all certificates in an OpenVox deployment", OpenVox 8, whose steps are those
of Puppet 7 as well, and the packages `puppetserver`, `puppet-agent` and `puppetdb` of Debian
bookworm.
"""

from __future__ import annotations

from recert.deployments.authority import PUPPETSERVER_CA
from recert.deployments.model import Agent, Deployment, Seat, ServerFiles
from recert.deployments.open_source import ACCOUNT, AGENT, VENDOR, WINDOWS
from recert.deployments.trapperkeeper import database_endpoint, server_endpoint

_ETC, _MASTER, _PUPPETDB = "/etc/puppet", "puppetserver", "puppetdb"

DEBIAN_7 = Deployment(
    name="debian-7",
    title="Puppet 7 of Debian's packages",
    vendor=VENDOR,
    document="Regenerating all certificates in an OpenVox deployment, OpenVox 8",
    programs=(),
    java=(),
    prefix="/usr/bin",
    sign=_ETC,
    account=ACCOUNT,
    puppet_versions=("7",),
    seats=(
        Seat(
            server=_MASTER,
            stopped=(AGENT, _MASTER, _PUPPETDB),
            started=(_MASTER, _PUPPETDB, AGENT),
            needed=frozenset({_MASTER}),
            endpoints={
                _MASTER: server_endpoint(
                    f"{_ETC}/puppetserver",
                    "/var/log/puppetserver/puppetserver.log",
                    path="/status/v1/simple",
                ),
                _PUPPETDB: database_endpoint("/etc/puppetdb", "/var/log/puppetdb/puppetdb.log"),
            },
            needs={AGENT: (_MASTER, _PUPPETDB)},
            fed_by_run=frozenset(),
            # Its jetty.ini names Puppet's own files.
            components=(),
        ),
    ),
    agent=Agent(puppet=AGENT, windows=WINDOWS),
    authority=PUPPETSERVER_CA,
    searched=(_ETC, "/etc/puppetdb", "/var/lib/puppet", "/var/cache/puppet"),
    configuration=_ETC,
    server_files=ServerFiles(
        server=f"{_ETC}/puppetserver/conf.d/*.conf",
        services=f"{_ETC}/puppetserver/services.d/*.cfg",
        database="/etc/puppetdb/conf.d/*.ini",
    ),
)
