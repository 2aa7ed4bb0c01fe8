"""Step 6.7 on the master: what many agents ask for is compared and signed at once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from pyinfra.api import FunctionCommand, Host, State, StringCommand
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, ConnectorArguments, pop_global_arguments
from pyinfra.connectors.util import CommandOutput

from facts.entering import ENTERING
from facts.ssl import PemFiles
from operations.authority import ca_commands
from operations.authority.commands import WaitingRequest
from operations.clearing import REMOVING
from operations.placing import PLACING
from operations.readiness import silent_after_waiting
from operations.services import SERVICE_CHANGES
from operations.step import REMEMBER, LookingCommand, changing
from procedures.host import Look, ask
from procedures.outcomes import Outcomes
from procedures.renewal import AgentRenewal, renewals
from procedures.run import Run
from procedures.site import Site
from procedures.telling import reason_of
from recert.ca_records import CaRecords
from recert.certificates import utc_now
from recert.pasted import for_sh
from recert.signing import (
    Application,
    Judgement,
    Verdict,
    judge,
    more_than_judged,
)

BATCH = 100
"""Names to one start of the CA's program."""

FRUITLESS = 10
"""Starts in a row that sign nothing, after which it is not about names."""

# One rename, of whatever lies there: the directory is the service account's.
_SET_ASIDE = (
    REMEMBER
    + ENTERING
    + r"""
held=$1 root=$2 kept=$3
[ -e "$held" ] || [ -L "$held" ] || exit 0
private "$root"
private "$root/requests"
enter "${held%/*}"
mv -f -- "./${held##*/}" "$root/requests/$kept" || fail "$held cannot be moved away."
echo moved
"""
)


def connection(host: Host) -> ConnectorArguments:
    """How commands run on a host that is not the one whose operation this is: as root, if its
    data or the command line say so."""
    arguments, _ = pop_global_arguments(host.state, host, {})
    return {key: arguments[key] for key in CONNECTOR_ARGUMENT_KEYS if key in arguments}  # type: ignore[return-value, literal-required]


def run_on(host: Host, command: StringCommand) -> tuple[bool, CommandOutput]:
    """Run a command there and give back what it printed."""
    result: tuple[bool, CommandOutput] = command.execute(host.state, host, connection(host))
    return result


Heard = Callable[[bool, list[str]], None]
"""Told whether a command has succeeded, and the lines that it printed."""


def overheard(command: StringCommand, heard: Heard) -> FunctionCommand:
    """`command`, and somebody is told what it has printed."""

    def run(state: State, host: Host) -> bool:
        ok, output = run_on(host, command)
        heard(ok, output.output_lines)
        return bool(ok)

    return FunctionCommand(run, (), {})


def judge_and_sign(site: Site, host_name: str) -> tuple[Judgement, bool]:
    """The judgement over an agent's request, and whether it was signed just now.

    The first agent that comes has all that wait signed with its own; those that come
    later, where agents are not worked on together, make another round.
    """
    judged = site.run.part(_judged)
    with site.run.exclusively():
        if host_name not in judged:
            try:
                judged.update(_sign_round(site))
            except Exception as error:
                # Every other agent would wait for the same to fail again.
                for host, _ in renewals(site.run):
                    found = Judgement(Verdict.FAILED, f"The master cannot sign: {reason_of(error)}")
                    judged.setdefault(host.name, (found, False))
        return judged[host_name]


def _judged(_: Run) -> dict[str, tuple[Judgement, bool]]:
    """By host: and whether it was signed in this run."""
    return {}


def judge_again(site: Site, host_name: str) -> tuple[Judgement, bool]:
    """As `judge_and_sign`, after an agent has asked anew."""
    judged = site.run.part(_judged)
    with site.run.exclusively():
        # Unless one who came before had it signed with its own, as all that have asked anew.
        if judged[host_name][0].verdict is not Verdict.SIGNED:
            del judged[host_name]
        return judge_and_sign(site, host_name)


