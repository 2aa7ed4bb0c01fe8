"""What the master's new certificates carry of those before: names and extensions, of certificates
that count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from procedures.master import MasterFacts
from recert.altnames import AltNames, alt_names_to_give, default_alt_names, signable
from recert.carried_over import Word, open_refusal, said_by, told_of_dropped
from recert.certificates import Certificate, read_certificate
from recert.extensions import carried, missing
from recert.freshness import Retired
from recert.options import Options


@dataclass
class CarriedOver:
    """`retired`: None where nobody knows yet which CA that is, and nothing is doubted."""

    facts: MasterFacts
    retired: Retired | None
    word: Word = field(default_factory=Word)
    chosen: str | None = None

    @classmethod
    def of(cls, facts: MasterFacts, retired: Retired | None, options: Options) -> CarriedOver:
        """:raises RecertError: somebody has said what is not understood."""
        word = Word(options.compromised_since, options.approved_certs, options.disowned_certs)
        return cls(facts, retired, word, options.dns_alt_names)

    @property
    def alt_names(self) -> AltNames:
        """Of the master's own: puppet.conf's and those in use; where the certificate is gone,
        those it had.

        :raises RecertError: for a name that the CA would not sign.
        """
        conf = self.facts.settings
        names: set[str] = set()
        for cert in self._own_before():
            names |= cert.alt_names - (set() if self._counts(cert) else self._own_names(cert))
        return alt_names_to_give(conf.certname, conf.dns_alt_names, names, self.chosen)

    @property
    def extensions(self) -> dict[str, str]:
        """Puppet's, of the certificate that the master has had of the CA to retire."""
        counting = (self._extensions(c) for c in self._own_retired() if self._counts(c))
        return next(counting, {})

    @property
    def kept_names(self) -> dict[str, frozenset[str]]:
        """What the certificates for the vendor's services had of the CA to retire, beside their
        own names."""
        return {name: self._names(cert) for name, cert in self._services() if self._counts(cert)}

    def refusals(self, is_due: Callable[[str], bool]) -> list[str]:
        """What somebody has to say first.

        :param is_due: whether the certificate under a name is to be made.
        """
        own = self.facts.settings.certname
        file = self.facts.attributes_path
        instead = f"what it is to have instead, say with --data dns_alt_names=… and in {file}"
        return [
            open_refusal(cert, said, instead if cert.subject == own else "")
            for cert, said in self._not_counting(is_due)
            if self.word.is_open(cert)
        ]

    def told(self, is_due: Callable[[str], bool]) -> list[str]:
        """For a person: what new certificates go without."""
        return [told_of_dropped(cert, said) for cert, said in self._not_counting(is_due)]

    def _not_counting(self, is_due: Callable[[str], bool]) -> Iterator[tuple[Certificate, str]]:
        """Those that are no measure, with what they say."""
        own = self.facts.settings.certname
        found = {cert.fingerprint: cert for cert in self._own_before()} if is_due(own) else {}
        asked = carried(self.facts.csr_attributes) or {}
        for cert in found.values():
            if not self._counts(cert):
                names = self._own_names(cert) if self.chosen is None else frozenset()
                said = said_by(names, missing(self._extensions(cert), asked))
                if said:
                    yield cert, said
        for name, cert in self._services():
            if is_due(name) and not self._counts(cert):
                yield cert, said_by(self._names(cert), {})

    def _counts(self, cert: Certificate) -> bool:
        new = self._regenerated and cert == self.facts.certificate_in_use
        return new or self.retired is None or self.word.counts(cert)

    def _extensions(self, cert: Certificate) -> dict[str, str]:
        """Less what the CA's program gives the server's certificate by itself."""
        by_itself = self.facts.deployment.authority.adds
        return {name: value for name, value in cert.extensions.items() if name not in by_itself}

    def _own_names(self, cert: Certificate) -> frozenset[str]:
        """Alternative names of a certificate of the master's that nothing but it says."""
        conf = self.facts.settings
        known = {conf.certname, *(conf.dns_alt_names or default_alt_names(conf.certname))}
        return cert.alt_names - known

    @staticmethod
    def _names(cert: Certificate) -> frozenset[str]:
        return signable(cert.alt_names) - {cert.subject}

    def _services(self) -> Iterable[tuple[str, Certificate]]:
        """Those of the vendor's services that had alternative names."""
        if self.retired is None:
            return []
        before = self.facts.retired_certificates(self.retired)
        names = self.facts.deployment.internal_names
        return [(n, before[n]) for n in names if n in before and self._names(before[n])]

    def _own_before(self) -> list[Certificate]:
        """The master's, by whose names the next is made."""
        in_use = self.facts.certificate_in_use
        found = [in_use] if in_use is not None else []
        return found if self._regenerated else [*found, *self._saved()]

    def _own_retired(self) -> list[Certificate]:
        """The master's of the CA to retire, the one that it was left with first."""
        ca = self.retired.certificate if self.retired is not None else None
        in_use = self.facts.certificate_in_use
        found = [*([in_use] if in_use is not None else []), *self._saved()]
        return [cert for cert in found if ca is not None and cert.issued_by(ca)]

    def _saved(self) -> list[Certificate]:
        if self.retired is None:
            return []
        saved = (b.manifest.certificate for b in self.facts.backups.of_ca(self.retired.fingerprint))
        found = (read_certificate(pem or "") for pem in saved)
        return [cert for cert in found if cert is not None]

    @property
    def _regenerated(self) -> bool:
        """Whether the master has a certificate of a CA that took the place of the retired one."""
        facts, retired = self.facts, self.retired
        in_use = facts.certificate_in_use
        ca = read_certificate(facts.ssl.texts.get(facts.settings.cacert, ""))
        return (
            in_use is not None
            and ca is not None
            and retired is not None
            and ca.fingerprint != retired.fingerprint
            and ca.key != retired.key
            and in_use.issued_by(ca)
        )
