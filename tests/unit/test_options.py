"""The names of the data that the suite takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pyinfra.api import Config, Inventory, State
from pyinfra.api.exceptions import DeployError

from procedures.options import refuse_mistyped
from recert.options import OPTIONS, mistyped

_READ = re.compile(r'(?:data\.get|flag|listed)\((?:[a-z_.]*host, )?"([a-z_]+)"')
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("retire_cas", "retire_ca"),
        ("retire-ca", "retire_ca"),
        ("retireca", "retire_ca"),
        ("retire_cert", "retire_certs"),
        ("dns_altnames", "dns_alt_names"),
        ("DNS_ALT_NAMES", "dns_alt_names"),
        ("pe_group_classified", "pe_groups_classified"),
        ("backupdir", "backup_dir"),
        ("deploymnet", "deployment"),
    ],
)
def test_who_mistypes_is_told_what_was_meant(name: str, meant: str) -> None:
    assert mistyped([name]) == {name: meant}


@pytest.mark.parametrize(
    "name", [*OPTIONS, "ssh_user", "winrm_port", "_sudo", "datacenter", "rack", "owner"]
)
def test_other_data_is_somebody_elses(name: str) -> None:
    assert mistyped([name]) == {}


def test_it_is_refused_before_anything_changes() -> None:
    inventory = Inventory((["web01"], {}), override_data={"retire_cas": "AB", "rack": 3})
    with pytest.raises(DeployError, match=r"no data retire_cas\. Was retire_ca meant"):
        refuse_mistyped(State(inventory, Config()))
    refuse_mistyped(State(Inventory((["web01"], {}), override_data={"rack": 3}), Config()))


def test_every_data_that_is_read_is_one_of_these() -> None:
    read = {
        name
        for folder in ("procedures", "operations", "deploys")
        for path in (ROOT / folder).rglob("*.py")
        for name in _READ.findall(path.read_text())
    }
    assert {"retire_ca", "backup", "pe_groups_classified", "other_names"} <= read
    assert read - {"ssh_hostname"} <= OPTIONS.keys()
