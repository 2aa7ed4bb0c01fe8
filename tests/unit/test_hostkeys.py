"""The keys by which hosts are known before they are reached for the first time."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as some

from inventories import __main__ as command
from inventories.group_data import all as group_data
from recert.hostkeys import changed, keys_of, known_hosts, names_in
from recert.nodes import nodes_of_puppetdb
from tests.unit.debugged import shown_of
from tests.unit.issuing_ca import key

ROOT = Path(__file__).resolve().parents[2]


def encoded(public: Any) -> str:
    line: bytes = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return line.split()[1].decode()


RSA = encoded(key("ssh").public_key())
ECDSA = encoded(ec.generate_private_key(ec.SECP256R1()).public_key())
ED25519 = encoded(ed25519.Ed25519PrivateKey.generate().public_key())
LINES = (
    f"ssh-rsa {RSA}",
    f"ecdsa-sha2-nistp256 {ECDSA}",
    f"ssh-ed25519 {ED25519}",
)
TOGETHER = {
    "ssh": {
        "rsa": {"key": RSA, "fingerprints": {}, "type": "ssh-rsa"},
        "ecdsa": {"key": ECDSA},
        "ed25519": {"key": ED25519},
        "dsa": {"key": "AAAA"},
    }
}
APART = {"sshrsakey": RSA, "sshecdsakey": ECDSA, "sshed25519key": ED25519, "sshdsakey": "AAAA"}


@pytest.mark.parametrize("facts", [TOGETHER, APART], ids=["facter 3", "facter 2"])
def test_the_keys_that_a_node_has_reported(facts: dict[str, Any]) -> None:
    assert keys_of(facts) == LINES


@pytest.mark.parametrize(
    "key",
    [
        "",
        "garbage",
        None,
        5,
        ["x"],
        RSA[:8],
        ECDSA,
        f"{RSA}\nevil ssh-rsa {RSA}",
        f"{RSA} comment",
        base64.b64encode(b"\x00\x00\x00\x09ssh-rsa\n x").decode(),
        base64.b64encode(b"\xff\xff\xff\xffssh-rsa").decode(),
        # Of its type, and yet nothing that a client could load.
        base64.b64encode(b"\0\0\0\7ssh-rsa" + b"\0\0\0\1\0" * 2).decode(),
        base64.b64encode(b"\0\0\0\7ssh-rsa\0\0\0\1\3").decode(),
        "A" * 10_000,
    ],
    ids=range(14),
)
def test_what_is_no_key_is_left_out(key: object) -> None:
    assert keys_of({"sshrsakey": key}) == ()
    assert keys_of({"ssh": {"rsa": {"key": key}}}) == ()
    assert keys_of({"ssh": {"rsa": key}}) == ()
    assert keys_of({"ssh": key}) == ()


@given(some.dictionaries(some.sampled_from([*TOGETHER, *APART]), some.text() | some.binary()))
def test_whatever_a_node_reports_is_a_line_each_or_none(facts: dict[str, Any]) -> None:
    for line in keys_of(facts):
        assert len(line.split()) == 2 and "\n" not in line


@given(
    some.sampled_from([RSA, ECDSA, ED25519]).map(base64.b64decode),
    some.lists(some.tuples(some.integers(0, 120), some.integers(0, 255)), max_size=3),
    some.integers(0, 400),
)
def test_so_is_a_key_that_was_changed(
    whole: bytes, changes: list[tuple[int, int]], end: int
) -> None:
    raw = bytearray(whole)
    for position, byte in changes:
        raw[position % len(raw)] = byte
    reported = base64.b64encode(raw[: end or None]).decode()
    for name in APART:
        for line in keys_of({name: reported}):
            assert paramiko.hostkeys.HostKeyEntry.from_line(f"web01 {line}") is not None


def test_a_point_that_is_compressed_is_left_out() -> None:
    """As OpenSSH does, while what reads it here raises what it raises nowhere else."""
    raw = base64.b64decode(ECDSA)
    start = len(raw) - 65  # of the point: what kind it is, and two numbers
    assert raw[start] == 4
    odd = base64.b64encode(raw[:start] + b"\x02" + raw[start + 1 :]).decode()
    assert keys_of({"sshecdsakey": odd}) == ()


def test_a_short_key_of_another_type_is_left_out() -> None:
    short = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\1x").decode()
    assert keys_of({"sshed25519key": short}) == ()


def test_what_ssh_makes_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "known").write_text(known_hosts("", {"web01": LINES, "10.0.0.17": LINES[:1]}))
    keys = paramiko.HostKeys(str(tmp_path / "known"))
    assert set(keys.keys()) == {"web01", "10.0.0.17"}
    assert set(keys["web01"].keys()) == {line.split()[0] for line in LINES}


def test_what_is_known_of_a_host_stays_and_a_change_is_told() -> None:
    before = f"# by hand\nweb01,10.0.0.1 {LINES[0]}\nweb02 {LINES[1]}"
    keys = {"web01": LINES[1:], "web02": LINES[:2], "web03": LINES[:1], "web04": ()}
    after = known_hosts(before, keys)
    assert after == f"{before}\nweb03 {LINES[0]}\n"
    assert known_hosts(after, keys) == after
    assert names_in(after) == {"web01", "10.0.0.1", "web02", "web03"}
    assert changed(after, keys) == ["web01"]


# Inventories


def rows(**facts: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    nodes = [{"certname": "puppet.example.com"}, {"certname": "web01"}, {"certname": "web02"}]
    told = [{"certname": n["certname"], "name": "kernel", "value": "Linux"} for n in nodes]
    told += [{"certname": "web01", "name": name, "value": value} for name, value in facts.items()]
    told += [{"certname": "puppet.example.com", "name": "sshrsakey", "value": RSA}]
    return nodes, told


def test_puppetdb_tells_the_keys_with_the_nodes() -> None:
    found = nodes_of_puppetdb(*rows(**TOGETHER))
    assert found.host_keys == {"web01": LINES, "puppet.example.com": LINES[:1]}


def test_a_snapshot_of_puppetdb_brings_them_and_the_inventory_is_strict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "HERE", tmp_path)
    monkeypatch.setattr(command, "nodes_at", lambda *_: nodes_of_puppetdb(*rows(**APART)))
    words = ["mysite", "--master", "puppet.example.com", "--puppetdb", "http://localhost:8080"]
    command.main(words)
    said = capsys.readouterr().out
    kept = (tmp_path / "mysite.known_hosts").read_text()
    assert kept == known_hosts("", {"web01": LINES, "puppet.example.com": LINES[:1]})
    assert "SSH keys of 2 hosts" in said and "none of 1: web02" in said

    (tmp_path / "mysite.known_hosts").write_text(f"web01 {LINES[0][:-8]}AAAAAAAA\n")
    command.main(words)
    assert "another key than" in capsys.readouterr().out

    shown = shown_of(tmp_path / "mysite.py")
    assert shown.count('"ssh_strict_host_key_checking": "yes"') >= 3
    assert f'"ssh_known_hosts_file": "{tmp_path}/mysite.known_hosts"' in shown


def test_without_a_list_of_keys_it_is_strict_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "HERE", tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO("web01\n"))
    command.main(["mysite", "--master", "puppet.example.com", "--list", "-"])
    assert not (tmp_path / "mysite.known_hosts").exists()
    assert "mysite.json" in [path.name for path in tmp_path.iterdir()]
    assert json.loads((tmp_path / "mysite.json").read_text())["agents"] == ["web01"]
    shown = shown_of(tmp_path / "mysite.py")
    assert '"ssh_strict_host_key_checking": "yes"' in shown
    assert "ssh_known_hosts_file" not in shown


def test_inventories_in_their_directory_are_strict() -> None:
    assert group_data.ssh_strict_host_key_checking == "yes"
