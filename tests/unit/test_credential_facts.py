"""The search for certificates and keys, run by the shells that hosts have."""

from __future__ import annotations

import base64
import gzip
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from facts.credential_files import CredentialFiles, KeystoreCertificates
from facts.script import payload, read_records
from facts.signing import CaInventory
from recert.certificates import read_certificate
from recert.observed import FoundCredentials
from tests.unit.issuing_ca import NEW, OLD, key_digest, key_pem, public_pem
from tests.unit.shell import ME, Sh

needs_keytool = pytest.mark.skipif(
    shutil.which("keytool") is None, reason="Java's keytool is not installed here"
)


class Directory:
    """A directory of a host, to be searched."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.capass = path / "ca.pass"

    def write(self, name: str, content: str | bytes) -> str:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def search(self, sh: Sh, *roots: Path, backups: list[Path] | None = None) -> FoundCredentials:
        return sh.ask(
            CredentialFiles,
            roots=[str(root) for root in roots or (self.path,)],
            capass=str(self.capass),
            backups=[str(backup) for backup in backups or []],
        )


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    found = Directory(tmp_path / "an 'odd' dir")
    found.path.mkdir()
    return found


def test_an_empty_directory_and_none_at_all(sh: Sh, directory: Directory) -> None:
    assert directory.search(sh) == FoundCredentials()
    assert directory.search(sh, directory.path / "none") == FoundCredentials()


def test_certificates_are_read_with_owner_and_mode(sh: Sh, directory: Directory) -> None:
    pem = NEW.issue("web", 9)
    path = directory.write("a b/web ü.pem", pem)
    Path(path).chmod(0o604)
    found = directory.search(sh)
    assert found.certificates == {path: pem}
    assert (found.files[path].mode, found.files[path].owner) == (0o604, ME)
    assert found.pems == {path}


def test_only_what_is_called_like_a_credential_is_read(sh: Sh, directory: Directory) -> None:
    pem = NEW.issue("web", 9)
    ends = ("pem", "crt", "cert", "cer", "key", "pk8")
    wanted = {directory.write(f"x.{end}", pem) for end in ends}
    directory.write("x.txt", pem)
    directory.write("big.pem", b"0" * 3_000_000)
    assert set(directory.search(sh).certificates) == wanted


def test_what_holds_nothing_in_pem_is_only_listed(sh: Sh, directory: Directory) -> None:
    empty, garbage = directory.write("a.pem", ""), directory.write("b.pem", b"\0\xff" * 50)
    public = directory.write("c.pem", public_pem("web"))
    found = directory.search(sh)
    assert set(found.files) == {empty, garbage, public}
    assert found.pems == {public}
    assert found.public_keys == {public: key_digest("web")}
    assert found.certificates == {}


def test_of_private_keys_only_the_public_halves_come(sh: Sh, directory: Directory) -> None:
    secret = key_pem("web")
    plain = directory.write("web.key", secret)
    both = directory.write("both.pem", secret + NEW.issue("web", 9))
    broken = directory.write("broken.pem", secret[:300])
    output = sh.output(CredentialFiles, roots=[str(directory.path)], capass="/nowhere")
    found = directory.search(sh)
    assert found.keys == {plain: key_digest("web"), both: key_digest("web"), broken: None}
    cert = read_certificate(found.certificates[both])
    assert cert is not None and cert.subject == "web"
    assert "PRIVATE" not in found.certificates[both]
    answer = payload(output).decode()
    assert public_pem("web").splitlines()[2] in answer
    assert secret.splitlines()[3] not in answer
    (archive,) = [record[1] for record in read_records(output) if record[0] == "archive"]
    assert gzip.decompress(base64.b64decode(archive)).strip(b"\0") == b"", "only of other files"


def test_the_ca_key_is_read_with_its_password(sh: Sh, directory: Directory) -> None:
    directory.capass.write_text("secret")
    path = directory.write("ca_key.pem", key_pem("ca", b"secret"))
    assert directory.search(sh).keys == {path: key_digest("ca")}
    directory.capass.write_text("wrong")
    assert directory.search(sh).keys == {path: None}


def test_directories_may_lie_in_each_other_and_be_links(sh: Sh, directory: Directory) -> None:
    inner = directory.write("ssl/certs/web.pem", NEW.issue("web", 9))
    key = directory.write("ssl/web.key", key_pem("web"))
    link = directory.path.parent / "link"
    link.symlink_to(directory.path / "ssl")
    found = directory.search(sh, directory.path, directory.path / "ssl", link)
    assert set(found.certificates) == {inner, str(link / "certs/web.pem")}
    assert set(found.keys) == {key, str(link / "web.key")}


def test_keys_are_looked_up_among_what_backups_hold(sh: Sh, directory: Directory) -> None:
    old, new = directory.write("old.key", key_pem("old")), directory.write("n.key", key_pem("new"))
    backup = directory.path.parent / "backup"
    backup.mkdir()
    digest = hashlib.sha256(key_pem("old").encode()).hexdigest()
    (backup / "SHA256SUMS").write_text(f"{digest}  /etc/puppetlabs/puppet/ssl/private_keys/x.pem\n")
    found = directory.search(sh, backups=[backup, directory.path.parent / "gone"])
    assert found.saved == {old}
    assert set(found.keys) == {old, new}
    assert directory.search(sh).saved == frozenset()


def test_hundreds_of_certificates_come_whole(sh: Sh, directory: Directory) -> None:
    pem = NEW.issue("web", 9)
    paths = {directory.write(f"signed/agent{n:03}.example.com.pem", pem) for n in range(300)}
    assert set(directory.search(sh).certificates) == paths


# Keystores


@needs_keytool
def test_a_keystore_is_listed_without_its_password(sh: Sh, directory: Directory) -> None:
    old, new = directory.write("old.pem", OLD.pem), directory.write("new.pem", NEW.pem)
    store = directory.path / "broker.ts"
    for alias, path in (("old", old), ("new", new)):
        subprocess.run(
            [
                *("keytool", "-importcert", "-noprompt", "-alias", alias, "-file", path),
                *("-keystore", str(store), "-storetype", "JKS", "-storepass", "puppet"),
            ],
            check=True,
            capture_output=True,
        )
    garbage = directory.write("garbage.ks", "no keystore")
    found = sh.ask(KeystoreCertificates, paths=[str(store), garbage])
    certs = {cert for pem in found.certificates[str(store)] if (cert := read_certificate(pem))}
    assert found.readable
    assert {cert.fingerprint for cert in certs} == {
        OLD.certificate.fingerprint,
        NEW.certificate.fingerprint,
    }
    assert found.certificates[garbage] == []


@needs_keytool
@pytest.mark.parametrize(
    ("name", "kind", "password"),
    [("broker.ts", "trust", "it's a $ecret `x`"), ("broker.ks", "key", "puppet")],
)
def test_a_newer_keystore_is_listed_with_the_password_that_activemq_has(
    sh: Sh, directory: Directory, name: str, kind: str, password: str
) -> None:
    cert, store = directory.write("new.pem", NEW.pem), directory.path / name
    subprocess.run(
        [
            *("keytool", "-importcert", "-noprompt", "-alias", "new", "-file", cert),
            *("-keystore", str(store), "-storetype", "PKCS12", "-storepass", password),
        ],
        check=True,
        capture_output=True,
    )
    arguments = {"paths": [str(store)]}
    assert sh.ask(KeystoreCertificates, **arguments).certificates == {str(store): []}
    other = "trust" if kind == "key" else "key"
    directory.write(
        "activemq.xml",
        f'<sslContext {other}StorePassword="another"\n  {kind}StorePassword="{password}"/>',
    )
    (pem,) = sh.ask(KeystoreCertificates, **arguments).certificates[str(store)]
    found = read_certificate(pem)
    assert found is not None and found.fingerprint == NEW.certificate.fingerprint
    assert password not in payload(sh.output(KeystoreCertificates, **arguments)).decode()


def test_without_keytool_keystores_are_only_named(sh: Sh, directory: Directory) -> None:
    sh.provide("keytool", "exit 1")
    (sh.directory / "keytool").chmod(0o644)
    path = directory.write("broker.ks", "whatever")
    found = sh.ask(KeystoreCertificates, paths=[path])
    assert found.certificates == {path: []}
    assert found.readable is (shutil.which("keytool") is not None)


# The CA's own list


def test_the_inventory_of_the_ca(sh: Sh, tmp_path: Path) -> None:
    path = tmp_path / "inventory.txt"
    path.write_text(
        "# Inventory of signed certificates\n"
        "# SERIAL NOT_BEFORE NOT_AFTER SUBJECT\n"
        "0x0001 2015-11-22T10:00:00GMT 2020-11-21T10:00:00GMT /CN=Puppet CA: puppet.example.com\n"
        "0x001f 2015-11-22T10:00:00GMT 2020-11-21T10:00:00GMT /CN=web01.example.com\n"
        "half a line"
    )
    found = sh.ask(CaInventory, path=str(path))
    assert found == {(1, "Puppet CA: puppet.example.com"), (31, "web01.example.com")}
    assert sh.ask(CaInventory, path=str(tmp_path / "none")) == frozenset()
