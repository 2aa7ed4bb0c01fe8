"""What a puppet.conf that a backup puts back says otherwise than the one there is.

Programs stand in it that Puppet starts as root, and whom it obeys: whoever has had the backup in
his hands can have written that. What is legitimate nobody can tell from the file, so it is shown.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

LARGEST = 1024 * 1024
"""Bytes: nobody's puppet.conf has as many."""


class Kept(Enum):
    """How a backup has a file. `ODD`: as a link, or several times, so that nobody knows what would
    be there in the end. `WITH_KEY`: it has a line of a private key, and what follows is not read:
    no key leaves its host."""

    NOT_THERE = "not there"
    PLAIN = "plain"
    ODD = "odd"
    TOO_LARGE = "too large"
    WITH_KEY = "with a key"


@dataclass(frozen=True)
class Configurations:
    """`live`: the text there is, empty if none; `held`: that of the backup."""

    live: str
    kept: Kept
    held: str


_TELLING = re.compile(
    r"\[[^]]*\] (prerun_command|postrun_command|config_version|external_nodes|autosign"
    r"|(ca_|report_|inventory_)?server|server_list|srv_domain|use_srv_records|http_proxy_host"
    r"|(base)?modulepath|environmentpath|manifest|manifestdir|config|confdir|libdir|vendormoduledir"
    r"|plugindest|pluginsource|factpath|pluginfactdest|pluginfactsource|reports|reportdir"
    r"|[a-z]+_terminus|hiera_config|trusted_external_command|trusted_oid_mapping_file"
    r"|route_file|diff|rest_authconfig|fileserverconfig)\s*="
)
"""Settings by which Puppet starts or loads a program, or which say whom it obeys."""

_SECTION = re.compile(r"\s*\[(\w+)\]\s*", re.ASCII)
_SAYS_NOTHING = re.compile(r"[ \t\r\f\v]*(#.*)?", re.DOTALL)


def refusal(path: str, found: Configurations) -> str | None:
    """Why a file would not be what can be shown of it; None if it would."""
    if found.kept is Kept.ODD:
        what = "as a link or several times, which no backup of this suite does"
    elif found.kept is Kept.TOO_LARGE:
        what = "with more than a MiB in it, which no configuration has"
    elif found.kept is Kept.WITH_KEY:
        what = "with a private key in it, behind which nothing can be shown"
    else:
        return None
    return (
        f"The backup holds {path} {what}. Nothing was replaced: somebody has changed it. Look for "
        "another copy."
    )


def told_differences(path: str, found: Configurations) -> list[str]:
    """What somebody reads before that file is put back: what it says otherwise, and first by which
    Puppet would do what somebody else wants."""
    came, went = _lines(found.held), _lines(found.live)
    more = [f"+ {line}" for line in (Counter(came) - Counter(went)).elements()]
    less = [f"- {line}" for line in (Counter(went) - Counter(came)).elements()]
    if not more and not less:
        order = "" if came == went else ", in another order"
        return [
            f"{path} goes back as well. It says what it does now{order} (comments and passwords "
            "are not compared)."
        ]
    telling = [line for line in (*more, *less) if _TELLING.match(line[2:])]
    rest = [line for line in (*more, *less) if not _TELLING.match(line[2:])]
    said = (
        f"{path} goes back as well. Of what it says, {_counted(more)} not there now (+), and "
        f"{_counted(less)} there now alone (-):"
    )
    look = (
        "Among these is what Puppet starts as root, or whom it obeys: look at it before you go on, "
        "if anybody else can have had the backup in his hands."
    )
    return [said, *telling, *rest] if not telling else [said, *telling, look, *rest]


def _counted(lines: list[str]) -> str:
    return f"{len(lines)} {'line is' if len(lines) == 1 else 'lines are'}"


def _lines(text: str) -> list[str]:
    return list(_read(text))


def _read(text: str) -> Iterator[str]:
    """Every line that says something, after its section. Lines end as they do for Puppet."""
    section = "main"
    for line in text.split("\n"):
        if found := _SECTION.fullmatch(line):
            section = found[1]
        elif not _SAYS_NOTHING.fullmatch(line):
            name, equals, value = line.partition("=")
            said = f"{name.strip()} = {value.strip()}" if equals else line.strip()
            yield f"[{section}] {said}"
