"""Whom a master's own Puppet asks for data: PuppetDB, and the node classifier."""

from __future__ import annotations

import re

from pyinfra.api import FactBase, StringCommand

from facts.reading import READING
from facts.script import read_records, record_script

FILES = ("puppetdb.conf", "classifier.yaml")
"""In confdir, of the termini of these names."""

_HOST = re.compile(r"(?:https?://)?([0-9A-Za-z._-]{1,253})(?::[0-9]{1,5})?(?:/.*)?")


class TerminusServers(FactBase[list[str]]):
    """
    The names under which a master's Puppet asks PuppetDB and the classifier.

    + confdir: Puppet's setting

    .. code:: python

        ["master.lab.test"]
    """

    def command(self, confdir: str) -> StringCommand:
        return record_script(
            READING
            + r"""
server='s/^[[:space:]-]*server\(_urls\)\{0,1\}[[:space:]]*[=:][[:space:]]*//p'
servers() { stage as_it_lies "$1" | stage tr -d '\000' | stage sed -n "$server"; }
for file; do [ ! -f "$file" ] || say servers "$(servers "$file")"; done
""",
            *(f"{confdir}/{file}" for file in FILES),
        )

    def process(self, output: list[str]) -> list[str]:
        words = (
            word.strip("\"'[]")
            for _, said in read_records(output)
            for word in re.split(r"[\s,]+", said)
        )
        found = (_HOST.fullmatch(word) for word in words if word)
        return list(dict.fromkeys(match[1].lower() for match in found if match))
