"""Nobody holds up a run: not by time, not by size, not by asking for a password."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import subprocess
import tarfile
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any, cast

import gevent  # type: ignore[import-untyped]
import pytest
from gevent.lock import RLock  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as some
from pyinfra.api import Config, FactBase, Inventory, State, StringCommand
from pyinfra.api.exceptions import DeployError, FactProcessError
from pyinfra.api.host import Host
from pyinfra.connectors import util
from pyinfra.connectors.util import CommandOutput, OutputLine

import procedures.host
from connectors import limits
from connectors.limits import QUESTION_LIMIT
from facts import backups, credential_files, few, others, packed, script
from facts.attributes import CsrAttributes
from facts.backups import ArchivedCertificates, Backups
from facts.credential_files import CredentialFiles, KeystoreCertificates
from facts.host import WhoAndWhen
from facts.others import StrayCredentials
from facts.packed import gunzip
from facts.puppet import PuppetAgent
from facts.script import ScriptFailedError, read_records
from facts.signing import AutosignSetting, CaInventory
from facts.ssl import NOT_READ, ComponentDirectory, PemFiles, SslDirectories
from facts.windows import credential_files as windows_credential_files
from facts.windows import installation, ruby
from facts.windows.agent import WindowsAgentFiles, WindowsDirectories
from facts.windows.attributes import WindowsCsrAttributes
from facts.windows.backups import WindowsBackups
from facts.windows.credential_files import WindowsCredentialFiles
from facts.windows.installation import WindowsPuppetSettings
from facts.windows.services import WindowsServices
from operations import readiness, signing, windows
from operations.aside import KEYS_LIMIT
from operations.backup import ARCHIVE_LIMIT
from operations.on_agent import LIMIT
from operations.services import RUN_LIMIT, SERVICE_LIMIT
from operations.step import CHANGE_LIMIT, changing
from procedures import agent, requests, run, terminal
from procedures.agent import FACT_LIMIT, AgentRefusedError, ask_agent
from procedures.master import MasterFacts
from procedures.requests import WaitingRequests
from recert.ca_records import CaRecords
from recert.deployments.authority import PUPPET_CERT
from tests.unit.issuing_ca import public_pem
from tests.unit.records import printed
from tests.unit.shell import ME, Sh
from tests.unit.test_backups import MANIFEST

ROOT = Path(__file__).resolve().parents[2]

# Size


@given(some.binary(max_size=5000), some.integers(1, 3))
def test_what_is_packed_comes_back(content: bytes, members: int) -> None:
    assert gunzip(gzip.compress(content) * members) == content * members


@given(some.binary(max_size=200))
def test_what_is_no_gzip_is_an_error(content: bytes) -> None:
    whole = gzip.compress(b"x" * 1000)
    for damaged in (content + b"x", whole[:-5], whole + content + b"x"):
        with pytest.raises(ValueError, match=r"."):
            gunzip(damaged)


def test_little_that_unpacks_to_much_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "LARGEST", 10_000_000)
    small = gzip.compress(b"\0" * 9_000_000)
    assert len(gunzip(small)) == 9_000_000
    with pytest.raises(ValueError, match="larger than"):
        gunzip(small * 2)


def archive(*members: tarfile.TarInfo, mode: Any = "w:gz") -> list[str]:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode=mode) as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return ["pe-recert:", b64encode(written.getvalue()).decode(), "pe-recert."]


def member(name: str, size: int, **headers: str) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.size, found.pax_headers = size, headers
    return found


def test_files_of_a_ca_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    held = PemFiles().process(archive(member("./a.pem", 5), member("./b.pem", 2_000_000)))
    assert held == {"a": "xxxxx"}
    monkeypatch.setattr(packed, "LARGEST", 100_000)
    with pytest.raises(FactProcessError, match="larger than"):
        PemFiles().process(archive(member("./a.pem", 200_000)))


@pytest.mark.parametrize("mode", ["w:bz2", "w:xz"])
def test_and_are_packed_with_gzip_alone(mode: str) -> None:
    packed_otherwise = archive(member("./a.pem", 5), mode=mode)
    with pytest.raises(FactProcessError):
        PemFiles().process(packed_otherwise)
    with pytest.raises(FactProcessError):
        CredentialFiles().process(printed(["archive", packed_otherwise[1]]))


def test_so_are_the_certificates_that_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "LARGEST", 100_000)
    bomb = archive(member("/etc/a.pem", 200_000))
    with pytest.raises(FactProcessError, match="larger than"):
        CredentialFiles().process(printed(["archive", bomb[1]]))


def test_what_is_in_an_archive_is_found_by_its_real_path(sh: Sh, tmp_path: Path) -> None:
    signed = tmp_path / "real" / "ssl" / "signed"
    signed.mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (signed / "a.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    held = tmp_path / "archive.tar"
    subprocess.run(["tar", "-C", "/", "-cf", held, str(signed)[1:]], check=True)
    asked = {"archive": str(held), "directory": f"{tmp_path}/link/ssl/signed"}
    (before,) = sh.ask(ArchivedCertificates, **asked)
    assert "AAAA" in before
    shutil.rmtree(signed.parent)  # the CA is deleted
    assert sh.ask(ArchivedCertificates, **asked) == [before]


def test_so_are_those_of_a_backup(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["texts", b64encode(gzip.compress(b"text")).decode()]
    assert ArchivedCertificates().process(printed(texts)) == ["text"]
    monkeypatch.setattr(packed, "LARGEST", 100_000)
    bomb = ["texts", b64encode(zlib.compress(b"") + gzip.compress(b"x" * 200_000)).decode()]
    for answer in (bomb, ["texts", b64encode(gzip.compress(b"x" * 200_000)).decode()]):
        with pytest.raises(FactProcessError):
            ArchivedCertificates().process(printed(answer))


def test_an_answer_of_nothing_but_fields_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script, "MOST_FIELDS", 1000)
    assert len(list(read_records(printed(*[["a"]] * 400)))) == 400
    with pytest.raises(FactProcessError, match="more than 1000 fields"):
        list(read_records(printed(*[["a"]] * 600)))


def test_what_it_says_of_a_failure_is_read_as_far_as_it_is_told() -> None:
    said = b64encode(b"<failed> here\n" + b"\n" * 50_000_000).decode()
    with pytest.raises(ScriptFailedError, match="here"):
        list(read_records(["pe-recert:", "", "pe-recert, failed:", said, "pe-recert."]))


def test_others_have_a_turn_while_a_long_answer_is_read() -> None:
    answer = printed(*[["a"]] * 50_000)
    read: list[list[str]] = []
    seen: list[int] = []
    reading = gevent.spawn(lambda: read.extend(read_records(answer)))
    while not reading.dead:
        gevent.sleep(0)
        seen.append(len(read))
    assert len(read) == 50_000
    assert any(0 < found < 50_000 for found in seen)


@contextmanager
def released(*pipes: Path) -> Iterator[list[Path]]:
    """Nobody waits longer than three seconds for a writer into one of these; where somebody did."""
    waited: list[Path] = []
    over = Event()

    def release() -> None:
        over.wait(3)
        while not over.wait(0.1):
            for pipe in pipes:
                with suppress(OSError):  # nobody has opened it
                    os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
                    waited.append(pipe)

    releasing = Thread(target=release)
    releasing.start()
    try:
        yield waited
    finally:
        over.set()
        releasing.join()


def in_place_of_files(pipe: str) -> dict[str, tuple[type[FactBase[Any]], dict[str, Any]]]:
    """What is read where a service's account can put a pipe in which nobody writes."""
    traces = dict.fromkeys(("summary", "catalog", "disabled", "lockfile"), "/dev/null/none")
    ssl = {
        **{"lock": "/dev/null/lock", "roots": [], "texts": [pipe], "keys": [pipe]},
        **{"capass": pipe, "certificate_dirs": [], "cacert": pipe},
    }
    there, here = {"account": ME, "directory": "/dev/null"}, f"{pipe}.file"
    pk8 = f"{here}.pk8"
    return {
        **{n: (PuppetAgent, {**traces, n: pipe}) for n in ("summary", "disabled", "lockfile")},
        "inventory": (CaInventory, {"path": pipe}),
        "autosign": (AutosignSetting, {"autosign": pipe}),
        "attributes": (CsrAttributes, {"path": pipe}),
        "ssl": (SslDirectories, ssl),
        "copy": (ComponentDirectory, {**there, "copies": [(pipe, here), (f"{pipe}.pk8", here)]}),
        "source": (ComponentDirectory, {**there, "copies": [(here, pipe), (pk8, pipe)]}),
    }


