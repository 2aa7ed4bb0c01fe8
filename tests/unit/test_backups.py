"""The manifest of a backup survives being written and read, and nothing else passes for one."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from facts.script import PIPELINES
from operations.backup import KEEPING
from recert.backups import (
    ARCHIVE_DIGEST,
    Manifest,
    backup_name,
    check_backup_name,
    read_manifest,
)
from recert.errors import RecertError
from recert.settings import Settings
from tests.unit.issuing_ca import CERTNAME, OLD, settings
from tests.unit.shell import Sh

AT = datetime(2015, 11, 23, 10, 15, tzinfo=UTC)
MANIFEST = Manifest(
    made_at=AT.isoformat(),
    host="@ssh/master",
    certname=CERTNAME,
    ca_fingerprint=OLD.certificate.fingerprint,
    ca_key=OLD.certificate.key,
    ca_subject=OLD.certificate.subject,
    ca_expires=OLD.certificate.not_after.isoformat(),
    paths=("/etc/puppetlabs/puppet/ssl", "/a b/'c'"),
    settings=asdict(settings()),
    alt_names=("puppet",),
    signed=("agent01", "agent02"),
)


def test_manifest_is_the_same_after_writing_and_reading() -> None:
    assert read_manifest(MANIFEST.to_json()) == MANIFEST


def test_manifest_of_a_host_without_ca_is_the_same_after_writing_and_reading() -> None:
    bare = replace(MANIFEST, ca_fingerprint=None, ca_key=None, ca_subject=None, ca_expires=None)
    assert read_manifest(bare.to_json()) == bare


def test_own_certificate_is_the_same_after_writing_and_reading() -> None:
    full = replace(
        MANIFEST,
        ca_certificate=OLD.pem,
        certificate=OLD.issue("agent01", 7),
    )
    assert read_manifest(full.to_json()) == full


def test_manifest_from_before_agents_had_any_is_read() -> None:
    values = json.loads(MANIFEST.to_json())
    del values["certificate"]
    for name in ("server", "ca_server", "autosign"):
        del values["settings"][name]
    again = read_manifest(json.dumps(values))
    assert again is not None
    assert again.certificate is None
    assert again.ca_fingerprint == MANIFEST.ca_fingerprint
    assert Settings(**again.settings).ssldir == settings().ssldir


def test_settings_come_back_as_they_were() -> None:
    again = read_manifest(MANIFEST.to_json())
    assert again is not None
    assert Settings(**again.settings) == settings()


def test_host_can_put_the_archives_digest_in() -> None:
    text = MANIFEST.to_json()
    assert text.count(ARCHIVE_DIGEST) == 1
    again = read_manifest(text.replace(ARCHIVE_DIGEST, "ab" * 32))
    assert again is not None
    assert again.archive_sha256 == "ab" * 32


def changed(**changes: Any) -> str:
    values = json.loads(MANIFEST.to_json())
    values.update(changes)
    return json.dumps({name: value for name, value in values.items() if value != "gone"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "1",
        '"text"',
        "{}",
        MANIFEST.to_json()[:-20],
        changed(version=2),
        changed(version="gone"),
        changed(version="1"),
        changed(paths="gone"),
        changed(paths=None),
        changed(settings="gone"),
        changed(settings=None),
        changed(settings={}),
        changed(unknown=1),
        changed(certname="gone"),
        changed(signed=1),
    ],
    ids=range(19),
)
def test_what_is_no_manifest_of_this_version_is_none(text: str) -> None:
    assert read_manifest(text) is None


def test_name_tells_time_and_ca() -> None:
    short = OLD.certificate.fingerprint.replace(":", "").lower()[:16]
    assert backup_name(OLD.certificate.fingerprint, AT) == f"20151123T101500Z-{short}"


def test_name_without_a_ca() -> None:
    assert backup_name(None, AT) == "20151123T101500Z-no-ca"


def test_names_sort_by_time() -> None:
    names = [backup_name(None, AT.replace(year=year)) for year in (2014, 2015, 2026)]
    assert names == sorted(names)


@pytest.mark.parametrize("fingerprint", [None, OLD.certificate.fingerprint], ids=["none", "a CA"])
def test_names_that_are_made_are_accepted(fingerprint: str | None) -> None:
    name = backup_name(fingerprint, AT)
    assert check_backup_name(name) == name


@pytest.mark.parametrize(
    "value",
    [
        "",
        None,
        True,
        "..",
        "20151123T101500Z-ab/../..",
        "20151123T101500Z-",
        "20151123T101500Z-ab\n",
        "20151123T101500Z-AB",
        "/20151123T101500Z-ab",
        ".20151123T101500Z-ab.partial",
        "20151123T101500Z-ab; reboot",
        "latest",
    ],
)
def test_what_can_be_no_backups_name_is_refused(value: object) -> None:
    with pytest.raises(RecertError, match="is not the name of a backup"):
        check_backup_name(value)


# What an archive keeps beside owner and mode

_TARS = {
    "of today": ("exec /usr/bin/true", " --acls --selinux --xattrs"),
    "that knows two of them": ("case $1 in (--xattrs) exit 64 ;; esac", " --acls --selinux"),
    "built without SELinux": (
        "case $1 in (--selinux) echo 'tar: SELinux support is not available' >&2 ;; esac",
        " --acls --xattrs",
    ),
}


@pytest.mark.parametrize("which", _TARS)
def test_tar_is_asked_for_what_it_can_do(sh: Sh, tmp_path: Path, which: str) -> None:
    script, kept = _TARS[which]
    sh.provide("tar", script)
    done = sh.run(f'{PIPELINES}\nnew={tmp_path}\n{KEEPING}\necho "$keeping"')
    assert (done.stdout.decode(), done.stderr) == (f"{kept}\n", b"")
