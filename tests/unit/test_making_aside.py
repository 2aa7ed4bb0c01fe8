"""A CA is made aside where Puppet's account may have the directory above: it can put its own in the
place of root's, while Puppet works."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from operations.authority import ca_commands
from operations.authority.commands import CredentialsWanted
from operations.step import changing
from recert.aside import Aside
from recert.deployments.authority import PUPPET_CERT
from tests.unit.issuing_ca import SSLDIR, printed_settings, settings
from tests.unit.shell import Sh

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="another account is needed")


@pytest.fixture
def place() -> Iterator[Path]:
    """The account's, as /var/lib/puppet is on Debian."""
    with TemporaryDirectory() as made:
        Path(made).chmod(0o711)
        directory = Path(made, "puppet")
        directory.mkdir()
        os.chown(directory, NOBODY, NOBODY)
        yield directory


@pytest.fixture
def roots(place: Path) -> Path:
    """A file of root's, beside it."""
    directory = place.parent / "root"
    directory.mkdir(mode=0o700)
    (directory / "passwd").write_text("root")
    return directory


def make_aside(sh: Sh, place: Path, does: str) -> subprocess.CompletedProcess[bytes]:
    """:param does: the account, while Puppet makes the CA."""
    sh.provide("puppet", does)
    printed = {
        name: value.replace(SSLDIR, f"{place}/ssl") for name, value in printed_settings().items()
    }
    where = Aside(replace(settings(**printed), user=str(NOBODY), group=str(NOBODY)))
    wanted = [CredentialsWanted(["web01"], "")]
    typed = ca_commands(PUPPET_CERT).make_aside(where, wanted, "AB:CD")
    command = changing("/dev/null/lock", typed.script, *typed.arguments)
    return sh.run(command.get_raw_value())


def test_root_alone_can_get_at_it_afterwards(sh: Sh, place: Path) -> None:
    done = make_aside(sh, place, "exit 0")
    assert done.returncode == 0, done.stderr
    top = place / "ssl.pe-recert"
    found = {p.name: (p.stat().st_uid, p.stat().st_mode & 0o777) for p in (top, *top.iterdir())}
    assert found == {top.name: (0, 0o711), "new": (0, 0o700), "retires": (0, 0o600)}
    assert (top / "retires").read_text() == "AB:CD\n"
    assert {path.stat().st_uid for path in (top / "new").rglob("*")} == {NOBODY}


@pytest.mark.parametrize("name", ["new", "retires"])
def test_what_is_put_in_its_place_leads_nowhere(
    sh: Sh, place: Path, roots: Path, name: str
) -> None:
    os.chown(roots / "passwd", NOBODY if name == "new" else 0, 0)
    before = (roots / "passwd").stat()
    swap = (
        f"cd '{place}' || exit\n"
        "[ -d moved ] || { mv ssl.pe-recert moved; mkdir -p ssl.pe-recert/new/ssldir/private_keys; "
        f"rm -rf ssl.pe-recert/{name}; ln -s '{roots}/passwd' ssl.pe-recert/{name}; "
        "}\n"
        f"chown -hR {NOBODY}:{NOBODY} ssl.pe-recert"
    )
    done = make_aside(sh, place, swap)
    after = (roots / "passwd").stat()
    assert (roots / "passwd").read_text() == "root"
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert done.returncode != 0
    assert b"was replaced while Puppet worked in it" in done.stderr
