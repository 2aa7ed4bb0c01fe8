"""Step 6: what is known of an agent that is to get a certificate of its master's CA, and what
forbids it. A refusal concerns the one agent alone; the others go on."""

from __future__ import annotations

from dataclasses import replace

from pyinfra.api import Host
from pyinfra.api.exceptions import DeployError

from connectors.limits import give_turn
from procedures.agent import (
    AgentFacts,
    AgentRefusedError,
    AgentWork,
    KnownAgent,
)
from procedures.identity import identities_of
from procedures.options import added_to, options_of
from procedures.outcomes import Outcomes
from procedures.platforms import platform_of
from procedures.run import Run, run_of
from procedures.site import MasterView, Site
from procedures.telling import command_line, reason_of, say, shortened, warn
from recert import preflight
from recert.altnames import signable, told_alt_names
from recert.ca_records import CaRecords
from recert.certificates import (
    Certificate,
    describe,
    read_certificate,
    utc_now,
)
from recert.extensions import loss_refusals
from recert.identity import (
    contradicts,
    never_believed,
    not_proven,
    other_hosts_name,
    proves,
    same_key,
)
from recert.observed import Service
from recert.others import SURVEYED, other_names, told, told_of_other_cas, told_of_readers
from recert.renewal import Renewal
from recert.server_configuration import alt_name_refusals
from recert.settings import Settings
from recert.signing import Application, Before, another_key_refusals, certified, signed_unseen


