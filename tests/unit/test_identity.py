"""Who is believed to have a certname."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as some
from pyinfra.api import Config, Host, Inventory, State
from pyinfra.api.exceptions import FactProcessError

from facts.proof import KeyProof
from procedures.agent import AgentFacts, AgentRefusedError
from procedures.identity import identities_of
from procedures.renewal import require_identity
from procedures.site import Site
from recert.certificates import Certificate
from recert.identity import (
    Identities,
    Listed,
    never_believed,
    not_proven,
    proves,
    words_to_sign,
)
from recert.settings import Settings
from tests.tables import INTERNAL_NAMES
from tests.unit.issuing_ca import CERTNAME, NEW, OLD, key, key_pem, read
from tests.unit.records import printed
from tests.unit.shell import Sh

MASTER = Listed("master", "master", CERTNAME)
WEB = Listed("@winrm/web01", "web01", "web01.example.com")
DB = Listed("10.0.0.17", "10.0.0.17", None, frozenset({"db.example.com"}))
BARE = Listed("app01.example.com", "app01.example.com")
INVENTORY = Identities([MASTER, WEB, DB, BARE])
NAME = "web01.example.com"
WORDS = words_to_sign("ab" * 32, "web01", NAME)


# What the inventory says


@pytest.mark.parametrize(
    ("host", "certname", "given"),
    [
        (WEB, "web01.example.com", True),
        (WEB, "web01", False),  # the data alone, where they give one
        (BARE, "app01.example.com", True),
        (DB, "10.0.0.17", True),
        (WEB, "app01.example.com", False),
        (WEB, CERTNAME, False),
        (WEB, "stranger", False),
        (DB, "db.example.com", False),  # how it is reached is not what it is called
        (BARE, "web01.example.com", False),
    ],
)
def test_a_certname_is_given_by_the_hosts_own_line(
    host: Listed, certname: str, given: bool
) -> None:
    assert INVENTORY.is_given(host.host, certname) is given


def test_data_about_a_certname_count_more_than_what_another_host_is_called() -> None:
    found = Identities([Listed("a", "a", "b"), Listed("b", "b", "c"), Listed("d", "d", "e")])
    assert found.is_given("a", "b")
    assert not found.is_given("b", "b")
    assert found.is_given("b", "c")


def test_a_name_that_is_given_twice_is_given_to_nobody() -> None:
    found = Identities([Listed("a", "a", "x"), Listed("b", "b", "x")])
    assert not found.is_given("a", "x")
    assert not found.is_given("b", "x")


@pytest.mark.parametrize(
    ("host", "certname", "whose"),
    [
        (WEB, CERTNAME, "master"),
        (WEB, "app01.example.com", "app01.example.com"),
        (WEB, "10.0.0.17", "10.0.0.17"),
        (WEB, "db.example.com", "10.0.0.17"),
        (BARE, "web01", "@winrm/web01"),
        (BARE, "web01.example.com", "@winrm/web01"),
        (WEB, "web01.example.com", None),
        (WEB, "stranger", None),
    ],
)
def test_every_name_of_another_host_is_that_ones(
    host: Listed, certname: str, whose: str | None
) -> None:
    assert INVENTORY.whose(host.host, certname) == whose


# What nobody but the master may be called


@pytest.mark.parametrize("name", [*INTERNAL_NAMES, "pe-internal-puppetdb", "puppet", CERTNAME])
def test_names_of_the_masters_are_never_believed(name: str) -> None:
    assert never_believed(name, {"puppet", CERTNAME}) is not None


def test_other_names_may_be() -> None:
    assert never_believed(NAME, {"puppet", CERTNAME}) is None


def test_a_refusal_has_the_line_to_add() -> None:
    assert "('@ssh/web', {'certname': 'web01.example.com'})" in not_proven("@ssh/web", NAME)


class Holder:
    """A site whose records have a certificate for the name that somebody claims."""

    names_of_master = frozenset({"puppet", CERTNAME})

    def __init__(self) -> None:
        self.asked: list[str] = []

    def require_no_master(self, _: Host) -> None:
        pass

    def certificates_of(self, certname: str) -> list[Certificate]:
        self.asked.append(certname)
        return [read(OLD.issue(certname, 5))]

    def register(self, *_: object) -> None:
        return None


def claim(data: dict[str, str], certname: str) -> Holder:
    """A host claims a certname with the right key for it, where the inventory has these data."""
    state = State(Inventory(([("web01", data), "puppet"], {}), master=(["puppet"], {})), Config())
    host, site = state.inventory.get_host("web01"), Holder()
    facts = SimpleNamespace(
        settings=SimpleNamespace(certname=certname),
        is_given=identities_of(host).is_given("web01", certname),
        words=WORDS,
        signatures=[signed(certname)],
    )
    require_identity(host, cast(Site, site), cast(AgentFacts, facts))
    return site


def test_a_proof_counts_where_the_data_give_no_certname() -> None:
    assert claim({}, NAME).asked == [NAME]
    assert claim({"certname": NAME}, NAME).asked == []


def test_no_proof_counts_against_a_certname_that_the_data_give() -> None:
    """An old key may have been stolen from the node that has that name."""
    line = r"inventory that it is own\.example\.com.*\('web01', {'certname': 'web01.example.com'}\)"
    with pytest.raises(AgentRefusedError, match=line):
        claim({"certname": "own.example.com"}, NAME)


def test_nor_does_the_inventorys_name_count_against_it() -> None:
    """The node would count as looked at, and as one that has none of the certificates to retire."""
    with pytest.raises(AgentRefusedError, match=r"the inventory that it is own\.example\.com"):
        claim({"certname": "own.example.com"}, "web01")
    assert claim({}, "web01").asked == []


@pytest.mark.parametrize(
    ("data", "certname", "asked"),
    [({}, NAME, True), ({"certname": NAME}, NAME, False), ({"certname": "own"}, NAME, False)],
)
def test_only_who_may_prove_it_is_asked_for_proof(
    monkeypatch: pytest.MonkeyPatch, data: dict[str, str], certname: str, asked: bool
) -> None:
    state = State(Inventory(([("web01", data), "puppet"], {}), master=(["puppet"], {})), Config())
    facts = AgentFacts.__new__(AgentFacts)
    facts.host = state.inventory.get_host("web01")
    facts.settings = cast(Settings, SimpleNamespace(certname=certname))
    questions: list[str] = []
    monkeypatch.setattr(facts, "read_together", lambda *names: questions.extend(names))
    facts.read_ahead(prove=True)
    assert ("proof" in questions) is asked


# The proof


def signed(label: str, words: str = WORDS) -> bytes:
    return key(label).sign(words.encode(), padding.PKCS1v15(), hashes.SHA256())


def test_the_key_of_the_certificate_proves_it() -> None:
    assert proves(WORDS, [signed(NAME)], read(OLD.issue(NAME, 5)))
    assert proves(WORDS, [b"", signed("another"), signed(NAME)], read(OLD.issue(NAME, 5)))


@pytest.mark.parametrize(
    "words",
    [
        words_to_sign("cd" * 32, "web01", NAME),
        words_to_sign("ab" * 32, "web02", NAME),
        words_to_sign("ab" * 32, "web01", CERTNAME),
        "",
    ],
    ids=["another nonce", "another host", "another name", "nothing"],
)
def test_what_was_signed_for_another_question_proves_nothing(words: str) -> None:
    assert not proves(WORDS, [signed(NAME, words)], read(OLD.issue(NAME, 5)))


def test_nor_does_another_key() -> None:
    assert not proves(WORDS, [signed("another")], read(OLD.issue(NAME, 5)))
    assert not proves(WORDS, [], read(OLD.issue(NAME, 5)))


def test_an_elliptic_key_proves_it_too() -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    plain = read(OLD.issue(NAME, 5)).x509
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .serial_number(1)
        .public_key(own.public_key())
        .not_valid_before(plain.not_valid_before_utc)
        .not_valid_after(plain.not_valid_after_utc)
        .sign(own, hashes.SHA256())
    )
    cert = read(made.public_bytes(Encoding.PEM).decode())
    assert proves(WORDS, [own.sign(WORDS.encode(), ec.ECDSA(hashes.SHA256()))], cert)
    assert not proves(WORDS, [signed(NAME)], cert)


@given(some.lists(some.binary(max_size=2000), max_size=4))
def test_no_bytes_by_chance_prove_anything(signatures: list[bytes]) -> None:
    assert not proves(WORDS, signatures, read(OLD.issue(NAME, 5)))


# How a host is asked


def ask(sh: Sh, tmp_path: Path, words: str = WORDS) -> list[bytes]:
    own = f"{tmp_path}/ssl/private_keys/{NAME}.pem"
    return sh.ask(KeyProof, words=words, key=own, backup_root=f"{tmp_path}/backups")


def put_key(tmp_path: Path, label: str) -> Path:
    own = tmp_path / "ssl/private_keys" / f"{NAME}.pem"
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text(key_pem(label))
    return own


def back_up(tmp_path: Path, name: str) -> None:
    backup = tmp_path / "backups" / name
    backup.mkdir(parents=True)
    subprocess.run(
        ["tar", "-C", "/", "-cf", f"{backup}/archive.tar", f"{tmp_path}/ssl"[1:]], check=True
    )


def test_a_host_signs_with_its_key(sh: Sh, tmp_path: Path) -> None:
    put_key(tmp_path, NAME)
    (signature,) = ask(sh, tmp_path)
    assert signature == signed(NAME)


def test_and_with_those_of_its_backups(sh: Sh, tmp_path: Path) -> None:
    put_key(tmp_path, NAME)
    back_up(tmp_path, "20151123T101500Z-ab12cd34ef56ab78")
    put_key(tmp_path, "renewed")
    found = ask(sh, tmp_path)
    assert found == [signed("renewed"), signed(NAME)]
    assert proves(WORDS, found, read(OLD.issue(NAME, 5)))
    assert proves(WORDS, found, read(NEW.issue(NAME, 5, key="renewed")))


def test_a_host_without_a_key_answers_all_the_same(sh: Sh, tmp_path: Path) -> None:
    assert ask(sh, tmp_path) == []
    put_key(tmp_path, NAME).write_text("garbage")
    back_up(tmp_path, "20151123T101500Z-ab12cd34ef56ab78")
    (tmp_path / "backups/20151123T101500Z-ab12cd34ef56ab78/archive.tar").write_text("garbage")
    assert ask(sh, tmp_path) == []


def test_nothing_is_left_on_the_host(sh: Sh, tmp_path: Path) -> None:
    put_key(tmp_path, NAME)
    back_up(tmp_path, "20151123T101500Z-ab12cd34ef56ab78")
    before = sorted(tmp_path.rglob("*"))
    output = "".join(sh.output(KeyProof, words=WORDS, key=str(before[-1]), backup_root="/none"))
    ask(sh, tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert "PRIVATE" not in output


@pytest.mark.parametrize("words", ["$(reboot)", "'; id; '", "-out /etc/passwd", "%s%n\\0"])
def test_whatever_the_words_are(sh: Sh, tmp_path: Path, words: str) -> None:
    put_key(tmp_path, NAME)
    assert ask(sh, tmp_path, words) == [signed(NAME, words)]


fields = some.text(some.characters(exclude_categories=["Cs"]), max_size=20)


@given(some.lists(some.lists(some.just("signature") | fields, max_size=3), max_size=5))
def test_whatever_a_host_answers_is_a_list_of_bytes(records: list[list[str]]) -> None:
    try:
        found = KeyProof().process(printed(*records))
    except FactProcessError:
        return  # a NUL in a field has cut it short
    assert all(isinstance(signature, bytes) for signature in found)
