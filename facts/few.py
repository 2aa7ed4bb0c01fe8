"""How many things of a kind a host can have: some hundred megabytes of certificates are minutes of
this machine's time, in which nobody else has a turn, and gigabytes of its memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gevent import sleep  # type: ignore[import-untyped]
from pyinfra.api.exceptions import FactProcessError

from recert.certificates import read_public_key

MOST_CERTIFICATES = 20_000
"""In files that may be somebody else's: hundreds of bundles of public CAs."""

MOST_OF_A_CA = 150_000
"""Beside a CA with a hundred thousand nodes."""

MOST_BACKUPS = 1000

MOST_TOLD = 200_000
"""Things that an agent on Windows tells of itself: it is no CA, and has some thousand files."""

MOST_LINES = 10_000
"""That one of its programs prints."""


def require_few(found: int, most: int, what: str) -> None:
    """:raises FactProcessError: there are more than that."""
    if found > most:
        raise FactProcessError(f"the host says that it has more than {most} {what}")


KEYS_IN_A_TURN = 500


def read_few_keys(halves: Mapping[str, str]) -> dict[str, str | None]:
    """The digests of public keys in PEM, by path; see `read_public_key`.

    :raises FactProcessError: there are more than any host has.
    """
    require_few(len(halves), MOST_CERTIFICATES, "keys")
    found: dict[str, str | None] = {}
    for number, (path, half) in enumerate(halves.items(), 1):
        found[path] = read_public_key(half)
        if number % KEYS_IN_A_TURN == 0:
            sleep(0)  # the other hosts have a turn, too
    return found


def certificates_in(texts: Iterable[str]) -> int:
    """How many there are, at most."""
    return sum(text.count("-----END CERTIFICATE-----") for text in texts)
