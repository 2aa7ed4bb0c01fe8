"""The hosts' images: each seeded as if in use."""

import os
import shlex
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from string import Template
from typing import Any

from lab.bases import (
    BASES,
    BUILD,
    FILES,
    PUPPETDB,
    Base,
    Files,
    base_of,
    build_container,
    digest,
    ensure_base,
)
from lab.engine import Engine
from lab.generations import CERTNAME
from lab.hosts import HOSTS, Host
from lab.progress import run_logged, say
from lab.services import KINDS, REAL, STAND_INS, Service, agent_pidfile, stand_ins
from lab.state import BUILD_LOG

DIGEST_LABEL = "pe-lab.digest"
# An agent's certificate is of the CA that one making of its master's image has.
_MASTER_LABEL = "pe-lab.master"
_PUPPETDB = "/opt/puppet/share/puppetdb"
_CREDENTIALS = "/opt/pe-lab/credentials"
_LASTING_FILES = {
    ("master", STAND_INS): (
        "component",
        "start-puppetserver",
        "wait-for-run",
        "wait-for-services",
    ),
    ("master", REAL): (
        "console-services",
        "keystore",
        "start-activemq",
        "start-httpd",
        "start-mcollective",
        "start-postgresql",
        "start-puppetdb",
        "start-puppetserver",
        "wait-for-puppetdb",
        "wait-for-services",
    ),
    ("agent", STAND_INS): ("component", "wait-for-services", "wait-for-run"),
    ("agent", REAL): ("start-mcollective", "wait-for-services", "wait-for-run"),
}
_SETUP_SCRIPTS = {
    ("master", STAND_INS): ("setup.sh",),
    ("master", REAL): ("setup.sh", "setup-orchestration.sh", "setup-services.sh"),
    ("agent", STAND_INS): ("setup.sh",),
    ("agent", REAL): ("setup.sh", "setup-orchestration.sh"),
}
_SETUP_ONLY_FILES = {("master", REAL): ("puppet5_runtime.rb",)}
_SEED_FILES = {
    "master": ("seed.sh", "make_credential", "classifier-groups.json.in"),
    "agent": ("seed-agent.sh",),
}
_SETUP_TIMEOUT = 120
_SEED_TIMEOUT = 600


def _render(template: str, service: Service) -> bytes:
    suffix = ".service" if template == "service.in" else ""
    values = {
        "name": service.name,
        "description": service.description,
        "start": service.start,
        "pidfile": service.pidfile,
        "after": " ".join(name + suffix for name in service.after),
    }
    return Template((FILES / template).read_text()).substitute(values).encode()


def _host_files(host: Host) -> Files:
    """Everything that the lab puts into a host's image: path below / to mode and content."""
    if host.windows:
        return {f"{BUILD}/seed.sh": (0o755, (FILES / "windows/seed.sh").read_bytes())}
    generation = host.generation
    files = {"opt/pe-lab/generation": (0o644, _generation(host))}
    files |= {path: (0o644, f"{said}\n".encode()) for path, said in _versions(host).items()}
    if host.kind == STAND_INS:
        components = stand_ins(host.role, generation, host.certname)
        files["opt/pe-lab/components.json"] = (0o644, components)
    for name in _LASTING_FILES[host.role, host.kind]:
        files[f"opt/pe-lab/{name}"] = (0o755, (FILES / name).read_bytes())
    scripts = (*_SETUP_SCRIPTS[host.role, host.kind], *_seed_files(host))
    for name in ("configure", *scripts, *_SETUP_ONLY_FILES.get((host.role, host.kind), ())):
        files[f"{BUILD}/{Path(name).name}"] = (0o755, (FILES / name).read_bytes())
    if host.role == "master":
        files |= _puppet_code(host)
        for _, source in (file for place in generation.places for file in place.dh):
            files[source[1:]] = (0o644, (FILES / Path(source).name).read_bytes())
    if host.service_manager == "init":
        files["opt/pe-lab/init"] = (0o755, (FILES / "init").read_bytes())
    for service in () if generation.packaged else host.services:
        if host.service_manager == "systemd":
            path = f"etc/systemd/system/{service.name}.service"
            files[path] = (0o644, _render("service.in", service))
        else:
            path = f"etc/init.d/{service.name}"
            files[path] = (0o755, _render("init-script.in", service))
    return files


