"""WS-Management's remote shell (MS-WSMV): what each message does, without how it travels.

Used by winrm_endpoint.py, whose text says what it is for.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import IO
from xml.sax.saxutils import escape

SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
NAMESPACES = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "p": "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd",
    "x": TRANSFER,
    "rsp": SHELL,
}
# WinRM 2.0's MaxEnvelopeSizekb, which the clients assume too.
MAX_ENVELOPE = 150 * 1024
# Of raw output in one answer: base64 and the envelope have to fit around it.
MAX_OUTPUT = 64 * 1024


class FaultError(Exception):
    """A WS-Management fault: the code of Windows, the SOAP subcode, and the reason."""

    def __init__(self, code: int, subcode: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.subcode = subcode
        self.reason = reason


def operation_timed_out() -> FaultError:
    return FaultError(
        2150858793,
        "w:TimedOut",
        "The WS-Management service cannot complete the operation within the time specified in "
        "OperationTimeout.",
    )


def no_such_shell(shell_id: str) -> FaultError:
    return FaultError(
        2150858843, "w:InvalidSelectors", f"The Windows Remote Shell {shell_id!r} was not found."
    )


@dataclass(frozen=True)
class Account:
    name: str
    password: str
    program: tuple[str, ...]
    denied: bool


class Command:
    """One running command line and what it has said so far."""

    def __init__(self, argv: list[str], environment: dict[str, str], console: bool) -> None:
        self._console = console
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        self._output: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._changed = threading.Condition()
        self._finished = False
        readers = []
        for name, stream in (("stdout", self.process.stdout), ("stderr", self.process.stderr)):
            assert stream is not None
            readers.append(threading.Thread(target=self._read, args=(name, stream), daemon=True))
        for reader in readers:
            reader.start()
        threading.Thread(target=self._wait, args=(readers,), daemon=True).start()

    def _read(self, name: str, stream: IO[bytes]) -> None:
        while chunk := os.read(stream.fileno(), MAX_OUTPUT):
            with self._changed:
                self._output[name] += chunk
                self._changed.notify_all()

    def _wait(self, readers: list[threading.Thread]) -> None:
        self.process.wait()
        # What the command left running may hold its pipes for ever.
        for reader in readers:
            reader.join(timeout=2)
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def receive(self, seconds: float) -> tuple[dict[str, bytes], int | None]:
        """What it has said since the last time, and its exit code once that was all."""
        with self._changed:
            if not self._changed.wait_for(
                lambda: self._finished or any(self._output.values()), timeout=seconds
            ):
                raise operation_timed_out()
            said = {}
            room = MAX_OUTPUT
            for name, buffer in self._output.items():
                said[name] = bytes(buffer[:room])
                room -= len(said[name])
                del buffer[: len(said[name])]
            if self._finished and not any(self._output.values()):
                return said, self.process.returncode
            return said, None

    def send(self, data: bytes, end: bool) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
            # A console, which is Windows' default, has no end of input.
            if end and not self._console:
                self.process.stdin.close()
        except (BrokenPipeError, ValueError):
            # It no longer listens; Windows says nothing about that either.
            pass

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


@dataclass
class Shell:
    owner: str
    program: tuple[str, ...]
    environment: dict[str, str]
    commands: dict[str, Command] = field(default_factory=dict)

    def end(self) -> None:
        for command in self.commands.values():
            command.end()


class Service:
    """The shells, and what each request does to them."""

    def __init__(self) -> None:
        self._shells: dict[str, Shell] = {}
        self._lock = threading.Lock()
        self._actions = {
            f"{TRANSFER}/Create": self._create,
            f"{SHELL}/Command": self._command,
            f"{SHELL}/Send": self._send,
            f"{SHELL}/Receive": self._receive,
            f"{SHELL}/Signal": self._signal,
            f"{TRANSFER}/Delete": self._delete,
        }

    def answer(self, message: bytes, account: Account) -> tuple[int, bytes]:
        """HTTP status and envelope."""
        relates_to = ""
        try:
            if len(message) > MAX_ENVELOPE:
                raise FaultError(
                    2150858765, "w:EncodingLimit", "The request exceeds MaxEnvelopeSize."
                )
            try:
                envelope = ET.fromstring(message)
            except ET.ParseError as error:
                raise FaultError(
                    2150858898, "w:SchemaValidationError", f"Not XML: {error}"
                ) from None
            relates_to = _text(envelope, "s:Header/a:MessageID")
            action = _text(envelope, "s:Header/a:Action")
            if action not in self._actions:
                raise FaultError(2150858763, "a:ActionNotSupported", f"No action {action!r}.")
            if account.denied:
                raise FaultError(5, "w:AccessDenied", "Access is denied.")
            body = self._actions[action](envelope, account)
        except FaultError as fault:
            return 500, _envelope(
                "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault", relates_to, _fault_body(fault)
            )
        return 200, _envelope(f"{action}Response", relates_to, body)

    def end(self) -> None:
        """All that still runs."""
        with self._lock:
            for shell in self._shells.values():
                shell.end()

    def _create(self, envelope: ET.Element, account: Account) -> str:
        options = _options(envelope)
        requested = envelope.find("s:Body/rsp:Shell", NAMESPACES)
        if requested is None or _text(envelope, "s:Header/w:ResourceURI") != f"{SHELL}/cmd":
            raise FaultError(
                2150858811, "w:InvalidResource", "This endpoint has the cmd shell alone."
            )
        if requested.find("rsp:WorkingDirectory", NAMESPACES) is not None:
            raise FaultError(2150858803, "w:UnsupportedFeature", "No WorkingDirectory here.")
        environment = {
            variable.get("Name", ""): variable.text or ""
            for variable in requested.iterfind("rsp:Environment/rsp:Variable", NAMESPACES)
        }
        environment["WINRS_VARIABLES"] = " ".join(environment)
        for option in ("WINRS_CODEPAGE", "WINRS_NOPROFILE"):
            if option in options:
                environment[option] = options[option]
        shell_id = str(uuid.uuid4()).upper()
        with self._lock:
            self._shells[shell_id] = Shell(account.name, account.program, environment)
        return (
            f"<x:ResourceCreated><a:Address>/wsman</a:Address><a:ReferenceParameters>"
            f"<w:ResourceURI>{SHELL}/cmd</w:ResourceURI><w:SelectorSet>"
            f'<w:Selector Name="ShellId">{shell_id}</w:Selector></w:SelectorSet>'
            f"</a:ReferenceParameters></x:ResourceCreated>"
            f"<rsp:Shell><rsp:ShellId>{shell_id}</rsp:ShellId>"
            f"<rsp:ResourceUri>{SHELL}/cmd</rsp:ResourceUri>"
            f"<rsp:Owner>{escape(account.name)}</rsp:Owner>"
            f"<rsp:InputStreams>stdin</rsp:InputStreams>"
            f"<rsp:OutputStreams>stdout stderr</rsp:OutputStreams></rsp:Shell>"
        )

    def _shell(self, envelope: ET.Element, account: Account) -> tuple[str, Shell]:
        shell_id = _text(envelope, "s:Header/w:SelectorSet/w:Selector[@Name='ShellId']")
        with self._lock:
            shell = self._shells.get(shell_id)
        # Another account's shells are not told apart from none.
        if shell is None or shell.owner != account.name:
            raise no_such_shell(shell_id)
        return shell_id, shell

    def _command(self, envelope: ET.Element, account: Account) -> str:
        _, shell = self._shell(envelope, account)
        words = [_text(envelope, "s:Body/rsp:CommandLine/rsp:Command")]
        words += [
            argument.text or ""
            for argument in envelope.iterfind("s:Body/rsp:CommandLine/rsp:Arguments", NAMESPACES)
        ]
        command_id = str(uuid.uuid4()).upper()
        command_line = " ".join(words)
        log(f"{account.name} runs {command_line}")
        shell.commands[command_id] = Command(
            [*shell.program, command_line],
            {**os.environ, **shell.environment},
            console=_options(envelope).get("WINRS_CONSOLEMODE_STDIN", "").upper() != "FALSE",
        )
        return (
            f"<rsp:CommandResponse><rsp:CommandId>{command_id}</rsp:CommandId>"
            "</rsp:CommandResponse>"
        )

    def _running(self, shell: Shell, command_id: str) -> Command:
        try:
            return shell.commands[command_id]
        except KeyError:
            raise FaultError(
                2150858843, "w:InvalidSelectors", f"No command {command_id!r} in this shell."
            ) from None

    def _send(self, envelope: ET.Element, account: Account) -> str:
        _, shell = self._shell(envelope, account)
        for stream in envelope.iterfind("s:Body/rsp:Send/rsp:Stream", NAMESPACES):
            command = self._running(shell, stream.get("CommandId", ""))
            command.send(
                base64.b64decode(stream.text or ""), stream.get("End", "").lower() == "true"
            )
        return "<rsp:SendResponse/>"

    def _receive(self, envelope: ET.Element, account: Account) -> str:
        _, shell = self._shell(envelope, account)
        desired = envelope.find("s:Body/rsp:Receive/rsp:DesiredStream", NAMESPACES)
        command_id = "" if desired is None else desired.get("CommandId", "")
        said, exit_code = self._running(shell, command_id).receive(_seconds(envelope))
        streams = "".join(
            f'<rsp:Stream Name="{name}" CommandId="{command_id}">'
            f"{base64.b64encode(data).decode()}</rsp:Stream>"
            for name, data in said.items()
            if data
        )
        if exit_code is None:
            state = (
                f'<rsp:CommandState CommandId="{command_id}" State="{SHELL}/CommandState/Running"/>'
            )
        else:
            streams += "".join(
                f'<rsp:Stream Name="{name}" CommandId="{command_id}" End="true"/>' for name in said
            )
            state = (
                f'<rsp:CommandState CommandId="{command_id}" State="{SHELL}/CommandState/Done">'
                # Windows' exit codes are unsigned; a signal's negative one has no counterpart.
                f"<rsp:ExitCode>{exit_code & 0xFFFFFFFF}</rsp:ExitCode></rsp:CommandState>"
            )
        return f"<rsp:ReceiveResponse>{streams}{state}</rsp:ReceiveResponse>"

    def _signal(self, envelope: ET.Element, account: Account) -> str:
        _, shell = self._shell(envelope, account)
        signalled = envelope.find("s:Body/rsp:Signal", NAMESPACES)
        command_id = "" if signalled is None else signalled.get("CommandId", "")
        command = self._running(shell, command_id)
        command.end()
        if _text(envelope, "s:Body/rsp:Signal/rsp:Code").lower().endswith("/terminate"):
            del shell.commands[command_id]
        return "<rsp:SignalResponse/>"

    def _delete(self, envelope: ET.Element, account: Account) -> str:
        shell_id, shell = self._shell(envelope, account)
        with self._lock:
            self._shells.pop(shell_id, None)
        shell.end()
        return ""


def _text(envelope: ET.Element, path: str) -> str:
    return envelope.findtext(path, "", NAMESPACES)


def _options(envelope: ET.Element) -> dict[str, str]:
    return {
        option.get("Name", ""): option.text or ""
        for option in envelope.iterfind("s:Header/w:OptionSet/w:Option", NAMESPACES)
    }


def _seconds(envelope: ET.Element) -> float:
    asked = _text(envelope, "s:Header/w:OperationTimeout")
    match = re.fullmatch(r"PT(\d+(?:\.\d+)?)S", asked)
    return float(match[1]) if match else 60.0


def _envelope(action: str, relates_to: str, body: str) -> bytes:
    names = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    return (
        f'<s:Envelope xml:lang="en-US" {names}><s:Header><a:Action>{action}</a:Action>'
        f"<a:MessageID>uuid:{uuid.uuid4()}</a:MessageID>"
        f"<a:To>{NAMESPACES['a']}/role/anonymous</a:To>"
        f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo></s:Header>"
        f"<s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def _fault_body(fault: FaultError) -> str:
    reason = escape(fault.reason)
    return (
        f"<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>{fault.subcode}"
        f'</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en-US">{reason}</s:Text>'
        f"</s:Reason><s:Detail><f:WSManFault "
        f'xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{fault.code}" '
        f'Machine="localhost"><f:Message>{reason}</f:Message></f:WSManFault></s:Detail></s:Fault>'
    )


def log(text: str) -> None:
    """One line on standard error, with the time."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)
