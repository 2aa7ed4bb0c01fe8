"""A WinRM endpoint in somebody's hands: it fails its own host, and soon."""

from __future__ import annotations

import gzip
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pyinfra.api import Config, Inventory, State
from pyinfra.api.exceptions import ConnectError

from connectors import winrm_shell
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
    server.answer, server.seen = answer, []  # type: ignore[attr-defined]
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
    monkeypatch.setattr(winrm_shell, "LONGEST_SECONDS", 1)
    monkeypatch.setattr(winrm_shell, "POLL_SECONDS", 1)
    answer, said = ANSWERS[kind]
    with served(answer, tmp_path) as server:
        assert said in refusal(server, tmp_path)


def test_nobody_else_is_given_the_password(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with served(lambda h: h.say(200), tmp_path / "other") as other:
        there = f"https://localhost:{other.server_address[1]}/wsman"
        for status in (301, 302, 303, 307, 308):
            with served(leading(status, there), tmp_path) as server:
                assert "leads elsewhere" in refusal(server, tmp_path)
                assert server.seen  # type: ignore[attr-defined]
        assert other.seen == []  # type: ignore[attr-defined]
