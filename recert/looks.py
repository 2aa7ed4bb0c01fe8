"""What was seen of a site's hosts at one moment, as plain data for a survey's judgement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recert.backups import Manifest
from recert.ca_records import Autosign
from recert.certificates import Certificate
from recert.deployments.model import Deployment
from recert.errors import RecertError
from recert.kinds import HostKind, kind_of
from recert.observed import (
    ComponentState,
    FoundCredentials,
    Keystores,
    LastRun,
    Service,
    SslState,
)
from recert.others import Stray
from recert.report import Role
from recert.settings import Settings

NOTHING_SEEN = SslState({}, {}, {})


@dataclass(frozen=True)
class MasterSide:
    """What only a master has. `inventory`: serial number and name of every certificate that the
    CA's own list has. `manifests`: of the backups there, oldest first. `retired_keys`: digests of
    the public halves that the CA to retire has certified, and `retired_certificates` its
    certificates that it had not revoked, by name, less those that are not believed: `doubted` are
    the names of these. `autosign`: how it signs by itself."""

    components: Mapping[str, ComponentState]
    inventory: frozenset[tuple[int, str]]
    manifests: tuple[Manifest, ...] = ()
    retired_keys: frozenset[str] = frozenset()
    retired_certificates: Mapping[str, Certificate] = field(default_factory=dict)
    doubted: frozenset[str] = frozenset()
    autosign: Autosign = field(default_factory=Autosign)


@dataclass(frozen=True)
class HostLook:
    """One host. `deployment`: of its site. `why`: why nothing, or not all, could be seen.
    `not_judged`: it could be, and what was seen made a judgement over it fail.
    `clock_ahead`: seconds by which its clock is ahead of the control machine's. `disabled`: the
    reason that somebody gave for disabling its Puppet agent. `credential_places`: where PE keeps
    credentials there, besides confdir and ssldir. `names`: by which the CA and orchestration may
    know it, where its settings are not known. `stopped_by_run`: the services that a run has stopped
    and not started again. `strays`: credentials under other names than Puppet's in the directories
    that are emptied. `ports`: where a master's services listen that are configured to;
    `silent_before`: those of them that did not answer before a run stopped them. `csr_attributes`:
    the host's own file, as far as it is about extensions. `borne_out`: the inventory, or a proof,
    says that it has the certname that it says."""

    host: str
    role: Role
    deployment: Deployment
    why: str = ""
    settings: Settings | None = None
    clock_ahead: float | None = None
    ssl: SslState = NOTHING_SEEN
    found: FoundCredentials = field(default_factory=FoundCredentials)
    services: Mapping[str, Service] = field(default_factory=dict)
    last_run: LastRun | None = None
    disabled: str | None = None
    master: MasterSide | None = None
    credential_places: tuple[str, ...] = ()
    keystores: Keystores = field(default_factory=Keystores)
    names: frozenset[str] = frozenset()
    stopped_by_run: frozenset[str] = frozenset()
    strays: tuple[Stray, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    silent_before: frozenset[str] = frozenset()
    csr_attributes: tuple[str, ...] = ()
    borne_out: bool = False
    not_judged: bool = False

    @property
    def kind(self) -> HostKind:
        """How a person is told what to do there."""
        return kind_of(self.role)

    def without_judgement(self, error: Exception) -> HostLook:
        """The same host, of which nothing counts as seen."""
        return HostLook(
            self.host,
            self.role,
            self.deployment,
            why=f"what it shows cannot be judged: {error_said(error)}",
            credential_places=self.credential_places,
            names=self.identities,
            stopped_by_run=self.stopped_by_run,
            not_judged=True,
        )

    @property
    def extras(self) -> frozenset[str]:
        """What is no copy of a credential, and stays with those of a master's components."""
        if self.role is not Role.MASTER:
            return frozenset()
        components = self.deployment.master.components
        return frozenset(path for component in components for path in component.extra_paths)

    @property
    def identities(self) -> frozenset[str]:
        """By which the host may answer in orchestration: PE makes it the certname."""
        return frozenset({self.settings.certname}) if self.settings is not None else self.names


def error_said(error: Exception) -> str:
    """What a judgement that failed has said, as far as it is worth telling."""
    said = str(error) if isinstance(error, RecertError) else f"{type(error).__name__}: {error}"
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]} and so on"


_LONGEST = 500
"""Characters: what an exception says may be all that a host has written."""
