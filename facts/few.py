"""How many things of a kind a host can have: some hundred megabytes of certificates are minutes of
this machine's time, in which nobody else has a turn, and gigabytes of its memory."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api.exceptions import FactProcessError

MOST_CERTIFICATES = 20_000
"""In files that may be somebody else's: hundreds of bundles of public CAs."""

MOST_OF_A_CA = 150_000
"""Beside a CA with a hundred thousand nodes."""

MOST_BACKUPS = 1000


def require_few(found: int, most: int, what: str) -> None:
    """:raises FactProcessError: there are more than that."""
    if found > most:
        raise FactProcessError(f"the host says that it has more than {most} {what}")


def certificates_in(texts: Iterable[str]) -> int:
    """How many there are, at most."""
    return sum(text.count("-----END CERTIFICATE-----") for text in texts)
