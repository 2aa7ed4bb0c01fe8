"""SSH to servers of ten years ago, and to logins as people have them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import paramiko
import pytest
from pyinfra.api import Host, StringCommand
from pyinfra.api.command import QuoteString
from pyinfra.api.exceptions import ConnectError

import connectors
from connectors.ssh import WITH_SHA2, Connector, for_any_shell
from facts.host import WhoAndWhen
from operations.step import changing
from tests.unit.ssh_server import USER_KEY, Served, serving, target

assert connectors.ssh
OLD = {"pubkeys": WITH_SHA2}
Reach = Callable[..., Host]


@pytest.fixture
def reach(tmp_path: Path) -> Iterator[Reach]:
    """Connects to a server with an RSA key."""
    with ExitStack() as servers:

        def connected(served: Served, **data: Any) -> Host:
            served.env |= {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
            servers.enter_context(serving(served))
            host = target(served.port, tmp_path, **data)
            host.connect(raise_exceptions=True)
            return host

        yield connected


def run(host: Host, command: StringCommand, **arguments: Any) -> tuple[bool, list[str]]:
    ok, output = host.run_shell_command(command, **arguments)
    return ok, output.output_lines


# What a server knows


def test_pyinfra_takes_this_connector(reach: Reach) -> None:
    assert isinstance(reach(Served(user_key=USER_KEY)).connector, Connector)


def test_a_server_that_knows_sha1_only_gets_that(
    reach: Reach, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "pyinfra"):
        host = reach(Served(user_key=USER_KEY, disabled=OLD))
    assert run(host, StringCommand("echo", "there")) == (True, ["there"])
    (line,) = [m for m in caplog.messages if "SHA-1 only" in m]
    assert "Its SSH server (" in line and "\n" not in line


def test_a_server_of_today_is_told_nothing(reach: Reach, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pyinfra"):
        reach(Served(user_key=USER_KEY, says_signatures=True))
    assert not [m for m in caplog.messages if "SHA-1" in m]


def test_a_server_that_says_what_it_knows_is_believed(reach: Reach) -> None:
    known = {"pubkeys": ["ssh-rsa"]}
    with pytest.raises(ConnectError) as refused:
        reach(Served(user_key=None, says_signatures=True, disabled=known))
    said = str(refused.value)
    assert "SHA-1" not in said
    assert "takes logins publickey, gssapi-with-mic; signatures of keys" in said
    assert "signatures of keys ssh-ed25519" in said and "rsa-sha2-512" in said


@pytest.mark.parametrize(("old", "more"), [(True, ", with SHA-1 as well"), (False, "")])
def test_an_account_that_is_refused_is_told_first_and_no_list_of_ciphers(
    reach: Reach, old: bool, more: str
) -> None:
    with pytest.raises(ConnectError) as refused:
        reach(Served(user_key=None, disabled=OLD if old else {}, says_signatures=not old))
    said = str(refused.value)
    assert said.startswith("The server refuses the account admin: Authentication error (username")
    assert f"{more}. Correct ssh_user, or have that account accept the key. The server, p" in said
    assert "takes logins publickey, gssapi-with-mic" in said
    assert "key exchange" not in said and "ciphers" not in said and "MACs" not in said


def test_whoever_has_chosen_algorithms_is_not_second_guessed(reach: Reach) -> None:
    chosen = {"disabled_algorithms": {"pubkeys": ["ssh-rsa"]}}
    with pytest.raises(ConnectError, match="Authentication error") as refused:
        reach(Served(user_key=USER_KEY, disabled=OLD), ssh_paramiko_connect_kwargs=chosen)
    assert "SHA-1" not in str(refused.value)


def test_a_key_exchange_that_cannot_be_agreed_on_names_what_the_server_offers(
    reach: Reach,
) -> None:
    group1 = "diffie-hellman-group1-sha1"
    every = paramiko.Transport._preferred_kex  # type: ignore[attr-defined]
    mine = {"disabled_algorithms": {"kex": [group1]}}
    with pytest.raises(ConnectError, match=f"key exchange {group1}"):
        reach(
            Served(user_key=USER_KEY, disabled={"kex": [name for name in every if name != group1]}),
            ssh_paramiko_connect_kwargs=mine,
        )


# A sudo that wants a terminal

_SUDO = """#!/bin/sh
(: </dev/tty) 2>/dev/null || { echo 'sudo: sorry, you must have a tty to run sudo' >&2; exit 1; }
while case $1 in (-*) ;; (*) false ;; esac; do shift; done
exec "$@"
"""


@pytest.fixture
def requiretty(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sudo").write_text(_SUDO)
    (tmp_path / "bin/sudo").chmod(0o755)


@pytest.mark.usefixtures("requiretty")
def test_a_sudo_that_wants_a_terminal_gets_one(
    reach: Reach, caplog: pytest.LogCaptureFixture
) -> None:
    host = reach(Served(user_key=USER_KEY), _sudo=True)
    with caplog.at_level(logging.INFO, "pyinfra"):
        for _ in range(2):
            who = host.get_fact(WhoAndWhen)
            assert who is not None and who.clock > 0
    assert len([m for m in caplog.messages if "requiretty" in m]) == 1


@pytest.mark.usefixtures("requiretty")
def test_what_passes_through_the_terminal_is_what_was_sent(reach: Reach, tmp_path: Path) -> None:
    """No echo, no line cut after 4096 characters, and an end, which a terminal does not have."""
    host = reach(Served(user_key=USER_KEY), _sudo=True)
    text = "x" * 100_000 + "\n\t\x03 ü\r\nlast"
    command = changing("/nonexistent", f"given >{tmp_path}/given; printf 'a\\nb\\n'", stdin=text)
    _, output = command.execute(host.state, host, {"_sudo": True})
    assert output.output_lines == ["a", "b"]
    assert (tmp_path / "given").read_bytes().decode() == f"{text}\n"


@pytest.mark.usefixtures("requiretty")
def test_what_is_started_on_the_terminal_does_not_end_with_it(reach: Reach, tmp_path: Path) -> None:
    host = reach(Served(user_key=USER_KEY), _sudo=True)
    done = tmp_path / "done"
    daemon = f"(sleep 0.3; echo >{done}) >/dev/null 2>&1 </dev/null &"
    ok, _ = changing("/nonexistent", daemon).execute(host.state, host, {"_sudo": True})
    assert ok
    for _ in range(100):
        if done.exists():
            break
        run(host, StringCommand("sleep", "0.05"))
    assert done.exists()


def test_a_password_is_not_a_terminal(reach: Reach, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sudo").write_text(
        "#!/bin/sh\necho 'sudo: a terminal is required to read the password' >&2; exit 1\n"
    )
    (tmp_path / "bin/sudo").chmod(0o755)
    served = Served(user_key=USER_KEY)
    host = reach(served, _sudo=True)
    assert not run(host, StringCommand("true"), _sudo=True)[0]
    assert len(served.commands) == 1


# Login shells

_ODD = "a\nb 'it''s' \"$HOME\" !! !x \\ \\\\ \\' ü \x1b * `id` $(id) #"


@pytest.mark.parametrize("shell", ["dash", "bash", "mksh", "ksh93", "yash", "tcsh", "fish"])
def test_every_login_shell_hands_on_what_was_meant(reach: Reach, shell: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed here; the lab has it")
    host = reach(Served(user_key=USER_KEY, shell=[program, "-c"]))
    ok, lines = run(host, StringCommand("printf", "'%s\\n'", QuoteString(_ODD)))
    assert (ok, "\n".join(lines)) == (True, _ODD)
    assert not run(host, StringCommand("exit", "7"))[0]
    assert host.get_fact(WhoAndWhen).clock > 0


def test_functions_that_a_bash_exports_reach_no_script(reach: Reach, tmp_path: Path) -> None:
    """They have the names of programs that a command is begun with, and `sh` is a bash."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").symlink_to(shutil.which("bash") or "bash")
    names = ("printf", "env", "id", "date", "cat", "base64")
    env = {f"BASH_FUNC_{name}%%": "() { echo somebody else; }" for name in names}
    host = reach(Served(user_key=USER_KEY, env=env))
    assert host.get_fact(WhoAndWhen).clock > 0
    assert run(host, changing("/nonexistent", "printf there"))[1][-1] == "there"


