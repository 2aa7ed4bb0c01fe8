"""The shapes that there are tables for."""

from __future__ import annotations

from recert.deployments.pe_3_7 import PE_3_7

DEPLOYMENTS = (PE_3_7,)


def is_internal(name: str) -> bool:
    """Whether a certificate is for a service of the vendor's own, at any site."""
    return any(deployment.is_internal(name) for deployment in DEPLOYMENTS)
