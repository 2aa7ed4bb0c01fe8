"""Which deployment a host is of."""

from __future__ import annotations

from pyinfra.api import Host

from recert.deployments.model import Deployment
from recert.deployments.pe_3_7 import PE_3_7


def deployment_of(host: Host) -> Deployment:
    """The shape of the site that a host belongs to."""
    return PE_3_7
