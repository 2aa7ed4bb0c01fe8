"""What hosts are built on: Debian's packages, from a registry's image or with mmdebstrap."""

import hashlib
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.engine import Engine, require_mmdebstrap
from lab.hosts import Host
from lab.progress import LabError, run_logged, say
from lab.services import STAND_INS
from lab.state import BUILD_LOG, STATE

FILES = Path(__file__).parent / "image"
BUILD = "opt/pe-lab/build"
_PULL_TIMEOUT = 120
_DEBIAN_TIMEOUT = 900
_SETUP_TIMEOUT = 300

Files = dict[str, tuple[int, bytes]]


@dataclass(frozen=True)
class Base:
    """A Debian with packages, and what a script of ours makes of it."""

    name: str
    suite: str
    packages: tuple[str, ...]
    # The script below `image/` that sets APT and dpkg of a root directory up, before anything else.
    settings: str = ""
    # The script below `image/` and the files that it wants beside it.
    setup: tuple[str, ...] = ()
    # Those of `image/` that stay in /opt/pe-lab.
    lasting: tuple[str, ...] = ()

    def files(self) -> Files:
        """Everything that the lab puts into it: path below / to mode and content."""
        files = {f"{BUILD}/{Path(name).name}": _file(name) for name in self.setup}
        files |= {f"opt/pe-lab/{Path(name).name}": _file(name) for name in self.lasting}
        return files

    @property
    def debian_tag(self) -> str:
        """The name of the image that has the packages and no more."""
        settings = [_file(self.settings)[1]] if self.settings else []
        name = f"pe-lab/{self.name}-debian" if self.setup else f"pe-lab/{self.name}"
        return f"{name}:{digest(self.suite, *settings, *self.packages)}"

    @property
    def tag(self) -> str:
        """The name of the image."""
        if not self.setup:
            return self.debian_tag
        files = map(str, sorted(self.files().items()))
        return f"pe-lab/{self.name}:{digest(self.debian_tag, *files)}"

    @property
    def repositories(self) -> tuple[str, ...]:
        """The names of its images without their tags."""
        return tuple(dict.fromkeys(tag.partition(":")[0] for tag in (self.tag, self.debian_tag)))


LINUX = Base(
    name="base",
    suite="bullseye",
    packages=(
        # Programs that are short of GNU's, and every shell that a host may have as `sh`.
        "busybox",
        "ca-certificates",
        "fish",
        "iproute2",
        "ksh",
        "mksh",
        "openssh-server",
        "openssl",
        "posh",
        "procps",
        "puppet",
        "sudo",
        "systemd",
        "systemd-sysv",
        "tcsh",
        "yash",
    ),
    setup=("compile.sh",),
    lasting=("compiled.rb", "ready.rb"),
)
# For a server of Debian's own packages; its agents have all of theirs.
PACKAGED_MASTER = Base(
    name="packaged-master",
    suite="bullseye",
    packages=(*LINUX.packages, "puppet-master"),
    setup=LINUX.setup,
    lasting=LINUX.lasting,
)
PUPPETSERVER = Base(
    name="puppetserver",
    suite="bookworm",
    packages=(
        *("ca-certificates", "curl", "iproute2", "openssh-server", "openssl", "procps", "sudo"),
        *("systemd", "systemd-sysv", "puppet-agent", "puppetserver"),
    ),
    setup=("puppetserver/setup.sh", "puppetserver/compiled.clj"),
)
REAL_AGENT = Base(name="real-agent", suite="bullseye", packages=(*LINUX.packages, "mcollective"))
REAL_MASTER = Base(
    name="real-master",
    suite="bullseye",
    packages=(
        *REAL_AGENT.packages,
        "activemq",
        "apache2",
        "mcollective-client",
        "openjdk-17-jre-headless",
        "postgresql-13",
        "ruby-pg",
    ),
    settings="debian-settings.sh",
)
# Not for a host: bullseye has no PuppetDB, so a master takes its program from here.
PUPPETDB = Base(
    name="puppetdb",
    suite="bookworm",
    packages=(
        "ca-certificates",
        "postgresql",
        "procps",
        "puppet-terminus-puppetdb",
        "puppetdb",
    ),
    setup=("puppetdb/setup.sh", "puppetdb/one-jar.clj"),
    lasting=("puppetdb/start-alone",),
)
# Wine of the newest Debian, whose cmd.exe is the most faithful.
WINDOWS = Base(
    name="windows",
    suite="trixie",
    packages=(
        "ca-certificates",
        "gcc-mingw-w64-x86-64-win32",
        "iproute2",
        "mcollective",
        "openssh-server",
        "openssl",
        "procps",
        "puppet",
        "python3-pyspnego",
        "wine64",
    ),
    settings="windows/debian-settings.sh",
    setup=(
        "windows/setup.sh",
        "compile.sh",
        *(
            f"windows/{name}.c"
            for name in ("session", "boot", "ruby", "service", "sc", "icacls", "certutil")
        ),
    ),
    lasting=(
        *(
            f"windows/{name}"
            for name in (
                "cmd",
                "cmd-shell",
                "cross",
                "daemon",
                "init",
                "service",
                "wait-for-run",
                "wait-for-services",
                "windows_lists.rb",
                "windows_paths.rb",
                "wine",
            )
        ),
        "compiled.rb",
        "winrm_endpoint.py",
        "winrm_shells.py",
    ),
)


