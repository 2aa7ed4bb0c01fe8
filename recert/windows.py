"""What a Windows host says of itself, and what forbids working on it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PureWindowsPath

from recert.errors import RecertError
from recert.observed import Service
from recert.settings import PathRules

VISTA = (6, 0)
"""With Windows 2008's kernel came %PROGRAMDATA% and `icacls /inheritance`."""

OWN_PROCESS = 0x10

_STATES = {
    "RUNNING": Service.RUNNING,
    "STOPPED": Service.STOPPED,
    "START_PENDING": Service.PENDING,
    "STOP_PENDING": Service.PENDING,
    "CONTINUE_PENDING": Service.PENDING,
    "PAUSE_PENDING": Service.PENDING,
    "PAUSED": Service.RUNNING,
}
_STATE = re.compile(rf":\s{{0,20}}\d\s{{1,20}}({'|'.join(_STATES)})\b")
_TYPE = re.compile(r":\s{0,20}([0-9a-fA-F]{1,8})\b")
_PID = re.compile(r"PID\s{0,20}:\s{0,20}([0-9]{1,10})")
_VERSION = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})\.[0-9]")
_LONGEST_LINE = 500
_LONGEST_SAYING = 200
_LONGEST_COMMAND = 4096
_CONTROL = re.compile("[\x00-\x1f\x7f\ufffd\ud800-\udfff]")


@dataclass(frozen=True)
class WindowsService:
    """A service as its manager sees it. `word`: the state in its words. `pid`: None as long as it
    has no process. `alone`: no other service lives in that process."""

    name: str
    state: Service
    word: str
    pid: int | None
    alone: bool


@dataclass(frozen=True)
class Windows:
    """A host. `version`: 5.2 is 2003, 6.0 is 2008. `puppet`, `ruby`: the programs of that name,
    None where there are none. `data`: where programs keep theirs, by Windows' version. `profile`:
    the connected account's own directory. `bangs`: exclamation marks in a command are expanded.
    `denied`: what reg.exe said to an account that is no Administrator's.
    """

    version: tuple[int, int]
    administrator: bool
    denied: str
    bangs: bool
    puppet: str | None
    ruby: str | None
    data: str
    profile: str

    @property
    def modern(self) -> bool:
        """Whether it is 2008 or later."""
        return self.version >= VISTA

    @property
    def puppetlabs(self) -> str:
        """Where Puppet's and PE's other programs keep their configuration and data."""
        return f"{self.data}/PuppetLabs"

    @property
    def confdir(self) -> str:
        """The Administrator's, as far as it follows from Windows' version."""
        return f"{self.puppetlabs}/puppet/etc"

    @property
    def backup_root(self) -> str:
        """Where backups go unless somebody names another place."""
        return f"{self.data}/pe-recert/backups"

    def made_for(self, root: str) -> tuple[str, ...]:
        """The directories that are made for backups in `root`, the outer one first."""
        own = self.backup_root
        return (own.rpartition("/")[0], own) if root == own else (root,)


def read_windows(lines: Iterable[str]) -> Windows:
    """What the fact's `name=value` lines say, quoted each.

    :raises RecertError: they make no sense.
    """
    values: dict[str, str] = {}
    other: list[str] = []
    version: tuple[int, int] | None = None
    for text in (raw.strip() for raw in lines):
        name, separator, value = text.strip('"').partition("=")
        if text.startswith('"') and separator:
            # Of a program in several places the first is it; what is not set stays as typed.
            if value and not value.startswith("%"):
                values.setdefault(name, value.replace("\\", "/"))
        elif version is None and (found := _VERSION.search(text[:_LONGEST_LINE])):
            version = (int(found[1]), int(found[2]))
        elif text:
            other.append(text)
    if version is None:
        raise RecertError("It does not say which Windows it is: `ver` printed no version.")
    name = "programdata" if version >= VISTA else "allusers"
    if name not in values:
        raise RecertError("It does not say where programs keep their data (%PROGRAMDATA%).")
    data = values[name] if version >= VISTA else f"{values[name]}/Application Data"
    return Windows(
        version=version,
        administrator="administrator" in values,
        denied=" ".join(other)[:_LONGEST_SAYING],
        bangs=values.get("bangs") != "!OS!",
        puppet=values.get("puppet"),
        ruby=values.get("ruby"),
        data=data,
        profile=values.get("profile", ""),
    )


