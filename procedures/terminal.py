"""What reaches the terminal: whatever a host says is text there, and nothing that it obeys.

pyinfra prints what hosts say in many places, all of them by its logger or by its `echo`. Both are
made harmless here, once, and so is whatever anybody else writes to the standard error: paramiko
logs what a server says before its key is known, and tracebacks hold it. Tables and reports are text
to begin with.

Passwords are no text either: at its most verbose pyinfra logs the data of groups and connections.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

import click
from pyinfra import logger
from pyinfra.api.output import is_output_active, set_echo
from pyinfra.connectors import util
from typing_extensions import override

from recert.harmless import harmless

# pyinfra's own: bold, dim, underlined, a colour that is not black, and back.
_STYLES = re.compile(r"(\x1b\[(?:[0124]|3[1-7]|9[0-7])m)")


def clean(text: str) -> str:
    """`text` without what a terminal would obey, except the styles that pyinfra itself uses."""
    parts = _STYLES.split(text)
    return "".join(part if number % 2 else harmless(part) for number, part in enumerate(parts))


# As Python prints a dictionary's. Of the names in a name the first one counts: with any of them a
# host's line of a megabyte would take the square of that.
_PASSWORDS = re.compile(
    r"""(['"](?:(?!pass(?:word|phrase))\w)*pass(?:word|phrase)\w*['"]: )"""
    r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
)


class _Harmless(logging.Filter):
    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str):
            said = _PASSWORDS.sub(r"\1'***'", record.getMessage())
            record.msg, record.args = clean(said), None
        return True


# What pyinfra shows that it goes on with: a line that the next one replaces.
_PROGRESS = re.compile(r"    [-/|\\] ([^\r]*)\r|\x1b\[K")


class _Text:
    """A stream to a terminal that gets text, whoever writes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        progress = _PROGRESS.fullmatch(text)
        if progress is None or clean(progress[1] or "") != (progress[1] or ""):
            self.stream.write(clean(text))
        else:
            self.stream.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


_harmless = _Harmless()


def _echo(message: Any = None, **options: Any) -> None:
    click.echo(clean(message) if isinstance(message, str) else message, **options)


def _nobody_asks(prompt: str = "", stream: TextIO | None = None) -> str:
    """:raises OSError: always, which fails the host; pyinfra would wait at the terminal."""
    raise OSError(
        f"{clean(prompt).strip(' :')} is wanted, and nobody is asked during a run: give "
        "the one that it takes as _sudo_password in the host's data, or let the account use sudo "
        "without one."
    )


def guard() -> None:
    """Let nothing reach the terminal but text, and nothing ask there. Done once, however often it
    is called."""
    logger.addFilter(_harmless)
    _guard_stderr()
    util.getpass = _nobody_asks
    if is_output_active():
        set_echo(_echo)


def _guard_stderr() -> None:
    # What becomes of a connection pyinfra tells; without a handler of its own, Python would print
    # tracebacks as well.
    paramiko = logging.getLogger("paramiko")
    if not paramiko.handlers:
        paramiko.addHandler(logging.NullHandler())
    if isinstance(sys.stderr, _Text):
        return
    raw = sys.stderr
    sys.stderr = cast(TextIO, _Text(raw))
    # pyinfra's --debug-all has begun to log by now.
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is raw:
            handler.setStream(sys.stderr)
