"""Where services listen, as their own configuration says."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.script import read_records, record_script
from recert.layout import ENDPOINTS, NOWHERE, POSTGRESQL_SERVICE


class ConfiguredPorts(FactBase[dict[str, int]]):
    """
    The ports of those services whose configuration names one: the usual one if it is among several,
    else the first; of PostgreSQL's the last, which counts there. Passwords, which stand in the same
    files, stay there.

    .. code:: python

        {"pe-puppetdb": 8085, "pe-postgresql": 0}
    """

    def command(self) -> StringCommand:
        words = [
            word
            for name, endpoint in ENDPOINTS.items()
            if endpoint.configured[0]
            for word in (name, *endpoint.configured)
        ]
        return record_script(
            r"""
while [ "$#" -gt 0 ]; do
    for file in $2; do
        [ ! -f "$file" ] || say ports "$1" "$(sed -n "$3" "$file")"
    done
    shift 3
done
""",
            *words,
        )

    def process(self, output: list[str]) -> dict[str, int]:
        found: dict[str, list[int]] = {}
        for _, name, text in read_records(output):
            ports = [int(word) for word in text.split() if word.isascii() and word.isdigit()]
            found.setdefault(name, []).extend(port for port in ports if port <= 65535)
        return {name: _port_of(name, ports) for name, ports in found.items() if ports}


def _port_of(name: str, ports: list[int]) -> int:
    if NOWHERE in ports:
        return NOWHERE
    if name == POSTGRESQL_SERVICE:
        return ports[-1]  # the same setting again
    usual = ENDPOINTS[name].port
    return usual if usual in ports else ports[0]
