"""What there is at a site, at one moment: every certificate, every host, and what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, TypeVar

from recert.altnames import AltNames
from recert.ca_records import CaRecords
from recert.certificates import Certificate, read_certificate, read_revocation_list
from recert.delivered import Sources, delivered_problems
from recert.deployments.authority import Authority
from recert.findings import Finding
from recert.freshness import Defect, Freshness, Retired
from recert.identity import never_believed
from recert.looks import HostLook, MasterSide
from recert.others import of_others
from recert.problems import (
    findings_of_host,
    findings_of_inventory,
    in_order,
    worth_telling,
)
from recert.renewal import Renewal
from recert.report import (
    CaRecord,
    CertificateRecord,
    HostRecord,
    Problem,
    Role,
    ServiceRecord,
    Severity,
    Snapshot,
)
from recert.signing import Before
from recert.site_cas import SiteCas, ca_of_master
from recert.standing import JudgedCertificate, KnownCas, ca_record, judged_certificates

T = TypeVar("T")


@dataclass(frozen=True)
class SiteState:
    """A site at the moment `at`.

    `retired`: the CA to retire, if the run has named one. `retiring`: it is still to be done, so
    that what is of that CA is no problem yet. `inventory_names`: by which the inventory's hosts may
    be known to the CA. `not_asked`: those of its hosts that have not said their certnames, so that
    they may be known by others. `groupless`: those that are in no group that a run is about, and in
    which they are instead. `stopped_before`: by host, the services that did not run before
    the run of which this is the end. `approved`: fingerprints of certificates that somebody has
    said may carry more than those before.
    """

    looks: tuple[HostLook, ...]
    at: datetime
    retired: Retired | None = None
    retiring: bool = False
    inventory_names: frozenset[str] = frozenset()
    not_asked: tuple[str, ...] = ()
    groupless: Mapping[str, str] = field(default_factory=dict)
    stopped_before: Mapping[str, frozenset[str]] = field(default_factory=dict)
    approved: frozenset[str] = frozenset()
    pause: Callable[[], None] = field(default=lambda: None, compare=False)

    # Each host by itself

    @cached_property
    def judgeable(self) -> SiteState:
        """The same site, less what cannot be judged: of such a host nothing counts as seen. What
        somebody has put on one host, and whatever a judgement makes of it, is no reason not to
        judge the others."""
        failed: dict[str, HostLook] = {}
        # By the master's CA all the others are judged.
        for look in sorted(self.looks, key=lambda one: one is not self.master):
            if look.not_judged:
                continue
            try:
                self._judge(look)
            except Exception as error:
                failed[look.host] = look.without_judgement(error)
                if look is self.master:
                    break
            self.pause()
        if not failed:
            return self
        looks = tuple(failed.get(look.host, look) for look in self.looks)
        return replace(self, looks=looks).judgeable

    def _judge(self, look: HostLook) -> None:
        """:raises Exception: what the host shows makes a judgement over it fail."""
        if look is self.master:
            self._ca_record()
        self.findings_of(look)
        self._host_record(look, [])

    @cached_property
    def _kept(self) -> dict[tuple[str, str], Any]:
        """What has been judged of single hosts."""
        return {}

    def _once(self, what: str, look: HostLook, judge: Callable[[], T]) -> T:
        if (what, look.host) not in self._kept:
            self._kept[what, look.host] = judge()
        judged: T = self._kept[what, look.host]
        return judged

    # The master

    @cached_property
    def master(self) -> HostLook | None:
        """The look at the master, if it could be looked at."""
        return next((look for look in self.looks if look.master is not None), None)

    @cached_property
    def freshness(self) -> Freshness | None:
        """The judgement over the master's own files."""
        if self.master is None or self.master.master is None or self.master.settings is None:
            return None
        conf = self.master.settings
        retired = self.retired if self.retired is not None and not self.retiring else None
        return Freshness(
            self.master.deployment,
            conf,
            self.master.ssl,
            self.master.master.components,
            retired or Retired("", None),
            AltNames(conf.certname, ()),
            self.at,
            others=frozenset(self.others(self.master)),
        )

    @cached_property
    def cas(self) -> KnownCas:
        """The CAs that certificates can be of."""
        ca = self.freshness.ca if self.freshness is not None else None
        return KnownCas(
            ca=ca,
            known=self._former_cas,
            revoked=self.ca_records.revoked,
            retired=self.retired,
            now=self.at,
        )

    @cached_property
    def site_cas(self) -> SiteCas:
        """Those that the master has or has had, also where no more than the key is known."""
        manifests = self._side.manifests if self._side is not None else ()
        return SiteCas.of(self._ca_of_master, self.retired, manifests)

    @cached_property
    def _ca_of_master(self) -> Certificate | None:
        master = self.master
        if master is None or master.settings is None:
            return None
        conf, texts = master.settings, master.ssl.texts
        pems = texts.get(conf.cacert, ""), texts.get(conf.localcacert, "")
        return ca_of_master(*pems, self.certificate_of(master))

    @property
    def _former_cas(self) -> tuple[Certificate, ...]:
        manifests = self._side.manifests if self._side is not None else ()
        known = [read_certificate(manifest.ca_certificate or "") for manifest in manifests]
        if self.retired is not None:
            known.append(self.retired.certificate)
        return tuple(found for found in known if found is not None)

    @cached_property
    def ca_gone(self) -> str | None:
        """The fingerprint of the CA whose place the one there is has taken: the one that was named,
        else that of the newest backup of another one; None where nobody knows it."""
        if self.retired is not None and self.retired.fingerprint:
            return self.retired.fingerprint
        here = self.freshness.ca if self.freshness is not None else None
        if here is None or self._side is None:
            return None
        had = (manifest.ca_fingerprint for manifest in reversed(self._side.manifests))
        return next((one for one in had if one and one != here.fingerprint), None)

    def others(self, look: HostLook) -> dict[str, str]:
        """What is somebody else's in the directories that a run empties on a host, and so is left
        alone: by path, each with what it is. Nothing, where the master's CA is not known.

        :raises RecertError: it is too much to be compared.
        """
        return self._once("others", look, lambda: self._others(look))

    def _others(self, look: HostLook) -> dict[str, str]:
        if not look.strays or self.master is None or self.master.settings is None:
            return {}
        conf = self.master.settings
        ca, trusted = self._ca_of_master, self.master.ssl.texts.get(conf.localcacert, "")
        here = [*([ca] if ca is not None else []), *self.site_cas.among(trusted)]
        if not here:
            return {}
        found = self.master.found.certificates
        signed = (
            read_certificate(t) for p, t in found.items() if p.startswith(f"{conf.signeddir}/")
        )
        certified = {cert.key for cert in signed if cert is not None} | self.retired_keys
        return of_others(look.strays, [*here, *self._former_cas], certified, self.pause)

    @cached_property
    def ca_records(self) -> CaRecords:
        """The CA in place, as agents have to do with it."""
        if self.master is None or self.master.settings is None or self.freshness is None:
            return CaRecords(self._authority, None)
        conf, found = self.master.settings, self.master.found
        return CaRecords(
            self._authority,
            self.freshness.ca,
            self.master.ssl.texts.get(conf.cacrl, ""),
            dict.fromkeys(self.names_below(conf.csrdir), ""),
            {
                name: found.certificates.get(f"{conf.signeddir}/{name}.pem", "")
                for name in self.names_below(conf.signeddir)
            },
            self._side.autosign if self._side is not None else None,
            approved=self.approved,
        )

    @property
    def _authority(self) -> Authority:
        look = self.master or self.looks[0]
        return look.deployment.authority

    @cached_property
    def sources(self) -> Sources | None:
        """What Puppet runs deliver copies of; None where the master has no sound CA."""
        if self.master is None or self.freshness is None or self.freshness.ca_due:
            return None
        assert self.freshness.ca is not None
        return Sources.of(self.master, self.freshness.ca)

    def delivered(self, look: HostLook) -> list[Defect]:
        """What is wrong with the copies that Puppet runs deliver to a host."""
        if self.sources is None:
            return []
        sources = self.sources
        return self._once("delivered", look, lambda: delivered_problems(look, sources))

    @property
    def retired_keys(self) -> frozenset[str]:
        """Digests of the public halves that the CA to retire has certified."""
        return self._side.retired_keys if self._side is not None else frozenset()

    def retired_certificate(self, certname: str) -> Certificate | None:
        """The one that the CA to retire had made for a name, and not revoked, if it is
        believed."""
        return self._side.retired_certificates.get(certname) if self._side is not None else None

    def certificate_before(self, certname: str) -> Certificate | Before | None:
        """By which it is told what the one of the CA in place may carry."""
        if self._side is not None and certname in self._side.doubted:
            return Before.NOTHING
        return self.retired_certificate(certname)

    def retired_extensions(self, certname: str) -> Mapping[str, str]:
        """Puppet's extensions of the same."""
        retired = self.retired_certificate(certname)
        return retired.extensions if retired is not None else {}

    def retired_alt_names(self, look: HostLook) -> frozenset[str]:
        """The alternative names that the CA to retire had certified for an agent, less those that
        are another's now."""
        conf = look.settings
        if conf is None or look.role is Role.MASTER:
            return frozenset()
        retired = self.retired_certificate(conf.certname)
        had = retired.alt_names - {conf.certname} if retired is not None else ()
        return frozenset(name for name in had if not self._is_taken(look, name))

    def _is_taken(self, look: HostLook, name: str) -> bool:
        """Whether a name is the master's, a service's or another host's. What one says of itself
        alone would have this one's loss go untold."""
        master = self.certificate_of(self.master) if self.master is not None else None
        of_master = master.alt_names | {master.subject} if master is not None else frozenset()
        if never_believed(name, of_master) is not None:
            return True
        signed = self.ca_records.signed(name)
        # Anybody can have that of a master that signs by itself.
        somebodys = signed is not None and not self.ca_records.autosign.may_have_signed(
            name, signed.alt_names
        )
        return any(
            one.borne_out or somebodys
            for one in self.looks
            if one is not look and one.settings is not None and one.settings.certname == name
        )

    @property
    def _side(self) -> MasterSide | None:
        return self.master.master if self.master is not None else None

    def names_below(self, directory: str) -> list[str]:
        """What the names stand for that files of the master's directory have, without `.pem`."""
        files = self.master.found.files if self.master is not None else {}
        return sorted(
            path.removeprefix(f"{directory}/").removesuffix(".pem")
            for path in files
            if path.startswith(f"{directory}/")
        )

    # The agents

    def renewal(self, look: HostLook) -> Renewal | None:
        """The judgement over an agent; None if it could not be looked at."""
        if look.settings is None or look.role is Role.MASTER:
            return None
        others, cas = frozenset(self.others(look)), self.site_cas
        return Renewal(look.settings, look.ssl, self.ca_records, self.at, others=others, cas=cas)

    def certificate_of(self, look: HostLook) -> Certificate | None:
        """The one that a host uses itself."""
        if look.settings is None:
            return None
        path = look.settings.hostcert
        return read_certificate(look.found.certificates.get(path, ""))

    def is_in_inventory(self, look: HostLook) -> bool | None:
        """Whether the CA has, in its list and among what it signed, the certificate that a host
        uses; None if either could not be asked."""
        cert = self.certificate_of(look)
        if self._side is None or look.settings is None:
            return None
        if cert is None:
            return False
        signed = self.ca_records.ever_signed(look.settings.certname)
        listed = (cert.serial, look.settings.certname) in self._side.inventory
        return listed and signed is not None and signed.fingerprint == cert.fingerprint

    def clock_skew(self, look: HostLook) -> float | None:
        """Seconds by which a host's clock is ahead of the master's, and the master's own of the
        control machine's."""
        if look.role is Role.MASTER:
            return look.clock_ahead
        if self.master is None or self.master.clock_ahead is None or look.clock_ahead is None:
            return None
        return look.clock_ahead - self.master.clock_ahead

    # The whole

    def judged_certificates(self, look: HostLook) -> list[JudgedCertificate]:
        """All certificates of a host."""
        return self._once(
            "certificates", look, lambda: judged_certificates(look, self.cas, self.pause)
        )

    @property
    def certificates(self) -> tuple[CertificateRecord, ...]:
        return tuple(one.record for look in self.looks for one in self.judged_certificates(look))

    def findings_of(self, look: HostLook) -> list[Finding]:
        """Everything that is wrong with a host."""
        return self._once("findings", look, lambda: list(findings_of_host(self, look)))

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Everything that is wrong, the worst first."""
        of_hosts = [one for look in self.looks for one in self.findings_of(look)]
        return in_order([*findings_of_inventory(self), *of_hosts])

    @cached_property
    def told(self) -> tuple[Finding, ...]:
        """Those of the findings that a person is told."""
        return tuple(worth_telling(self, self.findings))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The same for a report."""
        return tuple(one.problem for one in self.told)

    @cached_property
    def findings_by_host(self) -> dict[str, list[Finding]]:
        """All findings of the hosts that have any."""
        found: dict[str, list[Finding]] = {}
        for one in self.findings:
            found.setdefault(one.host, []).append(one)
        return found

    def snapshot(self) -> Snapshot:
        """The same for a report, as far as it can be judged."""
        return self.judgeable._snapshot()

    def _snapshot(self) -> Snapshot:
        return Snapshot(
            at=self.at,
            ca=self._ca_record(),
            hosts=tuple(
                self._host_record(look, self._reasons.get(look.host, [])) for look in self.looks
            ),
            certificates=self.certificates,
            problems=self.problems,
        )

    def _ca_record(self) -> CaRecord | None:
        ca = self.freshness.ca if self.freshness is not None else None
        if ca is None or self.master is None or self.master.settings is None:
            return None
        conf = self.master.settings
        crl = read_revocation_list(self.master.ssl.texts.get(conf.cacrl, ""))
        names = self.names_below(conf.signeddir)
        signed = [self.ca_records.ever_signed(name) for name in names]
        revoked = [c for c in signed if c is not None and c.serial in self.ca_records.revoked]
        return ca_record(
            ca,
            (len(signed), len(revoked)),
            self.names_below(conf.csrdir),
            crl.expires if crl is not None else None,
        )

    @cached_property
    def certificates_by_host(self) -> dict[str, list[CertificateRecord]]:
        """The same for hosts that have any."""
        found: dict[str, list[CertificateRecord]] = {}
        for record in self.certificates:
            found.setdefault(record.host, []).append(record)
        return found

    @cached_property
    def _reasons(self) -> dict[str, list[str]]:
        """What is bad about each host."""
        found: dict[str, list[str]] = {}
        for one in self.told:
            if one.severity is Severity.BAD:
                found.setdefault(one.host, []).append(str(one))
        return found

    def _host_record(self, look: HostLook, reasons: list[str]) -> HostRecord:
        cert = self.certificate_of(look)
        trusted = None
        if look.settings is not None:
            trusted = self.site_cas.trusted(look.ssl.texts.get(look.settings.localcacert, ""), cert)
        skew, last = self.clock_skew(look), look.last_run
        return HostRecord(
            host=look.host,
            role=look.role,
            certname=look.settings.certname if look.settings is not None else None,
            answered=look.not_judged or not look.why,
            well=not reasons and not look.why,
            why="; ".join(reasons[:3]) or look.why,
            fingerprint=cert.fingerprint if cert is not None else None,
            trusts=trusted.fingerprint if trusted is not None else None,
            in_inventory=self.is_in_inventory(look),
            revoked=cert.serial in self.ca_records.revoked if cert is not None else None,
            last_run=datetime.fromtimestamp(last.time, UTC) if last is not None else None,
            last_run_succeeded=last.succeeded if last is not None else None,
            clock_skew=round(skew, 1) if skew is not None else None,
            services=tuple(ServiceRecord(name, s) for name, s in look.services.items()),
        )
