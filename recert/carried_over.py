"""Which certificates of the CA to retire are the measure of what the master's new ones carry: those
that nobody else can have had made, and those of which somebody says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from recert.certificates import Certificate
from recert.extensions import named
from recert.signing import signed_since


@dataclass(frozen=True)
class Word:
    """What somebody has said about certificates. `since`: when somebody else may have begun to have
    them made. `approved` and `disowned`: fingerprints of those that are right, and of those by
    which nothing is to be made."""

    since: datetime | None = None
    approved: frozenset[str] = frozenset()
    disowned: frozenset[str] = frozenset()

    def counts(self, cert: Certificate) -> bool:
        """Whether what a certificate of the CA to retire says is carried over."""
        if cert.fingerprint in self.disowned:
            return False
        return cert.fingerprint in self.approved or not signed_since(cert, self.since)

    def is_open(self, cert: Certificate) -> bool:
        """Whether somebody has to say whether it counts."""
        return not self.counts(cert) and cert.fingerprint not in self.disowned


def said_by(names: Iterable[str], extensions: Mapping[str, str]) -> str:
    """What a certificate says beside its name, for a person; empty if that is nothing."""
    found = [f"the alternative names {', '.join(sorted(names))}"] if names else []
    if extensions:
        found.append(f"the extensions {named(extensions)}")
    return " and ".join(found)


def open_refusal(cert: Certificate, said: str, instead: str = "") -> str:
    """What forbids making a certificate by one that may be somebody else's.

    :param said: see `said_by`.
    :param instead: how to say what the new one is to carry otherwise.
    """
    return (
        f"The certificate of {cert.subject} was signed since the CA was compromised "
        f"(compromised_since), so somebody else may have had it made. It has {said}, which the new "
        "one would get as well. Look at it. If that is right, run the same command with "
        f"--data approved_certs={cert.fingerprint}; if not, with "
        f"--data disowned_certs={cert.fingerprint}, and nothing of it is carried over"
        f"{f' ({instead})' if instead else ''}. Several with commas."
    )


def told_of_dropped(cert: Certificate, said: str) -> str:
    """That a new certificate goes without what the old one had.

    :param said: see `said_by`.
    """
    return f"By word of disowned_certs {said} of {cert.subject}'s certificate are not carried over"
