"""Which alternative names the master's new certificate gets."""

from __future__ import annotations

import pytest

from recert.altnames import AltNames, alt_names_to_give, signable, told_alt_names
from recert.errors import RecertError

CERTNAME = "master.example.com"


def test_names_configured_and_names_in_use_are_kept() -> None:
    given = alt_names_to_give(CERTNAME, ["puppet"], ["z.example.com", "a.example.com"])
    assert given.names == ("puppet", "a.example.com", "z.example.com")


def test_name_configured_and_in_use_is_given_once() -> None:
    assert alt_names_to_give(CERTNAME, ["puppet"], ["puppet"]).names == ("puppet",)


def test_certname_is_left_to_puppet() -> None:
    given = alt_names_to_give(CERTNAME, [CERTNAME, "puppet"], [CERTNAME])
    assert given.argument == "puppet"


def test_named_names_replace_all_others() -> None:
    given = alt_names_to_give(CERTNAME, ["puppet"], ["old.example.com"], "new.example.com,b")
    assert given.names == ("new.example.com", "b")
    assert given.argument == "new.example.com,b"


def test_named_names_are_checked() -> None:
    with pytest.raises(RecertError, match="not a DNS name"):
        alt_names_to_give(CERTNAME, [], [], "*.example.com")


def test_names_in_use_are_checked() -> None:
    with pytest.raises(RecertError, match="not a DNS name"):
        alt_names_to_give(CERTNAME, [], ["*.example.com"])


def test_no_names_can_be_named() -> None:
    given = alt_names_to_give(CERTNAME, ["puppet"], ["puppet"], "")
    assert given.chosen
    assert given.argument == CERTNAME
    assert str(given) == "none"


def test_without_any_names_the_choice_is_puppets() -> None:
    given = alt_names_to_give(CERTNAME, [], [])
    assert given.argument == ""
    assert str(given) == "Puppet's defaults"


def test_certificate_with_the_names_satisfies() -> None:
    given = AltNames(CERTNAME, ("puppet", "b"))
    assert given.satisfied_by(["b", "puppet", CERTNAME])
    assert given.satisfied_by(["b", "puppet"])


@pytest.mark.parametrize("present", [["puppet"], [], ["puppet", "b", "c"]])
def test_certificate_with_other_names_does_not(present: list[str]) -> None:
    assert not AltNames(CERTNAME, ("puppet", "b")).satisfied_by(present)


def test_certificate_without_names_satisfies_only_who_wanted_none() -> None:
    assert AltNames(CERTNAME, (), chosen=True).satisfied_by([CERTNAME])
    assert AltNames(CERTNAME, (), chosen=True).satisfied_by([])
    assert not AltNames(CERTNAME, (), chosen=True).satisfied_by(["puppet"])


def test_puppets_choice_satisfies_whatever_it_is() -> None:
    assert AltNames(CERTNAME, ()).satisfied_by(["puppet", "puppet.example.com"])


def test_names_are_shown_as_a_list() -> None:
    assert str(AltNames(CERTNAME, ("puppet", "b"))) == "puppet, b"


def test_what_changes_of_the_names_is_told() -> None:
    def told(names: tuple[str, ...], present: tuple[str, ...], all_go: bool = True) -> str:
        return told_alt_names(CERTNAME, "…", names, present, all_go)

    assert told(("b",), ("b", CERTNAME)) == f"Alt names of {CERTNAME}: … (as they are)"
    assert told(("b", "c"), ("b", "a")).endswith("(changes: +c -a)")
    assert told((), ("a",), all_go=False).endswith("(as they are)")


def test_names_that_puppets_ca_would_not_sign_are_no_names_to_ask_for() -> None:
    names = {"www.example.com", "*.example.com", "192.0.2.1", "a b", "a,b", "--x"}
    assert signable(names) == {"www.example.com"}
