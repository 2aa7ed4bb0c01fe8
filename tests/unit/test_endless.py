"""What has no end, in the place of a file of a service account's, keeps nobody waiting: a pipe in
which nobody writes, a link to what goes on for ever, a file of terabytes.

Where a script looks first whether there is a file, the account can put the other thing there right
afterwards; that moment is made here by a program of the same name as the one that comes next.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from facts.backups import LIVE_SUMS, Backups
from facts.host import Basics
from facts.keys import PUBLIC_HALVES
from facts.public import PUBLIC_CONTENTS
from facts.puppet import PUPPET_PROCESS
from facts.reading import BLOCK, READING, SAME
from facts.script import answer_script, payload, read_records, record_script
from facts.services import SERVICE_FUNCTIONS
from facts.ssl import ComponentDirectory, SslDirectories
from operations.attributes import WITH_ATTRIBUTES
from operations.authority import ca_commands
from operations.authority.commands import WaitingRequest
from operations.backup import MAKE
from operations.placing import PLACING
from operations.puppet_run import RUN
from operations.ssl import PLACED
from operations.step import CHANGE_LIMIT, changing
from recert.deployments.authority import PUPPET_CERT
from recert.extensions import MARK
from tests.unit.issuing_ca import settings
from tests.unit.shell import ME, Sh
from tests.unit.test_limits import released
from tests.unit.test_placing import place, roots, theirs, untouched

__all__ = ["place", "roots", "theirs"]

needs_root = pytest.mark.skipif(os.getuid() != 0, reason="another account is needed")

HUGE = 1 << 40


def change(sh: Sh, script: str, *words: object) -> subprocess.CompletedProcess[bytes]:
    return sh.run(changing("/dev/null/lock", script, *map(str, words)).get_raw_value())


def told(sh: Sh, script: str, *words: object) -> list[list[str]]:
    done = sh.run(record_script(script, *map(str, words)).get_raw_value())
    return list(read_records(done.stdout.decode().splitlines()))


READERS = {
    "contents": (PUBLIC_CONTENTS, 'contents "$1"'),
    "half": (READING + PUBLIC_HALVES, 'half_by_openssl "$1" || :; say half "$half"'),
    "password": (READING + PUBLIC_HALVES, 'say half "$(first_line "$1")"'),
    "same": (READING + SAME, '! same "$1" /etc/passwd || say same'),
    "pid": (PUPPET_PROCESS, 'say pid "$(pid_in "$1")"'),
    "port": (SERVICE_FUNCTIONS, 'say port "$(configured "$0" p)"'),
    "got": (PLACING, 'say got "$(get "$1" 2>/dev/null)"'),
    "got of theirs": (PLACING, 'say got "$(get_theirs "$1" 2>/dev/null)"'),
}


@pytest.mark.parametrize("reader", READERS)
def test_nobody_is_waited_for_who_writes_into_a_pipe(sh: Sh, tmp_path: Path, reader: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    functions, call = READERS[reader]
    with released(pipe) as waited:
        assert told(sh, functions + call.replace("$0", str(pipe)), pipe) is not None
    assert not waited


@pytest.mark.parametrize("reader", READERS)
def test_what_goes_on_for_ever_is_read_as_far_as_a_file_may_go(
    sh: Sh, tmp_path: Path, reader: str
) -> None:
    link = tmp_path / "link"
    link.symlink_to("/dev/zero")
    functions, call = READERS[reader]
    assert told(sh, functions + call.replace("$0", str(link)), link) is not None


def test_what_is_no_pipe_is_read_whole(sh: Sh, tmp_path: Path) -> None:
    text = "".join(f"line {number}\n" for number in range(200_000)).rstrip("\n")
    (tmp_path / "file").write_text(text)
    (tmp_path / "link").symlink_to("file")
    (record,) = told(sh, PUBLIC_CONTENTS + 'contents "$1"; contents "$2"', tmp_path / "link", "/x")
    assert record[2].rstrip("\n") == text
    assert told(sh, READING + SAME + '! same "$1" "$2" || say same', *[tmp_path / "file"] * 2)


def test_of_a_certificate_no_more_is_read_than_there_can_be(sh: Sh, tmp_path: Path) -> None:
    """An account can make as many of them as it likes."""
    long = tmp_path / "long.cert.pem"
    long.write_text("x" * 1_000_000)
    (tmp_path / "newer").touch()
    asked = {"lock": "/x", "roots": [], "texts": [], "keys": [], "capass": "/x"}
    where = {"certificate_dirs": [str(tmp_path)], "cacert": str(tmp_path / "newer")}
    (older,) = sh.ask(SslDirectories, **asked, **where).older_certificates.values()
    copies = [(str(long), str(long))]
    here = {"directory": str(tmp_path), "account": ME, "copies": copies}
    (copy,) = sh.ask(ComponentDirectory, **here).certificates.values()
    assert len(older) == len(copy) == BLOCK


def test_a_pipe_in_the_place_of_the_lock_of_a_run(sh: Sh, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    os.mkfifo(lock)
    sh.provide("puppet", "exit 0")
    with released(lock) as waited:
        assert change(sh, RUN, lock, 1).returncode == 0
    assert not waited
    assert not lock.exists()


@needs_root
def test_a_pipe_in_the_place_of_the_cas_certificate(sh: Sh, theirs: Path) -> None:
    held, pipe, crl = theirs / "ca_crt.pem", theirs / "ca.pem", theirs / "ca_crl.pem"
    held.write_text("a certificate")
    crl.write_text("a list")
    os.mkfifo(pipe)
    with released(pipe) as waited:
        done = change(sh, PLACED, "", crl, theirs / "crl.pem", held, pipe, ME)
    assert not waited
    assert done.returncode == 0, done.stderr
    assert pipe.read_text() == "a certificate"


def test_one_that_comes_into_the_place_of_a_request(sh: Sh, tmp_path: Path) -> None:
    held = tmp_path / "web.pem"
    held.write_text("a request")
    sh.provide("puppet", "exit 0")
    for program in ("cat", "dd"):
        real = shutil.which(program)
        sh.provide(program, f'rm -f {held}; mkfifo {held} 2>/dev/null; exec {real} "$@"')
    digest = hashlib.sha256(b"a request").hexdigest()
    conf = settings()
    typed = ca_commands(PUPPET_CERT).sign(
        type(conf)(**{**vars(conf), "csrdir": str(tmp_path)}),
        [WaitingRequest("web", digest)],
        False,
    )
    with released(held) as waited:
        done = change(sh, typed.script, *typed.arguments)
    assert not waited
    assert b"is not the one that was looked at" in done.stderr


# Terabytes


@pytest.fixture
def ssl(tmp_path: Path) -> Path:
    """With a file that takes no room and has no end worth waiting for."""
    directory = tmp_path / "ssl"
    directory.mkdir()
    (directory / "a.pem").write_text("a")
    with (directory / "zz.pem").open("wb") as file:
        file.truncate(HUGE)
    return directory


def test_a_file_of_terabytes_is_in_no_backup_and_not_read(
    sh: Sh, tmp_path: Path, ssl: Path
) -> None:
    found = sh.ask(Backups, root=str(tmp_path / "backups"), paths=[str(ssl)])
    assert found.unsaved == 2
    script = f'{LIVE_SUMS}live_sums "$1" >{tmp_path}/sums'
    assert change(sh, f'whole() {{ "$@" 3>&2; }}; {script}', ssl).returncode == 0
    sums = (tmp_path / "sums").read_text().splitlines()
    assert [line.partition("  ")[0] for line in sums] == [
        hashlib.sha256(b"a").hexdigest(),
        "too large",
    ]


def test_a_run_that_would_back_it_up_is_refused(sh: Sh, ssl: Path) -> None:
    asked = {"backup_root": "/", "paths": [str(ssl)], "accounts": [], "files": []}
    assert sh.ask(Basics, **asked).oversized == (f"{ssl}/zz.pem",)
    (ssl / "zz.pem").write_bytes(b"x")
    assert sh.ask(Basics, **asked).oversized == ()


@needs_root
def test_and_a_backup_of_it_is_not_begun(sh: Sh, tmp_path: Path, ssl: Path) -> None:
    done = change(sh, MAKE, tmp_path / "backups", "name", ssl)
    assert done.returncode == 1
    assert f"nothing was deleted: {ssl}/zz.pem".encode() in done.stderr
    assert list((tmp_path / "backups").iterdir()) == []


# Time


def test_every_change_has_a_limit() -> None:
    assert changing("/lock", "true").connector_arguments["_timeout"] == CHANGE_LIMIT


@pytest.mark.skipif(shutil.which("timeout") is None, reason="nothing ends a program here")
def test_the_host_ends_what_is_not_waited_for_any_more(sh: Sh, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.mkdir()
    script = f"trap 'echo swept >{tmp_path}/swept' EXIT; trap 'exit 1' TERM; sleep 1000"
    done = sh.run(changing(str(lock), script, limit=1).get_raw_value())
    assert done.returncode == 124
    assert b"It was ended: it took more than 1 s.\n" in done.stderr
    assert b"run the same command again" in done.stderr
    assert sh.run(changing(str(lock), "true").get_raw_value()).returncode == 0


def test_a_program_of_a_question_has_so_much_of_a_processor(sh: Sh) -> None:
    asked = answer_script("ulimit -t")
    assert payload(sh.run(asked.get_raw_value()).stdout.decode().splitlines()) == b"900\n"


# A file that root makes where Puppet's account may write


def with_attributes(sh: Sh, path: Path, text: str, then: str) -> int:
    return change(sh, WITH_ATTRIBUTES + then, path, text).returncode


@needs_root
@pytest.mark.parametrize("to", ["made", "shadow"], ids=["to nowhere", "to a file"])
def test_attributes_are_not_written_through_a_link(
    sh: Sh, theirs: Path, roots: Path, to: str
) -> None:
    path = theirs / "csr_attributes.yaml"
    path.symlink_to(roots / to)
    seen = theirs.parent / "seen"
    look = f'cp "$attributes" {seen}; stat -c "%u %a %F" "$attributes" >{seen}.stat'
    assert with_attributes(sh, path, f"{MARK}\nx\n", look) == 0
    assert seen.read_text() == f"{MARK}\nx\n"
    assert Path(f"{seen}.stat").read_text() == "0 600 regular file\n"
    assert untouched(roots)
    assert list(theirs.iterdir()) == []


@needs_root
def test_attributes_are_removed_behind_no_link(sh: Sh, theirs: Path, roots: Path) -> None:
    ours, path = roots / "shadow", theirs / "csr_attributes.yaml"
    ours.write_text(f"{MARK}\n")
    path.symlink_to(ours)
    assert with_attributes(sh, path, "", ":") == 0
    assert ours.exists() and path.is_symlink()
    path.unlink()
    path.write_text("theirs\n")
    assert with_attributes(sh, path, "", ":") == 0
    assert path.read_text() == "theirs\n"
    path.write_text(f"{MARK}\nof a run that was cut off\n")
    assert with_attributes(sh, path, "", ":") == 0
    assert not path.exists()


@needs_root
def test_a_pipe_in_their_place_is_not_waited_for(sh: Sh, theirs: Path) -> None:
    path = theirs / "csr_attributes.yaml"
    for text in ("", f"{MARK}\n"):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
        with released(path) as waited:
            assert with_attributes(sh, path, text, ":") == 0
        assert not waited


@pytest.mark.parametrize(("limit", "on_the_host"), [(900, 885), (15, 12), (240, 225)])
def test_the_host_has_most_of_the_time(limit: int, on_the_host: int) -> None:
    words = changing("/lock", "script", "argument", limit=limit).bits
    assert str(words[-2]) == str(on_the_host)
