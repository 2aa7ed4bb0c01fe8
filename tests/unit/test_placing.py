"""Root follows no link of a service account's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from facts.host import Basics
from facts.ssl import AS_PK8
from operations.aside import PUTTING
from operations.credentials import COPYING
from operations.placing import PLACING
from operations.ssl import PLACED
from operations.step import BEGINNING, changing
from tests.unit.shell import Sh

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="another account is needed")


@pytest.fixture
def place() -> Iterator[Path]:
    """Where another account gets to, which it does not to those that pytest makes."""
    with TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        yield Path(made)


@pytest.fixture
def theirs(place: Path) -> Path:
    """A directory of a service account's, in one of its own."""
    directory = place / "data" / "certs"
    directory.mkdir(parents=True)
    for mine in (directory.parent, directory):
        os.chown(mine, NOBODY, NOBODY)
    return directory


@pytest.fixture
def roots(place: Path) -> Path:
    """What only root may change."""
    directory = place / "root"
    directory.mkdir(mode=0o700)
    (directory / "shadow").write_text("secret")
    (directory / "shadow").chmod(0o600)
    return directory


def run(sh: Sh, script: str, *words: object) -> subprocess.CompletedProcess[bytes]:
    command = changing("/dev/null/lock", PLACING + script, *map(str, words))
    done = sh.run(command.get_raw_value())
    done.stdout = done.stdout.removeprefix(f"{BEGINNING}\n".encode())
    return done


def untouched(roots: Path) -> bool:
    entry = (roots / "shadow").stat()
    return (
        (entry.st_uid, entry.st_mode & 0o777) == (0, 0o600)
        and roots.stat().st_uid == 0
        and (roots / "shadow").read_text() == "secret"
        and [path.name for path in roots.iterdir()] == ["shadow"]
    )


def test_a_file_is_put_into_place_whole_with_owner_and_mode(sh: Sh, theirs: Path) -> None:
    (theirs / "new").write_text("old")
    done = run(sh, 'printf new | put "$1/new" nobody 0640', theirs)
    assert done.returncode == 0, done.stderr
    entry = (theirs / "new").stat()
    assert (entry.st_uid, entry.st_mode & 0o777) == (NOBODY, 0o640)
    assert (theirs / "new").read_text() == "new"
    assert [path.name for path in theirs.iterdir()] == ["new"]


def test_nobody_is_waited_for_at_the_end_of_a_pipe(sh: Sh, theirs: Path) -> None:
    os.mkfifo(theirs / "pipe")
    done = run(sh, 'get "$1/pipe" | put "$1/new" nobody 0640', theirs)
    assert done.returncode != 0
    assert [path.name for path in theirs.iterdir()] == ["pipe"]


def test_a_directory_may_hand_on_its_group(sh: Sh, theirs: Path) -> None:
    theirs.chmod(0o2770)
    done = run(sh, 'printf new | put "$1/new" nobody 0640', theirs)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in theirs.iterdir()] == ["new"]


@pytest.mark.parametrize("to", ["shadow", ""], ids=["file", "directory"])
def test_a_link_in_its_place_is_replaced(sh: Sh, theirs: Path, roots: Path, to: str) -> None:
    (theirs / "new").symlink_to(roots / to)
    assert run(sh, 'printf new | put "$1/new" nobody 0644', theirs).returncode == 0
    assert untouched(roots)
    assert not (theirs / "new").is_symlink()
    assert (theirs / "new").read_text() == "new"


def test_a_directory_in_its_place_is_a_failure(sh: Sh, theirs: Path) -> None:
    (theirs / "new").mkdir()
    assert run(sh, 'printf new | put "$1/new" nobody 0644', theirs).returncode == 1
    assert [path.name for path in theirs.rglob("*")] == ["new"]


def astray(sh: Sh, path: Path) -> tuple[str, ...]:
    nothing: dict[str, Any] = {"paths": [], "accounts": [], "files": []}
    return sh.ask(Basics, backup_root="/", links=[str(path)], **nothing).astray


def test_such_a_link_is_known_before_anything_goes(sh: Sh, theirs: Path, roots: Path) -> None:
    assert astray(sh, theirs) == ()
    assert astray(sh, theirs / "missing") == ()
    link = theirs.parent / "link"
    link.symlink_to(roots)
    assert astray(sh, link) == ()
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    for path in (link, link / ".." / "root"):
        assert astray(sh, path) == (f"{link} is a link that is not root's.",)


