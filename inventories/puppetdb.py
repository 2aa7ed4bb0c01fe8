"""PuppetDB's own list of nodes, asked while it still runs: it is among what the procedure stops."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from ipaddress import ip_address
from threading import Thread
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from recert.errors import RecertError
from recert.harmless import harmless
from recert.hostkeys import KEY_FACTS
from recert.nodes import OS_FACTS, Found, nodes_of_puppetdb

TIMEOUT = 60
"""Seconds without a byte after which PuppetDB is given up."""

DEADLINE = 600
"""Seconds after which it is, whatever comes."""

LARGEST = 256 * 1024 * 1024
"""Bytes of an answer: the facts of some fifty thousand nodes."""

OTHERWISE = "use the CA's inventory.txt (--ca-inventory)."

# PuppetDB 3 and later, and 2.x, which PE 3.7 has.
_ROOTS = ("/pdb/query/v4", "/v4")


@dataclass(frozen=True)
class Credential:
    """Files in PEM: what PuppetDB knows this client by, and the CA that it has to be of."""

    cert: str
    key: str
    cacert: str


def nodes_at(url: str, credential: Credential | None = None) -> Found:
    """The nodes that PuppetDB has, those that it has deactivated apart.

    :param url: `https://puppet.example.com:8081`, or `http://localhost:8080` without credential.
    :raises RecertError: it cannot be asked, or does not answer as PuppetDB does.
    """
    address = urlsplit(url)
    opener = build_opener(ProxyHandler({}), *_handlers(url, credential))
    base = f"{address.scheme}://{address.netloc}"
    wanted = ["or", *(["=", "name", name] for name in (*OS_FACTS, *KEY_FACTS))]
    facts_query = urlencode({"query": json.dumps(wanted)})

    def get(path: str) -> Any:
        request = Request(base + path, headers={"Accept": "application/json"})
        with opener.open(request, timeout=TIMEOUT) as response:
            return json.loads(_whole(response))

    def ask() -> Found:
        try:
            root, nodes = _ROOTS[0], get(f"{_ROOTS[0]}/nodes")
        except HTTPError as error:
            if error.code != 404:
                raise
            root, nodes = _ROOTS[1], get(f"{_ROOTS[1]}/nodes")
        return nodes_of_puppetdb(nodes, get(f"{root}/facts?{facts_query}"))

    return _in_time(url, ask)


def _whole(response: HTTPResponse) -> bytes:
    """:raises RecertError: it is larger than any site's."""
    parts, size = [], 0
    while part := response.read(65536):
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise RecertError(f"it answers with more than {LARGEST} bytes")
    return b"".join(parts)


def _in_time(url: str, ask: Callable[[], Found]) -> Found:
    """What PuppetDB answers. Aside, so that nothing that it sends, or does not, in its headers or
    while TLS begins, can be waited for without end.

    :raises RecertError: why there is no answer, and what to do.
    """
    answered: list[Found | RecertError] = []

    def asking() -> None:
        try:
            answered.append(ask())
        except Exception as error:
            # What an odd answer makes a parser raise is not to be foreseen.
            answered.append(RecertError(f"{url}: {_failure(error)}"))

    thread = Thread(target=asking, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    endless = RecertError(f"{url}: its answer has no end after {DEADLINE} s; {OTHERWISE}")
    found = answered[0] if answered else endless
    if isinstance(found, RecertError):
        raise found
    return found


def _failure(error: Exception) -> str:
    """Why there is no answer, for a person; the end may quote what answers there."""
    try:
        if isinstance(error, HTTPError):
            return _refusal(error)
        if isinstance(error, RecertError):
            return f"{error}; is it PuppetDB? If it is, {OTHERWISE}"
        if isinstance(error, (OSError, HTTPException)):
            return _unreachable(error.reason if isinstance(error, URLError) else error)
    except Exception as another:
        error = another
    if isinstance(error, RecursionError):
        return f"what it answers is nested without end; is it PuppetDB? If it is, {OTHERWISE}"
    if isinstance(error, ValueError):
        return f"what answers there sends no JSON; is it PuppetDB? If it is, {OTHERWISE}"
    return f"its answer makes no sense ({_line(repr(error))}); {OTHERWISE}"


def _line(found: str) -> str:
    """What others have written, in one line."""
    return harmless(" ".join(found.split()))


def _handlers(url: str, credential: Credential | None) -> Sequence[HTTPSHandler]:
    address = urlsplit(url)
    host = address.hostname
    if address.scheme not in ("http", "https") or not host or address.path not in ("", "/"):
        raise RecertError(f"{url!r} is not like https://puppet.example.com:8081")
    if address.scheme == "http":
        if not _is_loopback(host):
            raise RecertError(
                f"{url}: without TLS anybody on the way could name your nodes. Use https and a "
                "client certificate, or ssh -L 8080:localhost:8080 and http://localhost:8080."
            )
        return ()
    if credential is None:
        raise RecertError(f"{url}: PuppetDB wants a client certificate: --cert, --key, --cacert")
    try:
        context = ssl.create_default_context(cafile=credential.cacert)
    except OSError as error:
        raise RecertError(f"{credential.cacert}: it holds no CA certificate ({error})") from error
    # Puppet's CA of those years leaves out what today's strict reading demands.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        context.load_cert_chain(credential.cert, credential.key)
    except OSError as error:
        raise RecertError(
            f"{credential.cert} and {credential.key} are not a certificate and its key ({error})"
        ) from error
    return (HTTPSHandler(context=context),)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _refusal(error: HTTPError) -> str:
    if error.code in (401, 403):
        return (
            f"it refuses this client ({error.code}). Use a certificate that is on PuppetDB's "
            "certificate whitelist, such as the master's own, on the master."
        )
    if error.code == 404:
        return f"it has neither {_ROOTS[0]}/nodes nor {_ROOTS[1]}/nodes; is it PuppetDB?"
    said = _line(error.read(200).decode(errors="replace"))
    return f"it answered {error.code} {_line(str(error.reason))}: {said}"


def _unreachable(reason: object) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"it is not whom --cacert vouches for ({reason.verify_message}). Compare the CA and "
            "the name in the address with the certificate that is presented there."
        )
    said = _line(str(reason))
    if isinstance(reason, ssl.SSLError):
        return f"TLS came to nothing ({said}); it may not accept this client's certificate."
    return f"it cannot be asked ({said}). If it is stopped, {OTHERWISE}"
