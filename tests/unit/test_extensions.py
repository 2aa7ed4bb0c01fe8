"""Puppet's extensions: what a certificate has, what a request will carry, what would be lost."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from cryptography import x509

from facts.attributes import CsrAttributes
from recert.extensions import (
    ARC,
    MARK,
    carried,
    csr_attributes,
    loss_refusals,
    missing,
    named,
    puppets_extensions,
    requested_extensions,
)
from recert.plain_yaml import LONGEST
from tests.unit.shell import Sh

ROLE, DEPARTMENT = f"{ARC}.1.13", f"{ARC}.1.15"
PATH = "/etc/puppetlabs/puppet/csr_attributes.yaml"


def extension(number: str, value: bytes) -> x509.Extension[x509.ExtensionType]:
    oid = x509.ObjectIdentifier(number)
    return x509.Extension(oid, False, x509.UnrecognizedExtension(oid, value))


@pytest.mark.parametrize(
    "value",
    [b"web", b"\x0c\x03web", b"\x13\x03web"],
    ids=["as Puppet 3 writes it", "a UTF8String", "a PrintableString"],
)
def test_the_value_of_an_extension(value: bytes) -> None:
    assert puppets_extensions([extension(ROLE, value)]) == {ROLE: "web"}


def test_a_long_value() -> None:
    value = "w" * 200
    assert puppets_extensions([extension(ROLE, b"\x0c\x81\xc8" + value.encode())]) == {ROLE: value}


def test_only_puppets_own_count() -> None:
    assert puppets_extensions([extension("2.16.840.1.113730.1.13", b"Puppet")]) == {}


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("", {}),
        ("---\nextension_requests:\n  pp_role: web\n", {ROLE: "web"}),
        (
            f"extension_requests:\n  {ROLE}: web\n  pp_department: 7\n",
            {ROLE: "web", DEPARTMENT: "7"},
        ),
        ("{extension_requests: {pp_role: web}}", {ROLE: "web"}),
        ("extension_requests: [", None),
        ("extension_requests: web", None),
        ("- web", None),
        # As Ruby writes them.
        ("extension_requests: {pp_role: true, pp_department: }", {ROLE: "true", DEPARTMENT: ""}),
        ("extension_requests: {pp_role: !!bool x}", None),
        ("extension_requests: {pp_role: !!timestamp x}", None),
        ("a: &a [x, x]\nb: &b [*a, *a]\nextension_requests: {pp_role: *b}", None),
        ("a: &a x\nextension_requests: {pp_role: *a}", None),
        ("extension_requests: {pp_role: [web]}", None),
        (f"extension_requests: {{pp_role: {'x' * LONGEST}}}", None),
    ],
)
def test_what_a_request_will_carry(text: str, asked: dict[str, str] | None) -> None:
    assert requested_extensions(text) == asked


def test_what_we_write_is_what_puppet_is_to_read() -> None:
    had = {ROLE: "web: a\nb", DEPARTMENT: "7"}
    written = csr_attributes(had)
    assert written.startswith(MARK)
    assert requested_extensions(written) == had


@pytest.mark.parametrize(
    "value",
    [
        *(":web", "1,000", "2015-1-1", "1_000", "0o17", "017", "1:30", "1e3", "yes", "~", "="),
        *("<<", "", " web ", "!web", "*web", "&web", "@web", "`web`", "web: a", "web #1", "'web'"),
        *('"web"', "a\nb", "a\n", "\n a", "\t", "\0\a\x1b\x7f", "w\u00e9b\u2028\ufeff"),
        *("\U0001f980", "web " * 99),
    ],
)
def test_ruby_is_left_no_choice_but_to_read_it_as_text(value: str) -> None:
    written = csr_attributes({ROLE: value})
    assert requested_extensions(written) == {ROLE: value}
    # Ruby reads what is plain by rules of its own; what is quoted is text to everybody.
    scalars = [t for t in yaml.scan(written) if isinstance(t, yaml.ScalarToken)]
    assert [scalar.plain for scalar in scalars] == [False] * 3
    # One line, of what any locale and cmd.exe's `echo` can carry.
    assert written.isascii() and written.isprintable() is False
    assert [line.isprintable() for line in written.splitlines()] == [True] * 3


def test_what_gets_lost_is_named() -> None:
    had = {ROLE: "web", DEPARTMENT: "it", f"{ARC}.2.1": "x"}
    assert missing(had, {ROLE: "db", DEPARTMENT: "it"}) == {ROLE: "web", f"{ARC}.2.1": "x"}
    assert named({ROLE: "web", f"{ARC}.2.1": "x"}) == f"pp_role=web, {ARC}.2.1=x"


def test_without_a_file_it_is_put_back_and_beside_one_refused() -> None:
    had = {ROLE: "web"}
    assert loss_refusals(had, [], PATH) == []
    assert loss_refusals(had, ["extension_requests:\n  pp_role: web"], PATH) == []
    (message,) = loss_refusals(had, [""], PATH)
    assert "pp_role=web" in message and PATH in message and "Add them there" in message
    (message,) = loss_refusals(had, [], PATH, ["/etc is no directory."])
    assert "pp_role=web" in message and message.endswith("cannot be made: /etc is no directory.")
    assert loss_refusals({}, [], PATH, ["/etc is no directory."]) == []
    (message,) = loss_refusals({}, ["extension_requests: ["], PATH)
    assert "is not a csr_attributes.yaml that Puppet could read" in message


def test_of_the_file_only_what_is_about_extensions_is_read(sh: Sh, tmp_path: Path) -> None:
    path = tmp_path / "csr_attributes.yaml"
    assert sh.ask(CsrAttributes, path=str(path)) == []
    path.write_text(
        "---\ncustom_attributes:\n  1.2.840.113549.1.9.7: secret\nextension_requests:\n"
        "  pp_role: web\n# a remark\n  pp_department: it\nmore:\n  another: secret\n"
    )
    (text,) = found = sh.ask(CsrAttributes, path=str(path))
    assert "secret" not in text
    assert carried(found) == {ROLE: "web", DEPARTMENT: "it"}
    path.write_text("{custom_attributes: {7: secret}, extension_requests: {pp_role: web}}\n")
    (text,) = found = sh.ask(CsrAttributes, path=str(path))
    assert "secret" not in text and carried(found) is None
    path.write_text("{extension_requests: {pp_role: web}}\n")
    assert carried(sh.ask(CsrAttributes, path=str(path))) == {ROLE: "web"}
    # What a run that was cut off has left is not the host's.
    path.write_text(csr_attributes({ROLE: "web"}))
    assert sh.ask(CsrAttributes, path=str(path)) == []
