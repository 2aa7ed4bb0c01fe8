"""What is made aside: where, when it may take the old CA's place, and in what order it goes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from recert.aside import LONGEST_ASIDE, Aside, MadeAside
from recert.freshness import CredentialPaths, Freshness
from recert.observed import SslState
from tests.unit.issuing_ca import (
    CERTNAME,
    NOW,
    OLD,
    SSLDIR,
    Master,
    file_state,
    master,
    settings,
)

WHERE = Aside(settings())
DASHBOARD = "pe-internal-dashboard"


def made() -> Master:
    """A whole CA aside, as Puppet leaves one, with the note of whom it is to replace."""
    found = master()
    where = Aside(found.settings)
    found.settings = where.settings
    found.files = {where.path_of(path): entry for path, entry in found.files.items()}
    found.texts = {where.path_of(path): text for path, text in found.texts.items()}
    found.keys = {where.path_of(path): key for path, key in found.keys.items()}
    found.add(where.top, kind="d", mode=0o711, owner="root")
    found.add(where.inner, kind="d", mode=0o700, owner="root")
    found.write(where.note, OLD.certificate.fingerprint)
    found.add(where.note, mode=0o600, owner="root", mtime=NOW.timestamp())
    return found


def judged(found: Master, where: Aside = WHERE) -> MadeAside:
    ssl = SslState(dict(found.files), dict(found.texts), dict(found.keys))
    fresh = Freshness(
        found.deployment,
        where.settings,
        ssl,
        {},
        found.retired,
        found.alt_names,
        found.now,
    )
    return MadeAside(where, ssl, fresh)


def why(found: Master) -> str:
    return "; ".join(map(str, judged(found).problems))


def test_what_is_whole_and_of_today_can_take_the_place() -> None:
    assert judged(made()).exists
    assert why(made()) == ""


def test_what_is_not_there_cannot() -> None:
    found = made()
    found.files, found.texts, found.keys = {}, {}, {}
    assert not judged(found).exists
    assert why(found) == f"{WHERE.top}: is not there"


def test_what_was_cut_off_cannot() -> None:
    found = made()
    found.remove(WHERE.note)
    assert "was not made to its end" in why(found)


def test_what_was_made_in_place_of_another_ca_cannot() -> None:
    found = made()
    found.texts[WHERE.note] = "AB:CD"
    assert "AB:CD is retired" in why(found)


def test_what_is_older_than_a_day_cannot() -> None:
    found = made()
    found.now = NOW + LONGEST_ASIDE
    assert why(found) == ""
    found.now += timedelta(seconds=1)
    assert "too long ago" in why(found)


def test_what_is_still_to_come_cannot() -> None:
    """Nobody makes a note in the future but who wants it to be heeded for ever."""
    found = made()
    found.add(WHERE.note, mtime=(NOW + LONGEST_ASIDE + timedelta(seconds=1)).timestamp())
    assert "which is still to come" in why(found)


@pytest.mark.parametrize("path", [WHERE.top, WHERE.inner, WHERE.note])
@pytest.mark.parametrize(
    "change", [{"owner": "pe-puppet"}, {"mode": 0o730}, {"mode": 0o703}, {"kind": "l"}]
)
def test_what_somebody_else_may_have_put_there_cannot(path: str, change: dict[str, Any]) -> None:
    """Puppet's account may have a CA of its own lie there, where the directory above is its own."""
    found = made()
    found.add(path, **change)
    assert why(found) == f"{path}: is not root's alone: somebody else may have made it"


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("cakey", "is missing"),
        ("cacrl", "is missing"),
        ("serial", "serial number"),
        ("cacert", "is missing"),
    ],
)
def test_what_lacks_a_part_of_the_ca_cannot(gone: str, said: str) -> None:
    found = made()
    path = getattr(WHERE.settings, gone)
    found.remove(path)
    assert path in why(found) and said in why(found)


@pytest.mark.parametrize("part", ["certificate", "signed", "private_key", "public_key"])
@pytest.mark.parametrize("name", [CERTNAME, DASHBOARD])
def test_what_lacks_a_part_of_a_credential_cannot(name: str, part: str) -> None:
    found = made()
    found.remove(getattr(CredentialPaths.of(WHERE.settings, name), part))
    assert f"/{name}.pem" in why(found)


@pytest.mark.parametrize(
    "odd", [{"kind": "p"}, {"kind": "l"}, {"owner": "root"}, {"owner": "pe-postgres"}]
)
def test_what_could_not_be_put_into_place_is_found_before_the_outage(odd: dict[str, Any]) -> None:
    found = made()
    for path in (f"{WHERE.inner}/ssldir/ca/odd", f"{WHERE.inner}/ssldir/more\nlines"):
        found.files[path] = file_state(**odd)
    problems = judged(found).problems
    assert [problem.path.rpartition("/")[2] for problem in problems] == ["odd", "more\nlines"]
    assert {problem.why.partition(",")[0] for problem in problems} == {
        "is no plain file of pe-puppet's"
    }


