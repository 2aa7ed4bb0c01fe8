"""The remote shell that Windows offers by WinRM: command lines in, bytes and exit codes out.

[MS-WSMV]: Web Services Management Protocol Extensions. pypsrp speaks it; here is what a command
line on an old Windows, over a connection that may be lost at any time, needs besides.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import requests
from pypsrp.exceptions import WinRMError, WSManFaultError
from pypsrp.shell import CommandState, Process, SignalCode, WinRS
from pypsrp.wsman import NAMESPACES, OptionSet, SelectorSet, WSMan, WSManAction
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from connectors.winrm_data import Way
from connectors.winrm_errors import SHELL_NOT_FOUND

# One wait for output; Windows answers with a fault after it, and is asked again.
POLL_SECONDS = 20
# Windows closes idle connections after two minutes, and an encrypted one cannot be continued.
IDLE_SECONDS = 60
# Of input in one message: WinRM 2.0 takes 150 kB, base64 and everything around it included.
INPUT_CHUNK = 64 * 1024
# Whatever answers there may be in somebody's hands: how long one answer may be, as it comes and
# unpacked, how much a command may print, and how long one without a limit of its own may take.
LARGEST_ANSWER = 4 * 1024 * 1024
LARGEST_OUTPUT = 64 * 1024 * 1024
LONGEST_SECONDS = 3600
# To close a shell that one is done with.
CLOSE_SECONDS = 10
_PIECE = 16 * 1024

Listener = Callable[[str, bytes], None]


class _Client(WSMan):
    def receive(
        self,
        resource_uri: str,
        resource: ET.Element | None = None,
        option_set: OptionSet | None = None,
        selector_set: SelectorSet | None = None,
        timeout: int | None = None,
    ) -> ET.Element:
        """Once: pypsrp asks again where no answer came, and loses the output that was in it."""
        answer = self.invoke(
            WSManAction.RECEIVE, resource_uri, resource, option_set, selector_set, timeout
        )
        body = answer.find("s:Body", NAMESPACES)
        assert body is not None
        return body


class _Shell(WinRS):
    def command(
        self,
        executable: str,
        arguments: list[str] | None,
        no_shell: bool = False,
        command_id: str | None = None,
    ) -> ET.Element:
        """With a pipe for standard input, which has an end; Windows' default is a console."""
        rsp = NAMESPACES["rsp"]
        options = OptionSet()
        options.add_option("WINRS_CONSOLEMODE_STDIN", "FALSE")
        options.add_option("WINRS_SKIP_CMD_SHELL", "FALSE")
        line = ET.Element(f"{{{rsp}}}CommandLine")
        ET.SubElement(line, f"{{{rsp}}}Command").text = executable
        return self.wsman.command(
            self.resource_uri, line, option_set=options, selector_set=self._selector_set
        )


