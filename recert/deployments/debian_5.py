"""An open source master of Debian's own packages with Puppet 5.5, and its agents: a CA with
`puppet cert`, a master that serves by itself (WEBrick), and nothing beside them.

Source: "Regenerating all certificates in a Puppet deployment", Puppet 5.5, and the packages
`puppet` and `puppet-master` of Debian bullseye.
"""

from __future__ import annotations

from recert.deployments.authority import PUPPET_CERT
from recert.deployments.model import Agent, Deployment, Endpoint, Seat
from recert.deployments.open_source import ACCOUNT, AGENT, VENDOR, WINDOWS, document
from recert.deployments.trapperkeeper import ADDRESS

_ETC, _MASTER = "/etc/puppet", "puppet-master"

DEBIAN_5 = Deployment(
    name="debian-5",
    title="Puppet 5.5 of Debian's packages",
    vendor=VENDOR,
    document=document("5.5"),
    programs=(),
    java=(),
    prefix="/usr/bin",
    sign=_ETC,
    account=ACCOUNT,
    puppet_versions=("5.5",),
    seats=(
        Seat(
            server=_MASTER,
            stopped=(AGENT, _MASTER),
            started=(_MASTER, AGENT),
            needed=frozenset({_MASTER}),
            endpoints={
                _MASTER: Endpoint(
                    8140,
                    "/var/log/syslog",
                    path="/",
                    # The port is Puppet's setting.
                    configured=(f"{_ETC}/puppet.conf", ""),
                    bound=rf"s/^[[:space:]]*bindaddress[[:space:]]*=[[:space:]]*{ADDRESS}.*/\1/p",
                )
            },
            needs={AGENT: (_MASTER,)},
            fed_by_run=frozenset(),
            components=(),
        ),
    ),
    agent=Agent(puppet=AGENT, windows=WINDOWS),
    authority=PUPPET_CERT,
    searched=(_ETC, "/var/lib/puppet", "/var/cache/puppet"),
    configuration=_ETC,
)
