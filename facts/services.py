"""The states of services under whichever service manager a host has."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pyinfra.api import FactBase, StringCommand

from facts.reading import READING
from facts.script import read_records, record_script
from recert.deployments.model import Endpoint
from recert.observed import Service


def in_lines(endpoints: Mapping[str, Endpoint], server: str = "", config: str = "") -> str:
    """The first argument of a script with `SERVICE_FUNCTIONS`: where services usually listen, and
    where they may be configured to. Of one whose init script does not know its own status that has
    to tell.

    :param server: the one of them that listens where Puppet's setting `masterport` says, unless its
        own configuration does, and `config` Puppet's puppet.conf.
    """
    lines = []
    for name, endpoint in endpoints.items():
        files, expression = endpoint.configured
        if name == server and _PLAIN.fullmatch(config):
            files, expression = f"{files} {config}", f"{expression}; {_MASTERPORT}"
        lines.append("%".join((name, str(endpoint.port), files, expression)))
    return "\n".join(lines)


_PLAIN = re.compile("[A-Za-z0-9_./-]+")
"""A path that is one word, and no part of a command of sed's: in a backup that somebody has had in
his hands it may be any."""

_MASTERPORT = r"s/^[[:space:]]*masterport[[:space:]]*=[[:space:]]*\([0-9]*\).*/\1/p"

SERVICE_FUNCTIONS = (
    READING
    + r"""
listeners=$1; shift
configured() { stage as_it_lies "$1" | stage sed -n "$2"; }
listening() { # whether anything listens where the service $1 is configured to, or else usually
    ports= known=
    while IFS=% read -r name usual files expression; do
        [ "$name" = "$1" ] || continue
        known=$usual
        for file in $files; do
            [ ! -f "$file" ] || ports="$ports $(configured "$file" "$expression")"
        done
    done <<END
$listeners
END
    [ -n "$known" ] || return 1
    case $ports in (*[0-9]*) ;; (*) ports=$known ;; esac
    for port in $ports; do
        case $port in (*[!0-9]*) continue ;; esac
        ! listened_to "$port" || return 0
    done
    return 1
}
listened_to() {
    address=$(printf ':%04X' "$1")
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -r "$table" ] || continue
        awk -v address="$address" \
            '$4 == "0A" && $2 ~ address "$" { found = 1 } END { exit !found }' "$table" && return
        [ "$?" -eq 1 ] || fail "awk cannot tell who listens."
    done
    return 1
}
loaded_unit() { # of a unit that does not exist systemctl tells, too
    [ -d /run/systemd/system ] || return 1
    said=$(systemctl show -p LoadState -p ActiveState -p SubState "$1" 2>&1) ||
        fail "systemctl cannot tell of $1: $said"
    case $said in (*LoadState=loaded*) return 0 ;; esac
    return 1
}
init_script() { [ -x "/etc/init.d/$1" ]; }
upstart_job() { [ -e "/etc/init/$1.conf" ] && command -v initctl >/dev/null 2>&1; }
active() { # by what was $said of the unit
    # A unit that dies and is started again and again is not running.
    case $said in
        (*SubState=auto-restart*) return 1 ;;
        (*ActiveState=active*|*ActiveState=activating*) return 0 ;;
        (*ActiveState=reloading*|*ActiveState=deactivating*) return 0 ;;
    esac
    return 1
}
running() { { loaded_unit "$1" && active; } || runs_past_systemd "$1"; }
runs_past_systemd() {
    if init_script "$1"; then
        "/etc/init.d/$1" status >/dev/null 2>&1 </dev/null
        case $? in
            (0) return 0 ;;
            (3) ;;
            (*) listening "$1" && return 0 ;; # it has no status, or says nothing of use
        esac
    fi
    upstart_job "$1" || return 1
    said=$(initctl status "$1" 2>/dev/null) || [ "$?" -eq 1 ] || fail "initctl cannot tell of $1."
    case $said in (*start/*) return 0 ;; esac
    return 1
}
"""
)
"""A service runs if any manager says so: one that was started past its manager runs, too."""


class ServiceStates(FactBase[dict[str, Service]]):
    """
    The states of some services, asked of systemd, of init scripts and of upstart.

    + listeners: see `in_lines`

    .. code:: python

        {"pe-puppet": Service.RUNNING, "pe-httpd": Service.MISSING}
    """

    def command(self, services: list[str], listeners: str = "") -> StringCommand:
        return record_script(
            SERVICE_FUNCTIONS
            + r"""
for service in "$@"; do
    state=stopped
    if loaded_unit "$service"; then ! active || state=running
    elif ! init_script "$service" && ! upstart_job "$service"; then state='not installed'
    fi
    [ "$state" != stopped ] || ! runs_past_systemd "$service" || state=running
    say service "$service" "$state"
done
""",
            listeners,
            *services,
        )

    def process(self, output: list[str]) -> dict[str, Service]:
        return {record[1]: Service(record[2]) for record in read_records(output)}
