"""Starting a host from its seeded image, and waiting until it is in service."""

import json
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_network
from pathlib import Path

from lab import state
from lab.engine import COMMAND_TIMEOUT, Engine
from lab.hosts import HOSTS, Host
from lab.images import image_tag, own_name_options
from lab.progress import LabError, say
from lab.state import HostInfo, WinRM

NETWORK = f"pe-lab-{state.LAB}"
_ADDRESS = "127.0.0.1"
_FIRST_PORT = 22100
_PORTS = 800
# In the lab's network; Podman gives others away from the lowest up.
_FIRST_ADDRESS = 200
# Seconds after which something is wrong, on however slow a machine.
_READY_TIMEOUT = 240
_SSH_TIMEOUT = 120


def container_name(host: Host) -> str:
    """The name of the host's container."""
    return f"pe-lab-{state.LAB}-{host.name}"


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


def wait_for_ssh(host: Host, port: int) -> None:
    end = time.monotonic() + _SSH_TIMEOUT
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection((_ADDRESS, port), timeout=2) as connection:
            if connection.recv(4) == b"SSH-":
                return
        time.sleep(0.1)
    raise LabError(
        f"{host.name}: no SSH server answers on {_ADDRESS}:{port} within {_SSH_TIMEOUT} s"
    )


def wait_for_services(engine: Engine, host: Host) -> None:
    down = services_down(engine, host, _READY_TIMEOUT)
    if not down:
        return
    problem = (
        f"{host.name}: not running after {_READY_TIMEOUT} s: {down};"
        f" look with `python3 -m lab exec {host.name} service NAME status`"
    )
    if host.master:
        problem += (
            "; it came up as it was seeded, and if its master has another CA by now,"
            f" put both back: `python3 -m lab reset {host.master} {host.name}`"
        )
    raise LabError(problem)


def services_down(engine: Engine, host: Host, seconds: int) -> str:
    """The services that still do not run after so many seconds."""
    names = [service.name for service in host.services]
    wait = ("exec", container_name(host), "/opt/pe-lab/wait-for-services", str(seconds), *names)
    done = engine.run(*wait, check=False, timeout=seconds + COMMAND_TIMEOUT)
    down = done.stdout.decode().strip()
    if done.returncode not in (0, 1) or (done.returncode == 1 and not down):
        why = done.stderr.decode(errors="replace").strip()
        raise LabError(f"{host.name}: its services cannot be asked: {why}")
    return down


def _wait_for_first_run(engine: Engine, host: Host) -> None:
    """Let the daemon's run end: while it lasts, Puppet refuses any other run on the host."""
    wait = ("exec", container_name(host), "/opt/pe-lab/wait-for-run", str(_READY_TIMEOUT))
    if engine.run(*wait, check=False, timeout=_READY_TIMEOUT + COMMAND_TIMEOUT).returncode != 0:
        raise LabError(f"{host.name}: no run of Puppet came to an end within {_READY_TIMEOUT} s")


def _start(
    engine: Engine,
    host: Host,
    ports: Mapping[str, int],
    public_keys: Mapping[Path, bytes],
    master: Future[HostInfo] | None,
) -> HostInfo:
    """Start the host from its seeded image, whatever was there before, and wait for it.

    :param ports: of the machine that the lab is on, for each of the host's
    :param public_keys: by the files of the private ones
    :param master: the start of an agent's master, where that is under way
    """
    container = container_name(host)
    engine.remove_container(container)
    created = engine.run(
        "create",
        f"--name={container}",
        f"--hostname={host.hostname}",
        *_network_options(engine, host),
        *(f"--publish={_ADDRESS}:{ports[name]}:{inside}" for name, inside in host.ports.items()),
        *own_name_options(host),
        *engine.limits(),
        *engine.create_options(host),
        image_tag(host),
    )
    ssh_key = state.RSA_KEY if host.old_ssh else state.KEY
    engine.put(container, {"etc/ssh/lab_authorized_keys": (0o644, public_keys[ssh_key])})
    if host.windows:
        engine.put(container, {"etc/pe-lab/winrm-users.json": (0o600, _winrm_users(host))})
    if master is not None:
        master.result()
    engine.run("start", container)
    wait_for_services(engine, host)
    wait_for_ssh(host, ports["ssh"])
    if host.role == "agent":
        _wait_for_first_run(engine, host)
    host_key = f"/etc/ssh/ssh_host_{'rsa' if host.old_ssh else 'ed25519'}_key.pub"
    kind, key = engine.get(container, host_key).decode().split()[:2]
    info = HostInfo(
        ssh_hostname=_ADDRESS,
        ssh_port=ports["ssh"],
        ssh_user=host.ssh_user,
        service_manager=host.service_manager,
        services=host.kind,
        role=host.role,
        certname=host.certname,
        server=host.server,
        container=container,
        container_id=created.stdout.decode().strip(),
        host_key=f"{kind} {key}",
        boot=secrets.token_hex(8),
        ssh_key=str(ssh_key),
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


def _network_options(engine: Engine, host: Host) -> list[str]:
    """How a host is called by the others, and finds them.

    Podman has one process that answers for the names of all its networks, which is away for a
    moment when any of them comes or goes: there each host has its own address, and knows the
    others'.
    """
    options = [f"--network={NETWORK}", f"--network-alias={host.certname}"]
    if engine.program != "podman":
        return options
    found = json.loads(engine.run("network", "inspect", NETWORK).stdout)
    network = ip_network(found[0]["subnets"][0]["subnet"])
    addresses = {
        other.certname: network[_FIRST_ADDRESS + n] for n, other in enumerate(HOSTS.values())
    }
    options.append(f"--ip={addresses.pop(host.certname)}")
    return [*options, *(f"--add-host={name}:{ip}" for name, ip in addresses.items())]


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


def start_all(engine: Engine, chosen: Sequence[Host]) -> None:
    if engine.run("network", "inspect", NETWORK, check=False).returncode != 0:
        engine.run("network", "create", NETWORK)
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
    public_keys = {key: state.public_key(key) for key in (state.KEY, state.RSA_KEY)}
    say(f"starting {', '.join(host.name for host in chosen)}")
    started: dict[str, Future[HostInfo]] = {}
    with ThreadPoolExecutor(len(chosen)) as pool:
        for host in chosen:
            master = started.get(host.master)
            started[host.name] = pool.submit(
                _start, engine, host, ports[host.name], public_keys, master
            )
        for name, start in started.items():
            info = start.result()
            known[name] = info
            state.save_hosts(known)
            say(f"{name}: all services run, SSH on {info['ssh_hostname']}:{info['ssh_port']}")