class AgentRenewal(AgentWork):
    """An agent in one run: the judgement over it now, and what it has been through.

    `requested`: it has asked its master for a certificate in this run, and `puppet_said` is what
    Puppet printed. `application`: what is to be signed; `waiting`: why it was not. `named`: its
    certificates that are to be replaced, by fingerprint.
    """

    def __init__(self, site: Site, facts: AgentFacts) -> None:
        super().__init__(facts)
        self.site = site
        self.requested = False
        self.puppet_said: list[str] = []
        self.waiting: str | None = None
        self.named: dict[str, Certificate] = {}
        self.application: Application | None = None
        self._judged: Renewal | None = None

    @property
    def now(self) -> Renewal:
        """The judgement over what is there now."""
        ssl, ca_records = self.facts.ssl, self.site.ca_records()
        if (
            self._judged is None
            or self._judged.ssl is not ssl
            or self._judged.ca_records is not ca_records
        ):
            others = frozenset(self.left_alone)
            conf, cas = self.facts.settings, self.site.ever_had
            judged = Renewal(conf, ssl, ca_records, utc_now(), others=others, cas=cas)
            if judged.certificate_problem is not None and judged.trusts_ca_in_place:
                # The only case in which they matter; reading them takes a while.
                judged = replace(judged, former=tuple(self.former_certificates))
            self._judged = judged
        return self._judged

    @property
    def left_alone(self) -> dict[str, str]:
        """What is somebody else's in ssldir, and stays: by path, each with what it is."""
        # Most have nothing there but Puppet's own, and no CA need be read for that.
        return self.facts.others(self.known_cas) if self.facts.strays else {}

    @property
    def known_cas(self) -> list[Certificate]:
        """The CAs that the site has had; of some the master knows the key alone, and the agent that
        trusts one has its certificate. None that nobody but the agent knows."""
        facts = self.facts
        trusted = facts.ssl.texts.get(facts.settings.localcacert, "")
        return [*self.site.cas, *self.site.ever_had.among(trusted)]

    @property
    def backup_due(self) -> bool:
        """Whether anything is going to be deleted that no backup here holds."""
        return bool(self.now.remains) and self.facts.backups.unsaved > 0

    @property
    def run_due(self) -> bool:
        return self.now.run_due(self.facts.agent.last_run)

    @property
    def run_follows(self) -> bool:
        """Whether a Puppet run is still to prove the renewal."""
        return self.requested or self.run_due

    @property
    def started_after_the_run(self) -> list[str]:
        """Of the services that were stopped, those that the agent service's first run brings the
        credentials for: started before it they would be refused, and be restarted by it."""
        puppet = self.facts.deployment.agent.puppet
        if not self.run_follows or self.waiting is not None or puppet not in self.services_due:
            return []
        return self.stopped_beside_puppet

    def apply(self) -> None:
        """Note what the agent wants to be signed."""
        now = self.now
        if now.key is not None:
            self.application = Application(
                now.certname,
                now.key,
                now.request,
                frozenset(),
                previous_extensions=frozenset(self.previous_extensions.items()),
                kept_alt_names=self.kept_alt_names,
                former=self.certificate_before,
            )

    @property
    def errors_said(self) -> list[str]:
        """The last errors among what Puppet printed."""
        return [line for line in self.puppet_said if line.lower().startswith("err")][-3:]

    @property
    def former_certificates(self) -> list[Certificate]:
        """The agent's own in its backups, the newest first."""
        manifests = [backup.manifest for backup in reversed(self.facts.backups.backups)]
        found = [read_certificate(manifest.certificate or "") for manifest in manifests]
        return [cert for cert in found if cert is not None]

    def application_for(self, ca_records: CaRecords) -> Application | None:
        """What the agent wants to be signed, with what it may ask for: looked up only if the
        request that the master holds asks for anything."""
        found = self.application
        held = ca_records.request(found.certname) if found is not None else None
        if found is None or held is None or not held.asks_for_more:
            return found
        former = self.former_certificate
        if former is None:
            return found
        return replace(
            found, previous_alt_names=self.kept_alt_names, previous_demands=former.demands
        )

    @property
    def former_certificate(self) -> Certificate | None:
        """The one that is replaced, as the master's own records or whoever has named it have it:
        whoever has the retired CA's key can have put any other one on the agent, or into its
        backups."""
        name, site = self.facts.settings.certname, self.site
        if not site.run.replaces:
            return next(iter(site.certificates_of(name)), None)
        # No CA is given up: what it has signed and somebody has named, or what it keeps itself, is
        # true. Not what else lies on the agent: it may have had more, and lost it.
        ca_records = site.ca_records()
        if ca_records.ca is None:
            return None
        own = ca_records.ever_signed(name)
        held = [*self.named.values(), *([own] if own else [])]
        # What was revoked before, and is not what this run replaces, it has no longer.
        true = (
            c
            for c in held
            if c.serial not in ca_records.revoked or c.fingerprint in ca_records.retired
        )
        return certified(name, true, ca_records.ca)

    @property
    def certificate_before(self) -> Certificate | Before | None:
        """The one by which it is told what the new one may carry, also when that is there: only
        what is not the new one itself is a measure of it."""
        name = self.facts.settings.certname
        if self.site.run.replaces:
            return self.former_certificate
        if self.site.doubted_certificate(name) is not None:
            return Before.NOTHING
        return self.site.retired_certificate(name)

    @property
    def unseen(self) -> str | None:
        """Why a certificate that the agent or the CA has for its key does not count before a person
        has looked at it, with what to do; None if none is like that."""
        now, ca_records = self.now, self.site.ca_records()
        signed = ca_records.signed(now.certname)
        held = [now.certificate if now.certificate_problem is None else None]
        held += [signed if signed is not None and signed.key == now.key else None]
        found = (
            signed_unseen(cert, self.certificate_before, ca_records)
            for cert in held
            if cert is not None
        )
        return next((why for why in found if why is not None), None)

    @property
    def previous_extensions(self) -> dict[str, str]:
        """Puppet's extensions of the certificate that is replaced, by the master's own copy."""
        former = self.former_certificate
        return former.extensions if former is not None else {}

    @property
    def kept_alt_names(self) -> frozenset[str]:
        """The alternative names that the agent had, and no other node has."""
        former, name = self.former_certificate, self.facts.settings.certname
        had = signable(former.alt_names) if former is not None else ()
        return frozenset(n for n in had if n != name and not self.site.is_taken(self.facts.host, n))

    @property
    def alt_names(self) -> frozenset[str]:
        """Those that its request is to carry, beside its certname."""
        conf = self.facts.settings
        return self.kept_alt_names.union(conf.dns_alt_names) - {conf.certname}

    @property
    def alt_names_to_say(self) -> tuple[str, ...]:
        """The same, where its puppet.conf does not have them all: Puppet has to be told."""
        names = self.alt_names
        return tuple(sorted(names)) if names - {*self.facts.settings.dns_alt_names} else ()

    @property
    def signature_due(self) -> bool:
        """See `Renewal`, which does not know what the agent had."""
        return replace(self.now, alt_names=self.alt_names).signature_due

    @property
    def put_back(self) -> dict[str, str]:
        """The extensions that the agent's request can have only from us."""
        return self.facts.put_back(self.previous_extensions)


