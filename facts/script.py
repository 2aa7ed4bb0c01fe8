"""Shell scripts as facts: how they are sent, and how their answers come back unharmed.

A script prints records with the shell function `say`, whose fields end in NUL, so that file
names and contents may hold anything. The answer crosses the connection in base64: pyinfra
reads lines of UTF-8, which the content of a damaged file need not be. The last record is
`end`; without it the answer was cut short.

A host's `sh` may be bash 3.2, mksh or ksh93 as well as dash, and tests hold every script to what
all of them understand: a script stands in a function, never in `$( … )`, where old shells take the
parenthesis of a `case` pattern, or a quote in a comment, for the end of something.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from contextlib import suppress
from sys import intern

from gevent import sleep  # type: ignore[import-untyped]
from pyinfra.api import QuoteString, StringCommand
from pyinfra.api.exceptions import FactProcessError

from recert.deployments.known import PROGRAMS

_KEPT = ("HOME", "LOGNAME", "TMPDIR", "TZ", "USER")

CLEAN_SH = " ".join(
    [
        "command env -i",
        f'PATH="{":".join(PROGRAMS)}:$PATH:/usr/local/bin:/usr/sbin:/sbin"',
        *(f'${{{name}+"{name}=${name}"}}' for name in _KEPT),
        "sh",
    ]
)
"""A shell that inherits nothing that could change what a script or a program means: neither
POSIXLY_CORRECT, GREP_OPTIONS or RUBYOPT nor a function that a bash has exported, whatever its
name."""

CLEAN_SH_UNASKED = f"</dev/null {CLEAN_SH}"
"""The same, where nothing is to be read from a standard input: on a terminal, which sudo may want,
it would have no end."""

PREAMBLE = r"""
cd /
umask 022
case :$PATH: in (*:[!/]*)
    absolute() {
        IFS=: found=
        set -f
        for part in $PATH; do case $part in (/*) found=$found:$part ;; esac; done
        echo "${found#:}"
    }
    PATH=$(absolute)
    ;;
esac
[ ! -t 1 ] || trap '' HUP
"""
"""With a directory on the PATH that depends on where one is, root would run what lies in a service
account's, and find runs nothing there. What a service is started by on a terminal is not to end
with that."""

REAL_PATH = r"""
real_path() {
    there=$1 gone=
    until [ -e "$there" ] || [ -z "${there#/}" ]; do gone=/${there##*/}$gone there=${there%/*}; done
    there=$(readlink -f "${there:-/}") || return
    printf '%s\n' "${there%/}$gone"
}
"""
"""Where a path leads of which the end may be gone: what is in it, symbolic links left out."""

ROOM = r"""
room() { # the kibibytes that are free where $1 is; there may be a blank in the names of a line
    stage df -Pk "$1" | stage awk 'NR == 2 {
        for (i = 4; i < NF; i++)
            if ($i ~ /^([0-9]+%|-)$/ && $(i - 1) $(i - 2) $(i - 3) ~ /^[0-9]+$/) print $(i - 1)
    }'
}
"""

PIPELINES = r"""
failure='<failed>'
stage() { "$@" || echo "$failure $1 ended with status $?" >&3; }
whole() {
    { said=$("$@" 3>&1 >&4) || said="$said
$failure $1 ended with status $?"; } 4>&1
    [ -z "$said" ] || { printf '%s\n' "$said" >&2; return 1; }
}
but_of_what_is_gone() { sed '/: No such file or directory$/d' <<END
$find_said
END
}
find_lasting() {
    { find_said=$(LC_ALL=C find "$@" 2>&1 >&5); } 5>&1 && return
    find_status=$?
    find_left=$(but_of_what_is_gone) || return
    # One that was ended says nothing, and has not looked at everything.
    [ "$find_status" -ne 1 ] || [ -z "$find_said" ] || [ -n "$find_left" ] || return 0
    printf '%s\n' "$find_left" >&2
    return "$find_status"
}
"""
"""A pipeline has the status of its last stage, and no old shell tells those of the others. So each
one is begun with `stage`, which tells of its failure on descriptor 3: that of the function `whole`,
which runs a function with pipelines in it and fails if any stage has, or of a fact's answer.

`find_lasting` is `find`, to which a file or directory that goes while it looks is none: every
Puppet run under Ruby 1.9 makes and removes directories in its vardir, and in spite of
`-ignore_readdir_race` find fails at those."""

DIGESTS = r"""
digests='
digests() {
    if command -v sha256sum >/dev/null 2>&1; then sha256sum "$@"; return; fi
    [ "$#" -gt 0 ] || set -- -
    for file; do
        if [ "$file" = - ]; then line=$(openssl dgst -sha256)
        else line=$(openssl dgst -sha256 <"$file")
        fi || return
        printf "%s  %s\n" "${line##* }" "$file"
    done
}
'
eval "$digests"
"""
"""`digests` prints SHA-256 of the files that it is given, or of what it reads, as sha256sum does,
which SLES 10 has not. The variable holds the function for another shell."""

_BOUNDED = "ulimit -t 900 2>/dev/null || :\n"
"""A program that reads what has no end is ended, though nobody waits for it any more: seconds of a
processor that are more than any question is worth. Not for changes, which start services."""

_ANSWER = r"""
encode() { if command -v base64 >/dev/null 2>&1; then base64; else openssl base64; fi; }
fail() { echo "$failure $*" >&3; exit 1; }
coded() { stage told "$@" | stage encode; }
echo pe-recert:
{ said=$(coded "$@" 3>&1 2>&3 >&4); } 4>&1
case $said in
    (*"$failure"*)
        echo 'pe-recert, failed:'
        encode <<END || { printf '%s\n' "$said" >&2; exit 1; } ;;
$said
END
    (?*) printf '%s\n' "$said" >&2 ;;
esac
echo pe-recert.
"""

_RECORDS = r"""
LC_ALL=C; export LC_ALL
say() { printf '%s\0' "$#" "$@"; }
relay() { printf '%s\0' "$(($# + 1))" "$@" && cat && printf '\0'; }
lines_of() { cat <<END
$1
END
}
text_of() {
    path=$1; shift
    { printf '%s\0' "$(($# + 1))" "$@" && stage tr -d '\000' && printf '\0'; } <"$path"
}
"""
"""`relay` says the fields that it is given and, as one more, what it reads: where `printf` is a
program, as in mksh, no long text goes into one of its arguments, and `lines_of` prints it.
`text_of` says what is in a file of root's after other fields; nothing of one that is gone."""

_FRAME = re.compile(
    r"pe-recert:\s([A-Za-z0-9+/=\s]*)(?:pe-recert, failed:\s([A-Za-z0-9+/=\s]*))?pe-recert\."
)
_BEGIN = re.compile(r"pe-recert:\s")
_STRAY = re.compile(r"[^A-Za-z0-9+/=\s][^\n]*")
_FAILURE = "<failed> "


MOST_FIELDS = 5_000_000
"""Of an answer: the entries of the directories of a CA with a hundred thousand nodes."""

TURN = 20_000
"""Fields that are read before others have a turn."""

LARGEST_COMPLAINT = 100_000
"""Bytes that are read of what went wrong."""


class ScriptFailedError(Exception):
    """What a script was to tell, it could not find out; the message says why."""


def shell(script: str, *arguments: str) -> StringCommand:
    """`script` run by the host's `sh`, its positional parameters being `arguments`."""
    # pyinfra keeps the commands of changes: thousands of hosts share the text of each.
    return StringCommand(
        CLEAN_SH_UNASKED,
        "-c",
        QuoteString(intern(PREAMBLE + script)),
        "pe-recert",
        *(QuoteString(argument) for argument in arguments),
    )


def answer_script(script: str, *arguments: str) -> StringCommand:
    """A script whose output is the answer, whatever that is; see `payload`. If a stage of it
    fails, or it calls `fail`, there is none."""
    return shell(f"{_BOUNDED}{PIPELINES}told() {{\n{script}\n}}\n{_ANSWER}", *arguments)


def record_script(script: str, *arguments: str) -> StringCommand:
    """A script whose output is records; see `read_records`."""
    return answer_script(f"{_RECORDS}{script}\nsay end", *arguments)


def payload(output: list[str]) -> bytes:
    """What a script has answered, out of what else a login may print.

    :raises FactProcessError: it is damaged.
    :raises ScriptFailedError: the script could not find it out.
    """
    text = "\n".join(output)
    _, _, after = text.partition("pe-recert:\n")
    answer, end, _ = after.partition("\npe-recert.")
    with suppress(ValueError):  # as it nearly always is; a thousand hosts give ten thousand answers
        if end:
            return base64.b64decode(answer.replace("\n", ""), validate=True)
    framed = _FRAME.search(text)
    if framed is None:
        begin = _BEGIN.search(text)
        return _decoded(text[begin.end() if begin else 0 :].partition("pe-recert.")[0])
    answer, failed = framed.groups()
    if failed is not None:
        raise ScriptFailedError(_said(_decoded(failed)))
    return _decoded(answer)


def _decoded(text: str) -> bytes:
    if stray := _STRAY.search(text):
        raise FactProcessError(
            f"in the host's answer stands something else, printed perhaps by what the shell of the "
            f"login reads when it starts: {stray[0][:80]!r}"
        )
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except ValueError as error:
        raise FactProcessError(f"the host's answer is not base64: {error}") from error


def _said(content: bytes) -> str:
    """What failed first, then what the programs have said of it."""
    text = content[:LARGEST_COMPLAINT].decode("utf-8", "backslashreplace")
    lines = [line[:300] for line in text.splitlines()]
    failures = [line.removeprefix(_FAILURE) for line in lines if line.startswith(_FAILURE)]
    said = [line for line in lines if line.strip() and not line.startswith(_FAILURE)]
    return (
        "\n".join([*list(dict.fromkeys(failures))[:5], *said[:10]])
        or "a program that it needs failed"
    )


def read_records(output: list[str]) -> Iterator[list[str]]:
    """The records that a `record_script` printed, without the closing one.

    :raises FactProcessError: the answer is damaged, was cut short, or has no end worth waiting for.
    :raises ScriptFailedError: the script could not find it out.
    """
    answer = payload(output)
    if answer.count(0) > MOST_FIELDS:
        raise FactProcessError(f"the host's answer has more than {MOST_FIELDS} fields")
    fields = answer.decode("utf-8", "surrogateescape").split("\0")
    position = 0
    turn = TURN
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
        if position > turn:
            turn = position + TURN
            sleep(0)  # the other hosts have a turn, too
    raise FactProcessError("the host's answer was cut short")
