"""A backup that somebody has had in his hands is not believed."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from facts.archives import MEMBERS, WITHIN
from facts.script import PIPELINES
from operations.restore import _UNPACK
from recert.backups import Manifest, check_paths, read_manifest
from recert.deployments.pe_3_7 import PE_3_7
from recert.errors import RecertError
from recert.settings import Settings, stored_settings
from recert.windows import WINDOWS
from tests.unit.issuing_ca import SSLDIR, settings
from tests.unit.test_backups import MANIFEST, changed

PLACES = [PE_3_7.configuration, *PE_3_7.searched]
OWN = (SSLDIR, *PE_3_7.master.directories, settings().config)


# The manifest


@pytest.mark.parametrize(
    "change",
    [
        {"paths": [1]},
        {"paths": [["/etc"]]},
        {"paths": "/etc"},
        {"signed": [{}]},
        {"certificate": 5},
        {"ca_certificate": ["x"]},
        {"ca_key": {}},
        {"archive_sha256": None},
        {"archive_sha256": 5},
        {"made_at": 5},
        {"settings": [["dns_alt_names", []]]},
        {"certname": None},
    ],
    ids=str,
)
def test_values_of_other_kinds_make_it_none(change: dict[str, Any]) -> None:
    found = read_manifest(changed(**change))
    assert found is None or (change == {"paths": "/etc"} and set(found.paths) == set("/etc"))


anything = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=8), inner),
    max_leaves=8,
)


@given(some.dictionaries(some.sampled_from(list(asdict(MANIFEST))), anything))
def test_whatever_a_manifest_says_is_one_or_none(values: dict[str, Any]) -> None:
    found = read_manifest(changed(**values))
    if found is not None:
        assert isinstance(found, Manifest)
        assert all(isinstance(path, str) for path in (*found.paths, *found.signed))
        try:
            assert isinstance(stored_settings(found.settings, PE_3_7), Settings)
        except RecertError:
            return


@given(some.text() | anything.map(json.dumps))
def test_whatever_text_it_is(text: str) -> None:
    assert read_manifest(text) is None


@pytest.mark.parametrize("paths", [("/etc",), (*OWN, "/root"), ("/",), ("..",), ("",)], ids=str)
def test_paths_that_no_backup_has_are_refused(paths: tuple[str, ...]) -> None:
    with pytest.raises(RecertError, match="does not back up"):
        check_paths(replace(MANIFEST, paths=paths), OWN, PLACES, [])


def test_those_of_a_backup_are_not() -> None:
    check_paths(replace(MANIFEST, paths=OWN), OWN, PLACES, [])
    check_paths(replace(MANIFEST, paths=OWN[:2]), OWN, PLACES, [])


@pytest.mark.parametrize("path", ["/etc/cron.d/puppet", "/root/.ssh", "/etc/puppetlabs-of-others"])
def test_settings_do_not_say_where_a_backup_may_be_put(path: str) -> None:
    """They are in the same manifest as the paths."""
    manifest = replace(MANIFEST, paths=(*OWN, path))
    with pytest.raises(RecertError) as refused:
        check_paths(manifest, manifest.paths, PLACES, [])
    assert f"The backup holds {path}, which is in none" in str(refused.value)
    assert f"--data restored_paths={path}" in str(refused.value)
    check_paths(manifest, manifest.paths, PLACES, [path])


def test_on_windows_case_does_not_count() -> None:
    manifest = replace(MANIFEST, paths=("C:/ProgramData/PuppetLabs/puppet/etc/ssl",))
    check_paths(manifest, manifest.paths, ["C:/PROGRAMDATA/PuppetLabs"], [])
    with pytest.raises(RecertError, match="in none of Puppet's usual places"):
        check_paths(manifest, manifest.paths, ["C:/Windows"], [])


def test_settings_of_a_backup_come_back() -> None:
    kept = json.loads(json.dumps(asdict(settings())))
    assert stored_settings(kept, PE_3_7) == settings()
    # What earlier versions did not keep.
    for name in (
        "server",
        "ca_server",
        "ca_port",
        "use_srv_records",
        "autosign",
        "ca_name",
        "ca_ttl",
    ):
        del kept[name]
    assert stored_settings(kept, PE_3_7).ssldir == SSLDIR


@pytest.mark.parametrize(
    "change",
    [
        {"ssldir": "/etc"},
        {"ssldir": "/"},
        {"ssldir": "ssl"},
        {"ssldir": "/etc/puppetlabs/../.."},
        {"ssldir": "/etc/puppetlabs/puppet"},
        {"cadir": "/home"},
        {"certname": "../../x"},
        {"certname": "x\ny"},
        {"user": "root; reboot"},
        {"user": "-R"},
        {"masterport": "x"},
        {"masterport": 10**30},
        {"localcacert": "/etc/passwd"},
        {"confdir": 5},
        {"dns_alt_names": [5]},
        {"noop": None},
        {"unknown": "x"},
    ],
    ids=str,
)
def test_settings_that_no_backup_is_made_with_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(RecertError):
        stored_settings({**asdict(settings()), **change}, PE_3_7)
    if "unknown" not in change:
        with pytest.raises(RecertError):
            stored_settings(
                {k: v for k, v in asdict(settings()).items() if k not in change}, PE_3_7
            )


def test_settings_of_linux_are_none_of_windows() -> None:
    with pytest.raises(RecertError):
        stored_settings(asdict(settings()), PE_3_7, rules=WINDOWS)


# The archive


def member(name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o640, link: str = "") -> Any:
    found = tarfile.TarInfo(name)
    found.type, found.mode, found.linkname, found.mtime = kind, mode, link, 1448272000
    return found


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A directory that a backup holds."""
    directory = tmp_path / "etc" / "ssl"
    directory.mkdir(parents=True)
    (directory / "ca.pem").write_text("kept")
    return directory


