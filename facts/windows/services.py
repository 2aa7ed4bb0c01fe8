"""The agent's services as Windows' service manager sees them."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.windows.installation import END, framed
from recert.commandline import line
from recert.windows import WindowsService, read_options, read_services


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


class WindowsServiceOptions(FactBase[dict[str, list[str]]]):
    """
    The options in the command lines by which the service manager starts some services, whether they
    run or not. What is handed to a service when it is started by hand is not among them.

    + names: those that there may be

    .. code:: python

        {"the service pe-puppet": ["--ssldir=D:/ssl"]}
    """

    def command(self, names: list[str]) -> StringCommand:
        # Without a size 2003 has room for 1,024 bytes.
        asked = [part for name in names for part in (f"echo service={name}", f"sc qc {name} 4096")]
        return StringCommand(line("echo pe-recert:", *asked, *END))

    def process(self, output: list[str]) -> dict[str, list[str]]:
        return read_options(framed(output))
