"""Where services listen, as their own configuration says."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.script import read_records, record_script
from recert.deployments.model import NOWHERE, Endpoint


class ConfiguredPorts(FactBase[dict[str, int]]):
    """
    The ports of those services whose configuration names one: the usual one if it is among several,
    else the first. Passwords, which stand in the same files, stay there.

    + endpoints: where services listen, by their names

    .. code:: python

        {"pe-puppetdb": 8085, "pe-postgresql": 0}
    """

    def command(self, endpoints: dict[str, Endpoint]) -> StringCommand:
        words = [
            word
            for name, endpoint in endpoints.items()
            if endpoint.configured[0]
            for word in (name, str(endpoint.port), *endpoint.configured)
        ]
        return record_script(
            r"""
while [ "$#" -gt 0 ]; do
    for file in $3; do
        [ ! -f "$file" ] || say ports "$1" "$2" "$(sed -n "$4" "$file")"
    done
    shift 4
done
""",
            *words,
        )

    def process(self, output: list[str]) -> dict[str, int]:
        found: dict[str, list[int]] = {}
        usual: dict[str, int] = {}
        for _, name, its_usual, text in read_records(output):
            ports = [int(word) for word in text.split() if word.isascii() and word.isdigit()]
            found.setdefault(name, []).extend(port for port in ports if port <= 65535)
            usual[name] = int(its_usual)
        return {name: _port_of(usual[name], ports) for name, ports in found.items() if ports}


def _port_of(usual: int, ports: list[int]) -> int:
    if NOWHERE in ports:
        return NOWHERE
    return usual if usual in ports else ports[0]
