"""The facts' scripts, run by the shells that hosts have, and what is made of their output."""

from __future__ import annotations

import base64
import grp
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pyinfra.api.exceptions import FactProcessError

from facts import orchestration
from facts.backups import LIVE_SUMS, Backups, BackupStore
from facts.host import TEMPORARY, Basics, Identity, WhoAndWhen
from facts.orchestration import DiscoveredNodes
from facts.puppet import REPORT, AgentState, PuppetAgent, PuppetSettings, read_summary
from facts.script import (
    PIPELINES,
    ScriptFailedError,
    payload,
    read_records,
    record_script,
    shell,
)
from facts.services import ServiceStates
from facts.signing import AutosignSetting
from facts.ssl import LARGEST_PEM, NOT_READ, ComponentDirectory, PemFiles, SslDirectories
from facts.tls import ClassifierGroups, PresentedCertificate
from recert.backups import ARCHIVE_DIGEST, Manifest
from recert.ca_records import Autosign, Autosigning
from recert.certificates import read_certificate
from recert.observed import LastRun, Orchestration, Service, SslState
from recert.settings import SETTINGS
from tests.unit.issuing_ca import (
    CERTNAME,
    LIVE,
    NEW,
    OLD,
    key_digest,
    key_pem,
    printed_settings,
)
from tests.unit.shell import ME, Sh

T = TypeVar("T")

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl is not installed here"
)


def encoded(*fields: str) -> list[str]:
    raw = "".join(f"{field}\0" for field in fields).encode("utf-8", "surrogateescape")
    return base64.encodebytes(raw).decode("ascii").splitlines()


# Records


def test_records_are_read_until_the_end() -> None:
    output = encoded("2", "a", "b", "1", "c", "1", "end", "1", "after")
    assert list(read_records(output)) == [["a", "b"], ["c"]]


def test_no_records_and_an_end_are_an_answer() -> None:
    assert list(read_records(encoded("1", "end"))) == []


def test_fields_may_be_empty_or_numbers_or_the_word_end() -> None:
    output = encoded("3", "", "7", "end", "2", "end", "end", "1", "end")
    assert list(read_records(output)) == [["", "7", "end"], ["end", "end"]]


@pytest.mark.parametrize(
    "output",
    [
        [],
        encoded("1", "a"),
        encoded("2", "a", "b", "2", "c"),
        encoded("9", "a"),
        ["!!!!"],
        ["Last login: today", *encoded("1", "end")],
        encoded("1", "end")[0][:-1:],
        encoded("x", "1", "end"),
    ],
)
def test_answer_that_is_damaged_or_cut_short_is_refused(output: list[str]) -> None:
    with pytest.raises(FactProcessError):
        list(read_records(list(output)))


def test_answer_with_a_foreign_line_is_refused() -> None:
    with pytest.raises(FactProcessError):
        list(read_records(["Grüße von diesem Host"]))


def test_count_that_only_looks_like_a_number_is_refused() -> None:
    with pytest.raises(FactProcessError):
        list(read_records(encoded("²", "a")))


def test_record_that_was_cut_short_is_never_handed_on() -> None:
    records = []
    with pytest.raises(FactProcessError):
        for record in read_records(encoded("3", "service", "pe-puppet")[:1]):
            records.append(record)
    assert records == []


@pytest.mark.parametrize("before", ["", "Welcome", "\x1b]0;root@web01\x07", "pe-recert: closed"])
def test_an_answer_is_found_wherever_it_begins(before: str) -> None:
    answer = ["pe-recert:", *encoded("1", "a", "1", "end"), "pe-recert."]
    joined = [f"{before}{answer[0]}", *answer[1:]]
    for output in (joined, [before, *answer, "logout"], [f"{line}\r" for line in joined]):
        assert list(read_records(output)) == [["a"]]


def test_stray_text_is_named_where_it_breaks_something() -> None:
    begin, end = "pe-recert:", "pe-recert."
    with pytest.raises(FactProcessError, match=r"something else.*\[1\]\+  Done"):
        list(read_records([begin, "[1]+  Done", *encoded("1", "a", "1", "end"), end]))


def test_an_answer_that_could_not_be_found_out_says_why() -> None:
    said = base64.b64encode(b"find: /x: I/O error\n<failed> find ended with status 1\n").decode()
    output = ["pe-recert:", *encoded("1", "a"), "pe-recert, failed:", said, "pe-recert."]
    with pytest.raises(ScriptFailedError) as failed:
        list(read_records(output))
    assert str(failed.value) == "find ended with status 1\nfind: /x: I/O error"


def test_script_brings_any_bytes_back(sh: Sh, tmp_path: Path) -> None:
    odd = "line\nbreak \t 'quoted' \"$HOME\" `id` \\ * "
    (tmp_path / "f").write_bytes(b"one\ntwo \xff\xfe\0three\n\n")
    script = 'say "$1" "$2" ""; text_of "$3" text "$3"'
    command = record_script(script, odd, "-n", f"{tmp_path}/f")
    lines = sh.run(command.get_raw_value()).stdout.decode("ascii").splitlines()
    text = b"one\ntwo \xff\xfethree\n\n".decode("utf-8", "surrogateescape")
    assert list(read_records(lines)) == [[odd, "-n", ""], ["text", f"{tmp_path}/f", text]]


def test_long_answer_comes_back_whole(sh: Sh) -> None:
    command = record_script('say "$1"', "x" * 100_000)
    lines = sh.run(command.get_raw_value()).stdout.decode("ascii").splitlines()
    assert list(read_records(lines)) == [["x" * 100_000]]


def test_script_that_breaks_off_is_noticed(sh: Sh) -> None:
    command = record_script("say one two; exit 1; say three")
    lines = sh.run(command.get_raw_value()).stdout.decode("ascii").splitlines()
    with pytest.raises(FactProcessError, match="cut short"):
        list(read_records(lines))


def test_programs_of_pe_are_found(sh: Sh) -> None:
    done = sh.run(shell('printf %s "$PATH"').get_raw_value())
    assert done.stdout.startswith(b"/opt/puppet/bin:")
    assert done.stdout.endswith(b":/usr/local/bin:/usr/sbin:/sbin")


# Who, when, and what the host offers


def test_who_and_when(sh: Sh) -> None:
    who = sh.ask(WhoAndWhen)
    assert who.uid == os.geteuid()
    now = float(subprocess.check_output(["date", "+%s"]))
    assert abs(who.clock - now) < 30


