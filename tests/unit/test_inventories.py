"""Taking a snapshot from the command line, and what pyinfra makes of it.

PuppetDB 2.x, which PE 3.7 has, is in no package any more: a small server answers here as its
documentation says. The real PuppetDB of today is in tests/e2e/test_inventories.py.
"""

from __future__ import annotations

import io
import json
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from inventories import __main__ as command
from inventories import puppetdb
from inventories.puppetdb import Credential, nodes_at
from recert.errors import RecertError
from recert.nodes import Node, System
from tests.unit import issuing_ca
from tests.unit.debugged import debugged, shown_of

ROOT = Path(__file__).resolve().parents[2]
SOON = datetime.now(UTC) + timedelta(days=100)
OTHER_CA = issuing_ca.IssuingCa("live-other", expires=SOON)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory into which snapshots go."""
    monkeypatch.setattr(command, "HERE", tmp_path)
    return tmp_path


@pytest.fixture
def credential(tmp_path: Path) -> Credential:
    """A client's, of the CA that the server has."""
    files = {
        "cert": issuing_ca.LIVE.issue("admin", 7, key="live-client", expires=SOON),
        "key": issuing_ca.key_pem("live-client"),
        "cacert": issuing_ca.LIVE.pem,
    }
    for name, pem in files.items():
        (tmp_path / f"{name}.pem").write_text(pem)
    return Credential(*(str(tmp_path / f"{name}.pem") for name in files))


