"""A verification in one run: how it is prepared, what it tries on the hosts, what came of it."""

from __future__ import annotations

from pyinfra.api import Host
from pyinfra.api.exceptions import DeployError

from facts.handshakes import TlsHandshakes
from procedures.host import HostFacts
from procedures.looks import (
    BEFORE,
    NOW,
    Survey,
    agent_facts,
    master_facts,
    retired_of,
    role_of,
    survey_of,
)
from procedures.master import MasterFacts
from procedures.names import names_of
from procedures.orchestration import ask_orchestration
from procedures.platforms import platform_of
from procedures.run import AGENTS, WINDOWS_AGENTS, Run, run_of
from procedures.telling import command_line, reason_of
from recert.deployments.model import NOWHERE
from recert.errors import RecertError
from recert.freshness import Retired
from recert.observed import Handshakes, Orchestration, Service
from recert.options import RunMode
from recert.orchestration import awaited
from recert.report import Check, Result, Role
from recert.verification import AGAIN, About, Evidence, RunSeen, verify


class Verification:
    """What the verification of a site has tried and seen."""

    def __init__(self, run: Run, mode: RunMode, survey: Survey) -> None:
        self.run = run
        self.mode = mode
        self.survey = survey
        self._handshakes = Handshakes()
        self._runs: dict[str, RunSeen] = {}
        self._orchestration: Orchestration | None = None
        self._checks: tuple[Check, ...] | None = None
        self._failed: dict[str, list[Check]] | None = None

    def facts(self, host: Host) -> HostFacts:
        """
        :raises Exception: the host does not answer, or nothing can be done on it.
        """
        if role_of(self.run, host) is Role.MASTER:
            return master_facts(self.run)
        return agent_facts(self.run, host)

    def ran(self, host: Host, run: RunSeen) -> None:
        """What came of a Puppet run."""
        self._runs[host.name] = run

    def look(self, host: Host) -> None:
        """Look at everything on a host, and try its services."""
        look = self.survey.look(host)
        run = self.run
        if run.master not in run.state.active_hosts:
            # Nobody's certificate can be judged without the CA.
            run.once("master looked at", lambda: self.survey.look(run.master))
        if look.settings is None:
            return
        facts = self.facts(host)
        if isinstance(facts, MasterFacts):
            self._handshakes = self._shake_hands(facts)
        self._checks = self._failed = None

    def _shake_hands(self, facts: MasterFacts) -> Handshakes:
        conf = facts.settings
        own = facts.paths(conf.certname)
        retired = self.survey.retired
        backups = facts.backups.of_ca(retired.fingerprint) if retired is not None else []
        of_ca = [b for b in backups if b.manifest.certificate] or backups
        return facts.seen(
            TlsHandshakes,
            addresses=facts.addresses,
            services=[
                (name, facts.port_of(name), endpoint.handshake, ",".join(facts.bound(name)))
                for name, endpoint in facts.seat.endpoints.items()
                if facts.port_of(name) != NOWHERE
                and facts.services.get(name) is not Service.MISSING
            ],
            current=(own.certificate, own.private_key),
            retired=(
                f"{facts.backup_root}/{of_ca[0].name}/archive.tar",
                own.certificate.removeprefix("/"),
                own.private_key.removeprefix("/"),
            )
            if of_ca
            else None,
        )

    def checks(self) -> tuple[Check, ...]:
        """Every check, once all hosts have been looked at."""
        with self.run.exclusively():
            if self._checks is None:
                evidence = Evidence(
                    self._handshakes,
                    self._runs,
                    self._orchestration,
                    self._left_out(),
                )
                checks = verify(self.survey.state(), evidence)
                in_limit = self.run.state.is_host_in_limit(self.run.master)
                others = tuple(c for c in checks if c.host != self.run.master.name)
                self._checks = checks if in_limit else others
            return self._checks

    def failed_on(self, host: Host) -> list[Check]:
        """The checks that a host has failed; nothing is proven that cannot be judged."""
        try:
            checks = self.checks()
        except Exception as error:
            saw = f"what was seen cannot be judged: {reason_of(error)}"
            about, did = About.ASKED.value, "looked at the hosts"
            return [Check(about, host.name, did, saw, Result.FAILED, AGAIN)]
        with self.run.exclusively():
            if self._failed is None:
                self._failed = {}
                for check in checks:
                    if check.result is Result.FAILED:
                        self._failed.setdefault(check.host, []).append(check)
            return self._failed.get(host.name, [])

    def ask_orchestration(self) -> None:
        """Ask who answers in orchestration, once for the whole run and after every look."""
        self.run.once("orchestration asked", self._ask_orchestration)

    def _ask_orchestration(self) -> None:
        try:
            facts = master_facts(self.run)
            if facts.deployment.messaging is None:
                return
            hosts = awaited(self.survey.state())
            self._orchestration = ask_orchestration(facts, hosts)
        except Exception as error:
            self._orchestration = Orchestration(why=reason_of(error), failed=True)
        self._checks = self._failed = None

    def _left_out(self) -> dict[str, frozenset[str]]:
        names = (AGENTS, WINDOWS_AGENTS)
        hosts = [host for name in names for host in self.run.group(name)]
        return {host.name: names_of(host) for host in hosts if not self.run.has_agent(host)}


