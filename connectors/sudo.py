"""A password for sudo, on the standard input of the command that asks for it.

pyinfra's way puts it into the command line, where each account of the host reads it. sudo takes a
line of what it reads, but only if it wants a password: with `NOPASSWD` or a ticket it does not. So
whatever it leaves is read before the command's own input.

Nothing of it is in a file, as a program for `sudo -A` would be, and nothing is left if the
connection is lost.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from pyinfra.api import Host, QuoteString, StringCommand
from pyinfra.connectors import util

_BLOCK = 1024
"""Bytes in which a password is sent, that its length is not told; sudo itself takes 255."""

_OWN_INPUT = "pe-recert, what the command reads"

# In a shell of its own, which takes the line with it. A shell reads no byte more than a line.
_SKIP = f"(while IFS= read -r line || exit; do [ \"$line\" != '{_OWN_INPUT}' ] || exit 0; done) && "

# sudo throws away what is typed ahead on a terminal, so it gets a pipe, which dd fills with the
# block and no byte more. The command waits for dd, and reads from the terminal after it.
_PIPED = f'sh -c "exec dd bs=1 count={_BLOCK} 2>/dev/null" |'
_SKIP_PIPED = "cat >/dev/null && exec <&1 && "

_PASSWORD_WANTED = "sudo: sorry, a password is required to run sudo"
"""As sudo 1.7 asks for a password; pyinfra knows how later ones do."""

# Before 1.7.3 -k forgets, and does nothing else.
_FORGETS_ALONE = re.compile(r"^sudo: Only one of the .*-k, ")


def install() -> None:
    """No connector puts a password into a command line: who cannot help it fails its host."""
    known = util.SUDO_PASSWORD_REQUIRED_LINES
    for name, value in (
        ("SUDO_PASSWORD_REQUIRED_LINES", (*known, _PASSWORD_WANTED)),
        ("_ensure_sudo_askpass_set_for_host", _no_sudo_password),
        ("_ensure_su_askpass_set_for_host", _no_su_password),
    ):
        setattr(util, name, value)


def _no_sudo_password(host: Host, **_: Any) -> NoReturn:
    raise OSError(
        f"_sudo_password of {host.name} would be in a command line there, which each account reads:"
        " reach the host by SSH, or let the account use sudo without one"
    )


def _no_su_password(host: Host, **_: Any) -> NoReturn:
    raise OSError(
        f"_su_password of {host.name} would be in a command line there, which each account reads: "
        "use sudo, or log in as that user"
    )


def forgets_alone(line: str) -> bool:
    """Whether a sudo says that it cannot run a command without remembering the password."""
    return bool(_FORGETS_ALONE.match(line))


def with_password(
    host: Host,
    command: StringCommand,
    arguments: dict[str, Any],
    on_terminal: bool,
    forget_after: bool,
) -> tuple[StringCommand, dict[str, Any]]:
    """`command` for a sudo that may want `_sudo_password`, with what is left of the arguments.

    :param arguments: pyinfra's; a `_stdin` is lines, or one.
    :param on_terminal: whether it is going to have a terminal.
    :param forget_after: whether sudo has to be told afterwards to forget the password.
    :raises OSError: the password cannot be given so.
    """
    how = dict(arguments)
    given: dict[str, Any] = dict(util.extract_control_arguments(how))  # type: ignore[arg-type]
    block = _block(host, str(how.pop("_sudo_password")))
    skip = _SKIP_PIPED if on_terminal else _SKIP
    wrapped = util.make_unix_command_for_host(
        host.state, host, StringCommand(skip, command, _separator=""), **how
    )
    bits = list(wrapped.bits)
    at = bits.index("sudo")
    bits[bits.index("-n", at)] = "-S -p ''" if forget_after else "-S -k -p ''"
    if on_terminal:
        bits.insert(0, _PIPED)
    asking = StringCommand(*bits)
    if forget_after:
        script = StringCommand(asking, "; status=$?; sudo -k; exit $status", _separator="")
        asking = StringCommand("sh", "-c", QuoteString(script))
    before = [block] if on_terminal else [block, _OWN_INPUT]
    given["_stdin"] = [*before, *_lines(given.get("_stdin"))]
    given["_shell_executable"] = None  # it has its shell
    return asking, given


def _block(host: Host, password: str) -> str:
    room = _BLOCK - len(password.encode())
    if room < 1 or "\n" in password:
        raise OSError(f"_sudo_password of {host.name} is not a line of less than {_BLOCK} bytes")
    return password + "\n" * room


def _lines(stdin: Any) -> list[str]:
    if not stdin:
        return []
    return list(stdin) if isinstance(stdin, (list, tuple)) else [stdin]
