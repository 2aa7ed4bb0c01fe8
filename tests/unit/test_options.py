"""The names of the data that the suite takes."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyinfra.api import Config, Inventory, State
from pyinfra.api.exceptions import DeployError

from procedures import options as said_of_hosts
from procedures.options import refuse_misunderstood
from procedures.run import run_of
from recert.errors import RecertError
from recert.options import OPTIONS, Options, RunMode, mistyped

FINGERPRINT = ":".join(["1D"] * 32)
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


def options(**data: object) -> Options:
    return Options(data.get)


def test_what_is_not_said_is_empty() -> None:
    found = options()
    said = {name: getattr(found, name) for name in OPTIONS}
    assert said.pop("backup_dir") == "/var/lib/pe-recert/backups"
    assert said.pop("puppet_run") is RunMode.REAL
    assert not any(said.values())


@pytest.mark.parametrize(
    ("name", "said", "meant"),
    [
        ("retire_ca", FINGERPRINT.lower().replace(":", ""), FINGERPRINT),
        ("retire_ca", int("12" * 32), "12:" * 31 + "12"),
        ("retire_ca", "", None),
        ("retire_certs", f"{FINGERPRINT}, {FINGERPRINT.lower()},", frozenset({FINGERPRINT})),
        ("retire_certs", [FINGERPRINT], frozenset({FINGERPRINT})),
        ("approved_certs", FINGERPRINT.lower(), frozenset({FINGERPRINT})),
        ("disowned_certs", FINGERPRINT.lower(), frozenset({FINGERPRINT})),
        ("approved_requests", FINGERPRINT.lower(), frozenset({FINGERPRINT})),
        ("compromised_since", "2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("compromised_since", "", None),
        ("dns_alt_names", " puppet, master.lab.test", "puppet,master.lab.test"),
        ("dns_alt_names", ["puppet", "10"], "puppet,10"),
        ("pe_groups_classified", True, True),
        ("despite_failing_run", False, False),
        ("other_names", "old.lab.test,12", ("old.lab.test", "12")),
        ("other_names", 12, ("12",)),
        ("forwarded_ports", "443, 8150", frozenset({443, 8150})),
        ("forwarded_ports", 443, frozenset({443})),
        ("restored_paths", "/srv/ssl , /srv/x y", ("/srv/ssl", "/srv/x y")),
        ("backup", "20261126T053900Z-1dd0fe9f162f7daa", "20261126T053900Z-1dd0fe9f162f7daa"),
        ("backup_dir", "/srv//backups/", "/srv/backups"),
        ("windows_backup_dir", "D:\\backups", "D:/backups"),
        ("puppet_run", "noop", RunMode.NOOP),
        ("deployment", "pe-3.8-mono", "pe-3.8-mono"),
        ("deployment", 3.7, "3.7"),
        ("deployment", "", None),
        ("certname", 12, "12"),
        ("certname", "Web01.example.com", "web01.example.com"),
        ("deployment", True, "True"),
        ("deployment", ["pe-3.7-mono"], "['pe-3.7-mono']"),
    ],
)
def test_what_is_said_is_read(name: str, said: object, meant: object) -> None:
    assert getattr(options(**{name: said}), name) == meant


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("retire_ca", "nonsense"),
        ("retire_ca", FINGERPRINT[:59]),
        ("retire_ca", True),
        ("retire_certs", f"{FINGERPRINT},x"),
        ("retire_certs", True),
        ("approved_certs", "x"),
        ("disowned_certs", "x"),
        ("approved_requests", "x"),
        *(("compromised_since", day) for day in ("yesterday", "2026-13-01", "01.11.2026", True)),
        ("dns_alt_names", ""),
        ("dns_alt_names", " , "),
        ("dns_alt_names", True),
        ("pe_groups_classified", "yes"),
        ("pe_groups_classified", 1),
        ("despite_failing_run", ""),
        ("other_names", {"a": 1}),
        *(("forwarded_ports", port) for port in ("0", "65536", "8140x", "²", "9" * 5000)),
        ("other_names", ["a", None]),
        ("restored_paths", True),
        ("backup", ""),
        ("backup", "../x"),
        ("backup", 5),
        ("backup_dir", "backups"),
        ("backup_dir", 5),
        ("backup_dir", ""),
        ("backup_dir", True),
        ("windows_backup_dir", "/srv/backups"),
        ("windows_backup_dir", 5),
        ("windows_backup_dir", ""),
        ("puppet_run", "now"),
        ("puppet_run", ["real"]),
        ("certname", True),
        ("certname", 1.10),
        ("certname", "../x"),
        ("certname", "  "),
        ("certname", ["web01"]),
    ],
)
def test_what_is_not_understood_is_refused_by_its_name(name: str, said: object) -> None:
    with pytest.raises(RecertError, match=name):
        getattr(options(**{name: said}), name)


def test_it_is_refused_before_anything_changes() -> None:
    inventory = Inventory((["web01"], {}), override_data={"retire_cas": "AB", "rack": 3})
    with pytest.raises(DeployError, match=r"no data retire_cas\. Was retire_ca meant"):
        refuse_misunderstood(State(inventory, Config()))
    refuse_misunderstood(State(Inventory((["web01"], {}), override_data={"rack": 3}), Config()))


@pytest.mark.parametrize(
    ("name", "value"),
    [("backup_dir", 5), ("puppet_run", "twice"), ("backup", "../x"), ("despite_failing_run", "y")],
)
def test_a_value_that_is_none_is_refused_also_where_nothing_would_read_it(
    name: str, value: object
) -> None:
    """Whoever has typed it takes it for done."""
    inventory = Inventory((["web01"], {}), override_data={name: value, "retire_ca": "no"})
    with pytest.raises(DeployError, match=f"^Nothing was changed: {name}\\b"):
        refuse_misunderstood(State(inventory, Config()))


def test_a_certname_that_can_be_none_is_refused_with_its_host() -> None:
    inventory = Inventory(([("web01", {"certname": ["web01"]}), ("web02", {"certname": 2})], {}))
    with pytest.raises(DeployError, match=r"^Nothing was changed: web01: certname=\['web01'\]"):
        refuse_misunderstood(State(inventory, Config()))


def test_data_are_read_in_one_place() -> None:
    """But for where a host is reached, which is pyinfra's own data."""
    read = {
        (path.relative_to(ROOT).as_posix(), name)
        for folder in ("procedures", "operations", "facts", "deploys")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"\bdata\.(?:get\(([^)]*)\)|get\b)", path.read_text())
    }
    assert read <= {
        ("procedures/options.py", ""),
        ("procedures/identity.py", "name"),
        ("procedures/names.py", "name"),
    }
    assert len(read) == 3


