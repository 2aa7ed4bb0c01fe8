"""The running lab: containers started from the seeded images, and put back to them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab import state
from lab.engine import Engine, find_engine, obtain_engine
from lab.hosts import HOSTS, Host, named_hosts
from lab.images import (
    DIGEST_LABEL,
    belongs_to_master,
    build_all,
    image_digest,
    is_there,
    remove_images,
    remove_outdated_images,
)
from lab.progress import say
from lab.services import KINDS, REAL, Kind, demanded_kind
from lab.starting import NETWORK, container_name, services_down, start_all


@dataclass(frozen=True)
class HostStatus:
    """What `status` tells of a host."""

    state: str
    services: str
    services_down: str
    ssh: str


def chosen_hosts(names: Iterable[str], services: Kind | None = None) -> list[Host]:
    """The hosts of these names, masters first, as they are to run.

    A master runs what is asked for, else what it runs already; an agent what its master runs.
    """
    hosts = named_hosts(list(names))
    services = services or demanded_kind()
    started = {host.name for host in hosts}
    running = {name: info["services"] for name, info in state.hosts().items()}

    def kind(master: str) -> Kind:
        now = running.get(master)
        return (services or now or REAL) if master in started else (now or services or REAL)

    return [host.running(kind(host.master or host.name)) for host in hosts]


def _with_masters(chosen: Sequence[Host]) -> list[Host]:
    """The hosts and, before them, the masters of the agents among them."""
    masters = (host.its_master for host in chosen if host.master)
    return list(dict.fromkeys((*masters, *chosen)))


def _up_to_date(engine: Engine, host: Host) -> bool:
    """Whether the host runs, from the image that today's build would give, and is on record."""
    found = engine.inspect("container", container_name(host))
    return (
        found is not None
        and found["State"]["Running"]
        and found["Config"]["Labels"].get(DIGEST_LABEL) == image_digest(host)
        and host.name in state.hosts()
        and belongs_to_master(engine, host, found)
    )


def _build_missing(engine: Engine, chosen: Sequence[Host]) -> list[Host]:
    """Build the images that are not there, side by side, and say whose they are."""
    missing = [host for host in _with_masters(chosen) if not is_there(engine, host)]
    # A master that is made anew has another CA.
    missing += [
        host
        for host in chosen
        if host.master and host.its_master in missing and host not in missing
    ]
    if not missing:
        return []
    names = dict.fromkeys(host.name for host in missing)
    say(f"building the images of {', '.join(names)} with {engine.program}")
    state.BUILD_LOG.write_text("")
    build_all(engine, missing)
    say("images built")
    return missing


def build_images(names: Sequence[str] = ()) -> None:
    """Make the images that are not there of these hosts, with either kind of services; of all hosts
    if none is named. Nothing is started."""
    hosts = named_hosts(names or list(HOSTS))
    chosen = [host.running(kind) for kind in KINDS for host in hosts]
    with state.locked(), state.building():
        engine = obtain_engine(state.BUILD_LOG)
        for host in _build_missing(engine, chosen):
            remove_outdated_images(engine, host)


def _renew(engine: Engine, chosen: Sequence[Host]) -> None:
    """Put the hosts to their seeded state."""
    if not chosen:
        return
    with state.building():
        built = _build_missing(engine, chosen)
    start_all(engine, chosen)
    # Not earlier: the containers that were replaced held on to theirs.
    for host in built:
        remove_outdated_images(engine, host)


def _engine() -> Engine:
    with state.building():
        return obtain_engine(state.BUILD_LOG)


def up(names: Sequence[str] = (), services: Kind | None = None) -> None:
    """Build what is missing and start what is not running; if no host is named, those of PE 3.7.

    An agent's master comes up with it, and so do the agents' services of the same kind: without
    `services` and PE_LAB_SERVICES those that run, else the real ones. A host that was switched off
    starts as seeded.
    """
    names = [*names, *(host.master for host in named_hosts(names) if names and host.master)]
    with state.locked():
        chosen = chosen_hosts(names, services)
        engine = _engine()
        _renew(engine, [host for host in chosen if not _up_to_date(engine, host)])


def reset(*names: str, services: Kind | None = None) -> None:
    """Put hosts back to their seeded state, side by side; if none is named, those of PE 3.7.

    Ends when their services are up, SSH answers, and the agents' first run of Puppet is over.
    Agents without their master keep to its kind of services, whatever is asked for.
    """
    with state.locked():
        _renew(_engine(), chosen_hosts(names, services))


def down(*, images: bool = False) -> None:
    """Remove the containers and the network, and on request the images."""
    with state.locked():
        engine = find_engine()
        for host in HOSTS.values():
            engine.remove_container(container_name(host))
        engine.run("network", "rm", NETWORK, check=False)
        state.save_hosts({})
        if images:
            remove_images(engine)
    say("the lab is down")


def status() -> dict[str, HostStatus]:
    """The state of every host, by name."""
    engine = find_engine()
    known = state.hosts()
    result = {}
    for name, host in HOSTS.items():
        found = engine.inspect("container", container_name(host))
        info = known.get(name)
        if found is None or info is None:
            result[name] = HostStatus("down", "", "", "")
            continue
        if not found["State"]["Running"]:
            result[name] = HostStatus("off", info["services"], "", "")
            continue
        master = known.get(host.master)
        today = host.running((master or info)["services"])
        result[name] = HostStatus(
            "up" if _up_to_date(engine, today) else "outdated",
            info["services"],
            services_down(engine, host.running(info["services"]), 0),
            f"{info['ssh_user']}@{info['ssh_hostname']}:{info['ssh_port']}",
        )
    return result
