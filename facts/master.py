"""A master as one pyinfra run sees it: its facts asked once, and asked again after a change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from pyinfra.api import FactBase, Host
from pyinfra.api.exceptions import DeployError

from facts.backups import Backups, BackupStore
from facts.puppet import AgentState, PuppetAgent
from facts.services import ServiceStates
from facts.ssl import ComponentDirectory, SslDirectories
from facts.tls import PresentedCertificate
from recert.altnames import AltNames
from recert.backups import Backup
from recert.certificates import Certificate, read_certificate, utc_now
from recert.freshness import CredentialPaths, Freshness, Retired
from recert.layout import (
    COMPONENTS,
    MASTER_SERVICE,
    STOP_ORDER,
    Component,
    Part,
    credential_names,
)
from recert.observed import ComponentState, Service, SslState
from recert.settings import Settings

T = TypeVar("T")


def ask(host: Host, fact: type[FactBase[T]], **arguments: Any) -> T:
    """A fact's value.

    :raises DeployError: the host did not answer; pyinfra would go on with a default.
    """
    failed_before = host in host.state.failed_hosts
    value = host.get_fact(fact, **arguments)
    if host in host.state.failed_hosts and not failed_before:
        raise DeployError(f"{host.name}: the fact {fact.name} could not be read; see above")
    return value


class MasterFacts:
    """The facts of one master, each read when first needed and kept until `forget`.

    A preview and a run are different moments: what was read for the preview is read again
    when the first operation runs.
    """

    def __init__(self, host: Host, settings: Settings, backup_root: str) -> None:
        self.host = host
        self.settings = settings
        self.backup_root = backup_root
        self._kept: dict[str, Any] = {}
        self._kept_while_executing = host.state.is_executing

    def forget(self, *names: str) -> None:
        """Drop what a change has made out of date: "ssl", "services", …, a component's directory,
        or "components" for all of them."""
        for name in names:
            if name == "components":
                self.forget(*(c.directory for c in COMPONENTS))
            self._kept.pop(name, None)

    @property
    def ssl(self) -> SslState:
        conf = self.settings
        paths = [self.paths(name) for name in credential_names(conf.certname)]
        public = [p for c in paths for p in (c.certificate, c.signed, c.public_key)]
        return self._once(
            "ssl",
            lambda: ask(
                self.host,
                SslDirectories,
                lock=conf.confdir,
                roots=list(conf.ssl_roots),
                texts=[
                    conf.cacert,
                    conf.cacrl,
                    conf.serial,
                    conf.hostcrl,
                    conf.localcacert,
                    *public,
                ],
                keys=[conf.cakey, *(c.private_key for c in paths)],
                capass=conf.capass,
                certificate_dirs=[conf.signeddir, conf.certdir],
                cacert=conf.cacert,
            ),
        )

    @property
    def components(self) -> dict[str, ComponentState]:
        return {c.directory: self._component(c) for c in COMPONENTS}

    def _component(self, component: Component) -> ComponentState:
        def read() -> ComponentState:
            return ask(
                self.host,
                ComponentDirectory,
                directory=component.directory,
                account=component.account,
                copies=[
                    (f"{component.directory}/{component.file_name(name, part)}", source)
                    for name in map(self.settings.real_name, component.credentials)
                    for part in Part
                    for source in [self.paths(name).of_part(part)]
                ],
            )

        return self._once(component.directory, read)

    @property
    def services(self) -> dict[str, Service]:
        return self._once(
            "services", lambda: ask(self.host, ServiceStates, services=list(STOP_ORDER))
        )

    @property
    def agent(self) -> AgentState:
        conf = self.settings
        return self._once(
            "agent",
            lambda: ask(
                self.host,
                PuppetAgent,
                summary=conf.lastrunfile,
                catalog=conf.cached_catalog,
                disabled=conf.agent_disabled_lockfile,
                lockfile=conf.agent_catalog_run_lockfile,
            ),
        )

    @property
    def backups(self) -> BackupStore:
        return self._once(
            "backups",
            lambda: ask(self.host, Backups, root=self.backup_root, paths=self.backup_paths),
        )

    @property
    def presented(self) -> Certificate | None:
        """What the Puppet master presents on its port; None if it does not answer."""
        pem = self._once(
            "presented",
            lambda: ask(
                self.host,
                PresentedCertificate,
                addresses=["127.0.0.1", self.settings.certname],
                port=self.settings.masterport,
            ),
        )
        return read_certificate(pem or "")

    @property
    def certificate_in_use(self) -> Certificate | None:
        """The master's own certificate in ssldir."""
        path = self.paths(self.settings.certname).certificate
        return read_certificate(self.ssl.texts.get(path, ""))

    @property
    def backup_paths(self) -> list[str]:
        """Step 2.1: the document's five directories and puppet.conf."""
        conf = self.settings
        return [*conf.ssl_roots, *(c.directory for c in COMPONENTS), conf.config]

    def freshness(self, retired: Retired, alt_names: AltNames) -> Freshness:
        """The judgement over what is there now."""
        ssl, components = self.ssl, self.components
        kept: Freshness | None = self._kept.get("freshness")
        if kept is None or kept.ssl is not ssl or kept.components != components:
            kept = Freshness(self.settings, ssl, components, retired, alt_names, utc_now())
            self._kept["freshness"] = kept
        return kept

    def paths(self, name: str) -> CredentialPaths:
        return CredentialPaths.of(self.settings, name)

    def _once(self, name: str, read: Callable[[], T]) -> T:
        executing = self.host.state.is_executing
        if executing != self._kept_while_executing:
            self._kept.clear()
            self._kept_while_executing = executing
        if name not in self._kept:
            self._kept[name] = read()
        value: T = self._kept[name]
        return value