@pytest.mark.parametrize("which", in_place_of_files(""))
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(
    sh: Sh, tmp_path: Path, which: str
) -> None:
    pipe = tmp_path / "pipe"
    for path in (pipe, Path(f"{pipe}.pk8")):
        os.mkfifo(path)
    for path in (Path(f"{pipe}.file"), Path(f"{pipe}.file.pk8")):
        path.write_text("something")
    sh.provide("ruby", "for word; do case $word in (/*) exec cat $word ;; esac; done; exec cat")
    fact, arguments = in_place_of_files(str(pipe))[which]
    with released(pipe, Path(f"{pipe}.pk8")) as waited:
        sh.ask(fact, **arguments)
    assert not waited


def test_a_pipe_among_requests_is_not_waited_for(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "web.pem").write_text("a request\n")
    os.mkfifo(tmp_path / "pipe.pem")
    os.mkfifo(tmp_path / "pipe")
    assert sh.ask(PemFiles, directory=str(tmp_path), most=10_000) == {"web": "a request\n"}


def keys_of(kind: str) -> Callable[[int], list[list[str]]]:
    """So many files that hold one, as records of that kind tell."""
    return lambda most: [[kind, f"/{number}", ""] for number in range(most)]


PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"
HALF = public_pem("web")


def archive_of(text: str, members: int) -> str:
    """So many files with this text, as a host sends them."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for number in range(members):
            member = tarfile.TarInfo(f"/{number}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return b64encode(content.getvalue()).decode()


def test_there_is_one_archive_in_an_answer() -> None:
    told = [["archive", archive_of(HALF, 1)]]
    assert len(CredentialFiles().process(printed(*told)).public_keys) == 1
    with pytest.raises(FactProcessError, match="more than 1 archive"):
        CredentialFiles().process(printed(*told, *told))


def test_names_that_go_back_to_a_host_are_no_flood() -> None:
    def told(length: int) -> list[str]:
        path = f"/{'x' * length}.ks"
        return ["file", "f", "644", "root", "root", "1", "1448272000.0", path, ""]

    most = credential_files.LONGEST_NAMES - len("/.ks")
    CredentialFiles().process(printed(told(most)))
    with pytest.raises(FactProcessError, match="characters in the names of its keystores"):
        CredentialFiles().process(printed(told(most + 1)))


def test_what_a_host_says_it_has_takes_no_longer_to_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("operations.windows.time.monotonic", lambda: now)
    copying = windows._in_time(["copy a b"] * 1000, 240)
    left = []
    for command in copying:
        if not isinstance(command, StringCommand):
            break
        left.append(command.connector_arguments["_timeout"])
        now += 100
    assert left == [240, 140, 40]
    assert list(copying) == []


def told_of(*record: str) -> Callable[[int], list[list[str]]]:
    """The same record again and again."""
    return lambda most: [list(record)] * most


TELLING: dict[str, tuple[type[FactBase[Any]], Callable[[int], list[list[str]]]]] = {
    "others": (
        StrayCredentials,
        lambda most: [["stray", "/x", "certificate", PEM * most], ["looked"]],
    ),
    "others, each by itself": (
        StrayCredentials,
        lambda most: [*[["stray", "/x", "certificate", PEM]] * most, ["looked"]],
    ),
    "keys of others": (
        StrayCredentials,
        lambda most: [["stray", "/x", "key", "", *["x"] * most], ["looked"]],
    ),
    "credentials": (CredentialFiles, lambda most: [["text", "/x", PEM * most]]),
    "public keys": (CredentialFiles, lambda most: [["archive", archive_of(HALF, most)]]),
    "public keys, Windows": (
        WindowsCredentialFiles,
        lambda most: [["public", f"/{number}", HALF] for number in range(most)],
    ),
    "keys in SSL directories": (
        SslDirectories,
        lambda most: [["key", f"/{number}", HALF] for number in range(most)],
    ),
    "files in an archive": (CredentialFiles, lambda most: [["archive", archive_of("x", most)]]),
    **{
        f"{kind} keys, {fact.__name__}": (fact, keys_of(kind))
        for fact in (CredentialFiles, WindowsCredentialFiles)
        for kind in ("key", "saved", "sealed")
    },
    "keystores": (KeystoreCertificates, lambda most: [["keystore", "/x", PEM * most]]),
    "what nobody can read, of others": (
        StrayCredentials,
        lambda most: [*[["stray", "/x", "unread", ""]] * most, ["looked"]],
    ),
    **{
        f"{kind}, {fact.__name__}": (fact, told_of(*told))
        for fact, kind, *told in (
            (WindowsAgentFiles, "files", "file", "/x", "f", "1", "1.0"),
            (WindowsAgentFiles, "what nobody can read", "unreadable", "/x"),
            (WindowsDirectories, "files", "file", "/x", "f", "1", "1.0"),
            (WindowsCredentialFiles, "files", "file", "/x", "f", "1", "1.0"),
            (WindowsCredentialFiles, "what nobody can read", "unreadable", "/x"),
            (WindowsBackups, "notes", "stopped", "x"),
            (WindowsCsrAttributes, "attributes", "attributes", "x"),
        )
    },
    "backups": (
        Backups,
        lambda most: [["backup", "valid", "0", "0", "x", MANIFEST.to_json()]] * most,
    ),
}


@pytest.mark.parametrize("kind", TELLING)
def test_more_than_a_host_can_have_is_not_looked_into(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Some hundred megabytes of certificates are a minute in which nobody else has a turn, and
    gigabytes."""
    modules = (others, credential_files, windows_credential_files, backups, few, packed, ruby)
    for module in modules:
        for limit in ("MOST_CERTIFICATES", "MOST_OF_A_CA", "MOST_BACKUPS", "MOST_TOLD"):
            monkeypatch.setattr(module, limit, 20, raising=False)
    fact, telling = TELLING[kind]
    fact().process(printed(*telling(20)))
    with pytest.raises(FactProcessError, match="more than 20"):
        fact().process(printed(*telling(21)))