def restored(live: Path, *members: Any, top: str = "") -> subprocess.CompletedProcess[str]:
    """The restoration of an archive with these, after what it rightly holds. `top`: what the
    archive calls the directory."""
    top = top or str(live)[1:]
    archive = live.parents[1] / "archive.tar"
    with tarfile.open(archive, "w") as written:
        written.addfile(member(top, tarfile.DIRTYPE, 0o771))
        written.addfile(member(f"{top}/new.pem"), io.BytesIO())
        for one in members:
            written.addfile(one, io.BytesIO())
    digest = subprocess.run(
        ["sha256sum", str(archive)], capture_output=True, text=True, check=True
    ).stdout.split()[0]
    script = 'fail() { echo "$*" >&2; exit 1; }\n' + PIPELINES + _UNPACK
    return subprocess.run(
        ["sh", "-c", script, "sh", str(archive), digest, str(live)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )


Make = Callable[[str], Any]
ODD: dict[str, Make] = {
    "elsewhere": lambda top: member(f"{top.rpartition('/etc/')[0]}/elsewhere"),
    "beside": lambda top: member(f"{top}x/evil"),
    "above": lambda top: member(f"{top}/../evil"),
    "absolute": lambda top: member(f"/{top}/../../../evil"),
    "within, with dots": lambda top: member(f"{top}/a/../b"),
    "link out": lambda top: member(f"{top}/x", tarfile.SYMTYPE, link="/etc/cron.d"),
    "link up": lambda top: member(f"{top}/x", tarfile.SYMTYPE, link="../../../../etc"),
    "hard link": lambda top: member(f"{top}/x", tarfile.LNKTYPE, link=f"{top}x/secret"),
    "device": lambda top: member(f"{top}/x", tarfile.BLKTYPE),
    "pipe": lambda top: member(f"{top}/x", tarfile.FIFOTYPE),
    "setuid": lambda top: member(f"{top}/x", mode=0o4755),
    "setgid": lambda top: member(f"{top}/x", mode=0o2755),
}


def outside(top: str) -> str:
    return f"{top.rpartition('/etc/')[0]}/elsewhere"


# What tar's list has before the first separator, and up to the second, is within.
ODD |= {
    "hard link of two": lambda top: member(
        f"{top}/a link to {top}/q", tarfile.LNKTYPE, link=outside(top)
    ),
    "hard link with a blank in common": lambda top: member(
        f"{top}/a link to", tarfile.LNKTYPE, link=f"link to {outside(top)}"
    ),
    "link of two": lambda top: member(
        f"{top}/a -> {top}/q", tarfile.SYMTYPE, link=f"x/{outside(top)}"
    ),
    "link with a blank in common": lambda top: member(f"{top}/x ->", tarfile.SYMTYPE, link="y"),
    "link of either kind": lambda top: member(f"{top}/x link to", tarfile.SYMTYPE, link="y"),
    "hard link of either kind": lambda top: member(
        f"{top}/x -> y", tarfile.LNKTYPE, link=f"{top}/new.pem"
    ),
    "file with a link's name": lambda top: member(f"{top}/x -> y"),
    "directory with a link's name": lambda top: member(f"{top}/x link to y", tarfile.DIRTYPE),
}
RIGHT: dict[str, Make] = {
    "file": lambda top: member(f"{top}/certs/a b.pem"),
    "link": lambda top: member(f"{top}/x", tarfile.SYMTYPE, link="new.pem"),
    "link up": lambda top: member(f"{top}/certs/x", tarfile.SYMTYPE, link="../new.pem"),
    "hard link": lambda top: member(f"{top}/x", tarfile.LNKTYPE, link=f"{top}/new.pem"),
    "setgid directory": lambda top: member(f"{top}/d", tarfile.DIRTYPE, 0o2771),
    "no separator": lambda top: member(f"{top}/x->y link to"),
    "odd name": lambda top: member(f"{top}/ä\n'$(id)"),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_archive_with_what_no_backup_holds_replaces_nothing(kind: str, live: Path) -> None:
    done = restored(live, ODD[kind](str(live)[1:]))
    assert done.returncode == 1
    assert "nothing was replaced" in done.stderr
    assert (live / "ca.pem").read_text() == "kept"
    assert [path.name for path in live.iterdir()] == ["ca.pem"]


@pytest.mark.parametrize("kind", RIGHT)
def test_an_archive_with_what_a_backup_holds_is_put_back(kind: str, live: Path) -> None:
    done = restored(live, RIGHT[kind](str(live)[1:]))
    assert done.returncode == 0, done.stderr
    assert (live / "new.pem").exists() and not (live / "ca.pem").exists()


def test_a_directory_behind_a_link_that_is_gone_is_put_back(live: Path) -> None:
    (live.parents[1] / "link").symlink_to(live.parent)
    real = str(live)[1:]
    behind = live.parents[1] / "link" / live.name
    (live / "ca.pem").unlink()
    live.rmdir()
    done = restored(behind, top=real)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in live.iterdir()] == ["new.pem"]


def test_flags_of_what_no_backup_holds_are_not_set(live: Path) -> None:
    elsewhere = live.parents[1] / "elsewhere"
    flags = live.parents[1] / "flags"
    for path in (elsewhere, f"{live}/../../elsewhere"):
        flags.write_text(f"------d------- {live}/new.pem\n------d------- {path}\n")
        done = restored(live)
        assert done.returncode == 1
        assert "nothing was replaced" in done.stderr and "elsewhere" in done.stderr
        assert (live / "ca.pem").read_text() == "kept"


def test_what_a_backup_says_to_keep_is_no_other_option(live: Path) -> None:
    made = live.parents[1] / "made"
    (live.parents[1] / "kept").write_text(
        f"--acls --checkpoint=1 --checkpoint-action=exec=touch${{IFS}}{made} --to-command=false\n"
    )
    done = restored(live)
    assert done.returncode == 0, done.stderr
    assert not made.exists()
    assert [path.name for path in live.iterdir()] == ["new.pem"]


def test_what_is_hidden_goes_as_well(live: Path) -> None:
    (live / ".hidden").mkdir()
    (live / ".hidden" / "old").write_text("")
    done = restored(live)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in live.iterdir()] == ["new.pem"]