@pytest.mark.parametrize("suffix", ["pem", "pk8"])
def test_no_copy_is_made_of_what_a_link_in_the_place_of_a_key_leads_to(
    sh: Sh, theirs: Path, roots: Path, suffix: str
) -> None:
    """Puppet's keys lie in a directory of its account, and copies of them go to another one."""
    sh.provide("ruby", "for word; do case $word in (/*) exec cat $word ;; esac; done; exec cat")
    key, copies = theirs / "key", theirs.parent
    words = (copies, "nobody", "later", AS_PK8, 1, key, copies / f"key.{suffix}", "0640")
    (theirs / "own").write_text("own")
    key.symlink_to(roots / "shadow")
    assert run(sh, COPYING, *words).returncode == 1
    assert [path.name for path in copies.iterdir()] == [theirs.name]
    key.unlink()
    (theirs / "own").rename(key)
    assert run(sh, COPYING, *words).returncode == 0
    assert (copies / f"key.{suffix}").read_text() == "own"


COPIES = {
    "placed": 'place "$1" "$2" nobody 0644',
    "closed": 'close_to_others "$1"',
    "the list": "set -- '' \"$@\"" + PLACED.removeprefix(PLACING),
}


@pytest.mark.parametrize("how", COPIES)
def test_no_copy_is_made_of_what_has_another_name(
    sh: Sh, theirs: Path, roots: Path, how: str
) -> None:
    """As everybody can give root's files before Linux 3.6, or where protected_hardlinks is off."""
    (roots / "shadow").chmod(0o604)
    crl, copy = theirs / "ca_crl.pem", theirs / "crl.pem"
    os.link(roots / "shadow", crl)
    done = run(sh, COPIES[how], crl, copy, crl, copy, "nobody")
    assert done.returncode == 1
    assert b"has another name" in done.stderr and b"cp -p" in done.stderr
    assert [path.name for path in theirs.iterdir()] == ["ca_crl.pem"]
    assert (roots / "shadow").stat().st_nlink == 2
    (roots / "shadow").unlink()
    crl.chmod(0o600)
    assert run(sh, COPIES["placed"], crl, copy).returncode == 0, "one of root's, with one name"
    assert copy.read_text() == "secret"


@pytest.mark.parametrize("suffix", ["pem", "pk8"])
def test_nor_for_a_component(sh: Sh, theirs: Path, roots: Path, suffix: str) -> None:
    sh.provide("ruby", "for word; do case $word in (/*) exec cat $word ;; esac; done; exec cat")
    key, copies = theirs / "key", theirs.parent
    os.link(roots / "shadow", key)
    words = (copies, "nobody", "later", AS_PK8, 1, key, copies / f"key.{suffix}", "0640")
    done = run(sh, COPYING, *words)
    assert done.returncode == 1
    assert b"has another name" in done.stderr
    assert [path.name for path in copies.iterdir()] == [theirs.name]


def test_nor_of_what_is_somebody_elses(sh: Sh, theirs: Path) -> None:
    (theirs / "x").write_text("of another account")
    os.chown(theirs / "x", NOBODY - 1, NOBODY - 1)
    done = run(sh, COPIES["placed"], theirs / "x", theirs / "new")
    assert done.returncode == 1
    assert b"chown" in done.stderr
    assert not (theirs / "new").exists()


def test_what_is_the_accounts_own_may_have_other_names(sh: Sh, theirs: Path) -> None:
    """As a snapshot by `cp -al` gives them to everything."""
    (theirs / "x").write_text("own")
    os.chown(theirs / "x", NOBODY, NOBODY)
    os.link(theirs / "x", theirs.parent / "snapshot")
    done = run(sh, COPIES["placed"], theirs / "x", theirs / "new")
    assert done.returncode == 0, done.stderr
    assert (theirs / "new").read_text() == "own"


@pytest.mark.parametrize("mode", [0o755, 0o775, 0o757])
def test_where_only_root_puts_anything_it_may_have_them_as_well(
    sh: Sh, place: Path, roots: Path, mode: int
) -> None:
    directory = place / "vendor"
    directory.mkdir()
    directory.chmod(mode)
    os.link(roots / "shadow", directory / "x")
    done = run(sh, COPIES["placed"], directory / "x", directory / "new")
    assert (done.returncode == 0) == (mode == 0o755)
    assert (directory / "new").exists() == (mode == 0o755)


