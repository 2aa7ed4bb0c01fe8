"""The backups that there are: the run is over when every host that was reached has told its own."""

from __future__ import annotations

from pyinfra.api import Host
from rich.table import Table

from facts.backups import Backups, BackupStore
from procedures.host import ask
from procedures.outcomes import Outcomes
from procedures.platforms import platform_of
from procedures.preflight import backup_root_of, require_root, send_at_once
from procedures.renewal import left_out
from procedures.run import Run
from procedures.tables import console
from procedures.telling import command_line, reason_of, say
from recert.errors import RecertError


class _Listed:
    """The hosts whose backups are listed, and those of which they have been."""

    def __init__(self, run: Run) -> None:
        self.expected = run.reached
        self.told: set[str] = set()


def names_no_backup(run: Run) -> bool:
    """Whether all that is wanted is the list."""
    try:
        return run.options.backup is None
    except RecertError:
        return False  # who would restore it refuses it


def list_backups(run: Run, host: Host) -> None:
    """List a host's backups.

    :raises SystemExit: it was the last of them. The status is 1 if one could not be asked.
    """
    host = host.inventory.get_host(host.name)
    listed = run.part(_Listed)
    if host.name not in listed.expected:
        return
    try:
        show_backups(host, *_kept(run, host), names_are_taken=host.name == run.master.name)
    except Exception as error:
        left_out(host, run.part(Outcomes), reason_of(error).splitlines())
    listed.told.add(host.name)
    if listed.told >= listed.expected:
        raise SystemExit(1 if run.state.failed_hosts else 0)


def _kept(run: Run, host: Host) -> tuple[str, BackupStore]:
    if host.name != run.master.name:
        return platform_of(host).kept(host)
    send_at_once(host)
    require_root(host)
    root = backup_root_of(host)
    return root, ask(host, Backups, root=root, paths=[])


def show_backups(host: Host, root: str, store: BackupStore, names_are_taken: bool) -> None:
    """The backups as a table.

    :param names_are_taken: whether `backup=` takes one of these: agents go back with their master.
    """
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
    console(width=200).print(table)
    if names_are_taken:
        say(host, f"To restore one: {command_line()} --data backup=<name>")
