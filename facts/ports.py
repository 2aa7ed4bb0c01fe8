"""Where services listen, as their own configuration says."""

from __future__ import annotations

import re

from pyinfra.api import FactBase, StringCommand

from facts.reading import READING
from facts.script import read_records, record_script
from recert.deployments.model import NOWHERE, SOMEWHERE, Endpoint
from recert.observed import Listening

_PORT = re.compile("[0-9]{1,5}")
_ADDRESS = re.compile("[0-9A-Za-z:][0-9A-Za-z._:-]{0,252}")
_ALL = frozenset({"0", "0.0.0.0", "::", "0:0:0:0:0:0:0:0"})

MOST_ADDRESSES = 8
"""That are tried of a service."""


class ConfiguredPorts(FactBase[dict[str, Listening]]):
    """
    The ports and addresses of those services whose configuration names any. Of several ports the
    usual one if it is among them, else the first; of PostgreSQL's the last, which counts there.
    Passwords, which stand in the same files, stay there.

    + endpoints: where services listen, by their names

    .. code:: python

        {"pe-puppetdb": Listening(8085, ("192.0.2.7",)), "pe-postgresql": Listening(0)}
    """

    def command(self, endpoints: dict[str, Endpoint]) -> StringCommand:
        words = [
            word
            for name, endpoint in endpoints.items()
            if endpoint.configured[0]
            for word in (
                *(name, str(endpoint.port), endpoint.handshake),
                *(*endpoint.configured, endpoint.bound),
            )
        ]
        return record_script(
            READING
            + r"""
configured() { stage as_it_lies "$1" | stage sed -n "$2"; }
while [ "$#" -gt 0 ]; do
    for file in $4; do
        [ ! -f "$file" ] ||
            say ports "$1" "$2" "$3" "$(configured "$file" "$5")" "$(configured "$file" "$6")"
    done
    shift 6
done
""",
            *words,
        )

    def process(self, output: list[str]) -> dict[str, Listening]:
        found: dict[str, list[int]] = {}
        usual: dict[str, int | None] = {}
        bound: dict[str, list[str]] = {}
        for _, name, its_usual, handshake, text, addresses in read_records(output):
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
            bound.setdefault(name, []).extend(re.split(r"[\s,]+", addresses))
        listening = {
            name: Listening(
                _port_of(usual[name], ports) if ports else None, _addresses(bound[name])
            )
            for name, ports in found.items()
        }
        return {name: where for name, where in listening.items() if where != Listening(None)}


def _port_of(usual: int | None, ports: list[int]) -> int:
    if NOWHERE in ports:
        return NOWHERE
    if usual is None:
        return ports[-1]
    return usual if usual in ports else ports[0]


def _addresses(words: list[str]) -> tuple[str, ...]:
    found = [word for word in words if _ADDRESS.fullmatch(word) and word not in _ALL]
    return tuple(dict.fromkeys(found))[:MOST_ADDRESSES]
