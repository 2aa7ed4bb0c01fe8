"""Steps 1 to 5: what is known of a master whose CA is to be retired, and what forbids it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyinfra.api import Host

from connectors.limits import give_turn
from facts.backups import BackupStore
from facts.host import TEMPORARY, Basics
from facts.running import RunningPuppets, ServiceOptions
from facts.termini import TerminusServers
from facts.tls import ClassifierGroups
from procedures.carried_over import CarriedOver
from procedures.host import ask
from procedures.master import MasterFacts
from procedures.names import hosts_not_asked, inventory_certnames
from procedures.options import added_to, options_of
from procedures.preflight import read_master, refuse
from procedures.procedure import Procedure, procedure_of
from procedures.telling import command_line, say, shortened, warn
from recert import interlock, preflight
from recert.altnames import (
    AltNames,
    default_alt_names,
    told_alt_names,
)
from recert.aside import MadeAside
from recert.certificates import (
    Certificate,
    read_certificate,
    read_certificates,
    read_revocation_list,
    utc_now,
)
from recert.classification import unclassified_groups
from recert.errors import RecertError
from recert.extensions import loss_refusals
from recert.freshness import CaStatus, Freshness, Retired
from recert.observed import Service, SslState
from recert.others import SURVEYED, other_names, told, told_of_other_cas, told_of_readers
from recert.server_configuration import blank_refusals, chain_refusals, server_refusals
from recert.settings import Settings, duration
from recert.site_cas import ca_of_master


@dataclass
class Regeneration(Procedure):
    """A master whose CA is going to be retired, as the preflight found it fit to be.

    `extensions`: Puppet's, of the master's own old certificate. `kept_names`: the alternative names
    of those for the vendor's services that had some, by name. `holders`: who has a certificate
    of the CA to retire, which is None where only a backup's manifest remembers it. `signed`: their
    names, and what is still on the host; `signed_here`: those that are.
    `classifier_confirmed`: the classifier said that the node groups are classified, which has
    to be remembered once it is stopped. `deletion_begun`: this run has begun to delete the CA.
    """

    facts: MasterFacts
    retired: Retired
    alt_names: AltNames
    retiring_ca: Certificate | None
    signed: tuple[str, ...] = ()
    signed_here: frozenset[str] = frozenset()
    extensions: dict[str, str] = field(default_factory=dict)
    kept_names: dict[str, frozenset[str]] = field(default_factory=dict)
    holders: dict[str, Certificate | None] = field(default_factory=dict)
    classifier_confirmed: bool = False
    deletion_begun: bool = False

    @property
    def freshness(self) -> Freshness:
        return self.facts.freshness(self.retired, self.alt_names, self.extensions, self.kept_names)

    @property
    def aside(self) -> MadeAside:
        """What there is aside."""
        facts = self.facts
        ssl: SslState = facts.known("aside")
        fresh = Freshness(
            facts.deployment,
            facts.aside.settings,
            ssl,
            {},
            self.retired,
            self.alt_names,
            utc_now(),
            extensions=self.extensions,
            kept_names=self.kept_names,
        )
        return MadeAside(facts.aside, ssl, fresh)

    @property
    def work_due(self) -> bool:
        return bool(self.freshness.problems) or self.serves_old_certificate

    @property
    def left_behind(self) -> list[str]:
        """Certificates that nothing here brings back, as far as hosts have said their certnames."""
        facts = self.facts
        known = inventory_certnames(facts.host)
        return interlock.left_behind(self.holders, facts.credential_names, known)

    @property
    def note_for_resuming(self) -> str:
        return self.retired.fingerprint if self.classifier_confirmed else ""


def regeneration_of(host: Host) -> Regeneration:
    """The same, where it is a regeneration."""
    procedure = procedure_of(host)
    assert isinstance(procedure, Regeneration)
    return procedure


def prepare_regeneration(host: Host) -> Regeneration:
    """Everything that steps 1 to 5 need to know, after everything that forbids them.

    :raises DeployError: with all refusals at once.
    """
    facts = read_master(host)
    store = facts.backups
    ca = nameable_ca(facts)
    signed, revoked = _signed_certificates(facts)
    left_behind = interlock.left_behind(signed, facts.credential_names, inventory_certnames(host))
    refusals: list[str] = []
    retired: Retired | None = None
    try:
        manifests = [backup.manifest for backup in store.backups]
        retired = interlock.ca_to_retire(options_of(host).retire_ca, ca, manifests)
    except RecertError as error:
        found = _found(facts, ca, (len(signed), revoked), left_behind)
        refusals.append(f"Nothing was changed: {error}\n{found}")
    try:
        carried_over = CarriedOver.of(facts, retired, options_of(host))
        alt_names = carried_over.alt_names
    except RecertError as error:
        refuse(host, [*refusals, str(error)])
    if retired is None:
        failing = preflight.failing_run_refusals(facts.agent.last_run, False, _expired(facts))
        refuse(host, [*refusals, *failing])
    retiring_ca = ca if ca is not None and ca.fingerprint == retired.fingerprint else None
    holders = signed
    if retiring_ca is None:
        # After the deletion only the backups remember who had a certificate.
        backups = store.of_ca(retired.fingerprint)
        holders = dict.fromkeys(name for backup in backups for name in backup.manifest.signed)
    regeneration = Regeneration(
        facts=facts,
        retired=retired,
        alt_names=alt_names,
        retiring_ca=retiring_ca,
        extensions=carried_over.extensions,
        kept_names=carried_over.kept_names,
        signed=tuple(sorted(holders.keys() | signed.keys())),
        signed_here=frozenset(signed),
        holders=holders,
    )
    try:
        freshness = regeneration.freshness
    except RecertError as error:
        refuse(host, [*refusals, str(error)])
    if missing := preflight.service_refusals(facts.services, facts.seat.needed):
        refuse(host, [*refusals, *missing])  # what else there is to say is about a master
    try:
        refusals += _refusals_of_the_host(regeneration, signed)
    except RecertError as error:
        refusals.append(str(error))

    def is_due(name: str) -> bool:
        return freshness.certificate_problem(name) is not None

    refusals += carried_over.refusals(is_due)
    if freshness.problems:
        refusals += _classification(host, regeneration, store)
    if refusals:
        refuse(host, refusals)
    announce(regeneration)
    for line in carried_over.told(is_due):
        warn(host, line)
    return regeneration


def announce(regeneration: Regeneration) -> None:
    """Say in a few lines what the run is about."""
    host, freshness = regeneration.facts.host, regeneration.freshness
    due = "nothing is stale" if not freshness.problems else f"{len(freshness.problems)} stale"
    say(host, f"CA to retire: {regeneration.retired.fingerprint}, {due}")
    if freshness.ca_due:
        say(
            host,
            "The new CA: "
            + ", ".join(" ".join(line.split()) for line in new_ca(freshness.settings)),
        )
        aside = regeneration.aside
        if aside.exists:
            why = "; ".join(map(str, aside.problems))
            so = f"is made anew: {why}" if why else "is used: it is sound"
            say(host, f"What an interrupted run has made in {aside.where.top} {so}")
    in_use = regeneration.facts.certificate_in_use
    names = freshness.settings.certname, set(regeneration.alt_names.names)
    if in_use is None:
        say(host, f"Alt names of {names[0]}: {regeneration.alt_names}")
    else:
        wanted = regeneration.alt_names
        all_go = bool(names[1]) or wanted.chosen
        say(host, told_alt_names(names[0], str(wanted), names[1], in_use.alt_names, all_go))
        for name in in_use.other_alt_names:
            warn(
                host,
                f"The alternative name {name} cannot be kept: Puppet's CA signs DNS names only",
            )
    if freshness.ca_due or freshness.names_due(regeneration.kept_names):
        for name, kept in regeneration.kept_names.items():
            before = regeneration.facts.retired_certificates(regeneration.retired).get(name)
            present = before.alt_names if before is not None else kept
            say(host, told_alt_names(name, ", ".join(sorted(kept)), kept, present))
    missing = [n for n, s in regeneration.facts.services.items() if s is Service.MISSING]
    if missing:
        warn(host, f"Not installed here, so neither stopped nor started: {', '.join(missing)}")
    if left := regeneration.left_stopped:
        warn(host, f"Does not run, and so is not started: {', '.join(left)}. Where that is wrong,")
        warn(host, "start it before the run.")
    if from_rest := regeneration.started_from_rest:
        warn(host, f"Does not run now, and is started in step 5: {', '.join(from_rest)}")
    if freshness.problems:
        for line in shortened(told(regeneration.facts.left_alone(regeneration.retired)), SURVEYED):
            warn(host, line)
    if freshness.ca_status is CaStatus.RETIRING:
        for line in preflight.untried_run_warnings(regeneration.facts.agent.last_run, utc_now()):
            warn(host, line)
        path = freshness.settings.localcacert
        cas = [*regeneration.facts.known_cas]
        if regeneration.retired.certificate is not None:
            cas.append(regeneration.retired.certificate)
        for line in told_of_other_cas(path, regeneration.facts.ssl.texts.get(path, ""), cas):
            warn(host, line)
    if freshness.ca_due and (waiting := freshness.requests_waiting):
        warn(host, "These wait for a signature, and go with the CA; their nodes have to ask anew:")
        for line in shortened(waiting, _listed(regeneration.facts)):
            warn(host, f"  {line}")
    conf = freshness.settings
    if freshness.names_due(freshness.credential_names):
        for line in preflight.key_length_warnings(conf):
            warn(host, line)
    if freshness.certificate_problem(conf.certname) is not None:
        path = freshness.paths(conf.certname).private_key
        for line in told_of_readers(path, freshness.ssl.files.get(path), conf.group):
            warn(host, line)
    for component in regeneration.facts.seat.components:
        if component not in freshness.installed_components:
            warn(host, f"{component.title} is not installed here: no {component.directory}")
    warn_left_behind(regeneration)


def new_ca(conf: Settings) -> list[str]:
    """What Puppet is going to make, as far as puppet.conf says."""
    lines = [f"subject:     {conf.ca_name or f'Puppet CA: {conf.certname}'}"]
    if lifetime := duration(conf.ca_ttl):
        lines.append(f"expires:     after {lifetime.days} days, on {utc_now() + lifetime:%Y-%m-%d}")
    return lines


def warn_left_behind(regeneration: Regeneration) -> None:
    """Name the certificates of the CA to retire that nothing here brings back."""
    host, left_behind = regeneration.facts.host, regeneration.left_behind
    if not left_behind:
        return
    unasked = len(hosts_not_asked(host))
    if unasked:
        warn(host, "No host of the inventory is called like these, which hold certificates of the")
        warn(host, f"CA to retire. {interlock.not_asked_yet(unasked)}")
    else:
        warn(host, "These hold certificates of the CA to retire, and nothing here renews them:")
    for line in shortened(left_behind, _listed(regeneration.facts)):
        warn(host, f"  {line}")


def _listed(facts: MasterFacts) -> str:
    return f"`{facts.deployment.authority.list}` has them all"


def nameable_ca(facts: MasterFacts) -> Certificate | None:
    """The CA's certificate; where that cannot be read, the copy that the host itself trusts."""
    texts, conf = facts.ssl.texts, facts.settings
    return ca_of_master(
        texts.get(conf.cacert, ""), texts.get(conf.localcacert, ""), facts.certificate_in_use
    )