def _seed_files(host: Host) -> tuple[str, ...]:
    """The script that seeds a host, and what it wants beside it."""
    if host.role == "master" and host.generation.base == "puppetserver":
        return ("puppetserver/seed.sh", "make_credential")
    return _SEED_FILES[host.role]


def _versions(host: Host) -> dict[str, str]:
    """What a host says that it is: path below / to content."""
    generation = host.generation
    versions = {generation.agent_version_file: generation.agent_version}
    if host.role == "master":
        versions[generation.version_file] = generation.version
    return {path[1:]: version for path, version in versions.items() if path}


def _generation(host: Host) -> bytes:
    """What the host's scripts are told of its generation of PE: values of a shell."""
    generation = host.generation
    master = host.role == "master"
    account = generation.accounts[0] if master else generation.agent_account
    accounts = generation.accounts if master else () if account == "root" else (account,)
    values = {
        "PACKAGED": _yes(generation.packaged),
        "CONFDIR": generation.confdir,
        "SSLDIR": generation.ssldir,
        "PROGRAMS": generation.programs,
        "LINKS": generation.links,
        "CODEDIR": generation.codedir,
        "VARDIR": generation.vardir,
        "RUNDIR": generation.rundir,
        "LOGDIR": generation.logdir,
        "CONFIGURED": " ".join(generation.configured),
        "AGENT_PIDFILE": agent_pidfile(generation),
        "CATALOGS": generation.catalogs,
        "ACCOUNT": account,
        "ACCOUNTS": " ".join(accounts),
        "LOG_DIRECTORIES": " ".join(_log_directories(host)),
    }
    if master:
        values |= {
            "SERVER_VARDIR": generation.server_vardir,
            "SERVER_PIDFILE": generation.server_pidfile,
            "SERVER_LOG": generation.server_log,
            "SERVER_STATUS": _yes(generation.server_status),
            "INTERNAL_CERTNAMES": " ".join(generation.internal_certnames),
            "PLACES": "\n".join(_places(host)),
        }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()).encode()


def _log_directories(host: Host) -> list[str]:
    """The directories in which the host's services log."""
    generation = host.generation
    if host.role == "agent":
        logs = [program.log for program in generation.agent_programs]
    else:
        logs = [generation.server_log, *(program.log for program in generation.master_programs)]
    return list(dict.fromkeys(str(Path(log).parent) for log in logs))


def _places(host: Host) -> list[str]:
    """A line for each directory of copies: itself, its account, words about it, the names of the
    credentials, and what else is there."""
    lines = []
    for place in host.generation.places:
        names = (name.replace(CERTNAME, host.certname) for name in place.trios)
        words = {"tight": place.tight, "pk8": place.pk8}
        fields = (
            place.directory,
            place.account,
            ",".join(word for word, applies in words.items() if applies),
            ",".join(names),
            ",".join(place.custom),
            ",".join(f"{source}={name}" for name, source in place.dh),
        )
        lines.append(":".join(fields))
    return lines


def _puppet_code(host: Host) -> Files:
    """The manifests, and for real services the module: path below / to mode and content."""
    production = f"{host.generation.codedir[1:]}/environments/production"
    manifests: list[str] = ["site"] if host.generation.packaged else ["site", host.kind]
    if "pxp-agent" in host.generation.agent_services:
        manifests.append("pxp-agent")
    files = {f"{production}/manifests/{name}.pp": f"manifests/{name}.pp" for name in manifests}
    if host.kind == REAL:
        module = (path for path in (FILES / "puppet_enterprise").rglob("*.*pp"))
        names = sorted(str(path.relative_to(FILES)) for path in module)
        files |= {f"{production}/modules/{name}": name for name in names}
    return {path: (0o644, (FILES / name).read_bytes()) for path, name in files.items()}