def verification_of(run: Run) -> Verification | None:
    """The verification that is part of this run, if one is."""
    return run.part(_verification) if run.has_part(_verification) else None


def prepare_verification(host: Host) -> Verification:
    """
    :raises DeployError: no CA is named that is to be gone.
    """
    run = run_of(host.state)
    with run.exclusively():
        verification = run.part(_verification)
    platform_of(host).speak(host)
    if run.renews:
        survey_before(host)
    return verification


def _verification(run: Run) -> Verification:
    run.require_grouped()
    facts = _master_facts_or_none(run)
    retired = retired_of(run, facts)
    if retired is None:
        raise DeployError(_unnamed(facts))
    if facts is not None and not run.renews and _is_unknown(facts, retired):
        raise DeployError(_unknown(facts, retired))
    survey = survey_of(run, NOW, lambda: Survey(run, retired))
    return Verification(run, _mode(run), survey)


def survey_before(host: Host) -> None:
    """Look at a host before the run that replaces its credentials."""
    run = run_of(host.state)
    retired = run.part(_verification).survey.retired
    survey_of(run, BEFORE, lambda: Survey(run, retired, retiring=True)).look(host)


def _master_facts_or_none(run: Run) -> MasterFacts | None:
    try:
        return master_facts(run)
    except Exception:
        if run.renews:
            raise
        return None  # its look says why


def _is_unknown(facts: MasterFacts, retired: Retired) -> bool:
    """Whether comparing with that CA would be comparing with nothing, and pass whatever is there:
    with a fingerprint mistyped, for one."""
    return retired.certificate is None and not facts.backups.of_ca(retired.fingerprint)


def _unknown(facts: MasterFacts, retired: Retired) -> str:
    manifests = [backup.manifest for backup in facts.backups.backups]
    known = dict.fromkeys(m.ca_fingerprint for m in manifests if m.ca_fingerprint)
    return "\n".join(
        [
            f"Nothing was verified: retire_ca={retired.fingerprint} is no CA that this master has "
            "or has a backup of, so that nothing could be told from what belongs to it.",
            *(f"  There is a backup of {fingerprint}" for fingerprint in known),
            f"  If it is the right one, put its backup back below {facts.backup_root}.",
        ]
    )


def _unnamed(facts: MasterFacts | None) -> str:
    lines = ["Nothing was verified: the CA that is to be gone is not named."]
    manifests = [b.manifest for b in facts.backups.backups] if facts is not None else []
    named = [m.ca_fingerprint for m in manifests if m.ca_fingerprint]
    if named:
        lines.append(f"  The last one of which a backup was made: retire_ca={named[-1]}")
    lines.append(f"    {command_line()} --data retire_ca=<SHA-256 fingerprint>")
    return "\n".join(lines)


def _mode(run: Run) -> RunMode:
    if run.renews:
        return RunMode.LAST
    try:
        return run.options.puppet_run
    except RecertError as error:
        raise DeployError(f"Nothing was verified: {error}") from error
