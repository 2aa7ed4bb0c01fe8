"""Puppet's settings as the host prints them, checked before anything believes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import PurePath, PurePosixPath

from recert.deployments.model import Deployment, real_name
from recert.errors import RecertError
from recert.extensions import FILE

CREDENTIAL_SETTINGS = (
    "cacert",
    "cakey",
    "cacrl",
    "capass",
    "serial",
    "signeddir",
    "csrdir",
    "certdir",
    "privatekeydir",
    "publickeydir",
    "requestdir",
    "hostcrl",
    "localcacert",
)
PATH_SETTINGS = (
    "confdir",
    "config",
    "vardir",
    "ssldir",
    "cadir",
    "client_datadir",
    "lastrunfile",
    "agent_catalog_run_lockfile",
    "agent_disabled_lockfile",
    *CREDENTIAL_SETTINGS,
)
SHARED_SETTINGS = ("certname", "ssldir", "cadir", *CREDENTIAL_SETTINGS)
"""What the agent and the CA on a master have to agree on."""
WRITTEN_BESIDE = ("capub", "caprivatedir", "cert_inventory", "privatedir", "passfile")
"""Of what Puppet writes with a CA and nothing here reads."""
OTHER_SETTINGS = (
    "certname",
    "dns_alt_names",
    "user",
    "group",
    "masterport",
    "ca",
    "keylength",
    "noop",
    "server",
    "ca_server",
    "ca_port",
    "use_srv_records",
    "autosign",
    "ca_name",
    "ca_ttl",
    "csr_attributes",
    *WRITTEN_BESIDE,
)
STARTED_WITH = (*PATH_SETTINGS, "certname", "server", "ca_server", "masterport", "ca_port")
"""Those that say with which files a node works, and with whom."""

SETTINGS = PATH_SETTINGS + OTHER_SETTINGS
GONE = frozenset({"capass", "ca", "caprivatedir"})
"""Which Puppet has no more since 6: those it prints as empty."""

_CERTNAME = re.compile(r"[A-Za-z0-9][ -.0-~]{0,252}")  # what Puppet allows, less a leading "-"
_DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_ACCOUNT = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_DURATION = re.compile(r"([0-9]{1,12})([smhdy]?)")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
_LONGEST = 1000 * _UNITS["y"]
"""Seconds. No certificate can end after the year 9999."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Settings:
    """The settings of one host; paths are absolute, `dns_alt_names` those of every section. What
    its Puppet does not know is empty."""

    certname: str
    dns_alt_names: tuple[str, ...]
    user: str
    group: str
    masterport: int
    keylength: int
    ca: bool
    noop: bool
    confdir: str
    config: str
    vardir: str
    ssldir: str
    cadir: str
    cacert: str
    cakey: str
    cacrl: str
    capass: str
    serial: str
    signeddir: str
    csrdir: str
    certdir: str
    privatekeydir: str
    publickeydir: str
    requestdir: str
    hostcrl: str
    localcacert: str
    client_datadir: str
    lastrunfile: str
    agent_catalog_run_lockfile: str
    agent_disabled_lockfile: str
    server: str = ""
    ca_server: str = ""
    ca_port: int = 0
    use_srv_records: str = "false"
    autosign: str = "false"
    ca_name: str = ""
    ca_ttl: str = ""
    csr_attributes: str = ""
    capub: str = ""
    caprivatedir: str = ""
    cert_inventory: str = ""
    privatedir: str = ""
    passfile: str = ""

    @property
    def server_names(self) -> tuple[str, ...]:
        """The names under which the host's agent looks for its master and its CA."""
        return tuple(dict.fromkeys((self.server, self.ca_server)))

    @property
    def server_ports(self) -> dict[str, int]:
        """The ports on which the host's agent asks its master and its CA, by setting."""
        return {"masterport": self.masterport, "ca_port": self.ca_port}

    @property
    def servers(self) -> list[tuple[str, int]]:
        """The names and ports of the servers that the host's agent asks."""
        asked = ((self.server, self.masterport), (self.ca_server, self.ca_port))
        return [(name, port) for name, port in dict.fromkeys(asked) if name]

    @property
    def hostcert(self) -> str:
        """The certificate that the host uses itself; Puppet's setting of that name."""
        return f"{self.certdir}/{self.certname}.pem"

    @property
    def cached_catalog(self) -> str:
        """Step 2.3."""
        return f"{self.client_datadir}/catalog/{self.certname}.json"

    def real_name(self, name: str) -> str:
        """A name from the tables of a deployment, the certname in its place."""
        return real_name(name, self.certname)

    @property
    def ssl_roots(self) -> tuple[str, ...]:
        """The directories that step 2.2 empties: ssldir, and cadir where it lies elsewhere."""
        inside = PurePosixPath(self.ssldir) in PurePosixPath(self.cadir).parents
        return (self.ssldir,) if inside else (self.ssldir, self.cadir)


