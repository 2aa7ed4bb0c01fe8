"""What would end a restoration half way is known before anything is stopped or deleted."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyinfra.api import Config, FactBase, Inventory, State

from facts.archives import ArchiveFit
from facts.backups import Backups, BackupStore
from facts.host import Basics, HostBasics
from facts.others import StrayCredentials
from facts.tar_names import as_it_is, as_printed, is_plain
from procedures.agent import AgentFacts
from procedures.host import HostFacts
from procedures.preflight import restoration_refusals
from recert.backups import Backup
from recert.deployments.pe_3_7 import PE_3_7
from recert.observed import ArchiveState
from recert.others import PRIVATE_KEY, Stray
from recert.preflight import archive_refusals
from tests.unit.issuing_ca import settings
from tests.unit.shell import Sh
from tests.unit.test_backups import MANIFEST

BACKUP = Backup("20151123T101500Z-ab12", MANIFEST, valid=True, uncovered=0, differs=True)
ARCHIVE = f"/b/{BACKUP.name}/archive.tar"
FITS = ArchiveState()


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """Two directories and a file, as a backup is of them."""
    for name in ("ssl", "puppetdb"):
        (tmp_path / "etc" / name).mkdir(parents=True)
        (tmp_path / "etc" / name / "a b.pem").write_text(name)
    (tmp_path / "etc" / "puppet.conf").write_text("[main]\n")
    return tmp_path / "etc"


def paths(live: Path) -> list[str]:
    return [f"{live}/{name}" for name in ("ssl", "puppetdb", "gone", "puppet.conf")]


def fit(sh: Sh, live: Path, mounts: list[str] | None = None) -> ArchiveState:
    archive = str(live.parent / "archive.tar")
    return sh.ask(ArchiveFit, archive=archive, paths=paths(live), mounts=mounts or [])


def back_up(live: Path) -> None:
    real = [str(Path(path).resolve())[1:] for path in paths(live) if Path(path).exists()]
    subprocess.run(["tar", "-C", "/", "-cpf", str(live.parent / "archive.tar"), *real], check=True)


def move(directory: Path) -> Path:
    """Behind a link."""
    there = directory.parents[1] / "srv" / directory.name
    there.parent.mkdir(exist_ok=True)
    directory.rename(there)
    directory.symlink_to(there)
    return there


def test_a_backup_fits_where_it_was_made(sh: Sh, live: Path) -> None:
    back_up(live)
    # What was not there is emptied, and nothing of it is put back.
    found = fit(sh, live)
    assert found == ArchiveState(missing={f"{live}/gone": f"{live}/gone"})
    assert archive_refusals(ARCHIVE, found) == []
    # Nor does it matter that something is gone since.
    (live / "puppet.conf").unlink()
    assert fit(sh, live) == found


@pytest.mark.parametrize("when", ["before", "since"])
def test_a_directory_that_was_moved_behind_a_link(sh: Sh, live: Path, when: str) -> None:
    """Before the backup it is as it was then; since then the archive has it elsewhere."""
    if when == "before":
        move(live / "puppetdb")
        back_up(live)
        assert archive_refusals(ARCHIVE, fit(sh, live)) == []
        return
    back_up(live)
    there = move(live / "puppetdb")
    found = fit(sh, live)
    assert found.missing[f"{live}/puppetdb"] == str(there)
    assert found.outside == (f"{live}/puppetdb",)
    (message,) = archive_refusals(ARCHIVE, found)
    assert f"The backup holds {live}/puppetdb, where nothing of it lies any more" in message
    assert f"{live}/puppetdb leads to {there}" in message
    assert "has to be moved back" in message


def test_a_directory_that_was_moved_back(sh: Sh, live: Path) -> None:
    there = move(live / "ssl")
    back_up(live)
    (live / "ssl").unlink()
    there.rename(live / "ssl")
    (message,) = archive_refusals(ARCHIVE, fit(sh, live))
    assert f"The backup holds {there}, where nothing" in message
    assert f"{live}/ssl leads to {live}/ssl" in message


def test_what_somebody_has_put_into_it(sh: Sh, live: Path) -> None:
    (live / "ssl" / "out").symlink_to("/etc/cron.d")
    back_up(live)
    (message,) = archive_refusals(ARCHIVE, fit(sh, live))
    assert message.startswith(f"The archive {ARCHIVE} holds what no backup does: l")
    assert "ssl/out -> /etc/cron.d" in message
    assert "Somebody has changed the backup" in message


def test_flags_of_what_no_backup_holds(sh: Sh, live: Path) -> None:
    back_up(live)
    (live.parent / "flags").write_text("----i---- /etc/passwd\n")
    (message,) = archive_refusals(ARCHIVE, fit(sh, live))
    assert "holds what no backup does: etc/passwd." in message


def test_a_mount_point_that_it_has_not_would_stay(sh: Sh, live: Path) -> None:
    """And the end would not be what the backup holds."""
    (live / "ssl" / "known").mkdir()
    back_up(live)
    mounts = [f"{live}/ssl/{name}" for name in ("known", "new", "in\\040the kernel's words")]
    found = fit(sh, live, mounts)
    assert found.mounts == (f"{live}/ssl/new",)
    (message,) = archive_refusals(ARCHIVE, found)
    assert message.startswith(f"{live}/ssl/new is a mount point that the backup does not have")


def test_what_somebody_else_has_put_there_since_would_be_lost(sh: Sh, live: Path) -> None:
    back_up(live)
    (live / "ssl" / "a new key").write_text("key")
    others = [f"{live}/ssl/a b.pem", f"{live}/ssl/a new key"]
    moved = move(live / "ssl")
    archive = str(live.parent / "archive.tar")
    found = sh.ask(ArchiveFit, archive=archive, paths=[str(moved)], mounts=[], others=others)
    assert found.lost == (f"{moved}/a b.pem", f"{moved}/a new key")  # as it lies elsewhere now
    moved.parent.joinpath("ssl").rename(live / "was")
    (live / "ssl").unlink()
    (live / "was").rename(live / "ssl")
    found = sh.ask(ArchiveFit, archive=archive, paths=paths(live), mounts=[], others=others)
    assert found.lost == (f"{live}/ssl/a new key",)
    (message,) = archive_refusals(ARCHIVE, found)
    assert message.startswith(f"{live}/ssl/a new key is a key or certificate of somebody else's")


ODD_NAMES = [
    "schl\u00fcssel.key",
    "latin-\udce9",
    "back\\slash",
    "back\\344slash",
    "new\nline",
    "new\\nline",
    "tab\tbell\a\x1b[2J\x7f",
    "\u202edirection",
    "odd d\u00efr/plain",
]


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("came", ["before", "since"])
def test_names_that_tar_prints_in_its_own_way_are_seen(
    sh: Sh, live: Path, name: str, came: str
) -> None:
    other = live / "ssl" / name
    other.parent.mkdir(exist_ok=True)
    if came == "since":
        back_up(live)
    other.write_text("key")
    if came == "before":
        back_up(live)
    archive = str(live.parent / "archive.tar")
    found = sh.ask(ArchiveFit, archive=archive, paths=paths(live), mounts=[], others=[str(other)])
    assert found.lost == ((str(other),) if came == "since" else ())
    for message in archive_refusals(ARCHIVE, found):
        assert message.startswith(f"{live}/ssl/")
        assert message.replace("\t", "").isprintable()
    assert as_it_is(as_printed(name)) == name
    assert is_plain(as_printed(name)) is ("\\" not in as_printed(name))


# On the way there


def refusals(**changes: Any) -> list[str]:
    basics = HostBasics(10**9, 0, "openssl", (), (), frozenset(), **changes)
    facts = SimpleNamespace(backup_root="/b", backups=BackupStore((), frozenset(), 1))
    return restoration_refusals(cast(HostFacts, facts), BACKUP, basics, FITS)


def test_who_is_led_astray_does_not_begin() -> None:
    assert refusals() == []
    (message,) = refusals(astray=("/etc/ssl is a link that is not root's.",))
    assert message.startswith("/etc/ssl is a link that is not root's. Give it to root (`chown -h`)")


class _Told(AgentFacts):
    """An agent that answers as it was told to."""

    def __init__(self, answers: dict[type[FactBase[Any]], Any]) -> None:
        (host,) = State(Inventory((["web01"], {})), Config()).inventory
        super().__init__(host, settings(), "/b", PE_3_7)
        self.answers = answers
        self.asked: dict[type[FactBase[Any]], dict[str, Any]] = {}

    def _ask(self, fact: type[FactBase[Any]], **arguments: Any) -> Any:
        self.asked[fact] = arguments
        return self.answers[fact]


def test_an_agent_is_asked_the_same() -> None:
    led = "/etc/puppetlabs/puppet/ssl is a link that is not root's."
    mounts = ("/srv/ssl/certs",)
    agent = _Told(
        {
            Basics: HostBasics(
                10**9, 0, "openssl", (), (), frozenset(), mounts=mounts, astray=(led,)
            ),
            Backups: BackupStore((), frozenset(), 0),
            ArchiveFit: ArchiveState(odd=("etc/cron.d/x",)),
            StrayCredentials: [Stray("/etc/puppetlabs/puppet/ssl/k", PRIVATE_KEY, keys=("ab",))],
        }
    )
    astray, odd = agent.refusals_to_go_back(BACKUP, [])
    assert astray.startswith(led)
    assert odd.startswith(f"The archive {ARCHIVE} holds what no backup does: etc/cron.d/x.")
    assert agent.asked[ArchiveFit] == {
        "archive": ARCHIVE,
        "paths": list(MANIFEST.paths),
        "mounts": list(mounts),
        "others": ["/etc/puppetlabs/puppet/ssl/k"],
    }