def test_what_has_the_key_of_the_ca_to_retire_cannot() -> None:
    found = made()
    found.keys[WHERE.settings.cakey] = OLD.certificate.key
    assert why(found) == f"{WHERE.settings.cacert}: has the key of the CA to retire"


def test_what_has_other_names_than_are_wanted_by_now_cannot() -> None:
    found = made()
    found.alt_names = replace(found.alt_names, names=(*found.alt_names.names, "added.lab.test"))
    assert "added.lab.test" in why(found)


def test_a_ca_that_ends_soon_cannot() -> None:
    found = made()
    ca = judged(found).fresh.ca
    assert ca is not None
    found.now = ca.not_after - timedelta(days=29)
    found.add(WHERE.note, mtime=found.now.timestamp())
    assert f"{WHERE.settings.cacert}: ends on" in why(found)


def test_a_list_that_has_expired_cannot() -> None:
    found = made()
    found.texts[WHERE.settings.cacrl] = found.ca.crl(expires=timedelta(seconds=-1))
    assert f"{WHERE.settings.cacrl}: expired on" in why(found)


def test_all_of_it_goes_into_place_and_certificates_last() -> None:
    aside = judged(made())
    names = aside.fresh.credential_names
    ca, credentials = aside.ca_layers, aside.layers_of(names)
    goes = [
        (f"{layer.source}/{name}", f"{layer.target}/{name}")
        for layer in (*ca, *credentials)
        for name in layer.names
    ]
    assert all(WHERE.place_of(source) == target for source, target in goes)
    files = {path for path, entry in aside.ssl.files.items() if entry.kind != "d"}
    assert files - {source for source, _ in goes} == {WHERE.note, WHERE.settings.hostcrl}
    assert len(set(goes)) == len(goes)
    assert ca[-1].names[-1] == "ca_crt.pem"
    assert credentials[-1].target == f"{SSLDIR}/certs"
    assert credentials[-1].names == tuple(f"{name}.pem" for name in names)
    made_first = [layer.target for layer in ca if not layer.names]
    assert f"{SSLDIR}/ca/requests" in made_first and SSLDIR not in made_first


def test_a_ca_without_its_key_is_not_taken_for_one_to_go_on_with() -> None:
    found = made()
    aside = judged(found)
    assert aside.is_of(aside.fresh.ca, DASHBOARD)
    assert not aside.is_of(OLD.certificate, DASHBOARD)
    assert not aside.is_of(None, DASHBOARD)
    found.remove(CredentialPaths.of(WHERE.settings, DASHBOARD).private_key)
    aside = judged(found)
    assert not aside.is_of(aside.fresh.ca, DASHBOARD)


def test_puppet_is_told_every_place_that_a_puppet_conf_may_name() -> None:
    conf = settings(
        cadir="/srv/ca",
        cacert="/srv/ca/mine.pem",
        cakey="/srv/ca/key.pem",
        cacrl="/srv/ca/crl.pem",
        capass="/srv/ca/private/pass",
        serial="/srv/ca/serial",
        signeddir="/srv/ca/signed",
        csrdir=f"{SSLDIR}/requests",
        capub="",
        cert_inventory="/srv/ca/inventory",
        caprivatedir="/srv/ca/private",
        privatedir="",
        passfile="/var/lib/password",
    )
    where = Aside(conf)
    told = dict(option.removeprefix("--").split("=", 1) for option in where.options)
    assert told["cacert"] == f"{where.inner}/cadir/mine.pem"
    assert told["csrdir"] == f"{where.inner}/ssldir/requests"
    assert told["capub"] == f"{where.inner}/cadir/ca_pub.pem"
    assert told["cert_inventory"] == f"{where.inner}/cadir/inventory"
    assert told["privatedir"] == f"{where.inner}/ssldir/private"
    assert where.outside == {"passfile": "/var/lib/password"}
    assert where.place_of(where.path_of(conf.cacert)) == conf.cacert
    assert where.top == f"{SSLDIR}.pe-recert" and where.directory == SSLDIR.rpartition("/")[0]


def test_whoever_uses_it_is_told_where_a_key_lies_and_how_long() -> None:
    text = (Path(__file__).resolve().parents[2] / "SECURITY.md").read_text()
    top = WHERE.top.replace(SSLDIR, "<ssldir>")
    (told,) = (part for part in text.split("\n\n") if f"`{top}`" in part)
    for what in ("0711", "step 2.7", "killed", "survey names it", "a day", "Puppet's account"):
        assert what in told


def test_a_directory_is_made_with_puppets_mode() -> None:
    found = made()
    keys = f"{WHERE.settings.ssldir}/private_keys"
    found.files[keys] = file_state("d", 0o750)
    (layer,) = (one for one in judged(found).ca_layers if one.source == keys)
    assert layer.mode == 0o750
