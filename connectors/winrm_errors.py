"""What went wrong on the way to a Windows host, in words that say what to do about it."""

from __future__ import annotations

import hashlib
import re
import socket
import ssl

import requests
from cryptography import x509
from pypsrp.exceptions import (
    AuthenticationError,
    WinRMError,
    WinRMTransportError,
    WSManFaultError,
)
from urllib3.exceptions import NameResolutionError

from connectors.winrm_data import Way

ACCESS_DENIED = 5
SHELL_NOT_FOUND = 2150858843
QUOTA_EXCEEDED = (2150859173, 2150859174)

FAILURES = (requests.RequestException, WinRMError)
"""What a shell raises when the connection, the service or the login fails."""


def explain(error: Exception, way: Way, offered: str) -> str:
    """One line for a person: what was found, and what to do next.

    Args:
        error: what pypsrp or requests raised.
        way: how the host was to be reached.
        offered: the WWW-Authenticate header of the host's last refusal, or "".
    """
    if isinstance(error, AuthenticationError):
        # Where nothing fits, pypsrp raises before anybody else sees the answer, and quotes it.
        quoted = re.search("actual: '(.*)'", str(error))
        return _refused_account(way, quoted[1] if quoted else offered)
    if isinstance(error, WSManFaultError):
        return _fault(error, way)
    if isinstance(error, WinRMTransportError):
        return _http_status(error.code, way)
    if isinstance(error, requests.exceptions.SSLError):
        return _tls(error, way)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return (
            f"{way} does not answer within {way.timeout} s: "
            f"is the host on, and does its firewall let port {way.port} through?"
        )
    if isinstance(error, requests.exceptions.ReadTimeout):
        return (
            f"{way} took the connection but does not answer: restart the service WinRM on the host"
        )
    causes = list(_causes(error))
    if any(isinstance(cause, NameResolutionError | socket.gaierror) for cause in causes):
        return f"{way.hostname} is not known to DNS: correct the name, or give winrm_hostname"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return (
            f"{way}: connection refused: WinRM is not enabled for {way.transport} on the host "
            f"(`winrm quickconfig -transport:{way.transport}` there enables it), "
            f"or not on this port (winrm_port)"
        )
    return f"{way}: the connection failed: {type(error).__name__}: {_plain(error)}"


def _refused_account(way: Way, offered: str) -> str:
    if way.auth not in re.findall(r"\w+", offered.lower()):
        others = offered or "nothing"
        return (
            f"{way} does not offer {way.auth} authentication, but {others}: change winrm_auth, or "
            "enable it on the host: "
            f'`winrm set winrm/config/service/auth @{{{way.auth.title()}="true"}}`'
        )
    return (
        f"{way} refused the user {way.user}: the name or the password is wrong, or the account is "
        "locked or disabled (winrm_user; winrm_password or the environment's WINRM_PASSWORD)"
    )


def _fault(error: WSManFaultError, way: Way) -> str:
    if error.code == ACCESS_DENIED:
        return (
            f"{way}: access denied: {way.user} is not one of the host's Administrators, or is a "
            "local account other than Administrator, whose rights Windows filters unless "
            "LocalAccountTokenFilterPolicy is 1"
        )
    if error.code in QUOTA_EXCEEDED:
        return (
            f"{way}: too many shells or operations of {way.user} are under way: wait until they "
            "end, or raise MaxShellsPerUser in winrm/config/winrs"
        )
    return f"{way}: fault {error.code}: {_plain(error.reason or error)}"


def _http_status(code: int, way: Way) -> str:
    if code == requests.codes.not_found:
        return (
            f"{way} answers HTTP 404: something else than WinRM listens there; "
            "enable WinRM (`winrm quickconfig`) or correct winrm_port"
        )
    return f"{way} answers HTTP {code}, which WinRM does not: look at the service WinRM on the host"


def _tls(error: requests.exceptions.SSLError, way: Way) -> str:
    text = str(error)
    if "Fingerprints did not match" in text:
        return (
            f"{way} has not the certificate that winrm_fingerprint names but {_presented(way)}: "
            "somebody else may be answering; compare on the host before you change it"
        )
    if "CERTIFICATE_VERIFY_FAILED" in text or "doesn't match" in text:
        found = re.search(r"certificate verify failed: ([^(]+)", text)
        why = found[1].strip().rstrip(".") if found else _plain(error)
        return (
            f"{way} has a certificate that is not trusted: {why}. It presents {_presented(way)}. "
            "Give the CA in winrm_ca_file; or compare the thumbprint on the host "
            "(`certutil -store My`), and if it is this one give the SHA-256 in winrm_fingerprint"
        )
    if re.search(r"PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|HANDSHAKE_FAILURE|NO_PROTOCOLS", text):
        return (
            f"{way}: no TLS version in common: the host's is older than 1.2. Update it, or set "
            "winrm_transport to http, whose messages are encrypted"
        )
    if "WRONG_VERSION_NUMBER" in text or "HTTP_REQUEST" in text:
        return f"{way} does not speak TLS: HTTPS has another port (winrm_port; 5986 as a rule)"
    return f"{way}: TLS failed: {_plain(error)}"


def _presented(way: Way) -> str:
    """The certificate that the host has, whoever made it; nothing is sent to it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((way.hostname, way.port), way.timeout) as connection,
            context.wrap_socket(connection, server_hostname=way.hostname) as tls,
        ):
            der = tls.getpeercert(binary_form=True) or b""
        subject = x509.load_der_x509_certificate(der).subject.rfc4514_string()
    except Exception as error:  # no parser says beforehand what it raises
        return f"one that cannot be read ({error})"
    sha1 = hashlib.sha1(der, usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256(der).digest().hex(":").upper()
    return f"{subject} with SHA-256 {sha256} (Windows' thumbprint {sha1})"


def _causes(error: BaseException | None) -> list[BaseException]:
    """An exception, what it was raised from, and what requests and urllib3 wrapped in it."""
    found: list[BaseException] = []
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if one is None or one in found:
            continue
        found.append(one)
        waiting += [one.__cause__, one.__context__, getattr(one, "reason", None)]
        waiting += [argument for argument in one.args if isinstance(argument, BaseException)]
    return found


def _plain(what: object) -> str:
    return " ".join(str(what).split())