def _signed_certificates(facts: MasterFacts) -> tuple[dict[str, Certificate | None], int]:
    """What the CA in place has signed and not revoked, by name; and how many are revoked."""
    conf = facts.settings
    crl = read_revocation_list(facts.ssl.texts.get(conf.cacrl, ""))
    revoked = crl.revoked if crl is not None else frozenset()
    pems: dict[str, str] = facts.known("signed")
    certs = {name: read_certificate(pem) for name, pem in pems.items()}
    valid = {n: c for n, c in certs.items() if c is None or c.serial not in revoked}
    return valid, len(certs) - len(valid)


def _found(
    facts: MasterFacts,
    ca: Certificate | None,
    counts: tuple[int, int],
    left_behind: list[str],
) -> str:
    manifests = [backup.manifest for backup in facts.backups.backups]
    lines = [
        interlock.describe_ca(ca, counts, command_line(), facts.settings.cacert),
        *interlock.succeeded(ca, manifests),
    ]
    if left_behind:
        unasked = len(hosts_not_asked(facts.host))
        lines.append(
            "  These have certificates, and no host of the inventory is called like them:"
            if unasked
            else "  Nothing here would bring back the certificates of:"
        )
        lines += [f"    {line}" for line in shortened(left_behind, _listed(facts))]
        if unasked:
            lines.append(f"  {interlock.not_asked_yet(unasked)}")
    return "\n".join(lines)


