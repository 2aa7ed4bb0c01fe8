"""What is typed on a master to work with its CA: one module for each program that there is."""

from __future__ import annotations

from collections.abc import Mapping

from operations.authority.commands import CaCommands
from operations.authority.puppet_cert import PuppetCert
from operations.authority.puppetserver_ca import PuppetserverCa
from recert.deployments.authority import PUPPET_CERT, PUPPETSERVER_CA, Authority

_COMMANDS: Mapping[Authority, CaCommands] = {
    PUPPET_CERT: PuppetCert(),
    PUPPETSERVER_CA: PuppetserverCa(),
}


def ca_commands(authority: Authority) -> CaCommands:
    """Those of the program by which a site's CA is worked with."""
    return _COMMANDS[authority]
