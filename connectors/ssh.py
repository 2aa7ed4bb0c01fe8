"""SSH to hosts as old as PE 3.7, and to logins as people have them: what pyinfra's connector lacks.

- The servers of EL 5 and 6 know an RSA key's signatures with SHA-1 only, and do not say so.
  Paramiko offers them SHA-2, and all that is heard is "Authentication failed".
- Their sudo wants a terminal by default (`Defaults requiretty`), from which it then reads nothing.
- root's login shell may be tcsh or fish, which read a quoted script in ways of their own.
- What a login prints need be no UTF-8.
- A server in somebody else's hands may say more than memory holds, or so fast that nobody else has
  a turn, or what no parser expects. It may ask questions, and for numbers that take long to reckon.
  It would be the administrator elsewhere with his SSH agent or his Kerberos ticket, if it had them.
"""

from __future__ import annotations

import re
import time
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar, NoReturn

from paramiko import Channel, Message, Transport
from paramiko.auth_handler import AuthHandler
from paramiko.common import cMSG_CHANNEL_REQUEST
from paramiko.kex_gex import KexGex, KexGexSHA256
from paramiko.packet import Packetizer
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    IncompatiblePeer,
    SSHException,
)
from paramiko.transport import ServiceRequestingTransport
from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import ConnectError, PyinfraError
from pyinfra.connectors import ssh, ssh_util
from pyinfra.connectors.ssh import SSHClient, SSHConnector
from pyinfra.connectors.sshuserclient import client
from pyinfra.connectors.util import CommandOutput

from connectors import sudo
from connectors.allowance import Allowance, TooMuchError
from connectors.failures import described, in_one_line, own_failure

WITH_SHA2 = ["rsa-sha2-512", "rsa-sha2-256"]
"""The signatures of an RSA key that servers before OpenSSH 7.2 do not know."""

BY_KERBEROS = {"gss_deleg_creds": False, "gss_kex": False}
"""A login by it hands the host no ticket to be the administrator with elsewhere, which paramiko's
does unless it is told; and a key exchange by it would ask for no key of the host's, which would be
whom DNS names."""

_NO_TERMINAL = re.compile(r"^sudo: (?!.*password).*\b(tty|terminal)\b", re.IGNORECASE)


_UNKNOWN_KEY = "StrictPolicy: No host key"
_KNOW_KEYS = (
    ". Nobody is asked during a run: add its key to ~/.ssh/known_hosts first, or to the file that "
    'ssh_known_hosts_file names in its data (docs/runbook.md, "Know the hosts\' keys beforehand")'
)


def install() -> None:
    """Let pyinfra reach hosts with this wherever it would have used its own, and nothing of it or
    paramiko's ask anybody: while somebody is asked, every host waits."""
    sudo.install()
    for owner, name, value in (
        (ssh, "SSHClient", Client),
        (client, "SSHClient", Client),  # of a host that is jumped over
        (ssh, "SSHConnector", Connector),
        (Transport, "auth_interactive_dumb", _no_second_factor),
        (ServiceRequestingTransport, "auth_interactive_dumb", _no_second_factor),
        (AuthHandler, "_parse_userauth_info_request", _answer_few),
        (client.AskPolicy, "missing_host_key", _unknown_host_key),
        (ssh_util, "getpass", _no_passphrase),
    ):
        setattr(owner, name, value)


_MOST_ITEMS = 100


def _require_few(items: int) -> None:
    """For what paramiko would read four thousand million of, if a server says so."""
    if items > _MOST_ITEMS:
        raise SSHException(f"the server announces {items} items")


_answer = AuthHandler._parse_userauth_info_request  # type: ignore[attr-defined]


def _answer_few(self: AuthHandler, m: Message) -> None:
    for _ in ("title", "instructions", "language"):
        m.get_binary()
    _require_few(m.get_int())
    m.rewind()
    _answer(self, m)


def _no_second_factor(*_: Any, **__: Any) -> NoReturn:
    raise SSHException(
        "the server has taken the key and wants a password or a code besides, and nobody is asked "
        "during a run: give ssh_password in the host's data, or let the account in by its key alone"
    )


def _unknown_host_key(_: Any, __: Any, hostname: str, ___: Any) -> NoReturn:
    raise SSHException(
        f"the key of {hostname} is not known, and nobody is asked during a run: add it to the "
        "known hosts, or set ssh_strict_host_key_checking"
    )


