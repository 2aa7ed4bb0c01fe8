"""Where services listen, as their own configuration says."""

from __future__ import annotations

import re

from pyinfra.api import FactBase, StringCommand

from facts.reading import READING
from facts.script import read_records, record_script
from recert.deployments.model import NOWHERE, SOMEWHERE, Endpoint

_PORT = re.compile("[0-9]{1,5}")


class ConfiguredPorts(FactBase[dict[str, int]]):
    """
    The ports of those services whose configuration names one: the usual one if it is among several,
    else the first; of PostgreSQL's the last, which counts there. Passwords, which stand in the same
    files, stay there.

    + endpoints: where services listen, by their names

    .. code:: python

        {"pe-puppetdb": 8085, "pe-postgresql": 0}
    """

    def command(self, endpoints: dict[str, Endpoint]) -> StringCommand:
        words = [
            word
            for name, endpoint in endpoints.items()
            if endpoint.configured[0]
            for word in (name, str(endpoint.port), endpoint.handshake, *endpoint.configured)
        ]
        return record_script(
            READING
            + r"""
configured() { stage as_it_lies "$1" | stage sed -n "$2"; }
while [ "$#" -gt 0 ]; do
    for file in $4; do
        [ ! -f "$file" ] || say ports "$1" "$2" "$3" "$(configured "$file" "$5")"
    done
    shift 5
done
""",
            *words,
        )

    def process(self, output: list[str]) -> dict[str, int]:
        found: dict[str, list[int]] = {}
        usual: dict[str, int | None] = {}
        for _, name, its_usual, handshake, text in read_records(output):
            # Only PostgreSQL's configuration says so that it listens nowhere; to others 0 is none,
            # with which they would be asked for no proof.
            least = NOWHERE if handshake == "postgresql" else 1
            ports = found.setdefault(name, [])
            for word in text.split():
                if word == SOMEWHERE:
                    ports[:] = [port for port in ports if port != NOWHERE]
                elif _PORT.fullmatch(word) and least <= int(word) <= 65535:
                    ports.append(int(word))
            # The same setting again takes its place.
            usual[name] = None if handshake == "postgresql" else int(its_usual)
        return {name: _port_of(usual[name], ports) for name, ports in found.items() if ports}


def _port_of(usual: int | None, ports: list[int]) -> int:
    if NOWHERE in ports:
        return NOWHERE
    if usual is None:
        return ports[-1]
    return usual if usual in ports else ports[0]
