"""What pyinfra's data says about reaching a Windows host, and what it must not say."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pyinfra.api.hiddenvalue import HiddenValue
from pyinfra.connectors.base import DataMeta
from typing_extensions import TypedDict

if TYPE_CHECKING:
    from connectors.winrm_shell import RemoteShell

PORTS = {"https": 5986, "http": 5985}

# What cannot be anything but a host in a URL. The project's own checks are not where this is used.
_HOSTNAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?|[0-9A-Fa-f:.]{2,45}")
_USER = re.compile(r"[^\x00-\x1f\x7f:]{1,256}")  # a colon would end it in Basic authentication


class ConnectorData(TypedDict):
    winrm_hostname: str
    winrm_port: int
    winrm_user: str
    winrm_password: str | HiddenValue
    winrm_transport: str
    winrm_auth: str
    winrm_ca_file: str
    winrm_fingerprint: str
    winrm_codepage: int


connector_data_meta: dict[str, DataMeta] = {
    "winrm_hostname": DataMeta("WinRM hostname"),
    "winrm_port": DataMeta("WinRM port; 5986, or 5985 for http"),
    "winrm_user": DataMeta(r"Windows account, with its domain as ``DOMAIN\name``"),
    "winrm_password": DataMeta(
        "Its password, as a string or a ``HiddenValue``; else the environment's WINRM_PASSWORD"
    ),
    "winrm_transport": DataMeta(
        "``https``, or ``http``, where every message is encrypted with the account's session key",
        "https",
    ),
    "winrm_auth": DataMeta("``negotiate`` (NTLM), or ``basic``, by https alone", "negotiate"),
    "winrm_ca_file": DataMeta("Certificates to trust (PEM file), instead of the system's"),
    "winrm_fingerprint": DataMeta("SHA-256 of the one certificate to trust, whoever issued it"),
    "winrm_codepage": DataMeta("Code page for the remote console; the host's own if not given"),
}


class WinRMHostError(OSError):
    """The connection failed while a host was worked on: as with SSH, an OSError fails the host."""


@dataclass(frozen=True)
class Way:
    """How a host is reached."""

    hostname: str
    port: int
    transport: str
    auth: str
    user: str
    timeout: int

    def __str__(self) -> str:
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"{self.transport}://{host}:{self.port}/wsman"


def shell_for(data: ConnectorData, name: str, timeout: int) -> RemoteShell:
    """The shell that the data describes; nothing is connected yet.

    Args:
        data: a host's.
        name: the host's, for want of winrm_hostname.
        timeout: seconds that the connection may take.

    Raises:
        ValueError: with the value and the remedy.
    """
    transport, auth, user = data["winrm_transport"], data["winrm_auth"], data["winrm_user"]
    if transport not in PORTS:
        raise ValueError(f"winrm_transport is {transport!r}; it can be https or http")
    if auth not in ("negotiate", "basic"):
        raise ValueError(f"winrm_auth is {auth!r}; it can be negotiate or basic")
    if transport == "http" and auth == "basic":
        raise ValueError(
            "basic authentication over http would send the password in the clear: "
            "set winrm_transport to https, or winrm_auth to negotiate"
        )
    if not user:
        raise ValueError("there is no winrm_user in its data: the Windows account to use")
    if not _USER.fullmatch(user):
        raise ValueError(f"winrm_user is {user!r}, which is no name of a Windows account")
    hostname = data["winrm_hostname"] or name
    if not _HOSTNAME.fullmatch(hostname):
        raise ValueError(f"winrm_hostname is {hostname!r}, which is no name or address of a host")
    way = Way(
        hostname=hostname,
        port=_port(data["winrm_port"] or PORTS[transport]),
        transport=transport,
        auth=auth,
        user=user,
        timeout=timeout,
    )
    password = _password(data)
    if auth == "basic" and not (user + password).isascii():
        raise ValueError(
            "basic authentication carries ASCII alone, and the user or the password has "
            "other characters: set winrm_auth to negotiate"
        )
    ca_file, fingerprint = _trust(data)
    # pyinfra loads every connector for every run, and this one's libraries take their time.
    from connectors.winrm_shell import RemoteShell

    return RemoteShell(way, password, ca_file, fingerprint, data["winrm_codepage"])


def _port(value: object) -> int:
    text = str(value)
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise ValueError(f"winrm_port is {value!r}, which is no port")
    return int(text)


def _password(data: ConnectorData) -> str:
    given = data["winrm_password"] or os.environ.get("WINRM_PASSWORD")
    if not given:
        raise ValueError(
            f"there is no password for {data['winrm_user']}: give winrm_password in its data, or "
            "set WINRM_PASSWORD in the environment"
        )
    return given.unmask() if isinstance(given, HiddenValue) else given


def _trust(data: ConnectorData) -> tuple[str | None, str | None]:
    ca_file, fingerprint = data["winrm_ca_file"], data["winrm_fingerprint"]
    if data["winrm_transport"] == "http" and (ca_file or fingerprint):
        raise ValueError("http has no certificate: leave out winrm_ca_file and winrm_fingerprint")
    if ca_file and fingerprint:
        raise ValueError("winrm_ca_file and winrm_fingerprint exclude each other: give one")
    if ca_file and not Path(ca_file).is_file():
        raise ValueError(f"winrm_ca_file: there is no file {ca_file}")
    if fingerprint:
        digits = re.sub("[: ]", "", fingerprint).lower()
        if not re.fullmatch("[0-9a-f]{64}", digits):
            raise ValueError(
                f"winrm_fingerprint {fingerprint} is no SHA-256 fingerprint, which has 64 "
                "hexadecimal digits"
            )
        return None, digits
    return ca_file or None, None
