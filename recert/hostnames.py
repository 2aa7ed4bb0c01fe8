"""What may be handed to a program that connects to a host."""

from __future__ import annotations

import re
from ipaddress import ip_address

from recert.errors import RecertError

_LABEL = "[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_DNS_NAME = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*", re.IGNORECASE)
_ADDRESS = re.compile(r"[0-9a-f.:]{2,45}", re.IGNORECASE)  # no zone: that may be any text
_NUMBER = re.compile(r"(0x[0-9a-f]*|[0-9]+)", re.IGNORECASE)


def check_host_name(value: str) -> str:
    """`value` if it is a plain DNS name or an address of another machine.

    Whoever can get a name into PuppetDB, or a request signed, chooses it: as a word of a
    ProxyCommand it could be an option or more, and as `localhost` it would be this machine.

    :raises RecertError: it is anything else.
    """
    name = value.lower()
    if _is_dns_name(name) or _is_address(name):
        return value
    raise RecertError(f"{value!r} is no plain DNS name or address that could be connected to")


def _is_dns_name(name: str) -> bool:
    if not _DNS_NAME.fullmatch(name):
        return False
    last = name.rpartition(".")[2]
    # A name of numbers is read as an address, in more ways than one.
    return last != "localhost" and not _NUMBER.fullmatch(last)


def _is_address(name: str) -> bool:
    if not _ADDRESS.fullmatch(name):
        return False
    try:
        address = ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    unusable = (
        mapped.is_loopback,
        mapped.is_unspecified,
        mapped.is_multicast,
        mapped.is_link_local,
        mapped.is_reserved,
    )
    return not any(unusable)