def _renewals(_: Run) -> dict[str, AgentRenewal]:
    """By name: in operations `host` is pyinfra's stand-in for whichever host is being worked on."""
    return {}


def renewals(run: Run) -> list[tuple[Host, AgentRenewal]]:
    """Every agent that takes part and has not failed."""
    known, active = run.part(_renewals), run.state.active_hosts
    return [(h, known[h.name]) for h in run.agents if h in active and h.name in known]


def renewal_of(host: Host) -> AgentRenewal:
    """What `prepare_renewal` made of an agent."""
    return run_of(host.state).part(_renewals)[host.name]


def known_renewal(run: Run, host: Host) -> AgentRenewal | None:
    """The same, None if this run has prepared none for that host."""
    return run.part(_renewals).get(host.name)


def prepare_renewal(host: Host) -> bool:
    """Everything that step 6 needs to know of an agent, after everything that forbids it.

    An agent that it refuses has failed, and no other one with it.

    :returns: whether the agent takes part.
    :raises DeployError: nobody can be helped: there is no master.
    """
    site = run_of(host.state).part(Site)
    host = host.inventory.get_host(host.name)
    outcomes = site.run.part(Outcomes)
    try:
        agent: KnownAgent | Exception = platform_of(host).look_at(host, True)
    except Exception as error:
        agent = error
    view = site.view()
    problem = None if site.run.master_comes_first else site.ca_problem_before(view)
    if problem is not None:
        raise DeployError(f"Nothing was changed: {problem}")
    try:
        if isinstance(agent, Exception):
            raise agent
        renewal = _prepared(host, agent, site, view)
        if renewal.now.certname in site.disputed:
            raise AgentRefusedError(same_key([host.name], renewal.now.certname))
    except DeployError:
        raise
    except Exception as error:
        left_out(host, outcomes, reason_of(error).splitlines())
        _require_all_found(site, outcomes)
        return False
    site.run.part(_renewals)[host.name] = renewal
    outcomes.prepared(host, _is_due(renewal))
    if renewal.now.everything_goes:
        key = renewal.now.paths.private_key
        state, group = renewal.now.ssl.files.get(key), renewal.facts.settings.group
        for line in (
            *shortened(told(renewal.left_alone), SURVEYED),
            *told_of_readers(key, state, group),
            *_told_of_doubted(site, renewal.now.certname),
        ):
            outcomes.remark(host, line)
    if renewal.now.foreign_request is not None:
        warn(host, _of_foreign_request(renewal))
    if renewal.now.request_due:
        _tell_alt_names(host, renewal)
        for line in preflight.key_length_warnings(renewal.facts.settings):
            warn(host, line)
    _require_all_found(site, outcomes)
    return True


def _told_of_doubted(site: Site, certname: str) -> list[str]:
    """That what a node has had of the retired CA counts for nothing."""
    found = site.doubted_certificate(certname)
    if found is None:
        return []
    said = [*(f"{name} = {value}" for name, value in sorted(found.extensions.items()))]
    said += sorted(found.alt_names - {certname})
    return [
        f"The master's certificate for {certname} was signed since the CA was compromised "
        "(compromised_since), so it proves nothing, and nothing of it is carried over"
        + (f": {', '.join(said)}" if said else "")
    ]


def _tell_alt_names(host: Host, renewal: AgentRenewal) -> None:
    """Say what the new certificate carries, and what it cannot, of those that are asked for."""
    former, names, conf = renewal.former_certificate, renewal.alt_names, renewal.facts.settings
    had = former.alt_names if former is not None else frozenset()
    if names or had - {conf.certname}:
        wanted = ", ".join(sorted(names)) or "none"
        say(host, told_alt_names(conf.certname, wanted, names, had))
    kinds = former.other_alt_names if former is not None else ()
    for name in (*sorted(had - signable(had)), *kinds):
        lost = f"The alternative name {name} cannot be kept: Puppet's CA does not sign it."
        warn(host, lost)
        renewal.site.run.part(Outcomes).remark(host, lost)


def _of_foreign_request(renewal: AgentRenewal) -> str:
    return (
        f"The master holds a request under the name {renewal.now.certname} that is not this "
        f"agent's ({renewal.now.foreign_request}). It is never signed, and goes beside the "
        "backups on the master before the agent asks: find out who sent it."
    )


