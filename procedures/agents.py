"""Agents of either kind: the same questions, each in the language of its host."""

from __future__ import annotations

from pyinfra.api import Host

from facts.backups import Backups, BackupStore
from facts.deployment import PuppetProgram
from facts.windows.backups import WindowsBackups
from procedures.agent import (
    AgentFacts,
    KnownAgent,
    ask_agent,
    look_at,
    posix_backup_root,
    require_root_on_agent,
    settings_of,
)
from procedures.deployment import deployment_of_agent
from procedures.names import note_certname
from procedures.run import Run
from procedures.windows import (
    WindowsAgentFacts,
    known_windows,
    look_at_windows,
    windows_backup_root,
    windows_settings,
)
from recert.settings import Settings


def agent_looked_at(host: Host, run: Run, prove: bool = False) -> KnownAgent:
    """
    :param prove: whether it has to prove who it is, where the inventory does not say so.
    :raises AgentRefusedError: it is no agent that can be worked on.
    """
    return look_at_windows(host, prove) if run.is_windows(host) else look_at(host, prove)


def agent_settings(host: Host, run: Run) -> Settings:
    """What Puppet says of itself there.

    :raises AgentRefusedError: that cannot be used.
    """
    return windows_settings(host) if run.is_windows(host) else settings_of(host)


def agent_kept(host: Host, run: Run) -> tuple[str, BackupStore]:
    """Where an agent's backups are, and which there are. No Puppet is asked.

    :raises AgentRefusedError: it is no host that can be worked on.
    """
    if run.is_windows(host):
        windows = known_windows(host)
        root = windows_backup_root(host, windows)
        return root, ask_agent(host, WindowsBackups, ruby=windows.ruby, root=root, paths=[])
    require_root_on_agent(host)
    root = posix_backup_root(host)
    return root, ask_agent(host, Backups, root=root, paths=[])


def agent_facts(host: Host, run: Run, settings: Settings | None) -> AgentFacts:
    """The facts of an agent.

    :param settings: from a backup; asked of Puppet if not given.
    :raises AgentRefusedError: it is no agent that can be worked on.
    """
    settings = settings or agent_settings(host, run)
    note_certname(host, settings.certname)  # those of a backup, too
    if run.is_windows(host):
        windows = known_windows(host)
        root = windows_backup_root(host, windows)
        deployment = deployment_of_agent(host, None)
        return WindowsAgentFacts(host, settings, root, deployment, windows)
    deployment = deployment_of_agent(host, ask_agent(host, PuppetProgram))
    return AgentFacts(host, settings, posix_backup_root(host), deployment)
