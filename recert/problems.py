"""What is wrong at a site, the remedy of each, and what it weighs: judged here and nowhere else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from recert import interlock
from recert.aside import Aside
from recert.causes import REGENERATE, faults, leftovers
from recert.certificates import Certificate, read_revocation_list
from recert.delivered import RUN_PUPPET, is_delivered
from recert.extensions import carried, missing, named
from recert.findings import Finding, FindingKind
from recert.identity import never_believed
from recert.looks import HostLook
from recert.observed import Service
from recert.others import UNREAD
from recert.pasted import for_sh, word
from recert.preflight import MAX_CLOCK_SKEW, crl_renewal
from recert.renewal import Renewal
from recert.report import CertificateRecord, Role, Severity, Standing
from recert.settings import Settings
from recert.signing import Before, more_unseen, unseen_remedy
from recert.standing import SOON, is_pes_own, open_keys

if TYPE_CHECKING:
    from recert.survey import SiteState

UNTRUSTED = "is not the certificate of the master's CA"
GIVEN_UP = "has the certificate of a CA that the site has given up"
STRAY = "Find out what uses it, give that a certificate of the CA in place, then remove it."
STALE_CRL = "is not a revocation list of the master's CA that is in force"


OF_A_FILE = frozenset(
    {
        FindingKind.OF_RETIRED_CA,
        FindingKind.OF_ANOTHER_CA,
        FindingKind.REVOKED,
        FindingKind.EXPIRED,
        FindingKind.EXPIRES_SOON,
        FindingKind.NOT_ONE_NAME,
        FindingKind.NOT_YET_VALID,
        FindingKind.WEAK,
        FindingKind.WITHOUT_ITS_KEY,
        FindingKind.NO_CERTIFICATE,
    }
)
"""What a certificate's file shows by itself, whatever else has been judged of it."""

_TOLD_BY_CHECKS = frozenset({FindingKind.KEY_OF_RETIRED_CA})
"""Before a node is renewed its own key is one, beside the certificate that tells all of it: what is
left in the end, a verification tells."""

_TOLD_OF_ALL = frozenset({FindingKind.WEAK, FindingKind.EXPIRED, FindingKind.EXPIRES_SOON})

_OF_MASTER = frozenset(
    {
        FindingKind.FAULT,
        FindingKind.LEFTOVER,
        FindingKind.MADE_ASIDE,
        FindingKind.NAME_OF_ANOTHER,
        FindingKind.CRL_EXPIRES,
        FindingKind.SIGNED_FOR_ANOTHER,
        FindingKind.SIGNED_UNREADABLE,
        FindingKind.HOST_UNKNOWN,
        FindingKind.REQUEST_WAITS,
        FindingKind.NOT_AS_DELIVERED,
    }
)


def findings_of_host(state: SiteState, look: HostLook) -> Iterable[Finding]:
    """Everything that is wrong with a host, and if it is the master with its CA."""
    yield from _of_host(state, look)
    if look is state.master:
        yield from _of_master(state)
    yield from _of_certificates(state, look)


