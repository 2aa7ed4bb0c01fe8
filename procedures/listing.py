"""The backups that there are: the run is over when every host that was reached has told its own."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from pyinfra.api import Host
from rich.table import Table

from facts.backups import Backups, BackupStore
from procedures.agents import agent_kept
from procedures.host import ask
from procedures.options import options_of
from procedures.outcomes import outcomes_of
from procedures.preflight import backup_root_of, require_root, send_at_once
from procedures.renewal import left_out
from procedures.site import Site
from procedures.survey import takes_part
from procedures.tables import console
from procedures.telling import reason_of, say
from recert.errors import RecertError

_told: WeakKeyDictionary[Site, set[str]] = WeakKeyDictionary()
_expected: WeakKeyDictionary[Site, frozenset[str]] = WeakKeyDictionary()


def names_no_backup(site: Site) -> bool:
    """Whether all that is wanted is the list."""
    try:
        return options_of(site.master).backup is None
    except RecertError:
        return False  # who would restore it refuses it


def list_backups(site: Site, host: Host) -> None:
    """List a host's backups.

    :raises SystemExit: it was the last of them. The status is 1 if one could not be asked.
    """
    host = host.inventory.get_host(host.name)
    expected = _expected.setdefault(site, _reached(site))
    if host.name not in expected:
        return
    try:
        show_backups(host, *_kept(site, host), names_are_taken=host.name == site.master.name)
    except Exception as error:
        left_out(host, outcomes_of(site), reason_of(error).splitlines())
    told = _told.setdefault(site, set())
    told.add(host.name)
    if told >= expected:
        raise SystemExit(1 if site.state.failed_hosts else 0)


def _reached(site: Site) -> frozenset[str]:
    return frozenset(host.name for host in site.state.activated_hosts if takes_part(site, host))


def _kept(site: Site, host: Host) -> tuple[str, BackupStore]:
    if host.name != site.master.name:
        return agent_kept(host, site)
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
        say(host, "To restore one: deploys/restore.py --data backup=<name>")