@pytest.mark.parametrize("back", [True, False])
def test_nor_of_what_was_exchanged_while_it_was_read(
    sh: Sh, theirs: Path, roots: Path, back: bool
) -> None:
    """The account is that quick at the moment when it is read, and puts the first one back."""
    (theirs / "x").write_text("own")
    os.chown(theirs / "x", NOBODY, NOBODY)
    again = f"rm -f {theirs}/x; mv {theirs}/own {theirs}/x" if back else ":"
    real = shutil.which("dd")
    sh.provide(
        "dd",
        f"mv {theirs}/x {theirs}/own; ln {roots}/shadow {theirs}/x\n"
        f'{real} "$@"; status=$?; {again}; exit $status',
    )
    done = run(sh, COPIES["placed"], theirs / "x", theirs / "new")
    assert done.returncode == 1
    assert not (theirs / "new").exists()
    assert not list(theirs.glob(".pe-recert.*"))


@pytest.mark.parametrize("where", ["itself", "above it"])
@pytest.mark.parametrize(
    "script",
    [
        'printf new | put "$1/new" nobody 0644',
        'give nobody "$1" directory',
        'give nobody "$1" files',
        'get "$1/shadow"',
        'get_theirs "$1/shadow"',
    ],
)
def test_a_directory_that_is_a_link_of_theirs_is_not_entered(
    sh: Sh, theirs: Path, roots: Path, where: str, script: str
) -> None:
    if where == "itself":
        theirs.rmdir()
        theirs.symlink_to(roots)
        os.chown(theirs, NOBODY, NOBODY, follow_symlinks=False)
    else:
        inner = theirs.parent / "deep"
        inner.symlink_to(roots.parent)
        os.chown(inner, NOBODY, NOBODY, follow_symlinks=False)
        theirs = inner / "root"
    done = run(sh, script, theirs)
    assert done.returncode == 1
    assert b"not root's" in done.stderr or b"a link" in done.stderr
    assert b"secret" not in done.stdout
    assert untouched(roots)


def test_a_link_of_roots_is_followed(sh: Sh, theirs: Path) -> None:
    (theirs.parent / "link").symlink_to(theirs)
    assert run(sh, 'printf x | put "$1/new" "" 0600', theirs.parent / "link").returncode == 0
    assert (theirs / "new").stat().st_uid == 0


def test_nor_is_a_link_of_theirs_that_one_of_roots_leads_to(
    sh: Sh, theirs: Path, roots: Path
) -> None:
    (roots.parent / "link").symlink_to(theirs / "here")
    (theirs / "here").symlink_to(roots)
    os.chown(theirs / "here", NOBODY, NOBODY, follow_symlinks=False)
    done = run(sh, 'printf x | put "$1/new" "" 0600', roots.parent / "link")
    assert done.returncode == 1
    assert b"here is a link that is not root's" in done.stderr
    assert untouched(roots)


def test_nor_one_of_roots_to_which_they_gave_a_name(sh: Sh, theirs: Path, roots: Path) -> None:
    """As everybody can before Linux 3.6, or where protected_hardlinks is off."""
    (roots.parent / "link").symlink_to(roots)
    os.link(roots.parent / "link", theirs / "here", follow_symlinks=False)
    done = run(sh, 'printf x | put "$1/new" "" 0600', theirs / "here")
    assert done.returncode == 1
    assert b"here is a link that has another name" in done.stderr
    assert untouched(roots)


@pytest.mark.parametrize("target", [".", "../certs/.", "/", "a/../..", "loop"])
def test_links_of_roots_are_followed_as_the_kernel_does(sh: Sh, theirs: Path, target: str) -> None:
    (theirs / "a").mkdir()
    (theirs / "loop").symlink_to("loop")
    (theirs / "link").symlink_to(target)
    done = run(sh, 'enter "$1" && pwd -P', theirs / "link" / ".")
    if target == "loop":
        assert b"leads nowhere" in done.stderr
    else:
        assert done.stdout.decode().strip() == os.path.realpath(theirs / "link")


@pytest.mark.parametrize("how", ["directory", "files"])
def test_what_has_another_name_is_not_given(sh: Sh, theirs: Path, roots: Path, how: str) -> None:
    os.link(roots / "shadow", theirs / "x")
    (theirs / "own").write_text("")
    assert run(sh, f'give nobody "$1" {how}', theirs).returncode == 0
    assert untouched(roots)
    assert (theirs / "own").stat().st_uid == NOBODY


UNGUARDED = "guarded() { false; }\n"
"""A kernel from before Linux 3.6."""


def held(theirs: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(theirs.parent)): (path.stat().st_uid, path.stat().st_mode & 0o7777)
        for path in (theirs, *theirs.rglob("*"))
    }


