"""One Windows agent as a pyinfra run sees it."""

from __future__ import annotations

import re
import time
from collections.abc import Collection

from pyinfra.api import Host

from facts.credential_files import keystores_among
from facts.puppet import AgentState
from facts.windows.agent import WindowsAgentFiles, WindowsDirectories, WindowsFiles
from facts.windows.attributes import WindowsCsrAttributes
from facts.windows.backups import WindowsBackups, WindowsBackupStore
from facts.windows.credential_files import WindowsCredentialFiles
from facts.windows.installation import (
    WindowsClock,
    WindowsInstallation,
    WindowsPuppetSettings,
)
from facts.windows.others import WindowsStrayCredentials
from facts.windows.services import WindowsServiceOptions, WindowsServices
from procedures.agent import AgentFacts, AgentRefusedError, KnownAgent, ask_agent, refused_alone
from procedures.deployment import deployment_of_agent
from procedures.names import note_certname
from procedures.options import options_of
from procedures.preflight import send_at_once
from recert.backups import Backup
from recert.certificates import Certificate
from recert.deployments.model import Deployment
from recert.observed import FileState, FoundCredentials, Keystores, Service, SslState
from recert.others import Stray
from recert.preflight import (
    beside_refusals,
    lost_refusals,
    puppet_refusals,
    service_option_refusals,
)
from recert.renewal import Renewal
from recert.settings import Settings, check_settings, parse_printed
from recert.windows import (
    WINDOWS,
    Windows,
    WindowsService,
    as_documented,
    check_windows_path,
    directory_refusals,
    windows_refusals,
)

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class WindowsAgentFacts(AgentFacts):
    """The facts of one Windows agent, under the same names."""

    def __init__(
        self,
        host: Host,
        settings: Settings,
        backup_root: str,
        deployment: Deployment,
        windows: Windows,
    ) -> None:
        super().__init__(host, settings, backup_root, deployment)
        self.windows = windows
        # `windows_refusals` has let it pass: both are there.
        self.puppet, self.ruby = windows.puppet or "", windows.ruby or ""
        self._prove = False
        self._signatures: list[bytes] = []

    @property
    def usual_places(self) -> list[str]:
        return [self.windows.puppetlabs]

    @property
    def credential_places(self) -> tuple[str, ...]:
        return (f"{self.windows.puppetlabs}/mcollective",)

    @property
    def ssl(self) -> SslState:
        return self._looked_at.ssl

    @property
    def agent(self) -> AgentState:
        return self._looked_at.agent

    @property
    def _looked_at(self) -> WindowsFiles:
        conf, own = self.settings, self.paths(self.settings.certname)
        return self._once(
            "files",
            lambda: self._ask(
                WindowsAgentFiles,
                ruby=self.ruby,
                roots=list(self.ssl_roots),
                texts=[conf.localcacert, conf.hostcrl, own.certificate, own.request],
                keys=[own.private_key],
                agent=self._agent_arguments,
                proof=self._proof if self._prove else [],
            ),
        )

    def read_ahead(self, prove: bool) -> None:
        self._prove = prove and not self.is_given
        self._signatures = list(self._looked_at.signatures)
        self._prove = False
        _ = self.backups

    @property
    def signatures(self) -> list[bytes]:
        return self._signatures

    @property
    def _proof(self) -> list[str]:
        """The words to sign, and the keys to do it with: see `facts.proof`."""
        key = self.paths(self.settings.certname).private_key
        within = key.removeprefix(self.settings.ssldir)
        return [self.words, key, f"{self.backup_root}/*/files/0{within}"]

    def learn_services(self, state: Service, *names: str) -> None:
        self.forget("services")  # its manager is asked: it costs no start of anything

    @property
    def managed(self) -> dict[str, WindowsService]:
        """What the service manager knows, by what the document calls a service."""
        names = self.deployment.agent.windows

        def read() -> dict[str, WindowsService]:
            asked = [name for short in names.values() for name in short]
            found: dict[str, WindowsService] = self._ask(WindowsServices, names=asked)
            return as_documented(found, names)

        return self._once("services", read)

    @property
    def _service_options(self) -> dict[str, list[str]]:
        """What the service manager starts the agent with."""
        agent = self.deployment.agent
        names = list(agent.windows.get(agent.puppet, ()))
        return self._once("options", lambda: self._ask(WindowsServiceOptions, names=names))

    @property
    def services(self) -> dict[str, Service]:
        found = self.managed
        known = self.services_asked
        return {n: found[n].state if n in found else Service.MISSING for n in known}

    @property
    def backups(self) -> WindowsBackupStore:
        return self._once(
            "backups",
            lambda: self._ask(
                WindowsBackups, ruby=self.ruby, root=self.backup_root, paths=self.backup_paths
            ),
        )

    @property
    def csr_attributes(self) -> list[str]:
        return self._once(
            "attributes",
            lambda: self._ask(WindowsCsrAttributes, ruby=self.ruby, path=self.attributes_path),
        )

    @property
    def strays(self) -> list[Stray]:
        return self._once(
            "others",
            lambda: self._ask(
                WindowsStrayCredentials, ruby=self.ruby, roots=self.emptied, own=self.own_files
            ),
        )

    def clock(self) -> float:
        return self._ask(WindowsClock, ruby=self.ruby)

    def credentials(self, directories: list[str], backups: list[str]) -> FoundCredentials:
        return self._ask(
            WindowsCredentialFiles,
            ruby=self.ruby,
            roots=[*self.settings.ssl_roots, *directories, *self._searched],
            outside=[self.backup_root],
            backups=[f"{self.backup_root}/{name}" for name in backups],
        )

    def keystores(self, found: FoundCredentials) -> Keystores:
        # Puppet brings no Java to Windows: there is nothing that could list them.
        return Keystores(readable=False, certificates={p: [] for p in keystores_among(found)})

    @property
    def _searched(self) -> list[str]:
        return [self.settings.confdir, self.settings.vardir, self.windows.puppetlabs]

    def held_by(self, backup: str, count: int) -> dict[str, FileState]:
        """The copies in a backup of `count` directories, by path."""
        roots = [f"{backup}/files/{number}" for number in range(count)]
        return self._ask(WindowsDirectories, ruby=self.ruby, roots=roots)

    @property
    def closed(self) -> tuple[str, ...]:
        return ()  # the directory is made, and Administrators may write wherever they are let

    @property
    def unreached(self) -> dict[tuple[str, int], str]:
        return {}  # nobody has tried

    def refusals_to_go_back(self, backup: Backup, cas: Collection[Certificate]) -> list[str]:
        # What cannot be copied ends it before anything is deleted.
        others = self.others(cas) if self.strays else {}
        if not others:
            return []
        place, paths = f"{self.backup_root}/{backup.name}", backup.manifest.paths
        held = self.held_by(place, len(paths))
        there = {
            path: f"{place}/files/{number}{path.removeprefix(root)}"
            for number, root in enumerate(paths)
            for path in others
            if path.startswith(f"{root}/")
        }
        return lost_refusals([path for path in others if there.get(path) not in held])

    def refusals(self, now: Renewal, backup_due: bool) -> list[str]:
        refusals = beside_refusals(self.backup_root, self.backups.beside)
        if now.everything_goes:
            refusals += service_option_refusals(self._service_options, self.settings)
        if now.everything_goes and now.others:
            refusals.append(
                f"{', '.join(sorted(now.others)[:5])} is a key or certificate of somebody else's, "
                "and would be deleted with ssldir. Move it away."
            )
        unreadable = self._looked_at.unreadable
        if not unreadable:
            return refusals
        return [
            *refusals,
            f"{', '.join(unreadable[:5])} cannot be read by the connected account, and could not "
            "be backed up. Give Administrators full control of it (icacls, or takeown first).",
        ]


