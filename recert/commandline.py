"""Command lines for cmd.exe, from Windows 2003 to today.

What is typed reaches `cmd.exe /c` as one line of at most 8191 characters. Within quotes everything
is literal but the percent sign, which expands variables there too and which nothing escapes. A
loop variable can stand for it, because those are put in last: in `for %q in (^%) do …` each `%q`
is a percent sign. No Windows path holds a quote.

Source: `cmd /?`, `for /?`, and the limits at
https://learn.microsoft.com/troubleshoot/windows-client/shell-experience/command-line-string-limitation
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from recert.errors import RecertError

LIMIT = 8000
"""Characters to a line; the connection may put some around it."""

_PERCENT = "%q"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SPECIAL = re.compile(r'([&|<>^()"])')
_NO_ECHO = ("", "on", "off", "/?")


def quoted(argument: str) -> str:
    """`argument` as one word of a command line that `line` finishes.

    :raises RecertError: nothing can carry it there unharmed.
    """
    if '"' in argument or _CONTROL.search(argument):
        raise RecertError(
            f"{argument!r} holds a quote or a control character, which no path on Windows does."
        )
    if argument.endswith("\\"):
        raise RecertError(f"{argument!r} ends with a backslash, which would swallow the quote.")
    return '"' + argument.replace("%", _PERCENT) + '"'


def native(path: str) -> str:
    """A path as Puppet prints it (`C:/ProgramData/…`), quoted and with the backslashes that
    cmd.exe's own commands want.

    :raises RecertError: as `quoted`.
    """
    return quoted(path.replace("/", "\\"))


def line(*parts: str) -> str:
    """`parts`, one command after the other whatever becomes of each, as one line.

    It begins with no quote, because `cmd /c` takes a first one and the last one away. Without
    parentheses what comes after an `if` or a `for` would belong to it.

    :raises RecertError: it is too long.
    """
    whole = parts[0] if len(parts) == 1 else "&".join(f"({part})" for part in parts)
    whole = f"for {_PERCENT} in (^%) do @({whole})" if _PERCENT in whole else f"@{whole}"
    if len(whole) > LIMIT:
        raise RecertError(
            f"A command of {len(whole)} characters is longer than cmd.exe takes: {whole[:60]}…"
        )
    return whole


def lines(parts: Iterable[str]) -> Iterator[str]:
    """As many lines as `parts` need, in their order. Whether a part has failed is lost with the
    next one: each has to end the line by itself (`… || exit 1`)."""
    batch: list[str] = []
    for part in parts:
        if batch and sum(len(p) + 3 for p in batch) + len(part) > LIMIT - 100:
            yield line(*batch)
            batch = []
        batch.append(part)
    if batch:
        yield line(*batch)


def writing(path: str, text: str) -> Iterator[str]:
    """Lines that write `text` to the file `path`, replacing what is there. The file's lines end
    as Windows' do.

    :raises RecertError: it is not ASCII, which would come out in the host's code page, or has
        a line that `echo` does not print.
    """
    if not text.isascii():
        raise RecertError(f"What is to be written to {path} is not ASCII.")
    target, arrow, size = native(path), ">", 0
    batch: list[str] = []
    for content in text.splitlines():
        if content.strip().lower() in _NO_ECHO or _CONTROL.search(content):
            raise RecertError(f"`echo` does not print {content!r}, for {path}.")
        part = "echo " + _SPECIAL.sub(r"^\1", content).replace("%", _PERCENT)
        if batch and size + len(part) > LIMIT - len(target) - 100:
            yield line(_redirected(batch, arrow, target))
            batch, size, arrow = [], 0, ">>"
        batch.append(part)
        size += len(part) + 1
    yield line(_redirected(batch, arrow, target))


def _redirected(batch: list[str], arrow: str, target: str) -> str:
    return f"({'&'.join(batch)}){arrow}{target} || exit 1"
