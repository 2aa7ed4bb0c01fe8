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
    that. `adds`: the numbers of extensions that it gives its own server's certificate by itself.
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
    adds: frozenset[str] = frozenset()


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

PUPPETSERVER_CA = Authority(
    name="puppetserver ca",
    sign="puppetserver ca sign --certname",
    clean="puppetserver ca clean --certname",
    revoke="puppetserver ca revoke --certname",
    # It makes one for five years whenever it revokes.
    new_crl="puppetserver ca revoke --certname <a certname that nobody needs>",
    list="puppetserver ca list --all",
    signeddir="puppet config print signeddir --section server",
    creates=Server.EITHER,
    issues=Server.DOWN,
    signs=Server.UP,
    revokes=Server.UP,
    # With which a certificate may work with the CA: pp_cli_auth.
    adds=frozenset({"1.3.6.1.4.1.34380.1.3.39"}),
)
"""Puppet Server's, since 5.3.5: makes a CA as files, and asks the server for all else."""