def findings_of_inventory(state: SiteState) -> Iterable[Finding]:
    """The hosts that nobody looks at, and that every run is refused for."""
    for host, groups in state.groupless.items():
        yield Finding(
            FindingKind.IN_NO_GROUP,
            Severity.BAD,
            host,
            "",
            f"is in none of the groups of agents (in {groups}), and was not looked at",
            "Put it into the inventory's group agents or windows_agents, or leave it out.",
        )


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Each of them once, the worst first."""
    order = list(Severity)
    return tuple(sorted(dict.fromkeys(findings), key=lambda one: order.index(one.severity)))


def worth_telling(state: SiteState, findings: Iterable[Finding]) -> Iterable[Finding]:
    """Those that a person is told: of a file that has been judged by what it is for, not also what
    it shows by itself."""
    findings = list(findings)
    judged = {(one.host, one.subject) for one in findings if one.kind in _OF_MASTER}
    of_retired = (one for one in findings if one.kind is FindingKind.OF_RETIRED_CA)
    going = {(one.host, one.subject) for one in of_retired} if state.retiring else set()
    own = set()
    for look in state.looks:
        conf = look.settings
        if conf is not None and look.role is not Role.MASTER and state.ca_records.ca is not None:
            own |= {(look.host, conf.hostcert)}
            own |= {(look.host, conf.localcacert)}
    for one in findings:
        if one.kind in _TOLD_BY_CHECKS:
            continue
        place = (one.host, one.subject)
        known = place in own or place in going
        if one.kind in OF_A_FILE and (place in judged or (known and one.kind not in _TOLD_OF_ALL)):
            continue
        yield one


def _of_host(state: SiteState, look: HostLook) -> Iterable[Finding]:
    def finding(
        kind: FindingKind, severity: Severity, subject: str, what: str, remedy: str
    ) -> Finding:
        return Finding(kind, severity, look.host, subject, what, remedy)

    if look.not_judged:
        remedy = "Look at the host by hand: nothing else of it was judged."
        yield finding(FindingKind.NOT_JUDGED, Severity.BAD, "", look.why, remedy)
    elif look.why:
        remedy = "Mend that, then run the same command again."
        yield finding(FindingKind.NOT_ASKED, Severity.BAD, "", look.why, remedy)
    for service, found in look.services.items():
        if found is Service.STOPPED:
            remedy = look.kind.start(service)
            if service in state.stopped_before.get(look.host, ()):
                what = "does not run, and did not before the run"
                yield finding(
                    FindingKind.SERVICE_STOPPED_BEFORE, Severity.WARNING, service, what, remedy
                )
            else:
                yield finding(
                    FindingKind.SERVICE_STOPPED, Severity.BAD, service, "does not run", remedy
                )
    skew = state.clock_skew(look)
    if skew is not None and abs(skew) > MAX_CLOCK_SKEW:
        ahead = "ahead of" if skew > 0 else "behind"
        whose = "the control machine's" if look.role is Role.MASTER else "the master's"
        yield finding(
            FindingKind.CLOCK_WRONG,
            Severity.BAD,
            "clock",
            f"is {abs(skew):.0f} s {ahead} {whose}",
            "Bring NTP in order: certificates that begin in the future are refused.",
        )
    if look.disabled is not None:
        yield finding(
            FindingKind.AGENT_DISABLED,
            Severity.WARNING,
            "Puppet agent",
            "is disabled",
            "puppet agent --enable",
        )
    if look.settings is not None and (look.last_run is None or not look.last_run.succeeded):
        what = "has not succeeded" if look.last_run else "has left no trace"
        remedy = "puppet agent --test, and mend what it says"
        yield finding(FindingKind.RUN_FAILED, Severity.WARNING, "last Puppet run", what, remedy)
    others = state.others(look)
    for path, what in others.items():
        said = f"is {what} of no CA of this site's, and is left alone"
        if what == UNREAD:
            said = "could not be looked into, and is left alone"
        yield finding(
            FindingKind.SOMEBODY_ELSES,
            Severity.NOTE,
            path,
            said,
            "Nothing, if you know whose it is.",
        )
    for path, mode in open_keys(look):
        if path in others:
            continue
        what, remedy = f"is open to others ({mode:04o})", for_sh("chmod o-rwx", path)
        yield finding(FindingKind.KEY_OPEN, Severity.BAD, path, what, remedy)
    for path in sorted(_old_keys(state, look)):
        yield finding(
            FindingKind.KEY_OF_RETIRED_CA,
            Severity.BAD,
            path,
            "is a private key from before the CA was retired",
            RUN_PUPPET if is_delivered(look, path) else STRAY,
        )
    for path in sorted(look.found.unreadable):
        what, remedy = "may not be read by the connected account", "Give it the right to."
        yield finding(FindingKind.UNREADABLE, Severity.WARNING, path, what, remedy)
    for one in state.delivered(look):
        yield finding(FindingKind.NOT_AS_DELIVERED, Severity.BAD, one.path, one.why, one.remedy)
    for path in sorted(look.found.sealed):
        if is_pes_own(look, path):
            what, remedy = "wants a password", "Look into it by hand: openssl pkcs12 -in FILE"
            yield finding(FindingKind.SEALED, Severity.WARNING, path, what, remedy)
    yield from _lost(state, look)
    renewal = state.renewal(look)
    if renewal is not None and state.ca_records.ca is not None:
        yield from _of_agent(state, look, renewal)


def _old_keys(state: SiteState, look: HostLook) -> frozenset[str]:
    """The private keys that are in a backup of the retired CA's, or that it has certified."""
    if state.retiring:
        return frozenset()
    ca_key = state.retired.key if state.retired is not None else None
    certified = state.retired_keys | ({ca_key} if ca_key else set())
    kept = look.found.saved - state.others(look).keys() - look.extras
    return kept | {path for path, key in look.found.keys.items() if key in certified}


