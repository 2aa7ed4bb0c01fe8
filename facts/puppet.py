"""What Puppet says of itself on a host, and what its last run left."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from facts import numbers
from facts.host import Identity
from facts.numbers import clock, count, file_time, is_moment
from facts.programs import UNABLE, read_unable
from facts.public import PUBLIC_CONTENTS, WITHOUT_KEYS
from facts.script import read_records, record_script
from recert.observed import FileState, LastRun
from recert.plain_yaml import LONGEST, UnreadableError, read_plain_yaml
from recert.programs import Inability
from recert.settings import SETTINGS, parse_printed

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

UTF8_LOCALE = r"""
utf8=
for name in $(locale -a 2>/dev/null); do
    case $name in
        (C.[Uu][Tt][Ff]*8|en_US.[Uu][Tt][Ff]*8) utf8=$name; break ;;
        (*.[Uu][Tt][Ff]*8) utf8=${utf8:-$name} ;;
    esac
done
if [ -n "$utf8" ]; then LC_ALL=$utf8; export LC_ALL; fi
"""
"""A puppet.conf may hold UTF-8, which Ruby 1.9 refuses to read in the C locale."""

ROOMY_HEAP = r"""
RUBY_HEAP_MIN_SLOTS=600000 RUBY_GC_HEAP_INIT_SLOTS=600000
RUBY_GC_MALLOC_LIMIT=64000000 RUBY_GC_OLDMALLOC_LIMIT=64000000
export RUBY_HEAP_MIN_SLOTS RUBY_GC_HEAP_INIT_SLOTS RUBY_GC_MALLOC_LIMIT RUBY_GC_OLDMALLOC_LIMIT
"""
"""While Puppet loads, its Ruby collects garbage each time that its heap has to grow. One that has
room for all of Puppet from the start (25 MB; Ruby 1.9.3 has other names for it than later ones)
makes each start a seventh cheaper. Not for a Puppet that applies a catalog: what it starts with an
init script would inherit this."""

PUPPET_WITHOUT_CATALOG = UTF8_LOCALE + ROOMY_HEAP
"""The environment of any other Puppet."""


PUPPET_PROCESS = r"""
pid_in() { # the lock file $1, in the place of which Puppet's account may put a pipe
    [ ! -e "$1" ] || dd if="$1" iflag=nofollow,nonblock bs=64 count=1 2>/dev/null || :
}
puppet_process() { # whether $1 is the number of a live process of Puppet's
    case $1 in (''|*[!0-9]*) return 1 ;; esac
    kill -0 "$1" 2>/dev/null || return 1
    [ -r "/proc/$1/cmdline" ] || return 0
    called=$({ tr '\000' ' ' <"/proc/$1/cmdline"; } 2>/dev/null) || {
        ! kill -0 "$1" 2>/dev/null || fail "Nobody knows what process $1 is."
    }
    case $called in (*puppet*|*ruby*) ;; (*) return 1 ;; esac
    # Whoever likes calls a process of his that.
    [ "$(stat -c %u "/proc/$1" 2>/dev/null)" = "$(id -u)" ]
}
"""
"""A lock file outlives a crash, and its number may be another process's by now; Puppet's agent runs
as who asks, root."""


@dataclass(frozen=True)
class PrintedSettings:
    """`puppet config print` for the sections agent and master, and what it complained of. Both
    fall back on what [main] says. `who`: as whom it was asked, and when. `unable`: programs that
    cannot do what the suite needs, put to the test while Puppet starts."""

    who: Identity
    program: str | None
    agent: dict[str, str]
    master: dict[str, str]
    complaints: list[str]
    unable: tuple[Inability, ...] = ()


class PuppetSettings(FactBase[PrintedSettings]):
    """
    The settings that the suite needs: of a master once for each of two sections, side by side,
    of an agent those of its own section. Starts Puppet once a section.

    Puppet prints defaults with exit status 0 if it cannot read puppet.conf; it then logs
    errors, which are returned as `complaints`. Only root is answered: to others Puppet tells, and
    makes, directories of their own.

    + sections: "agent", "master", or "master agent" for both side by side

    .. code:: python

        PrintedSettings(
            who=Identity(uid=0, clock=1448272000.0),
            program="/opt/puppet/bin/puppet",
            agent={"certname": "master.example.com", "ssldir": "/etc/puppetlabs/puppet/ssl", ...},
            master={...},
            complaints=[],
        )
    """

    def command(self, sections: str = "master agent") -> StringCommand:
        return record_script(
            UNABLE
            + PUPPET_WITHOUT_CATALOG
            + r"""