def own_name_options(host: Host) -> list[str]:
    """A host finds itself under each of its names, whatever network it is on."""
    return [f"--add-host={name}:127.0.0.1" for name in host.own_names]


def image_digest(host: Host) -> str:
    """Stands for all that goes into a host's image: another digest, another image."""
    files = map(str, sorted(_host_files(host).items()))
    code = Path(__file__).read_bytes()
    # An agent's credential comes from its master's image, which has one for each agent it knows.
    master = image_digest(host.its_master) if host.master else repr(host.agents)
    bases = [base.tag for base in _bases_of(host)]
    return digest(*bases, repr(host), repr(host.generation), master, code, *files)


def image_tag(host: Host) -> str:
    """The name of the host's seeded image."""
    return f"{_repository(host)}:{image_digest(host)}"


def is_there(engine: Engine, host: Host) -> bool:
    """Whether the host's image is, and an agent's is one of its master's."""
    found = engine.inspect("image", image_tag(host))
    return found is not None and belongs_to_master(engine, host, found)


def belongs_to_master(engine: Engine, host: Host, found: Any) -> bool:
    """Whether an agent's image, or a container of it, is of the master's image that is there; true
    of a master.

    :param found: the engine's description of it.
    """
    if not host.master:
        return True
    master = engine.inspect("image", image_tag(host.its_master))
    label = (found["Config"]["Labels"] or {}).get(_MASTER_LABEL)
    return master is not None and label == master["Id"]


def _repository(host: Host) -> str:
    return f"pe-lab/{host.name}-{host.kind}"


def _bases_of(host: Host) -> list[Base]:
    """What the host's image is built on and, after it, what it takes a program from."""
    return [base_of(host), PUPPETDB] if _stores_in_puppetdb(host) else [base_of(host)]


def _stores_in_puppetdb(host: Host) -> bool:
    return host.role == "master" and host.kind == REAL


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _keylength(host: Host) -> str:
    """Stand-ins are there to be quick, and keys of 4096 bits, Puppet's default, take long."""
    return "2048" if host.kind == STAND_INS else ""


def _agents(master: Host) -> str:
    return " ".join(
        "=".join(filter(None, (agent.certname, ",".join(agent.alt_names))))
        for agent in master.agents
    )


def _credential(engine: Engine, agent: Host) -> bytes:
    """The agent's credential, which its master's image keeps."""
    container = f"pe-lab-build-credential-{agent.name}-{agent.kind}-{os.getpid()}"
    try:
        engine.run("create", "--name", container, image_tag(agent.its_master))
        return engine.get(container, f"{_CREDENTIALS}/{agent.certname}.tar")
    finally:
        engine.remove_container(container)


def _take_puppetdb(engine: Engine, master: Host, container: str) -> None:
    """Give a master's container PuppetDB's program."""
    source = f"pe-lab-build-puppetdb-{master.name}-{os.getpid()}"
    try:
        engine.run("create", "--name", source, PUPPETDB.tag)
        engine.copy(source, _PUPPETDB, container)
    finally:
        engine.remove_container(source)


def _environment(host: Host) -> dict[str, str]:
    """What the host's scripts are told."""
    if host.windows:
        return {
            "CERTNAME": host.certname,
            "SERVER": host.server,
            "KIND": host.kind,
            "KEYLENGTH": _keylength(host),
            "VERSION": host.windows.version,
            "DATA": host.windows.data,
            "PROGRAM": host.windows.program,
        }
    return {
        "ROLE": host.role,
        "CERTNAME": host.certname,
        "SERVER": host.server,
        "AGENTS": _agents(host),
        "KEYLENGTH": _keylength(host),
        "AUTOSIGNS": _yes(host.autosigns),
        "ALT_NAMES": ",".join(host.alt_names),
        "ALT_NAMES_CONFIGURED": _yes(host.alt_names_configured),
        "SERVICE_MANAGER": host.service_manager,
        "SSH_USER": host.ssh_user,
        "OPENSSL": _yes(host.openssl),
        "SH": host.sh,
        "LOGIN_SHELL": host.login_shell,
        "OLD_SSH": _yes(host.old_ssh),
        "PUPPETDB": _yes(_stores_in_puppetdb(host)),
        "LEFTOVERS": _yes(host.leftovers),
        "SERVICES": " ".join(service.name for service in host.services),
    }