def test_basics_measure_room_and_need(sh: Sh, tmp_path: Path) -> None:
    data = tmp_path / "some data"
    data.mkdir()
    (data / "file").write_bytes(b"x" * 300 * 1024)
    (tmp_path / "link").symlink_to(data)
    basics = sh.ask(
        Basics,
        backup_root=f"{tmp_path}/not/yet/there",
        paths=[str(data), f"{tmp_path}/missing", f"{tmp_path}/link"],
        accounts=[ME, "no-such-account"],
        files=[str(data / "file"), f"{tmp_path}/missing", str(data)],
    )
    free = shutil.disk_usage(tmp_path).free // 1024
    assert abs(basics.free - free) < max(free // 10, 100_000)
    assert 600 <= basics.needed < 700
    assert basics.existing_accounts == {ME}
    assert basics.missing_tools == ()
    assert basics.missing_files == (f"{tmp_path}/missing", str(data))
    if shutil.which("openssl"):
        assert basics.crypto == "openssl"


def test_basics_without_paths_need_nothing(sh: Sh, tmp_path: Path) -> None:
    assert sh.ask(Basics, backup_root=str(tmp_path), paths=[], accounts=[], files=[]).needed == 0


def test_basics_tell_how_much_can_be_written_where(sh: Sh, tmp_path: Path) -> None:
    nothing: dict[str, list[str]] = {"paths": [], "accounts": [], "files": []}
    filled = [str(tmp_path), f"{tmp_path}/not/yet", TEMPORARY]
    basics = sh.ask(Basics, backup_root=str(tmp_path), filled=filled, **nothing)
    assert basics.rooms.keys() == {str(tmp_path), "/tmp"}
    for directory, room in basics.rooms.items():
        free = shutil.disk_usage(directory).free // 1024
        assert abs(room - free) < max(free // 10, 100_000)


def test_basics_tell_symbolic_links(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("x")
    for name, target in {"a link": "directory", "to file": "file", "dangling": "nowhere"}.items():
        (tmp_path / name).symlink_to(tmp_path / target)
    names = ["a link", "to file", "dangling", "directory", "file", "missing"]
    links = [f"{tmp_path}/{name}" for name in names]
    basics = sh.ask(Basics, backup_root=str(tmp_path), paths=[], accounts=[], files=[], links=links)
    assert basics.links == set(links[:3])


def test_basics_know_of_no_links_unless_asked(sh: Sh, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    arguments: dict[str, Any] = {"accounts": [], "files": [str(link)]}
    basics = sh.ask(Basics, backup_root=str(tmp_path), paths=[str(link)], **arguments)
    assert basics.links == frozenset()


def test_basics_tell_what_is_mounted_below_a_directory(sh: Sh, tmp_path: Path) -> None:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    points = {line.split()[4] for line in mounts}
    mount = min(point for point in points if point.count("/") > 1)
    above = mount.rpartition("/")[0]
    link = tmp_path / "a link"
    link.symlink_to(above)
    nothing: dict[str, Any] = {"paths": [], "accounts": [], "files": []}

    def mounted(path: str) -> set[str]:
        basics = sh.ask(Basics, backup_root=str(tmp_path), links=[path], **nothing)
        return set(basics.mounts)

    assert mounted(str(link)) == {point for point in points if point.startswith(f"{above}/")}
    assert mount not in mounted(mount)
    assert mounted(str(tmp_path / "missing")) == set()


def test_basics_tell_why_no_file_can_be_made_somewhere(sh: Sh, tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"paths": [], "accounts": [], "files": []}

    def closed(path: Path) -> tuple[str, ...]:
        basics = sh.ask(Basics, backup_root=str(tmp_path), made=[str(path)], **nothing)
        return basics.closed

    assert closed(tmp_path) == ()
    missing = tmp_path / "missing"
    assert closed(missing) == (f"{missing} is no directory.",)
    sh.provide("lsattr", f"echo '----ia------- {tmp_path}'")  # chattr +i +a
    assert closed(tmp_path) == (f"{tmp_path} cannot be changed (lsattr; mount).",)


# The SSL directories


class Tree:
    """Puppet's SSL directory as real files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.conf = printed_settings()
        for name, value in self.conf.items():
            self.conf[name] = value.replace("/etc/puppetlabs/puppet", str(root))
        for name in ("cadir", "signeddir", "csrdir", "certdir", "privatekeydir", "publickeydir"):
            Path(self.conf[name]).mkdir(parents=True, exist_ok=True)

    def write(self, setting: str, content: str | bytes, name: str | None = None) -> str:
        path = self.conf[setting] if name is None else f"{self.conf[setting]}/{name}"
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def arguments(self, texts: list[str], keys: list[str]) -> dict[str, Any]:
        conf = self.conf
        return {
            "lock": str(self.root),
            "roots": [conf["ssldir"]],
            "texts": texts,
            "keys": keys,
            "capass": conf["capass"],
            "certificate_dirs": [conf["signeddir"], conf["certdir"]],
            "cacert": conf["cacert"],
        }

    def read(
        self, sh: Sh, texts: list[str] | None = None, keys: list[str] | None = None
    ) -> SslState:
        return sh.ask(SslDirectories, **self.arguments(texts or [], keys or []))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "conf dir's")


@needs_openssl
def test_encrypted_ca_key_is_read_with_its_password_file(sh: Sh, tree: Tree) -> None:
    tree.write("cakey", key_pem("new-ca", b"a pass'word"))
    tree.write("capass", "a pass'word")
    cakey = tree.conf["cakey"]
    assert tree.read(sh, keys=[cakey]).keys == {cakey: key_digest("new-ca")}


@needs_openssl
def test_plain_keys_are_read_beside_a_password_file(sh: Sh, tree: Tree) -> None:
    tree.write("capass", "password")
    keys = {
        tree.write("cakey", key_pem("new-ca")): key_digest("new-ca"),
        tree.write("privatekeydir", key_pem("other"), "other.pem"): key_digest("other"),
    }
    assert tree.read(sh, keys=list(keys)).keys == keys


@needs_openssl
@pytest.mark.parametrize("capass", [None, b"", b"wrong"])
def test_encrypted_key_without_its_password_is_unusable(
    sh: Sh, tree: Tree, capass: bytes | None
) -> None:
    tree.write("cakey", key_pem("new-ca", b"password"))
    if capass is not None:
        tree.write("capass", capass)
    assert tree.read(sh, keys=[tree.conf["cakey"]]).keys == {tree.conf["cakey"]: None}


@needs_openssl
@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 1000, b"text", key_pem("new-ca")[:200].encode()],
    ids=["empty", "NUL", "text", "cut short"],
)
def test_damaged_key_is_unusable(sh: Sh, tree: Tree, content: bytes) -> None:
    tree.write("cakey", content)
    assert tree.read(sh, keys=[tree.conf["cakey"]]).keys == {tree.conf["cakey"]: None}


def test_missing_key_and_text_have_no_entry(sh: Sh, tree: Tree) -> None:
    state = tree.read(sh, texts=[tree.conf["cacert"]], keys=[tree.conf["cakey"]])
    assert state.texts == {}
    assert state.keys == {}


def test_no_private_key_leaves_the_host(sh: Sh, tree: Tree) -> None:
    key = key_pem("new-ca")
    tree.write("cakey", key)
    tree.write("cacert", NEW.pem)
    tree.write("capass", "the pass word")
    arguments = tree.arguments([tree.conf["cacert"]], [tree.conf["cakey"]])
    raw = payload(sh.output(SslDirectories, **arguments))
    assert NEW.pem.strip().encode() in raw
    assert b"PRIVATE" not in raw
    assert key.splitlines()[3].encode() not in raw
    assert b"the pass word" not in raw


def test_texts_of_damaged_files_come_as_they_are(sh: Sh, tree: Tree) -> None:
    empty = tree.write("certdir", b"", "empty.pem")
    nul = tree.write("certdir", b"\0" * 4096, "nul.pem")
    odd = tree.write("certdir", b"\xff\nend\n1\n", "odd.pem")
    state = tree.read(sh, texts=[empty, nul, odd])
    assert state.texts == {empty: "", nul: "", odd: "\udcff\nend\n1"}
    assert (state.files[empty].size, state.files[nul].size) == (0, 4096)


def test_entries_are_listed_with_all_their_properties(sh: Sh, tree: Tree) -> None:
    path = Path(tree.write("signeddir", NEW.pem, "agent.pem"))
    path.chmod(0o640)
    os.utime(path, (1448272000.25, 1448272000.25))
    entry = tree.read(sh).files[str(path)]
    assert (entry.kind, entry.mode, entry.owner, entry.size) == ("f", 0o640, ME, len(NEW.pem))
    assert entry.mtime == 1448272000.25
    assert entry.group == path.group()


def test_files_with_any_name_are_listed(sh: Sh, tree: Tree) -> None:
    names = ["with space.pem", "line\nbreak.pem", "$(id).pem", "-n", "ÿ.pem", "'.pem", "a\\n.pem"]
    paths = {tree.write("signeddir", NEW.pem, name) for name in names}
    files = tree.read(sh).files
    assert {path for path, entry in files.items() if entry.kind == "f"} == paths
    assert files[tree.conf["ssldir"]].kind == "d"
    assert files[tree.conf["signeddir"]].kind == "d"


def test_ssldir_behind_a_link_is_listed_under_its_own_name(sh: Sh, tree: Tree) -> None:
    real = Path(tree.conf["ssldir"]).rename(tree.root / "elsewhere")
    Path(tree.conf["ssldir"]).symlink_to(real)
    path = tree.write("signeddir", NEW.pem, "agent.pem")
    files = tree.read(sh).files
    assert files[path].kind == "f"
    assert files[tree.conf["ssldir"]].kind == "d"


def test_ssldir_that_is_gone_is_empty(sh: Sh, tree: Tree) -> None:
    shutil.rmtree(tree.conf["ssldir"])
    assert tree.read(sh) == SslState({}, {}, {}, {})


def test_certificates_not_newer_than_the_cas_are_read(sh: Sh, tree: Tree) -> None:
    cacert = tree.write("cacert", NEW.pem)
    times = {"older": 1000, "same": 2000, "newer": 3000}
    paths = {}
    for name, time in times.items():
        paths[name] = tree.write("signeddir", OLD.issue(name, 5), f"{name} one.pem")
        os.utime(paths[name], (time, time))
    os.utime(cacert, (2000, 2000))
    expected = {paths[name]: OLD.issue(name, 5).strip() for name in ("older", "same")}
    assert tree.read(sh).older_certificates == expected


def test_no_certificate_is_older_than_a_missing_ca(sh: Sh, tree: Tree) -> None:
    tree.write("signeddir", NEW.pem, "agent.pem")
    assert tree.read(sh).older_certificates == {}


def test_several_roots_are_listed(sh: Sh, tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca/serial").write_text("0001")
    arguments = tree.arguments([f"{tmp_path}/ca/serial"], [])
    arguments["roots"].append(f"{tmp_path}/ca")
    state = sh.ask(SslDirectories, **arguments)
    assert {f"{tmp_path}/ca/serial", tree.conf["signeddir"]} <= state.files.keys()
    assert state.texts == {f"{tmp_path}/ca/serial": "0001"}


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not installed here")
def test_nothing_is_read_while_a_command_still_changes(sh: Sh, tree: Tree) -> None:
    path = tree.write("serial", "0001")
    with subprocess.Popen(
        ["flock", str(tree.root), "sh", "-c", 'echo begun; sleep 0.4; printf 0002 >"$0"', path],
        stdout=subprocess.PIPE,
    ) as change:
        assert change.stdout is not None
        assert change.stdout.readline() == b"begun\n"
        assert tree.read(sh, texts=[path]).texts == {path: "0002"}


def test_lock_that_is_never_released_is_an_error(sh: Sh, tree: Tree) -> None:
    sh.provide("flock", "case $* in (*300*) exit 1 ;; esac")
    command = SslDirectories().command(**tree.arguments([], []))
    done = sh.run(command.get_raw_value())
    with pytest.raises(ScriptFailedError, match="still works on this host"):
        SslDirectories().process(done.stdout.decode("ascii").splitlines())


def test_signed_certificates_by_name(sh: Sh, tmp_path: Path) -> None:
    for name in ("agent 01", "line\nbreak", "-n", "a.b"):
        (tmp_path / f"{name}.pem").write_text(NEW.pem)
    (tmp_path / "empty.pem").write_bytes(b"")
    (tmp_path / "nul.pem").write_bytes(b"\0\xff")
    (tmp_path / "other.txt").write_text("x")
    (tmp_path / "directory.pem").mkdir()
    found = sh.ask(PemFiles, directory=str(tmp_path))
    readable = {name for name, pem in found.items() if read_certificate(pem) == NEW.certificate}
    assert readable == {"agent 01", "line\nbreak", "-n", "a.b"}
    assert found.keys() == readable | {"empty", "nul"}


def test_no_signed_certificates(sh: Sh, tmp_path: Path) -> None:
    assert sh.ask(PemFiles, directory=str(tmp_path)) == {}
    assert sh.ask(PemFiles, directory=f"{tmp_path}/missing") == {}


def test_pem_files_that_are_asked_for_by_name(sh: Sh, tmp_path: Path) -> None:
    pems = {
        name: NEW.issue(name, 5, key="agent") for name in ("a", "agent 01", "-n", "b*", "other")
    }
    for name, pem in pems.items():
        (tmp_path / f"{name}.pem").write_text(pem)
    asked = ["-n", "missing", "agent 01", "a", "$(reboot)", "b*"]
    found = sh.ask(PemFiles, directory=str(tmp_path), names=asked)
    assert found == {name: pems[name] for name in ("-n", "agent 01", "a", "b*")}


@pytest.mark.parametrize("names", [[], ["missing"]])
def test_no_pem_file_of_these_names(sh: Sh, tmp_path: Path, names: list[str]) -> None:
    directory = tmp_path / "requests"
    directory.mkdir()
    (directory / "other.pem").write_text(NEW.pem)
    assert sh.ask(PemFiles, directory=str(directory), names=names) == {}
    assert sh.ask(PemFiles, directory=f"{directory}/missing", names=names) == {}


def test_pem_file_behind_a_link_and_one_with_two_names_are_read(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(NEW.pem)
    (tmp_path / "link.pem").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "one.pem").write_text(OLD.pem)
    (tmp_path / "two.pem").hardlink_to(tmp_path / "one.pem")
    found = {"link": NEW.pem, "one": OLD.pem, "two": OLD.pem}
    assert sh.ask(PemFiles, directory=str(tmp_path)) == found
    assert sh.ask(PemFiles, directory=str(tmp_path), names=list(found)) == found


def test_a_key_behind_a_link_stays_on_its_host(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "secret").write_text(f"{NEW.pem}{key_pem('ca')}")
    (tmp_path / "ca" / "link.pem").symlink_to(tmp_path / "secret")
    assert sh.ask(PemFiles, directory=str(tmp_path / "ca")) == {"link": NEW.pem}
    assert sh.ask(PemFiles, directory=str(tmp_path / "ca"), names=["link"]) == {"link": NEW.pem}


def test_link_that_leads_nowhere_is_no_pem_file(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "one.pem").write_text(NEW.pem)
    (tmp_path / "dangling.pem").symlink_to(tmp_path / "nowhere")
    assert sh.ask(PemFiles, directory=str(tmp_path), names=["dangling", "one"]) == {"one": NEW.pem}


def test_what_is_larger_than_any_certificate_is_cut_off(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "large.pem").write_bytes(b"x" * (LARGEST_PEM + 1))
    (tmp_path / "one.pem").write_text(NEW.pem)
    for names in (None, ["large", "one"]):
        found = sh.ask(PemFiles, directory=str(tmp_path), names=names)
        assert found == {"large": "x" * LARGEST_PEM, "one": NEW.pem}


@pytest.mark.parametrize("most", [None, 2048, 2047])
def test_too_many_to_be_read_at_once_are_there_by_name(
    sh: Sh, tmp_path: Path, most: int | None
) -> None:
    for name in "ab":
        (tmp_path / f"{name}.pem").write_text(f"{name} 345678 ")
    read = NOT_READ if most == 2047 else "a 345678 "
    assert sh.ask(PemFiles, directory=str(tmp_path), most=most)["a"] == read
    assert sh.ask(PemFiles, directory=str(tmp_path), names=["a"], most=most) == {"a": "a 345678 "}


def test_so_many_that_not_even_their_names_are_told(
    sh: Sh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facts.ssl.MOST_NAMES", 3)
    for number in range(5):
        (tmp_path / f"{number}.pem").write_text("x")
    found = sh.ask(PemFiles, directory=str(tmp_path), most=5 * 1024 - 1)
    assert found == dict.fromkeys("012", NOT_READ)
    assert len(sh.ask(PemFiles, directory=str(tmp_path), most=5 * 1024)) == 5
    assert sh.ask(PemFiles, directory=str(tmp_path), names=["4"]) == {"4": "x"}


def test_who_asks_for_one_is_not_held_up_by_the_others(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "one.pem").write_text(NEW.pem)
    with (tmp_path / "other.pem").open("wb") as other:
        other.truncate(1 << 40)
    assert sh.ask(PemFiles, directory=str(tmp_path), names=["one"]) == {"one": NEW.pem}


def test_request_is_read_byte_for_byte(sh: Sh, tmp_path: Path) -> None:
    """Its digest is compared with that of the file before it is signed."""
    for name, text in {"crlf": "a\r\nb\r\n", "long": "x" * 60_000, "end": "no line feed"}.items():
        (tmp_path / f"{name}.pem").write_bytes(text.encode())
        assert sh.ask(PemFiles, directory=str(tmp_path), names=[name]) == {name: text}


def test_signed_certificates_that_arrive_cut_short_are_an_error(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.pem").write_text(NEW.issue(f"agent{number}", number + 2))
    done = subprocess.run(["tar", "-C", tmp_path, "-czf", "-", "."], stdout=-1, check=True)
    half = done.stdout[: len(done.stdout) // 2]
    with pytest.raises(FactProcessError):
        PemFiles().process([base64.b64encode(half).decode("ascii")])


# A component's directory


def test_component_directory_tells_which_copies_equal_their_source(sh: Sh, tmp_path: Path) -> None:
    source, directory = tmp_path / "source", tmp_path / "the copies"
    for path in (source, directory):
        path.mkdir()
    (source / "a.pem").write_text(NEW.pem)
    (source / "key.pem").write_text(key_pem("new-ca"))
    (directory / "a.cert.pem").write_text(NEW.pem)
    (directory / "b.cert.pem").write_text(OLD.pem)
    (directory / "a.private_key.pem").write_text(key_pem("new-ca"))
    (directory / "lone.cert.pem").write_bytes(b"")
    (directory / ".hidden").write_text("x")
    copies = [
        (f"{directory}/a.cert.pem", f"{source}/a.pem"),
        (f"{directory}/b.cert.pem", f"{source}/a.pem"),
        (f"{directory}/a.private_key.pem", f"{source}/key.pem"),
        (f"{directory}/lone.cert.pem", f"{source}/missing.pem"),
        (f"{directory}/missing.cert.pem", f"{source}/a.pem"),
    ]
    arguments: dict[str, Any] = {"directory": str(directory), "account": ME, "copies": copies}
    state = sh.ask(ComponentDirectory, **arguments)
    assert state.account_exists
    assert state.directory is not None
    assert state.directory.kind == "d"
    assert state.same == {f"{directory}/a.cert.pem", f"{directory}/a.private_key.pem"}
    assert state.certificates == {
        f"{directory}/a.cert.pem": NEW.pem.strip(),
        f"{directory}/b.cert.pem": OLD.pem.strip(),
        f"{directory}/lone.cert.pem": "",
    }
    names = {".hidden", "a.cert.pem", "a.private_key.pem", "b.cert.pem", "lone.cert.pem"}
    assert state.files.keys() == {f"{directory}/{name}" for name in names}
    raw = payload(sh.output(ComponentDirectory, **arguments))
    assert b"PRIVATE" not in raw


def test_a_key_as_pkcs8_is_compared_with_the_key_that_it_is_of(sh: Sh, tmp_path: Path) -> None:
    """The host's Ruby makes it, for which OpenSSL stands in here."""
    as_pk8 = "openssl pkcs8 -topk8 -nocrypt -outform DER"
    sh.provide("ruby", f"{as_pk8} 2>/dev/null || exit 1")
    key, other, broken = (tmp_path / name for name in ("key.pem", "other.pem", "broken.pem"))
    key.write_text(key_pem("new-ca"))
    other.write_text(key_pem("other"))
    broken.write_text("no key")
    copies = []
    for name, source in (("same", key), ("another", other), ("broken", broken), ("empty", broken)):
        copy = tmp_path / f"{name}.private_key.pk8"
        made = subprocess.run([*as_pk8.split(), "-in", key], capture_output=True, check=True).stdout
        copy.write_bytes(made if name != "empty" else b"")
        copies.append((str(copy), str(source)))
    state = sh.ask(ComponentDirectory, directory=str(tmp_path), account=ME, copies=copies)
    assert state.same == {copies[0][0]}


# Several names of one number


@pytest.fixture
def second_name(sh: Sh) -> str:
    """An account that has the number of whoever runs the tests, whose name comes first."""
    name = "pe-second"
    as_first = f"""
for word; do
    shift
    [ "$word" != {name} ] || word={{}}
    set -- "$@" "$word"
done
exec {{}} "$@"
"""
    group = grp.getgrgid(os.getgid()).gr_name
    find = as_first.format("$first", shutil.which("find"))
    find = find.replace(
        "do\n",
        f"do\n    case $last in (-group) first={group} ;; (*) first={ME} ;; esac; last=$word\n",
        1,
    )
    sh.provide("find", find)
    sh.provide("id", as_first.format(ME, shutil.which("id")))
    return name


def test_who_has_another_name_with_the_same_number_is_the_owner(
    sh: Sh, tmp_path: Path, tree: Tree, second_name: str
) -> None:
    """Of two names passwd's first is told, and puppet.conf or the vendor may have the other."""
    path = tree.write("serial", "01")
    arguments = tree.arguments([], [])
    whose = sh.ask(SslDirectories, **arguments, owner=(second_name, second_name)).files[path]
    assert whose.ownership == f"{second_name}:{second_name}"
    state = sh.ask(ComponentDirectory, directory=str(tree.root), account=second_name, copies=[])
    assert state.account_exists
    assert {entry.ownership for entry in state.files.values()} == {f"{second_name}:{second_name}"}
    # Whoever has another number has another name, and one that nobody has is none.
    for other in ("nobody", "no-such-account"):
        found = sh.ask(SslDirectories, **arguments, owner=(other, other)).files[path]
        assert found.ownership == f"{ME}:{grp.getgrgid(os.getgid()).gr_name}"


@pytest.mark.skipif(os.getuid() != 0, reason="files of root's are needed")
def test_root_is_called_root_whichever_of_his_names_comes_first(sh: Sh, tree: Tree) -> None:
    """Whether somebody else has made a directory is judged by that."""
    found = shutil.which("find")
    sh.provide(
        "find",
        'for word; do shift; [ "$word" != "%u\\0" ] || word="toor\\0"; set -- "$@" "$word"; done\n'
        f'exec {found} "$@"',
    )
    path = tree.write("serial", "01")
    files = sh.ask(SslDirectories, **tree.arguments([], []), owner=("nobody", "nobody")).files
    assert files[path].owner == "root"
    unknown = sh.ask(SslDirectories, **tree.arguments([], []), owner=("", ""))
    assert unknown.files[path].owner == "toor"


def test_component_that_is_not_there(sh: Sh, tmp_path: Path) -> None:
    state = sh.ask(
        ComponentDirectory,
        directory=f"{tmp_path}/missing",
        account="no-such-account",
        copies=[(f"{tmp_path}/missing/a.cert.pem", f"{tmp_path}/a.pem")],
    )
    assert not state.installed
    assert state.files == {}
    assert state.same == frozenset()


# Backups


class Store:
    """A directory with backups that were made by hand."""

    def __init__(self, place: Path, sh: Sh) -> None:
        self.sh, self.root, self.live = sh, place / "backups", place / "live files"
        self.live.mkdir(parents=True)
        (self.live / "one").write_text("1")
        (self.live / "two\nlines").write_text("2")

    def backup(self, name: str, **changes: Any) -> Path:
        directory = self.root / name
        directory.mkdir(parents=True)
        archive = directory / "archive.tar"
        member = str(self.live).removeprefix("/")
        subprocess.run(["tar", "-C", "/", "-cpf", archive, member], check=True)
        sums = "LC_ALL=C; export LC_ALL\n" + PIPELINES + LIVE_SUMS + 'whole live_sums "$@"'
        command = shell(sums, str(self.live))
        (directory / "SHA256SUMS").write_bytes(self.sh.run(command.get_raw_value()).stdout)
        manifest = Manifest(
            made_at="2015-11-23T10:15:00+00:00",
            host="master",
            certname=CERTNAME,
            ca_fingerprint=OLD.certificate.fingerprint,
            ca_key=OLD.certificate.key,
            ca_subject=None,
            ca_expires=None,
            paths=(str(self.live),),
            settings={"dns_alt_names": ["puppet"]},
        )
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        text = replace(manifest, **changes).to_json().replace(ARCHIVE_DIGEST, digest)
        (directory / "manifest.json").write_text(text)
        return directory

    def read(self, paths: list[Path] | None = None) -> BackupStore:
        found = [self.live] if paths is None else paths
        return self.sh.ask(Backups, root=str(self.root), paths=[str(path) for path in found])


@pytest.fixture
def store(sh: Sh, tmp_path: Path) -> Store:
    return Store(tmp_path, sh)


FIRST, SECOND = "20151123T101500Z-ab12cd34ef56ab78", "20151124T101500Z-ab12cd34ef56ab78"


def test_no_backups_save_nothing(store: Store) -> None:
    assert store.read() == BackupStore((), frozenset(), 2)


def test_what_others_see_beside_the_backups_is_told(store: Store) -> None:
    for name in (FIRST, f".{SECOND}.partial"):
        (store.root / name).mkdir(parents=True)
    for name in ("stopped", "classified", "refused", "silent"):
        (store.root / name).touch()
    store.root.chmod(0o755)
    assert store.read().beside == ()
    for name in ("www", ".20151123.partial"):
        (store.root / name).mkdir()
    assert set(store.read().beside) == {f"{store.root}/{n}" for n in ("www", ".20151123.partial")}
    store.root.chmod(0o700)
    assert bool(store.read().beside) == (os.getuid() != 0)


def test_names_that_tar_prints_in_its_own_way_are_no_difference(store: Store) -> None:
    (store.live / "Schlüssel").mkdir()
    for name in ("Schlüssel/plain", "back\\slash", "tab\there", "Schlüssel/back\\slash"):
        (store.live / name).write_text("3")
    store.backup(FIRST)
    (backup,) = store.read().backups
    assert not backup.differs
    (store.live / "Schlüssel" / "late").write_text("4")
    (backup,) = store.read().backups
    assert backup.differs


def test_backup_that_holds_all_is_valid_and_the_same(store: Store) -> None:
    store.backup(FIRST)
    found = store.read()
    (backup,) = found.backups
    assert (backup.name, backup.valid, backup.uncovered, backup.differs) == (FIRST, True, 0, False)
    assert found.unsaved == 0
    assert found.of_ca(OLD.certificate.fingerprint) == [backup]
    assert found.of_ca(NEW.certificate.fingerprint) == []


def test_backups_come_oldest_first(store: Store) -> None:
    for name in (SECOND, FIRST):
        store.backup(name)
    assert [backup.name for backup in store.read().backups] == [FIRST, SECOND]


def test_changed_file_is_uncovered_and_differs(store: Store) -> None:
    store.backup(FIRST)
    (store.live / "one").write_text("changed")
    found = store.read()
    (backup,) = found.backups
    assert (backup.valid, backup.uncovered, backup.differs) == (True, 1, True)
    assert found.unsaved == 1


def test_new_file_is_uncovered(store: Store) -> None:
    store.backup(FIRST)
    (store.live / "three").write_text("3")
    (backup,) = store.read().backups
    assert (backup.uncovered, backup.differs) == (1, True)


def test_removed_file_differs_and_leaves_nothing_uncovered(store: Store) -> None:
    store.backup(FIRST)
    (store.live / "one").unlink()
    found = store.read()
    (backup,) = found.backups
    assert (backup.uncovered, backup.differs) == (0, True)
    assert found.unsaved == 0


def test_mode_that_changed_differs(store: Store) -> None:
    store.backup(FIRST)
    (store.live / "one").chmod(0o600)
    (backup,) = store.read().backups
    assert (backup.uncovered, backup.differs) == (0, True)


def test_times_that_changed_do_not_differ(store: Store) -> None:
    store.backup(FIRST)
    for path in (store.live, store.live / "one"):
        os.utime(path, (1000, 1000))
    (backup,) = store.read().backups
    assert not backup.differs


def test_file_in_any_valid_backup_is_saved(store: Store) -> None:
    store.backup(FIRST)
    (store.live / "one").write_text("changed")
    store.backup(SECOND)
    found = store.read()
    assert [backup.uncovered for backup in found.backups] == [1, 0]
    assert found.unsaved == 0


def damage_archive(directory: Path) -> None:
    with (directory / "archive.tar").open("r+b") as archive:
        archive.seek(600)
        archive.write(b"damage")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "archive changed": damage_archive,
    "archive gone": lambda directory: (directory / "archive.tar").unlink(),
    "sums gone": lambda directory: (directory / "SHA256SUMS").unlink(),
    "archive cut short": lambda directory: os.truncate(directory / "archive.tar", 1000),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_backup_is_not_valid_and_saves_nothing(store: Store, damage: str) -> None:
    directory = store.backup(FIRST)
    DAMAGES[damage](directory)
    command = Backups().command(root=str(store.root), paths=[str(store.live)])
    found = Backups().process(
        store.sh.run(command.get_raw_value()).stdout.decode("ascii").splitlines()
    )
    assert [backup.valid for backup in found.backups] == [False]
    assert found.unsaved == 2


def test_unfinished_and_foreign_directories_are_no_backups(store: Store) -> None:
    store.backup(f".{FIRST}.partial")
    (store.root / "notes").mkdir()
    (store.backup(SECOND) / "manifest.json").write_text("garbage")
    store.backup("20151125T101500Z-no-ca", version=2)
    assert store.read().backups == ()


def test_live_files_behind_a_link_are_compared_with_what_is_there(store: Store) -> None:
    store.backup(FIRST)
    link = store.root.parent / "link"
    link.symlink_to(store.live)
    (backup,) = store.read([link]).backups
    assert (backup.uncovered, backup.differs) == (0, False)
    (store.live / "three").write_text("3")
    (backup,) = store.read([link]).backups
    assert (backup.uncovered, backup.differs) == (1, True)


def test_backups_can_be_listed_without_live_files(store: Store) -> None:
    store.backup(FIRST)
    found = store.read([])
    assert (found.backups[0].valid, found.backups[0].uncovered, found.unsaved) == (True, 0, 0)


def test_cas_whose_groups_were_confirmed_are_remembered(store: Store) -> None:
    store.root.mkdir()
    (store.root / "classified").write_text("AB:CD\nEF:01\n")
    assert store.read().classified == {"AB:CD", "EF:01"}
    assert store.read().stopped == set()
    (store.root / "stopped").write_text("pe-puppet\npe-mcollective\n")
    assert store.read().stopped == {"pe-puppet", "pe-mcollective"}
    assert store.read().refused == set()
    (store.root / "refused").write_text("12:34\n")
    assert store.read().refused == {"12:34"}


@pytest.mark.parametrize(
    ("backups", "inside"), [("ssl", True), ("real/new/backups", True), ("real-not", False)]
)
def test_where_backups_would_be_whatever_leads_there(
    sh: Sh, tmp_path: Path, backups: str, inside: bool
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "ssl").symlink_to("real")
    nothing: dict[str, list[str]] = {"paths": [], "accounts": [], "files": []}
    root, ssl = f"{tmp_path}/{backups}", f"{tmp_path}/ssl"
    basics = sh.ask(Basics, backup_root=root, links=[ssl], **nothing)
    assert basics.around == ((ssl,) if inside else ())


# Services


def test_service_that_exists_nowhere_is_missing(sh: Sh) -> None:
    names = ["pe-no-such-service", "pe-not that; either"]
    assert sh.ask(ServiceStates, services=names) == dict.fromkeys(names, Service.MISSING)


def test_no_services(sh: Sh) -> None:
    assert sh.ask(ServiceStates, services=[]) == {}


# Orchestration


@pytest.mark.parametrize("nodes", ["", "one\ntwo\n"])
@pytest.mark.parametrize("greeting", ["", r"Welcome\n", r"\033]0;title\007"])
def test_what_a_login_says_is_no_node(sh: Sh, greeting: str, nodes: str) -> None:
    sh.provide("id", "exit 0")
    sh.provide("mco", f"printf '{nodes}'")
    sh.provide("su", f"""printf '{greeting}'; sh -c "$4"; printf '{greeting}'""")
    assert sh.ask(DiscoveredNodes, discovery=1) == Orchestration(frozenset(nodes.split()))


def test_an_account_that_may_not_log_in_has_said_why(sh: Sh) -> None:
    sh.provide("id", "exit 0")
    sh.provide("mco", "exit 0")
    sh.provide("su", "echo This account is currently not available.; exit 1")
    found = sh.ask(DiscoveredNodes, discovery=1)
    assert found == Orchestration(frozenset(), "", "This account is currently not available.")


def asked_as_peadmin(sh: Sh, mco: str, login: str = ":") -> Orchestration:
    sh.provide("id", "exit 0")
    sh.provide("mco", mco)
    sh.provide("su", f"""{login}; exec sh -c "$4" """)
    return sh.ask(DiscoveredNodes, discovery=1)


def test_what_a_login_leaves_running_is_not_waited_for(sh: Sh, tmp_path: Path) -> None:
    """It holds open what the login prints into."""
    left = f"sleep 1000 & echo $! >{tmp_path}/left"
    try:
        assert asked_as_peadmin(sh, "echo one", left) == Orchestration(frozenset({"one"}))
    finally:
        os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)


def test_who_does_not_end_when_told_to_is_ended(sh: Sh, monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds in ("PATIENCE", "GRACE"):
        monkeypatch.setattr(orchestration, seconds, 1)
    stubborn = "trap '' TERM; echo one; while :; do sleep 1; done"
    assert asked_as_peadmin(sh, stubborn).answering <= {"one"}  # a slow machine may not get there


def test_an_answer_without_an_end_is_none(sh: Sh, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is the disk filled with it. Its last line may be half a name."""
    monkeypatch.setattr(orchestration, "LARGEST_FILE", 64 * 1024)
    said = asked_as_peadmin(sh, "yes web01.example.com").said
    assert said.startswith(orchestration.CUT_SHORT)
    # Who floods it hides nobody else's answer.
    whole = asked_as_peadmin(sh, "echo one; echo two; echo three")
    assert not whole.cut_short and whole.answering == {"one", "two", "three"}
    begin = len("pe-recert, who answers: \n") + 32
    monkeypatch.setattr(orchestration, "LARGEST_ANSWER", begin + len("one\ntwo\nth"))
    cut = asked_as_peadmin(sh, "echo one; echo two; echo three")
    assert cut.cut_short and cut.answering == {"one", "two"}
    assert cut.said.startswith(orchestration.CUT_SHORT)


@pytest.mark.parametrize(
    "name", ["pe-recert, that is all.", "pe-recert, that is all:", "pe-recert, who answers:"]
)
def test_no_node_hides_others_by_what_it_is_called(sh: Sh, name: str) -> None:
    found = asked_as_peadmin(sh, f"echo one; echo '{name}'; echo two")
    assert found == Orchestration(frozenset({"one", name, "two"}))


def test_two_that_are_called_the_same_are_known(sh: Sh) -> None:
    found = asked_as_peadmin(sh, "echo one; echo two; echo one")
    assert found == Orchestration(frozenset({"one", "two"}), twice=frozenset({"one"}))


# The agent


def agent(sh: Sh, directory: Path) -> AgentState:
    names = ("summary", "catalog", "disabled", "lockfile")
    return sh.ask(PuppetAgent, **{name: f"{directory}/{name}" for name in names})


def test_agent_that_never_ran_left_nothing(sh: Sh, tmp_path: Path) -> None:
    assert agent(sh, tmp_path) == AgentState(None, None, None, None)


@pytest.mark.parametrize(
    "report",
    [
        "cached_catalog_status: on_failure\n",
        "  message: 'Could not retrieve catalog from remote server: Error 400 on SERVER: no'\n",
    ],
)
def test_a_run_that_went_by_the_cached_catalog_did_not_succeed(
    sh: Sh, tmp_path: Path, report: str
) -> None:
    """Its summary says that it did. A report from before that run says nothing of it."""
    summary, path = tmp_path / "summary", tmp_path / REPORT
    summary.write_text(SUCCESS)
    path.write_text(report)
    for report_is_older, cached in ((False, True), (True, False)):
        os.utime(summary, (1448272000, 1448272000))
        os.utime(path, (1448272000 - report_is_older,) * 2)
        found = agent(sh, tmp_path).last_run
        assert found == LastRun(1448272000.0, succeeded=not cached, cached=cached)
    path.write_text("cached_catalog_status: not_used\n")
    assert agent(sh, tmp_path).last_run == LastRun(1448272000.0, succeeded=True)


@pytest.mark.parametrize("setting", ["prerun_command", "postrun_command"])
def test_a_run_whose_own_command_failed_did_not_succeed(
    sh: Sh, tmp_path: Path, setting: str
) -> None:
    """Puppet ends with 1, and its summary is of the resources alone."""
    summary, path = tmp_path / "summary", tmp_path / REPORT
    summary.write_text(SUCCESS)
    path.write_text(
        f"  message: \"Could not run command from {setting}: Execution of '/bin/false'"
        ' returned 1: "\n'
    )
    os.utime(summary, (1448272000, 1448272000))
    os.utime(path, (1448272000, 1448272000))
    found = agent(sh, tmp_path).last_run
    assert found == LastRun(1448272000.0, succeeded=False, command=setting)
    assert found.failure == f"has failed with its {setting}"
    os.utime(path, (1448271999, 1448271999))
    assert agent(sh, tmp_path).last_run == LastRun(1448272000.0, succeeded=True)


def test_agents_traces_are_read(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "summary").write_text(SUCCESS)
    catalog = tmp_path / "catalog"
    catalog.write_text("{}")
    catalog.chmod(0o660)
    os.utime(catalog, (1448272000.5, 1448272000.5))
    (tmp_path / "disabled").write_text('{"disabled_message":"why"}')
    found = agent(sh, tmp_path)
    assert found.last_run == LastRun(1448272000.0, succeeded=True)
    assert found.catalog is not None
    entry = found.catalog
    assert (entry.kind, entry.mode, entry.owner, entry.group, entry.size, entry.mtime) == (
        "f",
        0o660,
        ME,
        catalog.group(),
        2,
        1448272000.5,
    )
    assert found.disabled == '{"disabled_message":"why"}'


def test_agent_disabled_without_a_reason_is_disabled(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "disabled").write_bytes(b"")
    assert agent(sh, tmp_path).disabled == ""


def test_lock_of_a_live_process_is_a_running_agent(sh: Sh, tmp_path: Path) -> None:
    with subprocess.Popen(["puppet agent: applying", "60"], executable="/bin/sleep") as process:
        (tmp_path / "lockfile").write_text(f"{process.pid}")
        found = agent(sh, tmp_path).running
        process.kill()
    assert found == process.pid


def test_lock_whose_number_is_another_process_by_now_is_stale(sh: Sh, tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        (tmp_path / "lockfile").write_text(f"{process.pid}")
        found = agent(sh, tmp_path).running
        process.kill()
    assert found is None


def test_lock_of_a_dead_process_is_none(sh: Sh, tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    (tmp_path / "lockfile").write_text(f"{process.pid}\n")
    assert agent(sh, tmp_path).running is None


@pytest.mark.parametrize("content", ["", "\n", "-1", "1 2", "$(reboot)", "1;reboot", "--"])
def test_lock_without_a_process_is_none(sh: Sh, tmp_path: Path, content: str) -> None:
    (tmp_path / "lockfile").write_text(content)
    assert agent(sh, tmp_path).running is None


SUCCESS = """---
  version:
    config: 1448271990
    puppet: "3.7.4 (Puppet Enterprise 3.7.1)"
  resources:
    changed: 2
    failed: 0
    total: 300
  time:
    total: 4.2
    last_run: 1448272000
"""


def test_run_with_a_catalog_and_without_failures_succeeded() -> None:
    assert read_summary(SUCCESS) == LastRun(1448272000.0, succeeded=True)


def test_a_version_may_be_empty_and_is_one() -> None:
    """As a `config_version` that prints nothing makes it."""
    unversioned = SUCCESS.replace("config: 1448271990", "config: ''")
    assert read_summary(unversioned) == LastRun(1448272000.0, succeeded=True)
    restarted = SUCCESS.replace("failed: 0", "failed: 0\n    failed_to_restart: 0")
    assert read_summary(restarted) == LastRun(1448272000.0, succeeded=True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("config: 1448271990", "config:"),
        ("failed: 0", "failed: 1"),
        ("failed: 0", "failed: 0\n    failed_to_restart: 1"),
        ("failed: 0", "failed:"),
        ("resources:\n    changed: 2\n    failed: 0\n    total: 300\n", "events:\n    total: 0\n"),
        ("resources:\n    changed: 2\n    failed: 0\n    total: 300\n", "resources:\n"),
        ('version:\n    config: 1448271990\n    puppet: "3', 'versions:\n    puppet: "3'),
    ],
)
def test_run_without_catalog_or_with_failures_did_not_succeed(old: str, new: str) -> None:
    assert old in SUCCESS
    assert read_summary(SUCCESS.replace(old, new)) == LastRun(1448272000.0, succeeded=False)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---\n",
        "text",
        "- 1\n- 2\n",
        "time:\n",
        "time: now\n",
        "time:\n  last_run: yesterday\n",
        SUCCESS.replace("    last_run: 1448272000\n", ""),
        "time: {last_run: 1",
        "\tno yaml",
        "--- !ruby/object:Puppet::Nothing\ntime:\n  last_run: 1\n",
        "time:\n  last_run: \udcff\n",
        "[" * 5000,
    ],
)
def test_summary_that_says_nothing_of_a_run_is_none(text: str) -> None:
    assert read_summary(text) is None


# Puppet's settings


def print_settings(sh: Sh, order: list[str], before: str = "", errors: str = "") -> None:
    """A `puppet` that prints settings to root; alt names differ with the section, as in Puppet."""
    sh.provide("id", "echo 0")
    values = printed_settings(dns_alt_names="")
    lines = "\n".join(f"{name} = {values[name]}" for name in order)
    sh.provide(
        "puppet",
        f"""[ "$1 $2 $3" = 'config print --section' ] || exit 1
case " $* " in *' --color=false '*) ;; *) exit 1 ;; esac
printf '%b' '{errors}' >&2
cat <<'end'
{before}{lines.replace("dns_alt_names = ", "dns_alt_names =")}
end
[ "$4" = agent ] || echo 'dns_alt_names = puppet'
""",
    )


@pytest.mark.parametrize("order", [list(SETTINGS), sorted(SETTINGS)])
def test_settings_of_both_sections_are_read(sh: Sh, order: list[str]) -> None:
    print_settings(sh, order)
    found = sh.ask(PuppetSettings)
    assert found.program == f"{sh.directory}/puppet"
    assert found.agent == printed_settings(dns_alt_names="")
    assert found.master == printed_settings(dns_alt_names="puppet")
    assert found.complaints == []


def test_of_an_agent_only_its_own_section_is_read(sh: Sh) -> None:
    print_settings(sh, list(SETTINGS))
    sh.provide("note", f'echo "$@" >>"{sh.directory}/asked"')
    puppet = sh.directory / "puppet"
    puppet.write_text(puppet.read_text().replace("#!/bin/sh", '#!/bin/sh\nnote "$@"'))
    found = sh.ask(PuppetSettings, sections="agent")
    assert found.program == str(puppet)
    assert found.agent == printed_settings(dns_alt_names="")
    assert found.master == {}
    assert found.complaints == []
    asked = (sh.directory / "asked").read_text()
    assert asked == f"config print --section agent --color=false {' '.join(SETTINGS)}\n"


def test_errors_of_an_agents_puppet_are_complaints(sh: Sh) -> None:
    complaint = "Error: Could not parse /etc/puppetlabs/puppet/puppet.conf"
    print_settings(sh, list(SETTINGS), errors=f"{complaint}\\n")
    assert sh.ask(PuppetSettings, sections="agent").complaints == [complaint]


def test_deprecations_are_no_complaints(sh: Sh) -> None:
    print_settings(sh, list(SETTINGS), errors="Warning: Setting modulepath is deprecated\\n")
    found = sh.ask(PuppetSettings)
    assert found.complaints == []
    assert found.agent == printed_settings(dns_alt_names="")


def test_errors_are_complaints_once_and_without_colour(sh: Sh) -> None:
    complaint = "Error: Could not parse /etc/puppetlabs/puppet/puppet.conf"
    print_settings(sh, list(SETTINGS), errors=f"\\033[1;31m{complaint}\\033[0m\\n")
    assert sh.ask(PuppetSettings).complaints == [complaint]


def test_as_whom_and_when_puppet_was_asked(sh: Sh) -> None:
    print_settings(sh, list(SETTINGS))
    sh.provide("date", f'[ -e "{sh.directory}/asked" ] && echo 1448272000')
    puppet = sh.directory / "puppet"
    puppet.write_text(
        puppet.read_text().replace("#!/bin/sh", f'#!/bin/sh\n>"{sh.directory}/asked"')
    )
    assert sh.ask(PuppetSettings, sections="agent").who == Identity(0, 1448272000.0)


def test_nobody_but_root_starts_puppet(sh: Sh) -> None:
    print_settings(sh, list(SETTINGS))
    sh.provide("id", "echo 1000")
    found = sh.ask(PuppetSettings)
    assert found.who.uid == 1000
    assert found.program is None
    assert found.agent == found.master == {}


def test_a_puppet_that_is_asked_for_settings_has_a_roomy_heap(sh: Sh) -> None:
    print_settings(sh, list(SETTINGS))
    puppet = sh.directory / "puppet"
    sized = '#!/bin/sh\n[ "$RUBY_HEAP_MIN_SLOTS$RUBY_GC_HEAP_INIT_SLOTS" = 600000600000 ] || exit'
    puppet.write_text(puppet.read_text().replace("#!/bin/sh", sized))
    assert sh.ask(PuppetSettings, sections="agent").agent == printed_settings(dns_alt_names="")


@pytest.mark.skipif(shutil.which("puppet") is not None, reason="Puppet is installed here")
def test_host_without_puppet(sh: Sh) -> None:
    for sections in ("master agent", "agent", "master"):
        found = sh.ask(PuppetSettings, sections=sections)
        assert found.program is None
        assert found.agent == found.master == {}


# How the master signs


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("true", Autosigning.ALL),
        ("false", Autosigning.OFF),
        ("", Autosigning.OFF),
        ("relative/autosign.conf", Autosigning.OFF),
        ("/nonexistent/autosign.conf", Autosigning.OFF),
        ("true; say all", Autosigning.OFF),
    ],
)
def test_autosign_without_a_file(sh: Sh, value: str, kind: Autosigning) -> None:
    assert sh.ask(AutosignSetting, autosign=value) == Autosign(kind)


@pytest.mark.parametrize(
    ("content", "patterns"),
    [
        ("agent01\n*.example.com\n", ("agent01", "*.example.com")),
        ("agent01", ("agent01",)),
        ("# nobody\n\n  \n\t\n", ()),
        ("", ()),
        ("#*\n*.example.com # but not all\n", ("*.example.com",)),
        ("  agent01\t\r\nagent02\r\n", ("agent01", "agent02")),
        ("*\n", ("*",)),
        ("$(reboot)\nal\\l\n-n\n", ("$(reboot)", "al\\l", "-n")),
        ("all\npolicy\nend\n", ("all", "policy", "end")),
    ],
    ids=range(9),
)
def test_autosign_with_a_list(
    sh: Sh, tmp_path: Path, content: str, patterns: tuple[str, ...]
) -> None:
    path = tmp_path / "auto sign.conf"
    path.write_bytes(content.encode())
    kind = Autosigning.LISTED if patterns else Autosigning.OFF
    assert sh.ask(AutosignSetting, autosign=str(path)) == Autosign(kind, patterns)


def test_autosign_with_a_relative_path_is_off(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "autosign.conf").write_text("*\n")
    path = os.path.relpath(tmp_path / "autosign.conf")
    assert sh.ask(AutosignSetting, autosign=path) == Autosign()


def test_autosign_with_a_program_does_not_run_it(sh: Sh, tmp_path: Path) -> None:
    path = tmp_path / "policy"
    path.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    path.chmod(0o755)
    assert sh.ask(AutosignSetting, autosign=str(path)) == Autosign(Autosigning.POLICY)
    assert not (tmp_path / "ran").exists()


# TLS


def live_certificate(name: str) -> str:
    return LIVE.issue(name, 2, key="live", expires=LIVE.expires)


@contextmanager
def tls_server(place: Path, answer: bytes = b"", ask_client: bool = False) -> Iterator[int]:
    """The port of a server with a certificate of `LIVE`, which gives `answer` to the request
    for groups. With `ask_client` it accepts clients with a certificate of `LIVE` only."""
    (place / "server.pem").write_text(live_certificate(CERTNAME) + key_pem("live"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "server.pem")
    if ask_client:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=LIVE.pem)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(plain, server_side=True) as connection:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        part = connection.recv(4096)
                        if not part:
                            break
                        request += part
                    if request.startswith(b"GET /classifier-api/v1/groups HTTP/1.0\r\n"):
                        connection.sendall(answer)
            except OSError:
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@needs_openssl
def test_certificate_that_a_server_presents(sh: Sh, tmp_path: Path) -> None:
    with tls_server(tmp_path) as port:
        pem = sh.ask(PresentedCertificate, addresses=["127.0.0.1"], port=port)
    assert pem == live_certificate(CERTNAME).strip()


@needs_openssl
@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "localhost"])
def test_a_server_at_another_address(sh: Sh, tmp_path: Path, address: str) -> None:
    with tls_server(tmp_path) as port:
        assert sh.ask(PresentedCertificate, addresses=[address], port=port) is not None


@needs_openssl
def test_next_address_is_tried(sh: Sh, tmp_path: Path) -> None:
    with tls_server(tmp_path) as port:
        addresses = ["no-such-host.invalid", "127.0.0.1"]
        assert sh.ask(PresentedCertificate, addresses=addresses, port=port) is not None


def test_server_that_does_not_answer_presents_nothing(sh: Sh) -> None:
    assert sh.ask(PresentedCertificate, addresses=["127.0.0.1"], port=closed_port()) is None


def classifier(
    sh: Sh,
    place: Path,
    answer: bytes,
    trusted: str = "",
    port: int | None = None,
    addresses: tuple[str, ...] = ("127.0.0.1",),
) -> str | None:
    """What the fact makes of a classifier that gives `answer` to who shows a certificate."""
    (place / "client.pem").write_text(live_certificate("pe-internal-classifier"))
    (place / "client key.pem").write_text(key_pem("live"))
    (place / "ca.pem").write_text(trusted or LIVE.pem)
    with tls_server(place, answer, ask_client=True) as serving:
        return sh.ask(
            ClassifierGroups,
            addresses=list(addresses),
            port=serving if port is None else port,
            certificate=f"{place}/client.pem",
            private_key=f"{place}/client key.pem",
            cacert=f"{place}/ca.pem",
            certname=CERTNAME,
        )


LIVE_BEFORE = replace(LIVE, key="live-before")
GROUPS = b'[{"name": "PE Master",\r\n\r\n "classes": {}}]'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"


@needs_openssl
@pytest.mark.parametrize("elsewhere", [(), ("127.0.0.2",)])
def test_classifier_answers_to_the_internal_certificate(
    sh: Sh, tmp_path: Path, elsewhere: tuple[str, ...]
) -> None:
    answer = classifier(sh, tmp_path, OK + GROUPS, addresses=(*elsewhere, "127.0.0.1"))
    assert answer is not None
    assert json.loads(answer) == json.loads(GROUPS)


@needs_openssl
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 401 Unauthorized\r\n\r\n[]",
        b"HTTP/1.1 500 200\r\n\r\n[]",
        b"200 200\r\n\r\n[]",
        b"",
    ],
)
def test_classifier_that_refuses_has_not_answered(sh: Sh, tmp_path: Path, answer: bytes) -> None:
    assert classifier(sh, tmp_path, answer) is None


@needs_openssl
def test_classifier_of_another_ca_is_not_believed(sh: Sh, tmp_path: Path) -> None:
    assert classifier(sh, tmp_path, OK + GROUPS, trusted=LIVE_BEFORE.pem) is None


def test_classifier_that_is_stopped_has_not_answered(sh: Sh, tmp_path: Path) -> None:
    assert classifier(sh, tmp_path, OK, port=closed_port()) is None
