"""The states of services under whichever service manager a host has."""

from __future__ import annotations

from collections.abc import Mapping

from pyinfra.api import FactBase, StringCommand

from facts.script import read_records, record_script
from recert.observed import Service


def in_words(ports: Mapping[str, int]) -> str:
    """The first argument of a script with `SERVICE_FUNCTIONS`: where services usually listen. Of
    one whose init script does not know its own status that has to tell."""
    return " ".join(f"{name}:{port:04X}" for name, port in ports.items())


SERVICE_FUNCTIONS = r"""
usual_ports=$1; shift
listening() {
    port=
    for usual in $usual_ports; do [ "${usual%:*}" != "$1" ] || port=${usual##*:}; done
    [ -n "$port" ] || return 1
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -r "$table" ] && awk -v port=":$port" \
            '$4 == "0A" && $2 ~ port "$" { found = 1 } END { exit !found }' "$table" && return
    done
    return 1
}
shown() { # $2 and more of the unit $1; of one that does not exist, too
    unit=$1; shift
    said=$(systemctl show "$@" "$unit" 2>&1) || fail "systemctl cannot tell of $unit: $said"
}
loaded_unit() {
    [ -d /run/systemd/system ] || return 1
    shown "$1" -p LoadState
    case $said in (*LoadState=loaded*) return 0 ;; esac
    return 1
}
init_script() { [ -x "/etc/init.d/$1" ]; }
upstart_job() { [ -e "/etc/init/$1.conf" ] && command -v initctl >/dev/null 2>&1; }
installed() { loaded_unit "$1" || init_script "$1" || upstart_job "$1"; }
unit_runs() {
    [ -d /run/systemd/system ] || return 1
    shown "$1" -p LoadState -p ActiveState -p SubState
    case $said in (*LoadState=loaded*) ;; (*) return 1 ;; esac
    # A unit that dies and is started again and again is not running.
    case $said in
        (*SubState=auto-restart*) return 1 ;;
        (*ActiveState=active*|*ActiveState=activating*) return 0 ;;
        (*ActiveState=reloading*|*ActiveState=deactivating*) return 0 ;;
    esac
    return 1
}
running() {
    if unit_runs "$1"; then return 0; fi
    if init_script "$1"; then
        "/etc/init.d/$1" status >/dev/null 2>&1 </dev/null
        case $? in
            (0) return 0 ;;
            (3) ;;
            (*) listening "$1" && return 0 ;; # it has no status, or says nothing of use
        esac
    fi
    upstart_job "$1" || return 1
    case $(initctl status "$1" 2>/dev/null) in (*start/*) return 0 ;; esac
    return 1
}
"""
"""A service runs if any manager says so: one that was started past its manager runs, too."""


class ServiceStates(FactBase[dict[str, Service]]):
    """
    The states of some services, asked of systemd, of init scripts and of upstart.

    + ports: where they usually listen, as far as they do

    .. code:: python

        {"pe-puppet": Service.RUNNING, "pe-httpd": Service.MISSING}
    """

    def command(self, services: list[str], ports: dict[str, int] | None = None) -> StringCommand:
        return record_script(
            SERVICE_FUNCTIONS
            + r"""
for service in "$@"; do
    if ! installed "$service"; then state='not installed'
    elif running "$service"; then state=running
    else state=stopped
    fi
    say service "$service" "$state"
done
""",
            in_words(ports or {}),
            *services,
        )

    def process(self, output: list[str]) -> dict[str, Service]:
        return {record[1]: Service(record[2]) for record in read_records(output)}
