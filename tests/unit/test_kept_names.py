"""Which alternative names of an agent's old certificate its new one is asked for with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyinfra.api import FunctionCommand

from operations import windows
from operations.hands import Hands
from procedures import renewal
from procedures.agent import AgentFacts
from procedures.renewal import AgentRenewal
from procedures.site import Site
from procedures.windows import WindowsAgentFacts
from recert.certificates import Certificate
from tests.unit.agent import AGENT
from tests.unit.issuing_ca import OLD, read, settings

HOST = SimpleNamespace(name="web01")


def asking(
    *had: str, configured: str = "", taken: tuple[str, ...] = (), other: bool = False
) -> AgentRenewal:
    """An agent of whose old certificate the master has a copy with these names."""
    held: list[Certificate] = [] if other else [read(OLD.issue(AGENT, 7, alt_names=had))]
    site = SimpleNamespace(
        run=SimpleNamespace(replaces=False),
        certificates_of=lambda _: held,
        is_taken=lambda host, name: host is HOST and name in taken,
    )
    conf = settings(certname=AGENT, dns_alt_names=configured)
    facts = SimpleNamespace(host=HOST, settings=conf)
    return AgentRenewal(cast(Site, site), cast(AgentFacts, facts))


@pytest.mark.parametrize(
    ("had", "configured", "taken", "names", "said"),
    [
        ((), "", (), "", ""),
        ((AGENT,), "", (), "", ""),
        # puppet.conf has said it all.
        (("www",), "www", (), "www", ""),
        ((), "www", (), "www", ""),
        # It has not.
        ((AGENT, "www"), "", (), "www", "www"),
        (("www",), "shop", (), "shop,www", "shop,www"),
        # What another node has by now, and what nobody would sign.
        (("www", "puppet"), "", ("puppet",), "www", "www"),
        (("puppet",), "", ("puppet",), "", ""),
        (("*.example.com", "www"), "", (), "www", "www"),
    ],
)
def test_what_it_had_is_asked_for_beside_what_puppet_conf_says(
    had: tuple[str, ...], configured: str, taken: tuple[str, ...], names: str, said: str
) -> None:
    found = asking(*had, configured=configured, taken=taken)
    assert ",".join(sorted(found.alt_names)) == names
    assert ",".join(found.alt_names_to_say) == said


def test_without_a_copy_at_the_master_there_is_nothing_to_keep() -> None:
    assert asking(other=True).alt_names == frozenset()


def test_what_is_kept_and_what_cannot_be_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(renewal, "say", lambda _, line: told.append(line))
    monkeypatch.setattr(renewal, "warn", lambda _, line: told.append(f"warning: {line}"))

    def of(found: AgentRenewal) -> list[str]:
        told.clear()
        remark = SimpleNamespace(remark=lambda _, line: told.append(f"table: {line}"))
        cast(Any, found.site.run).part = lambda _: remark
        renewal._tell_alt_names(cast(Any, HOST), found)
        return list(told)

    assert of(asking()) == []
    assert of(asking(AGENT)) == []
    assert of(asking("www")) == [f"Alt names of {AGENT}: www (as they are)"]
    assert of(asking("puppet", taken=("puppet",))) == [
        f"Alt names of {AGENT}: none (changes: -puppet)"
    ]
    lost = "The alternative name *.x.org cannot be kept: Puppet's CA does not sign it."
    assert of(asking("*.x.org"))[1:] == [f"warning: {lost}", f"table: {lost}"]


def test_windows_is_asked_with_them_in_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    typed: list[str] = []
    facts = SimpleNamespace(
        puppet="C:/bin/puppet.bat",
        settings=settings(),
        backup_root="C:/b",
        attributes_path="C:/p/csr_attributes.yaml",
        attributes_directory="C:/p",
        forget=lambda *_: None,
    )
    hands: Hands = windows.WindowsHands(cast(WindowsAgentFacts, facts))

    def overheard(command: Any, _: object) -> FunctionCommand:
        typed.append(command.get_raw_value())
        return FunctionCommand(lambda: None, (), {})

    monkeypatch.setattr(windows, "overheard", overheard)
    own = SimpleNamespace(private_key="C:/k", request="C:/r", certificate="C:/c")
    for alt_names in ((), ("a.example.com", "b")):
        list(hands.ask_for_certificate(cast(Any, own), False, 9, lambda *_: None, "", alt_names))
    assert "dns_alt_names" not in typed[0]
    assert '--color=false "--dns_alt_names=a.example.com,b" 2>&1' in typed[1]
