"""A WinRM endpoint in somebody's hands: it fails its own host, and soon."""

from __future__ import annotations

import gzip
import json
import ssl
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gevent  # type: ignore[import-untyped]
import pytest
import requests
from pyinfra.api import Config, Inventory, State, StringCommand
from pyinfra.api.exceptions import ConnectError

from connectors import failures, limits, winrm, winrm_errors, winrm_shell
from connectors.winrm import WinRMConnector
from tests.unit import issuing_ca

PATIENCE = 120
SOON = datetime.now(UTC) + timedelta(days=100)


class Hostile(BaseHTTPRequestHandler):
    """Answers as the server's `answer` says."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append(dict(self.headers))  # type: ignore[attr-defined]
        self.close_connection = True
        try:
            self.server.answer(self)  # type: ignore[attr-defined]
        except OSError:
            return  # the client has had enough

    def log_message(self, *_: object) -> None:
        return

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


Answer = Callable[[Hostile], None]


def repeating(piece: bytes, pause: float = 0, **headers: str) -> Answer:
    """Says the same without end."""

    def answer(handler: Hostile) -> None:
        handler.send_response(200)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        while True:
            handler.wfile.write(piece)
            time.sleep(pause)

    return answer


def dripping(head: bytes = b"", tail: bytes = b"x") -> Answer:
    """Says something again and again, so slowly that no read fails, for a minute at least."""

    def answer(handler: Hostile) -> None:
        handler.wfile.write(head)
        for _ in range(6000):
            handler.wfile.write(tail)
            time.sleep(0.01)
        handler.server.endured.append(handler.path)  # type: ignore[attr-defined]

    return answer


def leading(status: int, there: str) -> Answer:
    return lambda handler: handler.say(status, Location=there)


def _bomb() -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    zeros = b"\0" * (1 << 20)
    return b"".join(packer.compress(zeros) for _ in range(512)) + packer.flush()


BOMB = _bomb()
"""Half a GiB in 2 MiB."""


ANSWERS: dict[str, tuple[Answer, str]] = {
    "hello": (lambda h: h.say(200, b"hello"), "not WinRM"),
    "nothing": (lambda h: h.say(200), "not WinRM"),
    "no XML of WinRM's": (lambda h: h.say(200, b"<a xmlns='b'/>"), "does not match"),
    "not UTF-8": (lambda h: h.say(200, b"\xff\xfe\xff"), "not WinRM"),
    "512 MiB of gzip": (
        lambda h: h.say(200, BOMB, Content_Encoding="gzip"),
        "larger than",
    ),
    "twice packed": (
        lambda h: h.say(200, gzip.compress(b"x"), Content_Encoding="gzip, gzip"),
        "packed as",
    ),
    "another packing": (lambda h: h.say(200, b"x", Content_Encoding="deflate"), "packed as"),
    "no gzip": (lambda h: h.say(200, b"x", Content_Encoding="gzip"), "connection failed"),
    "no end": (repeating(b"x" * 65536), "larger than"),
    "an error of 100 MiB": (lambda h: h.say(500, b"x" * (100 << 20)), "larger than"),
    "a byte at a time": (dripping(b"HTTP/1.1 200 OK\r\n\r\n"), "does not answer"),
    "a chunk at a time": (
        dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        "does not answer",
    ),
    "slowly": (repeating(b"x" * (winrm_shell._PIECE + 1), pause=0.2), "does not answer"),
    "a redirect": (lambda h: h.say(302, Location="/elsewhere"), "leads elsewhere"),
}


@contextmanager
def served(answer: Answer, directory: Path) -> Iterator[ThreadingHTTPServer]:
    pem = issuing_ca.LIVE.issue("127.0.0.1", 3, ["localhost"], key="live-winrm", expires=SOON)
    (directory / "cert.pem").write_text(pem + issuing_ca.key_pem("live-winrm"))
    (directory / "ca.pem").write_text(issuing_ca.LIVE.pem)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    server.daemon_threads = True
    server.answer, server.seen, server.endured = answer, [], []  # type: ignore[attr-defined]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(directory / "cert.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def reached(server: ThreadingHTTPServer, directory: Path) -> dict[str, object]:
    """The data of a host that is served from a directory."""
    return {
        "winrm_hostname": "localhost",
        "winrm_port": server.server_address[1],
        "winrm_user": "Administrator",
        "winrm_password": "secret",
        "winrm_auth": "basic",
        "winrm_ca_file": str(directory / "ca.pem"),
    }


def refusal(server: ThreadingHTTPServer, directory: Path) -> str:
    inventory = Inventory(([("@winrm/win01", reached(server, directory))], {}))
    State(inventory, Config())
    host = inventory.get_host("@winrm/win01")
    assert isinstance(host.connector, WinRMConnector)
    began = time.monotonic()
    with pytest.raises(ConnectError) as caught:
        host.connect(show_errors=False, raise_exceptions=True)
    assert time.monotonic() - began < PATIENCE
    return str(caught.value)


@pytest.mark.parametrize("kind", ANSWERS)
def test_it_fails_its_own_host_and_soon(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winrm, "CHCP_SECONDS", 1)
    monkeypatch.setattr(winrm_shell, "POLL_SECONDS", 1)
    answer, said = ANSWERS[kind]
    with served(answer, tmp_path) as server:
        assert said in refusal(server, tmp_path)
        assert not server.endured  # type: ignore[attr-defined]


# As pyinfra's own program: only there one limit covers whatever a connection does.
_CONNECTING = """
from gevent import monkey
monkey.patch_all()
import json, sys
from pyinfra.api import Config, Inventory, State
from pyinfra.api.exceptions import ConnectError
from connectors import limits, winrm

