"""What reaches the terminal: whatever a host says is text there, and nothing that it obeys.

pyinfra prints what hosts say in many places, all of them by its logger or by its `echo`. Both are
made harmless here, once; tables and reports are text to begin with.
"""

from __future__ import annotations

import logging
import re
from typing import Any, TextIO

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


class _Harmless(logging.Filter):
    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str):
            record.msg, record.args = clean(record.getMessage()), None
        return True


_harmless = _Harmless()


def _echo(message: Any = None, **options: Any) -> None:
    click.echo(clean(message) if isinstance(message, str) else message, **options)


def _nobody_asks(prompt: str = "", stream: TextIO | None = None) -> str:
    """:raises OSError: always, which fails the host; pyinfra would wait at the terminal."""
    raise OSError(
        f"{clean(prompt).strip(' :')} is wanted, and nobody is asked during a run: give "
        "_sudo_password in the host's data, or let the account use sudo without one."
    )


def guard() -> None:
    """Let nothing reach the terminal but text, and nothing ask there. Done once, however often it
    is called."""
    logger.addFilter(_harmless)
    util.getpass = _nobody_asks
    if is_output_active():
        set_echo(_echo)