class Puppetdb2(BaseHTTPRequestHandler):
    """The two endpoints, and what else a server may say."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        status, body = 404, b"Not Found"
        if url.path == "/v4/nodes":
            status, body = (
                200,
                (
                    b'[{"certname": "web01.example.com", "deactivated": null,'
                    b' "facts_environment": "production", "report_environment": "production",'
                    b' "catalog_environment": "production",'
                    b' "facts_timestamp": "2015-11-23T10:00:00.000Z",'
                    b' "report_timestamp": null, "catalog_timestamp": null}]'
                ),
            )
        elif url.path == "/v4/facts":
            (query,) = parse_qs(url.query)["query"]
            names = [name for _, _, name in json.loads(query)[1:]]
            status, body = (
                200,
                json.dumps(
                    [
                        {"certname": "web01.example.com", "name": name, "value": "windows"}
                        for name in names
                        if name == "kernel"
                    ]
                ).encode(),
            )
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Refusing(Puppetdb2):
    def do_GET(self) -> None:
        self.send_error(403)


class Web(Puppetdb2):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Puppet Enterprise console</html>")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[object]:
    """Servers of TLS that want a client certificate, as PuppetDB does."""
    started: list[ThreadingHTTPServer] = []

    def start(handler: type[BaseHTTPRequestHandler], ca: issuing_ca.IssuingCa) -> str:
        server_pem = tmp_path / "server.pem"
        cert = ca.issue("puppetdb", 9, ["localhost"], key="live-server", expires=SOON)
        server_pem.write_text(cert + issuing_ca.key_pem("live-server"))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=issuing_ca.LIVE.pem)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(server_pem)
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"https://localhost:{server.server_port}"

    yield start
    for server in started:
        server.shutdown()
        server.server_close()


def test_a_puppetdb_2_is_asked_where_it_answers(serve, credential: Credential) -> None:  # type: ignore[no-untyped-def]
    found = nodes_at(serve(Puppetdb2, issuing_ca.LIVE), credential)
    assert found.nodes == (Node("web01.example.com", System.WINDOWS),)


@pytest.mark.parametrize(
    ("handler", "ca", "message"),
    [
        (Refusing, issuing_ca.LIVE, "refuses this client .403.*whitelist"),
        (Web, issuing_ca.LIVE, "sends no JSON; is it PuppetDB"),
        (Puppetdb2, OTHER_CA, "is not whom --cacert vouches for"),
    ],
)
def test_what_is_wrong_with_a_server_is_said(  # type: ignore[no-untyped-def]
    serve, credential: Credential, handler, ca: issuing_ca.IssuingCa, message: str
) -> None:
    with pytest.raises(RecertError, match=message):
        nodes_at(serve(handler, ca), credential)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("puppet.example.com", "is not like https"),
        ("https://puppet.example.com:8081/v4/nodes", "is not like https"),
        ("http://puppet.example.com:8080", "without TLS anybody"),
        ("https://localhost:1", "wants a client certificate"),
        ("http://localhost:1", "cannot be asked .*refused.*inventory.txt"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(url: str, message: str) -> None:
    with pytest.raises(RecertError, match=message):
        nodes_at(url)


def test_another_ones_key_is_refused(credential: Credential, tmp_path: Path) -> None:
    Path(credential.key).write_text(issuing_ca.key_pem("live-server"))
    with pytest.raises(RecertError, match="are not a certificate and its key"):
        nodes_at("https://localhost:1", credential)
    with pytest.raises(RecertError, match="holds no CA certificate"):
        nodes_at("https://localhost:1", Credential(credential.cert, credential.key, __file__))


def take(*arguments: str) -> None:
    command.main(["mysite", "--master", "puppet.example.com", *arguments])


def test_a_list_becomes_an_inventory_that_pyinfra_reads(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "hosts.txt"
    listed.write_text("web01\nweb02\nwin01\n")
    take("--list", str(listed), "--windows", "win*")
    said = capsys.readouterr().out
    assert "2 agents, 1 Windows agents, master puppet.example.com" in said
    assert "taken for Linux (2): web01, web02" in said

    inventory = here / "mysite.py"
    inventory.write_text(
        inventory.read_text().replace(
            "groups_beside(__file__)",
            'groups_beside(__file__, {"web02": {"ssh_hostname": "10.0.0.17"}})',
        )
    )
    listed.write_text("web02\nweb03\nwin01\n")
    take("--list", str(listed), "--windows", "win*")
    said = capsys.readouterr().out
    assert "new since" in said and ": web03\n" in said
    assert "gone since" in said and ": web01\n" in said
    assert "10.0.0.17" in inventory.read_text(), "a person's file was written over"

    shown = shown_of(inventory)
    assert '"ssh_hostname": "10.0.0.17"' in shown
    assert '"certname": "web03"' in shown and "web01" not in shown
    assert all(group in shown for group in ("master", "agents", "windows_agents"))


def test_the_cas_inventory_and_its_list_of_the_revoked(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory, crl = tmp_path / "inventory.txt", tmp_path / "ca_crl.pem"
    lines = ("puppet.example.com", "pe-internal-dashboard", "web01", "gone01")
    inventory.write_text(
        "".join(
            f"0x000{n} 2015-11-22T13:00:00UTC 2020-11-22T13:00:00UTC /CN={name}\n"
            for n, name in enumerate(lines, 1)
        )
    )
    crl.write_text(issuing_ca.NEW.crl([4]))
    take("--ca-inventory", str(inventory), "--crl", str(crl))
    said = capsys.readouterr().out
    assert json.loads((here / "mysite.json").read_text())["agents"] == ["web01"]
    assert "gone01" in said and "pe-internal-dashboard" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--list", "/nowhere"), "/nowhere"),
        (("--ca-inventory", "/etc/passwd"), "/etc/passwd: no certificate is listed"),
        (("--list", "/etc/hostname", "--crl", "/etc/hostname"), "--crl belongs to"),
        (("--list", "/etc/hostname", "--cert", "x"), "belong together"),
        (("--puppetdb", "https://localhost:1", "--cert", "x"), "belong together"),
    ],
)
def test_what_cannot_be_done_writes_nothing(
    here: Path, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(SystemExit, match=f"No snapshot was taken: .*{message}"):
        take(*arguments)
    assert not list(here.glob("mysite*"))


def test_an_inventory_of_another_kind_is_not_touched(here: Path, tmp_path: Path) -> None:
    (here / "mysite.py").write_text("master = ['mine']\n")
    with pytest.raises(SystemExit, match="is there already and is no snapshot's"):
        take("--list", "/etc/hostname")
    assert (here / "mysite.py").read_text() == "master = ['mine']\n"
    with pytest.raises(SystemExit, match="no name for a file"):
        command.main(["../mysite", "--master", "puppet", "--list", "/etc/hostname"])


def test_a_master_does_not_become_an_agent_by_a_slip(here: Path, tmp_path: Path) -> None:
    listed = tmp_path / "hosts.txt"
    listed.write_text("web01\npuppet.example.com\n")
    take("--list", str(listed))
    before = (here / "mysite.json").read_text()
    message = "was puppet.example.com until now, and pupet.example.com is another: give"
    with pytest.raises(SystemExit, match=message):
        command.main(["mysite", "--master", "pupet.example.com", "--list", str(listed)])
    assert (here / "mysite.json").read_text() == before
    command.main(["other", "--master", "pupet.example.com", "--list", str(listed)])


def test_an_inventory_without_its_snapshot_says_what_to_do(here: Path, tmp_path: Path) -> None:
    listed = tmp_path / "hosts.txt"
    listed.write_text("web01\n")
    take("--list", str(listed))
    (here / "mysite.json").unlink()
    shown = debugged(here / "mysite.py")
    assert shown.returncode != 0
    assert "python3 -m inventories mysite" in " ".join(shown.stderr.split())


def test_what_the_options_are_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--key FILE its private key, in PEM" in said
    assert "--cert FILE the client certificate, in PEM" in said
    assert "the its" not in said


# A PuppetDB in somebody's hands


class Liar(BaseHTTPRequestHandler):
    """One on loopback, where anybody can listen: says what a test has it say, by path's end."""

    bodies: ClassVar[dict[str, bytes]] = {}
    status: ClassVar[tuple[int, str]] = (200, "OK")

    def do_GET(self) -> None:
        self.send_response(*self.status)
        self.end_headers()
        self.wfile.write(self.bodies[urlsplit(self.path).path.rpartition("/")[2]])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def lie(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Where such a one listens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def says(nodes: object, facts: object = (), status: tuple[int, str] = (200, "OK")) -> str:
        bodies = {
            name: said if isinstance(said, bytes) else json.dumps(said).encode()
            for name, said in (("nodes", nodes), ("facts", facts))
        }
        monkeypatch.setattr(Liar, "bodies", bodies)
        monkeypatch.setattr(Liar, "status", status)
        return f"http://127.0.0.1:{server.server_port}"

    yield says
    server.shutdown()
    server.server_close()


WEB = {"certname": "web01", "deactivated": None}


def fact(value: bytes) -> bytes:
    return b'[{"certname": "web01", "name": "kernel", "value": ' + value + b"}]"


def test_the_false_one_would_be_believed(here: Path, lie: Callable[..., str]) -> None:
    take("--puppetdb", lie([WEB], fact(b'"Linux"')))
    assert json.loads((here / "mysite.json").read_text())["agents"] == ["web01"]


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("nodes", "facts"), [(DEEP, b"[]"), ([WEB], fact(DEEP))], ids=["nodes", "facts"]
)
def test_what_is_nested_without_end_is_refused(
    here: Path, lie: Callable[..., str], nodes: object, facts: object
) -> None:
    with pytest.raises(SystemExit, match=r"No snapshot was taken: .*nested without end.*inventory"):
        take("--puppetdb", lie(nodes, facts))
    assert not list(here.glob("mysite*"))


