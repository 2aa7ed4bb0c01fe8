"""What there is at a site, at one moment: every certificate, every host, and what is wrong."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from recert import interlock
from recert.altnames import AltNames
from recert.causes import REGENERATE, faults, leftovers
from recert.certificates import Certificate, read_certificate, read_revocation_list
from recert.delivered import RUN_PUPPET, Sources, delivered_problems, is_delivered
from recert.freshness import Freshness, Retired
from recert.freshness import Problem as Stale
from recert.looks import HostLook, MasterSide
from recert.observed import Service
from recert.preflight import MAX_CLOCK_SKEW
from recert.renewal import Renewal
from recert.report import (
    CertificateRecord,
    HostRecord,
    Problem,
    Role,
    ServiceRecord,
    Severity,
    Snapshot,
    Standing,
)
from recert.settings import Settings
from recert.signing import Authority
from recert.standing import SOON, Authorities, ca_record, certificate_records, is_pes_own, open_keys

RENEW = "Run deploys/agents.py with the retire_ca of the CA that is gone."
STALE_CRL = "is not a revocation list of the master's CA"


@dataclass(frozen=True)
class SiteState:
    """A site at the moment `at`.

    `retired`: the CA to retire, if the run has named one. `retiring`: it is still to be done, so
    that what is of that CA is no problem yet. `inventory_names`: by which the inventory's hosts may
    be known to the CA. `stopped_before`: by agent, the services that did not run before the run
    of which this is the end.
    """

    looks: tuple[HostLook, ...]
    at: datetime
    retired: Retired | None = None
    retiring: bool = False
    inventory_names: frozenset[str] = frozenset()
    stopped_before: Mapping[str, frozenset[str]] = field(default_factory=dict)

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
            conf,
            self.master.ssl,
            self.master.master.components,
            retired or Retired("", None),
            AltNames(conf.certname, ()),
            self.at,
        )

    @cached_property
    def authorities(self) -> Authorities:
        """The CAs that certificates can be of."""
        manifests = self._side.manifests if self._side is not None else ()
        known = [read_certificate(manifest.ca_certificate or "") for manifest in manifests]
        if self.retired is not None:
            known.append(self.retired.certificate)
        ca = self.freshness.ca if self.freshness is not None else None
        return Authorities(
            ca=ca,
            known=tuple(found for found in known if found is not None),
            revoked=self.authority.revoked,
            retired=self.retired,
            now=self.at,
        )

    @cached_property
    def authority(self) -> Authority:
        """The CA in place, as agents have to do with it."""
        if self.master is None or self.master.settings is None or self.freshness is None:
            return Authority(None)
        conf, found = self.master.settings, self.master.found
        return Authority(
            self.freshness.ca,
            self.master.ssl.texts.get(conf.cacrl, ""),
            dict.fromkeys(self._names_below(conf.csrdir), ""),
            {
                name: found.certificates.get(f"{conf.signeddir}/{name}.pem", "")
                for name in self._names_below(conf.signeddir)
            },
        )

    @cached_property
    def sources(self) -> Sources | None:
        """What Puppet runs deliver copies of; None where the master has no sound CA."""
        if self.master is None or self.freshness is None or self.freshness.ca_due:
            return None
        assert self.freshness.ca is not None
        return Sources.of(self.master, self.freshness.ca)

    @cached_property
    def delivered(self) -> dict[str, list[Stale]]:
        """What is wrong with the copies that Puppet runs deliver, for hosts that have such."""
        if self.sources is None:
            return {}
        found = {look.host: delivered_problems(look, self.sources) for look in self.looks}
        return {host: problems for host, problems in found.items() if problems}

    @property
    def retired_keys(self) -> frozenset[str]:
        """Digests of the public halves that the CA to retire has certified."""
        return self._side.retired_keys if self._side is not None else frozenset()

    @property
    def _side(self) -> MasterSide | None:
        return self.master.master if self.master is not None else None

    def _names_below(self, directory: str) -> list[str]:
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
        return Renewal(look.settings, look.ssl, self.authority, self.at)

    def certificate_of(self, look: HostLook) -> Certificate | None:
        """The one that a host uses itself."""
        if look.settings is None:
            return None
        path = f"{look.settings.certdir}/{look.settings.certname}.pem"
        return read_certificate(look.found.certificates.get(path, ""))

    def is_in_inventory(self, look: HostLook) -> bool | None:
        """Whether the CA has, in its list and among what it signed, the certificate that a host
        uses; None if either could not be asked."""
        cert = self.certificate_of(look)
        if self._side is None or look.settings is None:
            return None
        if cert is None:
            return False
        signed = self.authority.ever_signed(look.settings.certname)
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

    @cached_property
    def certificates(self) -> tuple[CertificateRecord, ...]:
        return tuple(
            record for look in self.looks for record in certificate_records(look, self.authorities)
        )

    @cached_property
    def problems(self) -> tuple[Problem, ...]:
        """The worst first."""
        found = [
            *(problem for look in self.looks for problem in self._of_host(look)),
            *self._of_master(),
            *self._of_certificates(),
        ]
        order = list(Severity)
        return tuple(sorted(dict.fromkeys(found), key=lambda p: order.index(p.severity)))

    def snapshot(self) -> Snapshot:
        ca = self.freshness.ca if self.freshness is not None else None
        record = None
        if ca is not None and self.master is not None and self.master.settings is not None:
            conf = self.master.settings
            crl = read_revocation_list(self.master.ssl.texts.get(conf.cacrl, ""))
            names = self._names_below(conf.signeddir)
            signed = [self.authority.ever_signed(name) for name in names]
            revoked = [c for c in signed if c is not None and c.serial in self.authority.revoked]
            record = ca_record(
                ca,
                (len(signed), len(revoked)),
                self._names_below(conf.csrdir),
                crl.expires if crl is not None else None,
            )
        return Snapshot(
            at=self.at,
            ca=record,
            hosts=tuple(self._host_record(look) for look in self.looks),
            certificates=self.certificates,
            problems=self.problems,
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
        for problem in self.problems:
            if problem.severity is Severity.BAD:
                said = f"{problem.subject} {problem.what}".strip()
                found.setdefault(problem.host, []).append(said)
        return found

    def _host_record(self, look: HostLook) -> HostRecord:
        cert = self.certificate_of(look)
        reasons = self._reasons.get(look.host, [])
        trusted = None
        if look.settings is not None:
            trusted = read_certificate(look.ssl.texts.get(look.settings.localcacert, ""))
        skew, last = self.clock_skew(look), look.last_run
        return HostRecord(
            host=look.host,
            role=look.role,
            certname=look.settings.certname if look.settings is not None else None,
            answered=not look.why,
            well=not reasons and not look.why,
            why="; ".join(reasons[:3]) or look.why,
            fingerprint=cert.fingerprint if cert is not None else None,
            trusts=trusted.fingerprint if trusted is not None else None,
            in_inventory=self.is_in_inventory(look),
            revoked=cert.serial in self.authority.revoked if cert is not None else None,
            last_run=datetime.fromtimestamp(last.time, UTC) if last is not None else None,
            last_run_succeeded=last.succeeded if last is not None else None,
            clock_skew=round(skew, 1) if skew is not None else None,
            services=tuple(ServiceRecord(name, s) for name, s in look.services.items()),
        )

    # Problems

    def _of_host(self, look: HostLook) -> Iterable[Problem]:
        def problem(severity: Severity, subject: str, what: str, remedy: str) -> Problem:
            return Problem(severity, look.host, subject, what, remedy)

        if look.why:
            remedy = "Mend that, then run the same command again."
            yield problem(Severity.BAD, "", look.why, remedy)
        for service, state in look.services.items():
            if state is Service.STOPPED:
                remedy = start_remedy(look, service)
                if service in self.stopped_before.get(look.host, ()):
                    what = "does not run, and did not before the run"
                    yield problem(Severity.WARNING, service, what, remedy)
                else:
                    yield problem(Severity.BAD, service, "does not run", remedy)
        skew = self.clock_skew(look)
        if skew is not None and abs(skew) > MAX_CLOCK_SKEW:
            ahead = "ahead of" if skew > 0 else "behind"
            whose = "the control machine's" if look.role is Role.MASTER else "the master's"
            yield problem(
                Severity.BAD,
                "clock",
                f"is {abs(skew):.0f} s {ahead} {whose}",
                "Bring NTP in order: certificates that begin in the future are refused.",
            )
        if look.disabled is not None:
            yield problem(Severity.WARNING, "Puppet agent", "is disabled", "puppet agent --enable")
        if look.settings is not None and (look.last_run is None or not look.last_run.succeeded):
            what = "has not succeeded" if look.last_run else "has left no trace"
            remedy = "puppet agent --test, and mend what it says"
            yield problem(Severity.WARNING, "last Puppet run", what, remedy)
        for path, mode in open_keys(look):
            what, remedy = f"is open to others ({mode:04o})", f"chmod o-rwx {shlex.quote(path)}"
            yield problem(Severity.BAD, path, what, remedy)
        for path in sorted(look.found.unreadable):
            what, remedy = "may not be read by the connected account", "Give it the right to."
            yield problem(Severity.WARNING, path, what, remedy)
        for one in self.delivered.get(look.host, ()):
            yield problem(Severity.BAD, one.path, one.why, one.remedy)
        for path in sorted(look.found.sealed):
            if is_pes_own(look, path):
                what, remedy = "wants a password", "Look into it by hand: openssl pkcs12 -in FILE"
                yield problem(Severity.WARNING, path, what, remedy)
        renewal = self.renewal(look)
        if renewal is not None and self.authority.ca is not None:
            yield from self._of_agent(look, renewal)

    def _of_agent(self, look: HostLook, renewal: Renewal) -> Iterable[Problem]:
        if stale := renewal.certificate_problem:
            yield Problem(Severity.BAD, look.host, stale.path, stale.why, RENEW)
        elif self.is_in_inventory(look) is False:
            what = "is not the certificate that the CA has for that name"
            yield Problem(Severity.BAD, look.host, renewal.paths.certificate, what, RENEW)
        if not renewal.trusts_authority:
            path = renewal.settings.localcacert
            yield Problem(Severity.BAD, look.host, path, "is not the master's CA", RENEW)
        elif stale is None and renewal.crl_is_stale:
            path = renewal.settings.hostcrl
            yield Problem(Severity.BAD, look.host, path, STALE_CRL, crl_remedy(look, path))

    def _of_master(self) -> Iterable[Problem]:
        fresh = self.freshness
        if fresh is None or self.master is None:
            return
        host = self.master.host
        for one in faults(fresh):
            yield Problem(Severity.BAD, host, one.path, one.why, one.remedy)
        for one in leftovers(fresh):
            yield Problem(Severity.WARNING, host, one.path, one.why, one.remedy)
        if not fresh.ca_due:
            yield from self._of_ca(host, fresh.settings)

    def _of_ca(self, host: str, conf: Settings) -> Iterable[Problem]:
        assert self.master is not None
        crl = read_revocation_list(self.master.ssl.texts.get(conf.cacrl, ""))
        if crl is not None and crl.expires is not None and crl.expires <= self.at + SOON:
            gone = crl.expires <= self.at
            yield Problem(
                Severity.BAD if gone else Severity.WARNING,
                host,
                conf.cacrl,
                f"{'expired' if gone else 'expires'} on {crl.expires:%Y-%m-%d}",
                "Puppet makes it anew when it revokes the next certificate.",
            )
        signed = {
            name: self.authority.ever_signed(name) for name in self._names_below(conf.signeddir)
        }
        valid = {
            name: cert
            for name, cert in signed.items()
            if cert is None or cert.serial not in self.authority.revoked
        }
        for line in interlock.left_behind(valid, conf.certname, self.inventory_names):
            yield Problem(
                Severity.WARNING,
                host,
                line,
                "has a certificate, and no host of the inventory has that name",
                "Add the host to the inventory, or `puppet cert clean` the name.",
            )
        for name in self._names_below(conf.csrdir):
            what, remedy = "waits for a signature", f"puppet cert sign {name}, or puppet cert clean"
            yield Problem(Severity.NOTE, host, name, what, remedy)

    def _of_certificates(self) -> Iterable[Problem]:
        """What the files alone show, where nothing above has judged them already."""
        judged = {(p.host, p.subject) for p in self._of_master()}
        judged |= {(host, one.path) for host, found in self.delivered.items() for one in found}
        own = set()
        for look in self.looks:
            conf = look.settings
            if conf is not None and look.role is not Role.MASTER and self.authority.ca is not None:
                own |= {(look.host, f"{conf.certdir}/{conf.certname}.pem")}
                own |= {(look.host, conf.localcacert)}
        looks = {look.host: look for look in self.looks}
        for record in self.certificates:
            if (record.host, record.path) in judged:
                continue
            retired = record.standing is Standing.RETIRED
            if not retired and not is_pes_own(looks[record.host], record.path):
                continue
            for what in record.problems:
                severity, remedy = _weight(record, what)
                if retired and is_delivered(looks[record.host], record.path):
                    remedy = RUN_PUPPET
                weak = what.startswith(("has a ", "is signed over", "expire"))
                if (record.host, record.path) in own and not weak:
                    continue
                if retired and self.retiring and not weak:
                    continue
                if severity is not None:
                    yield Problem(severity, record.host, record.path, what, remedy)


def start_remedy(look: HostLook, service: str) -> str:
    """What to do about a service that does not run."""
    if look.role is Role.WINDOWS_AGENT:
        return f"net start {service}; if it stops again, look into the event log"
    return f"service {service} start; if it stops again, look into its log"


def crl_remedy(look: HostLook, path: str) -> str:
    """What to do about a revocation list at `path` that Puppet itself never replaces."""
    native = path.replace("/", "\\")
    windows = look.role is Role.WINDOWS_AGENT
    remove = f'del "{native}"' if windows else f"rm {shlex.quote(path)}"
    return f"{remove}; Puppet fetches it anew"


def _weight(record: CertificateRecord, what: str) -> tuple[Severity | None, str]:
    if what.startswith(("has a ", "is signed over")):
        return Severity.WARNING, "A new CA and new certificates have stronger ones."
    match record.standing:
        case Standing.RETIRED:
            remedy = "Find out what uses it, give that a certificate of the CA in place, remove it."
            return Severity.BAD, remedy
        case Standing.UNUSABLE:
            return Severity.BAD if record.used_by else Severity.WARNING, REGENERATE
        case Standing.FOREIGN:
            return Severity.WARNING, "If nothing uses it, remove it; if a CA is gone, renew it."
        case Standing.EXPIRED:
            return Severity.BAD if record.used_by else Severity.WARNING, RENEW
        case Standing.EXPIRING:
            return Severity.WARNING, "Renew it before: deploys/replace.py, or a new CA."
        case Standing.REVOKED | Standing.UNJUDGED | Standing.GOOD:
            return None, ""
