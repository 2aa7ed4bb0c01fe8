"""A program that fails has not said no, whatever its status is otherwise taken for."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import FactBase

from facts.answers import ServiceAnswers
from facts.credential_files import CredentialFiles
from facts.handshakes import TlsHandshakes
from facts.host import Basics
from facts.orchestration import DiscoveredNodes
from facts.programs import UnablePrograms
from facts.proof import KeyProof
from facts.puppet import PUPPET_PROCESS
from facts.reading import READING, SAME
from facts.script import ScriptFailedError, shell
from facts.services import SERVICE_FUNCTIONS
from facts.ssl import ComponentDirectory, SslDirectories
from facts.tls import _LIMIT, PresentedCertificate
from operations.credentials import COPYING
from operations.services import SERVICE_CHANGES
from operations.ssl import _UNCHANGED
from operations.step import changing
from recert.programs import program_refusals
from tests.unit.issuing_ca import NEW, key_digest, key_pem
from tests.unit.scripts import scripts
from tests.unit.shell import ME, Sh
from tests.unit.test_facts import Tree

LOST = "echo 'error while loading shared libraries' >&2; exit 127"


def refused(sh: Sh, fact: type[FactBase[Any]], **arguments: Any) -> str:
    """Why there is no answer."""
    command = fact().command(**arguments)
    assert not isinstance(command, str)
    done = sh.run(command.get_raw_value())
    with pytest.raises(ScriptFailedError) as error:
        fact().process(done.stdout.decode().splitlines())
    return str(error.value)


def run(
    sh: Sh, script: str, *words: object, lock: str = "/dev/null/lock"
) -> subprocess.CompletedProcess[str]:
    done = sh.run(changing(lock, script, *map(str, words)).get_raw_value())
    decoded = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, *decoded)


# Private keys


@pytest.fixture
def keys(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path / "puppet")
    tree.write("cakey", key_pem("new-ca", b"password"))
    tree.write("capass", "password")
    tree.write("privatekeydir", key_pem("other"), "other.pem")
    tree.write("privatekeydir", "-----BEGIN RSA PRIVATE KEY-----\n", "broken.pem")
    return tree


def in_place_of_ruby(sh: Sh) -> None:
    """What the host's Ruby tells of the keys whose paths it reads, by OpenSSL."""
    sh.provide(
        "ruby",
        "[ $# = 4 ] || exit 0\n"
        "while read -r path; do\n"
        f'half=$({shutil.which("openssl")} rsa -in "$path" -passin env:KEY_PASSWORD -pubout)\n'
        'printf \'%s\\0\' 3 key "$path" "$half"\n'
        "done",
    )


def told_of_keys(sh: Sh, tree: Tree) -> dict[str, str | None]:
    conf = tree.conf
    names = [f"{conf['privatekeydir']}/{name}.pem" for name in ("other", "broken")]
    asked = [conf["cakey"], *names]
    told = sh.ask(SslDirectories, **tree.arguments([], asked)).keys
    found = sh.ask(CredentialFiles, roots=[conf["ssldir"]], capass=conf["capass"])
    assert found.keys == told
    return dict(told)


def expected_of(tree: Tree) -> dict[str, str | None]:
    return {
        tree.conf["cakey"]: key_digest("new-ca"),
        f"{tree.conf['privatekeydir']}/other.pem": key_digest("other"),
        f"{tree.conf['privatekeydir']}/broken.pem": None,
    }


def test_where_openssl_does_not_work_ruby_reads_keys(sh: Sh, keys: Tree) -> None:
    sh.provide("openssl", LOST)
    in_place_of_ruby(sh)
    assert told_of_keys(sh, keys) == expected_of(keys)


def test_what_openssl_alone_cannot_read_is_no_key(sh: Sh, keys: Tree) -> None:
    sh.provide("ruby", LOST)
    assert told_of_keys(sh, keys) == expected_of(keys)


@pytest.mark.parametrize("openssl", [LOST, "exit 1", "exit 0", "echo no key"])
def test_where_neither_works_nobody_says_that_a_key_is_none(
    sh: Sh, keys: Tree, openssl: str
) -> None:
    sh.provide("openssl", openssl)
    sh.provide("ruby", LOST)
    conf = keys.conf
    why = "Neither openssl nor ruby can read a private key."
    assert why in refused(sh, SslDirectories, **keys.arguments([], [conf["cakey"]]))
    assert why in refused(sh, CredentialFiles, roots=[conf["ssldir"]], capass=conf["capass"])
    (found,) = sh.ask(UnablePrograms)
    assert (found.program, found.path) == ("openssl", f"{sh.directory}/openssl")
    assert "cannot read a private key (nor can ruby)" in program_refusals([found])[0]


def test_openssl_that_reads_no_keys_is_nothing_where_ruby_does(sh: Sh) -> None:
    sh.provide("openssl", LOST)
    sh.provide("ruby", f"exec {shutil.which('openssl')} rsa -passin pass: -pubout")
    assert sh.ask(UnablePrograms) == ()