BASES = (LINUX, PACKAGED_MASTER, PUPPETSERVER, REAL_AGENT, REAL_MASTER, PUPPETDB, WINDOWS)


def base_of(host: Host) -> Base:
    """What the host's image is built on."""
    if host.windows:
        return WINDOWS
    own = next((base for base in BASES if base.name == host.generation.base), None)
    if own is not None and (host.role == "master" or own is PUPPETSERVER):
        return own
    if host.kind == STAND_INS:
        return LINUX
    return REAL_MASTER if host.role == "master" else REAL_AGENT


def digest(*parts: str | bytes) -> str:
    """Stands for all of the parts, in this order."""
    result = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        result.update(b"%d:%s" % (len(raw), raw))
    return result.hexdigest()[:12]


def _file(name: str) -> tuple[int, bytes]:
    return 0o755, (FILES / name).read_bytes()


@contextmanager
def build_container(engine: Engine, name: str, image: str, *options: str) -> Iterator[str]:
    """A container to build an image in, removed afterwards."""
    container = f"pe-lab-build-{name}-{os.getpid()}"
    settings = ("--name", container, *engine.limits(), *options)
    try:
        engine.run("run", "-d", *settings, image, "sleep", "infinity")
        yield container
    finally:
        engine.remove_container(container)


def _debian_from_registry(engine: Engine, base: Base) -> bool:
    """Make it from the registry's image of Debian; False if no registry has that for us."""
    image = f"debian:{base.suite}-slim"
    try:
        run_logged(engine.argv("pull", image), log=BUILD_LOG, label="pull", timeout=_PULL_TIMEOUT)
    except LabError:
        return False
    say(f"installing Debian's packages into {base.name} ({base.suite})")
    install = (
        "export DEBIAN_FRONTEND=noninteractive; apt-get -q update"
        f" && apt-get -q install -y --no-install-recommends {' '.join(base.packages)}"
        " && apt-get clean && rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d"
    )
    with build_container(engine, base.name, image) as container:
        if base.settings:
            engine.put(container, {f"{BUILD}/settings": _file(base.settings)})
            install = f"/{BUILD}/settings / && rm -r /{BUILD} && {install}"
        run_logged(
            engine.argv("exec", container, "sh", "-c", install),
            log=BUILD_LOG,
            label=base.name,
            timeout=_DEBIAN_TIMEOUT,
        )
        engine.run("commit", container, base.debian_tag, timeout=_SETUP_TIMEOUT)
    return True


def _debian_from_packages(engine: Engine, base: Base) -> None:
    require_mmdebstrap(BUILD_LOG)
    say(f"no image registry answers: making {base.name} ({base.suite}) with mmdebstrap")
    archive = STATE / f"{base.name}.tar"
    to = str(archive)
    options = [f"--include={','.join(base.packages)}"]
    if base.settings:
        options.append(f'--setup-hook={shlex.quote(str(FILES / base.settings))} "$1"')
    try:
        for label, argv in (
            (base.name, ["mmdebstrap", "--verbose", "--variant=minbase", *options, base.suite, to]),
            ("import", engine.argv("import", to, base.debian_tag)),
        ):
            run_logged(argv, log=BUILD_LOG, label=label, timeout=_DEBIAN_TIMEOUT)
    finally:
        archive.unlink(missing_ok=True)


def ensure_base(engine: Engine, base: Base) -> None:
    """Make the base image if it is not there."""
    if engine.inspect("image", base.tag) is not None:
        return
    if engine.inspect("image", base.debian_tag) is None and not _debian_from_registry(engine, base):
        _debian_from_packages(engine, base)
    if not base.setup:
        return
    say(f"making {base.name} of Debian ({base.suite})")
    with build_container(engine, base.name, base.debian_tag) as container:
        engine.put(container, base.files())
        run_logged(
            engine.argv("exec", container, f"/{BUILD}/{Path(base.setup[0]).name}"),
            log=BUILD_LOG,
            label=base.name,
            timeout=_SETUP_TIMEOUT,
        )
        engine.run("exec", container, "rm", "-r", f"/{BUILD}")
        engine.run("commit", container, base.tag, timeout=_SETUP_TIMEOUT)
