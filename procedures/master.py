"""A master as one pyinfra run sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from connectors.limits import give_turn
from facts.answers import AskedService, ServiceAnswers
from facts.backups import ArchivedCertificates
from facts.host import Basics
from facts.ports import ConfiguredPorts
from facts.server_configuration import ConfiguredServer
from facts.services import in_lines
from facts.signing import AutosignSetting
from facts.ssl import ComponentDirectory, PemFiles, SslDirectories
from facts.tls import PresentedCertificate
from facts.together import Question
from procedures.host import HostFacts
from recert.altnames import AltNames
from recert.aside import Aside
from recert.certificates import (
    Certificate,
    read_certificate,
    read_certificates,
    read_revocation_list,
    utc_now,
)
from recert.deployments.model import Component, Seat
from recert.freshness import CredentialPaths, Freshness, Retired
from recert.observed import Answer, ComponentState, Listening, SslState
from recert.others import PRIVATE_KEY
from recert.preflight import links_to_roots
from recert.server_configuration import ServerConfiguration
from recert.settings import Settings
from recert.site_cas import SiteCas, ca_of_master
from recert.turns import in_turns

MOST_REQUESTS = 128 * 1024 * 1024
"""Bytes of waiting requests, in an archive, that are read at once: those of more than thirty
thousand nodes."""


class MasterFacts(HostFacts):
    """The facts of one master."""

    @property
    def seat(self) -> Seat:
        """What it is in its deployment."""
        return self.deployment.master

    @property
    def listeners(self) -> str:
        return in_lines(self.seat.endpoints, self.seat.server, self.settings.config)

    @property
    def services_asked(self) -> tuple[str, ...]:
        return self.seat.stopped

    @property
    def queues(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.settings.signeddir, self.settings.csrdir

    clock_ahead: float = 0
    """Seconds by which the host's clock was ahead of the control machine's when it was asked."""

    def forget(self, *names: str) -> None:
        """As for any host; also a component's directory, or "components" for all of them."""
        if "components" in names:
            names = (*names, *self.seat.directories)
        super().forget(*names)

    def question(self, name: str) -> Question:
        conf = self.settings
        if name == "ssl":
            return self._look_into(conf, self.ssl_roots, [conf.hostcrl, conf.localcacert])
        if name == "aside":
            aside = self.aside
            return self._look_into(aside.settings, [aside.top], [aside.note])
        if name == "signing":
            places = [conf.serial, conf.signeddir, conf.csrdir, conf.cacrl]
            nothing: dict[str, list[str]] = {"paths": [], "accounts": [], "files": []}
            return Basics, {"backup_root": conf.signeddir, "places": places, **nothing}
        if name == "presented":
            server = self.seat.server
            addresses = [*self.bound(server), *self.addresses]
            return PresentedCertificate, {"addresses": addresses, "port": self.port_of(server)}
        if name == "requests":
            return PemFiles, {"directory": conf.csrdir, "most": MOST_REQUESTS}
        if name == "signed":
            return PemFiles, {"directory": conf.signeddir}
        if name == "ports":
            return ConfiguredPorts, {"endpoints": dict(self.seat.endpoints)}
        if name == "autosign":
            return AutosignSetting, {"autosign": conf.autosign}
        if name == "configured":
            return ConfiguredServer, {"files": self.deployment.server_files}
        return super().question(name)

    def _look_into(self, conf: Settings, roots: Iterable[str], texts: list[str]) -> Question:
        """The question what is in directories of a CA, by the settings that it was made by.

        :param texts: further files to read.
        """
        paths = [CredentialPaths.of(conf, name) for name in self.credential_names]
        public = [p for c in paths for p in (c.certificate, c.signed, c.public_key)]
        return SslDirectories, {
            "lock": self.lock,
            "roots": list(roots),
            "texts": [conf.cacert, conf.cacrl, conf.serial, *texts, *public],
            "keys": [conf.cakey, *(c.private_key for c in paths)],
            "capass": conf.capass,
            "certificate_dirs": [conf.signeddir, conf.certdir],
            "cacert": conf.cacert,
            "owner": (conf.user, conf.group),
        }

    @property
    def ssl(self) -> SslState:
        ssl: SslState = self.known("ssl")
        return ssl

    @property
    def aside(self) -> Aside:
        """Where a new CA is made for this master."""
        return Aside(self.settings)

    @property
    def components(self) -> ComponentsSeen:
        """By directory, each asked when it is first looked at."""
        return ComponentsSeen(self)

    def component(self, component: Component) -> ComponentState:
        """What there is of one of them."""

        def read() -> ComponentState:
            return self._ask(
                ComponentDirectory,
                directory=component.directory,
                account=component.account,
                copies=[
                    (path, self.paths(name).of_part(part))
                    for path, name, part in component.copies(self.settings.certname)
                ],
                sources=[extra.source for extra in component.extras if extra.source],
            )

        return self._once(component.directory, read)

    @property
    def presented(self) -> Certificate | None:
        """What the Puppet master presents on its port; None if it does not answer."""
        pem: str | None = self.known("presented")
        return read_certificate(pem or "")

    def ask_services(self, names: Iterable[str], patience: float) -> dict[str, Answer]:
        """Whether services answer; those that do not get as many seconds to begin with it."""

        def asked(name: str) -> AskedService:
            endpoint = self.seat.endpoints[name]
            own = self.paths(self.settings.real_name(endpoint.client))
            return AskedService(
                name,
                self.port_of(name),
                "http" if endpoint.path else endpoint.handshake,
                endpoint.path,
                own.certificate,
                own.private_key,
                ",".join(self.bound(name)),
            )

        return self.seen(
            ServiceAnswers,
            addresses=self.addresses,
            called=self.settings.certname,
            services=[asked(name) for name in names],
            patience=patience,
        )

    def port_of(self, service: str) -> int:
        """Where a service listens; `NOWHERE` for one that can be asked on its socket alone."""
        own, usual = service == self.seat.server, self.seat.endpoints[service].port
        return self.ports.get(service, self.settings.masterport if own else usual)

    @property
    def addresses(self) -> list[str]:
        """Of the host itself, where whatever listens on all of its own is to be met."""
        return ["127.0.0.1", self.settings.certname]

    def bound(self, service: str) -> tuple[str, ...]:
        """The addresses that a service is configured to listen on, where these are not all of the
        host's. None of them may be right, where its configuration is read wrongly."""
        listening = self._listening.get(service)
        return listening.addresses if listening is not None else ()

    @property
    def ports(self) -> dict[str, int]:
        """Where services listen that are configured to."""
        found = self._listening
        return {name: where.port for name, where in found.items() if where.port is not None}

    @property
    def _listening(self) -> dict[str, Listening]:
        listening: dict[str, Listening] = self.known("ports")
        return listening

    @property
    def configured(self) -> ServerConfiguration:
        """What its server is told to do with credentials, where that is looked at."""
        if self.deployment.server_files is None:
            return ServerConfiguration()
        configured: ServerConfiguration = self.known("configured")
        return configured

    @property
    def emptied(self) -> list[str]:
        return [*self.ssl_roots, *self.seat.directories]

    @property
    def own_files(self) -> list[str]:
        conf = self.settings
        copies = [
            path
            for component in self.seat.components
            for path in (
                *(copy for copy, _, _ in component.copies(conf.certname)),
                *component.extra_paths,
            )
        ]
        return [
            *(conf.cacert, conf.cakey, conf.cacrl, conf.localcacert, conf.hostcrl),
            *(path for name in self.credential_names for path in self.paths(name).all),
            *copies,
        ]

    @property
    def backup_paths(self) -> list[str]:
        """Step 2.1: the document's five directories and puppet.conf."""
        conf = self.settings
        return [*conf.ssl_roots, *self.seat.directories, conf.config]

    @property
    def credential_names(self) -> tuple[str, ...]:
        """The names whose certificates the master needs."""
        return self.deployment.credential_names(self.settings.certname)

    @property
    def known_cas(self) -> list[Certificate]:
        """Every CA that this master has or has had, as far as it knows them."""
        texts, conf = self.ssl.texts, self.settings
        cacert, trusted = texts.get(conf.cacert, ""), texts.get(conf.localcacert, "")
        ca = ca_of_master(cacert, trusted, self.certificate_in_use)
        manifests = [backup.manifest for backup in self.backups.backups]
        before = [read_certificate(manifest.ca_certificate or "") for manifest in manifests]
        # Of some a backup has the key alone.
        known = [ca, *SiteCas.of(ca, None, manifests).among(trusted), *before]
        return [found for found in known if found is not None]

    def left_alone(self, retired: Retired) -> dict[str, str]:
        """See `others`: what of these directories stays in a regeneration.

        What is a CA's is told by the certificates beside it, or by those that the CA has signed:
        the old one's are in its backup, once they are gone here.
        """

        def judge() -> dict[str, str]:
            cas = [*self.known_cas, *([retired.certificate] if retired.certificate else [])]
            stay = self.others(cas)
            if PRIVATE_KEY in stay.values():
                certs = map(read_certificate, self.known("signed").values())
                certified = {cert.key for cert in certs if cert is not None}
                certified |= self.retired_keys(retired)
                stay = self.others(cas, certified)
            return stay

        return self._once("left alone", judge)

    def retired_certificates(self, retired: Retired) -> dict[str, Certificate]:
        """What the CA to retire has signed and not revoked, by name: what is still here, and what
        its backups have."""
        certs, gone = self._signed_by(retired)
        return {cert.subject: cert for cert in certs if cert.serial not in gone}

    def retired_keys(self, retired: Retired) -> frozenset[str]:
        """Digests of all that the CA to retire has certified, revoked or not."""
        return frozenset(cert.key for cert in self._signed_by(retired)[0])

    def _signed_by(self, retired: Retired) -> tuple[list[Certificate], set[int]]:
        """All that the CA to retire has signed, and the serial numbers that it has revoked."""
        ca = retired.certificate
        if ca is None:
            return [], set()

        def read() -> tuple[list[Certificate], set[int]]:
            conf = self.settings
            texts, crls = list(self.known("signed").values()), [self.ssl.texts.get(conf.cacrl, "")]
            here = self.known("signed").keys()
            for backup in self.backups.of_ca(retired.fingerprint):
                if backup.valid and not here >= set(backup.manifest.signed):
                    archive = f"{self.backup_root}/{backup.name}/archive.tar"
                    signed, revoked = (
                        self.seen(ArchivedCertificates, archive=archive, directory=held)
                        for held in (conf.signeddir, conf.cacrl)
                    )
                    texts, crls = texts + signed, crls + revoked
            lists = [crl for crl in map(read_revocation_list, crls) if crl is not None]
            gone = {serial for crl in lists if crl.signed_by(ca) for serial in crl.revoked}
            certs = (cert for text in texts for cert in read_certificates(text))
            return [cert for cert in in_turns(certs, give_turn) if cert.issued_by(ca)], gone

        return self._once("retired certificates", read)

    def freshness(
        self,
        retired: Retired,
        alt_names: AltNames,
        extensions: Mapping[str, str],
        kept_names: Mapping[str, frozenset[str]],
    ) -> Freshness:
        """The judgement over what is there now."""
        ssl = self.ssl
        kept: Freshness | None = self._kept.get("freshness")
        if kept is None or kept.ssl is not ssl or not self._still_hold(kept.components):
            kept = Freshness(
                self.deployment,
                self.settings,
                ssl,
                self.components,
                retired,
                alt_names,
                utc_now(),
                others=links_to_roots(ssl.files, self.ssl_roots) | self.left_alone(retired).keys(),
                extensions=extensions,
                kept_names=kept_names,
            )
            self._kept["freshness"] = kept
        return kept

    def _still_hold(self, components: Mapping[str, ComponentState]) -> bool:
        assert isinstance(components, ComponentsSeen)
        return all(self._kept.get(path) is state for path, state in components.seen.items())


class ComponentsSeen(Mapping[str, ComponentState]):
    """The components of a master as they were when each was first looked at: as long as a step
    looks at none of them, none is asked. `seen`: those that were looked at."""

    def __init__(self, facts: MasterFacts) -> None:
        self._facts = facts
        self.seen: dict[str, ComponentState] = {}

    def __getitem__(self, directory: str) -> ComponentState:
        if directory not in self.seen:
            known = {one.directory: one for one in self._facts.seat.components}
            self.seen[directory] = self._facts.component(known[directory])
        return self.seen[directory]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts.seat.directories)

    def __len__(self) -> int:
        return len(self._facts.seat.components)