sections=$1; shift
settings() {
    section=$1; shift
    # Its status is nearly always 0; what it says is looked at.
    "$program" config print --section "$section" --color=false "$@" 2>&1 </dev/null || :
}
uid=$(id -u)
if [ "$uid" -eq 0 ] && program=$(command -v puppet); then
    say program "$program"
    both() {
        (LC_ALL=C; export LC_ALL; unable) </dev/null
        case $sections in (*' agent') say printed agent "$(settings agent "$@")" ;; esac
        relay printed "${sections%% *}"
    }
    stage settings "${sections%% *}" "$@" | stage both "$@"
fi
say identity "$uid" "$(date +%s)" # last: nobody waits between the clock and whoever reads it
""",
            sections,
            *SETTINGS,
        )

    def process(self, output: list[str]) -> PrintedSettings:
        program: str | None = None
        who: Identity | None = None
        values: dict[str, dict[str, str]] = {"agent": {}, "master": {}}
        complaints: list[str] = []
        records = list(read_records(output))
        for record in records:
            if record[0] == "program":
                program = record[1]
            elif record[0] == "identity":
                who = Identity(count(record[1]), clock(record[2]))
            elif record[0] == "printed":
                _, section, printed = record
                lines = [_COLOUR.sub("", line).strip() for line in printed.splitlines()]
                values[section] = parse_printed(lines)
                complaints += [line for line in lines if line.lower().startswith("err")]
        if who is None:
            raise FactProcessError("the host does not say as whom it was asked")
        return PrintedSettings(
            who,
            program,
            values["agent"],
            values["master"],
            list(dict.fromkeys(complaints)),
            read_unable(records),
        )


@dataclass(frozen=True)
class AgentState:
    """What the agent on a host left: its last run, cached catalog, whether it is disabled, and
    the process that is applying a catalog now (None if there is none)."""

    last_run: LastRun | None
    catalog: FileState | None
    disabled: str | None
    running: int | None


class PuppetAgent(FactBase[AgentState]):
    """
    The traces of the Puppet agent; starts no Puppet.

    .. code:: python

        AgentState(
            last_run=LastRun(time=1448272000.0, succeeded=True),
            catalog=FileState(...),
            disabled=None,
            running=None,
        )
    """

    def command(self, summary: str, catalog: str, disabled: str, lockfile: str) -> StringCommand:
        return record_script(AGENT_TRACES, summary, catalog, disabled, lockfile)

    def process(self, output: list[str]) -> AgentState:
        return read_agent_state(read_records(output))


WENT_BY_CACHE = (
    "cached_catalog_status: on_failure",
    "Could not retrieve catalog from remote server",
)
"""What the report of a run has that got no catalog and went by the cached one: Puppet's since 4.1,
and the error of any. The summary of such a run is that of a success."""

COMMAND_FAILED = "Could not run command from "
"""Before the setting's name, where `prerun_command` or `postrun_command` has failed, and the run
with it: the summary is of the resources alone."""

REPORT = "last_run_report.yaml"
"""Beside the summary. Puppet writes it after that, if it writes reports at all."""

AGENT_TRACES = (
    PUPPET_PROCESS
    + PUBLIC_CONTENTS
    + rf"""
