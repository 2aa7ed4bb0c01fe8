"""Windows hosts by WinRM: cmd.exe command lines through the remote shell that Windows offers.

No PowerShell takes part: Windows 2003 and 2008 need not have one.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import ConnectError, PyinfraError
from pyinfra.api.hiddenvalue import HiddenValue
from pyinfra.api.output import echo, format_text
from pyinfra.api.util import get_file_io
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput, OutputLine
from typing_extensions import Unpack, override

from connectors.allowance import Allowance
from connectors.failures import described, in_one_line, own_failure
from connectors.limits import at_most
from connectors.winrm_data import ConnectorData, WinRMHostError, connector_data_meta, shell_for

if TYPE_CHECKING:
    from pyinfra.api.arguments import ConnectorArguments

    from connectors.winrm_shell import RemoteShell

# What reaches cmd.exe is limited to 8191 characters; Windows puts its own path in front.
LONGEST_COMMAND = 8000
# Of programs that have no console to ask, in Western Europe and America.
FALLBACK_CODEPAGE = "cp1252"
# What `chcp` prints is a line; how long it may take, and how long it takes to leave a host.
LONGEST_LINE = 200
CHCP_SECONDS = 30
_PLAIN = b"A1 \r\n"
LEAVING_SECONDS = 15
FILE_INVALID = "0x800703ee"
# Who runs a command, where, and on what terminal: WinRM settles the first, cmd.exe has no other.
UNSUPPORTED = ("_sudo", "_su_user", "_doas", "_dzdo", "_get_pty", "_chdir")


class WinRMConnector(BaseConnector):
    """
    Connect to Windows hosts by WinRM. Commands are raw cmd.exe command lines.

    .. code:: shell

        pyinfra @winrm/win01.example.com ...

    Over HTTPS the host's certificate is checked; over plain HTTP every message is encrypted. A
    command has its end of input from the start unless ``_stdin`` gives it some.
    """

    __examples_doc__ = """
    .. code:: python

        windows_agents = [
            ("@winrm/win01.example.com", {"winrm_user": "Administrator"}),
            ("@winrm/win03.example.com", {"winrm_user": "CORP\\\\ops", "winrm_transport": "http"}),
        ]
    """

    handles_execution = True

    data_cls = ConnectorData
    data_meta = connector_data_meta
    data: ConnectorData

    _shell: RemoteShell | None = None
    _codepage: str = FALLBACK_CODEPAGE

    @override
    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        """The host under its own name."""
        yield f"@winrm/{name}", {"winrm_hostname": name}, []

    @override
    def connect(self) -> None:
        """
        Log in and run a first command.

        Raises:
            ConnectError: whatever went wrong, with what to do about it.
        """
        try:
            given = self._given_codepage()
            self._shell = self._make_shell()
            known = self._host_codepage()  # also where the data has another: it logs in
            self._codepage = given or known
        except TimeoutError as error:
            way = self._shell.way if self._shell is not None else self.host.name
            self._shell = None
            raise ConnectError(
                f"{way} took the connection, but a login and a first command take too long "
                f"({error}): restart the service WinRM on the host"
            ) from None
        except (OSError, PyinfraError) as error:
            self._shell = None
            raise ConnectError(in_one_line(error)) from None
        except Exception as error:
            self._shell = None
            raise ConnectError(f"WinRM error ({described(error)})") from error

    @override
    def disconnect(self) -> None:
        """Close the shell."""
        if self._shell is not None:
            with suppress(OSError), at_most(LEAVING_SECONDS):
                self._shell.close()
            self._shell = None

    @override
    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Unpack[ConnectorArguments],
    ) -> tuple[bool, CommandOutput]:
        """
        Run a cmd.exe command line.

        Args:
            command: the line, as cmd.exe understands it; nothing is wrapped around it.
            print_output: whether to print what it prints.
            print_input: whether to print the line.
            arguments: ``_timeout`` (seconds), ``_stdin``, ``_env`` and ``_success_exit_codes``
                are as with SSH; what would need sudo and the like is refused.

        Returns: whether its exit code means success, and its output.

        Raises:
            TimeoutError: it did not end in time; it was ended.
            OSError: the connection failed, or the command cannot be run this way.
        """
        self._refuse_unsupported(arguments)
        logger.debug("Running command on %s: %s", self.host.name, command)
        if print_input:
            echo(f"{self.host.print_prefix}>>> {command}", err=True)
        environment = {
            name: value.unmask() if isinstance(value, HiddenValue) else str(value)
            for name, value in (arguments.get("_env") or {}).items()
        }
        exit_code, output = self._run(
            command.get_raw_value(),
            stdin=self._encode_stdin(arguments.get("_stdin")),
            environment=environment,
            timeout=arguments.get("_timeout"),
            print_output=print_output,
        )
        logger.debug("Exit code on %s: %s", self.host.name, exit_code)
        return exit_code in (arguments.get("_success_exit_codes") or [0]), output

    @override
    def put_file(
        self,
        filename_or_io: Any,
        remote_filename: str,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Unpack[ConnectorArguments],
    ) -> bool:
        """
        Upload a file as base64 text, which certutil decodes there; whole or not at all.

        Raises:
            OSError: it could not be written.
        """
        self._refuse_unsupported(arguments)
        with get_file_io(filename_or_io) as file_io:
            content = file_io.read()
        text = base64.b64encode(content.encode() if isinstance(content, str) else content).decode()
        beside = f"{remote_filename}.{uuid.uuid4().hex[:8]}"
        # Variables need no quoting, whatever is in a path.
        names = {"PUT_FILE": remote_filename, "PUT_TEXT": f"{beside}.b64", "PUT_NEW": beside}
        room = (LONGEST_COMMAND - 100) // 4 * 4
        try:
            for start in range(0, len(text), room):
                self._checked(
                    f'>>"%PUT_TEXT%" echo {text[start : start + room]}', names, remote_filename
                )
            if text:
                self._checked('certutil -decode "%PUT_TEXT%" "%PUT_NEW%"', names, remote_filename)
            else:
                self._checked('type nul >"%PUT_NEW%"', names, remote_filename)
            self._checked('move /y "%PUT_NEW%" "%PUT_FILE%"', names, remote_filename)
        finally:
            self._run('del /q "%PUT_TEXT%" "%PUT_NEW%"', environment=names)
        if print_output:
            echo(f"{self.host.print_prefix}file uploaded: {remote_filename}", err=True)
        return True

    @override
    def get_file(
        self,
        remote_filename: str,
        filename_or_io: Any,
        remote_temp_filename: str | None = None,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Unpack[ConnectorArguments],
    ) -> bool:
        """
        Download a file as base64 text, which certutil makes of it there.

        Raises:
            OSError: it could not be read.
        """
        self._refuse_unsupported(arguments)
        names = {"GET_FILE": remote_filename, "GET_TEXT": f"get-{uuid.uuid4().hex[:8]}.b64"}
        try:
            exit_code, output = self._run(
                'certutil -encode "%GET_FILE%" "%TEMP%\\%GET_TEXT%"', environment=names
            )
            if exit_code == 0:
                text = self._checked('type "%TEMP%\\%GET_TEXT%"', names, remote_filename)
                content = self._decoded(text.stdout_lines, remote_filename)
            elif FILE_INVALID in output.output:
                # What certutil says to an empty file, in every language.
                content = b""
            else:
                raise self._failure(f"cannot read {remote_filename}: {_joined(output)}")
        finally:
            self._run('del /q "%TEMP%\\%GET_TEXT%"', environment=names)
        with get_file_io(filename_or_io, "wb") as file_io:
            file_io.write(content)
        if print_output:
            echo(f"{self.host.print_prefix}file downloaded: {remote_filename}", err=True)
        return True

    def _decoded(self, lines: list[str], name: str) -> bytes:
        try:
            return base64.b64decode(
                "".join(line for line in lines if not line.startswith("-----")), validate=True
            )
        except binascii.Error as error:
            raise self._failure(f"certutil's text of {name} is not base64: {error}") from None

    def _checked(self, line: str, environment: dict[str, str], name: str) -> CommandOutput:
        exit_code, output = self._run(line, environment=environment)
        if exit_code:
            step = line.partition(" ")[0]
            raise self._failure(f"{name}: {step} ended with {exit_code}: {_joined(output)}")
        return output

    def _run(
        self,
        line: str,
        stdin: bytes = b"",
        environment: dict[str, str] | None = None,
        timeout: float | None = None,
        print_output: bool = False,
    ) -> tuple[int, CommandOutput]:
        self._refuse_impossible(line)
        if self._shell is None:
            raise self._failure("not connected")
        # As in `shell_for`: loaded when there is a Windows host.
        from connectors.winrm_errors import FAILURES, explain
        from connectors.winrm_shell import LONGEST_SECONDS

        allowance = Allowance(of_a_master=False)
        lines: list[OutputLine] = []
        rests = {"stdout": b"", "stderr": b""}

        def note(stream: str, raw: bytes) -> None:
            text = self._decode(raw.rstrip(b"\r"))
            allowance.take(text)
            lines.append(OutputLine(stream, text))
            if print_output:
                shown = format_text(text, "red") if stream == "stderr" else text
                echo(f"{self.host.print_prefix}{shown}", err=True)

        def listen(stream: str, piece: bytes) -> None:
            *whole, rests[stream] = (rests[stream] + piece).split(b"\n")
            for raw in whole:
                note(stream, raw)

        # cmd.exe takes the first and the last quote from a line that begins with one.
        line = f"@{line}" if line.startswith('"') else line
        limit = LONGEST_SECONDS if timeout is None else timeout
        with own_failure(self.host.name), at_most(limit):
            try:
                exit_code = self._shell.run(line, listen, stdin, environment, timeout)
            except FAILURES as error:
                if allowance.exceeded:
                    raise allowance.error from error
                found = explain(error, self._shell.way, self._shell.offered)
                raise self._failure(in_one_line(found)) from error
            for stream, rest in rests.items():
                if rest:
                    note(stream, rest)
        return exit_code, CommandOutput(lines)

    def _host_codepage(self) -> str:
        """What its console has: chcp says so, in its own language, with the number at the end."""
        _, output = self._run("chcp", timeout=CHCP_SECONDS)
        numbers = re.findall("[0-9]+", output.stdout[-LONGEST_LINE:])
        return (_codec(numbers[-1]) if numbers else None) or FALLBACK_CODEPAGE

    def _given_codepage(self) -> str | None:
        given = self.data["winrm_codepage"]
        codec = _codec(given) if given else None
        if given and codec is None:
            raise self._failure(f"winrm_codepage is {given!r}, which is no code page known here")
        return codec

    def _decode(self, raw: bytes) -> str:
        # cmd.exe writes in the console's code page, Ruby and others in UTF-8; that text in a code
        # page happens to be UTF-8 as well is rare.
        try:
            return raw.decode()
        except UnicodeDecodeError:
            return raw.decode(self._codepage, errors="replace")

    def _encode_stdin(self, stdin: Any) -> bytes:
        if stdin is None or isinstance(stdin, bytes):
            return stdin or b""
        if hasattr(stdin, "readlines"):
            stdin = stdin.readlines()
        parts = [stdin] if isinstance(stdin, str) else list(stdin)
        text = "".join(part if part.endswith("\n") else f"{part}\r\n" for part in parts)
        try:
            return text.encode(self._codepage)
        except UnicodeEncodeError as error:
            raise self._failure(
                f"code page {self._codepage} has no {error.object[error.start]!r}, which is in "
                "the command's input: set winrm_codepage to one that has it, as 65001"
            ) from None

    def _refuse_impossible(self, line: str) -> None:
        if len(line) > LONGEST_COMMAND:
            raise self._failure(
                f"a command line has {len(line)} characters, cmd.exe takes {LONGEST_COMMAND}: "
                f"divide it ({line[:60]}...)"
            )
        if match := re.search(r"[\x00-\x08\x0a-\x1f\ufffe\uffff\ud800-\udfff]", line):
            raise self._failure(
                f"a command line holds {match[0]!r}, which cmd.exe cannot be given: {line[:60]!r}"
            )

    def _refuse_unsupported(self, arguments: Any) -> None:
        for name in UNSUPPORTED:
            if arguments.get(name):
                raise self._failure(
                    f"{name}={arguments[name]!r} has no meaning on Windows: commands run as "
                    f'winrm_user; put "{name}": False into the data of this host or its group'
                )
        if arguments.get("_shell_executable") not in (None, "sh", "cmd", "cmd.exe"):
            raise self._failure(
                f"_shell_executable={arguments['_shell_executable']!r}: WinRM has cmd.exe alone"
            )

    def _make_shell(self) -> RemoteShell:
        try:
            return shell_for(self.data, self.host.name, self.state.config.CONNECT_TIMEOUT)
        except ValueError as error:
            raise self._failure(str(error)) from None

    def _failure(self, text: str) -> WinRMHostError:
        return WinRMHostError(text)


def _codec(codepage: object) -> str | None:
    """The name by which a code page is known here: by a number there may be none, as for 037. None
    also for one in which lines end otherwise, which is no console's."""
    with suppress(LookupError, UnicodeDecodeError):
        codec = codecs.lookup(f"cp{codepage}")
        if _PLAIN.decode(codec.name) == _PLAIN.decode("ascii"):
            return codec.name
    return None


def _joined(output: CommandOutput) -> str:
    return " ".join(output.output.split())
