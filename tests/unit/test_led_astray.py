"""Root deletes and makes nothing where a service's account has led it meanwhile."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from operations.clearing import CLEARING, REMOVING, pattern
from operations.placing import PLACING
from operations.step import changing
from tests.unit.shell import Sh
from tests.unit.test_placing import NOBODY, place, roots, theirs, untouched

__all__ = ["place", "roots", "theirs"]

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="another account is needed")


def run(sh: Sh, script: str, *words: object) -> subprocess.CompletedProcess[bytes]:
    command = changing("/dev/null/lock", script, *map(str, words))
    return sh.run(command.get_raw_value())


def lead(directory: Path, elsewhere: Path) -> None:
    """Its account puts a link in a directory's place."""
    if directory.exists():
        directory.rmdir()
    directory.symlink_to(elsewhere)
    os.chown(directory, NOBODY, NOBODY, follow_symlinks=False)


@pytest.mark.parametrize("where", ["itself", "above it"])
@pytest.mark.parametrize(
    "script",
    [
        CLEARING + 'empty "$1"',
        CLEARING + 'clear_below "$1" "$2"',
        REMOVING + 'remove "$1/shadow"',
    ],
)
def test_nothing_goes_where_a_link_of_theirs_leads(
    sh: Sh, theirs: Path, roots: Path, where: str, script: str
) -> None:
    if where == "itself":
        lead(theirs, roots)
    else:
        lead(theirs, roots.parent)
        theirs = theirs / "root"
    done = run(sh, script, theirs, pattern(str(theirs)))
    assert untouched(roots)
    assert done.returncode == 1
    assert b"not root's" in done.stderr


def test_what_is_there_goes_also_behind_a_link_of_roots(sh: Sh, theirs: Path) -> None:
    link = theirs.parent / "link"
    link.symlink_to(theirs)
    for name in ("gone", "gone too", ".hidden"):
        (theirs / name).write_text("x")
    removed = [link / "gone", link / "missing", link / "missing" / "x", link / "gone too"]
    done = run(sh, REMOVING + 'remove "$@"', *removed)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in theirs.iterdir()] == [".hidden"]
    (theirs / "gone").write_text("x")
    assert run(sh, CLEARING + 'clear_below "$@"', link, pattern(str(link))).returncode == 0
    assert [path.name for path in theirs.iterdir()] == [".hidden"]
    assert run(sh, CLEARING + 'empty "$1"', link).returncode == 0
    assert list(theirs.iterdir()) == []


def test_what_cannot_be_removed_is_told(sh: Sh, theirs: Path) -> None:
    (theirs / "directory").mkdir()
    done = run(sh, REMOVING + 'remove "$1/directory"', theirs)
    assert done.returncode == 1
    assert f"Cannot be removed: {theirs}/directory".encode() in done.stderr


def test_a_directory_is_made_with_owner_and_mode(sh: Sh, theirs: Path) -> None:
    done = run(sh, PLACING + 'make "$1/a/b" 0755 nobody', theirs)
    assert done.returncode == 0, done.stderr
    for made in (theirs / "a", theirs / "a" / "b"):
        entry = made.stat()
        assert (entry.st_uid, entry.st_mode & 0o7777) == (NOBODY, 0o755)
    assert [path.name for path in theirs.iterdir()] == ["a"]
    assert run(sh, PLACING + 'make "$1/a/b" 0755 nobody', theirs).returncode == 0


# What the account does at the moment at which a directory has just been made: the real program,
# then the swap, in the place of the program.
SWAPS: dict[str, Callable[[Path, Path], str]] = {
    "mkdir": lambda aim, to: f"[ ! -d {aim} ] || {{ rmdir {aim} && ln -s {to} {aim}; }}",
    "mktemp": lambda aim, to: f"ln -s {to} {aim} 2>/dev/null",
}


@pytest.mark.parametrize("program", SWAPS)
@pytest.mark.parametrize("to", ["", "shadow"], ids=["directory", "file"])
def test_a_link_in_its_place_gets_neither_owner_nor_mode(
    sh: Sh, theirs: Path, roots: Path, program: str, to: str
) -> None:
    aim, real = theirs / "certs", subprocess.check_output(["which", program], text=True).strip()
    swap = SWAPS[program](aim, roots / to)
    sh.provide(program, f'{real} "$@"; status=$?; {swap}; exit $status')
    done = run(sh, PLACING + 'make "$1" 0755 nobody', aim)
    assert untouched(roots)
    assert (done.returncode == 0) == (not aim.is_symlink())


def test_an_account_that_is_quick_leads_nobody(sh: Sh, theirs: Path, roots: Path) -> None:
    """It has a link in its directory's place every other moment."""
    racing = f"""
    cd {theirs.parent} || exit
    while :; do
        mv certs away && ln -s {roots} certs; rm -f certs; mv away certs || mkdir -p certs
    done
    """
    racer = subprocess.Popen(
        ["setpriv", f"--reuid={NOBODY}", "--clear-groups", "sh", "-c", racing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    script = CLEARING + REMOVING + PLACING + 'clear_below "$1" "$2"; make "$1" 0755 nobody'
    try:
        for number in range(15):
            also = '; remove "$1/shadow"' if number % 2 else ""
            run(sh, script + also, theirs, pattern(str(theirs)))
            assert untouched(roots)
        assert racer.poll() is None, "nobody attacked"
    finally:
        racer.kill()
        racer.wait()
