"""Going back, on an agent: what is known of one that is to hold again what it held under its
master's former CA."""

from __future__ import annotations

from pyinfra.api import Host
from pyinfra.api.exceptions import DeployError

from facts.backups import Backups
from procedures.agent import AgentFacts, AgentRefusedError, AgentWork, refused_alone
from procedures.deployment import deployment_of_master, known_deployment
from procedures.host import ask
from procedures.master import MasterFacts
from procedures.outcomes import Outcomes
from procedures.platforms import facts_by_settings, platform_of
from procedures.preflight import backup_root_of, check_restorable, send_at_once
from procedures.renewal import left_out
from procedures.run import Run, run_of
from procedures.telling import reason_of
from recert.backups import Backup, Manifest
from recert.certificates import Certificate, read_certificate
from recert.errors import RecertError
from recert.settings import stored_settings
from recert.site_cas import SiteCas


class AgentRestoration(AgentWork):
    """An agent that goes back. `backup`: to which, None if it holds what it held all the time."""

    def __init__(self, facts: AgentFacts, name: str | None, cas: SiteCas) -> None:
        super().__init__(facts)
        self._name = name
        self._cas = cas

    @property
    def trusted_ca(self) -> Certificate | None:
        """As for `Renewal`."""
        return self._cas.trusted(self._trusted, self.facts.certificate_in_use)

    @property
    def cas(self) -> list[Certificate]:
        """The site's, of those that the agent trusts."""
        return self._cas.among(self._trusted)

    @property
    def _trusted(self) -> str:
        return self.facts.ssl.texts.get(self.facts.settings.localcacert, "")

    @property
    def backup(self) -> Backup | None:
        return next((b for b in self.facts.backups.backups if b.name == self._name), None)

    @property
    def work_due(self) -> bool:
        return self.backup is not None and self.backup.differs


def _restorations(_: Run) -> dict[str, AgentRestoration]:
    """By host."""
    return {}


def agent_restoration_of(host: Host) -> AgentRestoration:
    """What `prepare_agent_restoration` made of an agent."""
    return run_of(host.state).part(_restorations)[host.name]


def prepare_agent_restoration(host: Host) -> bool:
    """The agent's backup that belongs to the one of its master that the data `backup` names: the
    newest that was made while the agent trusted that CA.

    :returns: whether the agent takes part.
    """
    run = run_of(host.state)
    host = host.inventory.get_host(host.name)
    outcomes = run.part(Outcomes)
    try:
        restoration = _prepared(host, run)
    except DeployError:
        raise
    except Exception as error:
        left_out(host, outcomes, reason_of(error).splitlines())
        return False
    run.part(_restorations)[host.name] = restoration
    outcomes.prepared(host, restoration.work_due)
    return True


def _prepared(host: Host, run: Run) -> AgentRestoration:
    """:raises AgentRefusedError: it cannot go back."""
    ca, cas = restored_ca(run), _ever_had(run)
    _, store = platform_of(host).kept(host)
    of_it = store.of_ca(ca.fingerprint, ca.key)
    fitting = [b for b in of_it if b.valid]
    if fitting:
        backup = fitting[-1]
        with refused_alone():
            deployment = known_deployment(run.master)
            settings = stored_settings(
                backup.manifest.settings, deployment, rules=platform_of(host).rules
            )
            facts = facts_by_settings(host, settings)
            check_restorable(facts, backup.manifest)
        restoration = AgentRestoration(facts, backup.name, cas)
        if restoration.work_due:
            known = [ca, *restoration.cas]
            if refusals := facts.refusals_to_go_back(backup, known):
                raise AgentRefusedError(*refusals)
        return restoration
    facts = facts_by_settings(host, None)
    cert = facts.certificate_in_use
    if cert is not None and cert.issued_by(ca):
        return AgentRestoration(facts, None, cas)
    damaged = ", ".join(b.name for b in of_it)
    raise AgentRefusedError(
        f"It has no backup from under that CA ({ca.fingerprint})"
        + (f" but damaged ones ({damaged})" if damaged else "")
        + ", and its certificate is of another. Once the master is back, "
        "deploys/agents.py gets it a new one."
    )


def restored_ca(run: Run) -> Certificate:
    """The CA to which the master goes back, or has gone.

    :raises DeployError: the master's backup says nothing of one.
    """
    return _restored(run)[1]


def _ever_had(run: Run) -> SiteCas:
    """The CAs of the site, the one among them that is in place when the run begins.

    :raises DeployError: the master cannot tell.
    """

    def read() -> SiteCas:
        facts, _, manifests = _restored(run)
        texts, conf = facts.ssl.texts, facts.settings
        in_place = read_certificate(texts.get(conf.cacert, ""))
        return SiteCas.of(in_place, None, manifests)

    return run.once("CAs ever had", read, lasting=True)


def _restored(run: Run) -> tuple[MasterFacts, Certificate, list[Manifest]]:
    return run.once("restored CA", lambda: _read_restored(run), lasting=True)


def master_not_back(run: Run) -> str | None:
    """Why no agent may be changed now; None if the master serves under the restored CA."""
    return run.once("not back", lambda: _find_problem(run))


def _find_problem(run: Run) -> str | None:
    if run.master in run.state.failed_hosts:
        return "the master failed before; see above."
    try:
        facts, ca, _ = _read_restored(run)
        in_place = read_certificate(facts.ssl.texts.get(facts.settings.cacert, ""))
        presented = facts.presented
    except Exception as error:
        return f"the master cannot be asked: {reason_of(error)}"
    if in_place is None or in_place.fingerprint != ca.fingerprint:
        return "the master does not have the CA of that backup in place. Restore it first."
    if presented is None or not presented.issued_by(ca):
        port = facts.port_of(facts.seat.server)
        return f"the master does not present a certificate of the restored CA on port {port}."
    return None


def _read_restored(run: Run) -> tuple[MasterFacts, Certificate, list[Manifest]]:
    master = run.master
    try:
        name = run.options.backup
    except RecertError as error:
        raise DeployError(f"Nothing was changed: {error}") from error
    send_at_once(master)
    root = backup_root_of(master)
    store = ask(master, Backups, root=root, paths=[])
    found = next((b for b in store.backups if b.name == name), None)
    ca = read_certificate(found.manifest.ca_certificate or "") if found is not None else None
    if found is None or ca is None:
        names = ", ".join(b.name for b in store.backups) or "none"
        raise DeployError(
            f"Nothing was changed: {name} is no backup on the master {master.name} that holds a "
            f"CA, and agents go back with their master's; there are: {names}"
        )
    try:
        deployment = deployment_of_master(master)
        settings = stored_settings(found.manifest.settings, deployment)
        manifests = [backup.manifest for backup in store.backups]
        return MasterFacts(master, settings, root, deployment), ca, manifests
    except RecertError as error:
        raise DeployError(f"Nothing was changed: {name}: {error}") from error
