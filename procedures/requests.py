"""The requests that wait on a master: as many as anybody likes to send, for a stranger needs no
certificate for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from facts.ssl import NOT_READ, PemFiles
from procedures.host import ask
from procedures.master import MasterFacts


class WaitingRequests(Mapping[str, str]):
    """PEM by name, as the master was asked for all of them. Where they are too many for that, it is
    asked for each by name that somebody wants to see.

    :param found: with `NOT_READ` for one that is still to be asked for.
    """

    def __init__(self, facts: MasterFacts, found: Mapping[str, str]) -> None:
        self._facts = facts
        self._found = dict(found)
        self.too_many = NOT_READ in self._found.values()

    def __getitem__(self, name: str) -> str:
        if self._found[name] == NOT_READ:
            asked = {"directory": self._facts.settings.csrdir, "names": [name]}
            self._found[name] = ask(self._facts.host, PemFiles, **asked).get(name, "")
        return self._found[name]

    def __contains__(self, name: object) -> bool:
        return name in self._found

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)
