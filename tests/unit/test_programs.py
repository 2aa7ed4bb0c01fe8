"""Programs that cannot do what is needed, or fail in the midst of it: no answer is better than
another one."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import FactBase
from pyinfra.api.exceptions import FactProcessError

from facts.backups import ArchivedCertificates, Backups
from facts.configuration import BothConfigurations
from facts.credential_files import CredentialFiles
from facts.host import Basics, HostBasics
from facts.programs import UnablePrograms
from facts.puppet import PuppetAgent
from facts.script import DIGESTS, ScriptFailedError, shell
from facts.signing import AutosignSetting, CaInventory
from facts.ssl import ComponentDirectory, PemFiles, SslDirectories
from operations.step import changing
from recert.programs import ABILITIES, Inability, program_refusals
from tests.unit.issuing_ca import NEW, key_pem
from tests.unit.scripts import ROOT, scripts, tokens
from tests.unit.shell import ME, Sh
from tests.unit.test_facts import FIRST, Store, Tree

BUSYBOX = shutil.which("busybox")


@pytest.fixture(scope="module")
def dash(tmp_path_factory: pytest.TempPathFactory) -> Sh:
    directory = tmp_path_factory.mktemp("bin")
    (directory / "sh").symlink_to(shutil.which("dash") or "dash")
    return Sh(directory)


def test_gnus_programs_can_do_all(sh: Sh) -> None:
    assert sh.ask(UnablePrograms) == ()


@pytest.mark.parametrize("program", ABILITIES)
def test_a_program_that_is_missing_is_told(dash: Sh, tmp_path: Path, program: str) -> None:
    if program == "sha256sum":
        pytest.skip("openssl does its work")
    if program == "openssl" and shutil.which("ruby"):
        pytest.skip("Ruby does its work")
    every = tmp_path / "bin"
    every.mkdir()
    for folder in ("/bin", "/usr/bin", str(dash.directory)):
        for path in Path(folder).iterdir():
            if path.name != program and not (every / path.name).exists():
                (every / path.name).symlink_to(path)
    command = UnablePrograms().command().get_raw_value()
    alone = re.sub(r'"[^"]*:\$PATH:/usr/local/bin:/usr/sbin:/sbin"', str(every), command)
    assert alone != command
    output = dash.run(alone).stdout.decode().splitlines()
    unable = {found.program: found.path for found in UnablePrograms().process(output)}
    assert unable[program] == ""
    assert (
        f"The program {program} is not installed"
        in program_refusals([Inability(program, "", "")]).pop()
    )


@pytest.mark.parametrize(
    ("program", "rejects"),
    [
        ("find", "-printf"),
        ("find", "-perm"),
        ("xargs", "-0"),
        ("xargs", "-r"),
        ("grep", "-lZe"),
        ("grep", "-D"),
        ("sort", "-zu"),
        ("tar", "--null"),
        ("tar", "-df"),
        ("comm", "-23"),
        ("readlink", "-f"),
        ("dd", "iflag=nofollow"),
    ],
)
def test_a_program_is_asked_what_it_can_do(sh: Sh, program: str, rejects: str) -> None:
    real = shutil.which(program)
    short = rejects[:2] if rejects == "-df" else rejects
    sh.provide(
        program,
        f"case \" $* \" in (*' {short}'*) echo 'unknown option {rejects}' >&2; exit 1 ;; esac\n"
        f'exec {real} "$@"',
    )
    (found,) = sh.ask(UnablePrograms)
    assert (found.program, found.path) == (program, f"{sh.directory}/{program}")
    (refusal,) = program_refusals([found])
    ability = ABILITIES[program]
    assert f"{found.path}, the first {program} on the PATH, cannot {ability.what}." in refusal
    assert f"It said: unknown option {rejects}" in refusal
    assert f"Install {ability.package} ({ability.since} or later)" in refusal


@pytest.mark.skipif(BUSYBOX is None, reason="busybox is not installed here; the lab has it")
def test_what_busybox_cannot_do(dash: Sh, tmp_path: Path) -> None:
    names = set(ABILITIES) - {"comm", "openssl"}  # not in every busybox
    for name in names:
        (dash.directory / name).symlink_to(BUSYBOX or "")
    try:
        unable = {found.program for found in dash.ask(UnablePrograms)}
    finally:
        for name in names:
            (dash.directory / name).unlink()
    assert unable == {"dd", "find", "grep", "tar"}


class Host:
    """Files for every fact that reads any, and what each is asked."""

    def __init__(self, place: Path, sh: Sh) -> None:
        tree = Tree(place / "conf")
        for name in ("one", "two"):
            tree.write("signeddir", NEW.issue(name, 5), f"{name}.pem")
        tree.write("signeddir", NEW.issue("keyed", 6) + key_pem("keyed"), "keyed.pem")
        tree.write("cacert", NEW.pem)
        tree.write("cakey", key_pem("new-ca"))
        tree.write("capass", "")
        autosign = place / "autosign.conf"
        autosign.write_text("*.example.com\n")
        store = Store(place / "store", sh)
        backup = store.backup(FIRST)
        conf = tree.conf
        live = str(store.live)
        self.questions: dict[type[FactBase[Any]], dict[str, Any]] = {
            SslDirectories: tree.arguments([conf["cacert"]], [conf["cakey"]]),
            PemFiles: {"directory": conf["signeddir"]},
            ComponentDirectory: {
                "directory": conf["signeddir"],
                "account": ME,
                "copies": [(conf["cacert"], conf["cacert"])],
            },
            CredentialFiles: {"roots": [conf["ssldir"]], "capass": "/", "backups": [str(backup)]},
            Backups: {"root": str(store.root), "paths": [live]},
            ArchivedCertificates: {
                "archive": f"{backup}/archive.tar",
                "directory": live.removeprefix("/"),
            },
            BothConfigurations: {"archive": f"{backup}/archive.tar", "path": f"{live}/one"},
            PuppetAgent: {
                "summary": str(autosign),
                "catalog": str(autosign),
                "disabled": str(autosign),
                "lockfile": "/nowhere",
            },
            AutosignSetting: {"autosign": str(autosign)},
            CaInventory: {"path": str(autosign)},
            Basics: {
                "backup_root": str(place),
                "paths": [live],
                "accounts": [ME],
                "files": [],
                "links": [str(place)],
            },
        }


@pytest.fixture(scope="module")
def host(dash: Sh, tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host(tmp_path_factory.mktemp("host"), dash)


def test_without_sha256sum_openssl_computes_the_same(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "a b'c").write_text("content")
    script = (
        DIGESTS + 'digests "$1"; digests <"$1"; digests "$1/missing" 2>/dev/null || echo failed'
    )
    alone = shell(script, str(tmp_path / "a b'c")).get_raw_value()
    real = sh.run(alone).stdout
    hidden = alone.replace("command -v sha256sum", "command -v no-such-program")
    assert hidden != alone
    assert sh.run(hidden).stdout == real
    assert real.endswith(b"failed\n")


PROGRAMS = [
    *("find", "xargs", "grep", "sort", "tar", "gzip", "comm", "sha256sum", "sed", "tr", "awk"),
    *("cut", "cat", "df", "du", "base64", "readlink"),
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_fails_makes_no_other_answer(dash: Sh, host: Host, program: str) -> None:
    """Whoever asks is told of it, or it was not needed."""
    answers = {fact: dash.ask(fact, **asked) for fact, asked in host.questions.items()}
    dash.provide(program, "echo 'it is broken' >&2; exit 2")
    wrong = []
    try:
        for fact, arguments in host.questions.items():
            command = fact().command(**arguments)
            assert not isinstance(command, str)
            output = dash.run(command.get_raw_value())
            try:
                answer = fact().process(output.stdout.decode().splitlines())
            except ScriptFailedError as error:
                assert "it is broken" in str(error) or "a program that it needs" in str(error)
            except FactProcessError:
                pass
            else:
                if _lasting(answer) != _lasting(answers[fact]):
                    wrong.append(fact.__name__)
    finally:
        (dash.directory / program).unlink()
    assert wrong == []


def test_a_search_for_what_cannot_be_changed_that_fails_is_no_answer(
    sh: Sh, tmp_path: Path
) -> None:
    sh.provide(
        "find",
        "case $1,$* in (/,*) ;; (*,*' -writable'*) echo 'it is broken' >&2; exit 1 ;; esac\n"
        f'exec {shutil.which("find")} "$@"',
    )
    command = Basics().command("/", [], [], [], [str(tmp_path)], []).get_raw_value()
    output = sh.run(command).stdout.decode().splitlines()
    with pytest.raises(ScriptFailedError, match="it is broken"):
        Basics().process(output)


STRANGE = {
    "POSIXLY_CORRECT": "1",
    "GREP_OPTIONS": "--color=always -v",
    "GREP_COLOR": "1",
    "TAR_OPTIONS": "--exclude=* --totals",
    "GZIP": "-v",
    "CDPATH": "/tmp:/",
    "ENV": "/nonexistent/env",
    "BASH_ENV": "/nonexistent/bash_env",
    "IFS": "/abcdefghijklmnopqrstuvwxyz",
    "DF_BLOCK_SIZE": "1M",
    "DU_BLOCK_SIZE": "1M",
    "RUBYOPT": "-rnone",
    "RUBYLIB": "/nonexistent",
    "GEM_HOME": "/nonexistent",
    "OPENSSL_CONF": "/nonexistent",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "C.UTF-8",
    "LD_LIBRARY_PATH": "/nonexistent",
    "BASH_FUNC_grep%%": "() { echo grep; }",
    "BASH_FUNC_cd%%": "() { echo cd; }",
    "BASH_FUNC_printf%%": "() { echo printf; }",
    "_JAVA_OPTIONS": "-showversion",
}


def test_nothing_that_a_session_brings_along_changes_an_answer(sh: Sh, host: Host) -> None:
    before = {fact: sh.ask(fact, **asked) for fact, asked in host.questions.items()}
    sh.env = STRANGE
    after = {fact: sh.ask(fact, **asked) for fact, asked in host.questions.items()}
    assert list(map(_lasting, after.values())) == list(map(_lasting, before.values()))
    assert sh.ask(UnablePrograms) == ()


def test_nothing_that_a_session_brings_along_reaches_a_change(sh: Sh) -> None:
    sh.env = {**STRANGE, "TZ": "UTC+3", "TMPDIR": "/var/tmp"}
    done = sh.run(changing("/nonexistent", "env; cd /etc && pwd").get_raw_value())
    said = done.stdout.decode().splitlines()
    names = {line.partition("=")[0] for line in said if "=" in line}
    assert names - {"_", "SHLVL", "PWD", "OLDPWD"} == {"HOME", "PATH", "TZ", "TMPDIR"}
    assert {"TZ=UTC+3", "TMPDIR=/var/tmp"} <= set(said)
    assert (said[-1], done.stderr) == ("/etc", b"")


def test_nothing_is_run_from_where_one_happens_to_be(sh: Sh) -> None:
    sh.env = {"PATH": f".::{sh.directory}:bin:/usr/bin:/bin:"}
    said = sh.run(changing("/nonexistent", 'echo "$PATH"').get_raw_value()).stdout.decode()
    path = said.splitlines()[-1].split(":")
    assert {str(sh.directory), "/usr/bin", "/bin"} <= set(path)
    assert [part for part in path if not part.startswith("/")] == []


def _lasting(answer: Any) -> Any:
    """Without what changes from one moment to the next."""
    return replace(answer, free=0) if isinstance(answer, HostBasics) else answer


# The documentation


def documented() -> dict[str, tuple[str, str]]:
    """Since when a program has what is asked of it, and whether it is put to the test."""
    found: dict[str, tuple[str, str]] = {}
    for line in (ROOT / "docs/hosts.md").read_text().splitlines():
        if line.startswith("| `"):
            programs, _, since, tested = (cell.strip() for cell in line.strip("|").split(" | "))
            found |= dict.fromkeys(re.findall(r"`([^`]+)`", programs), (since, tested))
    return found


def test_what_is_put_to_the_test_is_documented() -> None:
    tested = {program: since for program, (since, how) in documented().items() if how == "yes"}
    assert tested == {name: f"{a.package} {a.since}" for name, a in ABILITIES.items()}


BUILT_IN = {
    ":",
    "[",
    "break",
    "cd",
    "command",
    "continue",
    "echo",
    "eval",
    "exec",
    "exit",
    "export",
}
BUILT_IN |= {"kill", "read", "return", "set", "shift", "trap", "true", "ulimit", "umask", "wait"}
BUILT_IN |= {"sh"}
RESERVED = {"case", "do", "done", "elif", "else", "esac", "fi", "for", "if", "then", "until"}
RESERVED |= {"while", "{", "}", "!", "in", "stage", "whole"}


def programs_of(script: str) -> set[str]:
    """The words of a script that are in the place of a command."""
    read = [token for token in tokens(script) if token.kind != "comment"]
    found, defined, begins, pattern, before = set(), {"digests"}, True, False, ""
    for last, token, after in zip(read, read[1:], read[2:], strict=False):
        before = before if last.kind == "line" else last.text
        if token.kind != "word":
            if token.text == "(" and before in ("in", ";;"):
                pattern = True
            begins = not pattern and token.text not in ("<", ">", ">>", "<&", ">&", "<<")
            pattern = pattern and token.text != ")"
            begins = begins or (token.text == ")" and not pattern)
            continue
        if after.text == "(":
            defined.add(token.text)
        elif begins and token.text not in RESERVED and not _NO_PROGRAM.match(token.text):
            found.add(token.text)
        goes_on = token.text in RESERVED - {"case", "for", "in"} or "=" in token.text
        begins = begins and goes_on
    return found - defined - BUILT_IN


_NO_PROGRAM = re.compile(r"[$\"'/]|\w+=|\d$")


def test_programs_are_found_wherever_they_are_called() -> None:
    script = """
get() {
    (cd "$1" && dd if=y) && return
}
case $1 in
    (a|b) foo | stage bar ;;
    (c)
        (baz) ;;
esac
"""
    assert programs_of(script) == {"dd", "foo", "bar", "baz"}


def test_every_program_that_a_script_calls_is_documented() -> None:
    called = set().union(*(programs_of(script.text) for script in scripts()))
    assert {"find", "sed", "openssl", "systemctl", "puppet"} <= called
    assert called - documented().keys() == set()