def _require_all_found(site: Site, outcomes: Outcomes) -> None:
    if outcomes.looked_at == site.run.connected_agents:
        site.require_all_found()


def warn_of_unknown_names(host: Host) -> None:
    """Say before the CA is retired whether an agent could not trust its master afterwards."""
    site = run_of(host.state).part(Site)
    view = site.view()
    try:
        settings = platform_of(host).settings_of(host)
    except Exception as error:
        warn(host, f"Under which name it looks for its master is not known: {reason_of(error)}")
        return
    for refusal in _refusals_of_the_way(host, settings, view):
        warn(host, refusal)


def _refusals_of_the_way(host: Host, settings: Settings, view: MasterView) -> list[str]:
    """What would keep an agent from reaching its master, or from trusting it."""
    if settings.use_srv_records == "true":
        warn(
            host,
            "It looks for its master in DNS (use_srv_records), which nobody has done here: see "
            f"that it finds one of {', '.join(sorted(view.names))} there, at port {view.port}.",
        )
        return []  # what it finds there counts for more than its settings
    refusals = preflight.server_refusals(settings.server_names, view.names)
    with added_to(refusals):
        forwarded = options_of(host).forwarded_ports
        refusals += preflight.port_refusals(settings.server_ports, view.port, forwarded)
    return refusals


def left_out(host: Host, outcomes: Outcomes, refusals: list[str], counted: bool = False) -> None:
    """An agent takes no part in the run, which goes on without it.

    :param counted: it was thought to.
    """
    outcomes.refused(host, refusals, counted)
    # Not `fail_hosts`, which would ask the person about each of them, or end the run.
    host.state.failed_hosts.add(host)
    host.state.active_hosts.discard(host)


def _is_due(renewal: AgentRenewal) -> bool:
    return renewal.now.replacement_due or renewal.run_due or bool(renewal.now.remains)


def _prepared(host: Host, agent: KnownAgent, site: Site, view: MasterView) -> AgentRenewal:
    """:raises AgentRefusedError: with all refusals."""
    facts = agent.facts
    settings = facts.settings
    require_identity(host, site, facts)
    renewal = AgentRenewal(site, facts)
    refusals = [
        *preflight.skew_refusals(agent.clock_ahead, view.clock_ahead),
        *_refusals_of_the_way(host, settings, view),
        *preflight.backup_place_refusals(facts.backup_root, facts.backup_paths),
        *_named(renewal, view),
    ]
    if (unseen := renewal.unseen) is not None:
        refusals.append(unseen)
    if renewal.now.replacement_due:
        refusals += view.signing_refusals
        if view.answers:
            refusals += preflight.reach_refusals(facts.unreached)
    if _is_due(renewal):
        refusals += _refusals_of_the_host(renewal)
        if renewal.signature_due:
            refusals += alt_name_refusals(view.facts.configured, renewal.alt_names)
        _warn_of_what_is_left(renewal)
    if refusals:
        raise AgentRefusedError(*refusals)
    return renewal


def _warn_of_what_is_left(renewal: AgentRenewal) -> None:
    """Say what a renewal does not do on this agent, though it may seem so."""
    facts, host = renewal.facts, renewal.facts.host
    if renewal.now.everything_goes:
        path = facts.settings.localcacert
        for line in told_of_other_cas(path, facts.ssl.texts.get(path, ""), renewal.known_cas):
            warn(host, line)
    if facts.settings.noop:
        warn(
            host,
            "Its puppet.conf says noop = true: what Puppet delivers "
            "stays of the CA to retire until `puppet agent --test --no-noop` is run there.",
        )
    if all(state is Service.MISSING for state in facts.services.values()):
        warn(
            host,
            f"None of {', '.join(facts.services_asked)} is a service there: whatever else runs "
            "Puppet is neither stopped nor started. Stop it until this run is over.",
        )


