"""Where Windows, Puppet and its data are; asked with nothing but cmd.exe."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from facts import numbers
from facts.few import MOST_LINES, require_few
from facts.script import read_records
from facts.windows.ruby import ruby_script
from recert.commandline import line, native
from recert.errors import RecertError
from recert.settings import SETTINGS
from recert.windows import Windows, read_windows

_PROGRAM_DIRECTORIES = ("%ProgramW6432%", "%PROGRAMFILES%", "%PROGRAMFILES(X86)%")
_PUPPETS = (r"Puppet Labs\Puppet Enterprise", r"Puppet Labs\Puppet")

END = ("echo pe-recert.", "exit 0")
"""The end of an answer, whatever status its last part has left."""


def _installed() -> list[str]:
    parts = []
    for directory in (f"{top}\\{name}" for name in _PUPPETS for top in _PROGRAM_DIRECTORIES):
        puppet = f"{directory}\\bin\\puppet.bat"
        rubies = [f"{directory}\\sys\\ruby\\bin\\ruby.{kind}" for kind in ("exe", "bat")]
        found = "".join(f'&if exist "{ruby}" echo "ruby={ruby}"' for ruby in rubies)
        parts.append(f'if exist "{puppet}" (echo "puppet={puppet}"{found})')
    return parts


_READS_IT = r"reg query HKU\S-1-5-19"


class WindowsInstallation(FactBase[Windows]):
    """
    The host as `recert.windows` has to judge it. A key of the registry that only SYSTEM and
    Administrators can read tells whether the account is one.

    .. code:: python

        Windows(version=(6, 1), administrator=True, denied="", bangs=False,
                puppet="C:/Program Files/Puppet Labs/Puppet Enterprise/bin/puppet.bat",
                ruby="C:/Program Files/Puppet Labs/Puppet Enterprise/sys/ruby/bin/ruby.exe",
                data="C:/ProgramData", profile="C:/Users/Administrator")
    """

    def command(self) -> StringCommand:
        return StringCommand(
            line(
                "echo pe-recert:",
                "ver",
                'echo "bangs=!OS!"',
                # What it says the second time is for who reads the refusal.
                f'({_READS_IT} >nul 2>&1 || {_READS_IT} 2>&1) && (echo "administrator=yes")',
                'echo "programdata=%PROGRAMDATA%"',
                'echo "allusers=%ALLUSERSPROFILE%"',
                'echo "profile=%USERPROFILE%"',
                *_installed(),
                # On PATH: its Ruby lies beside it as well, or is on PATH itself.
                'for %p in (puppet.bat) do @if not "%~$PATH:p"=="" (echo "puppet=%~$PATH:p"'
                r'&if exist "%~dp$PATH:p..\sys\ruby\bin\ruby.exe"'
                r' echo "ruby=%~dp$PATH:p..\sys\ruby\bin\ruby.exe")',
                'for %p in (ruby.exe) do @if not "%~$PATH:p"=="" echo "ruby=%~$PATH:p"',
                *END,
            )
        )

    def process(self, output: list[str]) -> Windows:
        try:
            return read_windows(framed(output))
        except RecertError as error:
            raise FactProcessError(str(error)) from error


class WindowsPuppetSettings(FactBase[list[str]]):
    """
    What `puppet config print` prints for an agent, line by line, errors among it. Starts
    Puppet once.

    + puppet: its program
    """

    def command(self, puppet: str) -> StringCommand:
        names = " ".join(SETTINGS)
        return StringCommand(
            line(
                "echo pe-recert:",
                f"call {native(puppet)} config print --section agent --color=false {names} 2>&1",
                *END,
            )
        )

    def process(self, output: list[str]) -> list[str]:
        return framed(output)


class WindowsClock(FactBase[float]):
    """
    The host's clock, seconds, UTC, as Puppet's Ruby tells it.

    + ruby: its program
    """

    def command(self, ruby: str) -> StringCommand:
        return ruby_script(ruby, "say 'clock', Time.now.to_f")

    def process(self, output: list[str]) -> float:
        ((_, clock),) = read_records(output)
        return numbers.clock(clock)


def framed(output: list[str]) -> list[str]:
    """What was printed between the marks of a command; before the first there may be what cmd.exe
    has been told to run first (AutoRun), be it without the end of a line.

    :raises FactProcessError: it was cut short, or is longer than any program prints.
    """
    require_few(len(output), MOST_LINES, "lines to say to one question")
    lines = [text.strip() for text in output]
    begin = next((at for at, text in enumerate(lines, 1) if text.endswith("pe-recert:")), None)
    if begin is None or "pe-recert." not in lines[begin:]:
        raise FactProcessError("the host's answer was cut short")
    return lines[begin : lines.index("pe-recert.", begin)]