def test_where_openssl_does_not_work_ruby_signs_and_shakes_hands(sh: Sh, tmp_path: Path) -> None:
    key = tmp_path / "private_keys" / "web.pem"
    key.parent.mkdir()
    key.write_text(key_pem("other"))
    sh.provide("openssl", LOST)
    sh.provide("ruby", "printf signed")
    asked: dict[str, Any] = {"words": "words", "key": str(key), "backup_root": "/nonexistent"}
    assert sh.ask(KeyProof, **asked) == [b"signed"]
    assert sh.ask(PresentedCertificate, addresses=["127.0.0.1"], port=1) == "signed"


def test_ruby_that_fails_does_not_say_that_nobody_answers(sh: Sh) -> None:
    sh.provide("ruby", LOST)
    asked: dict[str, Any] = {"addresses": [], "called": "a", "services": [], "patience": 1}
    assert "Ruby could not ask" in refused(sh, ServiceAnswers, **asked)
    tried: dict[str, Any] = {"addresses": [], "services": [], "current": ("a", "b")}
    assert "Ruby could not try" in refused(sh, TlsHandshakes, **tried, retired=None)


# What is compared


def test_what_could_not_be_compared_does_not_differ(sh: Sh, tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "a" / "copy"
    copy.parent.mkdir()
    for path in (source, copy):
        path.write_text(NEW.pem)
    asked: dict[str, Any] = {"directory": str(copy.parent), "account": ME}
    copies = [(str(copy), str(source))]
    assert sh.ask(ComponentDirectory, **asked, copies=copies).same == {str(copy)}
    copy.write_text(f"{NEW.pem}\n")
    assert sh.ask(ComponentDirectory, **asked, copies=copies).same == set()
    dd = shutil.which("dd")
    sh.provide("dd", LOST)
    assert "cannot be read." in refused(sh, ComponentDirectory, **asked, copies=copies)
    sh.provide("dd", f'exec {dd} "$@"')
    sh.provide("sha256sum", LOST)
    words = [copy.parent, ME, "later", "", 1, source, copy, "0644"]
    done = run(sh, COPYING.replace('place "$1" "$2"', ': "$1" "$2"'), *words)
    assert done.returncode == 1
    assert f"{source} and {copy} cannot be compared." in done.stderr
    assert "differs" not in done.stderr


def test_what_is_gone_is_not_the_same(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("a")
    script = READING + SAME + 'same "$1" "$2" || echo "no $?"'
    done = run(sh, script, tmp_path / "there", tmp_path / "gone")
    assert "no 1" in done.stdout
    assert done.returncode == 0


def test_nothing_is_compared_in_another_way() -> None:
    """Where `cmp` would wait for whoever writes into a pipe."""
    assert [script.place for script in scripts() if re.search(r"\bcmp ", script.text)] == []


# What is in a preflight


@pytest.mark.parametrize("program", ["date", "df", "du", "mktemp", "awk", "id"])
@pytest.mark.parametrize("does", [LOST, "echo '%s'"])
def test_a_program_is_really_run(sh: Sh, program: str, does: str) -> None:
    sh.provide(program, does)
    found = {one.program: one for one in sh.ask(UnablePrograms)}
    assert found[program].path == f"{sh.directory}/{program}"
    assert found.keys() == {program} | ({"df"} if program == "awk" else set())


def test_a_place_for_temporary_files_that_is_none_is_told(sh: Sh) -> None:
    sh.env = {"TMPDIR": "/nonexistent/place"}
    (found,) = sh.ask(UnablePrograms)
    (refusal,) = program_refusals([found])
    assert found.program == "mktemp"
    assert "/nonexistent/place" in refusal
    assert "Let TMPDIR, in the environment of the login, name a directory" in refusal
    assert "Install" not in refusal


@pytest.mark.parametrize(
    "line",
    [
        "/dev/sda1 100 40 60 40% /",
        "//server/my share 100 40 60 40% /mnt",
        "/dev/sda1 100 40 60 40% /the backups 50% full",
        "none 60 0 60 - /",
    ],
)
def test_room_is_read_beside_blanks(sh: Sh, line: str) -> None:
    head = "Filesystem 1024-blocks Used Available Capacity Mounted on"
    sh.provide("df", f"echo '{head}'; echo '{line}'")
    asked: dict[str, Any] = {"backup_root": "/", "paths": [], "accounts": [], "files": []}
    assert sh.ask(Basics, **asked).free == 60


# flock and timeout

REAL = shutil.which("flock")
WITHOUT_W = "case \" $* \" in (*' -w '*) echo 'unknown option -- w' >&2; exit 1 ;; esac"


@pytest.mark.parametrize("flock", [LOST, WITHOUT_W])
def test_a_flock_that_can_lock_nothing_is_as_good_as_none(
    sh: Sh, keys: Tree, tmp_path: Path, flock: str
) -> None:
    sh.provide("flock", flock)
    done = run(sh, "echo done; exit 3", lock=str(tmp_path / "lock"))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (3, "done")
    assert keys.read(sh).files


@pytest.mark.skipif(REAL is None, reason="flock is not installed here")
@pytest.mark.parametrize(
    ("status", "said"),
    [(1, "still works on this host after 5 minutes"), (71, "flock ended with status 71")],
)
def test_a_lock_that_is_not_had_ends_a_change_and_a_look(
    sh: Sh, keys: Tree, tmp_path: Path, status: int, said: str
) -> None:
    sh.provide("flock", f'case $* in (*300*) exit {status} ;; esac\nexec {REAL} "$@"')
    done = run(sh, "echo done", lock=str(tmp_path / "lock"))
    assert done.returncode == 1
    assert said in done.stderr
    assert "done" not in done.stdout
    assert said in refused(sh, SslDirectories, **keys.arguments([], []))


@pytest.mark.skipif(REAL is None, reason="flock is not installed here")
def test_what_a_change_leaves_behind_does_not_hold_the_lock(sh: Sh, tmp_path: Path) -> None:
    """Nor is a look kept out by one that looks as well."""
    script = "sleep 60 >/dev/null 2>&1 & echo $!"
    lock = tmp_path / "lock"
    left = run(sh, script, lock=str(lock)).stdout.splitlines()[-1]
    try:
        assert subprocess.run([REAL or "", "-n", str(lock), "true"], check=False).returncode == 0
    finally:
        subprocess.run(["kill", left], check=True)


OLD_TIMEOUT = '[ "$1" = -t ] || { echo "cannot run $1" >&2; exit 127; }\nshift 2; exec "$@"'


@pytest.mark.parametrize("timeout", [LOST, OLD_TIMEOUT])
def test_a_timeout_of_another_syntax_is_as_good_as_none(sh: Sh, timeout: str) -> None:
    show = 'echo "limit=$limit."'
    for script in (_LIMIT, SERVICE_CHANGES):
        assert "limit=timeout " in run(sh, script + show, "").stdout
    sh.provide("timeout", timeout)
    for script in (_LIMIT, SERVICE_CHANGES):
        assert "limit=." in run(sh, script + show, "").stdout
    sh.provide("mco", "echo web01.example.com")
    sh.provide("id", "exit 0")
    sh.provide("su", 'exec sh -c "$4"')
    assert sh.ask(DiscoveredNodes, discovery=1).answering == {"web01.example.com"}


# Others

FAIL = 'fail() { echo "$*"; exit 9; }\n'


def verdict(sh: Sh, script: str, *words: str) -> str:
    done = sh.run(shell(FAIL + script, *words).get_raw_value())
    return done.stdout.decode() if done.returncode == 9 else f"ended with {done.returncode}"


def test_a_process_is_not_somebody_elses_because_tr_fails(sh: Sh) -> None:
    script = PUPPET_PROCESS + 'puppet_process "$$"'  # by what is in this script, it is Puppet's
    assert verdict(sh, script) == "ended with 0"
    # What an account calls a process of its own is none of Puppet's.
    sh.provide("stat", "echo 65534")
    assert verdict(sh, script) == "ended with 1"
    sh.provide("tr", LOST)
    assert "Nobody knows what process" in verdict(sh, script)
    assert verdict(sh, PUPPET_PROCESS + "puppet_process 999999999") == "ended with 1"


def test_a_service_is_not_down_because_nobody_can_tell(sh: Sh) -> None:
    listens = SERVICE_FUNCTIONS + "listened_to 0"
    by_upstart = SERVICE_FUNCTIONS + "unit_runs() { return 1; }; upstart_job() { :; }; running a"
    sh.provide("initctl", "echo 'initctl: Unknown job: a' >&2; exit 1")
    for script in (listens, by_upstart):
        assert verdict(sh, script, "") == "ended with 1"
    for program in ("awk", "initctl"):
        sh.provide(program, LOST)
    assert "awk cannot tell" in verdict(sh, listens, "")
    assert "initctl cannot tell of a" in verdict(sh, by_upstart, "")


def test_a_ca_is_not_gone_because_stat_fails(sh: Sh, tmp_path: Path) -> None:
    cacert = tmp_path / "ca_crt.pem"
    assert verdict(sh, _UNCHANGED, str(cacert), "") == "ended with 0"
    cacert.write_text(NEW.pem)
    assert "another run works" in verdict(sh, _UNCHANGED, str(cacert), "")
    sh.provide("stat", LOST)
    assert "Nobody knows whether" in verdict(sh, _UNCHANGED, str(cacert), "")


@pytest.mark.parametrize(("status", "runs"), [(1, True), (127, False)])
def test_no_flags_are_not_those_that_nobody_can_tell(sh: Sh, status: int, runs: bool) -> None:
    sh.provide("lsattr", f"exit {status}")
    asked: dict[str, Any] = {"backup_root": "/", "paths": [], "accounts": [], "files": []}
    if runs:
        assert sh.ask(Basics, **asked).unchangeable == ()
    else:
        assert "lsattr is there and does not run" in refused(sh, Basics, **asked)
