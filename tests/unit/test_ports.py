"""Where services listen, as their configuration says."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Config, Inventory, State

from facts.ports import ConfiguredPorts
from facts.script import PIPELINES, shell
from facts.services import SERVICE_FUNCTIONS, in_lines
from facts.tls import PresentedCertificate
from procedures.master import MasterFacts
from recert.deployments.model import NOWHERE, Endpoint
from recert.deployments.pe_3_7 import PE_3_7
from recert.deployments.pe_2016_2 import PE_2016_2
from recert.observed import Listening
from tests.tables import ENDPOINTS
from tests.unit.issuing_ca import CERTNAME, settings
from tests.unit.shell import Sh


@pytest.fixture
def endpoints(tmp_path: Path) -> dict[str, Endpoint]:
    """With each configuration below a directory of the test's."""
    return {
        name: replace(
            endpoint,
            configured=(f"{tmp_path}{endpoint.configured[0]}", endpoint.configured[1])
            if endpoint.configured[0]
            else ("", ""),
        )
        for name, endpoint in ENDPOINTS.items()
    }


@pytest.mark.parametrize(
    ("service", "name", "text", "port"),
    [
        (
            "pe-puppetdb",
            "",
            "[jetty]\nport = 8080\n# ssl-port = 1\nssl-port = 8085\nkey-password = secret\n",
            8085,
        ),
        ("pe-puppetdb", "", "[jetty]\nport = 8080\n", None),
        ("pe-puppetdb", "", "ssl-port = 0\n", None),
        ("pe-puppetdb", "", "ssl-port = 8085\nssl-port = 0\n", 8085),
        ("pe-puppetdb", "", f"ssl-port = {'9' * 5000}\n", None),
        ("pe-postgresql", "", "#port = 5432\nport = 5433 # moved\n", 5433),
        ("pe-postgresql", "", "port = 5432\n# of ours\nport = '5433'\n", 5433),
        ("pe-postgresql", "", "listen_addresses = ''\n", NOWHERE),
        ("pe-postgresql", "", "listen_addresses = '*'\nport = 5432\n", 5432),
        (
            "pe-console-services",
            "",
            'webserver: {\n console: {\n "ssl-port": 4431\n }\n api: { ssl-port = 4433 }\n}\n',
            4433,
        ),
        ("pe-console-services", "", "api: {\n ssl-port: 4544\n}\n", 4544),
        (
            "pe-console-services",
            "",
            "api: {\n # ssl-port = 4433\n ssl-port = 4544 # not 4433\n // ssl-port: 4433\n}\n",
            4544,
        ),
        ("pe-puppetserver", "", "webserver: {\n ssl-host: 0.0.0.0\n ssl-port: 8141\n}\n", 8141),
        ("pe-puppetserver", "", "webserver: {\n client-auth: want\n}\n", None),
        ("pe-httpd", "console.conf", "Listen 0.0.0.0:8443 https\n", 8443),
        ("pe-httpd", "console.conf", "#Listen 80\nListen 80\nListen 443\n", 443),
        ("pe-httpd", "console.conf", "Listen [::]:444\n", 444),
        (
            "pe-activemq",
            "",
            '<transportConnector name="stomp+ssl" uri="stomp+ssl://0.0.0.0:61614?needClientAuth=true"/>',
            61614,
        ),
        (
            "pe-activemq",
            "",
            '<!-- <transportConnector uri="stomp+ssl://0.0.0.0:61613"/> -->\n<!--\n'
            '<transportConnector uri="stomp+ssl://0.0.0.0:61613"/>\n-->\n'
            '<transportConnector uri="stomp+ssl://0.0.0.0:61614"/>\n',
            61614,
        ),
        ("pe-activemq", "", '<transportConnector uri="openwire+ssl://0.0.0.0:61616"/>', None),
    ],
)
def test_the_port_that_a_service_is_configured_to(
    sh: Sh, endpoints: dict[str, Endpoint], service: str, name: str, text: str, port: int | None
) -> None:
    place = Path(endpoints[service].configured[0].replace("*.conf", name))
    place.parent.mkdir(parents=True)
    place.write_text(text)
    output = sh.output(ConfiguredPorts, endpoints=endpoints)
    found = ConfiguredPorts().process(output)
    assert {name: where.port for name, where in found.items() if where.port is not None} == (
        {service: port} if port is not None else {}
    )
    assert b"secret" not in base64.b64decode("".join(output[1:-1]))


