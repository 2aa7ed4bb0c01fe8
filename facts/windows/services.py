"""The agent's services as Windows' service manager sees them."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.windows.installation import END, framed
from recert.commandline import line
from recert.windows import NAMES, WindowsService, read_services


class WindowsServices(FactBase[dict[str, WindowsService]]):
    """
    The state and process of each of the agent's services, by what the document calls it.

    .. code:: python

        {"pe-puppet": WindowsService("pe-puppet", Service.RUNNING, "RUNNING", 1234, True)}
    """

    def command(self) -> StringCommand:
        names = [name for pair in NAMES.values() for name in pair]
        asked = [part for name in names for part in (f"echo service={name}", f"sc queryex {name}")]
        return StringCommand(line("echo pe-recert:", *asked, *END))

    def process(self, output: list[str]) -> dict[str, WindowsService]:
        return read_services(framed(output))
