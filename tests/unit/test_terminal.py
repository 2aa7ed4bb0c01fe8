"""What hosts say is text at the terminal, on whichever way it gets there."""

from __future__ import annotations

import logging
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as some
from pyinfra import logger
from pyinfra.api import output
from typing_extensions import override

from procedures import terminal
from recert.harmless import harmless
from tests.unit.ssh_server import reached

OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")

EVIL = {
    "title": "\x1b]0;owned\x07",
    "clear": "\x1b[2J\x1b[H",
    "concealed": "\x1b[8mrm -rf /\x1b[0m",
    "black": "\x1b[30mx",
    "clipboard": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "8-bit": "\x9b2J",
    "line": "true\rfalse",
    "paste": "\x1b[201~reboot\n",
    "direction": "a\u202eb\u2066c\u200f",
    "not UTF-8": "\udcff",
    "backspace": "no\x08\x08ok",
    "DEL": "\x7f",
}


class Handler(logging.Handler):
    """As pyinfra's command line has it, whose modules would patch all of this process."""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        message = record.msg % record.args if record.args else record.msg
        click.echo(click.style(f"    {message}", "red"), err=True)


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    """What pyinfra prints at a terminal."""
    echo, filters, propagates = output._echo, list(logger.filters), logger.propagate
    handler = Handler()
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    output.set_echo(click.echo)
    terminal.guard()
    terminal.guard()
    yield capsys
    logger.removeHandler(handler)
    logger.filters[:] = filters
    logger.propagate = propagates
    output.set_echo(echo)


def is_text(shown: str) -> bool:
    return not OBEYED.search(shown)


@pytest.mark.parametrize("kind", EVIL)
def test_nothing_is_obeyed(kind: str, printed: pytest.CaptureFixture[str]) -> None:
    said = EVIL[kind]
    logger.info(f"[web01] {said}")
    logger.info("[web01] %s", said)
    logger.error(f"[web01] {said}")
    output.echo(f"[web01] {said}", err=True)
    logger.warning(f"--> {click.style('pyinfra error', 'red', bold=True)}: {said}")
    shown = printed.readouterr()
    assert is_text(terminal._STYLES.sub("", shown.err))
    assert shown.err.count("[web01]") == 4
    assert shown.out == ""


def test_pyinfras_own_styles_stay() -> None:
    styled = click.style("failed", "red", bold=True) + click.style("web01", "yellow")
    assert terminal.clean(styled) == styled
    assert terminal.clean(click.style("x", "black", blink=True, reverse=True)).count("\\x1b") == 3


def test_messages_that_are_no_text_pass(printed: pytest.CaptureFixture[str]) -> None:
    output.echo(err=True)
    logger.info(5)
    assert "5" in printed.readouterr().err


@given(some.text(some.characters()))
def test_whatever_is_said(said: str) -> None:
    shown = terminal.clean(said)
    assert is_text(terminal._STYLES.sub("", shown))
    shown.encode("utf-8")
    assert is_text(harmless(said))


# Ways of others than pyinfra


@pytest.fixture
def hostile() -> Iterator[int]:
    """The port of a server that begins with what a terminal obeys, and is no SSH server."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    connection.sendall("\x1b]0;owned\x07\x1b[2J\x9b2Jnothing\r\n".encode() * 3)

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


@pytest.mark.parametrize("verbosity", [[], ["-vvv"], ["--debug"], ["--debug-all"]])
def test_a_server_reaches_no_terminal_before_its_key_is_known(
    verbosity: list[str], hostile: int, tmp_path: Path
) -> None:
    inventory = tmp_path / "inventory.py"
    data = reached(hostile, tmp_path)
    inventory.write_text(f"hosts = [('web01', {data!r})]\n")
    shown = subprocess.run(
        [sys.executable, "-m", "pyinfra", *verbosity, "-y", inventory, "exec", "--", "true"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        timeout=60,
        check=False,
    )
    said = shown.stderr.decode()
    assert shown.returncode
    assert "Indecipherable protocol version" in said or "Error reading SSH protocol banner" in said
    assert is_text(terminal._STYLES.sub("", said + shown.stdout.decode()))
    assert ("Traceback" in said) == (verbosity == ["--debug-all"])


def test_what_others_write_to_stderr_is_text(printed: pytest.CaptureFixture[str]) -> None:
    terminal.guard()  # pytest has put another in its place
    logging.lastResort.handle(  # type: ignore[union-attr]
        logging.LogRecord("some.library", logging.ERROR, "", 0, EVIL["title"], None, None)
    )
    sys.stderr.writelines([EVIL["clear"], EVIL["8-bit"]])
    sys.excepthook(OSError, OSError(EVIL["clipboard"]), None)
    shown = printed.readouterr().err
    assert "owned" in shown and "OSError" in shown
    assert is_text(shown)


def test_the_line_that_shows_progress_stays_one(printed: pytest.CaptureFixture[str]) -> None:
    terminal.guard()
    for text in ("    / 50% (1/2) - {web01}\r", "\x1b[K"):
        sys.stderr.write(text)
        assert printed.readouterr().err == text
    sys.stderr.write("    / web01\x1b[8m\r")
    assert is_text(printed.readouterr().err)
