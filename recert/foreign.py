"""Directories on Windows that are to be Administrators' alone, whoever has been there first.

Any account may make a directory in `ProgramData`, and whoever has made one may say for ever who
else opens it. What is typed here takes a directory that it makes, and shows whose any other is, for
`foreign_refusals` to judge.

`dir /q` names owners in Windows' language, and cuts their names off. So the owner is compared with
that of a directory that was made and taken in the same breath.

Source: `dir /?`, `takeown /?`, `fsutil reparsepoint /?`; all three are in Windows 2003 as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from recert.commandline import native, quoted

_SYSTEM, _ADMINISTRATORS = "S-1-5-18", "S-1-5-32-544"

_MARK = "pe-recert, owner of"
_LINK = "pe-recert, a link:"
# Of the entry for the directory itself: date, time, <DIR> in Windows' language, owner, name.
_ITSELF = re.compile(r"[^<]{0,60}<[^>]{1,40}>(.{0,300})\s\.")
_LONGEST_LINE = 500


def taking(directories: Sequence[str], like: str) -> list[str]:
    """Commands that make each of `directories` that is not there, and show whose they are.

    :param like: a directory that nobody can know of, which is made and deleted.
    """
    own = native(like)
    return [
        f"mkdir {own} || exit 1",
        f"takeown /f {own} /a >nul 2>&1",
        *_shown(0, like),
        *(part for number, path in enumerate(directories, 1) for part in _taken(number, path)),
        f"rd {own}",
    ]


def closing(directories: Sequence[str], *, modern: bool) -> list[str]:
    """Commands that leave `directories`, of which each is in the one before, to SYSTEM and
    Administrators."""
    # The outer one first: nobody else can then put anything in the place of the inner one.
    typed = [part for path in directories for part in _closed(path, modern=modern)]
    if not modern or len(directories) == 1:
        # With backups in it, a single one would be open to others between reset and closing.
        return typed
    # What was granted to somebody by name outlives his being its owner. Now nothing is opened by
    # that: the inner one inherits nothing from the outer one until that is closed again.
    for path in directories:
        typed += [f"icacls {native(path)} /reset /q >nul || exit 1", *_closed(path, modern=modern)]
    return typed


def _closed(path: str, *, modern: bool) -> tuple[str, ...]:
    name = native(path)
    if modern:
        grants = " ".join(
            f"/grant:r {quoted(f'*{sid}:(OI)(CI)F')}" for sid in (_SYSTEM, _ADMINISTRATORS)
        )
        return (f"icacls {name} /inheritance:r {grants} /q >nul || exit 1",)
    # 2003's icacls cannot take away what is inherited, and its cacls asks for consent; cacls /g
    # without /e leaves nothing else.
    consent = native(f"{path}/consent")
    protect = f"cacls {name} /g SYSTEM:F Administrators:F <{consent} >nul || exit 1"
    return f"(echo y)>{consent}", protect, f"del /f /q {consent}"


def _taken(number: int, path: str) -> Iterable[str]:
    name = native(path)
    yield f"if not exist {name} ((mkdir {name} || exit 1)&takeown /f {name} /a >nul 2>&1)"
    yield f"fsutil reparsepoint query {name} >nul 2>&1 && echo {_LINK} {number}"
    yield from _shown(number, path)


def _shown(number: int, path: str) -> tuple[str, str]:
    return f"echo {_MARK} {number}", f"cd /d {native(path)} && dir /q /a:d"


def foreign_refusals(output: Iterable[str], directories: Sequence[str]) -> list[str]:
    """What forbids using `directories`, by what `taking` has shown."""
    owners: dict[int, str] = {}
    links: set[int] = set()
    number = -1
    for text in (line[:_LONGEST_LINE].strip() for line in output):
        if number < 0:  # what cmd.exe is told to run first (AutoRun) need not end its line
            text = _MARK + text.partition(_MARK)[2] if _MARK in text else ""
        if text.startswith(_LINK):
            links.add(int(text.removeprefix(_LINK)))
        elif text.startswith(_MARK):
            number = int(text.removeprefix(_MARK))
        elif found := _ITSELF.fullmatch(text):
            owners.setdefault(number, found[1].strip())
    refusals = []
    for number, path in enumerate(directories, 1):
        name = path.replace("/", "\\")
        if number in links:
            refusals.append(
                f"{name} leads elsewhere (a junction or symbolic link), where private keys would "
                "go. Find out who made it, and remove it: rd does not delete what it leads to."
            )
        elif 0 not in owners or owners.get(number) != owners[0]:
            owner = owners.get(number) or "nobody knows whom"
            refusals.append(
                f"{name} belongs to {owner} and not to Administrators. It is to hold private keys, "
                "and its owner may say who opens it. Move it away if you do not know who made it; "
                f'if it is your own, takeown /f "{name}" /a.'
            )
    return refusals
