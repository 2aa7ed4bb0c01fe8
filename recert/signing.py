"""Which requests may be signed.

A request is signed only if the agent's own file is the very request that the CA holds under
the agent's certname. Who the agent is has been settled by the connection over which its file
was read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from cryptography import x509

from recert.ca_records import CaRecords
from recert.certificates import (
    Certificate,
    CertificateRequest,
)
from recert.demands import Demand, demands_of
from recert.deployments.authority import Authority
from recert.extensions import named
from recert.pasted import for_sh, word

_COMMENT = "2.16.840.1.113730.1.13"
"""Netscape's, in which Puppet names itself."""


@dataclass(frozen=True)
class Application:
    """What an agent wants signed: its certname, the digest of its key, the request that its own
    file holds, and the alternative names and other extensions that its previous certificate had, by
    the master's own records. `kept_alt_names`: those that the request has to carry.

    `former`: the certificate before, by the master's own records; None if they have none.

    `request` is None where the agent's Puppet did not keep it, because the master took it but
    answered with an error; what the master holds then has to be made with the agent's key.
    """

    certname: str
    key: str
    request: CertificateRequest | None
    previous_alt_names: frozenset[str]
    previous_extensions: frozenset[tuple[str, str]] = frozenset()
    previous_demands: frozenset[Demand] = frozenset()
    kept_alt_names: frozenset[str] = frozenset()
    former: Certificate | Before | None = None


def certified(
    certname: str, certificates: Iterable[Certificate], ca: Certificate
) -> Certificate | None:
    """The first of these certificates that is this agent's and that this CA has made.

    What an agent has lying about is not believed: a certificate that it made for itself, or
    that of somebody else, would get it any name.
    """
    own = (cert for cert in certificates if cert.subject == certname)
    return next((cert for cert in own if cert.issued_by(ca)), None)


class Verdict(Enum):
    SIGN = "sign"
    SIGN_WITH_ALT_NAMES = "sign with alt names"
    SIGNED = "signed"
    UNSEEN = "signed unseen"
    ANOTHER = "another"
    FOREIGN = "somebody else's request"
    UNKNOWN = "unknown"
    ALT_NAMES = "alt names"
    LESS = "less than before"
    EXTENSIONS = "extensions"
    FAILED = "failed"


@dataclass(frozen=True)
class Judgement:
    """What is to become of an application; `why` for a person, with what to do."""

    verdict: Verdict
    why: str = ""

    @property
    def may_be_signed(self) -> bool:
        return self.verdict in (Verdict.SIGN, Verdict.SIGN_WITH_ALT_NAMES)


def judge(application: Application, ca_records: CaRecords) -> Judgement:
    """Whether the request may be signed."""
    name, own = application.certname, application.request
    if conflict := conflict_at_ca(name, application.key, ca_records):
        return Judgement(Verdict.ANOTHER, conflict)
    if foreign := foreign_request(name, application.key, ca_records):
        return Judgement(Verdict.FOREIGN, _another_request(name, foreign, ca_records))
    if (signed := ca_records.signed(name)) is not None:
        unseen = signed_unseen(signed, application.former, ca_records)
        return Judgement(Verdict.UNSEEN, unseen) if unseen else Judgement(Verdict.SIGNED)
    request = ca_records.request(name)
    if request is None:
        return Judgement(Verdict.UNKNOWN, f"The master has no request under the name {name}.")
    # Whose key it is for has been compared above.
    its_own = request.by_its_key if own is None else request.digest == own.digest
    if not its_own:
        return Judgement(Verdict.ANOTHER, _another_request(name, request.digest, ca_records))
    if request.subject != name:
        return Judgement(Verdict.ANOTHER, f"Its request is for {request.subject}, not for {name}.")
    extra = (request.alt_names | set(request.other_alt_names)) - {name}
    may = Judgement(Verdict.SIGN_WITH_ALT_NAMES if extra else Verdict.SIGN)
    if request.digest in ca_records.approved:
        return may
    approve = f"add --data approved_requests={request.digest}, and this request is signed as it is"
    lost = []
    if extensions := application.previous_extensions - request.extensions:
        lost.append(f"the extensions {named(dict(extensions))}")
    if names := application.kept_alt_names - request.alt_names:
        lost.append(f"the alternative names {', '.join(sorted(names))}")
    if lost:
        return Judgement(
            Verdict.LESS,
            f"Its request lacks {' and '.join(lost)} of its previous certificate. "
            f"Remove {word(f'{ca_records.csrdir}/{name}.pem')} on the master and the agent's "
            f"private key, and run the same command again; or, if less is right, {approve}",
        )
    had = application.previous_alt_names - {name}
    more = request.demands - application.previous_demands
    why = []
    if more:
        why.append(
            f"Its request asks for extensions that nobody has seen yet: {_told(more)}. By the "
            "master's own copy of its previous certificate it had "
            f"{_told(_others(application, more))}."
        )
    if extra and extra != had:
        why.append(
            f"Its request carries the alt names {', '.join(sorted(extra))}. It may have "
            f"{', '.join(sorted(had)) or 'none'}: what its previous certificate had, by the "
            "master's own copy, and no other node has."
        )
    if why:
        why.append(f"If more is right, {approve}")
        return Judgement(Verdict.EXTENSIONS if more else Verdict.ALT_NAMES, " ".join(why))
    return may