class Procedure:
    """What the operations on a host carry out: the facts of its master, and whether it is over."""

    facts: MasterFacts

    @property
    def work_due(self) -> bool:
        """Whether anything has to be replaced, so that the services have to be stopped."""
        raise NotImplementedError

    @property
    def note_for_resuming(self) -> str:
        """A CA's fingerprint to remember as classified; empty if there is nothing to remember."""
        return ""

    @property
    def serves_old_certificate(self) -> bool:
        """Whether a running master presents another certificate than the one in ssldir."""
        presented, in_use = self.facts.presented, self.facts.certificate_in_use
        return (
            self.facts.services[MASTER_SERVICE] is Service.RUNNING
            and presented is not None
            and (in_use is None or presented.fingerprint != in_use.fingerprint)
        )


@dataclass
class Regeneration(Procedure):
    """A master whose CA is going to be retired, as the preflight found it fit to be.

    `left_behind`: certificates that nothing here brings back. `signed`: names with a
    certificate of the CA to retire. `classifier_confirmed`: the classifier said that the node
    groups are classified, which has to be remembered once it is stopped.
    """

    facts: MasterFacts
    retired: Retired
    alt_names: AltNames
    retiring_ca: Certificate | None
    signed: tuple[str, ...] = ()
    left_behind: list[str] = field(default_factory=list)
    classifier_confirmed: bool = False

    @property
    def freshness(self) -> Freshness:
        return self.facts.freshness(self.retired, self.alt_names)

    @property
    def work_due(self) -> bool:
        return bool(self.freshness.problems) or self.serves_old_certificate

    @property
    def note_for_resuming(self) -> str:
        return self.retired.fingerprint if self.classifier_confirmed else ""


@dataclass
class Restoration(Procedure):
    """A master that is going back to a backup."""

    facts: MasterFacts
    name: str

    @property
    def backup(self) -> Backup:
        return next(b for b in self.facts.backups.backups if b.name == self.name)

    @property
    def work_due(self) -> bool:
        return self.backup.differs or self.serves_old_certificate


_procedures: WeakKeyDictionary[Host, Procedure] = WeakKeyDictionary()


def begin(host: Host, procedure: Procedure) -> None:
    """Make `procedure` the one that the operations on `host` carry out."""
    _procedures[host] = procedure


def procedure_of(host: Host) -> Procedure:
    """What `begin` was given for `host`."""
    return _procedures[host]


def regeneration_of(host: Host) -> Regeneration:
    """The same, where it is a regeneration."""
    procedure = procedure_of(host)
    assert isinstance(procedure, Regeneration)
    return procedure


def restoration_of(host: Host) -> Restoration:
    """The same, where it is a restoration."""
    procedure = procedure_of(host)
    assert isinstance(procedure, Restoration)
    return procedure
