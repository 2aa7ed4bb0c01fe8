"""The agent's services as Windows' service manager sees them."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.windows.installation import END, framed
from recert.commandline import line
from recert.windows import WindowsService, read_services


class WindowsServices(FactBase[dict[str, WindowsService]]):
    """
    The state and process of each of some services.

    + names: those that there may be

    .. code:: python

        {"pe-puppet": WindowsService("pe-puppet", Service.RUNNING, "RUNNING", 1234, True)}
    """

    def command(self, names: list[str]) -> StringCommand:
        asked = [part for name in names for part in (f"echo service={name}", f"sc queryex {name}")]
        return StringCommand(line("echo pe-recert:", *asked, *END))

    def process(self, output: list[str]) -> dict[str, WindowsService]:
        return read_services(framed(output))
