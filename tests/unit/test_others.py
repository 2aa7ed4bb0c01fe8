"""What in the emptied directories is somebody else's, and that a deletion leaves it alone."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from facts.others import StrayCredentials
from facts.script import PIPELINES
from operations.clearing import CLEARING, pattern, patterns, patterns_within
from operations.placing import PLACING
from procedures.host import HostFacts
from procedures.renewal import AgentRenewal
from recert import others
from recert.certificates import read_certificates
from recert.errors import RecertError
from recert.freshness import Freshness
from recert.others import (
    CERTIFICATE,
    KEYSTORE,
    PRIVATE_KEY,
    PUBLIC_KEY,
    Stray,
    kept_directories,
    of_others,
    other_names,
    told,
    told_of_other_cas,
    told_of_readers,
)
from recert.site_cas import SiteCas
from tests.tables import PUPPETDB
from tests.unit.issuing_ca import (
    NEW,
    OLD,
    SSLDIR,
    IssuingCa,
    file_state,
    key_digest,
    master,
    retired,
    settings,
)
from tests.unit.shell import ME, Sh

CAS = [OLD.certificate, NEW.certificate]
OTHER = IssuingCa("other-ca")


def key(label: str, name: str = "") -> Stray:
    return Stray(f"{SSLDIR}/{name or label}.key", PRIVATE_KEY, keys=(key_digest(label),))


def cert(pem: str, name: str = "cert") -> Stray:
    return Stray(f"{SSLDIR}/{name}.pem", CERTIFICATE, tuple(read_certificates(pem)))


def test_a_key_that_no_ca_of_the_site_has_certified_stays() -> None:
    assert of_others([key("eyaml")], CAS) == {f"{SSLDIR}/eyaml.key": PRIVATE_KEY}


def test_a_key_goes_with_its_certificate_wherever_that_lies() -> None:
    of_ca = OLD.issue("web", 9)
    assert of_others([key("web"), cert(of_ca)], CAS) == {}
    assert of_others([key("web")], CAS, certified=[key_digest("web")]) == {}
    # A CA's own, and one that it certified before it was signed anew.
    assert of_others([key("old-ca"), cert(OLD.pem)], CAS) == {}
    assert of_others([cert(IssuingCa("old-ca", serial=7).issue("web", 9))], CAS) == {}


@pytest.mark.parametrize(
    ("group", "mode", "is_told"),
    [
        ("ssl-cert", 0o640, True),
        ("ssl-cert", 0o600, False),
        ("pe-puppet", 0o640, False),
        ("root", 0o640, False),
    ],
)
def test_who_reads_a_key_by_its_group_is_told_that_this_ends(
    group: str, mode: int, is_told: bool
) -> None:
    lines = told_of_readers("/key", file_state(group=group, mode=mode), "pe-puppet")
    assert [line.startswith(f"/key can be read by the group {group} (0640)") for line in lines] == [
        True
    ] * is_told
    assert told_of_readers("/key", None, "pe-puppet") == []


def test_certificates_of_others_stay_with_their_keys() -> None:
    strays = [key("shop"), cert(OTHER.issue("shop", 3)), cert(OTHER.pem, "bundle")]
    assert set(of_others(strays, CAS)) == {stray.path for stray in strays}
    # One file with both, and what else is of the CA to retire in it: it goes.
    both = replace(strays[1], certificates=(*strays[1].certificates, OLD.certificate))
    assert both.path not in of_others([both], CAS)


def test_a_key_that_cannot_be_read_and_a_sealed_keystore_stay() -> None:
    sealed = Stray(f"{SSLDIR}/store.p12", KEYSTORE)
    locked = Stray(f"{SSLDIR}/locked.pem", PRIVATE_KEY, keys=(None,))
    assert set(of_others([sealed, locked], CAS)) == {sealed.path, locked.path}
    known = replace(sealed, certificates=tuple(read_certificates(OLD.issue("db", 4))))
    assert of_others([known], CAS) == {}


def test_a_public_key_stays_with_the_private_one_alone() -> None:
    public = Stray(f"{SSLDIR}/public.pem", PUBLIC_KEY, keys=(key_digest("eyaml"),))
    assert of_others([public], CAS) == {}
    assert of_others([key("eyaml"), public], CAS)[public.path] == PUBLIC_KEY


def test_each_certificate_is_compared_once_with_each_ca(verifications: list[object]) -> None:
    bundle = cert(OTHER.issue("shop", 3))
    strays = [replace(bundle, path=f"{SSLDIR}/{number}.pem") for number in range(30)]
    again = IssuingCa("old-ca", serial=7).certificate
    assert len(of_others([key("shop"), *strays], [*CAS, *CAS, again])) == 31
    assert len(verifications) == len(CAS)
    verifications.clear()
    assert other_names([key("shop"), *strays], [*CAS, *CAS, again]) == {}
    assert len(verifications) == len(CAS)


def test_what_belongs_to_no_key_has_no_name_to_be_told(verifications: list[object]) -> None:
    assert other_names([cert(OLD.issue("old-name", 5))], CAS) == {}
    assert verifications == []


def test_too_many_certificates_are_not_compared(
    verifications: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(others, "MOST_COMPARED", 5)
    strays = [key("0"), *(cert(OTHER.issue(str(n), n + 3), str(n)) for n in range(3))]
    assert of_others(strays, CAS[:1])
    assert len(verifications) == 3
    with pytest.raises(RecertError, match=f"3 certificates .*such as {SSLDIR}/0.pem.* 2 CAs"):
        of_others(strays, CAS)
    assert other_names(strays, CAS) == {}, "of those with a key there is but one"
    assert len(verifications) == 3 + 2


def test_others_have_a_turn_while_many_are_compared(
    verifications: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recert.turns.AT_ONCE", 2)
    strays = [cert(OTHER.issue(str(n), n + 3), str(n)) for n in range(5)]
    turns: list[int] = []
    of_others(strays, CAS[:1], pause=lambda: turns.append(len(verifications)))
    assert turns == [2, 4]


def test_what_lies_there_is_compared_once_for_all_steps(verifications: list[object]) -> None:
    shop = cert(OTHER.issue("shop", 3))
    facts = cast(HostFacts, SimpleNamespace(strays=[shop], _others=None))
    for _ in range(3):
        assert HostFacts.others(facts, CAS) == {shop.path: CERTIFICATE}
    assert len(verifications) == len(CAS)
    assert HostFacts.others(facts, [*CAS, OTHER.certificate]) == {}
    facts.__dict__["strays"] = []
    assert HostFacts.others(facts, CAS) == {}


def test_an_agent_names_no_cas() -> None:
    """Its backups are its own, and name as many as it likes, as does what it trusts."""
    conf = settings()
    manifest = SimpleNamespace(ca_certificate=OTHER.pem)
    backups = SimpleNamespace(backups=[SimpleNamespace(manifest=manifest)] * 1000)
    ssl = SimpleNamespace(texts={conf.localcacert: OTHER.pem + OLD.pem})
    facts = SimpleNamespace(settings=conf, ssl=ssl, backups=backups)
    known = SiteCas.of(NEW.certificate, retired(OLD), [])
    asked = SimpleNamespace(
        facts=facts, site=SimpleNamespace(cas=[NEW.certificate], ever_had=known)
    )
    assert AgentRenewal.known_cas.fget(asked) == [NEW.certificate, OLD.certificate]  # type: ignore[attr-defined]


def test_names_of_which_key_and_certificate_are_there() -> None:
    renamed = [key("old-name"), cert(OLD.issue("old-name", 5), "certs/old-name")]
    assert other_names(renamed, CAS) == {"old-name": f"{SSLDIR}/certs/old-name.pem"}
    assert other_names(renamed[1:], CAS) == {}
    assert other_names([key("shop"), cert(OTHER.issue("shop", 3))], CAS) == {}
    assert other_names([key("old-ca"), cert(OLD.pem)], CAS) == {}


def test_the_directories_of_what_stays_are_not_puppets() -> None:
    conf = settings()
    stay = [f"{SSLDIR}/eyaml/keys/private.pem", f"{SSLDIR}/certs/shop.pem"]
    assert kept_directories(stay, conf, [SSLDIR]) == {f"{SSLDIR}/eyaml", f"{SSLDIR}/eyaml/keys"}


def test_each_is_told_in_one_line() -> None:
    (line,) = told({f"{SSLDIR}/eyaml.pem": PRIVATE_KEY})
    assert line.startswith(f"{SSLDIR}/eyaml.pem stays as it is: a private key")


def test_what_stays_is_no_remains_and_keeps_its_owner() -> None:
    found = master(OLD)
    eyaml = f"{SSLDIR}/eyaml/private.pem"
    found.files[f"{SSLDIR}/eyaml"] = file_state("d", 0o500, "root")
    found.files[eyaml] = file_state(mode=0o400, owner="root")
    copy = f"{PUPPETDB.directory}/shop.jks"
    found.change_copy(PUPPETDB, copy, owner="root", group="root")

    def judge() -> Freshness:
        return replace(found.judge(), others=frozenset({eyaml, copy}))

    assert eyaml not in judge().ssl_remains
    assert found.paths().certificate in judge().ssl_remains
    fresh = master(NEW)
    fresh.files[f"{SSLDIR}/eyaml"] = file_state("d", 0o500, "root")
    fresh.files[eyaml] = file_state(mode=0o400, owner="root")
    fresh.change_copy(PUPPETDB, copy, owner="root", group="root")
    assert replace(fresh.judge(), others=frozenset({eyaml, copy})).problems == ()
    assert len(fresh.judge().problems) > 1


# On the host


def test_a_directory_is_emptied_around_what_stays(sh: Sh, tmp_path: Path) -> None:
    root = tmp_path / "s [1]*"
    for name in ("certs/a.pem", "eyaml/private key.pem", "eyaml/public.pem", "x/y/z", ".hidden"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "eyaml/private key.pem").chmod(0o400)
    (root / "link").symlink_to("/etc/passwd")
    kept = [f"{root}/eyaml/private key.pem"]
    words = shlex.join([str(root), pattern(str(root)), *patterns(kept)])
    given = shlex.join([ME, str(root), "directory", *patterns_within(str(root), kept)])
    fail = 'fail() { echo "$*" >&2; exit 1; }\n'

    done = sh.run(f"{fail}{PIPELINES}{CLEARING}\nclear_below {words}\n{PLACING}\ngive {given}")

    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    left = {str(path.relative_to(root)) for path in root.rglob("*")}
    assert left == {"eyaml", "eyaml/private key.pem", ".hidden"}
    assert (root / "eyaml/private key.pem").stat().st_mode & 0o777 == 0o400
    whole = shlex.join([str(root), pattern(str(root))])
    done = sh.run(f"{fail}{PIPELINES}{CLEARING}\nclear_below {whole}")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in root.rglob("*")} == {".hidden"}


def test_where_there_is_nothing_but_puppets_own_no_ruby_is_started(sh: Sh, tmp_path: Path) -> None:
    sh.provide("ruby", "echo started >&2; exit 1")
    own = tmp_path / "certs" / "a.pem"
    own.parent.mkdir()
    own.write_text(OLD.issue("a", 2))
    asked = {"roots": [str(tmp_path), "/nowhere"], "own": [str(own)], "queues": []}
    assert sh.ask(StrayCredentials, **asked) == []


def test_other_cas_in_the_file_of_the_one_that_is_trusted_are_told() -> None:
    ca, other = OLD.certificate, OTHER.certificate
    both = f"{ca.pem}{other.pem}{other.pem}"
    assert told_of_other_cas("/ca.pem", ca.pem, [ca]) == []
    (line,) = told_of_other_cas("/ca.pem", both, [ca])
    assert (
        f"/ca.pem has other CAs' certificates as well, which go with it ({other.subject});" in line
    )
    # Nobody knows whose they are.
    assert told_of_other_cas("/ca.pem", both, []) == []
