"""Looking at hosts without changing them: what a survey, a verification and a whole run share.

What a run has asked already is not asked again. A host that cannot be looked at is a finding, not
the end of a survey.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from pyinfra.api import Host
from pyinfra.api.exceptions import DeployError

from connectors.limits import give_turn
from facts.signing import CaInventory
from procedures.agent import AgentFacts
from procedures.deployment import known_deployment
from procedures.host import HostFacts
from procedures.master import MasterFacts
from procedures.names import hosts_not_asked, inventory_certnames, names_of
from procedures.outcomes import why_left_out
from procedures.platforms import platform_of
from procedures.preflight import read_master
from procedures.renewal import known_renewal
from procedures.run import Run
from procedures.site import Site, approved_of
from procedures.telling import reason_of
from recert.ca_records import Autosign
from recert.certificates import read_certificate, utc_now
from recert.errors import RecertError
from recert.freshness import Retired
from recert.interlock import named_ca
from recert.looks import HostLook, MasterSide
from recert.observed import Service
from recert.report import Role, Snapshot
from recert.signing import signed_since
from recert.survey import SiteState

BEFORE, NOW = "before", "now"
"""The moments of a run at which a site is surveyed."""

UNREACHABLE = "it could not be connected to"


class Survey:
    """The looks at a site's hosts, at one moment."""

    def __init__(self, run: Run, retired: Retired | None = None, retiring: bool = False) -> None:
        self.run = run
        self.retired = retired
        self.retiring = retiring
        self._looks: dict[str, HostLook] = {}
        self._last_look = utc_now()
        self._judged: SiteState | None = None

    def look(self, host: Host) -> HostLook:
        """Look at a host now, and keep what was seen."""
        host = host.inventory.get_host(host.name)
        look = _look(self.run, host, self.retired)
        self._looks[host.name] = look
        self._last_look = utc_now()
        self._judged = None
        return look

    @property
    def seen(self) -> frozenset[str]:
        """The names of the hosts that have been looked at."""
        return frozenset(self._looks)

    @property
    def empty(self) -> bool:
        """Whether nothing has been looked at."""
        return not self._looks

    def snapshot(self) -> Snapshot:
        """The same for a report."""
        return self.state().snapshot()

    def state(self) -> SiteState:
        """The judgement over everything that was looked at, and every host that was not."""
        if self._judged is None:
            run = self.run
            looks = [
                self._looks.get(host.name) or _not_seen(host, role, _unseen(run, host))
                for role in Role
                for host in hosts_of(run, role)
            ]
            self._judged = SiteState(
                looks=tuple(looks),
                at=self._last_look,
                retired=self.retired,
                retiring=self.retiring,
                inventory_names=frozenset(inventory_certnames(run.master)),
                not_asked=hosts_not_asked(run.master),
                groupless=run.groupless,
                stopped_before=self._stopped_before(),
                approved=approved_of(run),
                pause=give_turn,
            )
        return self._judged

    def _stopped_before(self) -> dict[str, frozenset[str]]:
        before = known_survey(self.run, BEFORE)
        looks = before.state().looks if before is not None and before is not self else ()
        return {
            look.host: frozenset(n for n, s in look.services.items() if s is Service.STOPPED)
            - look.stopped_by_run
            for look in looks
        }


def hosts_of(run: Run, role: Role) -> list[Host]:
    """The hosts of a role that a run is about, and always the master."""
    if role is Role.MASTER:
        return [run.master]
    return [host for host in run.agents if platform_of(host).role is role]


def role_of(run: Run, host: Host) -> Role:
    """What a host is in the inventory."""
    if host.name == run.master.name:
        return Role.MASTER
    return platform_of(host).role


def retired_of(run: Run, facts: MasterFacts | None) -> Retired | None:
    """The CA that the data `retire_ca` names, with what the master's backups know of it.

    :raises DeployError: it is no fingerprint.
    """
    try:
        fingerprint = run.options.retire_ca
    except RecertError as error:
        raise DeployError(str(error)) from error
    if fingerprint is None:
        return None
    if facts is None:
        return Retired(fingerprint, None)
    in_place = read_certificate(facts.ssl.texts.get(facts.settings.cacert, ""))
    return named_ca(fingerprint, in_place, [one.manifest for one in facts.backups.backups])


def master_facts(run: Run) -> MasterFacts:
    """The master's facts, asked once for the whole run.

    :raises DeployError: it is no master that can be worked on.
    """
    if run.master_comes_first:
        return run.part(Site).regeneration().facts
    return run.once("surveyed master", lambda: read_master(run.master), lasting=True)


