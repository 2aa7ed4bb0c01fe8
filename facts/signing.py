"""How a master signs by itself."""

from __future__ import annotations

import re

from pyinfra.api import FactBase, StringCommand

from facts.public import PUBLIC_CONTENTS, WITHOUT_KEYS
from facts.reading import READING
from facts.script import read_records, record_script
from recert.ca_records import Autosign, Autosigning


class AutosignSetting(FactBase[Autosign]):
    """
    What Puppet's setting `autosign` means on the host: it is true, false, a file with
    certnames and globs, or a program.

    .. code:: python

        Autosign(Autosigning.LISTED, ("*.example.com",))
    """

    def command(self, autosign: str) -> StringCommand:
        return record_script(
            READING
            + r"""
patterns() {
    stage as_it_lies "$1" | stage sed -e "$2" -e 's/#.*//' | stage tr -s ' \t\r' '\n\n\n' |
        while read -r pattern || [ -n "$pattern" ]; do
            [ -z "$pattern" ] || say pattern "$pattern"
        done
}
case $1 in
    (true) say all ;;
    (/*)
        if [ -f "$1" ] && [ -x "$1" ]; then say policy
        elif [ -f "$1" ] && [ -r "$1" ]; then patterns "$1" "$2"
        fi ;;
esac
""",
            autosign,
            WITHOUT_KEYS,
        )

    def process(self, output: list[str]) -> Autosign:
        patterns = []
        for record in read_records(output):
            if record[0] == "all":
                return Autosign(Autosigning.ALL)
            if record[0] == "policy":
                return Autosign(Autosigning.POLICY)
            patterns.append(record[1])
        return Autosign(Autosigning.LISTED if patterns else Autosigning.OFF, tuple(patterns))


class CaInventory(FactBase[frozenset[tuple[int, str]]]):
    """
    The CA's own list of what it has ever signed, `inventory.txt`: serial numbers and names.

    .. code:: python

        frozenset({(2, "puppet.example.com")})
    """

    @staticmethod
    def default() -> frozenset[tuple[int, str]]:
        return frozenset()

    def command(self, path: str) -> StringCommand:
        return record_script(
            PUBLIC_CONTENTS
            + r"""
[ ! -f "$1" ] || [ ! -r "$1" ] || contents "$1"
""",
            path,
        )

    def process(self, output: list[str]) -> frozenset[tuple[int, str]]:
        text = "".join(record[2] for record in read_records(output))
        lines = re.findall(r"^0x([0-9a-fA-F]+) \S+ \S+ /CN=([^/\n]+)$", text, re.MULTILINE)
        return frozenset((int(serial, 16), name) for serial, name in lines)