def set_aside(renewal: AgentRenewal, found: str) -> str | None:
    """Move on the master what waits under an agent's name and is not its own beside the backups,
    and say so; what went wrong, None if nothing did.

    :param found: what it is, as `recert.signing.foreign_request` tells.
    """
    site, certname = renewal.site, renewal.facts.settings.certname
    facts = site.view().facts
    held = f"{facts.settings.csrdir}/{certname}.pem"
    kept = f"{certname}.{utc_now():%Y%m%dT%H%M%S.%fZ}.pem"
    # A server takes ten sessions of one connection, and whoever likes sends for every name.
    with site.run.exclusively():
        ok, output = run_on(
            site.master, changing(facts.lock, _SET_ASIDE, held, facts.backup_root, kept, limit=60)
        )
    if not ok:
        return "\n".join([f"{held} on the master is not this agent's.", *_complaints(output)[-4:]])
    if "moved" not in output.stdout_lines:
        return None  # somebody has taken it away meanwhile
    site.run.part(Outcomes).remark(
        renewal.facts.host,
        f"The master held a request under this name that was not this agent's ({found}). It was "
        f"moved to {facts.backup_root}/requests/{kept} there, unsigned: find out who sent it.",
    )
    return None


def _sign_round(site: Site) -> dict[str, tuple[Judgement, bool]]:
    site.forget_ca_records()
    ca_records = site.ca_records()
    applications: dict[str, Application] = {}
    judgements: dict[str, Judgement] = {}
    for host, renewal in renewals(site.run):
        before, _ = site.run.part(_judged).get(host.name, (None, False))
        if before is not None and before.verdict is not Verdict.FOREIGN:
            continue
        try:
            application = renewal.application_for(ca_records)
        except Exception as error:
            # What one asks for beyond the usual keeps nobody else's from being signed.
            unknown = f"What its previous certificate had is not known: {reason_of(error)}"
            judgements[host.name] = Judgement(Verdict.FAILED, unknown)
            continue
        if application is not None:
            applications[host.name] = application
            judgements[host.name] = judge(application, ca_records)
    results = {name: (judgement, False) for name, judgement in judgements.items()}
    # One start of Puppet for all: who has alternative names was judged for each.
    due = {name: applications[name] for name, found in judgements.items() if found.may_be_signed}
    verdicts = {found.verdict for found in judgements.values()}
    alt_names = Verdict.SIGN_WITH_ALT_NAMES in verdicts
    problems = _sign(site, ca_records, list(due.values()), alt_names)
    for name, application in due.items():
        why = problems.get(application.certname)
        if why is None:
            results[name] = (Judgement(Verdict.SIGNED), True)
        else:
            results[name] = (Judgement(Verdict.FAILED, why), False)
    return results


def _sign(
    site: Site, ca_records: CaRecords, applications: list[Application], alt_names: bool
) -> dict[str, str]:
    """Sign these, a hundred to one start of the CA's program, and say of which that was not
    possible, by certname, and why.

    One that stops at the first that it cannot sign, as `puppet cert` does, is had to try again what
    comes after that one.
    """
    facts = site.view().facts
    authority = facts.deployment.authority
    commands = ca_commands(authority)
    conf = facts.settings
    problems: dict[str, str] = {}
    todo = list(applications)
    fruitless = 0
    while todo:
        batch = todo[:BATCH]
        waiting = [
            WaitingRequest(name, hashlib.sha256(pem.encode()).hexdigest())
            for name in (application.certname for application in batch)
            for pem in [ca_records.request_pem(name) or ""]
        ]
        names = [application.certname for application in batch]
        signed: dict[str, Any] = {"directory": conf.signeddir, "names": names}
        answers: list[dict[str, str]] = []
        typed = commands.sign(conf, waiting, alt_names)
        signing = LookingCommand(
            changing(facts.lock, typed.script, *typed.arguments, limit=600),
            Look([(PemFiles, signed)], answers.clear, answers.extend),
        )
        _, output = run_on(site.master, signing)
        site.learn_signed(answers[0] if answers else ask(site.master, PemFiles, **signed))
        unsigned = []
        for application in batch:
            cert = site.ca_records().signed(application.certname)
            if misnamed := site.ca_records().misnamed(application.certname):
                problems[application.certname] = (
                    f"The master has signed under {application.certname} what is for "
                    f"{misnamed.subject}. Revoke it at once: "
                    + for_sh(authority.clean, application.certname)
                )
            elif cert is None:
                unsigned.append(application)
            elif cert.key != application.key:
                problems[application.certname] = (
                    f"The master has signed another key under {application.certname}. Revoke it at "
                    f"once: {for_sh(authority.clean, application.certname)}"
                )
            elif more := more_than_judged(cert, application, ca_records):
                problems[application.certname] = (
                    f"What the master has signed for {application.certname} says more than the "
                    f"request that was compared ({more}): somebody has put another in its place. "
                    f"Revoke it at once: {for_sh(authority.clean, application.certname)}"
                )
        complaints = _complaints(output)
        said = [line for line in complaints if line.lower().startswith("err")] or complaints
        fruitless = fruitless + 1 if len(unsigned) == len(batch) else 0
        given_up = fruitless == FRUITLESS
        for application in todo if given_up else unsigned[:1]:
            problems[application.certname] = "\n".join(
                [f"The master did not sign {application.certname}:", *said[-4:]]
            )
        todo = [] if given_up else unsigned[1:] + todo[BATCH:]
    return problems


