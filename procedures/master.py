"""A master as one pyinfra run sees it: its facts asked once, and asked again after a change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pyinfra.api import FactBase, Host
from pyinfra.api.exceptions import DeployError

from facts.backups import Backups, BackupStore
from facts.puppet import AgentState, PuppetAgent
from facts.services import ServiceStates
from facts.ssl import ComponentDirectory, SslDirectories
from facts.tls import PresentedCertificate
from recert.altnames import AltNames
from recert.certificates import Certificate, read_certificate, utc_now
from recert.freshness import CredentialPaths, Freshness, Retired
from recert.layout import (
    COMPONENTS,
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