def check_path(name: str, value: str) -> str:
    """`value` if it is an absolute path that is safe to name in a command.

    :raises RecertError: otherwise.
    """
    path = PurePosixPath(re.sub("/+", "/", value))
    if _CONTROL.search(value) or not path.is_absolute() or ".." in path.parts:
        raise RecertError(f"{name} is {value!r}, which is not a plain absolute path.")
    return str(path)


@dataclass(frozen=True)
class PathRules:
    """By whose rules paths are compared, and how one is checked: (setting, value) -> path."""

    flavour: type[PurePath]
    check: Callable[[str, str], str]


POSIX = PathRules(PurePosixPath, check_path)


def parse_printed(lines: list[str]) -> dict[str, str]:
    """`puppet config print A B …` as a mapping, whatever order the version prints in."""
    values = {}
    for line in lines:
        name, separator, value = line.partition(" =")
        if separator and name in SETTINGS:
            values[name] = value.strip()
    return values


def check_settings(
    agent: Mapping[str, str],
    master: Mapping[str, str],
    deployment: Deployment,
    *,
    rules: PathRules = POSIX,
) -> Settings:
    """Settings out of `puppet config print` for the sections agent and master.

    :param deployment: whose components lie outside of what is going to be emptied.
    :param rules: by which paths are written.
    :raises RecertError: a value is missing, unsafe, or different in the two sections where the
        document knows only one.
    """
    missing = [name for name in SETTINGS if name not in agent or name not in master]
    if missing:
        raise RecertError(
            f"`puppet config print` gave no value for {', '.join(missing)}. "
            "Run it on the host and mend what it complains about."
        )
    for name in SHARED_SETTINGS:
        if agent[name] != master[name]:
            raise RecertError(
                f"puppet.conf sets {name} differently for [agent] ({agent[name]}) and [master] "
                f"({master[name]}). The procedure needs one {name}: set it in [main] only."
            )
    here = [name for name in PATH_SETTINGS if agent[name] or name not in GONE]
    paths = {**dict.fromkeys(GONE & {*PATH_SETTINGS}, ""), **_checked(agent, here, rules)}
    # A Puppet that does not know it prints nothing, and earlier backups do not have it.
    attributes = master["csr_attributes"] or f"{paths['confdir']}/{FILE}"
    paths["csr_attributes"] = rules.check("csr_attributes", attributes)
    flavoured = {name: rules.flavour(path) for name, path in paths.items() if path}
    for emptied in ("ssldir", "cadir"):
        _check_safe_to_empty(emptied, flavoured, rules, deployment)
    _check_emptied(flavoured)
    return Settings(
        certname=check_certname(agent["certname"].lower()),
        dns_alt_names=tuple(
            dict.fromkeys(
                split_alt_names(agent["dns_alt_names"]) + split_alt_names(master["dns_alt_names"])
            )
        ),
        user=_check("user", master["user"], _ACCOUNT, "an account name"),
        group=_check("group", master["group"], _ACCOUNT, "a group name"),
        masterport=_number("masterport", master["masterport"], 1, 65535),
        keylength=_number("keylength", master["keylength"], 512, 16384),
        ca=master["ca"].lower() in ("true", ""),
        noop=agent["noop"].lower() == "true",
        server=agent["server"].lower(),
        ca_server=agent["ca_server"].lower(),
        ca_port=_number("ca_port", agent["ca_port"], 1, 65535),
        use_srv_records=agent["use_srv_records"].lower(),
        autosign=master["autosign"],
        ca_name=master["ca_name"],
        ca_ttl=master["ca_ttl"],
        **{n: rules.check(n, master[n]) if master[n] else "" for n in WRITTEN_BESIDE},
        **paths,
    )


def _checked(printed: Mapping[str, str], names: Iterable[str], rules: PathRules) -> dict[str, str]:
    return {name: rules.check(name, printed[name]) for name in names}


