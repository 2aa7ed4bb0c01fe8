"""The running lab: containers started from the seeded images, and put back to them."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

from lab import state
from lab.engine import COMMAND_TIMEOUT, Engine, find_engine, obtain_engine
from lab.hosts import HOSTS, Host
from lab.images import (
    DIGEST_LABEL,
    build,
    ensure_bases,
    image_digest,
    image_tag,
    own_name_options,
    remove_images,
    remove_outdated_images,
)
from lab.progress import LabError, say
from lab.state import HostInfo, WinRM

_NETWORK = f"pe-lab-{state.LAB}"
_ADDRESS = "127.0.0.1"
_FIRST_PORT = 22100
_PORTS = 800
_READY_TIMEOUT = 60
_SSH_TIMEOUT = 20
_SHUTDOWN_TIMEOUT = 20
# Rules of routing, not addresses: a master that is reset has another address. SSH comes from the
# gateway of the lab's network, and names are looked up there.
_CUT = """
set -e
gateway=$(ip route show default | cut -d' ' -f3)
network=$(ip route show scope link | cut -d' ' -f1)
ip rule add priority 10 to "$gateway" lookup main
ip rule add priority 11 to "$network" unreachable
"""
_MEND = "ip rule del priority 10 2>/dev/null; ip rule del priority 11 2>/dev/null"


@dataclass(frozen=True)
class HostStatus:
    """What `status` tells of a host."""

    state: str
    services_down: str
    ssh: str


def _container(host: Host) -> str:
    return f"pe-lab-{state.LAB}-{host.name}"


def _chosen(names: Sequence[str]) -> list[Host]:
    unknown = [name for name in names if name not in HOSTS]
    if unknown:
        raise LabError(f"no such host: {', '.join(unknown)}; there are {', '.join(HOSTS)}")
    return [host for host in HOSTS.values() if not names or host.name in names]


def _with_masters(chosen: Sequence[Host]) -> list[Host]:
    """The hosts and, before them, the masters of the agents among them."""
    names = {name for host in chosen for name in (host.name, host.master)}
    return [host for host in HOSTS.values() if host.name in names]


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
    # Each lab begins elsewhere: the port of another one's host is free while that is reset.
    begin = int(state.LAB, 16) % _PORTS
    for number in range(_PORTS):
        port = _FIRST_PORT + (begin + number) % _PORTS
        if port in taken:
            continue
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((_ADDRESS, port))
            return port
    raise LabError(f"no free port from {_FIRST_PORT} to {_FIRST_PORT + _PORTS - 1}")


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
    names = [service.name for service in host.services]
    wait = ("exec", _container(host), "/opt/pe-lab/wait-for-services", str(seconds), *names)
    done = engine.run(*wait, check=False, timeout=seconds + COMMAND_TIMEOUT)
    if done.returncode not in (0, 1):
        why = done.stderr.decode(errors="replace").strip()
        raise LabError(f"{host.name}: its services cannot be asked: {why}")
    return done.stdout.decode().strip()


def _wait_for_first_run(engine: Engine, host: Host) -> None:
    """Let the daemon's run end: while it lasts, Puppet refuses any other run on the host."""
    wait = ("exec", _container(host), "/opt/pe-lab/wait-for-run", str(_READY_TIMEOUT))
    if engine.run(*wait, check=False, timeout=_READY_TIMEOUT + COMMAND_TIMEOUT).returncode != 0:
        raise LabError(f"{host.name}: no run of Puppet came to an end within {_READY_TIMEOUT} s")


def _start(
    engine: Engine,
    host: Host,
    ports: Mapping[str, int],
    public_key: bytes,
    master: Future[HostInfo] | None,
) -> HostInfo:
    """Start the host from its seeded image, whatever was there before, and wait for it.

    :param ports: of the machine that the lab is on, for each of the host's
    :param master: the start of an agent's master, where that is under way
    """
    container = _container(host)
    engine.remove_container(container)
    engine.run(
        "create",
        f"--name={container}",
        f"--hostname={host.hostname}",
        f"--network={_NETWORK}",
        f"--network-alias={host.certname}",
        *(f"--publish={_ADDRESS}:{ports[name]}:{inside}" for name, inside in host.ports.items()),
        *own_name_options(host),
        *engine.limits(),
        *engine.create_options(host),
        image_tag(host),
    )
    engine.put(container, {"etc/ssh/lab_authorized_keys": (0o644, public_key)})
    if host.windows:
        engine.put(container, {"etc/pe-lab/winrm-users.json": (0o600, _winrm_users(host))})
    if master is not None:
        master.result()
    engine.run("start", container)
    _wait_for_services(engine, host)
    _wait_for_ssh(host, ports["ssh"])
    if host.role == "agent":
        _wait_for_first_run(engine, host)
    kind, key = engine.get(container, "/etc/ssh/ssh_host_ed25519_key.pub").decode().split()[:2]
    info = HostInfo(
        ssh_hostname=_ADDRESS,
        ssh_port=ports["ssh"],
        ssh_user=host.ssh_user,
        service_manager=host.service_manager,
        role=host.role,
        certname=host.certname,
        server=host.server,
        container=container,
        host_key=f"{kind} {key}",
    )
    if host.windows:
        certificate = engine.get(container, "/etc/pe-lab/winrm.pem")
        info["winrm"] = WinRM(
            hostname=_ADDRESS,
            http_port=ports["winrm_http"],
            https_port=ports["winrm_https"],
            password_file=str(state.PASSWORD),
            certificate_file=str(state.save_certificate(host.name, certificate)),
        )
    return info