ONE = "192.0.2.7"


@pytest.mark.parametrize(
    ("service", "name", "text", "addresses"),
    [
        ("pe-puppetdb", "", f"[jetty]\nssl-host = {ONE}\nssl-port = 8081\n", [ONE]),
        ("pe-puppetdb", "", f"[jetty]\nhost = {ONE}\n", [ONE]),
        ("pe-puppetdb", "", f"host = localhost\nssl-host={ONE}\n", ["localhost", ONE]),
        ("pe-puppetdb", "", f"# ssl-host = {ONE}\nssl-host = 0.0.0.0\n", []),
        ("pe-puppetdb", "", "ssl-host = ::\nkey-password = secret\n", []),
        ("pe-puppetdb", "", "ssl-host = fe80::1\n", ["fe80::1"]),
        ("pe-puppetdb", "", "ssl-host = -help\nssl-host = $(touch it)\n", []),
        ("pe-puppetserver", "", f"webserver: {{\n ssl-host: {ONE}\n ssl-port: 8140\n}}\n", [ONE]),
        ("pe-puppetserver", "", f'webserver: {{ "ssl-host" = "{ONE}", ssl-port: 8140 }}\n', [ONE]),
        ("pe-puppetserver", "", f"host: 10.0.0.1, ssl-host: {ONE}\n", [ONE, "10.0.0.1"]),
        ("pe-puppetserver", "", f"# ssl-host: {ONE}\n // host: {ONE}\n", []),
        ("pe-puppetserver", "", "virtual-host: a\nhostname: b\nssl-hosts: c\n", []),
        (
            "pe-console-services",
            "",
            f"console: {{\n ssl-host: 10.0.0.1\n}}\napi: {{\n ssl-host: {ONE}\n}}\n",
            ["10.0.0.1", ONE],
        ),
        ("pe-httpd", "console.conf", f"Listen {ONE}:443\nListen [fe80::1]:443\n", [ONE, "fe80::1"]),
        ("pe-httpd", "console.conf", "Listen 443 https\nListen [::]:443\nListen *:80\n", []),
        ("pe-postgresql", "", f"listen_addresses = 'localhost, {ONE}' # c\n", ["localhost", ONE]),
        ("pe-postgresql", "", f"#listen_addresses = '{ONE}'\nlisten_addresses = '*'\n", []),
        ("pe-postgresql", "", "listen_addresses = ''\n", []),
        ("pe-activemq", "", f'uri="stomp+ssl://{ONE}:61613?needClientAuth=true"\n', [ONE]),
        ("pe-activemq", "", 'uri="stomp+ssl://0.0.0.0:61613"\n', []),
    ],
)
def test_the_addresses_that_a_service_listens_on_alone(
    sh: Sh, endpoints: dict[str, Endpoint], service: str, name: str, text: str, addresses: list[str]
) -> None:
    place = Path(endpoints[service].configured[0].replace("*.conf", name))
    place.parent.mkdir(parents=True)
    place.write_text(text)
    output = sh.output(ConfiguredPorts, endpoints=endpoints)
    found = ConfiguredPorts().process(output).get(service, Listening(None))
    assert list(found.addresses) == addresses
    assert b"secret" not in base64.b64decode("".join(output[1:-1]))


@pytest.mark.parametrize(
    ("first", "then", "port"),
    [
        ("port = 5433\n", "port = '5434'\n", 5434),
        ("port = 5433\n", "", 5433),
        ("", "port = '5434'\n", 5434),
        ("listen_addresses = ''\n", "listen_addresses = '*'\nport = '5434'\n", 5434),
        ("port = 5433\nlisten_addresses = ''\n", "listen_addresses = 'localhost'\n", 5433),
        ("listen_addresses = '*'\n", "listen_addresses = ''\n", NOWHERE),
        ("listen_addresses = '' # none\n", "", NOWHERE),
    ],
)
def test_what_postgresql_reads_later_counts(
    sh: Sh, tmp_path: Path, first: str, then: str, port: int
) -> None:
    """Since 9.4 `ALTER SYSTEM` writes to a file of its own."""
    endpoint = PE_2016_2.master.endpoints["pe-postgresql"]
    files, expression = endpoint.configured
    names = [Path(file).name for file in files.split()]
    for name, text in zip(names, (first, then), strict=True):
        (tmp_path / name).write_text(text)
    files = " ".join(f"{tmp_path}/{name}" for name in names)
    asked = replace(endpoint, configured=(files, expression))
    assert sh.ask(ConfiguredPorts, endpoints={"db": asked})["db"].port == port
    assert names == ["postgresql.conf", "postgresql.auto.conf"]


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("a { ssl-port = 8142 }\n", 8142),
        ("a {\nssl-port = 8142\n}\nb {\nssl-port = 8143\n}\n", 8143),
        ("b {\nssl-port = 9143\n}\n", 9143),
    ],
)
def test_the_orchestrators_port(sh: Sh, tmp_path: Path, text: str, port: int) -> None:
    """Its broker's is in the same file; the services are one process."""
    endpoint = PE_2016_2.master.endpoints["pe-orchestration-services"]
    place = tmp_path / "webserver.conf"
    place.write_text(text)
    asked = replace(endpoint, configured=(str(place), endpoint.configured[1]))
    assert sh.ask(ConfiguredPorts, endpoints={"it": asked}) == {"it": Listening(port)}