def test_nor_are_more_lines_than_a_program_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "MOST_LINES", 20)
    for most, outcome in ((20, nullcontext()), (21, pytest.raises(FactProcessError))):
        lines = ["pe-recert:", *["service=x"] * (most - 2), "pe-recert."]
        with outcome:
            assert WindowsServices().process(lines) == {}
        with outcome:
            assert len(WindowsPuppetSettings().process(lines)) == most - 2


class Master:
    """In the place of its facts: whose requests are asked for by name, and how often."""

    settings = SimpleNamespace(csrdir="/requests")
    host = None

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str]]] = []

    def ask(self, _: None, fact: type, directory: str, names: list[str]) -> dict[str, str]:
        assert fact is PemFiles
        self.asked.append((directory, names))
        return {name: f"that of {name}" for name in names if name != "gone"}


def test_of_too_many_requests_each_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    master = Master()
    monkeypatch.setattr(requests, "ask", master.ask)
    found = {"a": NOT_READ, "b": NOT_READ, "gone": NOT_READ}
    waiting = WaitingRequests(cast(MasterFacts, master), found, nullcontext)
    ca_records = CaRecords(PUPPET_CERT, None, requests=waiting, too_many_wait=waiting.too_many)
    assert ca_records.too_many_wait
    assert ca_records.requesting == ["a", "b", "gone"]
    assert not master.asked
    for _ in range(2):
        assert ca_records.request_pem("a") == "that of a"
        assert ca_records.request_pem("gone") is None
        assert ca_records.request_pem("not listed") == "that of not listed"
    assert master.asked == [("/requests", [name]) for name in ("a", "gone", "not listed")]


