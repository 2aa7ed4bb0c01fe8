"""What on an agent is fresh and what is stale: the predicate of every sub-step of step 6.

An agent is renewed when it holds a certificate of the master's CA that belongs to its key,
trusts that CA, and has completed a Puppet run since. Like `recert.freshness` it is read from
the host, and from the master, at the moment of asking.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from math import inf

from recert.ca_records import CaRecords
from recert.certificates import (
    Certificate,
    CertificateRequest,
    bundled,
    read_certificate,
    read_request,
    read_revocation_list,
)
from recert.freshness import CredentialPaths, Defect
from recert.observed import FileState, LastRun, SslState
from recert.pasted import for_sh
from recert.preflight import MAX_CLOCK_SKEW
from recert.settings import Settings
from recert.signing import (
    conflict_at_ca,
    foreign_request,
)
from recert.site_cas import SiteCas


@dataclass(frozen=True)
class Renewal:
    """The judgement over one agent at one moment.

    `former`: certificates that the agent has had, as far as its backups hold them. `others`: the
    files in ssldir that are somebody else's, and stay; see `recert.others`. `alt_names`: those that
    its request is to carry. `cas`: those of the site, the one in place among them.
    """

    settings: Settings
    ssl: SslState
    ca_records: CaRecords
    now: datetime
    former: tuple[Certificate, ...] = ()
    others: frozenset[str] = frozenset()
    alt_names: frozenset[str] = frozenset()
    cas: SiteCas = field(default_factory=SiteCas)

    @property
    def certname(self) -> str:
        return self.settings.certname

    @cached_property
    def paths(self) -> CredentialPaths:
        return CredentialPaths.of(self.settings, self.certname)

    @cached_property
    def certificate(self) -> Certificate | None:
        return read_certificate(self.ssl.texts.get(self.paths.certificate, ""))

    @cached_property
    def trusted_ca(self) -> Certificate | None:
        """The site's, if the agent trusts it, whatever else it trusts."""
        return self.cas.trusted(self._trusted, self.certificate)

    @property
    def _trusted(self) -> str:
        return self.ssl.texts.get(self.settings.localcacert, "")

    @cached_property
    def request(self) -> CertificateRequest | None:
        """The agent's own request, if it belongs to the agent's key."""
        request = read_request(self.ssl.texts.get(self.paths.request, ""))
        return request if request is not None and request.key == self.key else None

    @cached_property
    def certificate_problem(self) -> Defect | None:
        """Why the agent needs another certificate; None if its own is fresh."""
        path, cert, ca = self.paths.certificate, self.certificate, self.ca_records.ca
        if ca is None:
            return Defect(path, "is of a CA that goes")
        if cert is None:
            if path not in self.ssl.files:
                return Defect(path, "is missing")
            empty = self.ssl.files[path].size == 0
            return Defect(path, "is empty" if empty else "is not a certificate")
        if not cert.issued_by(ca):
            return Defect(path, "was not issued by the master's CA")
        if cert.subject != self.certname:
            return Defect(path, f"is that of {cert.subject}")
        if unusable := cert.weakness or cert.invalidity(self.now):
            return Defect(path, unusable)
        if cert.serial in self.ca_records.revoked:
            return Defect(path, "is revoked")
        if cert.fingerprint in self.ca_records.retired:
            return Defect(path, "is to be retired")
        if self.key != cert.key:
            return Defect(self.paths.private_key, "does not belong to the certificate")
        return None

    @cached_property
    def trusts_ca_in_place(self) -> bool:
        """Whether the agent checks its master against the CA that the master has, and against none
        that the site has given up: whoever has the key of such a one could be its master."""
        # Puppet can use nothing of a file that begins with a damaged one.
        if read_certificate(self._trusted) is None or self.trusts_given_up:
            return False
        return self._has_ca_in_place

    @cached_property
    def trusts_given_up(self) -> bool:
        """Whether it has the CA that the master has, and beside it one that the site has given
        up."""
        ca = self.ca_records.ca
        return self._has_ca_in_place and any(
            ca is not None and one.key != ca.key and self.cas.has(one) for one in self._trusted_cas
        )

    @property
    def _has_ca_in_place(self) -> bool:
        ca = self.ca_records.ca
        return ca is not None and any(
            one.fingerprint == ca.fingerprint for one in self._trusted_cas
        )

    @cached_property
    def _trusted_cas(self) -> list[Certificate]:
        return bundled(self._trusted)

    # Step 6.4

    @cached_property
    def everything_goes(self) -> bool:
        """Whether the whole ssldir is from before the renewal.

        The CA's certificate is put there only after everything was deleted, so what lies
        beside it has been made since. But Puppet fetches that certificate too where it is
        missing, also to a key from before: a key that was given up takes everything with it.
        """
        if self.certificate_problem is None:
            return False
        return not self.trusts_ca_in_place or self._key_given_up

    @cached_property
    def remains(self) -> tuple[str, ...]:
        """The files in ssldir that go: all, or, once the renewal has begun, what is of no use.

        Puppet repairs none of these: an empty file, a certificate for another key, a request
        of which the master knows nothing.
        """
        files = self.ssl.files
        if self.everything_goes:
            return tuple(
                path
                for path, entry in files.items()
                if entry.kind != "d" and path not in self.others
            )
        remains: list[str] = []
        paths = self.paths
        if self.certificate_problem is not None:
            key_known = self.key is not None and self.ca_records.knows_key(self.certname, self.key)
            useless = [paths.certificate, paths.request_at_ca, paths.signed]
            if not key_known:
                useless += [paths.private_key, paths.public_key, paths.request]
            elif self.request is None:
                useless.append(paths.request)
            remains += [path for path in useless if path in files]
        if self.crl_is_stale:
            remains.append(self.settings.hostcrl)
        return tuple(remains)

    @property
    def crl_is_stale(self) -> bool:
        """Whether the agent goes by a revocation list that is not one of the master's CA, or by one
        that has expired: with that it refuses its master, and never fetches another."""
        if self.settings.hostcrl not in self.ssl.files:
            return False
        crl = read_revocation_list(self.ssl.texts.get(self.settings.hostcrl, ""))
        ca = self.ca_records.ca
        if crl is None or ca is None or not crl.signed_by(ca):
            return True
        return crl.invalidity(self.now) is not None

    # Steps 6.5 to 6.7

    @property
    def ca_due(self) -> bool:
        """Whether the CA's certificate has to be put in place."""
        return self.everything_goes or not self.trusts_ca_in_place

    @property
    def replacement_due(self) -> bool:
        """Whether anything in ssldir has to be replaced, so that the services have to be
        stopped."""
        return (
            self.certificate_problem is not None
            or bool(self.remains)
            or not self.trusts_ca_in_place
        )

    def catalog_due(self, catalog: FileState | None) -> bool:
        """Whether the cached catalog is from before the agent's certificate."""
        if catalog is None:
            return False
        if self.certificate_problem is not None:
            return True
        return catalog.mtime < self._certificate_made

    @property
    def request_due(self) -> bool:
        """Whether the master has nothing of this agent that it could sign or has signed."""
        if self.certificate_problem is None:
            return False
        key = self.key
        return (
            self.everything_goes or key is None or not self.ca_records.knows_key(self.certname, key)
        )

    @property
    def signature_due(self) -> bool:
        """Whether somebody has to sign: not where the master does it by itself, which it does
        for no request with alternative names."""
        if self.certificate_problem is None:
            return False
        key = self.key
        if not self.everything_goes and key is not None:
            signed = self.ca_records.signed(self.certname)
            if signed is not None and signed.key == key:
                return False
        held = self.ca_records.request(self.certname)
        waits = held is not None and held.key == self._kept_key
        alone = self.ca_records.autosign.accepts(self.certname) and not waits
        return not alone or bool(self.settings.dns_alt_names or self.alt_names)

    def run_due(self, last_run: LastRun | None) -> bool:
        """Whether no Puppet run has succeeded since the agent's certificate was made."""
        if self.certificate_problem is not None or last_run is None:
            return True
        made = self._certificate_made
        # The agent's clock and ours may each differ from the master's by so much.
        if last_run.time > self.now.timestamp() + 2 * MAX_CLOCK_SKEW:
            return True
        return not last_run.succeeded or last_run.was_before(made)

    @property
    def _certificate_made(self) -> float:
        """Seconds, UTC; never, where the file came after the directory was listed."""
        entry = self.ssl.files.get(self.paths.certificate)
        return entry.mtime if entry is not None else inf

    @property
    def conflict(self) -> str | None:
        """What the master holds of somebody else's certificates under this agent's name."""
        if self.ca_records.ca is None or self.certificate_problem is None:
            return None
        signed = self.ca_records.signed(self.certname)
        if signed is not None and (invalidity := signed.invalidity(self.now)):
            clean = for_sh(self.ca_records.authority.clean, self.certname)
            return (
                f"What the master's CA has signed for {self.certname} {invalidity}, and it takes "
                "no request beside that. Remove it on the master "
                f"(`{clean}`) and run the same command again."
            )
        return conflict_at_ca(self.certname, self._kept_key, self.ca_records)

    @property
    def foreign_request(self) -> str | None:
        """What waits on the master under this agent's name and is somebody else's: it would keep
        the agent's own from being taken."""
        if self.ca_records.ca is None or not self.request_due:
            return None
        return foreign_request(self.certname, self._kept_key, self.ca_records)

    @property
    def _kept_key(self) -> str | None:
        return None if self.everything_goes else self.key

    # What keeps an agent from being renewed

    @property
    def _key_given_up(self) -> bool:
        """Whether the agent's key has had a certificate that is of another CA, revoked or to be
        retired. Whoever has stolen that key can make the very request that the agent would. One
        that is too short can be had by anybody."""
        ca, ca_records = self.ca_records.ca, self.ca_records
        return any(
            cert.key == self.key
            and (
                ca is None
                or not cert.issued_by(ca)
                or cert.serial in ca_records.revoked
                or cert.fingerprint in ca_records.retired
                or cert.weakness is not None
            )
            for cert in (self.certificate, *self.former)
            if cert is not None
        )

    @property
    def key(self) -> str | None:
        """The digest of the agent's key, as its host computed it."""
        return self.ssl.keys.get(self.paths.private_key)
