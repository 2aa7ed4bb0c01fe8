"""The steps on an agent as commands for `sh`."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from pyinfra.api import Host
from pyinfra.api.command import PyinfraCommand, StringCommand

from facts.entering import ENTERING
from facts.puppet import PUPPET_PROCESS, PUPPET_WITHOUT_CATALOG, UTF8_LOCALE
from operations.attributes import WITH_ATTRIBUTES
from operations.backup import archiving
from operations.clearing import patterns_within
from operations.placing import PLACING
from operations.puppet_run import RUN, failure_of_run
from operations.restore import unpacking
from operations.services import SERVICE_CHANGES
from operations.signing import Heard, overheard
from operations.step import REMEMBER, LookingCommand, changing, removing
from procedures.agent import AgentFacts
from recert.backups import Backup, Manifest
from recert.freshness import CredentialPaths

Commands = Generator[PyinfraCommand, None, None]

_AWAIT_FIRST_RUN = (
    PUPPET_PROCESS
    + r"""
summary=$1 lockfile=$2 certificate=$3 begin=$4 limit=$5
known=
in_progress() { # whose process it is, is looked up once: that takes longer than all the rest
    pid=$(pid_in "$lockfile")
    if [ -n "$known" ] && [ "$pid" = "$known" ]; then kill -0 "$pid" 2>/dev/null; return; fi
    puppet_process "$pid" && known=$pid
}
started=$(date +%s)
looks=0
while :; do
    patience=$begin
    if in_progress; then patience=$limit
    elif [ -s "$certificate" ] && [ "$summary" -nt "$certificate" ]; then exit 0
    fi
    looks=$((looks + 1)) # the host has its runs to work on, and a look at the clock is a process
    [ "$((looks % 5))" -ne 0 ] || [ $(($(date +%s) - started)) -lt "$patience" ] || exit 0
    sleep 0.2 2>/dev/null || sleep 1
done
"""
)

_ASK = """
puppet agent --test --waitforcert 0 --color=false $alt_names 2>&1 </dev/null
"""

# A master that signs by itself lets Puppet go on to its first run. Everybody would have to wait
# for the slowest of those here; the proof of the renewal waits for its own.
_ASK_AND_RUN = r"""
lockfile=$1; shift
log=$(mktemp) || exit 1
trap 'rm -f "$log"; without_attributes' EXIT
apart=
command -v setsid >/dev/null 2>&1 && apart=setsid
$apart puppet agent --test --waitforcert 0 --color=false $alt_names >"$log" 2>&1 </dev/null &
asking=$!
while kill -0 "$asking" 2>/dev/null; do
    [ -s "$3" ] && [ -s "$lockfile" ] && break
    sleep 0.2 2>/dev/null || sleep 1
done
cat "$log"
"""


_STOP = (
    SERVICE_CHANGES
    + REMEMBER
    + r"""
remember "$2" stopped "$1"
stop_service "$1"
"""
)


class PosixHands:
    """For Linux and its kin."""

    def __init__(self, facts: AgentFacts) -> None:
        self._facts = facts
        self._conf = facts.settings

    def archive(self, name: str, manifest: Manifest, limit: int) -> Commands:
        yield archiving(self._facts, name, manifest, limit)

    def unpack(self, backup: Backup, limit: int) -> Commands:
        unpack = unpacking(self._facts, backup, limit)
        yield LookingCommand(unpack, self._facts.look("files", "backups"))

    def stop(self, service: str, limit: int) -> Commands:
        # The service's run may go on without it.
        facts = self._facts
        change = self._changing(_STOP, facts.listeners, service, facts.backup_root, limit=limit)
        runs_puppet = service == facts.deployment.agent.puppet
        yield self._looked_at(change) if runs_puppet else change

    def start(
        self, services: Iterable[str], later: Iterable[str], again: Iterable[str], limit: int
    ) -> Commands:
        yield self._changing(
            SERVICE_CHANGES
            + r"""
note=$1/stopped later=$2; stop_running $3; shift 3
for service in "$@"; do start_service "$service"; done
if [ -z "$later" ]; then rm -f "$note"; exit; fi
(umask 077 && printf '%s\n' "$later" >"$note.new") && mv "$note.new" "$note" ||
    fail "Cannot write to $note."
