"""Step 6: an agent gets a certificate of its master's CA, sub-step by sub-step.

pyinfra takes every agent through one operation before it takes any to the next, so an agent
that hangs would hold up the rest: each command has a time limit, except in the last step.
"""

from __future__ import annotations

from pyinfra import host
from pyinfra.api import FunctionCommand, operation

from operations.backup import make_backup
from operations.hands import Commands, hands_of
from operations.on_agent import (
    LIMIT,
    all_at_once,
    failed,
    on_agent,
    run_over,
    services_started,
    show_started,
)
from operations.services import RUN_LIMIT
from operations.signing import (
    all_to_be_revoked,
    clean_all,
    judge_again,
    judge_and_sign,
    revocation_due,
    set_aside,
)
from operations.step import printable, show_diff, step_failed
from procedures.outcomes import Outcomes
from procedures.renewal import AgentRenewal, renewal_of
from procedures.run import run_of
from procedures.site import Site
from recert.ca_records import Autosigning
from recert.certificates import describe, read_certificate
from recert.extensions import csr_attributes, named
from recert.freshness import Retired
from recert.observed import Service
from recert.outcomes import Status
from recert.signing import (
    Verdict,
)

BEGIN_LIMIT = 30
"""Seconds in which the agent's service, once started, begins its first run."""

_DONE_ALREADY = FunctionCommand(lambda state, host: True, (), {})
"""Counts as a change that was made elsewhere: on the master, or by the agent's own service."""


@all_at_once
@operation()
def master_verified() -> Commands:
    """
    Let no agent be changed unless its master serves under a fresh CA at this moment.
    """
    if not host.state.is_executing:
        return
    problem = run_of(host.state).part(Site).master_problem()
    if problem is not None:
        yield failed([f"No agent was changed: {problem}"])


@on_agent
def revoked() -> Commands:
    """
    Have the master revoke and remove the certificate that is to be retired, and honour that
    (the document's overview: `puppet cert clean`). Done for all agents at once.
    """
    renewal = renewal_of(host)
    site, certname = renewal.site, renewal.facts.settings.certname
    if host.state.is_executing:
        # Whoever comes first has it done for all, who are then to be told that it was.
        due = host.name in site.run.once("to be revoked", lambda: all_to_be_revoked(site))
    else:
        due = revocation_due(renewal)
    if not due:
        host.noop("what is to be retired is revoked, and the master refuses it")
        return
    certs = [line for cert in renewal.named.values() for line in describe(cert)]
    show_diff(host, f"Certificate of {certname} at the CA", certs, ["revoked"])
    if not host.state.is_executing:
        yield _DONE_ALREADY
        return
    problem = clean_all(site)
    if problem is not None:
        yield failed([problem])
    else:
        yield _DONE_ALREADY


@on_agent
def backed_up() -> Commands:
    """
    Back up the agent's ssldir, readable by root only, read back and compared (step 6.1).
    """
    renewal = renewal_of(host)
    facts = renewal.facts
    if not renewal.backup_due:
        host.noop("what is going to be deleted is backed up")
        return
    trusted = renewal.now.trusted_ca
    of = Retired(trusted.fingerprint, trusted.key) if trusted is not None else None
    yield from make_backup(facts, hands_of(facts).archive, of, trusted, limit=LIMIT)
    if facts.backups.unsaved:
        yield failed([f"The backup in {facts.backup_root} does not hold what it should"])


@on_agent
def stopped(service: str) -> Commands:
    """
    Stop a service of the agent while its credentials are replaced (steps 6.2 and 6.3).

    + service: its name; a Puppet run that it has begun is let finish
    """
    renewal = renewal_of(host)
    facts = renewal.facts
    running = facts.services[service].active
    runs_puppet = service == facts.deployment.agent.puppet
    applying = runs_puppet and facts.agent.running is not None
    if not renewal.now.replacement_due or not (running or applying):
        host.noop("nothing has to be replaced, or the service does not run")
        return
    before = f"{service}: {facts.services[service].value}"
    show_diff(host, "Service", [before], [f"{service}: stopped"])
    if applying:
        yield from run_over(facts, LIMIT)
    if not running:
        return
    renewal.note_stopped(service)
    yield from hands_of(facts).stop(service, LIMIT)
    facts.learn_services(Service.STOPPED, service)
    if runs_puppet and facts.agent.running is not None:
        yield from run_over(facts, LIMIT)