class RemoteShell:
    """One host's shell. Safe to use from several greenlets: one command at a time.

    Args:
        way: how the host is reached.
        password: of way.user.
        ca_file: path of the certificates to trust (PEM), or None for the system's.
        fingerprint: SHA-256 (hexadecimal) of the one certificate to trust, or None.
        codepage: for the host's console, or None for its own.
    """

    def __init__(
        self,
        way: Way,
        password: str,
        ca_file: str | None,
        fingerprint: str | None,
        codepage: int | None,
    ) -> None:
        self.way = way
        self.offered = ""
        self._password = password
        self._ca_file = ca_file
        self._fingerprint = fingerprint
        self._codepage = codepage
        self._lock = threading.Lock()
        self._client: WSMan | None = None
        self._shell: WinRS | None = None
        self._used = 0.0
        self._deadline = 0.0

    def run(
        self,
        line: str,
        listen: Listener,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> int:
        """Run one command line of cmd.exe to its end.

        Args:
            line: as cmd.exe understands it.
            listen: called with "stdout" or "stderr" and each piece of output.
            stdin: what the command can read, before the end of its input.
            environment: variables for this command alone.
            timeout: seconds after which the command is ended; None for no limit.

        Returns: its exit code.

        Raises:
            TimeoutError: it took longer than that.
            requests.RequestException, pypsrp.exceptions.WinRMError: the connection failed, or the
                host refused.
        """
        with self._lock:
            try:
                return self._run(line, listen, stdin, environment, timeout)
            except BaseException as error:
                # An answer may be under way that the next request would take for its own.
                self._forget()
                expected = (TimeoutError, requests.RequestException, WinRMError)
                if isinstance(error, expected) or not isinstance(error, Exception):
                    raise
                # No parser says beforehand what an odd answer makes it raise.
                found = f"what answers there is not WinRM ({type(error).__name__})"
                raise WinRMError(found) from error

    def close(self) -> None:
        """Leave nothing open on the host, if it can still be reached."""
        with self._lock:
            self._deadline = time.monotonic() + CLOSE_SECONDS
            try:
                if self._shell is not None:
                    with contextlib.suppress(Exception):
                        self._shell.close()
            finally:
                self._forget()

    def _run(
        self,
        line: str,
        listen: Listener,
        stdin: bytes,
        environment: Mapping[str, str] | None,
        timeout: float | None,
    ) -> int:
        timeout = LONGEST_SECONDS if timeout is None else timeout
        deadline = self._deadline = time.monotonic() + timeout
        printed = 0
        shell = self._opened(environment)
        process = Process(shell, line)
        try:
            process.begin_invoke()
        except WSManFaultError as fault:
            if fault.code != SHELL_NOT_FOUND:
                raise
            # Windows ends idle shells. Nothing was started in this one.
            self._shell = None
            shell = self._opened(environment)
            process = Process(shell, line)
            process.begin_invoke()
        _feed(process, stdin)
        try:
            while process.state != CommandState.DONE:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"no end after {timeout:g} s")
                process.poll_invoke(timeout=math.ceil(min(left, POLL_SECONDS)))
                for stream in ("stdout", "stderr"):
                    if piece := getattr(process, stream):
                        setattr(process, stream, b"")
                        printed += len(piece)
                        if printed > LARGEST_OUTPUT:
                            raise WinRMError(f"a command printed more than {LARGEST_OUTPUT} bytes")
                        listen(stream, piece)
        except (TimeoutError, WinRMError):
            with contextlib.suppress(Exception):
                process.signal(SignalCode.TERMINATE)
            raise
        # Windows keeps an ended command, and few of them, until it is told this.
        with contextlib.suppress(WSManFaultError):
            process.signal(SignalCode.TERMINATE)
        if environment:
            shell.close()
        self._used = time.monotonic()
        assert process.rc is not None
        return process.rc

    def _opened(self, environment: Mapping[str, str] | None) -> WinRS:
        if self._client is None or time.monotonic() - self._used > IDLE_SECONDS:
            if self._client is not None:
                self._client.close()
            self._client = self._connected()
            if self._shell is not None:
                self._shell.wsman = self._client
        if environment:
            return self._new_shell(self._client, dict(environment))
        if self._shell is None:
            self._shell = self._new_shell(self._client, None)
        return self._shell

    def _new_shell(self, client: WSMan, environment: dict[str, str] | None) -> WinRS:
        shell = _Shell(client, codepage=self._codepage, environment=environment, no_profile=False)
        shell.open()
        return shell

    def _connected(self) -> WSMan:
        way = self.way
        encrypted = way.transport == "https"
        client = _Client(
            way.hostname,
            port=way.port,
            username=way.user,
            password=self._password,
            ssl=encrypted,
            auth=way.auth,
            encryption="auto" if encrypted else "always",
            cert_validation=self._fingerprint is None,
            connection_timeout=way.timeout,
            operation_timeout=POLL_SECONDS,
            read_timeout=POLL_SECONDS + 10,
            # As with SSH, a proxy for the web is none for a site's own hosts.
            no_proxy=True,
        )
        # pypsrp builds it at the first request and has no parameters for these.
        session = client.transport._build_session()
        session.hooks["response"].append(self._note_offer)
        session.headers["Accept-Encoding"] = "identity"
        for prefix in ("https://", "http://"):
            self._bound(session.get_adapter(prefix))
        if self._fingerprint is not None:
            adapter = session.get_adapter("https://")
            assert isinstance(adapter, HTTPAdapter)
            adapter.poolmanager.connection_pool_kw["assert_fingerprint"] = self._fingerprint
        if self._ca_file is not None:
            session.verify = self._ca_file
        client.transport.session = session
        return client

    def _bound(self, adapter: Any) -> None:
        """Let no answer lead elsewhere, or be larger or slower than it may."""
        plain = adapter.send

        def send(request: Any, **options: Any) -> requests.Response:
            response: requests.Response = plain(request, **options)
            if response.is_redirect:
                response.close()
                raise requests.TooManyRedirects("it leads elsewhere, which WinRM never does")
            # Else it is guessed from all of the text, while nobody else has a turn.
            response.encoding = "utf-8"
            # Read when it is asked for: pypsrp wants the connection that it came by before that.
            response.iter_content = partial(self._pieces, response)  # type: ignore[method-assign]
            return response

        adapter.send = send

    def _pieces(self, response: requests.Response, *_: Any, **__: Any) -> Iterator[bytes]:
        packed = response.headers.get("Content-Encoding", "identity").lower()
        if packed not in ("identity", "gzip"):
            raise requests.exceptions.ContentDecodingError(f"its answer is packed as {packed[:20]}")
        size = 0
        try:
            # What is there, and not a whole piece: that may come a byte at a time.
            while piece := response.raw.read1(_PIECE, decode_content=True):
                size += len(piece)
                if max(size, response.raw.tell()) > LARGEST_ANSWER:
                    found = f"its answer is larger than {LARGEST_ANSWER} bytes"
                    raise requests.exceptions.ContentDecodingError(found)
                if time.monotonic() > self._deadline + POLL_SECONDS:
                    raise requests.ReadTimeout("its answer has no end")
                yield piece
        except HTTPError as error:
            response.close()
            raise requests.ConnectionError(str(error)) from error
        except requests.RequestException:
            response.close()
            raise

    def _note_offer(self, response: requests.Response, **_: Any) -> None:
        if response.status_code == requests.codes.unauthorized:
            self.offered = response.headers.get("WWW-Authenticate", "")

    def _forget(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None
        self._shell = None


def _feed(process: Process, stdin: bytes) -> None:
    last = max(0, len(stdin) - 1) // INPUT_CHUNK * INPUT_CHUNK
    # A command may end without reading its input; its exit code is what counts.
    with contextlib.suppress(WSManFaultError):
        for start in range(0, last + 1, INPUT_CHUNK):
            process.send(stdin[start : start + INPUT_CHUNK], end=start == last)