def test_a_misspelt_name_in_the_inventory_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(said_of_hosts, "warn", lambda host, line: told.append((host.name, line)))
    pyinfras = {"ssh_certname": "root", "_backup_dir": "x", "winrm_certname": 1}
    own = {**pyinfras, "rack": 3, "owner": "ops"}
    hosts = [
        ("web01", {**own, "certname": "web01.example.com", "retire_ca": "AB"}),
        ("web02", {"certnme": "web02.example.com"}),
        *((f"web{number}", {}) for number in range(3, 6)),
    ]
    names = [name for name, _ in hosts]
    of_all, of_agents = {"backupdir": "/b", "rack": 3}, {"retire_cas": "AB", "datacenter": 1}
    inventory = Inventory((hosts, of_all), agents=(names[2:], of_agents))
    run_of(State(inventory, Config()))

    (backup, certname, (whose, retire)) = told
    assert "no data backupdir. Was backup_dir meant" in backup[1]
    assert "It is in the data of 4 more hosts." in backup[1]
    assert certname == (
        "web02",
        "In the inventory there is no data certnme. Was certname meant (a host's, in the "
        "inventory)? If it is yours, all is well.",
    )
    assert whose == "web3"
    assert "no data retire_cas. Was retire_ca meant" in retire
    assert "It is in the data of 2 more hosts." in retire