""",
            self._facts.listeners,
            self._facts.backup_root,
            "\n".join(later),
            " ".join(again),
            *services,
            limit=limit,
        )

    def empty_ssldir(self, stay: Iterable[str], limit: int) -> Commands:
        (root,) = self._facts.ssl_roots
        yield self._looking(
            ENTERING
            + r"""
root=$1; shift
[ -d "$root" ] || exit 0
for stays; do shift; set -- "$@" ! -path "$stays"; done
(
    enter "$root"
    find . -xdev -mindepth 1 ! -type d "$@" -delete
    find . -xdev -mindepth 1 -type d -delete 2>/dev/null
    left=$(find_lasting . ! -type d "$@") || fail "Nobody knows what is left in $root."
    [ -z "$left" ] || fail "These could not be removed in $root: $left"
) || exit
[ -L "$root" ] || (enter "${root%/*}"; rmdir -- "./${root##*/}") 2>/dev/null
:
""",
            root,
            *patterns_within(root, stay),
            limit=limit,
        )

    def remove(self, paths: Iterable[str], limit: int) -> Commands:
        yield from removing(self._facts.lock, paths, limit)

    def place_ca(self, pem: str | None, limit: int) -> Commands:
        conf = self._conf
        yield self._looking(
            PLACING
            + r"""
ssldir=$1 certdir=$2 path=$3 user=$4 group=$5
id "$user" >/dev/null 2>&1 && owner=$user:$group || owner=
set -- "$path"
[ -d "$certdir" ] || set -- "$certdir" "$@"
[ -d "$ssldir" ] || set -- "$ssldir" "$@"
make "$ssldir" 0771 "$owner"
make "$certdir" 0755 "$owner"
put_given() { stage given | stage put "$path" "$owner" 0644; }
whole put_given || fail "The CA's certificate could not be put to $path."
# What was there before has the label that somebody has given it.
if command -v restorecon >/dev/null 2>&1; then restorecon "$@" || :; fi
""",
            conf.ssldir,
            conf.certdir,
            conf.localcacert,
            conf.user,
            conf.group,
            stdin=pem,
            limit=limit,
        )

    def ask_for_certificate(
        self,
        own: CredentialPaths,
        signs_itself: bool,
        limit: int,
        heard: Heard,
        attributes: str = "",
        alt_names: tuple[str, ...] = (),
    ) -> Commands:
        # Its exit status says little: 1 is right as long as nobody has signed, and also where
        # the master has taken the request and then answered with an error. Puppet keeps no
        # request then.
        asking = self._looking(
            WITH_ATTRIBUTES
            + "alt_names=$1; shift\n"
            + (UTF8_LOCALE + _ASK_AND_RUN if signs_itself else PUPPET_WITHOUT_CATALOG + _ASK)
            + r"""
for file in "$@"; do if [ -s "$file" ]; then exit 0; fi; done
fail "Puppet has made neither a key nor a request; its messages are above."
""",
            self._facts.attributes_path,
            attributes,
            f"--dns_alt_names={','.join(alt_names)}" if alt_names else "",
            *([self._conf.agent_catalog_run_lockfile] if signs_itself else []),
            own.private_key,
            own.request,
            own.certificate,
            limit=limit,
        )
        yield overheard(asking, heard)

    def await_first_run(self, certificate: str, begin: int, limit: int) -> Commands:
        conf = self._conf
        waiting = self._changing(
            _AWAIT_FIRST_RUN,
            conf.lastrunfile,
            conf.agent_catalog_run_lockfile,
            certificate,
            str(begin),
            str(limit),
            limit=2 * limit,
        )
        yield self._looked_at(waiting, "services")

    def run_puppet(self, limit: int) -> Commands:
        yield self._looking(RUN, self._conf.agent_catalog_run_lockfile, str(limit), limit=2 * limit)

    def failure_of_run(self, host: Host, limit: int, options: list[str]) -> list[str]:
        return failure_of_run(self._facts, host, limit, options)

    def _looking(
        self, script: str, *arguments: str, stdin: str | None = None, limit: int
    ) -> StringCommand:
        """A change after which the agent's files are not what they were."""
        return self._looked_at(self._changing(script, *arguments, stdin=stdin, limit=limit))

    def _looked_at(self, change: StringCommand, *beside_files: str) -> StringCommand:
        return LookingCommand(change, self._facts.look("files", *beside_files))

    def _changing(
        self, script: str, *arguments: str, stdin: str | None = None, limit: int
    ) -> StringCommand:
        return changing(self._facts.lock, script, *arguments, stdin=stdin, limit=limit)
