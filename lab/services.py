"""What a host runs: PE's services, as real programs or as stand-ins for them.

A stand-in (`image/component`) loads every credential that the real service would, as the same user,
and serves TLS with them. It starts at once, which is what a test that resets a master needs.
"""

import json
import os
from dataclasses import dataclass
from typing import Any, Literal, get_args

from lab.generations import CERTNAME, SSLDIR, Generation, Program
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


def _stand_in(program: Program) -> Service:
    name = program.service
    return Service(name, program.description, f"/opt/pe-lab/component {name}", f"/run/{name}.pid")


def _server(generation: Generation) -> Service:
    return Service(
        generation.server_service,
        "Puppet master",
        "/opt/pe-lab/start-puppetserver",
        generation.server_pidfile,
    )


def _agent_daemon(generation: Generation, after: tuple[str, ...] = ()) -> Service:
    return Service(
        generation.agent_service,
        "Puppet agent",
        f"{generation.programs}/puppet agent",
        agent_pidfile(generation),
        after,
    )


def agent_pidfile(generation: Generation) -> str:
    """Where the number of the agent's process is."""
    return f"{generation.rundir.removeprefix('/var')}/agent.pid"


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

_REAL_SERVICES = (
    _REAL_POSTGRESQL,
    _REAL_PUPPETDB,
    _REAL_CONSOLE_SERVICES,
    _REAL_HTTPD,
    _REAL_ACTIVEMQ,
    _REAL_MCOLLECTIVE,
)


def services_of(
    role: Literal["master", "agent"], kind: Kind, generation: Generation
) -> tuple[Service, ...]:
    """The services of a host, in the order in which they start where nothing but the order says
    what needs what."""
    if role == "agent":
        programs = (
            (_REAL_MCOLLECTIVE,) if kind == REAL else map(_stand_in, generation.agent_programs)
        )
        return (*programs, _agent_daemon(generation))
    server = _server(generation)
    if kind == REAL:
        # The second is no service of PE's: see `image/setup-services.sh`.
        daemon = _agent_daemon(generation, after=(server.name, "pe-puppetdb-answers"))
        return (server, *_REAL_SERVICES, daemon)
    daemon = _agent_daemon(generation, after=(server.name,))
    return (server, *map(_stand_in, generation.master_programs), daemon)


def stand_ins(role: Literal["master", "agent"], generation: Generation, certname: str) -> bytes:
    """What `image/component` reads: each stand-in of a host by its name."""
    programs = generation.master_programs if role == "master" else generation.agent_programs
    components = {program.service: _component(program, certname) for program in programs}
    return json.dumps(components, indent=1).encode() + b"\n"


def _component(program: Program, certname: str) -> dict[str, Any]:
    copies = f"{program.directory}/{{name}}.{{kind}}.pem"
    trio = ("cert", "private_key", "public_key")
    credentials = [
        *(_credential(name.replace(CERTNAME, certname), copies, trio) for name in program.trios),
        *(_credential(name, copies, trio[:2], issued=False) for name in program.custom),
    ]
    if program.own:
        own = f"{SSLDIR}/{{kind}}s/{{name}}.pem"
        credentials.append(_credential(certname, own, trio[:2], issued=False))
    ca = f"{program.directory}/ca.pem" if program.protocol == "stomp" else f"{SSLDIR}/certs/ca.pem"
    return {
        "account": program.account,
        "serves_as": program.serves_as or program.account,
        "ports": program.ports,
        "protocol": program.protocol,
        "clients": program.clients,
        "ca": ca,
        "credentials": credentials,
        "pk8": f"{program.directory}/{certname}.private_key.pk8" if program.pk8 else None,
        "dh": {f"{program.directory}/{name}": key for name, key in program.dh},
        "log": program.log,
    }


def _credential(
    name: str, path: str, kinds: tuple[str, ...], *, issued: bool = True
) -> dict[str, Any]:
    """One that a stand-in loads.

    :param issued: it has to be of the site's CA.
    """
    files = {kind: path.format(name=name, kind=kind) for kind in kinds}
    return {"name": name, "issued": issued, **files}