def test_a_login_shell_that_is_of_no_use_is_named(
    reach: Reach, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/csh").write_text(
        "#!/bin/sh\n[ \"$2\" != 'echo $SHELL' ] || { echo /bin/csh; exit; }\n"
        "echo 'Word too long.' >&2; exit 1\n"
    )
    (tmp_path / "bin/csh").chmod(0o755)
    host = reach(Served(user_key=USER_KEY, shell=[str(tmp_path / "bin/csh"), "-c"]))
    for _ in range(2):
        assert not run(host, StringCommand("true"))[0]
    (told,) = [m for m in caplog.messages if "/bin/csh, did not read the command" in m]
    assert "chsh -s /bin/sh" in told


@pytest.mark.parametrize(
    "command", ["@echo it's 100%\n", "sh -c true", "ls 'a'", "for %q in (^%) do @(echo 'x')"]
)
def test_other_commands_remain_what_they_are(command: str) -> None:
    assert for_any_shell(command) == command


@pytest.mark.parametrize("greeting", [b"Gr\xfc\xdfe\n", b"\x1b]0;root@web01\x07", b"Welcome\r\n"])
def test_a_login_may_print_what_it_likes(reach: Reach, tmp_path: Path, greeting: bytes) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/login").write_text('#!/bin/sh\ncat "$HOME/greeting"; exec sh "$@"\n')
    (tmp_path / "bin/login").chmod(0o755)
    (tmp_path / "greeting").write_bytes(greeting)
    host = reach(Served(user_key=USER_KEY, shell=[str(tmp_path / "bin/login"), "-c"]))
    assert host.get_fact(WhoAndWhen).clock > 0
