"""What may reach ssh or WinRM as the name of a host."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pyinfra.api.exceptions import InventoryError

from connectors.winrm_data import shell_for
from inventories.snapshot import groups_beside
from recert.errors import RecertError
from recert.hostnames import check_host_name
from recert.nodes import (
    Found,
    Node,
    SiteSnapshot,
    System,
    nodes_of_ca,
    nodes_of_list,
    nodes_of_puppetdb,
    read_snapshot,
    take_snapshot,
)

PLAIN = [
    "web01",
    "web01.example.com",
    "a_b.example.com",
    "xn--bcher-kva.example",
    "3com.example.com",
    "Web01.Example.COM",
    "10.0.0.17",
    "2001:db8::17",
    "1-2-3.example",
]
ODD = [
    'web01:22 "-oproxycommand=touch /tmp/x',
    "-oproxycommand=touch",
    "web01 -p 1",
    "web01;id",
    "$(id)",
    "`id`",
    "web01\n",
    "web01\x00",
    "root@web01",
    "web01:22",
    "web01/x",
    "@local",
    "@docker/x",
    "%h",
    "..",
    ".web01",
    "web01.",
    "-web01",
    "web01-",
    "a" * 64,
    "a." * 130,
    "w\u0435b01",
    "",
    "localhost",
    "x.localhost",
    "127.0.0.1",
    "127.1",
    "0x7f000001",
    "2130706433",
    "0.0.0.0",
    "::1",
    "::ffff:127.0.0.1",
    "::",
    "fe80::1%eth0",
    "fe80::1%;id",
    "10.0.0.256",
    "224.0.0.1",
    "169.254.169.254",
    "1.2.3.0x4",
]

HERE = ("localhost", "127.0.0.1", "::1", "::ffff:127.0.0.1")
"""Where a tunnel may begin that the administrator has made."""


@pytest.mark.parametrize("name", PLAIN)
def test_plain_names_and_addresses_may_be_connected_to(name: str) -> None:
    assert check_host_name(name) == name


@pytest.mark.parametrize("name", ODD)
def test_nothing_else_may(name: str) -> None:
    with pytest.raises(RecertError):
        check_host_name(name)


@given(some.text(max_size=60) | some.from_regex(r"[a-z0-9._:-]{1,20}", fullmatch=True))
def test_whatever_passes_is_one_word_and_no_option(name: str) -> None:
    try:
        check_host_name(name)
    except RecertError:
        return
    assert shlex.split(name) == [name] and shlex.quote(name) == name
    assert not name.startswith("-") and "@" not in name and "%" not in name


# Snapshots


def snapshot(*names: str) -> SiteSnapshot:
    nodes = tuple(Node(name, System.LINUX) for name in names)
    return take_snapshot(
        Found(nodes), master="puppet.example.com", source="PuppetDB", taken="2015-11-23"
    )


@pytest.mark.parametrize("name", [n for n in ODD if n])
def test_a_node_that_cannot_be_connected_to_is_left_out_and_told(name: str) -> None:
    found = snapshot("web01.example.com", name)
    assert found.agents == ("web01.example.com",)
    (left,) = found.left_out
    assert left.name == name
    assert "plain DNS name" in left.why


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("group", ["agents", "windows_agents", "master"])
def test_nor_is_it_read_from_a_snapshot(name: str, group: str, tmp_path: Path) -> None:
    document = json.loads(snapshot("web01.example.com").to_json())
    document[group] = name if group == "master" else [name]
    with pytest.raises(RecertError):
        read_snapshot(json.dumps(document))
    (tmp_path / "site.json").write_text(json.dumps(document))
    with pytest.raises(InventoryError):
        groups_beside(str(tmp_path / "site.py"))


@pytest.mark.parametrize("name", [n for n in ODD if n.strip() and "\n" not in n])
def test_nor_from_a_list(name: str) -> None:
    with pytest.raises(RecertError):
        nodes_of_list(f"web01\n{name}\n")


@given(some.lists(some.text(max_size=30)))
def test_whatever_sources_say_only_plain_names_come_of_it(names: list[str]) -> None:
    rows = [{"certname": name} for name in names]
    lines = [f"0x0009 2015 2020 /CN={name}" for name in ["web09", *names]]
    for found in (nodes_of_puppetdb(rows, []), nodes_of_ca("\n".join(lines))):
        nodes = (*found.nodes, Node("web01"))
        taken = take_snapshot(
            Found(nodes, found.left_out), master="puppet", source="it", taken="now"
        )
        for name in taken.nodes:
            check_host_name(name)
        assert read_snapshot(taken.to_json()).nodes == taken.nodes


# WinRM

DATA: dict[str, Any] = {
    "winrm_hostname": "win01.example.com",
    "winrm_port": 5986,
    "winrm_user": "Administrator",
    "winrm_password": "secret",
    "winrm_transport": "https",
    "winrm_auth": "negotiate",
    "winrm_ca_file": "",
    "winrm_fingerprint": "",
    "winrm_codepage": 0,
}


# An administrator's own spelling, which is a host's all the same.
NUMBERS_OR_LONG = re.compile(r"[0-9a-fx.:]+|a{64}|(x\.)?localhost|::ffff:.*")


@pytest.mark.parametrize(
    ("data", "value"),
    [
        *(("winrm_hostname", name) for name in ODD if name and not NUMBERS_OR_LONG.fullmatch(name)),
        *(("winrm_port", port) for port in (-1, 65536, "5986/x", "x", True, 1.5)),
        *(("winrm_user", user) for user in ("a\nb", "a\x00b", "a:b", "x" * 300)),
    ],
)
def test_winrm_is_given_plain_names_users_and_ports(data: str, value: object) -> None:
    with pytest.raises(ValueError, match=data):
        shell_for({**DATA, data: value}, "win01", 5)  # type: ignore[typeddict-item]


def test_and_takes_those() -> None:
    for name in ("win01", "10.0.0.17", "2001:db8::17", *HERE):
        assert shell_for({**DATA, "winrm_hostname": name}, "x", 5).way.hostname == name  # type: ignore[typeddict-item]
    assert shell_for({**DATA, "winrm_port": "5986"}, "x", 5).way.port == 5986  # type: ignore[typeddict-item]
    for user in (r"DOMAIN\name", "name@example.com", "Max Müller"):
        assert shell_for({**DATA, "winrm_user": user}, "x", 5).way.user == user  # type: ignore[typeddict-item]
