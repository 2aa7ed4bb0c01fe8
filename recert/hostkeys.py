"""Who a host is when it is reached: its SSH keys, as its own facts in PuppetDB have them.

Taken at first sight, a key is whoever's answers first. Facts came in by a connection that Puppet
had checked, at another time and on another way.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_public_key,
)

KEY_FACTS = ("ssh", "sshrsakey", "sshecdsakey", "sshed25519key")
"""Facter 3 and later have `ssh`, all keys in one; Facter 2 has one fact a key."""

_LONGEST = 4096
_KINDS = {
    "rsa": rsa.RSAPublicKey,
    "ecdsa": ec.EllipticCurvePublicKey,
    "ed25519": ed25519.Ed25519PublicKey,
}
"""By Facter's names. DSA no client takes any more."""


def keys_of(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys that a node has reported, each as a line of known_hosts has it after the name."""
    found = []
    together = facts.get("ssh")
    for kind in _KINDS:
        inside = together.get(kind) if isinstance(together, dict) else None
        key = inside.get("key") if isinstance(inside, dict) else facts.get(f"ssh{kind}key")
        line = _line(kind, key)
        if line is not None:
            found.append(line)
    return tuple(found)


def _line(kind: str, key: object) -> str | None:
    """A key says itself of which type it is; what is none is left out: a client that comes upon one
    in its file knows none of the hosts after it."""
    if not isinstance(key, str) or len(key) > _LONGEST or not key.isascii():
        return None
    try:
        raw = base64.b64decode(key, validate=True)
        name = raw[4 : 4 + int.from_bytes(raw[:4], "big")]
        found = load_ssh_public_key(name + b" " + base64.b64encode(raw))
    except Exception:
        # What an odd one makes a parser raise is not to be foreseen.
        return None
    if not isinstance(found, _KINDS[kind]):
        return None
    return found.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode("ascii")


def known_hosts(before: str, keys: Mapping[str, Iterable[str]]) -> str:
    """The text of a known_hosts file with the keys of more hosts. What it says of a host already
    stays: a key that has changed is for a person to look at."""
    known = names_in(before)
    new = [
        f"{name} {key}\n"
        for name, of_host in sorted(keys.items())
        if name not in known
        for key in of_host
    ]
    if before and not before.endswith("\n"):
        before += "\n"
    return before + "".join(new)


def names_in(text: str) -> frozenset[str]:
    """The hosts of which a known_hosts file has keys, as far as their names are not hashed."""
    lines = (line.split() for line in text.splitlines() if not line.startswith(("#", "|", "@")))
    return frozenset(name for words in lines if len(words) > 2 for name in words[0].split(","))


def changed(text: str, keys: Mapping[str, Iterable[str]]) -> list[str]:
    """The hosts of which the file has none of the keys that they have reported, sorted."""
    lines = {line.strip() for line in text.splitlines()}
    known = names_in(text)
    return sorted(
        name
        for name, of_host in keys.items()
        if name in known and (kept := list(of_host)) and not lines & {f"{name} {k}" for k in kept}
    )
