#!/usr/bin/env python3
"""A WinRM endpoint in front of a program that runs cmd.exe command lines.

    winrm_endpoint.py --users USERS.json [--address 0.0.0.0] [--http PORT]
                      [--https PORT --cert CERT.pem --key KEY.pem]
                      [--auth basic,negotiate] [--path /wsman] -- PROGRAM [ARGUMENT...]

It speaks WS-Management's remote shell (MS-WSMV) as Windows does: Create, Command, Send, Receive,
Signal and Delete, in faults and limits as far as a client of the shell sees them. Each command is
started as PROGRAM [ARGUMENT...] COMMANDLINE, with COMMANDLINE as one argument and in the
environment what the client asked for: the shell's variables, whose names are in WINRS_VARIABLES,
and WINRS_CODEPAGE, WINRS_NOPROFILE.

USERS.json is a list of accounts:

    [{"name": "Administrator", "password": "...", "program": ["PROGRAM", "ARGUMENT"...],
      "denied": false}, ...]

`program` (optional) stands in for the command line's, `denied` (optional) is an account that may
not open a shell: Windows answers those who are neither administrator nor in a group for remote
management with "Access is denied". Names and passwords are Latin-1 and hold no colon.

HTTPS takes Basic and Negotiate; HTTP takes Negotiate alone, and every message has to be
encrypted, which is what Windows does unless told otherwise. Negotiate is NTLM here. A port of 0
takes a free one. Each port is told on standard output, as "http 5985", once it is open.

Needs Python 3.11 and pyspnego. It is for tests: there is no limit to what its users may start.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import os
import re
import signal
import ssl
import struct
import sys
import tempfile
import threading
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import spnego
from spnego.exceptions import SpnegoError
from winrm_shells import Account, Service, log

ENCRYPTED = "application/HTTP-SPNEGO-session-encrypted"
BOUNDARY = "Encrypted Boundary"


def _decrypted(context: Any, body: bytes) -> bytes:
    """The SOAP message within the two parts of a multipart/encrypted body."""
    head, _, rest = body.partition(b"application/octet-stream\r\n")
    length = re.search(rb"Length=(\d+)", head)
    sealed = rest.removesuffix(b"\r\n").removesuffix(f"--{BOUNDARY}--".encode())
    (size,) = struct.unpack("<i", sealed[:4])
    message: bytes = context.unwrap_winrm(sealed[4 : 4 + size], sealed[4 + size :])
    if length is None or int(length[1]) != len(message):
        raise ValueError("the encrypted message has not the length that it says")
    return message


def _encrypted(context: Any, message: bytes) -> bytes:
    header, sealed, padding = context.wrap_winrm(message)
    head = (
        f"--{BOUNDARY}\r\n\tContent-Type: {ENCRYPTED}\r\n"
        f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;"
        f"Length={len(message) + padding}\r\n"
        f"--{BOUNDARY}\r\n\tContent-Type: application/octet-stream\r\n"
    ).encode()
    body: bytes = struct.pack("<i", len(header)) + header + sealed
    return head + body + f"--{BOUNDARY}--\r\n".encode()


class Handler(BaseHTTPRequestHandler):
    """One connection: NTLM authenticates connections, not requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Endpoint

    def setup(self) -> None:
        if self.server.tls is not None:
            # Here and not in the listening thread, which a silent client would hold up.
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()
        self._context: Any = None
        self._account: Account | None = None

    def do_POST(self) -> None:
        """Authenticate, decrypt, answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != self.server.path:
            self._reply(404, b"")
            return
        challenge = self._authenticate()
        if self._account is None:
            self._reply(401, b"", challenge)
            return
        encrypted = ENCRYPTED in self.headers.get("Content-Type", "")
        if not body:
            self._reply(200, b"", challenge)
        elif encrypted and self._context is not None:
            try:
                message = _decrypted(self._context, body)
            except (SpnegoError, ValueError, struct.error) as error:
                log(f"cannot decrypt: {error}")
                self._reply(400, b"")
                return
            status, answer = self.server.service.answer(message, self._account)
            self._reply(status, _encrypted(self._context, answer), encrypted=True)
        elif self.server.tls is not None and not encrypted:
            status, answer = self.server.service.answer(body, self._account)
            self._reply(status, answer, challenge)
        else:
            # AllowUnencrypted is false.
            self._reply(401, b"", self._offers())

    def _offers(self) -> list[str]:
        offers = []
        if "negotiate" in self.server.auth:
            offers.append("Negotiate")
        if "basic" in self.server.auth and self.server.tls is not None:
            offers.append('Basic realm="WSMAN"')
        return offers

    def _authenticate(self) -> list[str]:
        """Judge the Authorization header; returns what WWW-Authenticate has to say."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        if not scheme:
            if self._context is None:
                self._account = None
            return self._offers()
        self._account = None
        if not any(offer.split()[0] == scheme for offer in self._offers()):
            return self._offers()
        try:
            given = base64.b64decode(token, validate=True)
        except binascii.Error:
            return self._offers()
        if scheme == "Basic":
            self._context = None
            name, _, password = given.partition(b":")
            account = self.server.account(name.decode("latin-1"))
            if account is not None and compare_digest(account.password.encode("latin-1"), password):
                self._account = account
            return self._offers()
        if self._context is None or self._context.complete:
            self._context = spnego.server(protocol="negotiate")
        try:
            answer = self._context.step(given)
        except SpnegoError as error:
            log(f"negotiation failed: {error}")
            self._context = None
            return self._offers()
        if self._context.complete:
            self._account = self.server.account(self._context.client_principal or "")
        return [f"Negotiate {base64.b64encode(answer).decode()}"] if answer else []

    def _reply(
        self, status: int, body: bytes, challenge: list[str] | None = None, encrypted: bool = False
    ) -> None:
        self.send_response(status)
        for offer in challenge or [] if status == 401 or self._context is not None else []:
            self.send_header("WWW-Authenticate", offer)
        if encrypted:
            kind = f'multipart/encrypted;protocol="{ENCRYPTED}";boundary="{BOUNDARY}"'
        else:
            kind = "application/soap+xml;charset=UTF-8"
        if body:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests by status, to standard error; no header and no body."""
        log(f"{self.client_address[0]} {format % args}")


class Endpoint(ThreadingHTTPServer):
    """One port."""

    daemon_threads = True
    # Many clients at once are what a test of parallel work begins with.
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        service: Service,
        accounts: list[Account],
        auth: set[str],
        path: str,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.service = service
        self.auth = auth
        self.path = path
        self.tls = tls
        self._accounts = {account.name.lower(): account for account in accounts}
        super().__init__(address, Handler)

    def account(self, name: str) -> Account | None:
        """By name, in whatever case."""
        return self._accounts.get(name.lower())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, or distrusts the certificate, is one line."""
        log(f"{client_address[0]} {sys.exc_info()[1]!r}")


