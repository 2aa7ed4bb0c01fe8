"""What can be done with a CA, whatever its program."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from recert.aside import Aside
from recert.settings import Settings


@dataclass(frozen=True)
class CredentialsWanted:
    """Keys and certificates to be made. `names`: certnames. `alt_names`: which the certificates
    carry, as Puppet wants them; empty for none. `attributes`: a csr_attributes.yaml to go by; empty
    for none of ours."""

    names: Sequence[str]
    alt_names: str
    attributes: str = ""


@dataclass(frozen=True)
class WaitingRequest:
    """A request on the master: the name under which it waits, and the SHA-256 of its PEM."""

    name: str
    digest: str


@dataclass(frozen=True)
class Typed:
    """A script with its arguments, for `operations.step.changing`."""

    script: str
    arguments: tuple[str, ...] = ()


class CaCommands(Protocol):
    """What each method gives is to be typed on the master. What counts is the state afterwards."""

    def make_aside(self, aside: Aside, wanted: Sequence[CredentialsWanted], retires: str) -> Typed:
        """Make a CA, and its first keys and certificates, while another one serves. Nothing is left
        of it if that fails.

        :param retires: the fingerprint of the CA in whose place it is to come.
        """

    def issue(self, conf: Settings, wanted: CredentialsWanted) -> Typed:
        """Make keys and certificates, on the master itself, of the CA in place."""

    def sign(self, conf: Settings, waiting: Iterable[WaitingRequest], alt_names: bool) -> Typed:
        """Sign those requests that are still the ones with these digests.

        :param alt_names: whether one of them carries some.
        """

    def clean(self, conf: Settings, names: Iterable[str]) -> Typed:
        """Revoke what these names have, and forget it."""

    def revoke(self, conf: Settings, serials: Iterable[str]) -> Typed:
        """Revoke by serial number, hexadecimal."""
