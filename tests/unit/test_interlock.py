"""No CA is destroyed but the one that was named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recert.backups import Manifest
from recert.certificates import Certificate
from recert.deployments.pe_3_7 import PE_3_7
from recert.errors import RecertError
from recert.freshness import Retired
from recert.interlock import (
    ca_to_retire,
    describe_ca,
    left_behind,
    named_ca,
    parse_fingerprint,
    succeeded,
)
from tests.unit.issuing_ca import CERTNAME, NEW, OLD, read

FINGERPRINT = OLD.certificate.fingerprint
COMMAND = "pyinfra inventory.py deploys/master.py"
FOUND = describe_ca(OLD.certificate, (12, 3), COMMAND, "/ssl/ca/ca_crt.pem")
MANIFEST = Manifest(
    made_at="2015-11-23T10:15:00+00:00",
    host="master",
    certname=CERTNAME,
    ca_fingerprint=FINGERPRINT,
    ca_key=OLD.certificate.key,
    ca_subject=None,
    ca_expires=None,
    paths=(),
    settings={},
)


@pytest.mark.parametrize(
    "value",
    [
        FINGERPRINT,
        FINGERPRINT.lower(),
        FINGERPRINT.replace(":", ""),
        FINGERPRINT.replace(":", "").lower(),
        f"SHA256:{FINGERPRINT}",
        f"SHA256 Fingerprint={FINGERPRINT}",
        f"sha256 Fingerprint={FINGERPRINT}",
        f"sha-256={FINGERPRINT}",
        f"(SHA256) {FINGERPRINT}",
        f"  {FINGERPRINT}\n",
    ],
    ids=range(10),
)
def test_fingerprint_is_understood_however_it_is_written(value: str) -> None:
    assert parse_fingerprint(value) == FINGERPRINT


@pytest.mark.parametrize(
    "value",
    [
        FINGERPRINT[:-1],
        FINGERPRINT + "0",
        "G" + FINGERPRINT[1:],
        "AB" * 20,
        "true",
        True,
        5,
        "retire",
        f"{FINGERPRINT},{FINGERPRINT}",
    ],
    ids=range(9),
)
def test_what_is_no_sha256_fingerprint_is_refused(value: object) -> None:
    with pytest.raises(RecertError, match="not a SHA-256 fingerprint"):
        parse_fingerprint(value)


def test_refusal_names_the_data_that_is_wrong() -> None:
    with pytest.raises(RecertError, match=r"^retire_ca=x is not a SHA-256 fingerprint"):
        parse_fingerprint("x")
    with pytest.raises(RecertError, match=r"^retire_certs=x is not a SHA-256 fingerprint"):
        parse_fingerprint("x", "retire_certs")


def test_fingerprint_of_a_certificate_is_understood_like_that_of_a_ca() -> None:
    assert parse_fingerprint(FINGERPRINT.lower(), "retire_certs") == FINGERPRINT


def test_ca_on_the_host_can_be_named() -> None:
    chosen = ca_to_retire(FINGERPRINT, OLD.certificate, [])
    assert (chosen.fingerprint, chosen.key) == (FINGERPRINT, OLD.certificate.key)


@pytest.mark.parametrize("current", [None, NEW.certificate])
def test_ca_of_a_backup_can_be_named(current: Certificate | None) -> None:
    other = replace(MANIFEST, ca_fingerprint=None, ca_key="no")
    chosen = ca_to_retire(FINGERPRINT, current, [other, MANIFEST])
    assert (chosen.fingerprint, chosen.key) == (FINGERPRINT, OLD.certificate.key)


@pytest.mark.parametrize(
    ("named", "why"),
    [
        (None, "no CA to retire is named"),
        (NEW.certificate.fingerprint, "neither the CA on this host nor"),
    ],
    ids=["missing", "unknown"],
)
def test_nothing_else_can_be_named(named: str | None, why: str) -> None:
    with pytest.raises(RecertError, match=why):
        ca_to_retire(named, OLD.certificate, [MANIFEST])


def test_what_is_known_of_a_ca_that_is_gone() -> None:
    assert named_ca(NEW.certificate.fingerprint, OLD.certificate, [MANIFEST]) == Retired(
        NEW.certificate.fingerprint, None
    )


@pytest.mark.parametrize("before", [None, "", NEW.pem])
@pytest.mark.parametrize("in_order", [1, -1])
def test_the_certificate_of_a_ca_is_its_own_whatever_a_backup_holds(
    before: str | None, in_order: int
) -> None:
    whole = replace(MANIFEST, ca_certificate=OLD.pem)
    manifests = [replace(MANIFEST, ca_certificate=before), whole][::in_order]
    assert named_ca(FINGERPRINT, NEW.certificate, manifests) == Retired(
        FINGERPRINT, OLD.certificate.key, OLD.certificate
    )
    alone = named_ca(FINGERPRINT, NEW.certificate, [replace(MANIFEST, ca_certificate=before)])
    assert alone == Retired(FINGERPRINT, OLD.certificate.key)


def test_what_is_there_is_said_with_what_to_run() -> None:
    assert f"{COMMAND} --dry --diff --data retire_ca={FINGERPRINT}" in FOUND


def test_nothing_can_be_named_where_nothing_is() -> None:
    with pytest.raises(RecertError, match="neither"):
        ca_to_retire(FINGERPRINT, None, [])


def test_description_names_subject_expiry_and_number_of_certificates() -> None:
    assert f"Puppet CA: {CERTNAME}" in FOUND
    assert f"{OLD.expires:%Y-%m-%d}" in FOUND
    assert "15 certificates, 3 of them revoked" in FOUND


def test_description_without_a_ca_names_the_file_and_the_backups() -> None:
    message = describe_ca(None, (0, 0), COMMAND, "/ssl/ca/ca_crt.pem")
    assert "/ssl/ca/ca_crt.pem" in message
    assert "deploys/restore.py" in message


def test_certificates_that_nothing_brings_back_are_named_with_their_alt_names() -> None:
    compile_master = read(OLD.issue("compile1", 90, ["compile1", "puppet", "lb.example.com"]))
    signed = {
        CERTNAME: None,
        "pe-internal-dashboard": None,
        "agent01": None,
        "compile1": compile_master,
        "broken": None,
        "plain": read(OLD.issue("plain", 91)),
    }
    assert left_behind(signed, PE_3_7.credential_names(CERTNAME), ["agent01"]) == [
        "broken",
        "compile1 (alt names lb.example.com, puppet)",
        "plain",
    ]


def test_nothing_is_left_behind_where_all_are_known() -> None:
    assert left_behind({"agent01": None, CERTNAME: None}, [CERTNAME], ["agent01", "x"]) == []


def test_a_ca_that_is_new_already_says_so() -> None:
    (line,) = succeeded(NEW.certificate, [MANIFEST, replace(MANIFEST, ca_fingerprint=None)])
    assert f"took the place of {FINGERPRINT}," in line
    assert "backed up at 2015-11-23 10:15 UTC" in line


def test_a_ca_that_is_old_or_was_put_back_does_not() -> None:
    put_back = [MANIFEST, replace(MANIFEST, ca_fingerprint=NEW.certificate.fingerprint)]
    assert succeeded(OLD.certificate, put_back) == []
    assert succeeded(OLD.certificate, []) == []
    assert succeeded(None, [MANIFEST]) == []