def test_of_a_few_nobody_asks_again() -> None:
    waiting = WaitingRequests(cast(MasterFacts, Master()), {"a": "that"}, nullcontext)
    assert not waiting.too_many
    assert waiting.get("a") == "that"
    assert waiting.get("b") is None
    assert dict(waiting) == {"a": "that"}


def test_one_agent_at_a_time_has_its_masters_requests_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenSSH's server takes ten sessions of one connection and refuses the eleventh."""
    found = dict.fromkeys(map(str, range(30)), NOT_READ)
    sessions: list[int] = []

    def busy(answer: Any) -> Any:
        sessions.append(1)
        most.append(len(sessions))
        gevent.sleep(0.001)
        sessions.pop()
        return answer

    def asking(_: Any, __: Any, names: list[str], **___: Any) -> dict[str, str]:
        held: dict[str, str] = busy(dict.fromkeys(names, "x"))
        return held

    # As pyinfra's program has it.
    monkeypatch.setattr(run, "RLock", RLock)
    site = SimpleNamespace(
        view=lambda: SimpleNamespace(
            facts=SimpleNamespace(settings=Master.settings, lock="/lock", backup_root="/backups")
        ),
        run=run.Run(State(Inventory((list(found), {})), Config())),
        master=None,
    )
    most: list[int] = []
    monkeypatch.setattr(requests, "ask", asking)
    monkeypatch.setattr(signing, "run_on", lambda *_: busy((True, CommandOutput([]))))
    monkeypatch.setattr(signing, "Outcomes", lambda _: SimpleNamespace(remark=lambda *_: None))
    waiting = WaitingRequests(cast(MasterFacts, Master()), found, site.run.exclusively)

    def agent(name: str) -> None:
        assert waiting.get(name) == "x"
        facts = SimpleNamespace(settings=SimpleNamespace(certname=name), host=None)
        assert signing.set_aside(cast(Any, SimpleNamespace(site=site, facts=facts)), "x") is None

    gevent.joinall([gevent.spawn(agent, name) for name in found], raise_error=True)
    assert len(most) == 60
    assert max(most) == 1


