"""Whatever comes over a connection is one host's failure, in words that a terminal can have."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from paramiko.ssh_exception import SSHException
from pyinfra import logger
from pyinfra.api.exceptions import PyinfraError

LONGEST_SAYING = 4000
"""Characters that are told of why a host cannot be connected to: what a server offers fits in."""

_LONGEST_REASON = 200


def in_one_line(what: object, most: int = LONGEST_SAYING) -> str:
    """What somebody else may have written, as one line of limited length without anything that is
    not shown."""
    text = " ".join(str(what)[:most].split())
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def described(error: Exception) -> str:
    """An error that no library was to raise: its kind, and some of what it says."""
    return f"{type(error).__name__}: {in_one_line(error, _LONGEST_REASON)}"


@contextmanager
def own_failure(name: str) -> Iterator[None]:
    """Let whatever goes wrong with a host be an error of which pyinfra knows that it is that host's
    alone. Parsers raise what they like, and any other error would end the run for all.

    :raises OSError: the connection is lost, or what came over it makes no sense.
    """
    try:
        yield
    except (OSError, SSHException, PyinfraError):
        raise
    except EOFError as error:
        raise OSError(f"the connection to {name} was lost") from error
    except Exception as error:
        logger.debug("%s: not understood", name, exc_info=True)
        raise OSError(f"what came from {name} makes no sense ({described(error)})") from error
