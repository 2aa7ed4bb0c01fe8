"""With which options a host's own Puppets run."""

from __future__ import annotations

from itertools import pairwise

from pyinfra.api import FactBase, StringCommand

from facts.few import require_few
from facts.numbers import count
from facts.script import read_records, record_script

_PUPPETS = frozenset({"agent", "master"})
MOST_RUNNING = 50
"""Of Puppets at once; what runs beyond that is not looked at."""

LONGEST_COMMAND = 64 * 1024
"""Bytes of arguments that are read of one."""


class RunningPuppets(FactBase[dict[int, list[str]]]):
    """
    The arguments of Puppet's agents and masters that run as root and have any, by process.

    Those in containers, which a host's list of processes has too, are not the host's.

    .. code:: python

        {4711: ["--ssldir=/srv/ssl"]}
    """

    def command(self) -> StringCommand:
        return record_script(
            rf"""most={MOST_RUNNING} longest={LONGEST_COMMAND}"""
            + r"""
line='
'
# Processes end meanwhile, which grep takes for an error; nothing else is one to it here.
candidates() { grep -lsF -e puppet /proc/[0-9]*/cmdline || :; }
as_it_was_started() { dd if="$1" bs="$longest" count=1 2>/dev/null || :; }
arguments() { stage as_it_was_started "$1" | stage tr '\000' '\n'; }
# Not everywhere may root read that of a process with other capabilities than its own.
contained() {
    of_it=$(readlink "/proc/$1/ns/pid") || return
    [ "$of_it" != "$(readlink /proc/self/ns/pid)" ]
}
of_root() { [ "$(stat -c %u "/proc/$1" 2>/dev/null)" = "$(id -u)" ]; } # who asks is root
for file in $(candidates); do
    pid=${file#/proc/} pid=${pid%/*}
    if [ "$most" -gt 0 ] && of_root "$pid" && ! contained "$pid"; then
        said=$(arguments "$file")
        case $said in (*/puppet"$line"agent"$line"*--*|*/puppet"$line"master"$line"*--*)
            say puppet "$pid" "$said"
            most=$((most - 1)) ;;
        esac
    fi
done
"""
        )

    def process(self, output: list[str]) -> dict[int, list[str]]:
        found = {}
        for number, (_, pid, said) in enumerate(read_records(output), 1):
            require_few(number, MOST_RUNNING, "Puppets that run")
            require_few(len(said), LONGEST_COMMAND, "bytes in the arguments of one of them")
            words = said.split("\n")
            for at, (program, kind) in enumerate(pairwise(words)):
                if program.rpartition("/")[2] == "puppet" and kind in _PUPPETS:
                    found[count(pid)] = words[at + 2 :]
                    break
        return found
