"""What is said to the person at the terminal."""

from __future__ import annotations

import re
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from pyinfra import logger
from pyinfra.api import Host
from pyinfra.api.exceptions import DeployError
from pyinfra.api.output import format_text

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

LONG = 30
"""Lines of a list that are printed; a person does not read more."""

LONGEST_LINE = 2000
"""Characters of one that may quote a host."""


def shortened(lines: list[str], rest: str) -> list[str]:
    """A list as far as it is worth printing.

    :param rest: where the rest is to be found.
    """
    if len(lines) <= LONG:
        return lines
    return [*lines[:LONG], f"and {len(lines) - LONG} more ({rest})"]


def first_of_a_kind(
    found: Iterable[T], kind_of: Callable[[T], K], most: int = LONG
) -> tuple[list[T], dict[K, int]]:
    """As many of each kind as are worth printing, and of which kinds there are how many more: what
    one host says must leave room for the others."""
    counts: Counter[K] = Counter()
    shown = []
    for one in found:
        kind = kind_of(one)
        counts[kind] += 1
        if counts[kind] <= most:
            shown.append(one)
    return shown, {kind: count - most for kind, count in counts.items() if count > most}


def within_reason(lines: Iterable[str]) -> list[str]:
    """What may quote a host, as far as there is room: a million lines of one would leave none for
    the others."""
    cut = [
        line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} and so on" for line in lines
    ]
    return shortened(cut, "left out")


def reason_of(error: BaseException) -> str:
    """What an exception has to say to a person; its arguments may be a refusal each."""
    if isinstance(error, (TimeoutError, EOFError)) and not str(error):
        return "No answer in time, or the connection was lost."
    if error.args and all(isinstance(argument, str) for argument in error.args):
        return "\n".join(error.args)
    return str(error) or repr(error)


def say(host: Host, message: str) -> None:
    logger.info(f"{host.print_prefix}{message}")


def warn(host: Host, message: str) -> None:
    logger.warning(f"{host.print_prefix}{format_text(message, 'yellow')}")


_LEFT_OUT = {"--dry", "--diff", "-y", "--yes", "--json"}
_WITH_SECRET = re.compile(r"--(ssh-)?(key-)?password")


def refuse_options() -> None:
    """:raises DeployError: an option was given under which hosts do not wait for each other.

    Agents wait for their master, and pyinfra ends with status 0 there whoever fails.
    """
    for option in ("--serial", "--no-wait"):
        if option in sys.argv:
            raise DeployError(f"{option} does not work with these deploys. Leave it out.")


def command_line(limit: str | None = None) -> str:
    """The command that was typed, less what differs from run to run and what is secret.

    :param limit: the host to limit it to, instead of those that were typed; empty for none.
    """
    words, kept = iter(sys.argv[1:]), []
    for word in words:
        if limit is not None and word.startswith("--limit="):
            continue
        if _WITH_SECRET.fullmatch(word) or (limit is not None and word == "--limit"):
            next(words, None)
        elif word == "--data":
            kept += _data_option(next(words, ""))
        elif word.startswith("--data="):
            kept += _data_option(word.removeprefix("--data="))
        elif word not in _LEFT_OUT and not _WITH_SECRET.match(word):
            kept.append(word)
    if limit:
        kept += ["--limit", limit]
    return shlex.join(["pyinfra", *kept])


def _data_option(value: str) -> list[str]:
    name = value.partition("=")[0]
    return [] if name in ("retire_ca", "retire_certs") or "password" in name else ["--data", value]
