"""Files and directories that go while a host is looked at, as below the vardir of a Puppet run."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import FactBase
from pyinfra.api.exceptions import FactProcessError

from facts.backups import Backups
from facts.credential_files import CredentialFiles
from facts.host import Basics, HostBasics
from facts.others import StrayCredentials
from facts.script import PIPELINES, ScriptFailedError
from facts.ssl import PemFiles, SslDirectories
from tests.unit.shell import Sh


def looks(root: str) -> dict[str, tuple[type[FactBase[Any]], dict[str, Any]]]:
    """What looks through directories of a service's account."""
    basics = {"backup_root": f"{root}/backups", "paths": [root], "accounts": [], "files": []}
    ssl = {"lock": f"{root}/lock", "roots": [root], "texts": [], "keys": [], "capass": "/none"}
    return {
        "backups": (Backups, {"root": f"{root}/backups", "paths": [root]}),
        "credentials": (CredentialFiles, {"roots": [root], "capass": "/none"}),
        "basics": (Basics, {**basics, "links": [root]}),
        "others": (StrayCredentials, {"roots": [root], "own": [], "queues": []}),
        "ssl": (SslDirectories, {**ssl, "certificate_dirs": [root], "cacert": f"{root}/a.pem"}),
        "requests": (PemFiles, {"directory": root, "most": 10}),
    }


def find_complains(sh: Sh, of_what: str, status: int = 1) -> None:
    """As GNU find does of a directory, with `-ignore_readdir_race` as well; of nothing if that is
    empty."""
    find = shutil.which("find")
    told = f"echo \"find: '/gone': {of_what}\" >&2\n" if of_what else ""
    itself = f'case "$*" in (*"-maxdepth 0"*) exec {find} "$@" ;; esac'
    sh.provide("find", f'{itself}\n{find} "$@"\n{told}exit {status}')


@pytest.mark.parametrize("which", looks(""))
def test_what_goes_meanwhile_is_no_failure(sh: Sh, tmp_path: Path, which: str) -> None:
    (tmp_path / "a.pem").write_text("a")
    fact, arguments = looks(str(tmp_path))[which]
    if which in ("basics", "others"):
        said = r"printf '1\000looked\000'" if which == "others" else ":"
        sh.provide("ruby", f"cat >/dev/null; {said}")
    before = sh.ask(fact, **arguments)
    find_complains(sh, "No such file or directory")
    after = sh.ask(fact, **arguments)
    if isinstance(before, HostBasics):  # there may be less room
        before = replace(before, free=after.free)
    assert after == before


@pytest.mark.parametrize(
    ("of_what", "status"),
    [("Permission denied", 1), ("No such file or directory", 137), ("", 1), ("", 137)],
)
@pytest.mark.parametrize("which", looks(""))
def test_what_was_not_looked_at_is_one(
    sh: Sh, tmp_path: Path, which: str, of_what: str, status: int
) -> None:
    (tmp_path / "a.pem").write_text("a")
    fact, arguments = looks(str(tmp_path))[which]
    find_complains(sh, of_what, status)
    with pytest.raises((ScriptFailedError, FactProcessError)):
        sh.ask(fact, **arguments)


def test_what_find_prints_arrives_as_it_is(sh: Sh, tmp_path: Path) -> None:
    for name in ("plain", "with\nline", " blank "):
        (tmp_path / name).touch()
    found = sh.run(f"{PIPELINES}find_lasting '{tmp_path}' -type f -print0; echo $?").stdout
    assert set(found.split(b"\0")) == {
        *(f"{tmp_path}/{name}".encode() for name in ("plain", "with\nline", " blank ")),
        b"0\n",
    }