def _others(application: Application, more: Iterable[Demand]) -> frozenset[Demand]:
    """What the previous certificate had under the numbers that are asked for now."""
    numbers = {demand.number for demand in more}
    return frozenset(d for d in application.previous_demands if d.number in numbers)


def _told(demands: Iterable[Demand]) -> str:
    return ", ".join(map(str, sorted(demands))) or "none of them"


def more_than_judged(cert: Certificate, application: Application, ca_records: CaRecords) -> str:
    """What a certificate says beyond what was judged and beyond what Puppet puts into each; empty
    if nothing. Whoever is quick puts another request in the place of the one that was compared.

    :param ca_records: as they were when that was judged.
    """
    names = {application.certname, *application.previous_alt_names}
    demands = application.previous_demands
    request = ca_records.request(application.certname)
    if request is not None and request.digest in ca_records.approved:
        names |= {*request.alt_names, *request.other_alt_names}
        demands |= request.demands
    return _more(cert, names, demands)


BACKDATED = timedelta(days=1)
"""By which Puppet's CA dates what it signs, for the sake of clocks that are behind."""


def signed_since(cert: Certificate, since: datetime | None) -> bool:
    """Whether a certificate may have been signed at that moment or later.

    :param since: None for no moment.
    """
    return since is not None and cert.not_before + BACKDATED >= since


class Before(Enum):
    """What a node had before, where it is not a certificate that tells."""

    NOTHING = "nothing that is believed"


def more_than_before(cert: Certificate, former: Certificate | Before) -> str:
    """What a certificate says beyond the one that its node had before, and beyond what Puppet puts
    into each; empty if nothing, or if nobody can know because that one cannot be read."""
    if isinstance(former, Before):
        return _more(cert, {cert.subject}, frozenset())
    try:
        had = demands_of(former.x509.extensions)
    except Exception:
        return ""
    return _more(cert, {cert.subject, *former.alt_names, *former.other_alt_names}, had)


def _more(cert: Certificate, names: Collection[str], demands: frozenset[Demand]) -> str:
    found = sorted((cert.alt_names | set(cert.other_alt_names)).difference(names))
    try:
        extensions = [e for e in cert.x509.extensions if not _is_puppets_own(e)]
        found += map(str, sorted(demands_of(extensions) - demands))
    except Exception:  # what an odd one makes a parser raise is not to be foreseen
        found.append("an extension that cannot be read")
    return ", ".join(found)


def another_key_refusals(
    own: Certificate | None, key: str | None, former: Certificate | None, authority: Authority
) -> list[str]:
    """Where the master's record of a node is not the node's: what the new certificate is to carry
    would be taken from somebody else's.

    :param own: the certificate that the node has, and `key` its private key's digest.
    :param former: what the master's own records have under the name.
    """
    if own is None or former is None or own.key != key or former.key == key:
        return []
    more = more_than_before(former, own)
    if not more:
        return []
    return [
        f"The master's record of {former.subject} ({former.fingerprint}) is of another key than "
        f"the node's own and says more than the node's certificate ({more}), which the new one "
        "would carry. Whoever has the retired CA's key can have put it there. Find out who did; "
        f"then remove it: {for_sh(authority.clean, former.subject)}"
    ]


