"""Shell scripts as facts: how they are sent, and how their answers come back unharmed.

A script prints records with the shell function `say`, whose fields end in NUL, so that file
names and contents may hold anything. The answer crosses the connection in base64: pyinfra
reads lines of UTF-8, which the content of a damaged file need not be. The last record is
`end`; without it the answer was cut short.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from sys import intern

from pyinfra.api import QuoteString, StringCommand
from pyinfra.api.exceptions import FactProcessError

PREAMBLE = r"""
PATH="/opt/puppet/bin:$PATH:/usr/local/bin:/usr/sbin:/sbin"
export PATH
umask 022
"""
"""PE's programs are often missing from the PATH of a session that is no login, and go before
another Puppet on it."""

_RECORDS = r"""
LC_ALL=C; export LC_ALL
say() { printf '%s\0' "$#" "$@"; }
contents() { say text "$1" "$(tr -d '\000' <"$1")"; }
"""

ENCODE = r"""
if command -v base64 >/dev/null 2>&1; then encode=base64; else encode='openssl base64'; fi
framed() { echo 'pe-recert:'; cat; echo 'pe-recert.'; }
"""


def shell(script: str, *arguments: str) -> StringCommand:
    """`script` run by the host's `sh`, its positional parameters being `arguments`."""
    # pyinfra keeps the commands of changes: thousands of hosts share the text of each.
    return StringCommand(
        "sh",
        "-c",
        QuoteString(intern(PREAMBLE + script)),
        "pe-recert",
        *(QuoteString(argument) for argument in arguments),
    )


def record_script(script: str, *arguments: str) -> StringCommand:
    """A script whose output is records; see `read_records`."""
    # A script that gave up has printed nothing, and a pipe would hide its status.
    return shell(
        f"{ENCODE}{_RECORDS}answer=$({{\n{script}\nsay end\n}} | $encode)\n"
        '[ -n "$answer" ] && printf \'pe-recert:\\n%s\\npe-recert.\\n\' "$answer"',
        *arguments,
    )


def payload(output: list[str]) -> bytes:
    """What a script encoded, out of what else a login may print.

    :raises FactProcessError: it is damaged.
    """
    lines = list(output)
    if "pe-recert:" in lines:
        lines = lines[lines.index("pe-recert:") + 1 :]
    if "pe-recert." in lines:
        lines = lines[: lines.index("pe-recert.")]
    try:
        return base64.b64decode("".join(lines), validate=True)
    except ValueError as error:
        raise FactProcessError(f"the host's answer is not base64: {error}") from error


def read_records(output: list[str]) -> Iterator[list[str]]:
    """The records that a `record_script` printed, without the closing one.

    :raises FactProcessError: the answer is damaged or was cut short.
    """
    fields = payload(output).decode("utf-8", "surrogateescape").split("\0")
    position = 0
    while position < len(fields) and re.fullmatch("[0-9]+", fields[position]):
        count = int(fields[position])
        record = fields[position + 1 : position + 1 + count]
        position += 1 + count
        # The last field of a whole record is followed by at least the empty rest.
        if position >= len(fields):
            break
        if record == ["end"]:
            return
        yield record
    raise FactProcessError("the host's answer was cut short")
