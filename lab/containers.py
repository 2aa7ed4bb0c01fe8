"""The running lab: containers started from the seeded images, and put back to them."""

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from lab import state
from lab.engine import COMMAND_TIMEOUT, Engine, find_engine, obtain_engine
from lab.hosts import HOSTS, SERVICES, Host
from lab.images import (
    DIGEST_LABEL,
    build,
    ensure_base,
    image_digest,
    image_tag,
    own_name_options,
    remove_images,
    remove_outdated_images,
)
from lab.progress import LabError, say
from lab.state import HostInfo

_NETWORK = f"pe-lab-{state.CHECKOUT}"
_ADDRESS = "127.0.0.1"
_FIRST_PORT = 22100
_PORTS = 800
_READY_TIMEOUT = 60
_SSH_TIMEOUT = 20


@dataclass(frozen=True)
class HostStatus:
    """What `status` tells of a host."""

    state: str
    services_down: str
    ssh: str


def _container(host: Host) -> str:
    return f"pe-lab-{state.CHECKOUT}-{host.name}"


def _chosen(names: Sequence[str]) -> list[Host]:
    unknown = [name for name in names if name not in HOSTS]
    if unknown:
        raise LabError(f"no such host: {', '.join(unknown)}; there are {', '.join(HOSTS)}")
    return [HOSTS[name] for name in names or HOSTS]


def _info(name: str) -> HostInfo:
    _chosen([name])
    try:
        return state.hosts()[name]
    except KeyError:
        raise LabError(f"{name} is not up: run `python3 -m lab up {name}`") from None


def _up_to_date(engine: Engine, host: Host) -> bool:
    """Whether the host runs, from the image that today's build would give, and is on record."""
    found = engine.inspect("container", _container(host))
    return (
        found is not None
        and found["State"]["Running"]
        and found["Config"]["Labels"].get(DIGEST_LABEL) == image_digest(host)
        and host.name in state.hosts()
    )


def _free_port(taken: set[int]) -> int:
    # Each checkout begins elsewhere: the port of another one's host is free while that is reset.
    begin = int(state.CHECKOUT, 16) % _PORTS
    for number in range(_PORTS):
        port = _FIRST_PORT + (begin + number) % _PORTS
        if port in taken:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_ADDRESS, port))
            return port
    raise LabError(f"no free port for SSH from {_FIRST_PORT} to {_FIRST_PORT + _PORTS - 1}")


def _wait_for_ssh(host: Host, port: int) -> None:
    end = time.monotonic() + _SSH_TIMEOUT
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection((_ADDRESS, port), timeout=2) as connection:
            if connection.recv(4) == b"SSH-":
                return
        time.sleep(0.1)
    raise LabError(
        f"{host.name}: no SSH server answers on {_ADDRESS}:{port} within {_SSH_TIMEOUT} s"
    )


def _wait_for_services(engine: Engine, host: Host) -> None:
    down = _services_down(engine, host, _READY_TIMEOUT)
    if down:
        raise LabError(
            f"{host.name}: not running after {_READY_TIMEOUT} s: {down};"
            f" look with `python3 -m lab exec {host.name} service NAME status`"
        )


def _services_down(engine: Engine, host: Host, seconds: int) -> str:
    """The services that still do not run after so many seconds."""
    names = [service.name for service in SERVICES]
    wait = ("exec", _container(host), "/opt/pe-lab/wait-for-services", str(seconds), *names)
    done = engine.run(*wait, check=False, timeout=seconds + COMMAND_TIMEOUT)
    if done.returncode not in (0, 1):
        why = done.stderr.decode(errors="replace").strip()
        raise LabError(f"{host.name}: its services cannot be asked: {why}")
    return done.stdout.decode().strip()


def _start(engine: Engine, host: Host, port: int, public_key: bytes) -> HostInfo:
    """Start the host from its seeded image, whatever was there before, and wait for it."""
    container = _container(host)
    engine.remove_container(container)
    engine.run(
        "create",
        f"--name={container}",
        f"--hostname={host.hostname}",
        f"--network={_NETWORK}",
        f"--network-alias={host.certname}",
        f"--publish={_ADDRESS}:{port}:22",
        *own_name_options(host),
        *engine.limits(),
        *engine.create_options(host),
        image_tag(host),
    )
    engine.put(container, {"etc/ssh/lab_authorized_keys": (0o644, public_key)})
    engine.run("start", container)
    _wait_for_services(engine, host)
    _wait_for_ssh(host, port)
    kind, key = engine.get(container, "/etc/ssh/ssh_host_ed25519_key.pub").decode().split()[:2]
    return HostInfo(
        ssh_hostname=_ADDRESS,
        ssh_port=port,
        ssh_user=host.ssh_user,
        service_manager=host.service_manager,
        certname=host.certname,
        container=container,
        host_key=f"{kind} {key}",
    )


