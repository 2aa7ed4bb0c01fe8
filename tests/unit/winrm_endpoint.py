"""The lab's WinRM endpoint on this machine's loopback, in front of /bin/sh instead of cmd.exe."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PROGRAM = Path(__file__).parents[2] / "lab" / "image" / "winrm_endpoint.py"
USER = "Administrator"
PASSWORD = "Geheim 4711 & mehr"
# Its program prints the command line as it came, and runs nothing.
PRINTER = "printer"
DENIED = "ordinary"
# His host's chcp answers.
GERMAN = "german"
# As people give them where Windows is not English; Basic authentication cannot carry it.
UMLAUT = "Jürgen"
UMLAUT_PASSWORD = "größer"


@dataclass(frozen=True)
class Endpoint:
    """Ports, the certificate of the HTTPS one (self-signed, for 127.0.0.1), and the log."""

    http: int
    https: int
    certificate: Path
    fingerprint: str
    log: Path
    process: subprocess.Popen[str]


@contextmanager
def endpoint(directory: Path, *options: str) -> Iterator[Endpoint]:
    """One that runs until the end of the block."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    fingerprint = _make_certificate(certificate, key)
    users = directory / "users.json"
    printer = {"name": PRINTER, "password": PASSWORD, "program": ["printf", "%s"]}
    german = {
        "name": GERMAN,
        "password": PASSWORD,
        "program": ["/bin/sh", "-c", 'chcp() { echo "Aktive Codepage: 850."; }; eval "$1"', "sh"],
    }
    users.write_text(
        json.dumps(
            [
                {"name": USER, "password": PASSWORD},
                printer,
                german,
                {"name": DENIED, "password": PASSWORD, "denied": True},
                {"name": UMLAUT, "password": UMLAUT_PASSWORD},
            ]
        )
    )
    log = directory / "endpoint.log"
    arguments = f"--users {users} --cert {certificate} --key {key}".split()
    arguments += ["--address", "127.0.0.1", "--http", "0", "--https", "0"]
    with (
        log.open("w") as log_io,
        subprocess.Popen(
            [sys.executable, str(PROGRAM), *arguments, *options, "--", "/bin/sh", "-c"],
            stdout=subprocess.PIPE,
            stderr=log_io,
            text=True,
        ) as process,
    ):
        try:
            assert process.stdout is not None
            ports = dict(process.stdout.readline().split() for _ in range(2))
            yield Endpoint(
                int(ports["http"]), int(ports["https"]), certificate, fingerprint, log, process
            )
        finally:
            process.terminate()


def _make_certificate(certificate: Path, key: Path) -> str:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "win01.lab.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return made.fingerprint(hashes.SHA256()).hex(":").upper()
