"""One agent as a pyinfra run sees it, and what it is asked before its master has answered."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from pyinfra.api import FactBase, Host
from pyinfra.api.exceptions import DeployError
from pyinfra.api.facts import get_fact

from connectors.limits import at_most
from facts.agent import AgentFiles
from facts.host import TEMPORARY, Basics, HostBasics, WhoAndWhen
from facts.programs import UnablePrograms
from facts.proof import KeyProof
from facts.puppet import AgentState, PuppetSettings
from facts.reaching import Unreached
from facts.running import RunningPuppets, ServiceOptions
from facts.script import ScriptFailedError
from facts.together import Question, names_of
from procedures.deployment import deployment_of_agent, known_deployment
from procedures.host import FIRST_ASKED, NO_SHELL, HostFacts, T, not_found_out
from procedures.identity import identities_of
from procedures.names import note_certname
from procedures.options import options_of
from procedures.preflight import fit_of, restoration_refusals, send_at_once
from procedures.telling import reason_of
from recert import preflight
from recert.backups import Backup
from recert.certificates import Certificate
from recert.errors import RecertError
from recert.identity import words_to_sign
from recert.observed import Service, SslState
from recert.programs import program_refusals
from recert.renewal import Renewal
from recert.settings import Settings, check_settings

FACT_LIMIT = 240
"""Seconds in which an agent has to answer a question."""


class AgentRefusedError(Exception):
    """An agent is left as it is; the arguments say why, a refusal each."""


class AgentFacts(HostFacts):
    """The facts of one agent."""

    good_for = 10

    @property
    def services_asked(self) -> tuple[str, ...]:
        return self.deployment.agent.services

    @property
    def ssl(self) -> SslState:
        ssl: SslState = self.known("files")[0]
        return ssl

    @property
    def agent(self) -> AgentState:
        agent: AgentState = self.known("files")[1]
        return agent

    def question(self, name: str) -> Question:
        conf = self.settings
        if name == "files":
            own = self.paths(conf.certname)
            arguments = self._ssl_arguments(
                texts=[conf.localcacert, conf.hostcrl, own.certificate, own.request],
                keys=[own.private_key],
                certificate_dirs=[],
                cacert=conf.localcacert,
            )
            return AgentFiles, {"ssl": arguments, "agent": self._agent_arguments}
        if name == "basics":
            return Basics, {
                "backup_root": self.backup_root,
                "paths": self.backup_paths,
                "accounts": [],
                "files": [conf.config],
                "links": [conf.ssldir],
                "places": self.places,
                "made": [self.attributes_directory],
                "filled": [conf.ssldir, conf.vardir, TEMPORARY],
            }
        if name == "running":
            return RunningPuppets, {}
        if name == "options":
            return ServiceOptions, {"services": [self.deployment.agent.puppet]}
        if name == "unreached":
            # What DNS says of it counts for more than the settings, where it is asked.
            asked = conf.use_srv_records != "true"
            return Unreached, {"servers": conf.servers if asked else [], "config": conf.config}
        if name == "proof":
            key = self.paths(conf.certname).private_key
            return KeyProof, {"words": self.words, "key": key, "backup_root": self.backup_root}
        return super().question(name)

    def read_ahead(self, prove: bool) -> None:
        """Ask for what any agent that is due needs: one question more is cheaper than one later.

        :param prove: whether it has to prove who it is, where the inventory does not say so.
        """
        asked = ["proof"] if prove and self._proof_counts else []
        self.read_together(
            *("files", "backups", "services", "basics", "running", "options"),
            *("unreached", "others", "attributes", *asked),
        )

    @property
    def is_given(self) -> bool:
        """Whether the inventory says that the host has the certname that it claims."""
        return identities_of(self.host).is_given(self.host.name, self.settings.certname)

    @property
    def _proof_counts(self) -> bool:
        """Whether the inventory says nothing of the certname that the host claims."""
        identities, certname = identities_of(self.host), self.settings.certname
        return not self.is_given and identities.contradicted(self.host.name, certname) is None

    @cached_property
    def words(self) -> str:
        """What the host has to sign to prove that."""
        return words_to_sign(secrets.token_hex(32), self.host.name, self.settings.certname)

    @property
    def signatures(self) -> list[bytes]:
        """What it has signed them with."""
        signatures: list[bytes] = self.known("proof")
        return signatures

    def forget(self, *names: str) -> None:
        if not {"ssl", "agent"}.isdisjoint(names):
            names = (*names, "files")
        super().forget(*names)

    def learn_services(self, state: Service, *names: str) -> None:
        """Take in what a command has made of services, and has looked at afterwards."""
        if not self.host.state.is_executing:
            return
        self._kept["services"] = {**self.services, **dict.fromkeys(names, state)}

    @property
    def ssl_roots(self) -> tuple[str, ...]:
        """Step 6.4. Not cadir where it lies elsewhere: whose CA an agent keeps there is unknown,
        and its own certificate has nothing to do with it."""
        return (self.settings.ssldir,)

    @property
    def backup_paths(self) -> list[str]:
        """Step 6.1."""
        return list(self.ssl_roots)

    def refusals(self, now: Renewal, backup_due: bool) -> list[str]:
        """What on the host would keep a renewal from succeeding."""
        conf = self.settings
        basics: HostBasics = self.known("basics")
        refusals = [
            *preflight.tool_refusals(basics.missing_tools, basics.crypto),
            *preflight.configuration_refusals(basics.missing_files, noop=False),
        ]
        refusals += preflight.linked_root_refusals(
            conf, self.ssl.files, self.ssl_roots, basics.links
        )
        refusals += preflight.around_refusals(self.backup_root, basics.around)
        refusals += preflight.beside_refusals(self.backup_root, self.backups.beside)
        if now.everything_goes:
            refusals += preflight.own_option_refusals(self.known("running"), conf)
            refusals += preflight.service_option_refusals(self.known("options"), conf)
            refusals += preflight.mount_refusals(basics.mounts, conf.ssldir)
            refusals += preflight.full_refusals(basics.rooms)
            refusals += preflight.unchangeable_refusals(basics.unchangeable)
            refusals += preflight.astray_refusals(basics.astray)
            refusals += preflight.staying_refusals(now.others)
        if backup_due:
            refusals += preflight.oversized_refusals(basics.oversized)
            refusals += preflight.room_refusals(basics.free, basics.needed, self.backup_root)
        return refusals

    @property
    def unreached(self) -> dict[tuple[str, int], str]:
        """Why there is no connection from it to the servers that it asks."""
        unreached: dict[tuple[str, int], str] = self.known("unreached")
        return unreached

    @property
    def closed(self) -> tuple[str, ...]:
        basics: HostBasics = self.known("basics")
        return basics.closed

    def refusals_to_go_back(self, backup: Backup, cas: Collection[Certificate]) -> list[str]:
        """What on the host would end a restoration half way, or be lost by it.

        :param cas: that the site has or has had.
        """
        basics: HostBasics = self.known("basics")
        others = self.others(cas) if self.strays else {}
        fact, arguments = fit_of(self, backup, basics, others)
        return restoration_refusals(self, backup, basics, self._ask(fact, **arguments))

    def _ask(self, fact: type[FactBase[T]], **arguments: object) -> T:
        return ask_agent(self.host, fact, **arguments)


class AgentWork:
    """What any procedure on an agent has: its facts, and which of its services it has stopped."""

    def __init__(self, facts: AgentFacts) -> None:
        self.facts = facts
        self._stopped_now: frozenset[str] = frozenset()

    @property
    def services_due(self) -> list[str]:
        """Those that are to run in the end: what runs, and what a procedure has stopped, in this
        run or in one that was interrupted."""
        states = self.facts.services
        running = {name for name, state in states.items() if state.active}
        running |= self.stopped
        known = self.facts.services_asked
        return [n for n in known if n in running and states[n] is not Service.MISSING]

    @property
    def stopped(self) -> frozenset[str]:
        """The services that a procedure has stopped and not started again."""
        return self.facts.backups.stopped | self._stopped_now

    @property
    def stopped_beside_puppet(self) -> list[str]:
        """Those of them that are to run and that keep what they have read of their credentials: the
        one that runs Puppet reads its own each time."""
        puppet = self.facts.deployment.agent.puppet
        return [name for name in self.services_due if name in self.stopped and name != puppet]

    def note_stopped(self, service: str) -> None:
        """Remember that this run stops a service."""
        self._stopped_now |= {service}

    def note_started(self, later: Collection[str] = ()) -> None:
        """What was stopped runs again, except those that start later."""
        self._stopped_now &= frozenset(later)
        self.facts.learn_stopped(later)


def ask_agent(host: Host, fact: type[FactBase[T]], **arguments: object) -> T:
    """A fact's value; that the agent does not answer is its own affair, not the run's.

    :raises AgentRefusedError: it did not answer.
    """
    asked = names_of(fact, arguments)
    try:
        with at_most(FACT_LIMIT):
            value: T | None = get_fact(
                host.state,
                host,
                fact,
                kwargs={**arguments, "_timeout": FACT_LIMIT},
                apply_failed_hosts=False,
            )
    except DeployError:
        raise
    except ScriptFailedError as error:
        raise AgentRefusedError(f"It {not_found_out(fact, arguments, error)}") from error
    except TimeoutError:
        value = None
    except Exception as error:
        # Whatever an agent says, or however it goes away, must not end the run over the others.
        raise AgentRefusedError(
            f"Its answer to {asked} makes no sense: {reason_of(error)}"
        ) from error
    if value is None:
        first = fact in FIRST_ASKED
        if first:
            host.state.failed_hosts.add(host)
        raise AgentRefusedError(
            f"It did not answer when asked for {asked}, or not in {FACT_LIMIT} s; see above."
            + (f" {NO_SHELL}" if first else "")
        )
    return value


@dataclass(frozen=True)
class KnownAgent:
    """An agent that can be worked on. `clock_ahead`: seconds by which its clock is ahead of the
    control machine's."""

    facts: AgentFacts
    clock_ahead: float