def duration(value: str) -> timedelta | None:
    """A setting like `ca_ttl`; None where Puppet has not said it.

    :raises RecertError: it is none.
    """
    if not value:
        return None
    found = _DURATION.fullmatch(value)
    seconds = int(found[1]) * _UNITS[found[2]] if found is not None else None
    if seconds is None or seconds > _LONGEST:
        raise RecertError(f"ca_ttl is {value!r}, which is no time. Correct puppet.conf.")
    return timedelta(seconds=seconds)


def stored_settings(
    values: Mapping[str, object], deployment: Deployment, *, rules: PathRules = POSIX
) -> Settings:
    """Settings out of a backup's manifest, checked as those are that Puppet prints: somebody may
    have had the backup in his hands.

    :raises RecertError: they are none that a backup would be made with.
    """
    known = {field.name: field.default for field in fields(Settings)}
    if odd := sorted(values.keys() - known.keys()):
        raise RecertError(f"the backup's settings have {odd[0]!r}, which is none")
    # Those that earlier versions did not keep have a default.
    printed = {name: default for name, default in known.items() if isinstance(default, str)}
    printed["ca_port"] = str(values.get("masterport"))  # as Puppet has it by default
    for name, value in values.items():
        if name == "dns_alt_names" and isinstance(value, (list, tuple)):
            value = ",".join(map(str, value))
        if isinstance(value, bool):
            value = str(value).lower()
        if not isinstance(value, (str, int)):
            raise RecertError(f"the backup's {name} is {value!r}")
        printed[name] = str(value)
    return check_settings(printed, printed, deployment, rules=rules)


def check_certname(value: str) -> str:
    """`value` if it can be a certname and a file name.

    :raises RecertError: otherwise.
    """
    return _check("certname", value, _CERTNAME, "a certname")


def split_alt_names(value: str) -> tuple[str, ...]:
    """The names in a `dns_alt_names` value, lower-case, each once, in their order.

    :raises RecertError: for a name that Puppet's CA would not sign (wildcards, addresses).
    """
    names = []
    for part in value.split(","):
        name = part.strip().lower()
        if not name:
            continue
        bare = name.removeprefix("dns:")
        if not _DNS_NAME.fullmatch(bare) or bare.rpartition(".")[2].isdigit():
            raise RecertError(
                f"dns_alt_names has {part.strip()!r}, which is not a DNS name that Puppet's CA "
                "signs (no wildcards, no addresses). Correct puppet.conf or the data."
            )
        names.append(bare)
    return tuple(dict.fromkeys(names))


def _check_safe_to_empty(
    name: str, paths: Mapping[str, PurePath], rules: PathRules, deployment: Deployment
) -> None:
    """Everything in this directory is going to be deleted, so nothing else may be in there."""
    emptied = paths[name]
    if len(emptied.parts) < 3:
        raise RecertError(
            f"{name} is {emptied}, too close to the root to be deleted. Correct puppet.conf."
        )
    needed = ("confdir", "config", "vardir", "client_datadir", "csr_attributes")
    others = {name: paths[name] for name in needed}
    others |= {
        f"{component.title}'s credentials": rules.flavour(component.directory)
        for seat in deployment.seats
        for component in seat.components
    }
    for other_name, other in others.items():
        if other == emptied or emptied in other.parents:
            raise RecertError(
                f"{other_name} ({other}) lies inside {name} ({emptied}), which is going to be "
                "emptied. Correct puppet.conf."
            )


def _check_emptied(paths: Mapping[str, PurePath]) -> None:
    """Step 2.2 deletes by emptying two directories; what lies elsewhere would survive it."""
    emptied = [paths[name] for name in ("ssldir", "cadir")]
    for name in [name for name in CREDENTIAL_SETTINGS if name in paths]:
        path = paths[name]
        within = [path.relative_to(root) for root in emptied if root in path.parents]
        if not within or any(part.startswith(".") for way in within for part in way.parts[:1]):
            raise RecertError(
                f"{name} ({paths[name]}) is not among what the document's `rm -rf …/*` "
                "deletes in ssldir and cadir. Set it below ssldir in puppet.conf."
            )


def _check(name: str, value: str, pattern: re.Pattern[str], what: str) -> str:
    if not pattern.fullmatch(value):
        raise RecertError(f"{name} is {value!r}, which is not {what}. Correct puppet.conf.")
    return value


def _number(name: str, value: str, least: int, most: int) -> int:
    if not (value.isascii() and value.isdigit()) or not least <= int(value) <= most:
        raise RecertError(
            f"{name} is {value!r}, not a number from {least} to {most}. Correct puppet.conf."
        )
    return int(value)