@pytest.mark.parametrize("how", ["directory", "files"])
def test_nor_what_comes_between_the_look_and_the_giving(
    sh: Sh, theirs: Path, roots: Path, how: str
) -> None:
    """The account puts it there at that very moment."""
    inner = theirs / "inner\nand more" if how == "directory" else theirs
    inner.mkdir(exist_ok=True)
    inner.chmod(0o2770)
    os.chown(inner, NOBODY, NOBODY)
    (inner / "own").write_text("")
    (inner / "x").write_text("")
    os.link(roots / "shadow", theirs.parent / "evil")
    real = shutil.which("chown")
    quick = f"setpriv --reuid={NOBODY} --clear-groups mv -f {theirs.parent}/evil '{inner}/x'"
    sh.provide("chown", f'case $* in (-h*/x*) {quick} 2>/dev/null ;; esac\nexec {real} "$@"')
    before = held(theirs)
    done = run(sh, f'{UNGUARDED}give nobody "$1" {how}', theirs)
    assert done.returncode == 0, done.stderr
    assert untouched(roots)
    assert (theirs.parent / "evil").exists()
    after = held(theirs)
    assert {path: mode for path, (_, mode) in after.items() if not path.endswith("x")} == {
        path: mode for path, (_, mode) in before.items() if not path.endswith("x")
    }
    assert {whose for path, (whose, _) in after.items() if not path.endswith("x")} == {NOBODY}


@pytest.mark.parametrize("kernel", ["", UNGUARDED], ids=["guarded", "unguarded"])
def test_what_stays_keeps_its_owner(sh: Sh, theirs: Path, kernel: str) -> None:
    for name in ("a/b/own", "a/kept/x", "top"):
        (theirs / name).parent.mkdir(parents=True, exist_ok=True)
        (theirs / name).write_text("")
    (theirs / "a" / "kept").chmod(0o1777)
    os.chown(theirs, 0, 0)
    script = f'{kernel}give nobody "$1" directory ./a/kept ./a/kept/x ./none'
    done = run(sh, script, theirs)
    assert done.returncode == 0, done.stderr
    owners = {path.removeprefix("certs"): whose for path, (whose, _) in held(theirs).items()}
    assert {path for path, whose in owners.items() if whose == 0} == {"/a/kept", "/a/kept/x"}
    assert held(theirs)["certs/a/kept"] == (0, 0o1777)
    assert {path for path, whose in owners.items() if whose == NOBODY} == {
        *("", "/a", "/a/b", "/a/b/own", "/top"),
    }


def test_what_was_closed_is_opened_again_where_it_fails(sh: Sh, theirs: Path) -> None:
    (theirs / "inner").mkdir()
    theirs.chmod(0o2771)
    before = held(theirs)
    real = shutil.which("find")
    sh.provide("find", f'case "$*" in (*-links*) exit 1 ;; esac; exec {real} "$@"')
    done = run(sh, f'{UNGUARDED}give nobody "$1" files', theirs)
    assert done.returncode == 1
    assert b"Giving" in done.stderr
    assert held(theirs) == before


def test_nothing_is_put_where_there_was_nothing_to_read(sh: Sh, theirs: Path) -> None:
    (theirs / "new").write_text("kept")
    assert run(sh, 'get "$1/missing" | put "$1/new" "" 0600', theirs).returncode == 1
    assert (theirs / "new").read_text() == "kept"
    assert [path.name for path in theirs.iterdir()] == ["new"]


def test_a_link_among_what_is_given_away_is_given_itself(sh: Sh, theirs: Path, roots: Path) -> None:
    (theirs / "x").symlink_to(roots / "shadow")
    (theirs / "own").write_text("")
    (theirs / ".hidden").write_text("")
    for how in ("files", "directory"):
        assert run(sh, f'give nobody "$1" {how}', theirs).returncode == 0
        assert untouched(roots)
        assert (theirs / "own").stat().st_uid == NOBODY
        assert (theirs / ".hidden").stat().st_uid == (0 if how == "files" else NOBODY)


def test_a_link_is_not_read(sh: Sh, theirs: Path, roots: Path) -> None:
    (theirs / "x").symlink_to(roots / "shadow")
    done = run(sh, 'get "$1/x"', theirs)
    assert (done.returncode, done.stdout) == (1, b"")
    (theirs / "y").write_bytes(bytes(range(256)) * 1000)
    assert run(sh, 'get "$1/y"', theirs).stdout == bytes(range(256)) * 1000


