"""The requests that wait on a master: as many as anybody likes to send, for a stranger needs no
certificate for that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager

from facts.ssl import NOT_READ, PemFiles
from procedures.host import ask
from procedures.master import MasterFacts


class WaitingRequests(Mapping[str, str]):
    """PEM by name, as the master was asked for all of them. Where they are too many for that, it is
    asked for each by name that somebody wants to see, and not all names are known.

    :param found: with `NOT_READ` for one that is still to be asked for.
    :param exclusively: nobody else asks the master meanwhile. Its server takes ten sessions of one
        connection, and all agents may come at once.
    """

    def __init__(
        self,
        facts: MasterFacts,
        found: Mapping[str, str],
        exclusively: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._facts = facts
        self._exclusively = exclusively
        self.too_many = NOT_READ in found.values()
        self._listed = frozenset(found)
        self._read: dict[str, str | None] = {} if self.too_many else dict(found)

    def __getitem__(self, name: str) -> str:
        if self.too_many and name not in self._read:
            asked = {"directory": self._facts.settings.csrdir, "names": [name]}
            with self._exclusively():
                self._read[name] = ask(self._facts.host, PemFiles, **asked).get(name)
        pem = self._read.get(name)
        if pem is None:
            raise KeyError(name)
        return pem

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)