def _lost(state: SiteState, look: HostLook) -> Iterable[Finding]:
    """What a host's certificate has lost, or the next one would."""
    cert, conf = state.certificate_of(look), look.settings
    if cert is None or conf is None:
        return
    path = conf.csr_attributes
    lost = missing(state.retired_extensions(conf.certname), cert.extensions)
    if lost and not state.cas.is_retired(cert):
        what = f"lacks {named(lost)}, which its certificate of the retired CA had"
        remedy = f"Have {path} ask for it, then replace the certificate: deploys/replace.py."
        own = conf.hostcert
        yield Finding(FindingKind.EXTENSIONS_LOST, Severity.WARNING, look.host, own, what, remedy)
    gone = state.retired_alt_names(look) - cert.alt_names
    if gone and not state.cas.is_retired(cert):
        what = f"lacks the names {', '.join(sorted(gone))}, which that of the retired CA had"
        remedy = (
            f"Put them into dns_alt_names in {conf.config}, then replace the certificate "
            "(deploys/replace.py), if something still goes by them."
        )
        own = conf.hostcert
        yield Finding(FindingKind.ALT_NAMES_LOST, Severity.WARNING, look.host, own, what, remedy)
    asked = carried(list(look.csr_attributes))
    if look.csr_attributes and (asked is None or missing(cert.extensions, asked)):
        what = "cannot be read by Puppet"
        if asked is not None:
            what = f"does not ask for {named(missing(cert.extensions, asked))} of the certificate"
        remedy = "Correct the file, or move it away: the next certificate would be without."
        yield Finding(
            FindingKind.EXTENSIONS_NOT_ASKED_FOR, Severity.WARNING, look.host, path, what, remedy
        )


def _of_agent(state: SiteState, look: HostLook, renewal: Renewal) -> Iterable[Finding]:
    renew = renew_remedy(state)
    if stale := renewal.certificate_problem:
        yield Finding(
            FindingKind.CERTIFICATE_STALE, Severity.BAD, look.host, stale.path, stale.why, renew
        )
    elif state.is_in_inventory(look) is False:
        what = "is not the certificate that the CA has for that name"
        yield Finding(
            FindingKind.CERTIFICATE_UNKNOWN_TO_CA,
            Severity.BAD,
            look.host,
            renewal.paths.certificate,
            what,
            renew,
        )
    # The CA's own copy: the node would show another one, or none.
    name, ca_records = renewal.certname, state.ca_records
    cert = ca_records.signed(name) or (None if stale else renewal.certificate)
    before = state.certificate_before(name)
    more = more_unseen(cert, before, ca_records) if cert else ""
    if cert is not None and more:
        yield Finding(
            FindingKind.CERTIFICATE_UNSEEN,
            Severity.BAD,
            look.host,
            renewal.paths.certificate,
            f"says more than {_measure(before)}, and the master signs by itself: {more}",
            unseen_remedy(cert, ca_records),
        )
    if not renewal.trusts_ca_in_place:
        path = renewal.settings.localcacert
        what = GIVEN_UP if renewal.trusts_given_up else UNTRUSTED
        yield Finding(FindingKind.CA_NOT_TRUSTED, Severity.BAD, look.host, path, what, renew)
    elif stale is None and renewal.crl_is_stale:
        path = renewal.settings.hostcrl
        yield Finding(
            FindingKind.CRL_STALE, Severity.BAD, look.host, path, STALE_CRL, crl_remedy(look, path)
        )


