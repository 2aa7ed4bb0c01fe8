"""A password for sudo reaches sudo, and nobody else: no command line, no environment, no log."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Config, Host, Inventory, State, StringCommand

import connectors
from facts.host import WhoAndWhen
from operations.step import changing
from procedures import terminal
from tests.unit.ssh_server import USER_KEY, Served, serving, target

assert connectors.ssh
PASSWORD = "s3cret' \\\"$HOME !! ü"

# As sudo goes about it: it reads a line only if it needs one, byte by byte, and three at most.
_SUDO = r"""#!/bin/sh
cat /proc/$$/cmdline /proc/$PPID/cmdline /proc/$$/environ >>"$HOME/seen"
if [ -e "$HOME/requiretty" ]; then
    (: </dev/tty) 2>/dev/null ||
        { echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1; }
fi
stdin= forget=
while case $1 in (-*) ;; (*) false ;; esac; do
    case $1 in (-S) stdin=yes ;; (-k) forget=yes ;; (-p) shift ;; (-n) stdin= ;; esac
    shift
done
if [ $# = 0 ]; then echo forgotten >>"$HOME/tickets"; exit 0; fi
if [ -e "$HOME/old" ] && [ "$forget" ]; then
    echo 'sudo: Only one of the -e, -h, -i, -k, -K, -l, -s, -v or -V options may be specified' >&2
    exit 1
fi
if [ ! -e "$HOME/nopasswd" ]; then
    if [ ! "$stdin" ]; then echo 'sudo: a password is required' >&2; exit 1; fi
    for tried in 1 2 3; do
        IFS= read -r line || { echo 'sudo: no password was provided' >&2; exit 1; }
        [ "$line" != "$(cat "$HOME/password")" ] || break
        echo 'Sorry, try again.' >&2
        [ $tried != 3 ] || { echo 'sudo: 3 incorrect password attempts' >&2; exit 1; }
    done
fi
exec "$@"
"""

Reach = Callable[..., tuple[Host, Served]]


@pytest.fixture
def reach(tmp_path: Path) -> Iterator[Reach]:
    """Connects to a server with such a sudo, which the files of these names change."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sudo").write_text(_SUDO)
    (tmp_path / "bin/sudo").chmod(0o755)
    (tmp_path / "password").write_text(PASSWORD)
    with ExitStack() as servers:

        def connected(*kind: str, shell: str = "sh", **data: Any) -> tuple[Host, Served]:
            for name in kind:
                (tmp_path / name).touch()
            env = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path), "line": ""}
            served = Served(user_key=USER_KEY, shell=[shell, "-c"], env=env)
            servers.enter_context(serving(served))
            given = {"_sudo": True, "_sudo_password": PASSWORD, **data}
            host = target(served.port, tmp_path, **given)
            host.connect(raise_exceptions=True)
            return host, served

        yield connected


def run(host: Host, command: StringCommand, **more: Any) -> tuple[bool, list[str]]:
    password = host.data._sudo_password
    given = {"_sudo": True, "_sudo_password": password, "_timeout": 10, **more}
    ok, output = command.execute(host.state, host, given)  # type: ignore[arg-type]
    return ok, output.output_lines