def require_identity(host: Host, site: Site, facts: AgentFacts) -> None:
    """Believe that an agent has the certname that it says, or refuse it alone.

    :raises AgentRefusedError: it is another one's, or nothing bears it out.
    """
    site.require_no_master(host)
    certname, identities = facts.settings.certname, identities_of(host)
    whose = never_believed(certname, site.names_of_master)
    if whose is None and not facts.is_given:
        whose = identities.whose(host.name, certname)
        given = identities.contradicted(host.name, certname)
        if whose is None and given is not None:
            raise AgentRefusedError(contradicts(host.name, certname, given))
        if whose is None:
            certs = site.certificates_of(certname)
            if not any(proves(facts.words, facts.signatures, cert) for cert in certs):
                doubted = _told_of_doubted(site, certname)
                raise AgentRefusedError(not_proven(host.name, certname), *doubted)
    if whose is not None:
        raise AgentRefusedError(other_hosts_name(certname, whose))
    other = site.register(host, certname)
    if other is not None:
        why = same_key([host.name, other.name], certname)
        # The other one may still be on its way through all this.
        if site.run.part(_renewals).pop(other.name, None) is not None:
            left_out(other, site.run.part(Outcomes), [why], counted=True)
        raise AgentRefusedError(why)


def _named(renewal: AgentRenewal, view: MasterView) -> list[str]:
    """The interlock: who is stale has a certificate of the CA that somebody named, or the very
    certificate that somebody named."""
    now, backups = renewal.now, renewal.facts.backups
    if view.retired is None:
        return _certificate_named(renewal)
    if now.certificate_problem is None:
        return []
    ca, retired, trusted = now.ca_records.ca, view.retired.fingerprint, now.trusted_ca
    trusts = None if trusted is None else trusted.fingerprint
    if trusted is not None and not now.cas.has(trusted):
        return [
            f"It trusts another CA ({trusts}) than the one to retire ({retired}), and "
            "none that the master has had: does it belong to this site? If it does, move "
            f"{now.settings.localcacert} away and run the same command again."
        ]
    # Before the master has a new CA, the one to retire is the one that it still has.
    held = (*view.facts.backups.backups, *backups.backups)
    known = {backup.manifest.ca_fingerprint for backup in held}
    if ca is None or retired in {trusts, *known}:
        return []
    if trusted is not None and trusted.key == view.retired.key:
        return []
    return [
        f"retire_ca={retired} is neither the CA that this agent trusts "
        f"({trusts or 'none'}) nor that of a backup here or on the "
        f"master. Run `{command_line()}` to see what there is."
    ]


def _certificate_named(renewal: AgentRenewal) -> list[str]:
    now, site = renewal.now, renewal.site
    shown = [now.certificate, *renewal.former_certificates]
    # One of somebody else's can be shown by everybody, and would have this one replaced.
    own = [c for c in shown if c and (c.subject == now.certname or not c.names_one_holder)]
    held = [now.ca_records.ever_signed(now.certname), *own]
    renewal.named = {
        c.fingerprint: c for c in held if c is not None and c.fingerprint in site.retire_certs
    }
    named = renewal.named.keys()
    site.found |= named
    site.compared.add(renewal.facts.host.name)
    if named or (site.retire_certs and now.certificate_problem is None):
        return []
    found = "\n".join(f"    {line}" for line in describe(now.certificate, now.ca_records.ca))
    if now.certificate_problem is None and now.certificate is not None:
        return [
            f"Nothing was changed: no certificate to retire is named. This agent's is\n{found}\n"
            "  To see what replacing it means, run\n"
            f"    {command_line(limit=renewal.facts.host.name)} --dry --diff "
            f"--data retire_certs={now.certificate.fingerprint}"
        ]
    return [
        f"Its certificate is stale ({now.certificate_problem}), but none of those to retire. "
        f"If the CA that made it is gone, use deploys/agents.py.\n{found}".rstrip()
    ]


def _refusals_of_the_host(renewal: AgentRenewal) -> list[str]:
    facts, now = renewal.facts, renewal.now
    refusals = [
        *facts.refusals(now, renewal.backup_due),
        *preflight.agent_refusals(facts.agent.disabled),
        *preflight.link_refusals(facts.ssl.files, facts.ssl_roots),
    ]
    if now.everything_goes:
        with added_to(refusals):
            refusals += preflight.other_name_refusals(
                other_names(facts.strays, renewal.known_cas, give_turn),
                now.certname,
                options_of(facts.host).other_names,
                facts.deployment,
            )
        refusals += another_key_refusals(
            now.certificate, now.key, renewal.former_certificate, facts.deployment.authority
        )
    if now.request_due:
        refusals += preflight.key_length_refusals(facts.settings)
        refusals += loss_refusals(
            renewal.previous_extensions,
            facts.csr_attributes,
            facts.attributes_path,
            facts.closed,
        )
    if now.conflict is not None:
        refusals.append(now.conflict)
    return refusals