def _expired(facts: MasterFacts) -> list[str]:
    """What has expired of all that the procedure makes anew, and keeps every Puppet run from
    succeeding."""
    conf, texts, now = facts.settings, facts.ssl.texts, utc_now()
    judged = [
        (conf.cacert, read_certificate(texts.get(conf.cacert, ""))),
        (conf.hostcrl, read_revocation_list(texts.get(conf.hostcrl, ""))),
        (facts.paths(conf.certname).certificate, facts.certificate_in_use),
    ]
    found = [(path, one.invalidity(now)) for path, one in judged if one is not None]
    return [f"{path} {why}" for path, why in found if why]


def _refusals_of_the_host(
    regeneration: Regeneration, signed: dict[str, Certificate | None]
) -> list[str]:
    facts, freshness = regeneration.facts, regeneration.freshness
    components = [(c, facts.components[c.directory]) for c in facts.seat.components]
    basics = ask(
        facts.host,
        Basics,
        backup_root=facts.backup_root,
        paths=facts.backup_paths,
        accounts=[facts.settings.user],
        files=[facts.settings.config],
        links=facts.emptied,
        places=[*facts.places, facts.aside.directory],
        made=[facts.attributes_directory],
        filled=[
            *facts.settings.ssl_roots,
            facts.aside.directory,
            facts.settings.vardir,
            *facts.seat.directories,
            TEMPORARY,
        ],
    )
    due = bool(freshness.problems)
    running = ask(facts.host, RunningPuppets) if due else {}
    own = sorted({facts.deployment.agent.puppet, facts.seat.server})
    options = ask(facts.host, ServiceOptions, services=own) if due else {}
    refusals = [
        *preflight.own_option_refusals(running, facts.settings),
        *preflight.service_option_refusals(options, facts.settings),
        *preflight.tool_refusals(basics.missing_tools, basics.crypto),
        *preflight.account_refusals(components, facts.settings.user, basics.existing_accounts),
        *preflight.damage_refusals(
            freshness,
            signed,
            nameable_ca(facts),
        ),
        *preflight.extra_refusals(freshness),
        *preflight.link_refusals(facts.ssl.files, facts.settings.ssl_roots),
        *preflight.linked_root_refusals(
            facts.settings, facts.ssl.files, facts.settings.ssl_roots, basics.links
        ),
        *(preflight.full_refusals(basics.rooms) if due else ()),
        *(preflight.unchangeable_refusals(basics.unchangeable) if due else ()),
        *(preflight.astray_refusals(basics.astray) if due else ()),
        *(preflight.mounted_file_refusals(basics.mounted_files) if due else ()),
        *(preflight.staying_refusals(freshness.others) if due else ()),
        *preflight.around_refusals(facts.backup_root, basics.around),
        *preflight.beside_refusals(facts.backup_root, facts.backups.beside),
        *_refusals_of_the_end(regeneration),
        *preflight.configuration_refusals(basics.missing_files, facts.settings.noop),
    ]
    if freshness.names_due(freshness.credential_names):
        refusals += preflight.key_length_refusals(facts.settings)
    if freshness.certificate_problem(facts.settings.certname) is not None:
        refusals += loss_refusals(
            regeneration.extensions, facts.csr_attributes, facts.attributes_path, basics.closed
        )
    if backup_due(regeneration):
        refusals += preflight.oversized_refusals(basics.oversized)
        refusals += preflight.room_refusals(basics.free, basics.needed, facts.backup_root)
    if freshness.run_due(facts.agent.last_run):
        refusals += preflight.agent_refusals(facts.agent.disabled)
    return refusals