# Time


class Silent:
    """In a connector's place: one that is never through."""

    def __init__(self) -> None:
        self.was_asked = 0

    def __call__(self, *_: Any, **__: Any) -> tuple[bool, CommandOutput]:
        self.was_asked += 1
        gevent.sleep(60)
        raise AssertionError("nobody waits so long")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    inventory = Inventory((["@local"], {}))
    State(inventory, Config())
    found = inventory.get_host("@local")
    found.connected = True
    monkeypatch.setattr(limits, "GRACE", 0.1)
    monkeypatch.setattr(agent, "FACT_LIMIT", 1)
    return found


def test_a_question_that_is_never_through_is_its_own_hosts_affair(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(host.connector), "run_shell_command", Silent())
    with gevent.Timeout(10), pytest.raises(AgentRefusedError, match="did not answer"):
        ask_agent(host, WhoAndWhen)


def test_a_master_that_is_never_through_is_not_waited_for(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(host.connector), "run_shell_command", Silent())
    monkeypatch.setattr(procedures.host, "QUESTION_LIMIT", 1)
    with gevent.Timeout(10), pytest.raises(DeployError, match="not answered in 1 s when asked for"):
        procedures.host.ask(host, WhoAndWhen)


def test_so_is_a_change(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(host.connector), "run_shell_command", Silent())
    command = changing("/dev/null/lock", "true", limit=1)
    with gevent.Timeout(10), pytest.raises(TimeoutError, match="no end after 1 s"):
        command.execute(host.state, host, {})


def test_a_limit_of_others_is_not_taken_for_ones_own() -> None:
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.1), limits.at_most(60):
        gevent.sleep(5)
    with limits.at_most(None), limits.at_most(5):
        gevent.sleep(0)


# Asking


def test_nobody_is_asked_for_a_password(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(_: str) -> str:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr(util, "getpass", ask)
    terminal.guard()
    wanting = CommandOutput([OutputLine("stderr", util.SUDO_PASSWORD_REQUIRED_LINES[0])])
    with pytest.raises(OSError, match="_sudo_password"):
        util.execute_command_with_sudo_retry(host, {}, lambda: (1, wanting))


# What may take long


def test_the_runbook_tells_how_long_is_waited() -> None:
    runbook = (ROOT / "docs/runbook.md").read_text()
    told = runbook.partition("## How long it waits")[2].partition("\n## ")[0]
    minutes = [int(found) for found in re.findall(r"\| ([0-9]+) minutes \|", told)]
    assert [60 * found for found in minutes] == [
        *(RUN_LIMIT, LIMIT, FACT_LIMIT, readiness.LIMIT),
        *(QUESTION_LIMIT, KEYS_LIMIT),
    ]
    assert (SERVICE_LIMIT, CHANGE_LIMIT) == (readiness.LIMIT, QUESTION_LIMIT)
    assert ARCHIVE_LIMIT == KEYS_LIMIT
    (catalog,) = map(int, re.findall(r"A catalog that takes ([0-9]+) minutes", told))
    assert catalog * 60 < RUN_LIMIT