def _winrm_users(host: Host) -> bytes:
    """The Windows accounts, as the WinRM endpoint reads them."""
    users = [
        {"name": name, "password": state.password(), "program": ["/opt/pe-lab/cmd", name]}
        for name in (host.ssh_user, "operator")
    ]
    return json.dumps(users).encode()


def _ports_of(info: HostInfo) -> dict[str, int]:
    ports = {"ssh": info["ssh_port"]}
    if "winrm" in info:
        ports["winrm_http"] = info["winrm"]["http_port"]
        ports["winrm_https"] = info["winrm"]["https_port"]
    return ports


def _start_all(engine: Engine, chosen: Sequence[Host]) -> None:
    if engine.run("network", "inspect", _NETWORK, check=False).returncode != 0:
        engine.run("network", "create", _NETWORK)
    known = state.hosts()
    ports = {name: _ports_of(info) for name, info in known.items()}
    for host in chosen:
        given = ports.setdefault(host.name, {})
        for port in host.ports.keys() - given.keys():
            given[port] = _free_port(
                {number for taken in ports.values() for number in taken.values()}
            )
        # Off the record until it is in service: a start that failed is not a host that is up.
        known.pop(host.name, None)
    state.save_hosts(known)
    public_key = state.public_key()
    say(f"starting {', '.join(host.name for host in chosen)}")
    started: dict[str, Future[HostInfo]] = {}
    with ThreadPoolExecutor(len(chosen)) as pool:
        for host in chosen:
            master = started.get(host.master)
            started[host.name] = pool.submit(
                _start, engine, host, ports[host.name], public_key, master
            )
        for name, start in started.items():
            info = start.result()
            known[name] = info
            state.save_hosts(known)
            say(f"{name}: all services run, SSH on {info['ssh_hostname']}:{info['ssh_port']}")


def _build_missing(engine: Engine, chosen: Sequence[Host]) -> list[Host]:
    """Build the images that are not there, side by side, and say whose they are."""
    missing = [
        host for host in _with_masters(chosen) if engine.inspect("image", image_tag(host)) is None
    ]
    if not missing:
        return []
    say(f"building the images of {', '.join(host.name for host in missing)} with {engine.program}")
    state.BUILD_LOG.write_text("")
    ensure_bases(engine, missing)
    builds: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(len(missing)) as pool:
        for host in missing:
            builds[host.name] = pool.submit(build, engine, host, builds.get(host.master))
        for under_way in builds.values():
            under_way.result()
    say("images built")
    return missing


def _renew(engine: Engine, chosen: Sequence[Host]) -> None:
    """Put the hosts to their seeded state."""
    if not chosen:
        return
    with state.building():
        built = _build_missing(engine, chosen)
    _start_all(engine, chosen)
    # Not earlier: the containers that were replaced held on to theirs.
    for host in built:
        remove_outdated_images(engine, host)


def _engine() -> Engine:
    with state.building():
        return obtain_engine(state.BUILD_LOG)


def up(names: Sequence[str] = ()) -> None:
    """Build what is missing and start what is not running; all hosts if none is named.

    An agent's master comes up with it. A host that was switched off starts as seeded.
    """
    chosen = _with_masters(_chosen(names))
    with state.locked():
        engine = _engine()
        _renew(engine, [host for host in chosen if not _up_to_date(engine, host)])


def reset(*names: str) -> None:
    """Put hosts back to their seeded state, side by side; all of them if none is named.

    Ends when their services are up, SSH answers, and the agents' first run of Puppet is over.
    """
    chosen = _chosen(names)
    with state.locked():
        _renew(_engine(), chosen)


def switch_off(name: str) -> None:
    """Shut a host down; its disk and its SSH port stay."""
    container = _info(name)["container"]
    with state.locked():
        find_engine().run("stop", "-t", str(_SHUTDOWN_TIMEOUT), container)


def switch_on(name: str) -> None:
    """Boot a host that was switched off; ends when its services are up and SSH answers."""
    info = _info(name)
    with state.locked():
        engine = find_engine()
        engine.run("start", info["container"])
        _wait_for_services(engine, HOSTS[name])
        _wait_for_ssh(HOSTS[name], info["ssh_port"])


def cut(name: str) -> None:
    """Cut an agent off from the lab's hosts, so that connections fail at once, but not from SSH.

    It lasts until `mend`, or until the host is switched off.
    """
    _in_network_of(name, f"{_MEND}; {_CUT}")


def mend(name: str) -> None:
    """Undo `cut`; nothing if there was none."""
    _in_network_of(name, f"{_MEND}; true")


def _in_network_of(name: str, script: str) -> None:
    info = _info(name)
    if info["role"] != "agent":
        raise LabError(f"{name} is a master: only agents are cut off")
    run(name, script, privileged=True)


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
        if found is None or host.name not in known:
            result[host.name] = HostStatus("down", "", "")
            continue
        if not found["State"]["Running"]:
            result[host.name] = HostStatus("off", "", "")
            continue
        info = known[host.name]
        result[host.name] = HostStatus(
            "up" if _up_to_date(engine, host) else "outdated",
            _services_down(engine, host, 0),
            f"{info['ssh_user']}@{info['ssh_hostname']}:{info['ssh_port']}",
        )
    return result


def run(
    name: str,
    command: str | Sequence[str],
    *,
    check: bool = True,
    timeout: float = COMMAND_TIMEOUT,
    privileged: bool = False,
) -> "subprocess.CompletedProcess[str]":
    """Run a command (a string: by sh) as root inside a host, past SSH; if privileged, it may
    mount file systems there and change the host's network."""
    argv = ["sh", "-c", command] if isinstance(command, str) else list(command)
    how = ("exec", "--privileged") if privileged else ("exec",)
    done = find_engine().run(*how, _info(name)["container"], *argv, check=False, timeout=timeout)
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