without_keys='{WITHOUT_KEYS}'
went_by_cache='{WENT_BY_CACHE[0]}
{WENT_BY_CACHE[1]}'
command_failed='{COMMAND_FAILED}'
report=${{1%/*}}/{REPORT}
# Since Puppet 7 the summary lies apart, where everybody may read it.
[ -e "$report" ] || report=${{1%/public/*}}/state/{REPORT}
"""
    + r"""
of_that_run() { [ -f "$1" ] && [ -r "$1" ] && [ -z "$(find "$2" -newer "$1")" ]; }
# On a master this is all below a directory of Puppet's account, which may put links there to what
# only root can read: the reason is text that is going to be shown.
behind_no_link() { dd if="$1" iflag=nofollow,nonblock bs=65536 count=1 2>/dev/null || :; }
reason() { stage behind_no_link "$1" | stage tr -d '\000' | stage sed "$without_keys"; }
lines_with() { grep -cF -e "$1" || [ "$?" -eq 1 ]; }
lines_in_report() { stage as_it_lies "$report" | stage lines_with "$1"; }
reported() { [ "$(lines_in_report "$1")" != 0 ]; } # whether any of the lines $1 is in the report
if [ -f "$1" ] && [ -r "$1" ]; then
    contents "$1" summary
    if of_that_run "$report" "$1"; then
        ! reported "$went_by_cache" || say cached
        for setting in prerun_command postrun_command; do
            ! reported "$command_failed$setting" || say failed "$setting"
        done
    fi
fi
[ ! -f "$2" ] || stage find "$2" -printf '6\0catalog\0%m\0%u\0%g\0%s\0%T@\0'
[ ! -e "$3" ] || say disabled "$(reason "$3")"
pid=$(pid_in "$4")
puppet_process "$pid" && say running "$pid"
"""
)
"""The script of `PuppetAgent`."""


def read_agent_state(records: Iterable[list[str]]) -> AgentState:
    """What `AGENT_TRACES` has told, among other records."""
    last_run: LastRun | None = None
    catalog: FileState | None = None
    disabled: str | None = None
    running: int | None = None
    for record in records:
        if record[0] == "summary":
            last_run = read_summary(record[-1][: LONGEST + 1])  # what is too long is not kept
        elif record[0] == "cached" and last_run is not None:
            last_run = replace(last_run, succeeded=False, cached=True)
        elif record[0] == "failed" and last_run is not None:
            last_run = replace(last_run, succeeded=False, command=record[1])
        elif record[0] == "catalog":
            mode, owner, group, size, mtime = record[1:]
            catalog = FileState(
                "f", numbers.mode(mode), owner, group, count(size), file_time(mtime)
            )
        elif record[0] == "disabled":
            disabled = record[1].rstrip("\n")
        elif record[0] == "running":
            running = count(record[1])
    return AgentState(last_run, catalog, disabled, running)


# A run reads the same summary several times, and PyYAML's parser is slow.
@cache
def read_summary(text: str) -> LastRun | None:
    """Puppet's `last_run_summary.yaml`; None if it says nothing of a run, or of one at no time.

    A run succeeded if it had a catalog (`version: config:` has a value, which is empty where a
    site's `config_version` prints nothing) and no resource failed, or failed to restart, for which
    Puppet's own status of the run says 4 as well.
    """
    try:
        summary = read_plain_yaml(text)
    except UnreadableError:
        return None
    if not isinstance(summary, dict):
        return None
    time = _section(summary, "time").get("last_run")
    if not isinstance(time, (int, float)) or not is_moment(time):
        return None
    version = _section(summary, "version").get("config")
    resources = _section(summary, "resources")
    failed = resources.get("failed") != 0 or resources.get("failed_to_restart", 0) != 0
    return LastRun(time=float(time), succeeded=version is not None and not failed)


def _section(summary: dict[object, object], name: str) -> dict[object, object]:
    section = summary.get(name)
    return section if isinstance(section, dict) else {}
