"""The nodes of a site, as PuppetDB, the CA's inventory or a list know them, in one snapshot."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

from recert.certificates import RevocationList
from recert.deployments.known import is_internal
from recert.errors import RecertError
from recert.hostkeys import keys_of
from recert.hostnames import check_host_name
from recert.settings import check_certname

VERSION = 1

OS_FACTS = ("kernel", "osfamily", "os")
"""The facts that tell Windows from Linux; `os` has the family inside, where `osfamily` is gone."""

# As Puppet's CA writes it: serial, not before, not after, subject.
_SIGNED = re.compile(r"(0x[0-9a-fA-F]+)\s+\S+\s+\S+\s+/CN=(.+)")
_TIME = re.compile(r"[0-9]{4}-[0-9TZ:.+-]{6,36}", re.ASCII)
_LINUX_FAMILIES = frozenset({"archlinux", "debian", "gentoo", "linux", "redhat", "suse"})


class System(Enum):
    """What a node runs. UNKNOWN: nobody said."""

    LINUX = "linux"
    WINDOWS = "windows"
    OTHER = "other"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Node:
    """A node by its certname; `system` as far as its source knows."""

    certname: str
    system: System = System.UNKNOWN


@dataclass(frozen=True)
class LeftOut:
    """Something that a source named and that no run is to touch, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Found:
    """What one source knows."""

    nodes: tuple[Node, ...]
    left_out: tuple[LeftOut, ...] = ()
    host_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By certname: see `recert.hostkeys`."""


@dataclass(frozen=True)
class SiteSnapshot:
    """The hosts of a site at one moment, by certname. `taken`: ISO 8601, UTC. `source`: in words.

    `unsure`: those of `agents` of which nobody said that they run Linux.
    """

    taken: str
    source: str
    master: str
    agents: tuple[str, ...]
    windows_agents: tuple[str, ...]
    unsure: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def to_json(self) -> str:
        return json.dumps({"version": VERSION, **asdict(self)}, indent=2) + "\n"

    @property
    def nodes(self) -> frozenset[str]:
        return frozenset((*self.agents, *self.windows_agents))


def read_snapshot(text: str) -> SiteSnapshot:
    """The hosts of the snapshot that `SiteSnapshot.to_json` has written; people may have edited it.
    What it says of others is for people, and is not read again.

    :raises RecertError: it is none, or of another version.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecertError(f"it is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("version") != VERSION:
        found = document.get("version") if isinstance(document, dict) else document
        raise RecertError(f"its version is {found!r}, not {VERSION}; take the snapshot again")
    agents, windows_agents = (_group(document, name) for name in ("agents", "windows_agents"))
    master = _checked(str(document.get("master")))
    names = Counter((master, *agents, *windows_agents))
    repeated = sorted(name for name, times in names.items() if times > 1)
    if repeated:
        raise RecertError(f"{', '.join(repeated)} is in it more than once")
    return SiteSnapshot(
        taken=str(document.get("taken")),
        source=str(document.get("source")),
        master=master,
        agents=agents,
        windows_agents=windows_agents,
    )


def _group(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    group = document.get(name)
    if not isinstance(group, list) or not all(isinstance(host, str) for host in group):
        raise RecertError(f"{name} is not a list of certnames")
    return tuple(_checked(host) for host in group)


def nodes_of_puppetdb(nodes: Any, facts: Any) -> Found:
    """What PuppetDB's endpoints `nodes` and `facts` (of `OS_FACTS`) have answered.

    :raises RecertError: that is not what PuppetDB answers.
    """
    known: dict[str, dict[str, Any]] = {}
    for fact in _objects(facts, "facts", ("certname", "name")):
        known.setdefault(fact["certname"].lower(), {})[fact["name"]] = fact.get("value")
    found, left_out = [], []
    for node in _objects(nodes, "nodes", ("certname",)):
        name = node["certname"].lower()
        gone = next((how for how in ("deactivated", "expired") if node.get(how)), None)
        if gone is not None:
            since = node[gone]
            told = f" since {since}" if isinstance(since, str) and _TIME.fullmatch(since) else ""
            left_out.append(LeftOut(name, f"PuppetDB has it {gone}{told}"))
        else:
            found.append(Node(name, system_of(known.get(name, {}))))
    keys = {node.certname: keys_of(known.get(node.certname, {})) for node in found}
    host_keys = {name: of_host for name, of_host in keys.items() if of_host}
    return Found(tuple(found), tuple(left_out), host_keys)


def system_of(facts: Mapping[str, Any]) -> System:
    """What a node runs, by those of `OS_FACTS` that it has reported."""
    kernel, inside = _word(facts.get("kernel")), facts.get("os")
    within = inside.get("family") if isinstance(inside, dict) else None
    family = _word(facts.get("osfamily")) or _word(within)
    if "windows" in (kernel, family):
        return System.WINDOWS
    if kernel:
        return System.LINUX if kernel == "linux" else System.OTHER
    if family:
        return System.LINUX if family in _LINUX_FAMILIES else System.OTHER
    return System.UNKNOWN


def _word(fact: object) -> str:
    return fact.lower() if isinstance(fact, str) else ""


def nodes_of_ca(inventory: str, crl: RevocationList | None = None) -> Found:
    """What the CA's own inventory.txt lists: every certificate that it has ever signed.

    :param crl: the CA's; a node whose last certificate it revokes is left out.
    :raises RecertError: the text is not such a file.
    """
    last: dict[str, int] = {}
    left_out = []
    for number, line in enumerate(inventory.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        signed = _SIGNED.fullmatch(line.strip())
        if signed is None:
            left_out.append(LeftOut(line.strip()[:200], f"line {number} is not understood"))
        elif not signed[2].startswith("Puppet CA: "):
            # The file grows at its end: what comes later is in use.
            last[signed[2].lower()] = int(signed[1], 16)
    if not last:
        raise RecertError("no certificate is listed there; it is not the inventory.txt of a CA")
    revoked = frozenset[int]() if crl is None else crl.revoked
    nodes = tuple(Node(name) for name, serial in last.items() if serial not in revoked)
    left_out += [
        LeftOut(name, f"its certificate {serial:#06x} is revoked")
        for name, serial in last.items()
        if serial in revoked
    ]
    return Found(nodes, tuple(left_out))


def nodes_of_list(text: str) -> Found:
    """One certname a line; `#` begins a remark.

    :raises RecertError: a line is none.
    """
    names: dict[str, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name = line.partition("#")[0].strip().lower()
        if not name:
            continue
        try:
            names[_checked(name)] = None
        except RecertError as error:
            raise RecertError(f"line {number}: {error}") from error
    return Found(tuple(Node(name) for name in names))


def take_snapshot(
    found: Found, *, master: str, source: str, taken: str, windows: Collection[str] = ()
) -> SiteSnapshot:
    """The nodes in the groups of an inventory, those with which nobody can work left out.

    :param windows: patterns (`win*`) of the certnames that run Windows, whatever the source says.
    :raises RecertError: no node is left, the master's name is none, or a pattern matches nothing.
    """
    master = _checked(master.lower())
    usable: dict[str, Node] = {}
    left_out = list(found.left_out)
    unmatched = set(windows)
    for node in found.nodes:
        matching = {p for p in windows if fnmatchcase(node.certname, p.lower())}
        unmatched -= matching
        if matching:
            node = replace(node, system=System.WINDOWS)
        why = _why_not(node, master)
        if why is None:
            usable[node.certname] = node
        elif node.certname != master:
            left_out.append(LeftOut(node.certname, why))
    if unmatched:
        raise RecertError(f"no node is called {' or '.join(sorted(unmatched))}")
    if not usable:
        raise RecertError(f"{source} has no node that a run could work on")
    in_order = sorted(usable.values(), key=lambda node: node.certname)
    return SiteSnapshot(
        taken=taken,
        source=source,
        master=master,
        agents=_names(node for node in in_order if node.system is not System.WINDOWS),
        windows_agents=_names(node for node in in_order if node.system is System.WINDOWS),
        unsure=_names(node for node in in_order if node.system is System.UNKNOWN),
        left_out=tuple(left_out),
    )


def _why_not(node: Node, master: str) -> str | None:
    try:
        _checked(node.certname)
    except RecertError as error:
        return str(error)
    if node.certname == master:
        return "it is the master"
    if is_internal(node.certname):
        return "it is a service of PE's, which steps 1 to 5 are about"
    if node.system is System.OTHER:
        return "it runs neither Linux nor Windows: do step 6 by hand"
    return None


def _names(nodes: Iterable[Node]) -> tuple[str, ...]:
    return tuple(node.certname for node in nodes)


def _checked(name: str) -> str:
    return check_certname(check_host_name(name))


def _objects(answer: Any, endpoint: str, required: Iterable[str]) -> list[dict[str, Any]]:
    if not isinstance(answer, list):
        raise RecertError(f"{endpoint} answered {_short(answer)}, not a list")
    for item in answer:
        if not isinstance(item, dict) or not all(isinstance(item.get(k), str) for k in required):
            raise RecertError(f"{endpoint} answered with {_short(item)}, which names no node")
    return answer


def _short(value: Any) -> str:
    try:
        text = json.dumps(value)
    except RecursionError:
        return "what is nested without end"
    return text if len(text) <= 100 else f"{text[:100]}…"
