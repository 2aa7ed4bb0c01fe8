"""What the suite needs of a host's programs, with the oldest that has it.

Which programs a host has is not asked, but whether they can do this; see `facts.programs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ability:
    """What scripts rely on of a program. `package`, `since`: GNU's, and the oldest version that has
    it. `remedy`: where it is there and rather something else is wrong."""

    what: str
    package: str
    since: str
    remedy: str = ""


ABILITIES = {
    "find": Ability(
        "list files with -printf, -ignore_readdir_race and -perm /mode, and act on them with "
        "-delete, -exec … + and -execdir … +",
        "findutils",
        "4.2.25",
    ),
    "xargs": Ability("take names that end in NUL (-0), or none at all (-r)", "findutils", "4.2.25"),
    "grep": Ability(
        "list files with names that end in NUL, with and without a match (-lZe, -LZe), and search "
        "directories but no pipes in them (-R -D skip)",
        "grep",
        "2.5",
    ),
    "sort": Ability("sort names that end in NUL (-zu)", "coreutils", "5.0"),
    "tar": Ability(
        "take names that end in NUL from a list (--null -T -) and compare an archive (-d)",
        "tar",
        "1.15",
    ),
    "gzip": Ability("compress what it reads (-c)", "gzip", "1.2"),
    "comm": Ability("tell the lines of one list that another has not (-23)", "coreutils", "5.0"),
    "sha256sum": Ability("compute the sum of what it reads (nor can openssl)", "coreutils", "6.0"),
    "readlink": Ability("follow links (-f)", "coreutils", "5.0"),
    "stat": Ability("tell size and time of a file (-c)", "coreutils", "5.0"),
    "dd": Ability("read a file that is no link (iflag=nofollow,nonblock)", "coreutils", "5.3"),
    "awk": Ability("take apart what it reads (-v, sub)", "gawk", "3.0"),
    "df": Ability("tell the room of a file system, a line each (-Pk)", "coreutils", "5.0"),
    "du": Ability("tell how large a directory is, through links (-sLk)", "coreutils", "5.0"),
    "date": Ability("tell the seconds since 1970 (+%s)", "coreutils", "5.0"),
    "mktemp": Ability(
        "make a directory and a file for a while",
        "mktemp",
        "1.5",
        "Let TMPDIR, in the environment of the login, name a directory that can be written to; "
        "without it /tmp has to be one.",
    ),
    "id": Ability("tell of an account (-u, -un)", "coreutils", "5.0"),
    "openssl": Ability("read a private key (nor can ruby)", "openssl", "0.9.8"),
}
"""By program, in the order in which they are told."""


@dataclass(frozen=True)
class Inability:
    """A program that cannot do what is needed. `path`: empty if there is none. `said`: what it said
    when it was put to the test."""

    program: str
    path: str
    said: str


def program_refusals(unable: Iterable[Inability]) -> list[str]:
    """What would fail in the middle, or be a wrong answer."""
    return [_refusal(found) for found in unable]


def _refusal(found: Inability) -> str:
    ability = ABILITIES[found.program]
    if not found.path:
        return (
            f"The program {found.program} is not installed on the host. Install {ability.package} "
            f"({ability.since} or later)."
        )
    lines = [line for line in found.said.splitlines() if line and not line.startswith("<")]
    said = f" It said: {lines[0]}" if lines else ""
    remedy = ability.remedy or (
        f"Install {ability.package} ({ability.since} or later), or put its directory before that "
        "one on the PATH of the login."
    )
    return (
        f"{found.path}, the first {found.program} on the PATH, cannot {ability.what}.{said} "
        f"{remedy}"
    )