def look_at(host: Host, prove: bool) -> KnownAgent:
    """What an agent says before anything is known of its master.

    :param prove: as for `AgentFacts.read_ahead`.
    :raises AgentRefusedError: it is no agent that can be worked on.
    """
    settings, clock_ahead = _introduced(host)
    facts = AgentFacts(host, settings, posix_backup_root(host), known_deployment(host))
    facts.read_ahead(prove)
    return KnownAgent(facts, clock_ahead)


def require_root_on_agent(host: Host) -> None:
    """:raises AgentRefusedError: commands do not run as root, or with programs that cannot do
    it."""
    send_at_once(host)
    if refusals := preflight.root_refusals(ask_agent(host, WhoAndWhen).uid):
        raise AgentRefusedError(*refusals)
    unable = ask_agent(host, UnablePrograms)
    if refusals := program_refusals(unable):
        raise AgentRefusedError(*refusals)


def posix_backup_root(host: Host) -> str:
    """:raises AgentRefusedError: the data `backup_dir` is no path."""
    with refused_alone():
        return options_of(host).backup_dir


def settings_of(host: Host) -> Settings:
    """What Puppet says of itself on an agent.

    :raises AgentRefusedError: that cannot be used.
    """
    return _introduced(host)[0]


def _introduced(host: Host) -> tuple[Settings, float]:
    """What Puppet says of itself, and by how many seconds the host's clock is ahead of ours.

    :raises AgentRefusedError: commands do not run as root, or that cannot be used.
    """
    send_at_once(host)
    printed = ask_agent(host, PuppetSettings, sections="agent")
    clock_ahead = printed.who.clock - time.time()
    refusals = preflight.root_refusals(printed.who.uid) or program_refusals(printed.unable)
    if refusals := refusals or preflight.puppet_refusals(printed.program, printed.complaints):
        raise AgentRefusedError(*refusals)
    with refused_alone():
        deployment = deployment_of_agent(host, printed.program)
        settings = check_settings(printed.agent, printed.agent, deployment)
    note_certname(host, settings.certname)
    return settings, clock_ahead


@contextmanager
def refused_alone() -> Iterator[None]:
    """:raises AgentRefusedError: the judgement over what one agent says forbids going on."""
    try:
        yield
    except RecertError as error:
        raise AgentRefusedError(str(error)) from error
