"""The site that is attacked: a master that has been regenerated, and its agents."""

from __future__ import annotations

from tests.e2e.nodes import Site
from tests.e2e.site import SSLDIR

HELD, OTHER, ALIAS = "agent01", "agent02", "agent03"
AGENTS = (HELD, OTHER, ALIAS)
"""The node that somebody holds, one that he wants to be, and one whose certname the inventory does
not give."""

INVENTORY = """from inventories.lab import lab_host

def bare(name):
    host, data = lab_host(name)
    return host, {key: value for key, value in data.items() if key != "certname"}

master = [lab_host("master")]
agents = [lab_host("agent02"), *map(bare, ("agent01", "agent03"))]
"""


def signed(site: Site) -> set[str]:
    """The names that the new CA has signed for others than PE itself."""
    names = {name.removesuffix(".pem") for name in site.sh(f"ls {SSLDIR}/ca/signed").split()}
    return {n for n in names if not n.startswith("pe-internal-")} - {site.certname}