def look_at_windows(host: Host, prove: bool) -> KnownAgent:
    """What a Windows agent says before anything is known of its master.

    :param prove: as for `AgentFacts.read_ahead`.
    :raises AgentRefusedError: it is no agent that can be worked on.
    """
    windows, settings = _asked(host)
    clock = ask_agent(host, WindowsClock, ruby=windows.ruby)
    clock_ahead = clock - time.time()
    root, deployment = windows_backup_root(host, windows), deployment_of_agent(host, None)
    facts = WindowsAgentFacts(host, settings, root, deployment, windows)
    facts.read_ahead(prove)
    return KnownAgent(facts, clock_ahead)


def windows_settings(host: Host) -> Settings:
    """What Puppet says of itself on a Windows agent.

    :raises AgentRefusedError: that cannot be used.
    """
    return _asked(host)[1]


def windows_backup_root(host: Host, windows: Windows) -> str:
    """:raises AgentRefusedError: the data `windows_backup_dir` is no path, or what the host says of
    where programs keep their data is none."""
    with refused_alone():
        root = options_of(host).windows_backup_dir
        return root or check_windows_path("%PROGRAMDATA%", windows.backup_root)


def speak_cmd(host: Host) -> None:
    """Have commands reach a host as cmd.exe's own lines: pyinfra would hand them to `sh`, and sudo
    is not there. For an operation this has to be said before it is prepared."""
    host.data._shell_executable = None
    host.data._sudo = False


def known_windows(host: Host) -> Windows:
    """What a Windows host says of itself.

    :raises AgentRefusedError: it cannot be worked on.
    """
    speak_cmd(host)
    send_at_once(host)
    windows = ask_agent(host, WindowsInstallation)
    if refusals := windows_refusals(windows):
        raise AgentRefusedError(*refusals)
    return windows


def _asked(host: Host) -> tuple[Windows, Settings]:
    windows = known_windows(host)
    printed = ask_agent(host, WindowsPuppetSettings, puppet=windows.puppet)
    printed = [_COLOUR.sub("", text).strip() for text in printed]
    complaints = [text for text in printed if text.lower().startswith("err")]
    if refusals := puppet_refusals(windows.puppet, complaints):
        raise AgentRefusedError(*refusals)
    values = parse_printed(printed)
    if refusals := directory_refusals(windows, values.get("confdir", "")):
        raise AgentRefusedError(*refusals)
    with refused_alone():
        settings = check_settings(values, values, deployment_of_agent(host, None), rules=WINDOWS)
    note_certname(host, settings.certname)
    return windows, settings
