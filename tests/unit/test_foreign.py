"""Who made the directories of the backups on Windows."""

from __future__ import annotations

import re

import pytest

from recert.commandline import line
from recert.foreign import closing, foreign_refusals, taking
from recert.windows import read_windows
from tests.unit.test_windows import MODERN

DIRECTORIES = ("C:/ProgramData/pe-recert", "C:/ProgramData/pe-recert/backups")
LIKE = "C:/ProgramData/pe-recert-0123"
ADMINISTRATORS = r"BUILTIN\Administrators"


def shown(*owners: str, links: tuple[int, ...] = (), kind: str = "<DIR>") -> list[str]:
    """What `taking` prints, as Windows does it."""
    told = [" Volume in drive C has no label.", ""]
    for number, owner in enumerate(owners):
        told += [f"pe-recert, a link: {number}"] if number in links else []
        told += [
            f"pe-recert, owner of {number}",
            r" Directory of C:\ProgramData\pe-recert",
            "",
            f"11/24/2015  10:15 AM    {kind}          {owner:<23}.",
            f"11/24/2015  10:15 AM    {kind}          {'EVE-PC' + chr(92) + 'eve':<23}..",
            f"11/24/2015  10:15 AM    {kind}          {'EVE-PC' + chr(92) + 'eve':<23}a > b.",
            "               0 File(s)              0 bytes",
        ]
    return told


@pytest.mark.parametrize(
    ("owner", "kind"),
    [
        (ADMINISTRATORS, "<DIR>"),
        ("VORDEFINIERT\\Administr", "<DIR>"),
        ("BUILTIN\\Administrateu", "<REP>"),
    ],
)
def test_what_administrators_own_is_used(owner: str, kind: str) -> None:
    assert foreign_refusals(shown(owner, owner, owner, kind=kind), DIRECTORIES) == []


def test_what_is_run_first_need_not_end_its_line() -> None:
    """But what somebody calls a directory is no mark."""
    told = "\n".join(shown(*[ADMINISTRATORS] * 3)).partition("pe-recert, owner of 0")
    greeted = f"{told[0]}Hello! {told[1]}{told[2]}".splitlines()
    assert foreign_refusals(greeted, DIRECTORIES) == []
    owners = shown(ADMINISTRATORS, r"EVE-PC\eve", ADMINISTRATORS)
    fake = [text.replace("a > b.", "pe-recert, owner of 0") for text in owners]
    assert len(foreign_refusals(fake, DIRECTORIES)) == 1


@pytest.mark.parametrize("number", [1, 2])
def test_what_somebody_else_has_made_is_refused(number: int) -> None:
    owners = [ADMINISTRATORS] * 3
    owners[number] = r"EVE-PC\eve"
    (refusal,) = foreign_refusals(shown(*owners), DIRECTORIES)
    native = DIRECTORIES[number - 1].replace("/", "\\")
    assert refusal.startswith(rf"{native} belongs to EVE-PC\eve and not")
    assert f'takeown /f "{native}" /a' in refusal


def test_what_leads_elsewhere_is_refused_whoever_owns_it() -> None:
    (refusal,) = foreign_refusals(shown(*[ADMINISTRATORS] * 3, links=(2,)), DIRECTORIES)
    assert r"C:\ProgramData\pe-recert\backups leads elsewhere" in refusal


def test_whose_it_is_has_to_be_known() -> None:
    told = shown(*[ADMINISTRATORS] * 3)
    for cut in range(len(told)):
        assert foreign_refusals(told[:cut], DIRECTORIES) or cut > 17
    assert len(foreign_refusals([], DIRECTORIES)) == 2


def test_what_is_typed() -> None:
    typed = line(*taking(DIRECTORIES, LIKE))
    # What it is compared with was made by nobody else, since nobody knew its name.
    assert typed.index(r'mkdir "C:\ProgramData\pe-recert-0123" || exit 1') < typed.index("takeown")
    for path in DIRECTORIES:
        name = '"' + path.replace("/", "\\") + '"'
        made = f"if not exist {name} ((mkdir {name} || exit 1)&takeown /f {name} /a >nul 2>&1)"
        assert made in typed
        assert f"fsutil reparsepoint query {name}" in typed
        assert f"cd /d {name} && dir /q /a:d" in typed


def test_where_backups_go_by_themselves_there_are_two() -> None:
    windows = read_windows(MODERN)
    assert windows.made_for(windows.backup_root) == DIRECTORIES
    assert windows.made_for("D:/backups") == ("D:/backups",)


EVE = "eve"
SAFE = {"SYSTEM", "Administrators"}


class Lists:
    """Who may read the directories, by what is typed: by his name, or from the one above."""

    def __init__(self) -> None:
        self.named: dict[str, set[str]] = {}
        self.inherits: dict[str, bool] = {}

    def readers(self, path: str) -> set[str]:
        if path == r"C:\ProgramData":
            return {*SAFE, "Users"}
        found = set(self.named.get(path, set()))
        if self.inherits.get(path, True):
            found |= self.readers(path.rpartition("\\")[0])
        return found

    def type(self, command: str) -> None:
        found = re.fullmatch(r'icacls "([^"]+)" (.*) /q >nul \|\| exit 1', command)
        assert found is not None, command
        path, words = found.groups()
        if words == "/reset":
            self.named[path], self.inherits[path] = set(), True
        else:
            assert words == (
                '/inheritance:r /grant:r "*S-1-5-18:(OI)(CI)F" /grant:r "*S-1-5-32-544:(OI)(CI)F"'
            )
            self.named.setdefault(path, set()).update(SAFE)
            self.inherits[path] = False


def test_nobody_keeps_what_he_was_granted_by_name() -> None:
    lists = Lists()
    outer, inner = (path.replace("/", "\\") for path in DIRECTORIES)
    lists.named = {outer: {EVE}, inner: {EVE}}
    for command in closing(DIRECTORIES, modern=True):
        lists.type(command)
    assert lists.readers(outer) == lists.readers(inner) == SAFE


@pytest.mark.parametrize("inherits", [False, True])
def test_nor_are_the_backups_open_while_a_later_run_does_it_again(inherits: bool) -> None:
    lists = Lists()
    outer, inner = (path.replace("/", "\\") for path in DIRECTORIES)
    lists.named = {outer: set(SAFE), inner: set() if inherits else set(SAFE)}
    lists.inherits = {outer: False, inner: inherits}
    for command in closing(DIRECTORIES, modern=True):
        lists.type(command)
        assert lists.readers(inner) == SAFE


def test_a_single_directory_is_never_opened() -> None:
    assert "/reset" not in line(*closing(["D:/backups"], modern=True))


def test_2003_has_no_reset() -> None:
    typed = line(*closing(DIRECTORIES, modern=False))
    assert "icacls" not in typed
    assert typed.count("cacls") == 2
