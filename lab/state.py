"""What the lab keeps in .lab/: its SSH key, the hosts' keys, where the hosts are, and its logs."""

import fcntl
import hashlib
import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NotRequired, TypedDict

from lab.progress import LabError
from lab.services import Kind

ROOT = Path(__file__).resolve().parent.parent
# More than one lab of a checkout at a time: each has a name in the environment, and all its own.
NAME = os.environ.get("PE_LAB", "")
_ALL_LABS = ROOT / ".lab"
STATE = _ALL_LABS / NAME
KEY = STATE / "id_ed25519"
# For servers that know no other.
RSA_KEY = STATE / "id_rsa"
PASSWORD = STATE / "winrm_password"
KNOWN_HOSTS = STATE / "known_hosts"
BUILD_LOG = STATE / "build.log"
_HOSTS = STATE / "hosts.json"

# Two labs on one machine have containers of their own; they share the images, which are alike.
LAB = hashlib.sha256(str(STATE).encode()).hexdigest()[:6]


class WinRM(TypedDict):
    """How to reach a Windows host other than over SSH: as `ssh_user`, or as `operator`, who has no
    Administrator rights."""

    hostname: str
    http_port: int
    https_port: int
    # The file with the password of both.
    password_file: str
    # The file with the self-signed certificate of HTTPS, for 127.0.0.1 and the certname.
    certificate_file: str


class HostInfo(TypedDict):
    """How to reach a host that is up."""

    ssh_hostname: str
    ssh_port: int
    ssh_user: str
    service_manager: str
    services: Kind
    role: str
    certname: str
    server: str
    container: str
    container_id: str
    host_key: str
    # Another one each time that the host is started from its image.
    boot: str
    # The file with the private key that it lets in.
    ssh_key: str
    winrm: NotRequired[WinRM]


@contextmanager
def locked() -> Iterator[None]:
    """Keep a second `python3 -m lab` from changing the same containers at the same time."""
    STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _exclusive(STATE / "lock"):
        yield


@contextmanager
def building() -> Iterator[None]:
    """Keep two labs of a checkout from building the same images side by side."""
    with _exclusive(_ALL_LABS / "build.lock"):
        yield


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def hosts() -> dict[str, HostInfo]:
    """The hosts that are up, by name."""
    try:
        known: dict[str, HostInfo] = json.loads(_HOSTS.read_text())
    except FileNotFoundError:
        return {}
    return known


def save_hosts(known: dict[str, HostInfo]) -> None:
    """Replace the record of what is up, and the known_hosts that belongs to it."""
    keys = "".join(
        f"[{host['ssh_hostname']}]:{host['ssh_port']} {host['host_key']}\n"
        for host in known.values()
    )
    for path, content in ((KNOWN_HOSTS, keys), (_HOSTS, json.dumps(known, indent=2) + "\n")):
        new = path.with_suffix(".new")
        new.write_text(content)
        new.replace(path)


def public_key(key: Path = KEY) -> bytes:
    """The public half of one of the lab's SSH keys, which is made when it is first asked for."""
    if not key.exists():
        kind = ("rsa", "-b", "2048") if key == RSA_KEY else ("ed25519",)
        argv = ["ssh-keygen", "-q", "-t", *kind, "-N", "", "-C", "lab", "-f", str(key)]
        try:
            subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        except FileNotFoundError as error:
            raise LabError("ssh-keygen is missing: install openssh-client") from error
    return key.with_suffix(".pub").read_bytes()


def password() -> str:
    """The password of the Windows accounts, which is made when it is first asked for."""
    if not PASSWORD.exists():
        PASSWORD.touch(mode=0o600)
        PASSWORD.write_text(secrets.token_urlsafe(16))
    return PASSWORD.read_text()


def save_certificate(name: str, certificate: bytes) -> Path:
    """Keep the certificate of a host's WinRM endpoint, and say where."""
    path = STATE / f"{name}-winrm.pem"
    path.write_bytes(certificate)
    return path
