"""The images: a base of Debian's packages, and for each host one seeded as if in use."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from lab.engine import Engine, require_mmdebstrap
from lab.hosts import HOSTS, INTERNAL_CERTNAMES, Host, Service
from lab.progress import LabError, run_logged, say
from lab.state import BUILD_LOG, STATE

DIGEST_LABEL = "pe-lab.digest"
_FILES = Path(__file__).parent / "image"
_BUILD = "opt/pe-lab/build"
_CREDENTIALS = "/opt/pe-lab/credentials"
_LASTING_FILES = {
    "master": ("component", "start-puppetserver", "wait-for-services"),
    "agent": ("component", "wait-for-services", "wait-for-run"),
}
_SEED_FILES = {
    "master": ("seed.sh", "make_credential", "classifier-groups.json.in"),
    "agent": ("seed-agent.sh",),
}


@dataclass(frozen=True)
class Base:
    """A base image: a release of Debian and packages of it."""

    name: str
    suite: str
    packages: tuple[str, ...]


HOSTS_BASE = Base(
    "base",
    "bullseye",
    (
        "ca-certificates",
        "iproute2",
        "openssh-server",
        "openssl",
        "procps",
        "puppet",
        "sudo",
        "systemd",
        "systemd-sysv",
    ),
)
_PULL_TIMEOUT = 120
_BASE_TIMEOUT = 900
_SETUP_TIMEOUT = 120
_SEED_TIMEOUT = 600


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        digest.update(b"%d:%s" % (len(raw), raw))
    return digest.hexdigest()[:12]


def _render(template: str, service: Service) -> bytes:
    suffix = ".service" if template == "service.in" else ""
    values = {
        "name": service.name,
        "description": service.description,
        "start": service.start,
        "pidfile": service.pidfile,
        "after": " ".join(name + suffix for name in service.after),
    }
    return Template((_FILES / template).read_text()).substitute(values).encode()


def _host_files(host: Host) -> dict[str, tuple[int, bytes]]:
    """Everything that the lab puts into a host's image: path below / to mode and content."""
    files = {}
    for name in _LASTING_FILES[host.role]:
        files[f"opt/pe-lab/{name}"] = (0o755, (_FILES / name).read_bytes())
    for name in ("setup.sh", "configure", *_SEED_FILES[host.role]):
        files[f"{_BUILD}/{name}"] = (0o755, (_FILES / name).read_bytes())
    if host.role == "master":
        manifest = "etc/puppetlabs/puppet/environments/production/manifests/site.pp"
        files[manifest] = (0o644, (_FILES / "site.pp").read_bytes())
    if host.service_manager == "init":
        files["opt/pe-lab/init"] = (0o755, (_FILES / "init").read_bytes())
    for service in host.services:
        if host.service_manager == "systemd":
            path = f"etc/systemd/system/{service.name}.service"
            files[path] = (0o644, _render("service.in", service))
        else:
            path = f"etc/init.d/{service.name}"
            files[path] = (0o755, _render("init-script.in", service))
    return files


def own_name_options(host: Host) -> list[str]:
    """A host finds itself under each of its names, whatever network it is on."""
    return [f"--add-host={name}:127.0.0.1" for name in host.own_names]


def base_tag(base: Base) -> str:
    """The name of a base image."""
    return f"pe-lab/{base.name}:{_digest(base.suite, *base.packages)}"


def image_digest(host: Host) -> str:
    """Stands for all that goes into a host's image: another digest, another image."""
    files = map(str, sorted(_host_files(host).items()))
    code = Path(__file__).read_bytes()
    # An agent's credential comes from its master's image, which has one for each agent it knows.
    master = image_digest(HOSTS[host.master]) if host.master else repr(host.agents)
    return _digest(base_tag(HOSTS_BASE), repr(host), master, *INTERNAL_CERTNAMES, code, *files)


def image_tag(host: Host) -> str:
    """The name of the host's seeded image."""
    return f"pe-lab/{host.name}:{image_digest(host)}"


@contextmanager
def _build_container(engine: Engine, name: str, image: str, *options: str) -> Iterator[str]:
    container = f"pe-lab-build-{name}-{os.getpid()}"
    settings = ("--name", container, *engine.limits(), *options)
    try:
        engine.run("run", "-d", *settings, image, "sleep", "infinity")
        yield container
    finally:
        engine.remove_container(container)


def _base_from_registry(engine: Engine, base: Base) -> bool:
    """Make the base from the registry's image of Debian; False if no registry has it for us."""
    image = f"debian:{base.suite}-slim"
    try:
        run_logged(engine.argv("pull", image), log=BUILD_LOG, label="pull", timeout=_PULL_TIMEOUT)
    except LabError:
        return False
    say(f"installing Debian's packages into the image {base.name}")
    packages = " ".join(base.packages)
    install = (
        "export DEBIAN_FRONTEND=noninteractive; apt-get -q update"
        f" && apt-get -q install -y --no-install-recommends {packages} && apt-get clean"
        " && rm -rf /var/lib/apt/lists/* /usr/sbin/policy-rc.d"
    )
    with _build_container(engine, base.name, image) as container:
        run_logged(
            engine.argv("exec", container, "sh", "-c", install),
            log=BUILD_LOG,
            label=base.name,
            timeout=_BASE_TIMEOUT,
        )
        engine.run("commit", container, base_tag(base))
    return True


