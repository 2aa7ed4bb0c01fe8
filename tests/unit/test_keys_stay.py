"""No private key leaves its host, in whichever file it lies and whichever fact reads that."""

from __future__ import annotations

import base64
import gzip
import re
import subprocess
import zlib
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import FactBase

from facts.agent import AgentFiles
from facts.attributes import CsrAttributes
from facts.backups import ArchivedCertificates
from facts.configuration import BothConfigurations
from facts.credential_files import CredentialFiles
from facts.puppet import PuppetAgent
from facts.script import ScriptFailedError, payload
from facts.signing import AutosignSetting, CaInventory
from facts.ssl import ComponentDirectory, PemFiles, SslDirectories
from facts.windows.ruby import ruby_script
from tests.unit.issuing_ca import NEW, key_pem
from tests.unit.shell import ME, Sh

GZIP = b"\x1f\x8b"
KEY = key_pem("secret")
CERT = NEW.issue("web01", 9)
TEXTS = {
    "key first": KEY + CERT,
    "key last": CERT + KEY,
    "in between": CERT + KEY + CERT,
    "of another kind": CERT + KEY.replace("RSA PRIVATE", "ENCRYPTED PRIVATE"),
    "with CR LF": (CERT + KEY).replace("\n", "\r\n"),
    "without an end": CERT + KEY.partition("-----END")[0],
    "with a NUL": CERT + "\0" + KEY,
    "behind a cut certificate": "".join(CERT.splitlines(True)[:2]) + KEY + CERT,
    "alone": KEY,
}


def file(tmp_path: Path, text: str, name: str = "web01.cert.pem") -> Path:
    place = tmp_path / "ssl"
    place.mkdir(exist_ok=True)
    (place / name).write_bytes(text.encode())
    return place / name


def questions(path: Path) -> dict[str, tuple[type[FactBase[Any]], dict[str, Any]]]:
    directory = str(path.parent)
    newer = path.parent.parent / "newer.pem"
    newer.write_text("")
    ssl = {
        "lock": "/dev/null/lock",
        "roots": [directory],
        "texts": [str(path)],
        "keys": [],
        "capass": "/dev/null/pass",
        "certificate_dirs": [directory],
        "cacert": str(newer),
    }
    traces = ("summary", "catalog", "disabled", "lockfile")
    agent = dict.fromkeys(traces, "/dev/null/none")
    archive = path.parent.parent / "archive.tar"
    subprocess.run(["tar", "-C", "/", "-cf", str(archive), directory[1:]], check=True)
    return {
        "SslDirectories": (SslDirectories, ssl),
        "AgentFiles": (AgentFiles, {"ssl": ssl, "agent": agent}),
        "ComponentDirectory": (
            ComponentDirectory,
            {"directory": directory, "account": ME, "copies": [(str(path), "/dev/null/x")]},
        ),
        "PemFiles": (PemFiles, {"directory": directory}),
        "ArchivedCertificates": (
            ArchivedCertificates,
            {"archive": str(archive), "directory": directory[1:]},
        ),
        "BothConfigurations": (BothConfigurations, {"archive": str(archive), "path": str(path)}),
        "CaInventory": (CaInventory, {"path": str(path)}),
        "CredentialFiles": (CredentialFiles, {"roots": [directory], "capass": "/dev/null/pass"}),
        "PuppetAgent": (PuppetAgent, dict.fromkeys(traces, str(path))),
        "AutosignSetting": (AutosignSetting, {"autosign": str(path)}),
    }


def unpacked(raw: bytes) -> bytes:
    """An answer, and whatever is packed in it."""
    found = gzip.decompress(raw) if raw.startswith(GZIP) else raw
    for field in raw.split(b"\0"):
        if re.fullmatch(rb"[A-Za-z0-9+/=\s]{16,}", field):
            inner = base64.b64decode(field)
            found += gzip.decompress(inner) if inner.startswith(GZIP) else b""
    return found


