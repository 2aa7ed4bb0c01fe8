"""Which host of the inventory has which seat."""

from __future__ import annotations

from pyinfra.api import Host
from pyinfra.api.exceptions import DeployError, NoGroupError


def the_master(host: Host) -> Host:
    """The one host of the group `master`.

    :raises DeployError: the group has none or several.
    """
    try:
        masters = host.inventory.get_group("master")
    except NoGroupError:
        masters = []
    if len(masters) != 1:
        names = ", ".join(h.name for h in masters) or "none"
        raise DeployError(
            f"The inventory's group `master` must hold exactly one host, it holds {names}. "
            "Correct the inventory."
        )
    return masters[0]
