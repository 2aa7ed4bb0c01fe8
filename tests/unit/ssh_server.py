"""An SSH server of this process, which can be made to know no more than one of ten years ago."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import subprocess
import termios
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_SUCCESS
from paramiko.server import InteractiveQuery
from pyinfra.api import Config, Host, Inventory, State

HOST_KEY = paramiko.RSAKey.generate(2048)
USER_KEY = paramiko.RSAKey.generate(2048)


def reached(port: int, directory: Path, **data: object) -> dict[str, object]:
    """The data of a host that such a server is, reached with `USER_KEY`.

    :param directory: where that is written, and where keys of hosts are remembered.
    """
    key = directory / "id_rsa"
    USER_KEY.write_private_key_file(str(key))
    return {
        "ssh_hostname": "127.0.0.1",
        "ssh_port": port,
        "ssh_user": "admin",
        "ssh_key": str(key),
        "ssh_known_hosts_file": str(directory / "known_hosts"),
        "ssh_strict_host_key_checking": "no",
        **data,
    }


def target(port: int, directory: Path, **data: object) -> Host:
    """The same, of an inventory of its own and not connected to."""
    state = State(Inventory(([("web01", reached(port, directory, **data))], {})), Config())
    (host,) = state.inventory
    return host


@dataclass
class Served:
    """`disabled`: algorithms that the server does not know. `says_signatures`: whether it tells
    which signatures of keys it knows. `shell`: what it hands commands to. `env`: theirs. `answer`:
    what answers in the commands' place. `odd`: a message that it sends in the midst of granting a
    command. `question`: what it asks for after a key. `modulus`: of the groups that it chooses.
    `agents`: how often it was offered one of the client's."""

    port: int = 0
    user_key: paramiko.PKey | None = None
    disabled: dict[str, list[str]] = field(default_factory=dict)
    says_signatures: bool = False
    shell: list[str] = field(default_factory=lambda: ["sh", "-c"])
    env: dict[str, str] = field(default_factory=dict)
    answer: Callable[[paramiko.Channel], None] | None = None
    odd: bytes | None = None
    question: str | None = None
    modulus: int | None = None
    agents: int = 0
    commands: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)


class _Session(paramiko.ServerInterface):
    def __init__(self, served: Served) -> None:
        self.served = served
        self.modes: dict[int, bytes] = {}

    def get_allowed_auths(self, username: str) -> str:
        if self.served.question is not None:
            return "keyboard-interactive"
        return "publickey,gssapi-with-mic"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        known = self.served.user_key is not None and key == self.served.user_key
        if known and self.served.question is not None:
            return paramiko.AUTH_PARTIALLY_SUCCESSFUL  # type: ignore[attr-defined,no-any-return]
        return paramiko.AUTH_SUCCESSFUL if known else paramiko.AUTH_FAILED  # type: ignore[attr-defined,no-any-return]

    def check_auth_interactive(self, username: str, submethods: str) -> Any:
        question = self.served.question or ""
        return InteractiveQuery(question, question, (question, True))

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED  # type: ignore[attr-defined,no-any-return]

    def check_channel_pty_request(self, channel: Any, *arguments: Any) -> bool:
        self.modes[channel.chanid] = arguments[-1]
        return True

    def check_channel_forward_agent_request(self, channel: Any) -> bool:
        self.served.agents += 1
        return True

    def check_channel_exec_request(self, channel: Any, command: bytes) -> bool:
        self.served.commands.append(command.decode())
        if self.served.odd is not None:
            channel.transport._send_message(paramiko.Message(self.served.odd))
        if self.served.answer is not None:
            thread = threading.Thread(
                target=_answer, args=(self.served.answer, channel), daemon=True
            )
        else:
            modes = self.modes.get(channel.chanid)
            run = _run if modes is None else _run_on_terminal
            thread = threading.Thread(target=run, args=(self.served, channel, command, modes))
        channel.transport.begin_when_granted(thread)
        return True


class _Moduli:
    """In the place of /etc/ssh/moduli: whatever is asked for, the same."""

    def __init__(self, modulus: int) -> None:
        self._modulus = modulus

    def get_modulus(self, *_: int) -> tuple[int, int]:
        return 2, self._modulus


class _Transport(paramiko.Transport):
    """Whose commands begin once the client has been told that they do: to one that has ended
    before, a client says that the channel is closed."""

    def begin_when_granted(self, thread: threading.Thread) -> None:
        """Said in the thread in which the grant is going to be sent, which is the next message."""
        self._granted = thread

    def _send_user_message(self, data: paramiko.Message) -> None:
        super()._send_user_message(data)  # type: ignore[misc]
        if data.asbytes().startswith(cMSG_CHANNEL_SUCCESS) and self._granted is not None:
            thread, self._granted = self._granted, None
            thread.start()

    _granted: threading.Thread | None = None


def _answer(answer: Callable[[paramiko.Channel], None], channel: paramiko.Channel) -> None:
    with suppress(OSError, EOFError, paramiko.SSHException):  # the client has had enough
        answer(channel)


def _run(served: Served, channel: Any, command: bytes, modes: None) -> None:
    process = subprocess.Popen(
        [*served.shell, os.fsdecode(command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=served.env,
    )
    read = b""
    while content := channel.recv(65536):
        read += content
    stdout, stderr = process.communicate(read)
    channel.sendall(stdout)
    channel.sendall_stderr(stderr)
    _end(channel, process.returncode)


def _run_on_terminal(served: Served, channel: Any, command: bytes, modes: bytes) -> None:
    master, slave = pty.openpty()
    if bytes([termios_mode("ECHO"), 0, 0, 0, 0]) in modes:
        tty.setraw(slave)

    def take() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [*served.shell, os.fsdecode(command)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=served.env,
        preexec_fn=take,
    )
    os.close(slave)

    def type_in() -> None:
        with suppress(OSError):
            while content := channel.recv(65536):
                os.write(master, content)

    threading.Thread(target=type_in).start()
    with suppress(OSError):
        while content := os.read(master, 65536):
            channel.sendall(content)
    _end(channel, process.wait())
    os.close(master)


def termios_mode(name: str) -> int:
    """The number that RFC 4254 gives to a terminal's mode."""
    return {"ECHO": 53}[name]


def _end(channel: Any, status: int) -> None:
    channel.send_exit_status(status)
    channel.close()


@contextmanager
def serving(served: Served) -> Iterator[Served]:
    """The server, reachable on loopback."""
    listener = socket.create_server(("127.0.0.1", 0))
    served.port = listener.getsockname()[1]
    transports = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                transport = _Transport(
                    connection,
                    disabled_algorithms=served.disabled,
                    server_sig_algs=served.says_signatures,
                )
                transport.add_server_key(HOST_KEY)
                if served.modulus is not None:
                    transport._modulus_pack = _Moduli(served.modulus)  # type: ignore[attr-defined]
                transports.append(transport)
                with suppress(paramiko.SSHException, EOFError, OSError):
                    transport.start_server(server=_Session(served))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield served
    finally:
        # Closing alone does not wake up who waits for the next.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for transport in transports:
            transport.close()
