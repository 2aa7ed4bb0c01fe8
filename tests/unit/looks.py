"""Looks at masters and agents as `tests.unit.issuing_ca` and `tests.unit.agent` make them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from recert.deployments.pe_3_7 import PE_3_7
from recert.looks import HostLook, MasterSide
from recert.observed import FileState, FoundCredentials, LastRun, Service, SslState
from recert.report import Role
from recert.survey import SiteState
from tests.unit.agent import AGENT, SERIAL, Agent
from tests.unit.issuing_ca import MADE, NOW, Master, retired

RUN = LastRun(MADE + 60, succeeded=True)


def found(
    files: Mapping[str, FileState], texts: Mapping[str, str], keys: Mapping[str, str | None]
) -> FoundCredentials:
    """What a search for credentials finds among these."""
    pems = {path: entry for path, entry in files.items() if path.endswith(".pem")}
    return FoundCredentials(
        files=pems,
        certificates={path: text for path, text in texts.items() if "BEGIN CERTIFICATE-" in text},
        keys={path: key for path, key in keys.items() if path in pems},
        pems=frozenset(path for path, entry in pems.items() if entry.size),
        backups=1,
    )


def look_at_master(master: Master, agents: Iterable[Agent] = ()) -> HostLook:
    """The look at a master that has signed for these agents."""
    for one in agents:
        signed = one.signed.get(AGENT)
        if signed is not None:
            master.write(f"{master.settings.signeddir}/{AGENT}.pem", signed)
    judged = master.judge()
    files, texts, keys = dict(master.files), dict(master.texts), dict(master.keys)
    for component in judged.installed_components:
        state = master.components[component.directory]
        files |= state.files
        for path, name, part in judged.copies(component):
            source = master.paths(name).of_part(part)
            if path in state.same:
                texts |= {path: texts[source]} if source in texts else {}
                keys |= {path: keys[source]} if source in keys else {}
    serials = {AGENT: SERIAL} | {
        name: serial for serial, name in enumerate(_own_names(master), start=2)
    }
    return HostLook(
        host="master",
        role=Role.MASTER,
        deployment=PE_3_7,
        settings=master.settings,
        clock_ahead=0.0,
        ssl=judged.ssl,
        found=found(files, texts, keys),
        services=dict.fromkeys(PE_3_7.master.stopped, Service.RUNNING),
        last_run=RUN,
        credential_places=PE_3_7.credential_places,
        master=MasterSide(
            components=dict(master.components),
            inventory=frozenset((serial, name) for name, serial in serials.items()),
        ),
    )


def look_at_agent(agent: Agent, host: str = "web01") -> HostLook:
    """The look at an agent."""
    return HostLook(
        host=host,
        role=Role.AGENT,
        deployment=PE_3_7,
        settings=agent.settings,
        clock_ahead=1.0,
        ssl=SslState(dict(agent.files), dict(agent.texts), dict(agent.keys)),
        found=found(agent.files, agent.texts, agent.keys),
        services=dict.fromkeys(PE_3_7.agent.services, Service.RUNNING),
        last_run=RUN,
        credential_places=PE_3_7.credential_places,
    )


def site(*looks: HostLook, retiring: bool = False, named: bool = True) -> SiteState:
    """A site of which these looks were taken; `named`: the CA to retire is."""
    return SiteState(
        looks=looks,
        at=NOW,
        retired=retired() if named else None,
        retiring=retiring,
        inventory_names=frozenset({AGENT}),
    )


def with_file(
    look: HostLook, path: str, text: str = "", mode: int = 0o644, key: str | None = None
) -> HostLook:
    """The same with another file: a certificate, or with the digest of its public half a key."""
    seen = look.found
    entry = FileState("f", mode, "root", "root", 1000, MADE)
    return replace(
        look,
        found=replace(
            seen,
            files={**seen.files, path: entry},
            certificates={**seen.certificates, **({path: text} if text else {})},
            keys={**seen.keys, **({path: key} if key else {})},
            pems=seen.pems | {path},
        ),
    )


def _own_names(master: Master) -> list[str]:
    certname = master.settings.certname
    prefix = f"{master.settings.certdir}/"
    return [
        certname,
        *(
            path.removeprefix(prefix).removesuffix(".pem")
            for path in master.texts
            if path.startswith(f"{prefix}pe-internal")
        ),
    ]