def test_the_judgement_over_members_has_no_quote() -> None:
    assert "'" not in WITHIN + MEMBERS


def link(name: str, target: str) -> Any:
    return member(name, tarfile.SYMTYPE, link=target)


# What leads out though the words of its path do not: a link that is passed on the way leads up.
BY_LINKS: dict[str, Callable[[str], list[Any]]] = {
    "link by a link": lambda top: [
        *(member(f"{top}/{name}", tarfile.DIRTYPE, 0o771) for name in ("a", "a/b", "a/b/c")),
        link(f"{top}/a/b/c/up", "../../.."),
        link(f"{top}/x", "a/b/c/up/../../elsewhere"),
    ],
    "link below a link": lambda top: [link(f"{top}/here", "."), link(f"{top}/here/x", "../x")],
    "file below a link": lambda top: [link(f"{top}/here", "."), member(f"{top}/here/x")],
    "hard link by a link": lambda top: [
        *(member(f"{top}/{name}", tarfile.DIRTYPE, 0o771) for name in ("a", "a/b", "a/b/c")),
        link(f"{top}/a/b/c/up", "../../.."),
        member(f"{top}/x", tarfile.LNKTYPE, link=f"{top}/a/b/c/up/../../elsewhere"),
    ],
}


@pytest.mark.parametrize("kind", BY_LINKS)
def test_nor_is_what_leads_out_by_another_link(kind: str, live: Path) -> None:
    (live.parents[1] / "elsewhere").write_text("secret")
    done = restored(live, *BY_LINKS[kind](str(live)[1:]))
    assert done.returncode == 1
    assert "nothing was replaced" in done.stderr
    assert (live / "ca.pem").read_text() == "kept"


def test_links_to_where_they_are_and_above_are_put_back(live: Path) -> None:
    top = str(live)[1:]
    links = {"certs/up": "..", "certs/here": ".", "whole": str(live), "certs/x": "../certs/y/z"}
    done = restored(live, *(link(f"{top}/{name}", target) for name, target in links.items()))
    assert done.returncode == 0, done.stderr
    assert {name: str((live / name).readlink()) for name in links} == links


def test_flags_are_set_of_the_very_path_that_was_looked_at(live: Path) -> None:
    other = live.parents[1] / "other " / str(live)[1:]
    other.mkdir(parents=True)
    flags = live.parents[1] / "flags"
    for blank in ("\t", " \t", "\t "):
        flags.write_text(f"------d-------{blank}{live.parents[1]}/other {live}/ca.pem\n")
        done = restored(live)
        assert done.returncode == 1
        assert "nothing was replaced" in done.stderr