def _complaints(output: CommandOutput) -> list[str]:
    """What a command says of a failure; on a terminal, which sudo may want, that is not apart."""
    lines = output.stderr_lines or output.stdout_lines
    return [line for line in lines if line.strip()]


def clean_all(site: Site) -> str | None:
    """Revoke and remove on the master what is to be retired of this run's agents, and have it
    honour that, which a running master does only after a restart; what went wrong, None if
    nothing did. The first agent that comes does it for all.

    :raises DeployError: the master does not answer.
    """
    return site.run.once("cleaned", lambda: _clean_round(site))


def revocation_due(renewal: AgentRenewal) -> bool:
    """Whether the master still accepts a certificate of this agent that is to be retired."""
    return not all(map(renewal.site.refuses, renewal.named.values()))


def all_to_be_revoked(site: Site) -> frozenset[str]:
    """The hosts of which that is so."""
    return frozenset(host.name for host, renewal in renewals(site.run) if revocation_due(renewal))


def _clean_round(site: Site) -> str | None:
    facts = site.view().facts
    conf, ca_records = facts.settings, site.ca_records()
    certs = [
        (renewal.facts.settings.certname, cert)
        for _, renewal in renewals(site.run)
        for cert in renewal.named.values()
    ]
    names = sorted({name for name, _ in certs} & set(ca_records.retired_names))
    # What an agent has, but the CA does not keep under its name, is known to it by its number.
    serials = [
        f"0x{cert.serial:x}"
        for name, cert in certs
        if cert.serial not in ca_records.revoked
        and ca_records.ca is not None
        and cert.issued_by(ca_records.ca)
        and ca_records.ever_signed(name) != cert
    ]
    commands = ca_commands(facts.deployment.authority)
    for act, words in ((commands.clean, names), (commands.revoke, serials)):
        for start in range(0, len(words), BATCH):
            typed = act(conf, words[start : start + BATCH])
            ok, output = run_on(
                site.master,
                changing(facts.lock, typed.script, *typed.arguments, limit=600),
            )
            if not ok:
                return "\n".join(_complaints(output)[-6:])
    ok, output = run_on(
        site.master,
        changing(
            facts.lock,
            SERVICE_CHANGES
            + REMEMBER
            + PLACING
            + REMOVING
            + r"""
copied() { # what leads to the CA's own is it already
    [ "$(readlink -f "$hostcrl")" = "$(readlink -f "$cacrl")" ] || place "$cacrl" "$1" "$owner" 0644
}
cacrl=$1 hostcrl=$2 owner=$3
# A master that stays down could not be asked again.
copied "$2.new" || fail "The CRL could not be copied to $2."
stop_service "$4"
copied "$2"
moved=$?
remove "$2.new"
start_service "$4"
[ "$moved" -eq 0 ] || fail "The CRL could not be put to $2."
root=$5; shift 5
for fingerprint in "$@"; do remember "$root" refused "$fingerprint"; done
""",
            facts.listeners,
            conf.cacrl,
            conf.hostcrl,
            f"{conf.user}:{conf.group}",
            facts.seat.server,
            facts.backup_root,
            *sorted(cert.fingerprint for _, cert in certs),
            limit=900,
        ),
    )
    if not ok:
        return "\n".join(_complaints(output)[-6:])
    facts.forget("ssl", "backups")
    for name, why in silent_after_waiting(facts, [facts.seat.server]).items():
        return f"{name} {why}"
    facts.forget("presented")
    site.forget_ca_records()
    if problem := site.ca_problem(site.view()):
        return problem
    still = [name for name, cert in certs if cert.serial not in site.ca_records().revoked]
    if still:
        return f"The master has not revoked the certificates of {', '.join(sorted(still))}."
    return None
