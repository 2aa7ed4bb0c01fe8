"""The nodes that a source knows, and the snapshot that is made of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recert.certificates import read_revocation_list
from recert.errors import RecertError
from recert.nodes import (
    Found,
    LeftOut,
    Node,
    SiteSnapshot,
    System,
    nodes_of_ca,
    nodes_of_list,
    nodes_of_puppetdb,
    read_snapshot,
    system_of,
    take_snapshot,
)
from tests.unit import issuing_ca

INVENTORY = """\
# Inventory of signed certificates
# SERIAL NOT_BEFORE NOT_AFTER SUBJECT
0x0001 2015-11-22T13:27:01UTC 2020-11-21T13:27:01UTC /CN=Puppet CA: puppet.example.com
0x0002 2015-11-22T13:27:02UTC 2020-11-21T13:27:02UTC /CN=puppet.example.com
0x0003 2015-11-22T13:27:03UTC 2020-11-21T13:27:03UTC /CN=pe-internal-classifier
0x0004 2015-11-22T13:27:04UTC 2020-11-21T13:27:04UTC /CN=gone.example.com
0x0005 2015-11-22T13:27:05UTC 2020-11-21T13:27:05UTC /CN=web01.example.com
0x000a 2015-11-22T13:27:06UTC 2020-11-21T13:27:06UTC /CN=web01.example.com
"""


def snapshot(*nodes: Node, windows: tuple[str, ...] = (), master: str = "puppet") -> SiteSnapshot:
    return take_snapshot(
        Found(nodes), master=master, source="a test", taken="2015-11-23T12:00:00", windows=windows
    )


def fact(certname: str, name: str, value: Any) -> dict[str, Any]:
    return {"certname": certname, "environment": "production", "name": name, "value": value}


@pytest.mark.parametrize(
    ("facts", "system"),
    [
        ({"kernel": "windows", "osfamily": "windows"}, System.WINDOWS),
        ({"kernel": "Linux", "osfamily": "RedHat"}, System.LINUX),
        ({"kernel": "Linux"}, System.LINUX),
        ({"kernel": "SunOS", "osfamily": "Solaris"}, System.OTHER),
        ({"osfamily": "windows"}, System.WINDOWS),
        ({"osfamily": "Suse"}, System.LINUX),
        ({"os": {"family": "windows", "name": "windows"}}, System.WINDOWS),
        ({"os": {"family": "Debian"}}, System.LINUX),
        ({"os": "of a kind"}, System.UNKNOWN),
        ({"kernel": None}, System.UNKNOWN),
        ({}, System.UNKNOWN),
    ],
)
def test_facts_tell_what_a_node_runs(facts: dict[str, Any], system: System) -> None:
    assert system_of(facts) is system


def test_deactivated_and_expired_nodes_are_left_out() -> None:
    nodes = [
        {"certname": "web01", "deactivated": None, "expired": None},
        {"certname": "old01", "deactivated": "2015-01-01T00:00:00.000Z"},
        {"certname": "old02", "deactivated": None, "expired": "2015-02-01T00:00:00.000Z"},
        {"certname": "WIN01", "deactivated": None},
    ]
    found = nodes_of_puppetdb(nodes, [fact("win01", "kernel", "windows")])
    assert found.nodes == (Node("web01"), Node("win01", System.WINDOWS))
    assert [left.name for left in found.left_out] == ["old01", "old02"]
    assert "deactivated since 2015-01-01" in found.left_out[0].why


@pytest.mark.parametrize(
    ("nodes", "facts"),
    [
        ({"error": "no"}, []),
        (["web01"], []),
        ([{"name": "web01"}], []),
        ([{"certname": None}], []),
        ([], [{"certname": "web01"}]),
        ([], None),
    ],
)
def test_what_puppetdb_does_not_answer_is_refused(nodes: Any, facts: Any) -> None:
    with pytest.raises(RecertError, match=r"^(nodes|facts) answered"):
        nodes_of_puppetdb(nodes, facts)


def test_the_ca_lists_every_name_once() -> None:
    names = [node.certname for node in nodes_of_ca(INVENTORY).nodes]
    assert names == [
        "puppet.example.com",
        "pe-internal-classifier",
        "gone.example.com",
        "web01.example.com",
    ]


def test_a_name_whose_last_certificate_is_revoked_is_left_out() -> None:
    crl = read_revocation_list(issuing_ca.NEW.crl([4, 5]))
    found = nodes_of_ca(INVENTORY, crl)
    assert Node("web01.example.com") in found.nodes, "its later certificate is not revoked"
    assert found.left_out == (LeftOut("gone.example.com", "its certificate 0x0004 is revoked"),)


def test_a_line_that_was_cut_off_is_told() -> None:
    found = nodes_of_ca(INVENTORY + "0x000b 2015-11-22T13:2")
    assert found.left_out == (LeftOut("0x000b 2015-11-22T13:2", "line 9 is not understood"),)


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "root:x:0:0:root:/root:/bin/sh\n"])
def test_another_file_is_no_inventory_of_a_ca(text: str) -> None:
    with pytest.raises(RecertError, match=r"not the inventory\.txt of a CA"):
        nodes_of_ca(text)


def test_a_list_has_one_name_a_line() -> None:
    found = nodes_of_list(
        "# ours\nweb01.example.com\n\n  DB01.example.com  # old\nweb01.example.com\n"
    )
    assert found.nodes == (Node("web01.example.com"), Node("db01.example.com"))


@pytest.mark.parametrize("line", ["web01,web02/x", "-oProxyCommand=x", "@local", "wéb", "a\x1bb"])
def test_a_line_of_a_list_that_is_no_name_is_an_error(line: str) -> None:
    with pytest.raises(RecertError, match=r"line 2: .* is no plain DNS name"):
        nodes_of_list(f"web01\n{line}\n")


def test_hosts_go_into_their_groups() -> None:
    taken = snapshot(
        Node("win01", System.WINDOWS),
        Node("web02", System.LINUX),
        Node("puppet", System.LINUX),
        Node("web01"),
        Node("sun01", System.OTHER),
        Node("pe-internal-classifier"),
        Node("-oProxyCommand=x"),
        master="Puppet",
    )
    assert taken.master == "puppet"
    assert taken.agents == ("web01", "web02")
    assert taken.windows_agents == ("win01",)
    assert taken.unsure == ("web01",)
    assert [left.name for left in taken.left_out] == [
        "sun01",
        "pe-internal-classifier",
        "-oProxyCommand=x",
    ]


def test_patterns_say_what_runs_windows() -> None:
    taken = snapshot(Node("win01"), Node("web01"), Node("app7"), windows=("WIN*", "app?"))
    assert taken.windows_agents == ("app7", "win01")
    with pytest.raises(RecertError, match="no node is called ms"):
        snapshot(Node("win01"), windows=("win*", "ms*"))


def test_a_snapshot_of_nobody_is_refused() -> None:
    with pytest.raises(RecertError, match="no node that a run could work on"):
        snapshot(Node("puppet"))


def test_a_snapshot_comes_back_from_its_json() -> None:
    taken = snapshot(Node("win01", System.WINDOWS), Node("web01", System.LINUX))
    assert read_snapshot(taken.to_json()) == taken


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 7}, "version is 7"),
        ({"agents": "web01"}, "agents is not a list"),
        ({"agents": ["web01", 7]}, "agents is not a list"),
        ({"agents": ["web01", "@local"]}, "'@local' is no plain DNS name"),
        ({"master": "web01"}, "web01 is in it more than once"),
        ({"windows_agents": ["web01"]}, "web01 is in it more than once"),
    ],
)
def test_a_snapshot_that_somebody_has_spoilt_is_refused(
    change: dict[str, Any], message: str
) -> None:
    document = json.loads(snapshot(Node("web01")).to_json()) | change
    with pytest.raises(RecertError, match=message):
        read_snapshot(json.dumps(document))


@pytest.mark.parametrize("text", ["", "{", "[]", "7"])
def test_another_file_is_no_snapshot(text: str) -> None:
    with pytest.raises(RecertError):
        read_snapshot(text)


def nested(depth: int = 5000) -> list[object]:
    found: list[object] = []
    for _ in range(depth):
        found = [found]
    return found


def test_a_fact_that_is_no_word_is_none() -> None:
    """A node reports what it likes, and the others are there all the same."""
    told: dict[str, Any] = {"kernel": nested(), "osfamily": nested(), "os": {"family": nested()}}
    facts = [{"certname": "web01", "name": name, "value": value} for name, value in told.items()]
    nodes = [{"certname": "web01"}, {"certname": "b", "expired": nested()}]
    found = nodes_of_puppetdb(nodes, facts)
    assert found.nodes == (Node("web01", System.UNKNOWN),)
    assert [left.why for left in found.left_out] == ["PuppetDB has it expired"]
    with pytest.raises(RecertError, match="nested without end, which names no node"):
        nodes_of_puppetdb([nested()], [])
