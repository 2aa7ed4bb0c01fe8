"""Going back: what is known of a master that is to be as a backup of it was."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from pyinfra.api import Host
from rich.console import Console
from rich.table import Table

from facts.backups import Backups, BackupStore
from procedures.host import ask
from procedures.master import MasterFacts
from procedures.preflight import backup_root_of, refuse, require_root, send_at_once
from procedures.procedure import Procedure, procedure_of
from procedures.telling import say, warn
from recert.backups import Backup, check_backup_name, check_paths
from recert.errors import RecertError
from recert.settings import stored_settings


@dataclass
class Restoration(Procedure):
    """A master that is going back to a backup."""

    facts: MasterFacts
    name: str

    @property
    def backup(self) -> Backup:
        return next(b for b in self.facts.backups.backups if b.name == self.name)

    @property
    def work_due(self) -> bool:
        return self.backup.differs or self.serves_old_certificate


def restoration_of(host: Host) -> Restoration:
    """The same, where it is a restoration."""
    procedure = procedure_of(host)
    assert isinstance(procedure, Restoration)
    return procedure


def prepare_restoration(host: Host) -> Restoration:
    """The backup that the data `backup` names.

    Nothing of the live Puppet is asked: its puppet.conf may be what has to be restored.

    :raises SystemExit: with status 0, after a list of the backups, where none is named.
    :raises DeployError: there is no such backup, or it is damaged.
    """
    send_at_once(host)
    require_root(host)
    root = backup_root_of(host)
    store = ask(host, Backups, root=root, paths=[])
    wanted = host.data.get("backup")
    if wanted is None:
        list_backups(host, root, store)
        raise SystemExit(0)
    try:
        name = check_backup_name(wanted)
        found = {backup.name: backup for backup in store.backups}.get(name)
        if found is None:
            names = ", ".join(b.name for b in store.backups) or "none"
            raise RecertError(f"There is no backup {name} in {root}; there are: {names}")
        if not found.valid:
            raise RecertError(
                f"The backup {name} is damaged: its archive has not the digest of its manifest. "
                "Restore another one."
            )
        facts = MasterFacts(host, stored_settings(found.manifest.settings), root)
        check_paths(found.manifest, facts.backup_paths)
    except RecertError as error:
        refuse(host, [str(error)])
    restoration = Restoration(facts, name)
    fingerprint = found.manifest.ca_fingerprint or "no CA that could be read"
    say(host, f"Backup {name} of {found.manifest.made_at}: {fingerprint}")
    if restoration.backup.differs:
        warn(host, "A CA that was retired for security reasons is compromised: whoever has its key")
        warn(
            host, "can impersonate any node. Restore it to get going, then get help and retire it."
        )
    return restoration


def list_backups(host: Host, root: str, store: BackupStore) -> None:
    """The backups on the host as a table."""
    if not store.backups:
        say(host, f"No backups in {root}")
        return
    table = Table(title=f"Backups on {host.name} in {root}", title_justify="left")
    for column in ("backup", "made (UTC)", "CA", "certificates", "state"):
        table.add_column(column, overflow="fold", no_wrap=column == "backup")
    for backup in store.backups:
        manifest = backup.manifest
        table.add_row(
            backup.name,
            manifest.made_at[:19].replace("T", " "),
            manifest.ca_fingerprint or "none",
            str(len(manifest.signed)),
            "good" if backup.valid else "damaged",
        )
    terminal = sys.stderr.isatty()
    Console(stderr=True, width=None if terminal else 200).print(table)
    say(host, "To restore one: deploys/restore.py --data backup=<name>")
