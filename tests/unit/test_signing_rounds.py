"""One start of Puppet signs what many agents ask for, also where somebody was quicker than they."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyinfra.api import Config, Inventory, State

from operations import signing
from operations.signing import judge_again, judge_and_sign
from procedures.run import Run
from procedures.site import Site
from recert.ca_records import CaRecords
from recert.deployments.authority import PUPPET_CERT
from recert.signing import (
    Application,
    Verdict,
)
from tests.unit.issuing_ca import NEW, read, read_csr, request_pem

NAMES = [f"agent{number:02}.example.com" for number in range(5)]
OWN = {name: request_pem(name, key=name) for name in NAMES}
FOREIGN = {name: request_pem(name, key="stranger") for name in NAMES}


class Master:
    """In a site's place: what waits there, and what was signed at each start of Puppet."""

    def __init__(self) -> None:
        self.waiting = dict(FOREIGN)
        self.starts: list[list[str]] = []
        self.run = Run(State(Inventory((NAMES, {})), Config()))

    def forget_ca_records(self) -> None:
        pass

    def ca_records(self) -> CaRecords:
        return CaRecords(PUPPET_CERT, read(NEW.pem), requests=self.waiting)

    def sign(self, _: Any, __: Any, due: list[Application], ___: str) -> dict[str, str]:
        if due:
            self.starts.append([application.certname for application in due])
        return {}


def agent(name: str) -> tuple[Any, Any]:
    request = read_csr(OWN[name])
    application = Application(name, request.key, request, frozenset())
    return SimpleNamespace(name=name), SimpleNamespace(application_for=lambda _: application)


@pytest.fixture
def master(monkeypatch: pytest.MonkeyPatch) -> Master:
    found = Master()
    monkeypatch.setattr(signing, "renewals", lambda _: list(map(agent, NAMES)))
    monkeypatch.setattr(signing, "_sign", found.sign)
    return found


def verdict(judge: Any, master: Master, name: str) -> tuple[Verdict, bool]:
    judgement, signed_now = judge(cast(Site, master), name)
    return judgement.verdict, signed_now


def test_all_that_have_asked_anew_are_signed_with_the_first(master: Master) -> None:
    for name in NAMES:
        assert verdict(judge_and_sign, master, name) == (Verdict.FOREIGN, False)
    assert master.starts == []

    master.waiting |= {name: OWN[name] for name in NAMES[:4]}
    for name in NAMES[:4]:
        assert verdict(judge_again, master, name) == (Verdict.SIGNED, True)
    assert master.starts == [NAMES[:4]]

    # The last has asked later, and somebody was quicker again: it alone is told so.
    assert verdict(judge_again, master, NAMES[4]) == (Verdict.FOREIGN, False)
    master.waiting[NAMES[4]] = OWN[NAMES[4]]
    assert verdict(judge_again, master, NAMES[4]) == (Verdict.SIGNED, True)
    assert master.starts == [NAMES[:4], NAMES[4:]]