def _no_passphrase(_: str = "") -> NoReturn:
    raise PyinfraError(
        "the private key in ssh_key is encrypted, and nobody is asked during a run: give "
        "ssh_key_password, or leave ssh_key out and let an SSH agent have the key"
    )


LARGEST_PACKET = 256 * 1024
"""Bytes of one message, and of all that a server says before the first: as OpenSSH has it, where
RFC 4253 asks for 35,000."""


LARGEST_EXCHANGE = 8 * 1024
"""Bytes of a message of a key exchange: paramiko takes the square of its length to read a number,
ten seconds for one of the largest packet's."""

_EXCHANGING = range(30, 50)  # RFC 4250, 4.1.2


class Packets(Packetizer):
    """Messages of a server that may say what it likes."""

    _greeted = 0

    def _read_timeout(self, timeout: float) -> bytes:
        piece: bytes = super()._read_timeout(timeout)  # type: ignore[misc]
        self._greeted += len(piece)
        if self._greeted > LARGEST_PACKET:
            raise SSHException("what the server says at first has no end")
        return piece

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        if n > LARGEST_PACKET:
            raise SSHException(f"the server sends a message of {n} bytes")
        content: bytes = super().read_all(n, check_rekey)
        return content

    def read_message(self) -> tuple[int, Message]:
        # Who sends without a pause would otherwise have all of pyinfra's time: nobody else's
        # connection is looked at, and no limit counts, before a read has to wait.
        time.sleep(0)
        kind: int
        kind, message = super().read_message()
        if kind in _EXCHANGING and len(message.asbytes()) > LARGEST_EXCHANGE:
            raise SSHException("the server sends numbers that are too long for a key exchange")
        return kind, message


LARGEST_GROUP = 4096
"""Bits of a group for a key exchange that is the server's to choose: eight times the work, which
nobody else's connection can interrupt, would be 8192. What servers choose by default is 2048."""

_SMALLEST_GROUP = 1024


class Group(KexGex):
    """A key exchange in a group of the server's."""

    max_bits = LARGEST_GROUP

    def _parse_kexdh_gex_group(self, m: Message) -> None:
        modulus = m.get_mpint()
        # Below zero there is no number of the kind that paramiko would look for without end.
        if modulus < 0 or not _SMALLEST_GROUP <= modulus.bit_length() <= LARGEST_GROUP:
            raise SSHException(
                f"the server chose a group of {modulus.bit_length()} bits for the key exchange"
            )
        m.rewind()
        super()._parse_kexdh_gex_group(m)  # type: ignore[misc]


class GroupSHA256(Group, KexGexSHA256):
    """The same with SHA-256."""


MOST_EXCHANGES = 5
"""Of keys in a minute: servers ask for new ones after an hour or some hundred megabytes."""

_MINUTE = 60.0


class OfferedTransport(Transport):
    """Remembers what the server has offered, which a refusal does not tell; and lets it have no
    more of everybody's time than it needs."""

    _kex_info: ClassVar[dict[str, Any]] = {
        **Transport._kex_info,  # type: ignore[attr-defined]
        Group.name: Group,
        GroupSHA256.name: GroupSHA256,
    }

    offered: dict[str, list[str]]

    def __init__(self, sock: Any, **more: Any) -> None:
        self._exchanges: deque[float] = deque(maxlen=MOST_EXCHANGES)
        super().__init__(sock, packetizer_class=Packets, **more)

    def _negotiate_keys(self, m: Message) -> None:
        now = time.monotonic()
        if len(self._exchanges) == MOST_EXCHANGES and now - self._exchanges[0] < _MINUTE:
            raise SSHException("the server asks for new keys again and again")
        self._exchanges.append(now)
        super()._negotiate_keys(m)  # type: ignore[misc]

    def _parse_ext_info(self, msg: Message) -> None:
        _require_few(msg.get_int())
        msg.rewind()
        super()._parse_ext_info(msg)  # type: ignore[misc]

    def _really_parse_kex_init(self, *arguments: Any, **more: Any) -> Any:
        parsed = super()._really_parse_kex_init(*arguments, **more)  # type: ignore[misc]
        self.offered = {
            "key exchange": parsed["kex_algo_list"],
            "host keys": parsed["server_key_algo_list"],
            "ciphers": parsed["server_encrypt_algo_list"],
            "MACs": parsed["server_mac_algo_list"],
        }
        return parsed