def test_keys_are_closed_to_others(sh: Sh, theirs: Path, roots: Path) -> None:
    (theirs / "x").symlink_to(roots / "shadow")
    for name, mode in (("open", 0o644), ("closed", 0o600)):
        (theirs / name).write_text(name)
        (theirs / name).chmod(mode)
        os.chown(theirs / name, NOBODY, NOBODY)
    keys = [theirs / name for name in ("x", "open", "closed", "missing")]
    done = run(sh, 'close_to_others "$@"', *keys)
    assert done.returncode == 0, done.stderr
    assert untouched(roots)
    modes = {name: (theirs / name).stat().st_mode & 0o777 for name in ("open", "closed")}
    assert modes == {"open": 0o640, "closed": 0o600}
    assert (theirs / "open").stat().st_uid == NOBODY
    assert (theirs / "open").read_text() == "open"


def test_an_account_that_is_quick_gains_nothing(sh: Sh, theirs: Path, roots: Path) -> None:
    """It puts a link in the place of whatever it can, all the time."""
    racing = f"""
    cd {theirs} || exit
    while :; do
        for name in new .pe-recert.*; do
            [ "$name" = new ] || mv "$name" gone 2>/dev/null
            ln -sfn {roots} "$name" 2>/dev/null; ln -sf {roots}/shadow new 2>/dev/null
        done
    done
    """
    racer = subprocess.Popen(
        ["setpriv", f"--reuid={NOBODY}", "--clear-groups", "sh", "-c", racing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(15):
            run(sh, 'printf new | put "$1/new" nobody 0644; give nobody "$1" files', theirs)
            assert untouched(roots)
        assert racer.poll() is None, "nobody attacked"
    finally:
        racer.kill()
        racer.wait()


# What was made aside


def put_made(sh: Sh, *words: object) -> subprocess.CompletedProcess[bytes]:
    command = changing("/dev/null/lock", PUTTING, "nobody:nogroup", *map(str, words))
    return sh.run(command.get_raw_value())


@pytest.fixture
def aside(place: Path) -> Path:
    """What Puppet's account was given of what is made aside."""
    directory = place / "aside"
    directory.mkdir(mode=0o755)
    for name in ("ca_key.pem", "ca_crt.pem"):
        (directory / name).write_text(name)
        (directory / name).chmod(0o640)
        os.chown(directory / name, NOBODY, NOBODY)
    os.chown(directory, NOBODY, NOBODY)
    return directory


def test_what_was_made_aside_is_put_where_it_goes_with_owners_and_modes(
    sh: Sh, theirs: Path, aside: Path
) -> None:
    (theirs / "ca_key.pem").write_text("of before")
    os.utime(aside / "ca_crt.pem", (1, 1))
    to = theirs / "ca"
    layers = [aside, theirs, "0755", 1, "ca_key.pem", aside, to / "requests", "0750", 0]
    done = put_made(sh, *layers, aside, to, "0755", 2, "ca_key.pem", "ca_crt.pem")
    assert done.returncode == 0, done.stderr
    assert (theirs / "ca_key.pem").read_text() == "ca_key.pem"
    assert sorted(path.name for path in theirs.iterdir()) == ["ca", "ca_key.pem"]
    assert sorted(path.name for path in to.iterdir()) == ["ca_crt.pem", "ca_key.pem", "requests"]
    for path, mode in ((to / "ca_crt.pem", 0o640), (to / "requests", 0o750)):
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (NOBODY, mode)
    # By that it is told whether a Puppet run was one under the new CA.
    assert (to / "ca_crt.pem").stat().st_mtime > 1
    # Until all of it is in place it is needed again.
    assert sorted(path.name for path in aside.iterdir()) == ["ca_crt.pem", "ca_key.pem"]


@pytest.mark.parametrize("what", ["a link", "root's", "a pipe", "a directory", "gone"])
def test_nothing_is_put_that_is_no_plain_file_of_puppets_account(
    sh: Sh, theirs: Path, roots: Path, aside: Path, what: str
) -> None:
    (aside / "ca_crt.pem").unlink()
    if what == "a link":
        (aside / "ca_crt.pem").symlink_to(roots / "shadow")
    elif what == "root's":
        # As one that another name was given to, where the kernel lets everybody do that.
        os.link(roots / "shadow", aside / "ca_crt.pem")
    elif what == "a pipe":
        os.mkfifo(aside / "ca_crt.pem")
    elif what == "a directory":
        (aside / "ca_crt.pem").mkdir()
    if what in ("a link", "a pipe", "a directory"):
        os.chown(aside / "ca_crt.pem", NOBODY, NOBODY, follow_symlinks=False)
    done = put_made(sh, aside, theirs, "0755", 2, "ca_key.pem", "ca_crt.pem")
    assert done.returncode == 1
    assert b"could not be put into" in done.stderr
    assert [path.name for path in theirs.iterdir()] == []
    assert (roots / "shadow").read_text() == "secret"
    assert (roots / "shadow").stat().st_uid == 0
