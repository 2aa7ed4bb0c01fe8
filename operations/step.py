"""What the steps share: how a command changes a host, how a step fails, how a diff looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from sys import intern

from pyinfra import context, logger
from pyinfra.api import FunctionCommand, Host, QuoteString, State, StringCommand
from pyinfra.api.arguments import ConnectorArguments
from pyinfra.api.output import format_text
from pyinfra.connectors.util import CommandOutput, OutputLine
from pyinfra.operations.util.files import generate_color_diff

from connectors.failures import own_failure
from connectors.limits import at_most
from facts.locking import LOCKING
from facts.script import CLEAN_SH, CLEAN_SH_UNASKED, PIPELINES, PREAMBLE
from facts.together import Together, is_next
from operations.clearing import REMOVING
from procedures.host import Look
from recert.harmless import harmless

CONTINUE = "Mend the cause, then run the same command again: it goes on from here."

CHANGE_LIMIT = 900
"""Seconds in which a change has to come to its end that takes seconds, and on an old machine with a
hundred thousand certificates minutes; five of them may pass until no other command works there.
What an account of a service does is to end in an error, and not to keep everybody waiting in the
middle of an outage."""

SOONER = 15
"""Seconds, but at most a fifth of the time, by which the host ends a command before it is not
waited for any more: it can say so then, and give back the lock."""

BEGINNING = "pe-recert, what it says:"
"""The line before all that a change prints; what comes earlier is the login's."""

_LOCKED = rf"""
echo '{BEGINNING}'
lock=$1 script=$2 limit=$3; shift 3
[ -d "$lock" ] || (umask 077; mkdir -p "$lock") 2>/dev/null
ending=
# Not on a terminal, which nothing may read that `timeout` has begun.
if [ ! -t 0 ] && timeout "$limit" true >/dev/null 2>&1; then ending="timeout $limit"; fi
if [ -d "$lock" ] && command -v flock >/dev/null 2>&1; then
    {{
        if locked; then $ending sh -c "$script" pe-recert "$@" 9<&-
        else echo "$unlocked" >&2; (exit 1)
        fi
    }} 9<"$lock"
else
    $ending sh -c "$script" pe-recert "$@"
fi
status=$?
[ "$status" -ne 124 ] || [ -z "$ending" ] || echo "It was ended: it took more than $limit s." >&2
[ "$status" -eq 0 ] || echo "The step failed with status $status. {CONTINUE}" >&2
exit "$status"
"""

# pyinfra keeps every command of every host: thousands of hosts share the text of each.
_UNDER_LOCK = PREAMBLE + LOCKING + _LOCKED

REMEMBER = r"""
private() { # the directory $1, which only root can read
    (umask 077 && mkdir -p "$1" && chown 0:0 "$1" && chmod 700 "$1") || fail "Cannot make $1."
}
remember() { # the line $3 in the file $2 of the backup directory $1
    private "$1"
    (umask 077; grep -qsx "$3" "$1/$2" || echo "$3" >>"$1/$2") || fail "Cannot write to $1."
}
"""
"""What a host cannot tell once the procedure is under way."""

END_OF_INPUT = "pe-recert, end of input"

_COMMON = (
    PIPELINES
    + rf"""
fail() {{ echo "$*" >&2; exit 1; }}
given() {{ sed -n '/^{END_OF_INPUT}$/q;p'; }}
"""
)
"""`given` prints what the command was given to read. It has a line for its end, because on a
terminal, which sudo may want, it has none."""


