"""Commands that are printed to be pasted: whatever is in a name, it is one argument and no option.

Names and paths in them are what hosts say, and what strangers have sent to the master. What no
terminal shows as it is stands there escaped: such a command names nothing, and does nothing else.
"""

from __future__ import annotations

import shlex


def for_sh(command: str, *names: str) -> str:
    """`command` with names after it, for any POSIX shell.

    :param command: ours, with its options.
    """
    return " ".join([command, "--", *map(word, names)])


def word(name: str) -> str:
    """A name or path as one word of a POSIX shell."""
    return shlex.quote(_visible(name))


def for_cmd(command: str, *paths: str) -> str:
    """`command` with paths after it, in Windows' writing, for cmd.exe. Within quotes it expands
    variables all the same, and there a percent sign has no escape."""
    shown = (_visible(path.replace("/", "\\"), '"%!') for path in paths)
    # A backslash at the end would take the quote along.
    return " ".join([command, *('"' + path.rstrip("\\") + '"' for path in shown)])


def _visible(name: str, others: str = "") -> str:
    def escaped(c: str) -> str:
        return f"\\x{ord(c):02x}" if c in others else c.encode("unicode_escape").decode()

    return "".join(c if c.isprintable() and c not in others else escaped(c) for c in name)
