"""Which of the certificates in a file are those of a site's CAs.

The file in which Puppet keeps the CA that it trusts may hold those of others as well, and Puppet
trusts all of them, whichever stands first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from recert.backups import Manifest
from recert.certificates import Certificate, bundled, read_certificate
from recert.freshness import Retired


@dataclass(frozen=True)
class SiteCas:
    """The CAs that a site has or has had, as far as its master knows them: digests of their keys,
    because a CA may have been signed anew, and fingerprints, where no key is known."""

    keys: frozenset[str] = frozenset()
    fingerprints: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls, ca: Certificate | None, retired: Retired | None, manifests: Iterable[Manifest]
    ) -> SiteCas:
        """
        :param ca: the one in place.
        :param manifests: of the master's backups. Not of an agent's, which could name as many as it
            likes.
        """
        certs = [ca, retired.certificate if retired is not None else None]
        named = [(retired.key, retired.fingerprint)] if retired is not None else []
        for manifest in manifests:
            certs.append(read_certificate(manifest.ca_certificate or ""))
            named.append((manifest.ca_key, manifest.ca_fingerprint or ""))
        named += [(cert.key, cert.fingerprint) for cert in certs if cert is not None]
        return cls(
            frozenset(key for key, _ in named if key),
            frozenset(fingerprint for _, fingerprint in named if fingerprint),
        )

    def with_ca(self, ca: Certificate | None) -> SiteCas:
        """These, and one that has been made since."""
        if ca is None or self.has(ca):
            return self
        return SiteCas(self.keys | {ca.key}, self.fingerprints | {ca.fingerprint})

    def has(self, cert: Certificate) -> bool:
        """Whether a certificate is that of one of them."""
        return cert.key in self.keys or cert.fingerprint in self.fingerprints

    def among(self, pem: str) -> list[Certificate]:
        """Those that a file holds certificates of."""
        return [cert for cert in bundled(pem) if self.has(cert)]

    def trusted(self, pem: str, own: Certificate | None) -> Certificate | None:
        """The CA that a host trusts, out of all that are in its file: one of these, and of several
        the one that has certified the host itself. Where none is one of these, the first.

        :param own: the host's certificate.
        """
        ours = self.among(pem)
        its = (ca for ca in ours if own is not None and own.issued_by(ca))
        return next(its, ours[0] if ours else next(iter(bundled(pem)), None))


def ca_of_master(cacert: str, localcacert: str, own: Certificate | None) -> Certificate | None:
    """The CA that a master has; where its file cannot be read, the one among those that the host
    trusts that has certified the host itself.

    :param own: the host's certificate.
    """
    ca = read_certificate(cacert)
    if ca is not None or own is None:
        return ca
    return next((one for one in bundled(localcacert) if own.issued_by(one)), None)
