"""An SSH server in somebody's hands: it fails its own host, and soon."""

from __future__ import annotations

import builtins
import getpass
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import pack
from typing import Any

import paramiko
import pyinfra
import pytest
from paramiko.auth_handler import AuthHandler
from paramiko.common import cMSG_CHANNEL_DATA
from paramiko.kex_group14 import KexGroup14
from paramiko.ssh_exception import SSHException
from paramiko.transport import ServiceRequestingTransport
from pyinfra.api import BaseStateCallback, Config, Host, Inventory, State, StringCommand
from pyinfra.api.connect import connect_all
from pyinfra.api.exceptions import ConnectError

import connectors
from connectors import allowance, failures, limits, ssh
from connectors.allowance import TooMuchError
from facts.host import WhoAndWhen
from operations.step import changing
from procedures import agent
from procedures.agent import AgentRefusedError, ask_agent
from tests.unit.ssh_server import USER_KEY, Served, reached, serving, target

assert connectors.ssh
LITTLE = 4 * 1024 * 1024
Answer = Callable[[paramiko.Channel], None]


@pytest.fixture
def answering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Answer], Host]]:
    """A host that answers each command so."""
    monkeypatch.setattr(allowance, "LARGEST_OUTPUT", LITTLE)
    monkeypatch.setattr(limits, "GRACE", 1)
    monkeypatch.setattr(agent, "FACT_LIMIT", 1)
    served = Served(user_key=USER_KEY)

    def connected(answer: Answer) -> Host:
        served.answer = answer
        host = target(served.port, tmp_path)
        host.connect(raise_exceptions=True)
        return host

    with serving(served):
        yield connected


# What a command prints


def repeating(piece: bytes) -> Answer:
    def answer(channel: paramiko.Channel) -> None:
        while True:
            channel.sendall(piece)

    return answer


def complaining(channel: paramiko.Channel) -> None:
    # No more than is taken before it is read: only pyinfra's own program reads both streams at a
    # time.
    channel.sendall_stderr(b"\n" * (1 << 20))
    channel.shutdown_write()


def beyond_the_window(channel: paramiko.Channel) -> None:
    while not channel.closed:
        message = paramiko.Message()
        message.add_byte(cMSG_CHANNEL_DATA)
        message.add_int(channel.remote_chanid)
        message.add_string(b"x" * 32768)
        channel.transport._send_user_message(message)  # type: ignore[union-attr]


WITHOUT_END: dict[str, Answer] = {
    "a line": repeating(b"x" * 65536),
    "a line in small pieces": repeating(b"x"),
    "lines": repeating(b"xxxx\n" * 10_000),
    "empty lines": repeating(b"\n" * 65536),
    "no UTF-8": repeating(b"\xff" * 65536),
    "complaints": complaining,
    "more than it was allowed": beyond_the_window,
}


@pytest.mark.parametrize("kind", WITHOUT_END)
def test_what_has_no_end_is_given_up(kind: str, answering: Callable[[Answer], Host]) -> None:
    host = answering(WITHOUT_END[kind])
    with pytest.raises(TooMuchError, match="printed more than 4 MiB"):
        host.run_shell_command(StringCommand("true"))
    # The connection is as it was: what is closed is that command's.
    with pytest.raises(AgentRefusedError, match="did not answer"):
        ask_agent(host, WhoAndWhen)


