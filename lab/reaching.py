"""Hosts that are up: commands inside them, and what befalls a host of a real site."""

import os
import subprocess
from collections.abc import Sequence

from lab import state
from lab.engine import COMMAND_TIMEOUT, find_engine
from lab.hosts import HOSTS, named_hosts
from lab.progress import LabError
from lab.starting import wait_for_services, wait_for_ssh
from lab.state import HostInfo

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


def _info(name: str) -> HostInfo:
    named_hosts([name])
    try:
        return state.hosts()[name]
    except KeyError:
        raise LabError(f"{name} is not up: run `python3 -m lab up {name}`") from None


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
        host = HOSTS[name].running(info["services"])
        wait_for_services(engine, host)
        wait_for_ssh(host, info["ssh_port"])


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
    info, engine = _info(name), find_engine()
    if privileged:
        how = ("exec", "--privileged", info["container"])
        done = engine.run(*how, *argv, check=False, timeout=timeout)
    else:
        done = engine.run_inside(info["container_id"], argv, timeout)
    stdout, stderr = (output.decode(errors="replace") for output in (done.stdout, done.stderr))
    if check and done.returncode != 0:
        raise LabError(f"{name}: {argv} ended with {done.returncode}: {stderr or stdout}")
    return subprocess.CompletedProcess(argv, done.returncode, stdout, stderr)


def ssh_argv(name: str, command: Sequence[str]) -> list[str]:
    """The command line of an SSH session with a host."""
    info = _info(name)
    options = {
        "IdentityFile": info["ssh_key"],
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(state.KNOWN_HOSTS),
        "StrictHostKeyChecking": "yes",
        "Port": str(info["ssh_port"]),
    }
    if HOSTS[name].old_ssh:
        options |= {
            "HostKeyAlgorithms": "+ssh-rsa",
            "PubkeyAcceptedAlgorithms": "+ssh-rsa",
            "KexAlgorithms": "+diffie-hellman-group14-sha1",
        }
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return ["ssh", "-F", os.devnull, *flags, f"{info['ssh_user']}@{info['ssh_hostname']}", *command]


def exec_argv(name: str, command: Sequence[str]) -> list[str]:
    """The command line that runs a command as root inside a host, past SSH."""
    return find_engine().argv("exec", "-i", _info(name)["container"], *command)