def build_all(engine: Engine, hosts: Sequence[Host]) -> None:
    """Make the images of these hosts, masters first among them, and the bases that are not there:
    side by side, and each as soon as there is what it is built on."""
    bases = {base.name: base for host in hosts for base in _bases_of(host)}
    with ThreadPoolExecutor(len(bases) + len(hosts)) as pool:
        made = {name: pool.submit(ensure_base, engine, base) for name, base in bases.items()}
        builds: dict[Host, Future[None]] = {}
        for host in hosts:
            below = [made[base.name] for base in _bases_of(host)]
            master = builds.get(host.its_master) if host.master else None
            builds[host] = pool.submit(_build, engine, host, below, master)
        for under_way in builds.values():
            under_way.result()


def _build(
    engine: Engine, host: Host, bases: Sequence[Future[None]], master: Future[None] | None
) -> None:
    """Make the host's image: PE's layout, then the life of a deployment in use.

    :param bases: the making of what it is built on.
    :param master: the build of an agent's master, where that is under way.
    """
    for base in bases:
        base.result()
    environment = _environment(host)
    settings = [f"--env={name}={value}" for name, value in environment.items()]
    options = [f"--hostname={host.hostname}", *own_name_options(host)]
    name = f"{host.name}-{host.kind}"
    with build_container(engine, name, base_of(host).tag, *options) as container:
        engine.put(container, _host_files(host))
        if _stores_in_puppetdb(host):
            engine.run("exec", container, "mkdir", "-p", str(Path(_PUPPETDB).parent))
            _take_puppetdb(engine, host, container)

        def carry_out(script: str, timeout: float) -> None:
            run_logged(
                engine.argv("exec", *settings, container, f"/{BUILD}/{script}"),
                log=BUILD_LOG,
                label=f"{name} {script}",
                timeout=timeout,
            )

        if not host.windows:
            say(f"{name}: making PE's layout")
            for script in _SETUP_SCRIPTS[host.role, host.kind]:
                carry_out(script, _SETUP_TIMEOUT)
        if host.role == "master":
            say(f"{name}: seeding the CA and all credentials")
            carry_out("seed.sh", _SEED_TIMEOUT)
        else:
            if master is not None:
                master.result()
            credential = _credential(engine, host)
            engine.put(container, {f"{BUILD}/credential.tar": (0o600, credential)})
            carry_out("seed.sh" if host.windows else "seed-agent.sh", _SETUP_TIMEOUT)
        engine.run("exec", container, "rm", "-r", f"/{BUILD}")
        command = "/sbin/init" if host.service_manager == "systemd" else "/opt/pe-lab/init"
        labels = {DIGEST_LABEL: image_digest(host)}
        if host.master:
            labels[_MASTER_LABEL] = engine.inspect("image", image_tag(host.its_master))["Id"]
        engine.run(
            "commit",
            *(f"--change=LABEL {label}={value}" for label, value in labels.items()),
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
    _remove_images(engine, _repository(host), keep=image_tag(host))
    for base in _bases_of(host):
        for tag in (base.tag, base.debian_tag):
            _remove_images(engine, tag.partition(":")[0], keep=tag)


def remove_images(engine: Engine) -> None:
    """Remove every image of the lab that no other checkout uses."""
    hosts = (host.running(kind) for host in HOSTS.values() for kind in KINDS)
    bases = [repository for base in BASES for repository in base.repositories]
    for repository in dict.fromkeys((*map(_repository, hosts), *bases)):
        _remove_images(engine, repository)
