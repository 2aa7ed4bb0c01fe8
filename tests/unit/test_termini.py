"""Whom a master's own Puppet asks for data."""

from __future__ import annotations

from pathlib import Path

import pytest

from facts.termini import TerminusServers
from tests.unit.shell import Sh

AFTER_2015 = """[main]
server_urls = https://Master.lab.test:8081,https://db2.lab.test:8081/pdb
soft_write_failure = false
"""
LIST = """---
- server: master.lab.test
  port: 4433
  prefix: /classifier-api
- server: "replica.lab.test"
"""


@pytest.mark.parametrize(
    ("puppetdb", "classifier", "found"),
    [
        ("[main]\nserver=puppetdb\n port = 8081\n", "server: console.lab.test\nport: 4433\n", 2),
        (AFTER_2015, LIST, 3),
        ("[main]\n# server = commented\nserver_urls =\n", None, 0),
        ("server = https://[::1]:8081, $(id)\n", "server: \n", 0),
        (None, None, 0),
    ],
)
def test_names_under_which_puppetdb_and_the_classifier_are_asked(
    puppetdb: str | None, classifier: str | None, found: int, tmp_path: Path, sh: Sh
) -> None:
    for name, text in (("puppetdb.conf", puppetdb), ("classifier.yaml", classifier)):
        if text is not None:
            (tmp_path / name).write_text(text)
    names = sh.ask(TerminusServers, confdir=str(tmp_path))
    assert (
        names
        == [
            [],
            [],
            ["puppetdb", "console.lab.test"],
            ["master.lab.test", "db2.lab.test", "replica.lab.test"],
        ][found]
    )