@pytest.mark.parametrize("kind", TEXTS)
@pytest.mark.parametrize(
    "fact",
    [
        *("SslDirectories", "AgentFiles", "ComponentDirectory", "PemFiles"),
        *("ArchivedCertificates", "CaInventory", "CredentialFiles"),
        *("BothConfigurations", "PuppetAgent", "AutosignSetting"),
    ],
)
def test_no_line_of_a_key_is_in_an_answer(sh: Sh, tmp_path: Path, fact: str, kind: str) -> None:
    asked, arguments = questions(file(tmp_path, TEXTS[kind]))[fact]
    answer = unpacked(payload(sh.output(asked, **arguments)))
    secret = [line.encode() for line in KEY.splitlines() if "-----" not in line]
    assert not [line for line in secret if line in answer]
    public = CERT.splitlines()[3].encode()
    other = ("CaInventory", "PemFiles", "PuppetAgent", "AutosignSetting")
    if kind not in ("alone", "key first") and fact not in other:
        assert public in answer


def test_files_without_a_key_come_beside_one_with(sh: Sh, tmp_path: Path) -> None:
    file(tmp_path, CERT, "plain.pem")
    path = file(tmp_path, CERT + KEY, "odd one.pem")
    held = {"plain": CERT, "odd one": CERT}
    assert sh.ask(PemFiles, directory=str(path.parent)) == held
    names = ["plain", "odd one", "missing"]
    assert sh.ask(PemFiles, directory=str(path.parent), names=names) == held


@pytest.mark.parametrize("names", [None, ["web01"]])
def test_no_key_comes_that_is_put_there_after_the_look(
    sh: Sh, tmp_path: Path, names: list[str] | None
) -> None:
    """Whoever can write there is quick: as soon as it was looked whether there is a key in it, a
    file is a link to one."""
    path = file(tmp_path, CERT, "web01.pem")
    secret = tmp_path / "secret"
    secret.write_text(KEY)
    real = subprocess.check_output(["which", "grep"], text=True).strip()
    sh.provide("grep", f'{real} "$@"; status=$?; ln -sf {secret} {path}; exit $status')
    answer = unpacked(payload(sh.output(PemFiles, directory=str(path.parent), names=names)))
    assert not [line for line in KEY.splitlines()[1:-1] if line.encode() in answer]
    assert CERT.splitlines()[3].encode() in answer


def test_nor_one_from_a_directory_that_is_led_elsewhere(sh: Sh, tmp_path: Path) -> None:
    path = file(tmp_path, CERT, "host_key.pem")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / path.name).write_text(KEY)
    real = subprocess.check_output(["which", "grep"], text=True).strip()
    swap = f"mv {path.parent} {tmp_path}/away && ln -s {elsewhere} {path.parent}"
    sh.provide(
        "grep",
        f"""
        case " $* " in (*LZ*) ;; (*) exec {real} "$@" ;; esac
        {real} "$@" >{tmp_path}/said; status=$?
        {swap}; cat {tmp_path}/said; exit "$status"
        """,
    )
    command = CredentialFiles().command(roots=[str(path.parent)], capass="/dev/null/pass")
    output = sh.run(command.get_raw_value()).stdout.decode().splitlines()
    with pytest.raises(ScriptFailedError, match="have come into the place"):
        CredentialFiles().process(output)


@pytest.mark.parametrize("begin", ["extension_requests:\n", '{"extension_requests": "'])
def test_nor_one_among_what_a_request_asks_for(sh: Sh, tmp_path: Path, begin: str) -> None:
    in_one_line = KEY.replace("\n", "\\n") if begin.startswith("{") else KEY
    path = file(tmp_path, f"{begin}{in_one_line}", "csr_attributes.yaml")
    answer = payload(sh.output(CsrAttributes, path=str(path)))
    assert not [line for line in KEY.splitlines()[1:-1] if line.encode() in answer]


def test_why_puppet_is_disabled_is_told_by_no_file_of_somebody_elses(
    sh: Sh, tmp_path: Path
) -> None:
    """Puppet's account can put a link there; the reason is shown, and stands in reports."""
    (tmp_path / "shadow").write_text("root:$6$secret")
    lock = tmp_path / "agent_disabled.lock"
    lock.symlink_to("shadow")
    traces = dict.fromkeys(("summary", "catalog", "lockfile"), "/dev/null/none")
    assert sh.ask(PuppetAgent, disabled=str(lock), **traces).disabled == ""


def test_on_windows_the_script_takes_them_out() -> None:
    line = ruby_script("C:/ruby.exe", "").get_raw_value()
    (packed,) = re.findall(r"eval unpacked\('([^']*)'\)", line)
    assert "PRIVATE KEY-----" in zlib.decompress(base64.b64decode(packed)).decode()
