"""By what program a site's CA is worked with. What is typed there is in `operations.authority`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Server(Enum):
    """How the CA's server has to be while something is done with the CA."""

    DOWN = "down"
    UP = "up"
    EITHER = "either"


@dataclass(frozen=True)
class Authority:
    """A program, and the words of remedies that have a person use it: commands, to which names are
    added.

    `clean`: revoke what a name has, and forget it. `revoke`: by serial number. `new_crl`: what
    makes the revocation list anew. `list`: of all names. `signeddir`: what tells where signed
    certificates are. `creates`, `issues`, `signs` and `revokes`: what it wants of the server for
    that.
    """

    name: str
    sign: str
    clean: str
    revoke: str
    new_crl: str
    list: str
    signeddir: str
    creates: Server
    issues: Server
    signs: Server
    revokes: Server


PUPPET_CERT = Authority(
    name="puppet cert",
    sign="puppet cert sign",
    clean="puppet cert clean",
    revoke="puppet cert revoke",
    # It makes one for five years whenever it revokes, and has given the number 0 to nobody.
    new_crl="puppet cert revoke 0x0",
    list="puppet cert list --all",
    signeddir="puppet master --configprint signeddir",
    # Aside, where no server looks for one.
    creates=Server.EITHER,
    issues=Server.EITHER,
    signs=Server.EITHER,
    revokes=Server.EITHER,
)
"""Puppet's own, until Puppet 6: works with the CA's files."""
