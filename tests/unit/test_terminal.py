"""What hosts say is text at the terminal, on whichever way it gets there."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import click
import pytest
from hypothesis import given
from hypothesis import strategies as some
from pyinfra import logger
from pyinfra.api import output
from typing_extensions import override

from procedures import terminal
from recert.harmless import harmless

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