def _refusals_of_the_end(regeneration: Regeneration) -> list[str]:
    """What would keep the new CA, or the master under it, from working in the end."""
    facts, freshness = regeneration.facts, regeneration.freshness
    conf, host = facts.settings, facts.host
    refusals = []
    refusals += _refusals_of_the_server(regeneration)
    if freshness.ca_due:
        refusals += preflight.outside_refusals(facts.aside.outside, conf)
        refusals += preflight.lifetime_refusals(conf.ca_ttl)
        # What a run that was cut off has broken is for this one to mend.
        if freshness.ca_status is CaStatus.RETIRING and not facts.backups.stopped:
            with added_to(refusals):
                declared = options_of(host).despite_failing_run
                refusals += preflight.failing_run_refusals(
                    facts.agent.last_run, declared, _expired(facts)
                )
        cas = [ca for ca in (freshness.ca, regeneration.retired.certificate) if ca is not None]
        with added_to(refusals):
            refusals += preflight.other_name_refusals(
                other_names(facts.strays, cas, give_turn),
                conf.certname,
                options_of(host).other_names,
                facts.deployment,
            )
    if freshness.certificate_problem(conf.certname) is not None:
        names = set(regeneration.alt_names.names)
        if not names and not regeneration.alt_names.chosen:
            names = default_alt_names(conf.certname)
        # Else DNS says the name, which counts for more.
        if conf.use_srv_records != "true":
            looked_for = [name for name in conf.server_names if name]
            refusals += preflight.server_refusals(looked_for, names | {conf.certname})
        in_use = facts.certificate_in_use
        if in_use is not None:
            asked = ask(host, TerminusServers, confdir=conf.confdir)
            refusals += preflight.terminus_refusals(
                asked, in_use.alt_names, names | {conf.certname}
            )
    return refusals