class Client(SSHClient):
    """A connection whose commands any login shell reads alike. `to_a_master`: whether they may
    print as much as a CA's host has to say."""

    to_a_master = False
    _ssh_config: Mapping[str, Any] = {}
    """pyinfra's, which it would look for in vain if the key of who is jumped over is another."""

    def connect(self, hostname: str, **more: Any) -> None:  # type: ignore[override]
        given = more.get("_pyinfra_ssh_paramiko_connect_kwargs") or {}
        super().connect(  # type: ignore[no-untyped-call]
            hostname,
            **{
                "transport_factory": OfferedTransport,
                **more,
                # Whatever ssh's configuration says of it, here and for hosts that are jumped over.
                "_pyinfra_ssh_forward_agent": False,
                "_pyinfra_ssh_paramiko_connect_kwargs": {**given, **BY_KERBEROS},
            },
        )

    def exec_command(  # type: ignore[override]
        self, command: str, get_pty: bool = False, **more: Any
    ) -> tuple[Any, Lines, Lines]:
        transport = self.get_transport()
        assert transport is not None
        channel = transport.open_session()
        if get_pty:
            _give_terminal(channel)
        channel.exec_command(for_any_shell(command))
        allowance = Allowance(self.to_a_master)
        return (
            channel.makefile_stdin("wb", -1),
            Lines(channel, channel.recv, allowance),
            Lines(channel, channel.recv_stderr, allowance),
        )


_PIECE = 64 * 1024


class Lines:
    """What a command prints on one stream, as text whatever it is.

    :param read: gives the next bytes, that many at most, and none at the end.
    :param allowance: for what it prints on both streams.
    """

    def __init__(
        self, channel: Channel, read: Callable[[int], bytes], allowance: Allowance
    ) -> None:
        self._channel = channel
        self._read = read
        self._allowance = allowance

    @property
    def channel(self) -> Channel:
        """For the exit status.

        :raises TooMuchError: the command has printed more than it may, and was given up.
        """
        if self._allowance.exceeded:
            raise self._allowance.error
        return self._channel

    def __iter__(self) -> Iterator[str]:
        try:
            yield from self._lines()
        except TooMuchError:
            # pyinfra reads in a greenlet that nobody asks for its errors, and then wants the exit
            # status, as which this is told. The other stream ends with the channel.
            self._channel.close()

    def _lines(self) -> Iterator[str]:
        decode = getincrementaldecoder("utf-8")("backslashreplace").decode
        begun: list[str] = []
        while piece := self._read(_PIECE):
            for number, text in enumerate(decode(piece).split("\n")):
                if number:
                    yield "".join(begun).removesuffix("\r") + "\n"
                    begun = []
                self._allowance.take(text)
                begun.append(text)
        if rest := "".join(begun) + decode(b"", final=True):
            yield rest