def test_so_is_what_is_larger_than_any_site(
    here: Path, lie: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(puppetdb, "LARGEST", 100_000)
    with pytest.raises(SystemExit, match=r"No snapshot was taken: .*more than 100000 bytes.*inve"):
        take("--puppetdb", lie([WEB] * 10_000))
    assert not list(here.glob("mysite*"))


@pytest.mark.parametrize("where", ["headers", "body"])
def test_so_is_what_has_no_end(
    here: Path, lie: Callable[..., str], monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Each byte comes in time; it ends by itself, so that what waits for it fails."""
    enough = threading.Event()

    def drip(request: Liar) -> None:
        if where == "body":
            request.send_response(200)
            request.end_headers()
        with suppress(OSError):
            for _ in range(600):
                if enough.wait(0.05):
                    break
                request.wfile.write(b" ")

    url = lie([WEB])
    monkeypatch.setattr(Liar, "do_GET", drip)
    monkeypatch.setattr(puppetdb, "DEADLINE", 0.2)
    try:
        with pytest.raises(SystemExit, match=r"No snapshot was taken: .*has no end.*inventory"):
            take("--puppetdb", url)
    finally:
        enough.set()
    assert not list(here.glob("mysite*"))


def test_a_terminal_obeys_nothing_of_a_refusal(here: Path, lie: Callable[..., str]) -> None:
    url = lie(b"\x1b[2Jgone\nNo snapshot was forged", status=(500, "\x1b]0;owned\x07"))
    with pytest.raises(SystemExit) as refused:
        take("--puppetdb", url)
    said = str(refused.value)
    assert "answered 500" in said and "gone" in said
    assert said.isprintable()


def test_keys_are_there_whatever_is_told(
    here: Path, lie: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    line = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    own = {"certname": "web01", "name": "sshed25519key", "value": line.split()[1]}
    nodes = [
        WEB,
        {"certname": "gone", "deactivated": "\x1b[2J\nforged"},
        {"certname": "odd\ud800\x1b[2J", "deactivated": None},
        {"certname": "odd\ud801", "expired": "\ud800"},
    ]
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    take("--puppetdb", lie(nodes, [own]))
    terminal.flush()
    said = terminal.buffer.getvalue().decode()
    assert "PuppetDB has it deactivated: gone" in said and "forged" not in said
    assert said.replace("\n", "").isprintable()
    assert (here / "mysite.known_hosts").read_text() == f"web01 {line}\n"


def test_whatever_is_told_is_text_that_the_terminal_can_show(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    command._say("\x1b[2J, \ud800 and \u2026")
    terminal.flush()
    assert terminal.buffer.getvalue() == b"\\x1b[2J, \\ud800 and \\u2026\n"


def test_if_one_file_cannot_be_written_none_is(
    here: Path, lie: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_text

    def full(path: Path, *arguments: Any, **named: Any) -> int:
        if path.name.startswith("mysite.py"):
            raise OSError(28, "No space left on device")
        return write(path, *arguments, **named)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(SystemExit, match=r"No snapshot was taken: .*No space left"):
        take("--puppetdb", lie([WEB]))
    assert not list(here.glob("mysite*"))
