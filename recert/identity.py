"""Who a host is: what it says of itself is believed where the inventory says the same, or where it
proves it.

A host may be in somebody's hands, and whoever gets a certificate under another one's name can
pass for that. The proof is a signature over words of ours, made with the private key of the
certificate that the master's own records have under the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from cryptography.hazmat.primitives.hashes import SHA256

from recert.certificates import Certificate, is_signed
from recert.deployments.known import is_internal

_LONGEST = 1024
"""Bytes of a signature: that of a key of 8192 bits."""


@dataclass(frozen=True)
class Listed:
    """A host as the inventory has it: what it is called there, the certname that its data give,
    and the addresses under which it is reached."""

    host: str
    name: str
    certname: str | None = None
    addresses: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        """By which it may be known to the CA."""
        return self.addresses | {self.name} | ({self.certname} if self.certname else set())


class Identities:
    """Which certnames the hosts of an inventory may have.

    :param listed: all of them, whether this run is about them or not.
    """

    def __init__(self, listed: Iterable[Listed]) -> None:
        self._listed = {one.host: one for one in listed}

    @cached_property
    def _by_name(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for one in self._listed.values():
            for name in one.names:
                found.setdefault(name, set()).add(one.host)
        return {name: frozenset(hosts) for name, hosts in found.items()}

    def is_given(self, host: str, certname: str) -> bool:
        """Whether the inventory says that this is the host's certname, and nobody else's."""
        one = self._listed[host]
        others = [self._listed[other] for other in self._by_name.get(certname, ())]
        if one.certname is not None:
            # Data about a certname say more than what a host is called, this one or another.
            return certname == one.certname and not any(
                other.certname == certname for other in others if other is not one
            )
        return certname == one.name and all(
            other is one or certname not in (other.certname, other.name) for other in others
        )

    def contradicted(self, host: str, certname: str) -> str | None:
        """The certname that the data of a host give, where that is not the one that it says. Then
        no proof counts: it may have another host's old key."""
        given = self._listed[host].certname
        return given if given != certname else None

    def whose(self, host: str, certname: str) -> str | None:
        """Another host of the inventory that has the name, None if there is none."""
        others = self._by_name.get(certname, frozenset()) - {host}
        return min(others, default=None)


def never_believed(certname: str, names_of_master: Iterable[str]) -> str | None:
    """Whose name it is that no agent may have, for a sentence; None if it is nobody's."""
    if is_internal(certname):
        return "a service of PE's on the master"
    return "the master" if certname in names_of_master else None


def words_to_sign(nonce: str, host: str, certname: str) -> str:
    """What a host has to sign that says it has a certname: nothing that it signs elsewhere, and
    nothing that another host is asked for.

    :param nonce: drawn for this one question.
    """
    return f"pe-recert asks {host} to prove that it is {certname}: {nonce}"


def proves(words: str, signatures: Iterable[bytes], cert: Certificate) -> bool:
    """Whether the key of a certificate made one of these signatures, over SHA-256."""
    key = cert.x509.public_key()
    return any(
        len(signature) <= _LONGEST and is_signed(words.encode(), signature, key, SHA256())
        for signature in signatures
    )


def other_hosts_name(certname: str, whose: str) -> str:
    """Why a host is refused that has the name of another one."""
    return (
        f"It says that its certname is {certname}, which is the name of {whose}. No certificate is "
        "made for it under that name: correct certname in its puppet.conf, or the inventory."
    )


def contradicts(host: str, certname: str, given: str) -> str:
    """Why a host is refused that says another certname than its data give, and what to do."""
    return (
        f"It says that its certname is {certname}, and the inventory that it is {given}. Look at "
        "it, and correct certname in its puppet.conf; or, if it has been renamed, its data in the "
        f"inventory, ({host!r}, {{'certname': {certname!r}}}). Then run the same command again."
    )


def not_proven(host: str, certname: str) -> str:
    """Why a host is refused whose name nobody bears out, and what to do."""
    return (
        f"It says that its certname is {certname}. The inventory does not say so, and the host has "
        "not proven it with the key of the certificate that the master has under that name. Look "
        "at it; if it is that node, give its certname in the inventory, "
        f"({host!r}, {{'certname': {certname!r}}}), and run the same command again."
    )


def same_key(hosts: Iterable[str], certname: str) -> str:
    """Why all of several hosts are refused that have one certname and its key."""
    return (
        f"More than one host has proven to be {certname} ({', '.join(sorted(hosts))}): the "
        "inventory has one machine twice, by an alias and by its address, say; or one is a copy of "
        "the other, or has its key. Take one line out, or find out which it is, give the right "
        "one's certname in the inventory, and correct the other's puppet.conf."
    )