def more_unseen(
    cert: Certificate, former: Certificate | Before | None, ca_records: CaRecords
) -> str:
    """What a certificate says beyond its node's former one and no person has looked at, because the
    master may have signed it by itself; empty if nothing.

    What a master does not sign by itself, somebody has: whoever answers a request that waits types
    that on the master. Where it does, he names the certificate, by its fingerprint.

    :param former: None where nobody can know what the node had.
    """
    if former is None or cert.fingerprint in ca_records.approved:
        return ""
    if not ca_records.autosign.may_have_signed(cert.subject, cert.alt_names):
        return ""
    return more_than_before(cert, former)


def signed_unseen(
    cert: Certificate, former: Certificate | Before | None, ca_records: CaRecords
) -> str | None:
    """Why a certificate does not count before a person has looked at it, with what to do."""
    more = more_unseen(cert, former, ca_records)
    if not more:
        return None
    measure = "than its name, and the one before may be somebody else's (compromised_since)"
    if former is not Before.NOTHING:
        measure = "than the one before, by the master's own copy of that"
    return (
        f"The certificate that the master has for {cert.subject} says more {measure}: {more}. The "
        f"master signs by itself, so that nobody may have seen it. "
        f"{unseen_remedy(cert, ca_records)}"
    )


def unseen_remedy(cert: Certificate, ca_records: CaRecords) -> str:
    """What to do about such a one."""
    clean = for_sh(ca_records.authority.clean, cert.subject)
    return (
        f"Find out who asked for that. If it is not right, revoke it (`{clean}` on the master, and "
        "restart its server) and run the same command again; if it is, add --data "
        f"approved_certs={cert.fingerprint}"
    )


def _is_puppets_own(extension: x509.Extension[x509.ExtensionType]) -> bool:
    """Whether Puppet puts it into every certificate of a node."""
    value = extension.value
    if isinstance(value, x509.BasicConstraints):
        return not value.ca
    if isinstance(value, x509.KeyUsage):
        return not (value.key_cert_sign or value.crl_sign)
    ours = (x509.ExtendedKeyUsage, x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier)
    return isinstance(value, ours) or extension.oid.dotted_string == _COMMENT


def conflict_at_ca(certname: str, key: str | None, ca_records: CaRecords) -> str | None:
    """What stands in the way of a certificate under this name, with what to do: a certificate that
    is somebody else's or worth nothing.

    :param key: the agent's own, None if it is going to make a new one.
    """
    clean = for_sh(ca_records.authority.clean, certname)
    if (signed := ca_records.signed(certname)) is not None:
        if key is not None and signed.key == key:
            return None
        return (
            f"The master's CA has already signed a certificate for {certname} that is not this "
            f"agent's ({signed.fingerprint}). Find out whose it is; then revoke it with "
            f"`{clean}` on the master and run the same command again."
        )
    if (misnamed := ca_records.misnamed(certname)) is not None:
        return (
            f"The master's CA has signed a certificate under the name {certname} that is for "
            f"{misnamed.subject} ({misnamed.fingerprint}): whoever has it can pass for that. "
            f"Revoke it at once with `{clean}` on the master and restart its server; then find "
            "out who asked for it."
        )
    held = ca_records.request(certname)
    if held is not None and key is not None and held.key == key:
        return None
    left = ca_records.ever_signed(certname)
    if left is not None and left.fingerprint not in ca_records.retired:
        return (
            f"The master still holds a certificate for {certname} that is worth nothing any more "
            f"({left.fingerprint}), and takes no request beside it. Remove it with `{clean}` on "
            "the master and run the same command again."
        )
    if left is None and ca_records.holds_file(certname):
        return (
            f"What the master keeps as the certificate of {certname} is none. Remove "
            f"{word(f'{certname}.pem')} from its signeddir "
            f"(`{ca_records.authority.signeddir}`), then run the same command again."
        )
    return None


def foreign_request(certname: str, key: str | None, ca_records: CaRecords) -> str | None:
    """The digest of what waits on the master under a name and is not that agent's, which it takes
    no other request beside; "no request at all" if it is none. None if nothing of that kind waits.

    :param key: as for `conflict_at_ca`.
    """
    held = ca_records.request(certname)
    if held is None:
        return None if ca_records.request_pem(certname) is None else "no request at all"
    return None if key is not None and held.key == key else held.digest


def _another_request(certname: str, found: str, ca_records: CaRecords) -> str:
    return (
        f"The master holds a request under the name {certname} that is not this agent's "
        f"({found}); it is not signed. Find out who sent it; then remove "
        f"{word(f'{ca_records.csrdir}/{certname}.pem')} on the master and run the same command "
        "again."
    )