def _measure(before: Certificate | Before | None) -> str:
    if before is Before.NOTHING:
        return "its name, and that of the retired CA is not believed"
    return "that of the retired CA"


def _of_master(state: SiteState) -> Iterable[Finding]:
    fresh = state.freshness
    if fresh is None or state.master is None:
        return
    host, aside = state.master.host, Aside(fresh.settings)
    if any(map(aside.holds, state.master.found.keys)):
        yield Finding(
            FindingKind.MADE_ASIDE,
            Severity.WARNING,
            host,
            aside.top,
            "holds a new CA with its key, made aside by a run that was cut off",
            f"The same command goes on with it; to do without: {for_sh('rm -r', aside.top)}",
        )
    for one in faults(fresh):
        yield Finding(FindingKind.FAULT, Severity.BAD, host, one.path, one.why, one.remedy)
    for one in leftovers(fresh):
        yield Finding(FindingKind.LEFTOVER, Severity.WARNING, host, one.path, one.why, one.remedy)
    yield from _of_names(state, fresh.settings)
    if not fresh.ca_due:
        yield from _of_ca(state, host, fresh.settings)


def _of_names(state: SiteState, conf: Settings) -> Iterable[Finding]:
    """Hosts that say that they are called as another one is: not the one that is, where the
    inventory or a proof tells which."""
    assert state.master is not None
    in_use = state.certificate_of(state.master)
    of_master = {conf.certname, *(in_use.alt_names if in_use is not None else ())}
    agents = [look for look in state.looks if look.role is not Role.MASTER]
    names = Counter(look.settings.certname for look in agents if look.settings is not None)
    by_right = Counter(
        look.settings.certname for look in agents if look.settings is not None and look.borne_out
    )
    for look in agents:
        certname = look.settings.certname if look.settings is not None else ""
        its_own = look.borne_out and by_right[certname] == 1
        whose = never_believed(certname, of_master)
        if whose is None and names[certname] > 1 and not its_own:
            whose = "another host"
        if certname and whose is not None:
            what = f"is its certname, as it says, and the name of {whose}"
            remedy = "Correct certname in its puppet.conf; revoke what it got under that name."
            yield Finding(
                FindingKind.NAME_OF_ANOTHER, Severity.BAD, look.host, certname, what, remedy
            )