def changing(
    lock: str, script: str, *arguments: str, stdin: str | None = None, limit: int = CHANGE_LIMIT
) -> StringCommand:
    """`script` run by the host's `sh`, while no other changing command works there.

    A run that was cut off can leave its last command working on the host, so the next run has
    to wait for it.

    :param lock: a directory, which is made for root alone if it is not there.
    :param stdin: lines that the script reads, with the function `given`.
    :param limit: seconds after which nobody waits for it any more; shortly before, the host ends it
        where it can.
    """
    command = ConnectedCommand(
        CLEAN_SH_UNASKED if stdin is None else CLEAN_SH,
        "-c",
        QuoteString(_UNDER_LOCK),
        "pe-recert",
        QuoteString(lock),
        QuoteString(intern(_COMMON + script)),
        str(limit - min(SOONER, limit // 5)),
        *(QuoteString(argument) for argument in arguments),
    )
    if stdin is not None:
        command.connector_arguments["_stdin"] = f"{stdin.rstrip()}\n{END_OF_INPUT}\n"
    command.connector_arguments["_timeout"] = limit
    return command


AND_LOOK = "; status=$?;"
"""What stands between a change and the look at it."""


class ConnectedCommand(StringCommand):
    """A command over a connection that may be lost, or on which anything may come."""

    def execute(
        self, state: State, host: Host, connector_arguments: ConnectorArguments
    ) -> tuple[bool, CommandOutput]:
        limit = self.connector_arguments.get("_timeout")
        try:
            with own_failure(host.name), at_most(limit):
                ok, output = super().execute(state, host, connector_arguments)
                return ok, CommandOutput(_without_greeting(output))
        except TimeoutError:
            # What pyinfra says of it names no time, nor what is to be done.
            said = f"{host.name}: no end after {limit} s. {CONTINUE}"
            host.log_styled(said, fg="red", log_func=logger.error)
            raise


def _without_greeting(output: CommandOutput) -> list[OutputLine]:
    lines = list(output)
    for position, line in enumerate(lines):
        if line.buffer_name == "stdout" and line.line.rstrip("\r").endswith(BEGINNING):
            said_before = [line for line in lines[:position] if line.buffer_name == "stderr"]
            return [*said_before, *lines[position + 1 :]]
    return lines


class LookingCommand(ConnectedCommand):
    """A change, and in the same breath the look at what has come of it, whether it succeeded or
    not: what is asked by itself costs the host another command."""

    def __init__(self, change: StringCommand, look: Look) -> None:
        self._change = change
        self._look: Look | None = look
        self._together = Together()
        asked = self._together.command(look.questions)
        super().__init__(*change.bits, AND_LOOK, *asked.bits, "; exit $status")
        self.connector_arguments = change.connector_arguments

    def execute(
        self, state: State, host: Host, connector_arguments: ConnectorArguments
    ) -> tuple[bool, CommandOutput]:
        """The output is the change's, and what the look complains of."""
        look, self._look = self._look, None
        assert look is not None, "a look is had once"
        look.forget()
        ok, output = super().execute(state, host, connector_arguments)
        # Whatever is wrong with an answer: who needs it asks again, and is told.
        with suppress(Exception):
            look.learn(self._together.process(output.stdout_lines))
        # pyinfra keeps every command of every host, and looks are longer than changes.
        self.bits = self._change.bits
        self._together = Together()
        told, looking = [], False
        for line in output:
            looking = looking or is_next(line.line)
            if not looking or line.buffer_name == "stderr":
                told.append(line)
        return ok, CommandOutput(told)


def in_batches(paths: Iterable[str], limit: int = 20000) -> Iterator[list[str]]:
    """`paths` in portions that a command line holds, however often it is quoted.

    :param limit: characters.
    """
    batch: list[str] = []
    for path in paths:
        if batch and sum(map(len, batch)) + len(path) > limit:
            yield batch
            batch = []
        batch.append(path)
    if batch:
        yield batch


def removing(lock: str, paths: Iterable[str], limit: int = CHANGE_LIMIT) -> Iterator[StringCommand]:
    """Commands that remove files, and fail if one is still there; `limit` as for `changing`."""
    for batch in in_batches(paths):
        yield changing(lock, REMOVING + 'remove "$@"', *batch, limit=limit)


def printable(line: object) -> str:
    """`line` for a terminal."""
    return harmless(str(line))


def step_failed(found: Iterable[object]) -> FunctionCommand:
    """A command that fails the running step on its host, saying what was found."""

    def fail(state: State, host: Host) -> bool:
        names = state.get_op_meta(host.executing_op_hash or "").names
        step = ", ".join(sorted(names))
        host.log_styled(f"{host.name}, step {step}:", fg="red", log_func=logger.error)
        # What a host says does not begin a line of its own.
        for line in (part for one in found for part in printable(one).splitlines() or [""]):
            host.log_styled(f"  {line}", fg="red", log_func=logger.error)
        host.log_styled(f"  {CONTINUE}", fg="red", log_func=logger.error)
        return False

    return FunctionCommand(fail, (), {})


def wait_until(
    done: Callable[[], bool], what: str, limit: float, poll: float = 0.25
) -> FunctionCommand:
    """A command that waits, telling so at first and every ten seconds. It succeeds either way; what
    came of it is for the step to look at.

    :param what: what is waited for, after "waiting for".
    :param limit: and `poll`: seconds.
    """

    def wait(state: State, host: Host) -> bool:
        began = tell = time.monotonic()
        while not done() and time.monotonic() - began < limit:
            if time.monotonic() >= tell:
                host.log(
                    f"waiting for {what}: {tell - began:.0f} of at most {limit:.0f} s",
                    logger.info,
                )
                tell += 10
            time.sleep(poll)
        return True

    return FunctionCommand(wait, (), {})


def show_diff(host: Host, title: str, before: Iterable[str], after: Iterable[str]) -> None:
    """What a step replaces, if `--diff` was asked for, in pyinfra's own form."""
    if not context.state.config.DIFF:
        return
    lines = list(generate_color_diff(list(map(printable, before)), list(map(printable, after))))
    if lines:
        host.log(format_text(title, bold=True), logger.info)
        for line in lines:
            logger.info(f"    {line}")