KINDS = {
    "asks": (),
    "knows": ("nopasswd",),
    "wants a terminal": ("requiretty",),
    "wants a terminal, knows": ("requiretty", "nopasswd"),
    "of EL 5": ("requiretty", "old"),
    "old": ("old",),
    "old, knows": ("old", "nopasswd"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_gets_what_it_was_given_and_nobody_the_password(
    reach: Reach, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = {*tmp_path.iterdir()}
    with caplog.at_level(logging.DEBUG, "pyinfra"):
        host, served = reach(*KINDS[kind])
        for _ in range(2):
            text = "first\n\n" + "x" * 20_000 + "\nlast"
            ok, lines = run(host, changing("/nonexistent", "given; env", stdin=text))
            assert (ok, "\n".join(lines[:4])) == (True, text)
            assert run(host, StringCommand("exit", "7"))[0] is False
            assert host.get_fact(WhoAndWhen).clock > 0
    seen = (tmp_path / "seen").read_bytes().decode()
    told = [*served.commands, seen, caplog.text, *lines]
    assert "exit 7" in seen
    assert not [text for text in told if "s3cret" in text or "SUDO_PASSWORD" in text]
    left = {path.name for path in {*tmp_path.iterdir()} - before}
    assert left <= {"seen", "tickets", "id_rsa", "known_hosts", *KINDS[kind]}
    assert (tmp_path / "tickets").exists() == ("old" in KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shell", ["dash", "bash", "mksh", "ksh93", "tcsh", "fish"])
def test_every_login_shell_hands_it_on(reach: Reach, kind: str, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed here; the lab has it")
    host, _ = reach(*KINDS[kind], shell=program)
    assert run(host, StringCommand("printf", "'%s\\n'", "a 'b c'")) == (True, ["a", "b c"])


@pytest.mark.parametrize("given", ["one\ntwo\n", ["one", "two"], StringIO("one\ntwo\n")])
def test_input_of_each_kind_follows_the_password(reach: Reach, given: object) -> None:
    host, _ = reach()
    assert run(host, StringCommand("cat"), _stdin=given) == (True, ["one", "two"])


def test_a_command_without_input_has_its_end(reach: Reach) -> None:
    host, _ = reach()
    assert run(host, StringCommand("cat")) == (True, [])
    assert run(host, StringCommand("pwd"), _chdir="/usr") == (True, ["/usr"])
    assert not run(host, StringCommand("pwd"), _chdir="/dev/null")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_password_fails_the_host_and_asks_nobody(
    reach: Reach, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if "nopasswd" in KINDS[kind]:
        pytest.skip("no password is wrong there")
    terminal.guard()
    host, _ = reach(*KINDS[kind], _sudo_password="s3cret?")
    ok, lines = run(host, changing("/nonexistent", "given", stdin="a\nb"))
    assert not ok
    assert "sudo: 3 incorrect password attempts" in lines
    assert "s3cret" not in (tmp_path / "seen").read_bytes().decode()


def test_a_password_of_more_than_a_line_is_refused(reach: Reach) -> None:
    for wrong in ("two\nlines", "x" * 1024):
        host, served = reach(_sudo_password=wrong)
        with pytest.raises(OSError, match="_sudo_password"):
            run(host, StringCommand("true"))
        assert not served.commands


def test_no_other_password_gets_into_a_command_line(reach: Reach) -> None:
    host, served = reach()
    with pytest.raises(OSError, match="_su_password"):
        run(host, StringCommand("true"), _su_user="root", _su_password="s3cret")
    with pytest.raises(OSError, match="_su_password"):
        run(host, StringCommand("true"), _sudo=False, _su_user="root", _su_password="s3cret")
    assert not [command for command in served.commands if "s3cret" in command]


def test_other_connectors_put_none_there_either() -> None:
    state = State(Inventory((["@local"], {})), Config())
    host = state.inventory.get_host("@local")
    with pytest.raises(OSError, match="_sudo_password"):
        host.run_shell_command(StringCommand("true"), _sudo=True, _sudo_password="s3cret")


def test_a_password_to_log_in_by_is_in_no_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, printed_debug: list[str]
) -> None:
    with serving(Served(user_key=USER_KEY)) as served:
        host = target(served.port, tmp_path, ssh_password="s3cret'x")
        host.connect(raise_exceptions=True)
    logging.getLogger("pyinfra").debug(
        "Adding data to group %s: %r", "agents", {"_sudo_password": "s3cret", "ssh_user": "me"}
    )
    shown = "\n".join(printed_debug)
    assert "Connecting to" in shown and "'ssh_user': 'me'" in shown
    assert "s3cret" not in shown


@pytest.fixture
def printed_debug() -> Iterator[list[str]]:
    """What pyinfra logs, as its handlers have it."""
    logger = logging.getLogger("pyinfra")
    filters, level, shown = list(logger.filters), logger.level, list[str]()
    handler = logging.Handler()
    handler.emit = lambda record: shown.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    terminal.guard()
    yield shown
    logger.removeHandler(handler)
    logger.setLevel(level)
    logger.filters[:] = filters
