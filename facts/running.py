"""With which options a host's own Puppets run, or are going to."""

from __future__ import annotations

from itertools import pairwise

from pyinfra.api import FactBase, StringCommand

from facts.few import require_few
from facts.numbers import count
from facts.script import read_records, record_script
from recert.settings import STARTED_WITH

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


MOST_FILES = 20
"""In which a service's options may stand: two files each, and those that a unit names."""


class ServiceOptions(FactBase[dict[str, list[str]]]):
    """
    Puppet's settings among the options that services are going to be started with, whether they
    run or not, by where they stand: of systemd's unit, and in the files of variables that it or an
    init script reads. Init scripts themselves are programs, and not looked at.

    + services: their names
    + places: directories with such a file for each
    + managed: what is there where systemd is

    .. code:: python

        {"/etc/default/pe-puppet": ["--ssldir=/srv/ssl"]}
    """

    def command(
        self,
        services: list[str],
        places: list[str] | None = None,
        managed: str = "/run/systemd/system",
    ) -> StringCommand:
        places = ["/etc/default", "/etc/sysconfig"] if places is None else places
        arguments = (f" {' '.join(STARTED_WITH)} ", managed, " ".join(places), *services)
        return record_script(_OPTIONS, *arguments)

    def process(self, output: list[str]) -> dict[str, list[str]]:
        found = {}
        for number, (_, place, said) in enumerate(read_records(output), 1):
            require_few(number, MOST_FILES, "files with options of services")
            require_few(len(said), LONGEST_COMMAND, "bytes of options in one of them")
            if said:
                found[place] = said.split("\n")
        return found


# No more of a file than these is told, which may hold a proxy's password. PUPPET_SERVER and
# PUPPET_PORT are what the init script of EL makes options of.
_OPTIONS = (
    f"longest={LONGEST_COMMAND}"
    + r"""
names=$1 managed=$2 places=$3; shift 3
beginning() { dd if="$1" bs="$longest" count=1 2>/dev/null || :; }
as_options() {
    sed -e 's/^[[:space:]]*[#;].*//' -e 's/[[:space:]]#.*//' -e 's/=--/= --/g' \
        -e 's/^PUPPET_SERVER=/--server=/' -e 's/^PUPPET_PORT=/--masterport=/'
}
in_lines() { tr '\t \042\047\134' '\n\n\n\n\n'; }
known() {
    awk -v names="$names" '
        $0 == "" { next }
        wanted && !/^--/ { print }
        { wanted = 0 }
        /^--/ {
            name = substr($0, 3); at = index(name, "=")
            if (at) name = substr(name, 1, at - 1)
            if (index(names, " " name " ") && at != length($0) - 2) { print; wanted = !at }
        }
    '
}
of_file() { stage beginning "$1" | stage as_options | stage in_lines | stage known; }
said_of_unit() { printf '%s\n' "$said"; }
of_unit() { stage said_of_unit | stage as_options | stage in_lines | stage known; }
unit() { systemctl show -p ExecStart -p Environment -p EnvironmentFiles "$1" 2>/dev/null; }
named() { sed -n 's/^EnvironmentFiles=\(.*\) (ignore_errors=.*/\1/p'; }
files_of_unit() { stage said_of_unit | stage named; }
for service; do
    files=
    if [ -d "$managed" ]; then
        said=$(unit "$service") || fail "systemctl cannot tell of $service."
        # Puppet Server is a program in Java, whose options are its own.
        case $said in (*java*) continue ;; esac
        case $said in (*--*) say options "the unit $service" "$(of_unit)" ;; esac
        files=$(files_of_unit)
    fi
    for place in $places; do files="$files $place/$service"; done
    for file in $files; do
        [ ! -f "$file" ] || say options "$file" "$(of_file "$file")"
    done
done
"""
)