limits.GRACE, winrm.CHCP_SECONDS = 0.1, 1
inventory = Inventory(([("@winrm/win01", json.loads(sys.argv[1]))], {}))
State(inventory, Config(CONNECT_TIMEOUT=1))
try:
    inventory.get_host("@winrm/win01").connect(show_errors=False, raise_exceptions=True)
except ConnectError as error:
    print(error)
"""

HEADERS: dict[str, Answer] = {
    "a header without end": dripping(b"HTTP/1.1 200 OK\r\nX: "),
    "answers before the answer": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a chunk's length without end": dripping(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"
    ),
}


@pytest.mark.parametrize("kind", HEADERS)
def test_a_login_has_an_end_whatever_drips(kind: str, tmp_path: Path) -> None:
    with served(HEADERS[kind], tmp_path) as server:
        run = subprocess.run(
            [sys.executable, "-c", _CONNECTING, json.dumps(reached(server, tmp_path))],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert not server.endured  # type: ignore[attr-defined]
    assert "a first command take too long" in run.stdout, run.stderr


def connector(**data: object) -> WinRMConnector:
    """Of a host that nobody is connected to."""
    given = {"winrm_user": "x", "winrm_password": "x", **data}
    inventory = Inventory(([("@winrm/win01", given)], {}))
    State(inventory, Config())
    found = inventory.get_host("@winrm/win01").connector
    assert isinstance(found, WinRMConnector)
    return found


def test_whoever_does_not_let_go_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GRACE", 0.1)
    monkeypatch.setattr(winrm, "LEAVING_SECONDS", 0)
    left = connector()
    left._shell = cast(Any, SimpleNamespace(close=lambda: gevent.sleep(60)))
    with gevent.Timeout(30):
        left.disconnect()
    assert left._shell is None


def test_a_shell_that_could_not_be_closed_in_time_is_forgotten() -> None:
    def close() -> None:
        raise gevent.Timeout

    remote = connector()._make_shell()
    remote._shell = cast(Any, SimpleNamespace(close=close))
    with pytest.raises(gevent.Timeout):
        remote.close()
    assert remote._shell is None


class Printing:
    """In a shell's place: one whose commands print that."""

    def __init__(self, printed: bytes) -> None:
        self._printed = printed

    def run(self, _: str, listen: Callable[[str, bytes], None], *__: object) -> int:
        listen("stdout", self._printed)
        return 0


@pytest.mark.parametrize(
    ("printed", "codec"),
    [
        (b"Active code page: 850\r\n\r\n", "cp850"),
        (b"Seite 037.\r\n", "cp1252"),
        (b"37", "cp1252"),
        (b"Active code page: 65001", "utf-8"),
        (b"99999", "cp1252"),
        (b"x", "cp1252"),
        (b"", "cp1252"),
        (b"1" * 1_000_000 + b"x", "cp1252"),
    ],
)
def test_a_code_page_is_kept_by_a_name_that_there_is(
    printed: bytes, codec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = connector()
    shell = cast(Any, Printing(printed))
    monkeypatch.setattr(asked, "_make_shell", lambda: shell)
    asked.connect()
    assert asked._codepage == codec
    shell._printed = b"\xff, without an end"
    ok, output = asked.run_shell_command(StringCommand("x"))
    assert ok and "without an end" in output.stdout


@pytest.mark.parametrize("codepage", [12345, 500])
def test_a_code_page_that_is_no_consoles_is_refused(codepage: int) -> None:
    with pytest.raises(ConnectError, match="winrm_codepage is "):
        connector(winrm_codepage=codepage).connect()


@pytest.mark.parametrize("where", ["connecting", "connected"])
def test_whatever_is_raised_is_its_own_hosts_failure(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object) -> int:
        raise LookupError("\x1b[2J\n" * 1000)

    odd = connector()
    shell = cast(Any, SimpleNamespace(run=run))
    if where == "connecting":
        monkeypatch.setattr(odd, "_make_shell", run)
        with pytest.raises(ConnectError) as refused:
            odd.connect()
    else:
        odd._shell = shell
        with pytest.raises(OSError, match="makes no sense") as refused:  # type: ignore[assignment]
            odd.run_shell_command(StringCommand("x"))
    assert "LookupError" in str(refused.value)
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 5 * failures.LONGEST_SAYING


def test_nor_is_waited_for_why_it_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object) -> int:
        raise requests.exceptions.SSLError("CERTIFICATE_VERIFY_FAILED")

    monkeypatch.setattr(limits, "GRACE", 0.1)
    monkeypatch.setattr(winrm, "CHCP_SECONDS", 0)
    monkeypatch.setattr(winrm_errors, "_presented", lambda _: gevent.sleep(60))
    slow = connector()
    shell = cast(Any, SimpleNamespace(run=run, way="there", offered=""))
    monkeypatch.setattr(slow, "_make_shell", lambda: shell)
    with gevent.Timeout(30), pytest.raises(ConnectError, match="take too long"):
        slow.connect()


def test_nobody_guesses_how_an_answer_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    guessed: list[str] = []

    def guess(_: requests.Response) -> str:
        guessed.append("somebody did")
        return "utf-8"

    monkeypatch.setattr(requests.Response, "apparent_encoding", property(guess))
    with served(lambda h: h.say(200, b"hello"), tmp_path) as server:
        assert "not WinRM" in refusal(server, tmp_path)
    assert not guessed


def test_nobody_else_is_given_the_password(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with served(lambda h: h.say(200), tmp_path / "other") as other:
        there = f"https://localhost:{other.server_address[1]}/wsman"
        for status in (301, 302, 303, 307, 308):
            with served(leading(status, there), tmp_path) as server:
                assert "leads elsewhere" in refusal(server, tmp_path)
                assert server.seen  # type: ignore[attr-defined]
        assert other.seen == []  # type: ignore[attr-defined]
