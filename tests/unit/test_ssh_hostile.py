"""An SSH server in somebody's hands: it fails its own host, and soon."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import pack

import paramiko
import pytest
from paramiko.common import cMSG_CHANNEL_DATA
from pyinfra.api import Host, StringCommand

import connectors
from connectors import allowance, ssh
from connectors.allowance import TooMuchError
from facts.host import WhoAndWhen
from procedures import agent, limits
from procedures.agent import AgentRefusedError, ask_agent
from tests.unit.ssh_server import USER_KEY, Served, serving, target

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