def _of_ca(state: SiteState, host: str, conf: Settings) -> Iterable[Finding]:
    assert state.master is not None
    authority = state.ca_records.authority
    crl = read_revocation_list(state.master.ssl.texts.get(conf.cacrl, ""))
    if crl is not None and crl.expires is not None and crl.expires <= state.at + SOON:
        gone = crl.invalidity(state.at)
        yield Finding(
            FindingKind.CRL_EXPIRES,
            Severity.BAD if gone else Severity.WARNING,
            host,
            conf.cacrl,
            gone or f"expires on {crl.expires:%Y-%m-%d}",
            crl_renewal(conf, state.master.deployment),
        )
    signed = {
        name: state.ca_records.ever_signed(name) for name in state.names_below(conf.signeddir)
    }
    valid = {
        name: cert
        for name, cert in signed.items()
        if cert is None or cert.serial not in state.ca_records.revoked
    }
    for name, cert in valid.items():
        misnamed = state.ca_records.misnamed(name)
        path = f"{conf.signeddir}/{name}.pem"
        if misnamed is not None:
            what = f"is for {misnamed.subject}, and was signed under the name {name}"
            remedy = _revocation(state, f"0x{misnamed.serial:x}")
            yield Finding(FindingKind.SIGNED_FOR_ANOTHER, Severity.BAD, host, path, what, remedy)
        elif cert is None:
            what = "cannot be read, so that nobody knows for whom it is"
            yield Finding(
                FindingKind.SIGNED_UNREADABLE,
                Severity.BAD,
                host,
                path,
                what,
                f"Look at it, and at {conf.cadir}.",
            )
    said = {look.settings.certname for look in state.looks if look.settings is not None}
    own = state.master.deployment.credential_names(conf.certname)
    for line in interlock.left_behind(valid, own, state.inventory_names | said):
        if state.not_asked:
            what = "has a certificate, and no host of the inventory is called like that"
            remedy = interlock.not_asked_yet(len(state.not_asked))
        else:
            what = "has a certificate, and no host of the inventory has that name"
            remedy = f"Add the host to the inventory, or `{authority.clean}` the name."
        yield Finding(FindingKind.HOST_UNKNOWN, Severity.WARNING, host, line, what, remedy)
    for name in state.names_below(conf.csrdir):
        what, remedy = (
            "waits for a signature",
            f"{for_sh(authority.sign, name)}, or {for_sh(authority.clean, name)}",
        )
        yield Finding(FindingKind.REQUEST_WAITS, Severity.NOTE, host, name, what, remedy)


def _of_certificates(state: SiteState, look: HostLook) -> Iterable[Finding]:
    """What the files alone show."""
    others = state.others(look)
    aside = Aside(look.settings) if look is state.master and look.settings is not None else None
    for judged in state.judged_certificates(look):
        record = judged.record
        path = record.path
        if path in others or (aside is not None and aside.holds(path)):
            continue
        retired = record.standing is Standing.RETIRED
        if not retired and (path in look.extras or not is_pes_own(look, path)):
            continue
        for flaw in judged.flaws:
            severity, remedy = _weight(state, record, flaw.kind)
            if severity is None:
                continue
            if retired and is_delivered(look, path):
                remedy = RUN_PUPPET
            yield Finding(flaw.kind, severity, record.host, path, flaw.what, remedy)


def renew_remedy(state: SiteState) -> str:
    """How nodes get a certificate of the CA in place."""
    gone = state.ca_gone
    if gone is None:
        return "Run deploys/agents.py with the retire_ca of the CA that is gone."
    return f"Run deploys/agents.py with --data {word(f'retire_ca={gone}')}"


def _revocation(state: SiteState, serial: str) -> str:
    return (
        "Find out who asked for it; revoke it on the master, and restart its server: "
        f"{state.ca_records.authority.revoke} {serial}"
    )


def crl_remedy(look: HostLook, path: str) -> str:
    """What to do about a revocation list at `path` that Puppet itself never replaces."""
    return f"{look.kind.remove(path)}; Puppet fetches it anew"


def _weight(
    state: SiteState, record: CertificateRecord, kind: FindingKind
) -> tuple[Severity | None, str]:
    if kind is FindingKind.WEAK:
        return Severity.WARNING, "A new CA and new certificates have stronger ones."
    if kind is FindingKind.NOT_ONE_NAME:
        return Severity.BAD, _revocation(state, record.serial or "")
    match record.standing:
        case Standing.RETIRED:
            remedy = "Find out what uses it, give that a certificate of the CA in place, remove it."
            return Severity.BAD, remedy
        case Standing.UNUSABLE:
            return Severity.BAD if record.used_by else Severity.WARNING, REGENERATE
        case Standing.FOREIGN:
            return Severity.WARNING, "If nothing uses it, remove it; if a CA is gone, renew it."
        case Standing.EXPIRED:
            return Severity.BAD if record.used_by else Severity.WARNING, renew_remedy(state)
        case Standing.EXPIRING:
            return Severity.WARNING, "Renew it before: deploys/replace.py, or a new CA."
        case Standing.REVOKED | Standing.UNJUDGED | Standing.GOOD:
            return None, ""