def _start_all(engine: Engine, chosen: Sequence[Host]) -> None:
    if engine.run("network", "inspect", _NETWORK, check=False).returncode != 0:
        engine.run("network", "create", _NETWORK)
    known = state.hosts()
    ports = {name: info["ssh_port"] for name, info in known.items()}
    for host in chosen:
        if host.name not in ports:
            ports[host.name] = _free_port(set(ports.values()))
        # Off the record until it is in service: a start that failed is not a host that is up.
        known.pop(host.name, None)
    state.save_hosts(known)
    public_key = state.public_key()
    say(f"starting {', '.join(host.name for host in chosen)}")
    with ThreadPoolExecutor() as pool:
        started = pool.map(lambda host: _start(engine, host, ports[host.name], public_key), chosen)
        for host, info in zip(chosen, started, strict=True):
            known[host.name] = info
            state.save_hosts(known)
            say(f"{host.name}: all services run, SSH on {info['ssh_hostname']}:{info['ssh_port']}")


def _build_missing(engine: Engine, chosen: Sequence[Host]) -> list[Host]:
    """Build the images that are not there, side by side, and say whose they are."""
    missing = [host for host in chosen if engine.inspect("image", image_tag(host)) is None]
    if not missing:
        return []
    say(f"building the images of {', '.join(host.name for host in missing)} with {engine.program}")
    state.BUILD_LOG.write_text("")
    ensure_base(engine)
    with ThreadPoolExecutor() as pool:
        for _ in pool.map(lambda host: build(engine, host), missing):
            pass
    say("images built")
    return missing


def _renew(engine: Engine, chosen: Sequence[Host]) -> None:
    """Put the hosts to their seeded state."""
    if not chosen:
        return
    built = _build_missing(engine, chosen)
    _start_all(engine, chosen)
    # Not earlier: the containers that were replaced held on to theirs.
    for host in built:
        remove_outdated_images(engine, host)


def up(names: Sequence[str] = ()) -> None:
    """Build what is missing and start what is not running; all hosts if none is named."""
    chosen = _chosen(names)
    with state.locked():
        engine = obtain_engine(state.BUILD_LOG)
        _renew(engine, [host for host in chosen if not _up_to_date(engine, host)])


def reset(name: str) -> None:
    """Put a host back to its seeded state; ends when its services are up and SSH answers."""
    chosen = _chosen([name])
    with state.locked():
        _renew(obtain_engine(state.BUILD_LOG), chosen)


def down(*, images: bool = False) -> None:
    """Remove the containers and the network, and on request the images."""
    with state.locked():
        engine = find_engine()
        for host in HOSTS.values():
            engine.remove_container(_container(host))
        engine.run("network", "rm", _NETWORK, check=False)
        state.save_hosts({})
        if images:
            remove_images(engine, list(HOSTS.values()))
    say("the lab is down")


def status() -> dict[str, HostStatus]:
    """The state of every host, by name."""
    engine = find_engine()
    known = state.hosts()
    result = {}
    for host in HOSTS.values():
        found = engine.inspect("container", _container(host))
        if found is None or not found["State"]["Running"] or host.name not in known:
            result[host.name] = HostStatus("down", "", "")
            continue
        info = known[host.name]
        result[host.name] = HostStatus(
            "up" if _up_to_date(engine, host) else "outdated",
            _services_down(engine, host, 0),
            f"{info['ssh_user']}@{info['ssh_hostname']}:{info['ssh_port']}",
        )
    return result


def run(
    name: str, command: str | Sequence[str], *, check: bool = True, timeout: float = COMMAND_TIMEOUT
) -> "subprocess.CompletedProcess[str]":
    """Run a command (a string: by sh) as root inside a host, past SSH."""
    argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
    done = find_engine().run("exec", _info(name)["container"], *argv, check=False, timeout=timeout)
    stdout, stderr = (output.decode(errors="replace") for output in (done.stdout, done.stderr))
    if check and done.returncode != 0:
        raise LabError(f"{name}: {argv} ended with {done.returncode}: {stderr or stdout}")
    return subprocess.CompletedProcess(argv, done.returncode, stdout, stderr)


def ssh_argv(name: str, command: Sequence[str]) -> list[str]:
    """The command line of an SSH session with a host."""
    info = _info(name)
    options = {
        "IdentityFile": str(state.KEY),
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(state.KNOWN_HOSTS),
        "StrictHostKeyChecking": "yes",
        "Port": str(info["ssh_port"]),
    }
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return ["ssh", "-F", os.devnull, *flags, f"{info['ssh_user']}@{info['ssh_hostname']}", *command]


def exec_argv(name: str, command: Sequence[str]) -> list[str]:
    """The command line that runs a command as root inside a host, past SSH."""
    return find_engine().argv("exec", "-i", _info(name)["container"], *command)