class Connector(SSHConnector):
    """pyinfra's, which also reaches what does not say what it wants."""

    _only_sha1 = False
    _wants_terminal = False
    _forgets_alone = False
    _told_of_shell = False

    def connect(self) -> None:
        """
        :raises ConnectError: whatever went wrong.
        """
        if self.data["ssh_forward_agent"]:
            logger.warning(
                f"{self.host.print_prefix}ssh_forward_agent is not heeded: whoever has that host "
                "would be you on all others. Nothing here needs it."
            )
        try:
            super().connect()
        except Exception as error:
            self._leave()
            known = isinstance(error, PyinfraError)
            why = in_one_line(error) if known else f"SSH error ({described(error)})"
            if _UNKNOWN_KEY in why:
                why += _KNOW_KEYS
            raise ConnectError(why) from error

    def _leave(self) -> None:
        """A server that is not let go could go on sending."""
        if self.client is not None:
            with suppress(Exception):
                self.client.close()

    def make_paramiko_kwargs(self) -> dict[str, Any]:
        kwargs: dict[str, Any] = super().make_paramiko_kwargs()
        if self._only_sha1:
            given = kwargs.get("_pyinfra_ssh_paramiko_connect_kwargs") or {}
            sha1 = {"disabled_algorithms": {"pubkeys": WITH_SHA2}}
            kwargs["_pyinfra_ssh_paramiko_connect_kwargs"] = {**sha1, **given}
        return kwargs

    def _connect(self) -> None:
        self._leave()
        try:
            super()._connect()
        except ConnectError as error:
            if not isinstance(error.__context__, AuthenticationException):
                raise
            if not self._may_take_sha1():
                raise ConnectError(self._account_refused(str(error))) from error
        except IncompatiblePeer as error:
            raise ConnectError(f"SSH error ({error}). {self._offers()}") from error
        else:
            return
        self._only_sha1 = True
        self._leave()
        try:
            super()._connect()
        except ConnectError as error:
            raise ConnectError(
                self._account_refused(f"{error}, with SHA-1 as well")
                if isinstance(error.__context__, AuthenticationException)
                else f"{error}, with SHA-1 as well"
            ) from error
        logger.info(
            f"{self.host.print_prefix}Its SSH server ({self._version}) takes an RSA key's "
            "signatures with SHA-1 only, and got one"
        )

    def _may_take_sha1(self) -> bool:
        """Whether the server was offered a signature with SHA-2 and may not know those. One that
        says which it knows is believed."""
        given = self.data["ssh_paramiko_connect_kwargs"] or {}
        transport = self._transport
        if self._only_sha1 or "disabled_algorithms" in given or transport is None:
            return False
        tried = getattr(transport, "_agreed_pubkey_algorithm", None) or ""
        known = self._signatures
        return tried.startswith("rsa-sha2-") and (not known or "ssh-rsa" in known)

    @property
    def _transport(self) -> Transport | None:
        return self.client.get_transport() if self.client is not None else None

    @property
    def _version(self) -> str:
        return str(getattr(self._transport, "remote_version", "")).removeprefix("SSH-2.0-")

    @property
    def _signatures(self) -> list[str]:
        """Those that the server says it knows; OpenSSH says so since 7.2."""
        said = getattr(self._transport, "server_extensions", {}).get("server-sig-algs", b"")
        return [name for name in said.decode("ascii", "replace").split(",") if name]

    def _account_refused(self, error: str) -> str:
        """That the server does not let an account in, and what it would take. What it offers for
        the connection was good enough for that question."""
        transport, user = self._transport, self.data["ssh_user"] or ""
        account = f"the account {user}" if user else "the account"
        said = (
            f"The server refuses {account}: {error}. Correct ssh_user, or have that account accept "
            "the key"
        )
        if transport is None or not transport.is_active():
            return said
        taken = {"logins": _logins(transport, user), "signatures of keys": self._signatures}
        told = _told(taken)
        return f"{said}. {self._name} takes {told}" if told else said

    def _offers(self) -> str:
        """What the server offers, as far as it has said so, where nothing could be agreed on."""
        told = _told(getattr(self._transport, "offered", {}))
        return f"{self._name} offers {told or 'nothing'}"

    @property
    def _name(self) -> str:
        return f"The server, {self._version or 'of which nothing is known'},"

    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> tuple[bool, CommandOutput]:
        """As pyinfra's; where sudo wants a terminal it gets one from then on, and a password where
        no other account reads it.

        :raises OSError: also where pyinfra would not know that it is this host's failure.
        """
        with own_failure(self.host.name):
            return self._run(command, print_output, print_input, arguments)

    def put_file(self, *arguments: Any, **more: Any) -> bool:
        """As pyinfra's; errors as with a command."""
        with own_failure(self.host.name):
            return bool(super().put_file(*arguments, **more))

    def get_file(self, *arguments: Any, **more: Any) -> bool:
        """The same."""
        with own_failure(self.host.name):
            return bool(super().get_file(*arguments, **more))

    def _run(
        self,
        command: StringCommand,
        print_output: bool,
        print_input: bool,
        arguments: dict[str, Any],
    ) -> tuple[bool, CommandOutput]:
        with_password = bool(arguments.get("_sudo") and arguments.get("_sudo_password"))

        def run() -> tuple[bool, CommandOutput]:
            if isinstance(self.client, Client):
                self.client.to_a_master = "master" in self.host.groups
            given = {**arguments, "_get_pty": True} if self._wants_terminal else arguments
            asking = command
            if with_password:
                asking, given = sudo.with_password(
                    self.host, command, given, bool(given.get("_get_pty")), self._forgets_alone
                )
            result: tuple[bool, CommandOutput] = SSHConnector.run_shell_command(
                self, asking, print_output, print_input, **given
            )
            return result

        stdin: Any = arguments.get("_stdin")
        if hasattr(stdin, "readlines"):  # which can be read once
            arguments["_stdin"] = stdin.readlines()
        ok, output = run()
        if not ok and any(_MISREADS.search(line.line) for line in output):
            self._tell_of_shell()
        while not ok and arguments.get("_sudo") and self._learns_of_sudo(output):
            ok, output = run()
        return ok, output

    def _learns_of_sudo(self, output: CommandOutput) -> bool:
        """Whether sudo has refused what it is going to get from now on."""
        if not self._wants_terminal and any(_NO_TERMINAL.match(line.line) for line in output):
            self._wants_terminal = True
            logger.info(
                f"{self.host.print_prefix}Its sudo wants a terminal (requiretty), and gets one"
            )
            return True
        if not self._forgets_alone and any(sudo.forgets_alone(line.line) for line in output):
            self._forgets_alone = True
            return True
        return False

    def _tell_of_shell(self) -> None:
        if self._told_of_shell or self.client is None:
            return
        self._told_of_shell = True
        _, lines, _ = self.client.exec_command("echo $SHELL")
        shell = " ".join(line.strip() for line in lines)[:80] or "whichever it is"
        logger.error(
            f"{self.host.print_prefix}The login's shell there, {shell}, did not read the command. "
            "Give the login another (`chsh -s /bin/sh`), or use another login with --sudo."
        )


