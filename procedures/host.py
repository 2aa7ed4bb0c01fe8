"""A host as one pyinfra run sees it: its facts asked once, and asked again after a change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pyinfra.api import FactBase, Host
from pyinfra.api.exceptions import DeployError, PyinfraError

from connectors.limits import QUESTION_LIMIT, at_most, give_turn
from facts.attributes import CsrAttributes
from facts.backups import Backups, BackupStore
from facts.credential_files import CredentialFiles, KeystoreCertificates, keystores_among
from facts.host import WhoAndWhen
from facts.others import StrayCredentials
from facts.puppet import AgentState, PuppetAgent, PuppetSettings
from facts.script import ScriptFailedError
from facts.services import ServiceStates
from facts.together import Question, Together, names_of
from recert.certificates import Certificate, read_certificate
from recert.deployments.model import Deployment
from recert.freshness import CredentialPaths
from recert.harmless import harmless
from recert.observed import FoundCredentials, Keystores, Service, SslState
from recert.others import Stray, of_others
from recert.settings import Settings

T = TypeVar("T")

FIRST_ASKED: tuple[type[FactBase[Any]], ...] = (WhoAndWhen, PuppetSettings)
"""Whoever says nothing to these says nothing to anything."""

NO_SHELL = (
    "Where nothing else says why, the shell of the login runs no commands: give the login another "
    "(`chsh -s /bin/sh`), take out what ends it when it starts (an `exit` in .bashrc), or use "
    "another login with --sudo."
)

LOCK = "/var/lib/pe-recert/lock"
"""On every host with `sh`. Whoever can open a file can lock it, so it is one that only root can: a
local account would otherwise keep everybody waiting in the middle of an outage."""


def ask(host: Host, fact: type[FactBase[T]], **arguments: Any) -> T:
    """A fact's value.

    :raises DeployError: the host did not answer, where pyinfra would go on with a default, or
        could not find it out.
    """
    # A host that has failed already would not be seen to fail again.
    failed = host.state.failed_hosts
    failed_before = host in failed
    failed.discard(host)
    try:
        with at_most(QUESTION_LIMIT):
            value = host.get_fact(fact, **arguments, _timeout=QUESTION_LIMIT)
        failed_now = host in failed
    except TimeoutError as error:
        asked = names_of(fact, arguments)
        raise DeployError(
            f"{host.name} has not answered in {QUESTION_LIMIT} s when asked for {asked}. Something "
            "there has no end: look at its processes, then run the same command again."
        ) from error
    except ScriptFailedError as error:
        raise DeployError(f"{host.name} {not_found_out(fact, arguments, error)}") from error
    except (PyinfraError, OSError) as error:
        # pyinfra ends the run itself where nobody else is left.
        if fact in FIRST_ASKED and host in failed:
            raise DeployError(f"{host.name}: {_unread(fact, arguments)}") from error
        raise
    except Exception as error:
        asked = names_of(fact, arguments)
        raise DeployError(
            f"{host.name}: its answer to {asked} makes no sense: {error!r}"
        ) from error
    finally:
        if failed_before:
            failed.add(host)
    if failed_now:
        raise DeployError(f"{host.name}: {_unread(fact, arguments)}")
    if value is None and fact in FIRST_ASKED:
        failed.add(host)  # it is no better than one that could not be connected to
        raise DeployError(f"{host.name} did not answer at all. {NO_SHELL}")
    return value


def _unread(fact: type[FactBase[Any]], arguments: dict[str, Any]) -> str:
    hint = f". {NO_SHELL}" if fact in FIRST_ASKED else ""
    return f"the fact {names_of(fact, arguments)} could not be read; see above{hint}"


def not_found_out(
    fact: type[FactBase[Any]], arguments: dict[str, Any], error: ScriptFailedError
) -> str:
    """What a host could not tell, and why, after its name."""
    return f"cannot tell {names_of(fact, arguments)}: {harmless(str(error))}"


@dataclass(frozen=True)
class Look:
    """Questions that a change is to be followed by at once. `forget`: what it makes out of date.
    `learn`: takes the answers, in the order of the questions."""

    questions: list[Question]
    forget: Callable[[], None]
    learn: Callable[[list[Any]], None]


class HostFacts:
    """The facts of one host, each read when first needed and kept until `forget`.

    A preview and a run are different moments: what was read for the preview is read again
    when the first operation runs, unless that follows at once.
    """

    good_for: float = 0
    """Seconds for which what was read for a preview is as good for the run."""

    lock = LOCK
    """The directory that changing commands lock."""

    def __init__(
        self, host: Host, settings: Settings, backup_root: str, deployment: Deployment
    ) -> None:
        self.host = host
        self.settings = settings
        self.backup_root = backup_root
        self.deployment = deployment
        self._kept: dict[str, Any] = {}
        self._kept_since = 0.0
        self._others: tuple[list[Stray], object, dict[str, str]] | None = None
        self._kept_while_executing = host.state.is_executing

    def forget(self, *names: str) -> None:
        """Drop what a change has made out of date: "ssl", "services", …"""
        for name in names:
            self._kept.pop(name, None)

    @property
    def services_asked(self) -> tuple[str, ...]:
        """The services that the procedure is about."""
        raise NotImplementedError

    @property
    def ssl(self) -> SslState:
        """Everything below the SSL directories."""
        raise NotImplementedError

    @property
    def ssl_roots(self) -> tuple[str, ...]:
        """The directories that the procedure empties."""
        return self.settings.ssl_roots

    @property
    def attributes_path(self) -> str:
        """The file beside which Puppet makes requests here: its setting of that name."""
        return self.settings.csr_attributes

    @property
    def attributes_directory(self) -> str:
        return self.attributes_path.rpartition("/")[0]

    @property
    def csr_attributes(self) -> list[str]:
        """The host's csr_attributes.yaml, as far as it is about extensions; none if it has none."""
        found: list[str] = self.known("attributes")
        return found

    @property
    def closed(self) -> tuple[str, ...]:
        """Why none can be made there."""
        raise NotImplementedError

    def put_back(self, had: Mapping[str, str]) -> dict[str, str]:
        """The extensions of an old certificate that a request can have only from us."""
        return dict(had) if not self.csr_attributes else {}

    @property
    def emptied(self) -> list[str]:
        """Every directory that the procedure empties."""
        return list(self.ssl_roots)

    queues: tuple[str, ...] = ()
    """Of these, where a CA keeps certificates by the thousand."""

    @property
    def backup_paths(self) -> list[str]:
        """What a backup of this host holds."""
        raise NotImplementedError

    @property
    def usual_places(self) -> list[str]:
        """Where credentials and configuration are on a host of this deployment unless somebody has
        put them elsewhere."""
        deployment = self.deployment
        return [deployment.configuration, *deployment.searched, *deployment.master.directories]

    @property
    def places(self) -> list[str]:
        """What else the procedure writes to or deletes."""
        catalog = self.settings.cached_catalog
        return [self.backup_root, catalog.rpartition("/")[0], catalog]

    @property
    def own_files(self) -> list[str]:
        """The files of the names that Puppet itself has in the directories that are emptied."""
        conf = self.settings
        return [conf.localcacert, conf.hostcrl, *self.paths(conf.certname).all]

    def others(self, cas: Iterable[Certificate], certified: Iterable[str] = ()) -> dict[str, str]:
        """What is somebody else's in the directories that are emptied, and so stays: by path, each
        with what it is.

        :param cas: whose things go; `certified`: keys that these have certified.
        :raises RecertError: it is too much to be compared.
        """
        cas, certified, strays = list(cas), frozenset(certified), self.strays
        asked = frozenset(ca.key for ca in cas), certified
        # Asked for at each step, of what lies there from the first to the last.
        if self._others is None or self._others[0] is not strays or self._others[1] != asked:
            self._others = strays, asked, of_others(strays, cas, certified, give_turn)
        return self._others[2]

    @property
    def strays(self) -> list[Stray]:
        """What there is in the directories that are emptied under other names than Puppet's."""
        strays: list[Stray] = self.known("others")
        return strays

    def question(self, name: str) -> Question:
        """The question whose answer is kept under a name."""
        questions: dict[str, Question] = {
            "services": (
                ServiceStates,
                {
                    "services": list(self.services_asked),
                    "listeners": self.listeners,
                },
            ),
            "agent": (PuppetAgent, self._agent_arguments),
            "others": (
                StrayCredentials,
                {"roots": self.emptied, "own": self.own_files, "queues": list(self.queues)},
            ),
            "attributes": (CsrAttributes, {"path": self.attributes_path}),
            "backups": (Backups, {"root": self.backup_root, "paths": self.backup_paths}),
        }
        return questions[name]

    @property
    def listeners(self) -> str:
        """The first argument of `operations.services.SERVICE_CHANGES`. Nothing of an agent's
        listens."""
        return ""

    @property
    def services(self) -> dict[str, Service]:
        found: dict[str, Service] = self.known("services")
        return {name: found.get(name, Service.MISSING) for name in self.services_asked}

    @property
    def agent(self) -> AgentState:
        agent: AgentState = self.known("agent")
        return agent

    @property
    def _agent_arguments(self) -> dict[str, str]:
        conf = self.settings
        return {
            "summary": conf.lastrunfile,
            "catalog": conf.cached_catalog,
            "disabled": conf.agent_disabled_lockfile,
            "lockfile": conf.agent_catalog_run_lockfile,
        }

    @property
    def backups(self) -> BackupStore:
        backups: BackupStore = self.known("backups")
        return backups

    def learn_stopped(self, names: Iterable[str]) -> None:
        """Take in which services the record of those that were stopped has been left with."""
        if self.host.state.is_executing:
            self._kept["backups"] = replace(self.backups, stopped=frozenset(names))

    @property
    def certificate_in_use(self) -> Certificate | None:
        """The host's own certificate in ssldir."""
        path = self.paths(self.settings.certname).certificate
        return read_certificate(self.ssl.texts.get(path, ""))

    def paths(self, name: str) -> CredentialPaths:
        return CredentialPaths.of(self.settings, name)

    def _ssl_arguments(
        self, texts: list[str], keys: list[str], certificate_dirs: list[str], cacert: str
    ) -> dict[str, Any]:
        """Those of `SslDirectories`."""
        conf = self.settings
        return {
            "lock": self.lock,
            "roots": list(self.ssl_roots),
            "texts": texts,
            "keys": keys,
            "capass": conf.capass,
            "certificate_dirs": certificate_dirs,
            "cacert": cacert,
        }

    # What only a survey looks at, anew each time. Whatever is raised: the host did not answer.

    @property
    def credential_places(self) -> tuple[str, ...]:
        """Where PE keeps credentials on this host, besides confdir and ssldir."""
        return self.deployment.credential_places

    def clock(self) -> float:
        """The host's clock, seconds, UTC."""
        return self._ask(WhoAndWhen).clock

    def credentials(self, directories: list[str], backups: list[str]) -> FoundCredentials:
        """The certificates and keys of PE, wherever they lie.

        :param directories: to search beside those that are searched on every such host.
        :param backups: names of those among whose files private keys are looked up.
        """
        conf = self.settings
        return self._ask(
            CredentialFiles,
            roots=[*conf.ssl_roots, *directories, conf.confdir, *self.deployment.searched],
            capass=conf.capass,
            backups=[f"{self.backup_root}/{name}" for name in backups],
        )

    def keystores(self, found: FoundCredentials) -> Keystores:
        """The Java keystores among what was found."""
        paths = keystores_among(found)
        return self._ask(KeystoreCertificates, paths=paths) if paths else Keystores()

    def seen(self, fact: type[FactBase[T]], **arguments: Any) -> T:
        """Any other fact of this host, asked anew each time.

        :raises Exception: it did not answer.
        """
        return self._ask(fact, **arguments)

    def _ask(self, fact: type[FactBase[T]], **arguments: Any) -> T:
        return ask(self.host, fact, **arguments)

    # How what was asked is kept

    def known(self, name: str) -> Any:
        """The answer to a question, asked unless it is known."""

        def read() -> Any:
            fact, arguments = self.question(name)
            return self._ask(fact, **arguments)

        return self._once(name, read)

    def read_together(self, *names: str) -> None:
        """Have these answered with one command, as far as they are not known."""
        self._outdate()
        missing = [name for name in names if name not in self._kept]
        if missing:
            questions = [self.question(name) for name in missing]
            answers: list[Any] = self._ask(Together, facts=questions)
            self.learn(missing, answers)

    def learn(self, names: Iterable[str], answers: Iterable[Any]) -> None:
        """Take in what somebody else has asked the host."""
        self._outdate()
        self._keep(dict(zip(names, answers, strict=True)))

    def look(self, *names: str) -> Look:
        """What a change is followed by that makes these out of date."""
        return Look(
            [self.question(name) for name in names],
            lambda: self.forget(*names),
            lambda answers: self.learn(names, answers),
        )

    def _once(self, name: str, read: Callable[[], T]) -> T:
        self._outdate()
        if name not in self._kept:
            self._keep({name: read()})
        value: T = self._kept[name]
        return value

    def _keep(self, answers: dict[str, Any]) -> None:
        if not self._kept:
            self._kept_since = time.monotonic()
        self._kept.update(answers)

    def _outdate(self) -> None:
        """Drop what was read for a preview that is over, unless the run follows at once."""
        executing = self.host.state.is_executing
        if executing != self._kept_while_executing:
            if time.monotonic() - self._kept_since > self.good_for:
                self._kept.clear()
            self._kept_while_executing = executing