def _base_from_packages(engine: Engine, base: Base) -> None:
    require_mmdebstrap(BUILD_LOG)
    say(f"no image registry answers: making the image {base.name} with mmdebstrap")
    archive = STATE / f"{base.name}.tar"
    try:
        include = f"--include={','.join(base.packages)}"
        for label, argv in (
            ("mmdebstrap", ["mmdebstrap", "--variant=minbase", include, base.suite, str(archive)]),
            ("import", engine.argv("import", str(archive), base_tag(base))),
        ):
            run_logged(argv, log=BUILD_LOG, label=label, timeout=_BASE_TIMEOUT)
    finally:
        archive.unlink(missing_ok=True)


def ensure_base(engine: Engine, base: Base = HOSTS_BASE) -> None:
    """Make a base image if it is not there."""
    if engine.inspect("image", base_tag(base)) is None and not _base_from_registry(engine, base):
        _base_from_packages(engine, base)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _agents(master: Host) -> str:
    return " ".join(
        "=".join(filter(None, (agent.certname, ",".join(agent.alt_names))))
        for agent in master.agents
    )


def _credential(engine: Engine, agent: Host) -> bytes:
    """The agent's credential, which its master's image keeps."""
    container = f"pe-lab-build-credential-{agent.name}-{os.getpid()}"
    try:
        engine.run("create", "--name", container, image_tag(HOSTS[agent.master]))
        return engine.get(container, f"{_CREDENTIALS}/{agent.certname}.tar")
    finally:
        engine.remove_container(container)


def build(engine: Engine, host: Host, master: Future[None] | None = None) -> None:
    """Make the host's image: PE's layout, then the life of a deployment in use.

    :param master: the build of an agent's master, where that is under way
    """
    environment = {
        "ROLE": host.role,
        "CERTNAME": host.certname,
        "SERVER": host.server,
        "AGENTS": _agents(host),
        "AUTOSIGNS": _yes(host.autosigns),
        "ALT_NAMES": ",".join(host.alt_names),
        "ALT_NAMES_CONFIGURED": _yes(host.alt_names_configured),
        "SERVICE_MANAGER": host.service_manager,
        "SSH_USER": host.ssh_user,
        "OPENSSL": _yes(host.openssl),
        "LEFTOVERS": _yes(host.leftovers),
        "SERVICES": " ".join(service.name for service in host.services),
        "INTERNAL_CERTNAMES": " ".join(INTERNAL_CERTNAMES),
    }
    settings = [f"--env={name}={value}" for name, value in environment.items()]
    options = [f"--hostname={host.hostname}", *own_name_options(host)]
    with _build_container(engine, host.name, base_tag(HOSTS_BASE), *options) as container:
        engine.put(container, _host_files(host))

        def carry_out(script: str, timeout: float) -> None:
            run_logged(
                engine.argv("exec", *settings, container, f"/{_BUILD}/{script}"),
                log=BUILD_LOG,
                label=f"{host.name} {script}",
                timeout=timeout,
            )

        say(f"{host.name}: making PE's layout")
        carry_out("setup.sh", _SETUP_TIMEOUT)
        if host.role == "master":
            say(f"{host.name}: seeding the CA and all credentials")
            carry_out("seed.sh", _SEED_TIMEOUT)
        else:
            if master is not None:
                master.result()
            credential = _credential(engine, host)
            engine.put(container, {f"{_BUILD}/credential.tar": (0o600, credential)})
            carry_out("seed-agent.sh", _SETUP_TIMEOUT)
        engine.run("exec", container, "rm", "-r", f"/{_BUILD}")
        command = "/sbin/init" if host.service_manager == "systemd" else "/opt/pe-lab/init"
        engine.run(
            "commit",
            f"--change=LABEL {DIGEST_LABEL}={image_digest(host)}",
            f'--change=CMD ["{command}"]',
            container,
            image_tag(host),
            timeout=_SETUP_TIMEOUT,
        )


def _remove_images(engine: Engine, repository: str, *, keep: str = "") -> None:
    """Remove the images of this name, except those that a container uses and the one to keep."""
    listed = engine.run("images", "--format", "{{.Repository}}:{{.Tag}}", repository)
    for tag in listed.stdout.decode().split():
        if not keep or not tag.endswith(keep):
            engine.run("rmi", tag, check=False)


def remove_outdated_images(engine: Engine, host: Host) -> None:
    """Remove what the host's image and its base replace."""
    _remove_images(engine, f"pe-lab/{host.name}", keep=image_tag(host))
    _remove_images(engine, "pe-lab/base", keep=base_tag(HOSTS_BASE))


def remove_images(engine: Engine, hosts: list[Host]) -> None:
    """Remove every image of the lab that no other checkout uses."""
    for repository in (
        *(f"pe-lab/{host.name}" for host in hosts),
        "pe-lab/base",
        "pe-lab/puppetdb",
    ):
        _remove_images(engine, repository)
