"""The proof that a site works under its new CA: every check, from what was seen of the hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from recert.certificates import Certificate, read_certificate
from recert.delivered import RUN_PUPPET, is_delivered
from recert.deployments.model import NOWHERE
from recert.findings import Finding, FindingKind
from recert.looks import HostLook
from recert.observed import Handshake, Handshakes, Offered, Orchestration, Service
from recert.orchestration import node_answers
from recert.problems import STRAY, renew_remedy
from recert.report import CertificateRecord, Check, Result, Role, Severity, Standing
from recert.standing import is_where_put
from recert.survey import SiteState

AGAIN = "Mend that, then run the same command again."
READABLE = "Connect as an account that may read it, or give this one the right to."


class About(Enum):
    """What the checks prove, in their order."""

    ASKED = "Every host can be asked"
    RETIRED = "Nothing belongs to the retired CA"
    PLACED = "Keys, certificates and copies are as they have to be"
    RUNNING = "Services run"
    PRESENTED = "Services present certificates of the CA in place"
    REFUSED = "Services refuse certificates of the retired CA"
    RUN = "A Puppet run succeeds"
    ORCHESTRATED = "Nodes answer in orchestration, and only those that are renewed"
    KNOWN = "The CA knows its nodes, and has revoked none of them"
    NOTHING_ELSE = "Nothing else is wrong"


PROVEN: Mapping[About, tuple[FindingKind, ...]] = {
    About.ASKED: (FindingKind.NOT_ASKED, FindingKind.NOT_JUDGED),
    About.RETIRED: (
        FindingKind.OF_RETIRED_CA,
        FindingKind.KEY_OF_RETIRED_CA,
        FindingKind.UNREADABLE,
    ),
    About.PLACED: (
        FindingKind.FAULT,
        FindingKind.LEFTOVER,
        FindingKind.MADE_ASIDE,
        FindingKind.CERTIFICATE_STALE,
        FindingKind.CERTIFICATE_UNSEEN,
        FindingKind.CA_NOT_TRUSTED,
        FindingKind.CRL_STALE,
        FindingKind.KEY_OPEN,
        FindingKind.NOT_AS_DELIVERED,
    ),
    About.RUNNING: (FindingKind.SERVICE_STOPPED,),
    About.KNOWN: (FindingKind.CERTIFICATE_UNKNOWN_TO_CA,),
}
"""Which findings make a check fail, whatever they weigh in a survey. `About.NOTHING_ELSE` is the
absence of all others that are bad; the rest of the checks rests on what was tried."""


@dataclass(frozen=True)
class RunSeen:
    """A Puppet run: what was done, whether it succeeded, and what it said."""

    did: str
    succeeded: bool
    said: str


@dataclass(frozen=True)
class Evidence:
    """What was tried, beside what was looked at; the mappings are by host. `left_out`: identities
    of agents that are in the inventory and not part of the run."""

    handshakes: Handshakes = field(default_factory=Handshakes)
    runs: Mapping[str, RunSeen] = field(default_factory=dict)
    orchestration: Orchestration | None = None
    left_out: Mapping[str, frozenset[str]] = field(default_factory=dict)


def verify(state: SiteState, evidence: Evidence) -> tuple[Check, ...]:
    """Every check, in the order of `About`."""
    state = state.judgeable
    found: list[Check] = []
    for look in state.looks:
        try:
            found += _of_host(state, evidence, look)
        except Exception as error:
            # What one host shows is no reason not to prove anything of the others.
            found += _of_host(state, evidence, look.without_judgement(error))
        state.pause()
    found += _orchestrated(state, evidence)
    order = [about.value for about in About]
    return tuple(sorted(found, key=lambda check: order.index(check.about)))


def _of_host(state: SiteState, evidence: Evidence, look: HostLook) -> list[Check]:
    if look.why:
        return [_check(About.ASKED, look, "looked at the host", look.why, Result.FAILED, AGAIN)]
    made = list(_HostChecks(state, evidence, look).all())
    return [*made, *_nothing_else(state, look, made)]


def _orchestrated(state: SiteState, evidence: Evidence) -> Iterator[Check]:
    if state.master is not None and state.master.deployment.messaging is None:
        return
    about, did = About.ORCHESTRATED.value, "asked as peadmin, with mco find, who is there"
    seen = evidence.orchestration
    if seen is None or seen.why:
        master = next((look.host for look in state.looks if look.role is Role.MASTER), "")
        why = seen.why if seen is not None else "nobody was asked"
        if seen is not None and seen.failed:
            yield Check(about, master, did, why, Result.FAILED, AGAIN)
        else:
            yield Check(about, master, did, why, Result.NOT_MADE)
        return
    for one in node_answers(state, seen, evidence.left_out):
        yield Check(about, one.host, did, one.saw, one.result, one.remedy)


def _nothing_else(state: SiteState, look: HostLook, made: Iterable[Check]) -> Iterator[Check]:
    """A survey looks at more than what proves a regeneration, and says of no host that it is well
    of which this would not."""
    about, did = About.NOTHING_ELSE, "surveyed the host for whatever keeps it from working"
    proven = {kind for kinds in PROVEN.values() for kind in kinds}
    own = state.findings_by_host.get(look.host, [])
    said = {one.subject for one in own if one.kind in proven}
    known = (check for check in made if check.about == About.KNOWN.value)
    if look.settings is not None and any(check.result is Result.FAILED for check in known):
        said.add(look.settings.hostcert)
    found = [
        one
        for one in state.told
        if one.host == look.host
        and one.severity is Severity.BAD
        and one.kind not in proven
        and one.subject not in said
    ]
    for one in found:
        yield _check(about, look, did, str(one), Result.FAILED, one.remedy)
    if not found:
        yield _check(about, look, did, "nothing was found", Result.PASSED)


def _check(
    about: About, look: HostLook, did: str, saw: str, result: Result, remedy: str = ""
) -> Check:
    return Check(about.value, look.host, did, saw, result, remedy)


@dataclass(frozen=True)
class _HostChecks:
    state: SiteState
    evidence: Evidence
    look: HostLook

    def all(self) -> Iterator[Check]:
        yield from self._retired()
        yield from self._placed()
        yield from self._running()
        if self.look.role is Role.MASTER:
            yield from self._services()
        yield from self._run()
        yield from self._known()

    def _check(self, about: About, did: str, saw: str, ok: bool, remedy: str = AGAIN) -> Check:
        result = Result.PASSED if ok else Result.FAILED
        return _check(about, self.look, did, saw, result, "" if ok else remedy)

    def _not_made(self, about: About, did: str, why: str) -> Check:
        return _check(about, self.look, did, why, Result.NOT_MADE)

    def _found(self, *kinds: FindingKind) -> list[Finding]:
        """What is wrong with the host of these kinds, in their order."""
        own = self.state.findings_by_host.get(self.look.host, [])
        return [one for kind in kinds for one in own if one.kind is kind]

    # Nothing belongs to the retired CA

    def _retired(self) -> Iterator[Check]:
        about, records = About.RETIRED, self._records()
        vendor = self.look.deployment.vendor
        known = [r for r in records if is_where_put(self.look, r.path)]
        elsewhere = [r for r in records if not is_where_put(self.look, r.path)]
        retired = self._of_the_retired
        for did, group in (
            ("read the certificates where the procedure puts them", known),
            (f"searched for certificates elsewhere in {vendor}'s directories", elsewhere),
        ):
            stale = [record for record in group if record.path in retired]
            for record in stale:
                of = "the retired CA" if record.standing is Standing.RETIRED else "another CA"
                saw = f"{record.path} holds {record.subject} ({record.serial}) of {of}"
                yield self._check(about, did, saw, False, self._remedy(record.path))
            if not stale:
                yield self._check(about, did, f"{len(group)} files, none of the retired CA", True)
        for one in self._found(FindingKind.UNREADABLE):
            did = "searched for certificates"
            why = f"the connected account may not read {one.subject}"
            yield self._check(about, did, why, False, READABLE)
        for one in self._found(FindingKind.SEALED):
            why = f"{one.subject} wants a password: nobody could look into it"
            yield self._not_made(about, "searched for certificates", why)
        unjudged = [r.path for r in records if r.standing is Standing.UNJUDGED]
        if unjudged and self._retired_is_unknown:
            why = f"neither CA is known with which {len(unjudged)} files could be compared"
            yield self._not_made(about, "compared signatures", why)
        yield from self._private_keys()
        yield from self._keystores()

    @property
    def _of_the_retired(self) -> set[str]:
        """The files that are of the retired CA, or may be."""
        kinds = [FindingKind.OF_RETIRED_CA]
        kinds += [FindingKind.OF_ANOTHER_CA] if self._retired_is_unknown else []
        return {one.subject for one in self._found(*kinds)}

    @property
    def _retired_is_unknown(self) -> bool:
        """Without the retired CA's certificate no signature can be compared with it."""
        retired = self.state.retired
        return retired is None or retired.certificate is None

    def _records(self) -> list[CertificateRecord]:
        found = self.state.certificates_by_host.get(self.look.host, [])
        return [r for r in found if r.path not in self.look.keystores.certificates]

    def _remedy(self, path: str) -> str:
        return RUN_PUPPET if is_delivered(self.look, path) else STRAY

    def _private_keys(self) -> Iterator[Check]:
        about, found = About.RETIRED, self.look.found
        did = "compared private keys with those in the backups of the retired CA"
        stale = self._found(FindingKind.KEY_OF_RETIRED_CA)
        for one in stale:
            yield self._check(about, did, str(one), False, one.remedy)
        if stale:
            return
        if found.backups or self.state.retired_keys:
            yield self._check(about, did, f"{len(found.keys)} private keys, all new", True)
        else:
            why = f"no backup of that CA was found to compare {len(found.keys)} keys with"
            yield self._not_made(about, did, why)

    def _keystores(self) -> Iterator[Check]:
        did = "listed Java keystores with keytool"
        stores = self.look.keystores
        if not stores.certificates:
            return
        if not stores.readable:
            why = f"there is no keytool to read {', '.join(stores.certificates)}"
            yield self._not_made(About.RETIRED, did, why)
            return
        records = self.state.certificates_by_host.get(self.look.host, [])
        retired = {one.subject for one in self._found(FindingKind.OF_RETIRED_CA)}
        stale = {
            record.path: record
            for record in reversed(records)
            if record.path in retired and record.standing is Standing.RETIRED
        }
        for path, pems in stores.certificates.items():
            certs = [pem for pem in pems if read_certificate(pem) is not None]
            if not certs:
                yield self._not_made(About.RETIRED, did, f"{path} cannot be read")
            elif path in stale:
                held = stale[path]
                saw = f"{path} holds {held.subject} ({held.serial}) of the retired CA"
                yield self._check(About.RETIRED, did, saw, False, self._remedy(path))
            else:
                saw = f"{path}: {len(certs)} certificates, none of the retired CA"
                yield self._check(About.RETIRED, did, saw, True)

    # Everything is as it has to be

    def _placed(self) -> Iterator[Check]:
        about = About.PLACED
        if self.look.role is Role.MASTER:
            did = "compared keys, certificates, copies, owners and modes"
        else:
            did = "compared the key, the certificate and the CA that is trusted"
        kinds = PROVEN[about]
        wrong = self._found(*(kind for kind in kinds if kind is not FindingKind.NOT_AS_DELIVERED))
        judged = {one.subject for one in wrong if one.kind is not FindingKind.KEY_OPEN}
        wrong = [o for o in wrong if o.kind is not FindingKind.KEY_OPEN or o.subject not in judged]
        for one in wrong:
            yield self._check(about, did, str(one), False, one.remedy)
        incomparable = self.look.role is not Role.MASTER and self.state.ca_records.ca is None
        if incomparable:
            saw = "the master has no CA to compare with"
            yield self._check(about, did, saw, False)
        elif not wrong:
            yield self._check(about, did, "all as it has to be", True)
        yield from self._delivered()

    def _delivered(self) -> Iterator[Check]:
        copies = sum(is_delivered(self.look, path) for path in self.look.found.files)
        did = "compared what Puppet runs deliver to ActiveMQ and MCollective with its sources"
        if wrong := self._found(FindingKind.NOT_AS_DELIVERED):
            saw = "; ".join(map(str, wrong))
            yield self._check(About.PLACED, did, saw, False, wrong[0].remedy)
        elif copies and self.state.sources is not None:
            yield self._check(About.PLACED, did, f"{copies} files, as their sources", True)

    @property
    def _stopped_before(self) -> frozenset[str]:
        return self.state.stopped_before.get(self.look.host, frozenset())

    def _running(self) -> Iterator[Check]:
        about, did = About.RUNNING, "asked the service manager"
        was_down = self._found(FindingKind.SERVICE_STOPPED_BEFORE)
        down = self._found(FindingKind.SERVICE_STOPPED)
        for one in was_down:
            saw = f"{one.subject} does not run; it did not before, either"
            yield self._check(about, did, saw, True)
        for one in down:
            yield self._check(about, did, str(one), False, one.remedy)
        if not down and not was_down:
            services = self.look.services
            running = [name for name, state in services.items() if state is Service.RUNNING]
            yield self._check(about, did, f"{', '.join(running)} run", True)

    # What the services do

    def _services(self) -> Iterator[Check]:
        made = self.evidence.handshakes.made
        for service, endpoint in self.look.deployment.master.endpoints.items():
            state = self.look.services.get(service)
            if state is Service.MISSING:
                continue
            if state is Service.STOPPED and service in self._stopped_before:
                continue  # as it was
            with_it = {shake.offered: shake for shake in made if shake.service == service}
            asked = [shake.port for shake in with_it.values()]
            port = asked[0] if asked else self.look.ports.get(service, endpoint.port)
            how = f"TLS handshake with {service} on port {port}"
            if endpoint.handshake == "postgresql":
                how += ", after its SSLRequest"
            if port == NOWHERE:
                how = f"TLS handshake with {service}"
                yield self._not_made(About.PRESENTED, how, "it listens on its socket alone")
                continue
            if not any(shake.answered for shake in with_it.values()):
                said = next((s.said for s in with_it.values()), "it was not tried")
                as_before = service in self.look.silent_before
                if as_before:
                    said += "; nor did it answer before the CA was regenerated"
                    yield self._not_made(About.PRESENTED, how, f"no TLS: {said}")
                else:
                    yield self._check(About.PRESENTED, how, f"no TLS: {said}", False)
                continue
            yield self._presented(how, with_it)
            yield self._refused(how, with_it)

    def _presented(self, how: str, with_it: Mapping[Offered, Handshake]) -> Check:
        pem = next((s.presented for s in with_it.values() if s.presented), "")
        cert = read_certificate(pem or "")
        if cert is None:
            return self._check(About.PRESENTED, how, "a certificate that cannot be read", False)
        shown = f"{cert.subject} (0x{cert.serial:04x})"
        standing = self.state.cas.standing(cert)
        own = map(self.look.found.certificates.get, self.look.extras)
        if any(one and read_certificate(one) == cert for one in own):
            saw, well = f"{shown}, which was put there by hand", standing is not Standing.RETIRED
            saw += "" if well else ", and is of the retired CA"
            return self._check(About.PRESENTED, how, saw, well, "Put another in its place.")
        if standing in (Standing.GOOD, Standing.EXPIRING):
            return self._check(About.PRESENTED, how, f"{shown}, of the CA in place", True)
        remedy = "Restart the service; if it presents the same, regenerate its credentials."
        of = "of the retired CA" if standing is Standing.RETIRED else standing.value
        return self._check(About.PRESENTED, how, f"{shown}, {of}", False, remedy)

    def _refused(self, how: str, with_it: Mapping[Offered, Handshake]) -> Check:
        about, did = About.REFUSED, f"{how}, offering {Offered.RETIRED.value}"
        if not any(shake.asked for shake in with_it.values()):
            return self._check(about, did, "it asks clients for no certificate", True)
        current, retired = with_it.get(Offered.CURRENT), with_it.get(Offered.RETIRED)
        why = self._no_retired_credential()
        if why:
            return self._not_made(about, did, why)
        if current is None or not current.accepted:
            said = f": {current.said}" if current is not None else ""
            saw = f"it does not take a certificate of the CA in place, either{said}"
            return self._check(about, did, saw, False)
        if retired is None or retired.accepted:
            remedy = "Restart the service: it still trusts the retired CA."
            return self._check(about, did, "it was accepted", False, remedy)
        saw = f"refused ({retired.said}); one of the CA in place is taken"
        return self._check(about, did, saw, True)

    def _no_retired_credential(self) -> str:
        """Why nothing of the retired CA could be offered; empty if something was."""
        offered = {c.offered: c for c in self.evidence.handshakes.credentials}
        retired = offered.get(Offered.RETIRED)
        if retired is None:
            return "no backup here holds a certificate of the retired CA to offer"
        cert: Certificate | None = read_certificate(retired.certificate or "")
        if cert is None:
            return f"the backup's certificate cannot be offered: {retired.why}"
        if not self.state.cas.is_retired(cert):
            return "the backup's certificate is not of the retired CA"
        return ""

    # Puppet and the CA

    def _run(self) -> Iterator[Check]:
        run = self.evidence.runs.get(self.look.host)
        if run is None:
            yield self._check(About.RUN, "ran Puppet", "it was not run", False)
        else:
            yield self._check(About.RUN, run.did, run.said, run.succeeded)

    def _known(self) -> Iterator[Check]:
        conf = self.look.settings
        own = conf.hostcert if conf is not None else "its certificate"
        did = f"looked for {own} in the CA's inventory and revocation list"
        cert = self.state.certificate_of(self.look)
        known, renew = self.state.is_in_inventory(self.look), renew_remedy(self.state)
        if known is None:
            yield self._not_made(About.KNOWN, did, "the CA could not be asked")
        elif cert is None:
            yield self._check(About.KNOWN, did, "it has no certificate", False, renew)
        else:
            revoked = cert.serial in self.state.ca_records.revoked
            shown = f"{cert.subject} (0x{cert.serial:04x})"
            saw = f"{shown} is there" if known else f"{shown} is not what the CA has signed"
            if revoked:
                saw += ", and revoked"
            yield self._check(About.KNOWN, did, saw, known and not revoked, renew)