def test_a_master_may_say_more_than_a_node(
    answering: Callable[[Answer], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "LARGEST_OF_AN_AGENT", LITTLE // 4)

    def answer(channel: paramiko.Channel) -> None:
        channel.sendall(b"x" * (LITTLE // 2))
        channel.send_exit_status(0)
        channel.close()

    host = answering(answer)
    with pytest.raises(TooMuchError, match="printed more than 1 MiB"):
        host.run_shell_command(StringCommand("true"))
    monkeypatch.setattr(host, "groups", ["master"])
    assert host.run_shell_command(StringCommand("true"))[0]


def test_what_is_no_more_than_it_may_be_comes_whole(answering: Callable[[Answer], Host]) -> None:
    said = [f"{number} ü\r\n".encode() for number in range(5_000)]

    def answer(channel: paramiko.Channel) -> None:
        content = b"".join(said)
        for start in range(0, len(content), 7):
            channel.sendall(content[start : start + 7])
        channel.sendall(b"and no end of a line")
        channel.send_exit_status(0)
        channel.close()

    ok, output = answering(answer).run_shell_command(StringCommand("true"))
    lines = [line.decode().removesuffix("\r\n") for line in said]
    assert (ok, output.stdout_lines) == (True, [*lines, "and no end of a line"])


def test_a_command_that_ends_without_a_status_has_failed(
    answering: Callable[[Answer], Host],
) -> None:
    def answer(channel: paramiko.Channel) -> None:
        channel.recv(1)  # that it has nothing to read
        channel.close()

    host = answering(answer)
    assert not host.run_shell_command(StringCommand("true"))[0]


# What a server says before anybody has logged in


def packet(payload: bytes) -> bytes:
    padding = 16 - (len(payload) + 5) % 8
    return pack(">IB", len(payload) + padding + 1, padding) + payload + b"\0" * padding


IGNORED = packet(b"\x02" + pack(">I", 3) + b"xyz")

AT_FIRST: dict[str, tuple[bytes, bytes]] = {
    "a greeting": (b"", b"SSH" * 10_000),
    "a message": (b"SSH-2.0-x\r\n" + pack(">I", 0x7FFFFFF4), b"x" * 65536),
    "messages": (b"SSH-2.0-x\r\n", IGNORED * 10_000),
}
"""What it says once, and what without end."""


@contextmanager
def saying(first: bytes, then: bytes) -> Iterator[tuple[int, list[int]]]:
    """A server's port, and how many bytes it has sent to each who came."""
    listener = socket.create_server(("127.0.0.1", 0))
    sent: list[int] = []

    def serve(connection: socket.socket, number: int) -> None:
        with suppress(OSError), connection:
            connection.sendall(first)
            while True:
                sent[number] += connection.send(then)

    def listen() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                sent.append(0)
                threading.Thread(
                    target=serve, args=(connection, len(sent) - 1), daemon=True
                ).start()

    threading.Thread(target=listen, daemon=True).start()
    yield listener.getsockname()[1], sent
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def kexinit(*lists: bytes) -> bytes:
    """What a server offers; what is not given is what this client knows."""
    usual = [
        b"diffie-hellman-group-exchange-sha256",
        b"rsa-sha2-512",
        b"aes128-ctr",
        b"aes128-ctr",
        b"hmac-sha2-256",
        b"hmac-sha2-256",
        b"none",
        b"none",
        b"",
        b"",
    ]
    offered = [*lists, *usual[len(lists) :]]
    names = b"".join(pack(">I", len(one)) + one for one in offered)
    return packet(b"\x14" + b"c" * 16 + names + b"\0" * 5)


def number(value: int) -> bytes:
    return paramiko.Message().add_mpint(value).asbytes()


def group(modulus: int, *exchange: bytes) -> bytes:
    """What a server offers, and the group that it chooses."""
    return HELLO + kexinit(*exchange) + packet(b"\x1f" + number(modulus) + number(2))


HELLO = b"SSH-2.0-x\r\n"
CURVE = b"ecdh-sha2-nistp256"

BEFORE_LOGIN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "SSH"),
    "no SSH": (b"\x1b[2J\r\n" * 101, "Indecipherable"),
    "another line": (b"SSH\xff\n" * 101, "banner"),
    "no version": (b"SSH-2.0\r\n", "Invalid SSH banner"),
    "another version": (b"SSH-9-x\r\n", "Incompatible version"),
    "no message": (HELLO + packet(b""), "IndexError"),
    "nothing but padding": (HELLO + pack(">IB", 12, 255) + b"\0" * 11, "IndexError"),
    "an unknown message": (HELLO + packet(b"\xff"), "Expecting packet"),
    "names that are not UTF-8": (HELLO + kexinit(b"\xff\xfe"), "UnicodeDecodeError"),
    "a farewell that is not UTF-8": (
        HELLO + packet(b"\x01" + pack(">II", 2, 2) + b"\xff\xfe"),
        "UnicodeDecodeError",
    ),
    "names of 100 kB": (HELLO + kexinit(b"\x1b[2J\n" * 20_000), "offers key exchange"),
    "a point on no curve": (
        HELLO + kexinit(CURVE) + packet(b"\x1f" + pack(">IIII", 0, 1, 0, 0)),
        "SSH error",
    ),
    "a group below zero": (group(-(1 << 2000)), "a group of"),
    "a group of 8192 bits": (group((1 << 8191) + 1), "a group of 8192 bits"),
    "a group of 8192 bits, with SHA-1": (
        group((1 << 8191) + 1, b"diffie-hellman-group-exchange-sha1"),
        "a group of 8192 bits",
    ),
    "a number of 60 kB": (group(1 << 480_000), "too long for a key exchange"),
}
"""What a server sends to whoever comes, and what is told of it."""


@contextmanager
def once(said: bytes) -> Iterator[tuple[int, threading.Event]]:
    """The port of a server that says no more than that, and whether the client has left it."""
    listener = socket.create_server(("127.0.0.1", 0))
    left = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
        left.set()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1], left
    with suppress(OSError):  # where nobody came
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


class Refusals(BaseStateCallback):
    """Why hosts could not be connected to."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def host_connect_error(  # type: ignore[override]
        self, state: State, host: Host, error: ConnectError
    ) -> None:
        self.said.append(str(error))


def connect_both(directory: Path, odd: dict[str, object], plain: int) -> tuple[bool, str]:
    """What pyinfra does at first with an odd host and another: whether the odd one is connected,
    and what is said of it."""
    hosts: list[tuple[str, dict[str, object]]] = [
        ("odd", odd),
        ("plain", reached(plain, directory)),
    ]
    state = State(Inventory((hosts, {})), Config(CONNECT_TIMEOUT=20))
    refusals = Refusals()
    state.add_callback_handler(refusals)
    connect_all(state)
    assert state.inventory.get_host("plain").connected
    return state.inventory.get_host("odd").connected, " ".join(refusals.said)


@pytest.mark.parametrize("kind", BEFORE_LOGIN)
def test_whatever_a_stranger_sends_is_its_own_hosts_failure(kind: str, tmp_path: Path) -> None:
    sent, why = BEFORE_LOGIN[kind]
    with serving(Served(user_key=USER_KEY)) as plain, once(sent) as (port, left):
        connected, said = connect_both(tmp_path, reached(port, tmp_path), plain.port)
        assert not connected
        assert why in said
        assert said.isprintable()
        assert len(said) < 5 * failures.LONGEST_SAYING
        assert left.wait(60)


def test_who_was_refused_is_left(tmp_path: Path) -> None:
    with serving(Served(user_key=None)) as served:
        host = target(served.port, tmp_path)
        with pytest.raises(ConnectError):
            host.connect(show_errors=False, raise_exceptions=True)
    assert isinstance(host.connector, ssh.Connector)
    assert host.connector._transport is None


EVIL = "\x1b]0;owned\x07Password: "


def test_a_server_that_asks_a_question_is_answered_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def ask(*_: object) -> str:
        asked.append("somebody")
        return "a secret"

    monkeypatch.setattr(builtins, "input", ask)
    odd = Served(user_key=USER_KEY, question=EVIL)
    with serving(Served(user_key=USER_KEY)) as plain, serving(odd):
        connected, said = connect_both(tmp_path, reached(odd.port, tmp_path), plain.port)
    assert not connected
    assert "wants a password or a code" in said and "ssh_password" in said
    assert not asked
    assert "owned" not in capsys.readouterr().out


@pytest.mark.parametrize("transport", [paramiko.Transport, ServiceRequestingTransport])
def test_nor_by_any_transport_of_paramikos(transport: Any) -> None:
    with pytest.raises(SSHException, match="nobody is asked"):
        transport.auth_interactive_dumb(None, "admin")


def test_nobody_is_asked_for_a_passphrase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "fallback_getpass", None)
    monkeypatch.setattr(pyinfra, "is_cli", True)
    key = tmp_path / "locked"
    USER_KEY.write_private_key_file(str(key), password="secret")
    host = target(1, tmp_path, ssh_key=str(key))
    with pytest.raises(ConnectError, match="encrypted, and nobody is asked"):
        host.connect(show_errors=False, raise_exceptions=True)


def test_nobody_is_asked_whether_to_believe_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "input", lambda _: "y")
    with serving(Served(user_key=USER_KEY)) as served:
        host = target(served.port, tmp_path, ssh_strict_host_key_checking="ask")
        with pytest.raises(ConnectError, match="is not known, and nobody is asked"):
            host.connect(show_errors=False, raise_exceptions=True)


def test_whose_key_is_not_known_is_told_what_to_do(tmp_path: Path) -> None:
    with serving(Served(user_key=USER_KEY)) as served:
        host = target(served.port, tmp_path, ssh_strict_host_key_checking="yes")
        with pytest.raises(
            ConnectError, match=r"No host key .* add its key to ~/\.ssh/known_hosts"
        ):
            host.connect(show_errors=False, raise_exceptions=True)


# The time that a key exchange takes


@pytest.mark.parametrize("kex", ["sha1", "sha256"])
def test_a_group_of_the_usual_size_is_taken(kex: str, tmp_path: Path) -> None:
    name = f"diffie-hellman-group-exchange-{kex}"
    every = paramiko.Transport._preferred_kex  # type: ignore[attr-defined]
    served = Served(
        user_key=USER_KEY,
        modulus=KexGroup14.P,
        disabled={"kex": [one for one in every if one != name]},
    )
    with serving(served):
        host = target(served.port, tmp_path)
        host.connect(raise_exceptions=True)
        assert host.run_shell_command(StringCommand("true"))[0]


@pytest.mark.parametrize(("times", "succeeds"), [(3, True), (ssh.MOST_EXCHANGES, False)])
def test_a_server_that_wants_new_keys_without_end_is_left(
    answering: Callable[[Answer], Host],
    monkeypatch: pytest.MonkeyPatch,
    times: int,
    succeeds: bool,
) -> None:
    monkeypatch.setattr(ssh, "_MINUTE", 3600)

    def answer(channel: paramiko.Channel) -> None:
        channel.recv(1)  # that it has nothing to read
        for _ in range(times):
            channel.transport.renegotiate_keys()  # type: ignore[union-attr]
        channel.send_exit_status(0)
        channel.close()

    assert answering(answer).run_shell_command(StringCommand("true"))[0] is succeeds


@contextmanager
def transport() -> Iterator[ssh.OfferedTransport]:
    """One that nobody has begun to use."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ssh.OfferedTransport(ours)


def test_what_is_announced_is_not_counted_up_to() -> None:
    many = pack(">I", 100_000)
    with transport() as one:
        with pytest.raises(SSHException, match="announces 100000 items"):
            one._parse_ext_info(paramiko.Message(many))
        handler = AuthHandler(one)
        handler.auth_method = "keyboard-interactive"
        handler.interactive_handler = lambda *_: []
        with pytest.raises(SSHException, match="announces 100000 items"):
            handler._parse_userauth_info_request(  # type: ignore[attr-defined]
                paramiko.Message(b"\0" * 12 + many)
            )


# Messages in the midst of a change


def succeed(channel: paramiko.Channel) -> None:
    channel.send_exit_status(0)
    channel.close()


AMID = {
    "no message": b"",
    "an unknown message": b"\xff",
    "a farewell that is not UTF-8": b"\x01" + pack(">II", 2, 2) + b"\xff\xfe",
    "a request that is not UTF-8": b"\x50" + pack(">I", 2) + b"\xff\xfe",
    "an opening that is not UTF-8": b"\x5a" + pack(">I", 2) + b"\xff\xfe",
    "nobody's channel": b"\x5e" + pack(">II", 77, 0),
    "new keys out of turn": b"\x15",
}


@pytest.mark.parametrize("kind", AMID)
def test_whatever_comes_in_the_midst_of_a_change_fails_its_host(kind: str, tmp_path: Path) -> None:
    with serving(Served(user_key=USER_KEY, odd=AMID[kind], answer=succeed)) as served:
        host = target(served.port, tmp_path)
        host.connect(raise_exceptions=True)
        with pytest.raises((OSError, SSHException)):
            host.run_shell_command(StringCommand("true"))
        host = target(served.port, tmp_path)
        host.connect(raise_exceptions=True)
        with pytest.raises((OSError, SSHException)):
            changing("/dev/null/lock", "true").execute(host.state, host, {})
        with pytest.raises(AgentRefusedError, match="did not answer"):
            ask_agent(host, WhoAndWhen)


# As pyinfra's own program: only there does one thread serve every host.
_CONNECTING = """
from gevent import monkey
monkey.patch_all()
import gevent, sys
from pathlib import Path
from pyinfra.api.exceptions import ConnectError
from tests.unit.ssh_server import target

host = target(int(sys.argv[1]), Path(sys.argv[2]))
host.state.config.CONNECT_TIMEOUT = 2
others = gevent.spawn(gevent.sleep, 0.01)
try:
    host.connect(show_errors=False, raise_exceptions=True)
except ConnectError as error:
    print(error)
print("others had their turn" if others.ready() else "others had none")
"""


@pytest.mark.parametrize("kind", AT_FIRST)
def test_what_has_no_end_before_a_login_holds_up_nobody(kind: str, tmp_path: Path) -> None:
    with saying(*AT_FIRST[kind]) as (port, sent):
        run = subprocess.run(
            [sys.executable, "-c", _CONNECTING, str(port), str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert "SSH error" in run.stdout, run.stderr
    if kind == "messages":  # each is read and thrown away, until the time is over
        assert "others had their turn" in run.stdout
    else:
        assert max(sent) < 64 * ssh.LARGEST_PACKET
