"""The kinds of hosts that agents run on: the same questions, each in the language of its kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
from procedures.run import AGENTS, WINDOWS_AGENTS, Run, run_of
from procedures.windows import (
    WindowsAgentFacts,
    known_windows,
    look_at_windows,
    speak_cmd,
    windows_backup_root,
    windows_settings,
)
from recert import settings, windows
from recert.report import Role
from recert.settings import PathRules, Settings


@dataclass(frozen=True)
class Platform:
    """One of them. Each question raises AgentRefusedError where the host is none that can be worked
    on.

    `group`: of the inventory, which its hosts are in. `role`: what they are in reports. `rules`: of
    their paths. `speak`: what has to be said before commands for them are prepared. `look_at`: what
    an agent says before anything is known of its master, and whether it has to prove who it is
    where the inventory does not say so. `settings_of`: what Puppet says of itself. `kept`: where
    backups are, and which there are; no Puppet is asked. `facts_of`: by settings, which may be a
    backup's.
    """

    group: str
    role: Role
    rules: PathRules
    speak: Callable[[Host], None]
    look_at: Callable[[Host, bool], KnownAgent]
    settings_of: Callable[[Host], Settings]
    kept: Callable[[Host], tuple[str, BackupStore]]
    facts_of: Callable[[Host, Settings], AgentFacts]


def platform_of(host: Host) -> Platform:
    """What an agent runs on, by its group."""
    return run_of(host.state).part(_platforms).get(host.name, POSIX)


def _platforms(run: Run) -> Mapping[str, Platform]:
    return {host.name: platform for platform in PLATFORMS for host in run.group(platform.group)}


def facts_by_settings(host: Host, settings: Settings | None) -> AgentFacts:
    """The facts of an agent.

    :param settings: from a backup; asked of Puppet if not given.
    :raises AgentRefusedError: it is no agent that can be worked on.
    """
    platform = platform_of(host)
    settings = settings or platform.settings_of(host)
    note_certname(host, settings.certname)  # those of a backup, too
    return platform.facts_of(host, settings)


def _posix_kept(host: Host) -> tuple[str, BackupStore]:
    require_root_on_agent(host)
    root = posix_backup_root(host)
    return root, ask_agent(host, Backups, root=root, paths=[])


def _posix_facts(host: Host, settings: Settings) -> AgentFacts:
    deployment = deployment_of_agent(host, ask_agent(host, PuppetProgram))
    return AgentFacts(host, settings, posix_backup_root(host), deployment)


def _windows_kept(host: Host) -> tuple[str, BackupStore]:
    found = known_windows(host)
    root = windows_backup_root(host, found)
    return root, ask_agent(host, WindowsBackups, ruby=found.ruby, root=root, paths=[])


def _windows_facts(host: Host, settings: Settings) -> AgentFacts:
    found = known_windows(host)
    root = windows_backup_root(host, found)
    return WindowsAgentFacts(host, settings, root, deployment_of_agent(host, None), found)


POSIX = Platform(
    group=AGENTS,
    role=Role.AGENT,
    rules=settings.POSIX,
    speak=lambda _: None,
    look_at=look_at,
    settings_of=settings_of,
    kept=_posix_kept,
    facts_of=_posix_facts,
)

WINDOWS = Platform(
    group=WINDOWS_AGENTS,
    role=Role.WINDOWS_AGENT,
    rules=windows.WINDOWS,
    speak=speak_cmd,
    look_at=look_at_windows,
    settings_of=windows_settings,
    kept=_windows_kept,
    facts_of=_windows_facts,
)

PLATFORMS = (POSIX, WINDOWS)
"""Who is in the groups of two is of the last."""
