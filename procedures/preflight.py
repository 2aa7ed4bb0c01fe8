"""What any procedure needs before its first change: one master, as root, with a Puppet that works.

Everything here only reads. A refusal ends the whole run with `DeployError`, because without
its master no other host can be helped.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable
from typing import NoReturn

from pyinfra.api import Host
from pyinfra.api.exceptions import DeployError

from facts.archives import ArchiveFit
from facts.host import HostBasics, WhoAndWhen
from facts.programs import UnablePrograms
from facts.puppet import PuppetSettings
from facts.together import Question
from procedures.deployment import deployment_of_master
from procedures.host import HostFacts, ask
from procedures.master import MasterFacts
from procedures.names import note_certname
from procedures.options import options_of
from recert import preflight
from recert.backups import Backup, Manifest, check_paths
from recert.deployments.recognition import generation_refusals
from recert.errors import RecertError
from recert.observed import ArchiveState
from recert.programs import program_refusals
from recert.settings import check_settings


def send_at_once(host: Host) -> None:
    """Take the wait out of every command over SSH.

    Paramiko leaves Nagle's algorithm on, which holds a command's last packet back until the
    host acknowledges the one before: some 40 ms, for dozens of commands in the outage.
    """
    get_transport = getattr(getattr(host.connector, "client", None), "get_transport", None)
    transport = get_transport() if get_transport is not None else None
    if transport is not None and isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A host that goes away without a word would otherwise be waited for without end.
        transport.set_keepalive(30)
        transport.channel_timeout = 60
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 120_000)


def require_root(host: Host) -> None:
    """:raises DeployError: commands do not run as root, or with programs that cannot do it."""
    if refusals := preflight.root_refusals(ask(host, WhoAndWhen).uid):
        refuse(host, refusals)
    unable = ask(host, UnablePrograms)
    if refusals := program_refusals(unable):
        refuse(host, refusals)


def backup_root_of(host: Host) -> str:
    """:raises DeployError: the data `backup_dir` is no path."""
    try:
        return options_of(host).backup_dir
    except RecertError as error:
        refuse(host, [str(error)])


def read_master(host: Host, as_agent_too: bool = True) -> MasterFacts:
    """The facts of a master that can be worked on at all: as root, with a Puppet that works.

    :param as_agent_too: whether what its own agent goes by is asked as well.
    :raises DeployError: it cannot.
    """
    send_at_once(host)
    backup_root = backup_root_of(host)
    sections = "master agent" if as_agent_too else "master"
    printed = ask(host, PuppetSettings, sections=sections)
    clock, now = printed.who.clock, time.time()
    unusable = preflight.root_refusals(printed.who.uid) or program_refusals(printed.unable)
    if unusable := unusable or preflight.puppet_refusals(printed.program, printed.complaints):
        refuse(host, unusable)
    refusals = preflight.clock_refusals(clock, now)
    deployment = deployment_of_master(host)
    if unusable := generation_refusals(printed.program or "", deployment):
        refuse(host, unusable)
    try:
        settings = check_settings(printed.agent or printed.master, printed.master, deployment)
    except RecertError as error:
        refuse(host, [str(error)])
    note_certname(host, settings.certname)
    if not settings.ca:
        refusals.append("puppet.conf says ca = false: this is no Puppet master with a CA.")
    facts = MasterFacts(host, settings, backup_root, deployment)
    facts.clock_ahead = clock - now
    refusals += preflight.backup_place_refusals(backup_root, facts.backup_paths)
    if refusals:
        refuse(host, refusals)
    return facts


def check_restorable(facts: HostFacts, manifest: Manifest) -> None:
    """
    :param facts: by the backup's own settings.
    :raises RecertError: the backup holds what is not this suite's to replace on that host, or lies
        in what would be.
    """
    named = options_of(facts.host).restored_paths
    check_paths(manifest, facts.backup_paths, facts.usual_places, named)
    if refusals := preflight.backup_place_refusals(facts.backup_root, facts.backup_paths):
        raise RecertError("\n".join(refusals))


def restoration_refusals(
    facts: HostFacts, backup: Backup, basics: HostBasics, fit: ArchiveState
) -> list[str]:
    """What on a host would end a restoration half way: no Puppet has to be asked for that.

    :param fit: how the backup's archive fits the host.
    """
    backup_root, unsaved = facts.backup_root, facts.backups.unsaved
    refusals = preflight.unchangeable_refusals(basics.unchangeable)
    refusals += preflight.astray_refusals(basics.astray)
    refusals += preflight.archive_refusals(archive_of(facts, backup), fit)
    refusals += preflight.around_refusals(backup_root, basics.around)
    refusals += preflight.beside_refusals(backup_root, facts.backups.beside)
    if unsaved:
        refusals += preflight.oversized_refusals(basics.oversized)
        refusals += preflight.room_refusals(basics.free, basics.needed, backup_root)
    return refusals


def fit_of(facts: HostFacts, backup: Backup, basics: HostBasics, others: Iterable[str]) -> Question:
    """The question how a backup's archive fits a host.

    :param others: what is somebody else's in the directories that become what they were.
    """
    return ArchiveFit, {
        "archive": archive_of(facts, backup),
        "paths": list(backup.manifest.paths),
        "mounts": list(basics.mounts),
        "others": list(others),
    }


def archive_of(facts: HostFacts, backup: Backup) -> str:
    """Where a backup's archive is."""
    return f"{facts.backup_root}/{backup.name}/archive.tar"


def refuse(host: Host, refusals: Iterable[str]) -> NoReturn:
    """:raises DeployError: always, with every refusal."""
    raise DeployError("\n".join([f"{host.name} is left as it is.", *refusals]))