def _refusals_of_the_server(regeneration: Regeneration) -> list[str]:
    facts, conf = regeneration.facts, regeneration.facts.settings
    if facts.deployment.server_files is None:
        return []
    in_place = len(read_certificates(facts.ssl.texts.get(conf.cacert, "")))
    return [
        *blank_refusals(conf),
        *server_refusals(facts.configured, conf),
        *chain_refusals(in_place, conf.cacert),
    ]


def backup_due(regeneration: Regeneration) -> bool:
    """Whether the CA to retire is here, and not all of it is in a backup that compares.

    Once its deletion has begun, or where it is damaged, only a missing or damaged backup calls
    for another, or a certificate that none has.
    """
    backups = regeneration.facts.backups.of_ca(regeneration.retired.fingerprint)
    valid = [backup for backup in backups if backup.valid]
    freshness = regeneration.freshness
    if freshness.ca is not None and freshness.ca.fingerprint == regeneration.retired.fingerprint:
        return not any(backup.uncovered == 0 for backup in valid)
    if not freshness.ca_due:
        return False
    saved = {name for backup in valid for name in backup.manifest.signed}
    return not valid or not regeneration.signed_here <= saved


def _classification(host: Host, regeneration: Regeneration, store: BackupStore) -> list[str]:
    facts = regeneration.facts
    classifier = facts.deployment.classifier
    if classifier is None:
        return []
    paths, port = facts.paths(classifier.client), facts.port_of(classifier.service)
    answer = ask(
        host,
        ClassifierGroups,
        addresses=[*facts.bound(classifier.service), *facts.addresses],
        port=port,
        certificate=paths.certificate,
        private_key=paths.private_key,
        cacert=facts.settings.localcacert,
        certname=facts.settings.certname,
    )
    try:
        declared = options_of(host).pe_groups_classified
    except RecertError as error:
        return [str(error)]
    try:
        unclassified = None if answer is None else unclassified_groups(answer, classifier.classes)
    except RecertError:
        unclassified = None
    regeneration.classifier_confirmed = unclassified == []
    return preflight.classification_refusals(
        unclassified,
        declared=declared,
        port=port,
        confirmed_before=regeneration.retired.fingerprint in store.classified,
    )