@on_agent
def ssldir_deleted() -> Commands:
    """
    Delete the agent's SSL directory (step 6.4).

    Of a renewal that has begun only what is of no use goes. A symbolic link or a mount point
    is emptied and stays, and nothing beyond a further mount point is touched.
    """
    renewal = renewal_of(host)
    facts, now = renewal.facts, renewal.now
    remains = now.remains
    if not remains:
        host.noop("nothing in ssldir is stale")
        return
    lines = []
    for path in remains:
        lines.append(f"{path} {facts.ssl.files[path].describe()}")
        cert = read_certificate(facts.ssl.texts.get(path, ""))
        lines += [f"    {line}" for line in describe(cert, now.ca_records.ca)]
    show_diff(host, "Remove", lines, [])
    if now.everything_goes:
        yield from hands_of(facts).empty_ssldir(now.others, LIMIT)
    else:
        yield from hands_of(facts).remove(remains, LIMIT)
        facts.forget("ssl")


@on_agent
def catalog_removed() -> Commands:
    """Remove the agent's cached catalog (step 6.5)."""
    renewal = renewal_of(host)
    facts = renewal.facts
    path, catalog = facts.settings.cached_catalog, facts.agent.catalog
    if catalog is None or not renewal.now.catalog_due(catalog):
        host.noop("no catalog from before the agent's certificate is cached")
        return
    show_diff(host, "Remove", [f"{path} {catalog.describe()}"], [])
    yield from hands_of(facts).remove([path], LIMIT)


@on_agent
def ca_placed() -> Commands:
    """
    Put the new CA's certificate where the agent looks for it, before it talks to its master: it
    would otherwise take whichever it is offered (step 6.6).
    """
    renewal = renewal_of(host)
    facts, now = renewal.facts, renewal.now
    conf, ca = facts.settings, now.ca_records.ca
    if not now.ca_due:
        host.noop("the agent trusts the master's CA")
        return
    after = describe(ca) if ca is not None else ["the new CA's certificate"]
    show_diff(host, f"CA certificate {conf.localcacert}", describe(now.trusted_ca), after)
    yield from hands_of(facts).place_ca(ca.pem if ca is not None else None, LIMIT)
    if not renewal.now.trusts_ca_in_place:
        yield failed([f"{conf.localcacert} is not the certificate of the master's CA"])


@on_agent
def requested() -> Commands:
    """
    Let the agent make its key and request a certificate from its master (step 6.6).
    """
    renewal = renewal_of(host)
    facts, now = renewal.facts, renewal.now
    conf = facts.settings
    if not now.request_due:
        host.noop("the master has the agent's request")
        renewal.apply()
        return
    after = [f"subject:     {conf.certname}", "issuer:      the new CA", "a new key"]
    if renewal.alt_names:
        names = sorted({*renewal.alt_names, conf.certname})
        after.append(f"alt names:   {', '.join(f'DNS:{name}' for name in names)}")
    if renewal.previous_extensions:
        after.append(f"extensions:  {named(renewal.previous_extensions)}")
    before = describe(now.certificate, now.ca_records.ca)
    show_diff(host, f"Certificate {now.paths.certificate}", before, after)
    foreign = now.foreign_request
    if foreign is not None:
        waiting = f"Request under the name {conf.certname} on the master"
        show_diff(host, waiting, [f"of somebody else ({foreign})"], ["moved beside the backups"])
    yield from _asked(renewal, foreign)


def _asked(renewal: AgentRenewal, foreign: str | None) -> Commands:
    """Have the agent ask for its certificate.

    :param foreign: what waits on the master under its name and is not its own.
    """
    now = renewal.now
    if foreign is not None and host.state.is_executing:
        problem = set_aside(renewal, foreign)
        if problem is not None:
            yield failed([problem])
            return
        if now.request is None and now.paths.request in now.ssl.files:
            # Puppet has fetched the other one, and would compare its key with that.
            yield from hands_of(renewal.facts).remove([now.paths.request], LIMIT)
    signs_itself = now.ca_records.autosign.kind is not Autosigning.OFF

    def heard(ok: bool, said: list[str]) -> None:
        renewal.puppet_said = said
        if not ok:
            for line in renewal.errors_said:
                host.log(printable(line))
            renewal.site.run.part(Outcomes).reason(host, renewal.errors_said)

    attributes = csr_attributes(renewal.put_back) if renewal.put_back else ""
    yield from hands_of(renewal.facts).ask_for_certificate(
        now.paths, signs_itself, LIMIT, heard, attributes, renewal.alt_names_to_say
    )
    renewal.requested = True
    renewal.apply()


