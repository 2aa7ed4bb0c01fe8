"""What a host runs: PE's services, as real programs or as stand-ins for them.

A stand-in (`image/component`) loads every credential that the real service would, as the same user,
and serves TLS with them. It starts at once, which is what a test that resets a master needs.
"""

import os
from dataclasses import dataclass
from typing import Literal, get_args

from lab.progress import LabError

Kind = Literal["real", "stand-ins"]
REAL: Kind = "real"
STAND_INS: Kind = "stand-ins"
KINDS: tuple[Kind, ...] = get_args(Kind)
_VARIABLE = "PE_LAB_SERVICES"


def demanded_kind() -> Kind | None:
    """What hosts are to run according to `PE_LAB_SERVICES`, None if that says nothing.

    :raises LabError: the variable has another value.
    """
    value = os.environ.get(_VARIABLE)
    if value is None:
        return None
    for kind in KINDS:
        if value == kind:
            return kind
    raise LabError(f"{_VARIABLE} is {value!r}: it has to be {' or '.join(KINDS)}")


@dataclass(frozen=True)
class Service:
    """A service of PE; `start` writes `pidfile` and ends with 0 once the service is up."""

    name: str
    description: str
    start: str
    pidfile: str
    after: tuple[str, ...] = ()


def _stand_in(name: str, description: str) -> Service:
    return Service(name, description, f"/opt/pe-lab/component {name}", f"/run/{name}.pid")


def _agent_daemon(after: tuple[str, ...] = ()) -> Service:
    start = "/opt/puppet/bin/puppet agent"
    return Service("pe-puppet", "Puppet agent", start, "/run/pe-puppet/agent.pid", after)


_PUPPETSERVER = Service(
    "pe-puppetserver",
    "Puppet master",
    "/opt/pe-lab/start-puppetserver",
    "/run/pe-puppet/master.pid",
)
_POSTGRESQL = _stand_in("pe-postgresql", "PostgreSQL")
_PUPPETDB = _stand_in("pe-puppetdb", "PuppetDB")
_CONSOLE_SERVICES = _stand_in("pe-console-services", "PE console services")
_HTTPD = _stand_in("pe-httpd", "PE console web server")
_ACTIVEMQ = _stand_in("pe-activemq", "ActiveMQ")
_MCOLLECTIVE = _stand_in("pe-mcollective", "MCollective server")

_REAL_POSTGRESQL = Service(
    "pe-postgresql", "PostgreSQL", "/opt/pe-lab/start-postgresql", "/run/pe-postgresql.pid"
)
_REAL_PUPPETDB = Service(
    "pe-puppetdb",
    "PuppetDB",
    "/opt/pe-lab/start-puppetdb",
    "/run/pe-puppetdb.pid",
    after=("pe-postgresql",),
)
_REAL_CONSOLE_SERVICES = Service(
    "pe-console-services",
    "PE console services",
    "/opt/pe-lab/console-services",
    "/run/pe-console-services.pid",
)
_REAL_HTTPD = Service(
    "pe-httpd", "PE console web server", "/opt/pe-lab/start-httpd", "/run/pe-httpd.pid"
)
_REAL_ACTIVEMQ = Service(
    "pe-activemq", "ActiveMQ", "/opt/pe-lab/start-activemq", "/run/pe-activemq.pid"
)
_REAL_MCOLLECTIVE = Service(
    "pe-mcollective",
    "MCollective server",
    "/opt/pe-lab/start-mcollective",
    "/run/pe-mcollective.pid",
)

# Each in the order in which they start where nothing but the order says what needs what.
_SERVICES: dict[tuple[str, Kind], tuple[Service, ...]] = {
    ("master", STAND_INS): (
        _PUPPETSERVER,
        _POSTGRESQL,
        _PUPPETDB,
        _CONSOLE_SERVICES,
        _HTTPD,
        _ACTIVEMQ,
        _MCOLLECTIVE,
        _agent_daemon(after=("pe-puppetserver",)),
    ),
    ("master", REAL): (
        _PUPPETSERVER,
        _REAL_POSTGRESQL,
        _REAL_PUPPETDB,
        _REAL_CONSOLE_SERVICES,
        _REAL_HTTPD,
        _REAL_ACTIVEMQ,
        _REAL_MCOLLECTIVE,
        # The second is no service of PE's: see `image/setup-services.sh`.
        _agent_daemon(after=("pe-puppetserver", "pe-puppetdb-answers")),
    ),
    ("agent", STAND_INS): (_MCOLLECTIVE, _agent_daemon()),
    ("agent", REAL): (_REAL_MCOLLECTIVE, _agent_daemon()),
}


def services_of(role: Literal["master", "agent"], kind: Kind) -> tuple[Service, ...]:
    """The services of a host."""
    return _SERVICES[role, kind]