def windows_refusals(windows: Windows) -> list[str]:
    """What forbids any work there."""
    refusals = []
    if not windows.administrator:
        refusals.append(
            "The account that is connected has no Administrator rights, so that Puppet would use "
            "its own directories instead of the service's. Connect as an Administrator (a local "
            "one needs LocalAccountTokenFilterPolicy on Windows 2008 and later). "
            rf"`reg query HKU\S-1-5-19` said: {windows.denied or 'nothing'}"
        )
    if windows.bangs:
        refusals.append(
            "cmd.exe expands exclamation marks here (DelayedExpansion in the registry, below "
            r"Software\Microsoft\Command Processor). Take that out: paths may hold them."
        )
    if windows.puppet is None:
        refusals.append(
            r"There is no bin\puppet.bat below Puppet Labs\Puppet Enterprise or Puppet Labs\Puppet "
            "in the program directories, and none on PATH. Its data would be in "
            f"{windows.confdir}."
        )
    elif windows.ruby is None:
        refusals.append(
            f"{windows.puppet} has no ruby.exe in sys/ruby/bin beside it and none is on PATH, so "
            "that no key can be compared with its certificate. Repair the installation of Puppet."
        )
    return refusals


def directory_refusals(windows: Windows, confdir: str) -> list[str]:
    """Puppet gives every account but an Administrator's directories of its own."""
    found = PureWindowsPath(confdir)
    own = PureWindowsPath(windows.profile) / ".puppet" if windows.profile else None
    if ".puppet" not in (part.lower() for part in found.parts) and found != own:
        return []
    return [
        f"Puppet answers with {confdir}, which is the connected account's own and not the "
        f"service's ({windows.confdir}). Connect as an Administrator."
    ]


def read_services(lines: Iterable[str]) -> dict[str, WindowsService]:
    """`sc queryex` of several services, each after a line `service=NAME`, by their names; one that
    is not installed has no entry."""
    answers: dict[str, list[str]] = {}
    current: list[str] = []
    for text in (raw.strip() for raw in lines):
        if text.startswith("service="):
            current = answers.setdefault(text.removeprefix("service="), [])
        else:
            current.append(text)
    known = {name: read_service(name, answer) for name, answer in answers.items()}
    return {name: entry for name, entry in known.items() if entry is not None}


def read_options(lines: Iterable[str]) -> dict[str, list[str]]:
    """`sc qc` of several services, each after a line `service=NAME`: what of their command lines
    begins with the first option, by services that have any."""
    found: dict[str, list[str]] = {}
    place = ""
    for text in (raw.strip()[:_LONGEST_COMMAND] for raw in lines):
        if text.startswith("service="):
            place = f"the service {text.removeprefix('service=')}"
        elif words := _words_from_option(text):
            found.setdefault(place, []).extend(words)
    return found


def _words_from_option(text: str) -> list[str]:
    """As a program gets them. Whatever language the label before them is in: it has no option."""
    parts = text.split('"')
    # Within quotes a space ends no word.
    marked = "".join(p.replace(" ", "\0") if n % 2 else p for n, p in enumerate(parts))
    words = [word.replace("\0", " ").replace("\\", "/") for word in marked.split()]
    first = next((at for at, word in enumerate(words) if word[:2] == "--" != word), len(words))
    return words[first:]


def as_documented(
    found: Mapping[str, WindowsService], names: Mapping[str, tuple[str, ...]]
) -> dict[str, WindowsService]:
    """The same by what the document calls a service.

    :param names: what it may be called there, the best first, by the document's name.
    """
    known = {
        service: next((found[name] for name in short if name in found), None)
        for service, short in names.items()
    }
    return {service: entry for service, entry in known.items() if entry is not None}


def read_service(name: str, lines: Iterable[str]) -> WindowsService | None:
    """`sc queryex NAME`, whatever language its labels are in; None if there is no such service."""
    word = pid = kind = None
    for line in lines:
        text = line[:_LONGEST_LINE]
        if state := _STATE.search(text):
            word = state[1]
        elif process := _PID.search(text):
            pid = int(process[1]) or None
        elif kind is None and (number := _TYPE.search(text)):
            kind = int(number[1], 16)
    if word is None:
        return None
    return WindowsService(name, _STATES[word], word, pid, bool((kind or 0) & OWN_PROCESS))


def check_windows_path(name: str, value: str) -> str:
    """`value` with forward slashes, if it is an absolute path on a drive that is safe to name in a
    command.

    :raises RecertError: otherwise.
    """
    path = PureWindowsPath(value)
    plain = not _CONTROL.search(value) and not re.search(r'["<>|?*]', value)
    on_drive = re.fullmatch("[A-Za-z]:", path.drive) and path.root
    if not plain or not on_drive or ".." in path.parts or any(":" in p for p in path.parts[1:]):
        raise RecertError(f"{name} is {value!r}, which is not a plain absolute path on a drive.")
    return path.as_posix()


WINDOWS = PathRules(PureWindowsPath, check_windows_path)
"""Paths that differ in case only are one; none is outside of a drive."""
