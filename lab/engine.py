"""The container engine: which one is usable, how to get one, and where Podman and Docker differ."""

import io
import json
import os
import resource
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lab.hosts import Host
from lab.progress import LabError, run_logged, say

COMMAND_TIMEOUT = 120
_USABLE_TIMEOUT = 20
_INSTALL_TIMEOUT = 600
_PODMAN_PACKAGES = (
    "podman",
    "runc",
    "uidmap",
    "netavark",
    "aardvark-dns",
    "iptables",
    "openssh-client",
)
_BASE_PACKAGES = ("mmdebstrap", "debian-archive-keyring")
_LIMIT = 16384

# Images are built side by side, and apt-get works for one at a time.
_installing = threading.Lock()


def _tar(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, (mode, content) in files.items():
            member = tarfile.TarInfo(path)
            member.mode = mode
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    # Podman reads to the archive's end, and fails where it cannot hand on what fills a tape's block
    # after that: at some sizes always.
    return buffer.getvalue()[: archive.offset]


def _kept(
    argv: Sequence[str],
    what: str,
    stdin: bytes | None,
    timeout: float,
    environment: Mapping[str, str] | None,
) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(
            argv,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            timeout=timeout,
            env={**os.environ, **(environment or {})},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{what} did not end within {timeout:.0f} s") from error


@dataclass(frozen=True)
class Engine:
    """Podman or Docker by its command line."""

    program: str
    options: tuple[str, ...] = ()

    def argv(self, *args: str) -> list[str]:
        """The command line of an engine command."""
        return [self.program, *self.options, *args]

    def run(
        self,
        *args: str,
        check: bool = True,
        stdin: bytes | None = None,
        timeout: float = COMMAND_TIMEOUT,
        environment: Mapping[str, str] | None = None,
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run an engine command, with these variables besides, and keep its output."""
        done = _kept(self.argv(*args), f"{self.program} {args[0]}", stdin, timeout, environment)
        if check and done.returncode != 0:
            message = done.stderr.decode(errors="replace").strip()
            what = " ".join((self.program, *args[:3]))
            raise LabError(f"{what} ... ended with {done.returncode}: {message}")
        return done

    def run_inside(
        self, container_id: str, command: Sequence[str], timeout: float = COMMAND_TIMEOUT
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a command as root inside a container, however it ends, and keep its output."""
        # Where the runtime itself can be had: Podman takes a quarter of a second to go and ask it.
        for runtime in ("runc", "crun"):
            known = Path("/run") / runtime
            if self.program == "podman" and (known / container_id).exists():
                argv = [runtime, "--root", str(known), "exec", container_id, *command]
                return _kept(argv, f"{runtime} exec", None, timeout, {})
        return self.run("exec", container_id, *command, check=False, timeout=timeout)

    def inspect(self, kind: str, name: str) -> Any:
        """The engine's description of a container or an image, None if there is none."""
        done = self.run(kind, "inspect", name, check=False)
        return json.loads(done.stdout)[0] if done.returncode == 0 else None

    def remove_container(self, name: str) -> None:
        """Kill and remove a container; nothing if there is none."""
        wait = ("-t", "0") if self.program == "podman" else ()
        self.run("rm", "-f", *wait, "-v", name, check=False)

    def put(self, container: str, files: Mapping[str, tuple[int, bytes]]) -> None:
        """Write files (path below / to mode and content) as root into a container."""
        self._unpack(container, "/", _tar(files))

    def get(self, container: str, path: str) -> bytes:
        """The content of one file of a container, running or not."""
        archive = self.run("cp", f"{container}:{path}", "-").stdout
        with tarfile.open(fileobj=io.BytesIO(archive)) as members:
            for member in members:
                file = members.extractfile(member)
                if file is not None:
                    return file.read()
        raise LabError(f"{container}:{path} is not a file")

    def copy(self, source: str, path: str, target: str) -> None:
        """Copy a directory of one container to the same place in another, where its parent is."""
        archive = self.run("cp", f"{source}:{path}", "-").stdout
        self._unpack(target, str(Path(path).parent), archive)

    def _unpack(self, container: str, directory: str, archive: bytes) -> None:
        # Podman leaves what it has read from there where temporary files go.
        with tempfile.TemporaryDirectory() as scratch:
            into = f"{container}:{directory}"
            self.run("cp", "-", into, stdin=archive, environment={"TMPDIR": scratch})

    def limits(self) -> list[str]:
        """Resource limits: Podman's own wishes exceed what a nested machine may give."""
        if self.program != "podman":
            return []
        options = []
        for name, number in (("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)):
            hard = resource.getrlimit(number)[1]
            limit = _LIMIT if hard == resource.RLIM_INFINITY else min(_LIMIT, hard)
            options.append(f"--ulimit={name}={limit}:{limit}")
        return options

    def create_options(self, host: Host) -> list[str]:
        """What this engine needs to run the host's service manager as process 1."""
        systemd = host.service_manager == "systemd"
        if self.program == "podman":
            return [f"--systemd={'always' if systemd else 'false'}"]
        if systemd:
            # Docker prepares nothing for systemd, so we give it what Podman does by itself.
            return [
                "--privileged",
                "--cgroupns=host",
                "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw",
                "--tmpfs=/run:exec,mode=755",
                "--tmpfs=/run/lock",
                "--env=container=docker",
                "--stop-signal=SIGRTMIN+3",
            ]
        return []


def _podman_options() -> tuple[str, ...]:
    """crun wants control groups that are purely version 2; runc makes do with others."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    return () if unified or not shutil.which("runc") else ("--runtime", "runc")


def _complaint(program: str) -> str | None:
    """Why this engine is not usable, None if it is."""
    if not shutil.which(program):
        return "is not installed"
    try:
        done = subprocess.run(
            [program, "info"], capture_output=True, text=True, timeout=_USABLE_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired:
        return f"does not answer `{program} info` within {_USABLE_TIMEOUT} s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines() or ["it does not say why"]
    return f"is not usable: {lines[-1]}"


def _can_install() -> bool:
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def require(programs: Sequence[str], packages: Sequence[str], log: Path) -> None:
    """Have programs on this machine; root of a Debian-like one gets them from its packages.

    :raises LabError: they are not there and cannot be installed.
    """
    with _installing:
        missing = [program for program in programs if not shutil.which(program)]
        if not missing:
            return
        if not _can_install():
            raise LabError(f"{', '.join(missing)} is missing: install {' and '.join(packages)}")
        _install(packages, log)


def _install(packages: Sequence[str], log: Path) -> None:
    say(f"installing {' '.join(packages)} with apt-get")
    environment = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q"]
    environment += ["-o", "DPkg::Lock::Timeout=300"]  # seconds; the machine may be updating itself
    try:
        run_logged(
            [*environment, "update"], log=log, label="apt-get update", timeout=_INSTALL_TIMEOUT
        )
    except LabError:
        # One repository of the machine that does not answer need not be the one that we need.
        say("apt-get update failed; trying with the lists there are")
    run_logged(
        [*environment, "install", "-y", "--no-install-recommends", *packages],
        log=log,
        label="apt-get install",
        timeout=_INSTALL_TIMEOUT,
    )


@cache
def find_engine() -> Engine:
    """The usable engine of this machine."""
    podman = _complaint("podman")
    if podman is None:
        return Engine("podman", _podman_options())
    docker = _complaint("docker")
    if docker is None:
        return Engine("docker")
    raise LabError(
        f"no container engine: podman {podman}; docker {docker}.\n"
        "Install one of them and check that `podman info` or `docker info` works for this user"
        " (on Debian or Ubuntu, `python3 -m lab up` as root installs Podman)."
    )


def obtain_engine(log: Path) -> Engine:
    """The usable engine; where there is none, root of a Debian-like machine gets Podman."""
    try:
        return find_engine()
    except LabError as error:
        if shutil.which("podman") or not _can_install():
            raise
        say(str(error).splitlines()[0])
    _install(_PODMAN_PACKAGES, log)
    return find_engine()


def require_mmdebstrap(log: Path) -> None:
    """Make sure that a base image can be made from Debian's packages."""
    with _installing:
        if shutil.which("mmdebstrap"):
            return
        if not _can_install():
            raise LabError(
                "no image registry answers, and mmdebstrap, which makes the base image from"
                f" Debian's packages, is not installed. Install {' and '.join(_BASE_PACKAGES)}."
            )
        _install(_BASE_PACKAGES, log)