def _told(lists: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{what} {', '.join(names)}" for what, names in lists.items() if names)


def _logins(transport: Transport, user: str) -> list[str]:
    """How the server lets a user in."""
    try:
        transport.auth_none(user)
    except BadAuthenticationType as error:
        return list(error.allowed_types)
    except Exception:  # whatever it answers, why it was asked is told
        pass
    return []


# RFC 4254, 8: modes that would change what passes through a terminal. All are switched off.
_MODES = {
    "ICRNL": 36,
    "IXON": 38,
    "ISIG": 50,
    "ICANON": 51,
    "ECHO": 53,
    "IEXTEN": 59,
    "OPOST": 70,
    "ONLCR": 72,
}


def _give_terminal(channel: Channel) -> None:
    """A terminal through which everything passes as it is: no echo, no lines of 4096 characters at
    most, no carriage returns. Paramiko can ask only for one as people use it."""
    request = Message()
    request.add_byte(cMSG_CHANNEL_REQUEST)
    request.add_int(channel.remote_chanid)
    request.add_string("pty-req")
    request.add_boolean(True)
    request.add_string("dumb")
    for size in (80, 24, 0, 0):
        request.add_int(size)
    modes = Message()
    for mode in _MODES.values():
        modes.add_byte(bytes([mode]))
        modes.add_int(0)
    modes.add_byte(b"\0")
    request.add_string(modes.asbytes())
    assert channel.transport is not None
    channel._event_pending()  # type: ignore[attr-defined]
    channel.transport._send_user_message(request)  # type: ignore[attr-defined]
    channel._wait_for_event()  # type: ignore[attr-defined]


# What csh and its like say of a line that is beyond them; old ones take words of 1024 characters.
_MISREADS = re.compile(r"^Word too long\.|^Unmatched |: Event not found\.")

# tcsh ends a quoted string at the end of a line and looks for its history in it, fish reads two
# backslashes in it as one, and either may take other bytes than ASCII for something else.
_FOR_SH = re.compile(r"""(?:[^'"]|'[^']*'|"[^"]*")*?\bsh -c (?=')""")
_MISREAD = {"\\": r"\0134", "\n": r"\n", "!": r"\0041", "'": r"\0047"}
_OTHER = re.compile(r"[^ -~]+")


def for_any_shell(command: str) -> str:
    """What pyinfra has wrapped into `sh -c '…'`, as one line that every login shell reads alike.

    Other commands, as those for Windows are, remain what they are.
    """
    wrapped = _FOR_SH.match(command)
    if wrapped is None or not command.endswith("'"):
        return command
    text = command[wrapped.end() + 1 : -1].replace("""'"'"'""", "'")
    for char, escape in _MISREAD.items():
        text = text.replace(char, escape)
    text = _OTHER.sub(_octal, text)
    return f"""{wrapped[0]}'eval "$(command printf %b "$0")"' '{text}'"""


def _octal(match: re.Match[str]) -> str:
    return "".join(f"\\0{byte:03o}" for byte in match[0].encode("utf-8", "surrogateescape"))