def _accounts(path: Path, program: list[str]) -> list[Account]:
    accounts = [
        Account(
            name=entry["name"],
            password=entry["password"],
            program=tuple(entry.get("program", program)),
            denied=entry.get("denied", False),
        )
        for entry in json.loads(path.read_text())
    ]
    for account in accounts:
        if not re.fullmatch(r"[^:\x00-\x1f\u0100-\U0010ffff]+", account.name + account.password):
            sys.exit(f"{path}: {account.name}: no colons, and nothing outside Latin-1")
        if not account.program:
            sys.exit(f"{path}: no program for {account.name}: give one here or after --")
    return accounts


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="A WinRM endpoint in front of a program; its file says more."
    )
    parser.add_argument("--users", type=Path, required=True, help="accounts, as JSON")
    parser.add_argument("--address", default="0.0.0.0", help="to listen on")
    parser.add_argument("--http", type=int, help="port; 0 for a free one")
    parser.add_argument("--https", type=int, help="port; 0 for a free one")
    parser.add_argument("--cert", type=Path, help="certificate of the HTTPS port, PEM")
    parser.add_argument("--key", type=Path, help="its key, PEM")
    parser.add_argument("--auth", default="basic,negotiate", help="what is offered")
    parser.add_argument("--path", default="/wsman", help="where WS-Management is found")
    parser.add_argument("program", nargs="*", help="what runs a command line, its last argument")
    arguments = parser.parse_args()
    if arguments.https is not None and not (arguments.cert and arguments.key):
        parser.error("--https needs --cert and --key")
    if arguments.http is None and arguments.https is None:
        parser.error("nothing to listen on: give --http, --https or both")
    return arguments


def main() -> None:
    """Serve until ended."""
    arguments = _arguments()
    accounts = _accounts(arguments.users, arguments.program)
    service = Service()
    auth = set(arguments.auth.split(","))
    with tempfile.NamedTemporaryFile("w", suffix=".ntlm") as ntlm:
        # How pyspnego's accepting side is told about accounts.
        ntlm.writelines(f":{account.name}:{account.password}\n" for account in accounts)
        ntlm.flush()
        os.environ["NTLM_USER_FILE"] = ntlm.name
        threads = []
        for name, port in (("http", arguments.http), ("https", arguments.https)):
            if port is None:
                continue
            tls = None
            if name == "https":
                tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                tls.load_cert_chain(arguments.cert, arguments.key)
            endpoint = Endpoint(
                (arguments.address, port), service, accounts, auth, arguments.path, tls
            )
            print(name, endpoint.server_address[1], flush=True)
            threads.append(threading.Thread(target=endpoint.serve_forever, daemon=True))
            threads[-1].start()
        # Leaves through here, so that the accounts' file and the commands do not outlive it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        try:
            for thread in threads:
                thread.join()
        finally:
            service.end()


if __name__ == "__main__":
    main()
