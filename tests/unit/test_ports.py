"""Where services listen, as their configuration says."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest

from facts.ports import ConfiguredPorts
from recert.deployments.model import NOWHERE, Endpoint
from tests.tables import ENDPOINTS
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
        ("pe-postgresql", "", "#port = 5432\nport = 5433 # moved\n", 5433),
        ("pe-postgresql", "", "listen_addresses = ''\n", NOWHERE),
        ("pe-postgresql", "", "listen_addresses = '*'\nport = 5432\n", 5432),
        (
            "pe-console-services",
            "",
            'webserver: {\n console: {\n "ssl-port": 4431\n }\n api: { ssl-port = 4433 }\n}\n',
            4433,
        ),
        ("pe-console-services", "", "api: {\n ssl-port: 4544\n}\n", 4544),
        ("pe-httpd", "console.conf", "Listen 0.0.0.0:8443 https\n", 8443),
        ("pe-httpd", "console.conf", "#Listen 80\nListen 80\nListen 443\n", 443),
        ("pe-httpd", "console.conf", "Listen [::]:444\n", 444),
        (
            "pe-activemq",
            "",
            '<transportConnector name="stomp+ssl" uri="stomp+ssl://0.0.0.0:61614?needClientAuth=true"/>',
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
    assert found == ({service: port} if port is not None else {})
    assert b"secret" not in base64.b64decode("".join(output[1:-1]))