@on_agent
def signed() -> Commands:
    """
    Have the master sign the agent's request, if it is the very one that the agent's own file
    holds (step 6.7). All agents' requests are signed together.
    """
    renewal = renewal_of(host)
    facts = renewal.facts
    if not host.state.is_executing:
        if renewal.signature_due:
            show_diff(host, "Request", ["waits on the master"], ["signed there"])
            yield _DONE_ALREADY
        return
    if renewal.now.certificate_problem is None:
        if renewal.requested and renewal.now.ca_records.autosign.kind is Autosigning.POLICY:
            # What the master's program would say was not known to the preview.
            yield _DONE_ALREADY
        else:
            host.noop("the agent has its certificate")
        return
    if renewal.application is None:
        yield failed(["Puppet has made no request that belongs to its key.", *renewal.errors_said])
        return
    judgement, signed_now = judge_and_sign(renewal.site, host.name)
    if judgement.verdict is Verdict.FOREIGN:
        # Another request was quicker than the agent's own. Not for ever: whose it is goes on.
        yield from _asked(renewal, renewal.now.foreign_request)
        judgement, signed_now = judge_again(renewal.site, host.name)
    if judgement.verdict is Verdict.UNKNOWN:
        yield failed([judgement.why, *renewal.errors_said])
    elif judgement.verdict in (Verdict.ANOTHER, Verdict.FOREIGN, Verdict.FAILED):
        yield failed([judgement.why])
    elif judgement.verdict is Verdict.UNSEEN:
        host.log(judgement.why)  # `proven` fails for it, when the services run again
    elif judgement.verdict is not Verdict.SIGNED:
        renewal.waiting = judgement.why
        host.log(judgement.why)
    elif signed_now:
        yield _DONE_ALREADY
    facts.forget("ssl")


@on_agent
def started() -> Commands:
    """
    Start those of the agent's services that ran before (step 6.6), except what is of use only
    after the Puppet run that follows.
    """
    renewal = renewal_of(host)
    stopping = not host.state.is_executing and renewal.now.replacement_due
    yield from services_started(renewal, stopping, renewal.started_after_the_run)


@on_agent
def proven() -> Commands:
    """
    Prove that the agent has a certificate of the master's CA and has completed a Puppet run
    under it: the one that its service begins when it is started, or else one of our own. Then
    start what had to wait for the first.
    """
    renewal = renewal_of(host)
    facts = renewal.facts
    conf, outcomes = facts.settings, renewal.site.run.part(Outcomes)
    if host.state.is_executing and (unseen := renewal.unseen) is not None:
        yield failed([unseen])
        return
    if not renewal.run_follows:
        host.noop("a Puppet run has succeeded since the certificate was made")
        if host.state.is_executing:
            touched = outcomes.was_touched(host)
            outcomes.settle(host, Status.RENEWED if touched else Status.FRESH)
        return
    before = "last run: none under this certificate"
    later = renewal.started_after_the_run
    show_diff(host, "Puppet run", [before], ["last run: succeeded under the new CA"])
    show_started(later)
    if renewal.waiting is not None:
        outcomes.settle(host, Status.WAITING, "6.7", renewal.waiting)
        yield step_failed([renewal.waiting])
    puppet = facts.deployment.agent.puppet
    if facts.services[puppet] is Service.RUNNING:
        certificate = facts.paths(conf.certname).certificate
        yield from hands_of(facts).await_first_run(certificate, BEGIN_LIMIT, RUN_LIMIT)
        if host.state.is_executing and facts.services[puppet] is Service.STOPPED:
            # As it does where it cannot fetch a CRL at that moment.
            yield from hands_of(facts).start([puppet], [], [], LIMIT)
            facts.learn_services(Service.RUNNING, puppet)
    if later:
        yield from hands_of(facts).start(later, [], [], LIMIT)
        facts.learn_services(Service.RUNNING, *later)
        renewal.note_started()
    if renewal.run_due:
        yield from hands_of(facts).run_puppet(RUN_LIMIT)
    else:
        yield _DONE_ALREADY
    problem = renewal.now.certificate_problem
    if problem is not None:
        yield failed([problem])
    elif (unseen := renewal.unseen) is not None:
        yield failed([unseen])
    elif renewal.run_due:
        yield failed(
            [f"Puppet ended without an error, but {conf.lastrunfile} shows no successful run"]
        )
    outcomes.settle(host, Status.RENEWED)
