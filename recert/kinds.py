"""What differs between kinds of hosts in what a person is told of them: what is typed there, and
where things lie. What a run itself types is `procedures.platforms` and `operations.hands`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recert.deployments.model import Delivery, Messaging
from recert.pasted import for_cmd, for_sh, word
from recert.report import Role


@dataclass(frozen=True)
class HostKind:
    """One of them.

    `roles`: of the hosts of that kind in reports. `start`: what to do about a service that does not
    run, and `end` about one that hangs on its way. `remove`: removes a file.
    `orchestration_log`: where a node writes what becomes of it in orchestration, and `delivered`
    the directories that Puppet runs deliver credentials to: by the site's table, and by where the
    vendor keeps credentials on that host.
    """

    roles: tuple[Role, ...]
    start: Callable[[str], str]
    end: Callable[[str], str]
    remove: Callable[[str], str]
    orchestration_log: Callable[[Messaging, tuple[str, ...]], str]
    delivered: Callable[[Delivery, tuple[str, ...]], tuple[str, ...]]


def _with_service(service: str) -> str:
    return f"service {word(service)} start; if it stops again, look into its log"


def _with_net(service: str) -> str:
    plain = word(service) == service
    command = f"net start {service}" if plain else for_cmd("net start", service)
    return f"{command}; if it stops again, look into the event log"


POSIX_HOST = HostKind(
    roles=(Role.MASTER, Role.AGENT),
    start=_with_service,
    end=_with_service,
    remove=lambda path: for_sh("rm", path),
    orchestration_log=lambda messaging, _: messaging.log,
    delivered=lambda delivery, _: delivery.places,
)

WINDOWS_HOST = HostKind(
    roles=(Role.WINDOWS_AGENT,),
    start=_with_net,
    end=lambda service: (
        f"sc queryex {service} names its process: taskkill /F /PID …, then net start {service}"
    ),
    remove=lambda path: for_cmd("del", path),
    orchestration_log=lambda messaging, places: (
        f"{places[0]}/var/log/{messaging.log.rpartition('/')[2]}"
    ),
    delivered=lambda _, places: places,
)

_BY_ROLE = {role: kind for kind in (POSIX_HOST, WINDOWS_HOST) for role in kind.roles}


def kind_of(role: Role) -> HostKind:
    """What a host is that has that part to play."""
    return _BY_ROLE[role]