def agent_facts(run: Run, host: Host) -> AgentFacts:
    """An agent's facts: those of the renewal that this run prepared, or its own.

    :raises Exception: the agent does not answer, or nothing can be done on it.
    """
    renewal = known_renewal(run, host)
    if renewal is not None:
        return renewal.facts
    # Not under the run's lock: each agent is asked by itself.
    known = run.part(_looked_at)
    if host.name not in known:
        known[host.name] = platform_of(host).look_at(host, False).facts
    return known[host.name]


def _unseen(run: Run, host: Host) -> str:
    if host not in host.state.activated_hosts:
        return UNREACHABLE
    return why_left_out(run, host) or "it was not looked at"


def _not_seen(host: Host, role: Role, why: str) -> HostLook:
    deployment = known_deployment(host)
    return HostLook(
        host.name,
        role,
        deployment,
        why,
        credential_places=deployment.credential_places,
        names=names_of(host),
    )


def _look(run: Run, host: Host, retired: Retired | None) -> HostLook:
    role = role_of(run, host)
    try:
        if role is Role.MASTER:
            return _look_at_master(master_facts(run), retired, run.options.compromised_since)
        facts = agent_facts(run, host)
        # Who was prepared has been believed; see `require_identity`.
        believed = known_renewal(run, host) is not None or facts.is_given
        return replace(_look_at_agent(facts, role, retired), borne_out=believed)
    except Exception as error:
        # A host in whatever state is what a survey is for.
        return _not_seen(host, role, reason_of(error))


def _look_at_master(
    facts: MasterFacts, retired: Retired | None, since: datetime | None
) -> HostLook:
    """
    :param since: what was signed at that moment or later is not believed.
    """
    _forget(facts)
    conf = facts.settings
    inventory = facts.seen(CaInventory, path=f"{conf.cadir}/inventory.txt")
    old = retired or Retired("", None)
    before = facts.retired_certificates(old)
    doubted = frozenset(name for name, cert in before.items() if signed_since(cert, since))
    side = MasterSide(
        components=dict(facts.components),
        inventory=inventory,
        manifests=tuple(backup.manifest for backup in facts.backups.backups),
        # None of them may live on.
        retired_keys=facts.retired_keys(old),
        retired_certificates={n: cert for n, cert in before.items() if n not in doubted},
        doubted=doubted,
        # Only beside those it tells anything.
        autosign=facts.known("autosign") if before else Autosign(),
    )
    directories = [*facts.seat.directories, facts.aside.top]
    return _host_look(facts, Role.MASTER, directories, retired, side)


def _look_at_agent(facts: AgentFacts, role: Role, retired: Retired | None) -> HostLook:
    _forget(facts)
    return _host_look(facts, role, [], retired, None)


def _forget(facts: HostFacts) -> None:
    """What was read for a preview holds until the run."""
    if facts.host.state.is_executing:
        facts.forget("ssl", "services", "agent", "components")


def _host_look(
    facts: HostFacts,
    role: Role,
    directories: list[str],
    retired: Retired | None,
    master: MasterSide | None,
) -> HostLook:
    of_it = facts.backups.of_ca(retired.fingerprint, retired.key) if retired is not None else []
    asked = time.time()
    clock_ahead = facts.clock() - (asked + time.time()) / 2
    found = facts.credentials(directories, [backup.name for backup in of_it])
    return HostLook(
        host=facts.host.name,
        role=role,
        deployment=facts.deployment,
        settings=facts.settings,
        clock_ahead=clock_ahead,
        ssl=facts.ssl,
        found=found,
        services=facts.services,
        last_run=facts.agent.last_run,
        disabled=facts.agent.disabled,
        master=master,
        credential_places=facts.credential_places,
        keystores=facts.keystores(found),
        stopped_by_run=facts.backups.stopped,
        strays=tuple(facts.strays),
        ports=facts.ports if isinstance(facts, MasterFacts) else {},
        silent_before=facts.backups.silent,
        csr_attributes=tuple(facts.csr_attributes),
    )


def _looked_at(_: Run) -> dict[str, AgentFacts]:
    """By host."""
    return {}


def _surveys(_: Run) -> dict[str, Survey]:
    """By moment."""
    return {}


def survey_of(run: Run, moment: str, make: Callable[[], Survey]) -> Survey:
    """The survey of a site at a moment of the run; the first who asks has it made."""
    with run.exclusively():
        surveys = run.part(_surveys)
        if moment not in surveys:
            surveys[moment] = make()
        return surveys[moment]


def known_survey(run: Run, moment: str) -> Survey | None:
    """The same, None if there is none."""
    return run.part(_surveys).get(moment)