def test_a_service_is_asked_first_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    (host,) = State(Inventory((["master"], {})), Config()).inventory
    facts = MasterFacts(host, settings(), "/b", PE_3_7)
    asked: dict[str, Any] = {}
    known = {"pe-puppetserver": Listening(None, (ONE,)), "pe-puppetdb": Listening(8085, (ONE,))}
    monkeypatch.setattr(facts, "known", {"ports": known}.get)
    monkeypatch.setattr(facts, "seen", lambda _, **arguments: asked.update(arguments))
    fact, arguments = facts.question("presented")
    assert fact is PresentedCertificate
    assert arguments == {"addresses": [ONE, "127.0.0.1", CERTNAME], "port": 8140}
    assert facts.ports == {"pe-puppetdb": 8085}
    facts.ask_services(["pe-puppetdb", "pe-activemq"], 1)
    assert asked["addresses"] == ["127.0.0.1", CERTNAME]
    assert [(s.name, s.port, s.addresses) for s in asked["services"]] == [
        ("pe-puppetdb", 8085, ONE),
        ("pe-activemq", 61613, ""),
    ]


@pytest.fixture
def listening() -> Iterator[int]:
    """A port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("service", "path", "text"),
    [
        ("pe-puppetdb", "puppetdb/conf.d/jetty.ini", "[jetty]\nssl-port = {}\n"),
        ("pe-httpd", "httpd/conf.d/console.conf", "Listen 1\nListen {}\n"),
        ("pe-puppetserver", "puppet/puppet.conf", "[main]\nmasterport = {}\n"),
        ("pe-puppetserver", "puppetserver/conf.d/webserver.conf", "ssl-port = {}\n"),
    ],
)
def test_one_whose_init_script_has_no_status_runs_where_it_is_configured_to(
    sh: Sh, tmp_path: Path, listening: int, service: str, path: str, text: str
) -> None:
    """Who takes it for stopped deletes the credentials that it works with."""
    etc = tmp_path / "etc"
    place = etc / path
    place.parent.mkdir(parents=True)
    config = "/etc/puppetlabs/puppet/puppet.conf"
    listeners = in_lines(ENDPOINTS, PE_3_7.master.server, config)
    listeners = listeners.replace("/etc/puppetlabs", str(etc))

    def runs() -> str:
        script = f'{PIPELINES}{SERVICE_FUNCTIONS}listening "$1" && echo yes'
        return sh.run(shell(script, listeners, service).get_raw_value()).stdout.decode().strip()

    for port, answer in ((listening, "yes"), (1, "")):
        place.write_text(text.format(port))
        assert runs() == answer


@pytest.mark.parametrize("name", ["a%e touch there;#", "a%w there\n"])
def test_a_path_of_puppets_configuration_is_no_command(sh: Sh, tmp_path: Path, name: str) -> None:
    """In a backup that somebody has had in his hands it may be any."""
    for file in ("a", "b"):
        (tmp_path / file).write_text("masterport = 8140\n")
    server = PE_3_7.master.server
    listening = f"cd {tmp_path}; listening {server}"
    found = replace(ENDPOINTS[server], configured=(f"{tmp_path}/a", "p"))
    lines = in_lines({server: found}, server, f"{tmp_path}/{name}")
    sh.run(
        shell(
            f"{PIPELINES}fail() {{ exit 1; }}{SERVICE_FUNCTIONS}{listening}", lines
        ).get_raw_value()
    )
    assert sorted(path.name for path in tmp_path.iterdir() if "bin" not in path.name) == ["a", "b"]
