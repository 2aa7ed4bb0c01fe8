"""Steps 1 to 5: what is known of a master whose CA is to be retired, and what forbids it."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyinfra.api import Host

from facts.backups import BackupStore
from facts.host import Basics
from facts.tls import ClassifierGroups
from procedures.host import ask
from procedures.master import MasterFacts
from procedures.preflight import read_master, refuse
from procedures.procedure import Procedure, procedure_of
from procedures.telling import command_line, say, shortened, warn
from recert import interlock, preflight
from recert.altnames import AltNames, alt_names_to_give
from recert.certificates import Certificate, read_certificate, read_revocation_list
from recert.classification import unclassified_groups
from recert.errors import RecertError
from recert.freshness import Freshness, Retired
from recert.layout import CLASSIFIER_PORT, COMPONENTS
from recert.observed import Service
from recert.pasted import word
from recert.settings import Settings


@dataclass
class Regeneration(Procedure):
    """A master whose CA is going to be retired, as the preflight found it fit to be.

    `left_behind`: certificates that nothing here brings back. `signed`: names with a
    certificate of the CA to retire; `signed_here`: those that are still on the host.
    `classifier_confirmed`: the classifier said that the node groups are classified, which has
    to be remembered once it is stopped.
    """

    facts: MasterFacts
    retired: Retired
    alt_names: AltNames
    retiring_ca: Certificate | None
    signed: tuple[str, ...] = ()
    signed_here: frozenset[str] = frozenset()
    left_behind: list[str] = field(default_factory=list)
    classifier_confirmed: bool = False

    @property
    def freshness(self) -> Freshness:
        return self.facts.freshness(self.retired, self.alt_names)

    @property
    def work_due(self) -> bool:
        return bool(self.freshness.problems) or self.serves_old_certificate

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
    conf = facts.settings
    store = facts.backups
    ca = nameable_ca(facts)
    signed, revoked = _signed_certificates(facts)
    left_behind = interlock.left_behind(signed, conf.certname, inventory_certnames(host))
    refusals: list[str] = []
    retired: Retired | None = None
    try:
        retired = interlock.ca_to_retire(
            host.data.get("retire_ca"),
            ca,
            [backup.manifest for backup in store.backups],
            _found(ca, conf, (len(signed), revoked), left_behind),
        )
    except RecertError as error:
        refusals.append(str(error))
    try:
        alt_names = _alt_names(host, facts, retired)
    except RecertError as error:
        refuse(host, [*refusals, str(error)])
    if retired is None:
        refuse(host, refusals)
    retiring_ca = ca if ca is not None and ca.fingerprint == retired.fingerprint else None
    holders = set(signed)
    if retiring_ca is None:
        # After the deletion only the backups remember who had a certificate.
        backups = store.of_ca(retired.fingerprint)
        holders = {name for backup in backups for name in backup.manifest.signed}
        left_behind = interlock.left_behind(
            dict.fromkeys(holders), conf.certname, inventory_certnames(host)
        )
    regeneration = Regeneration(
        facts=facts,
        retired=retired,
        alt_names=alt_names,
        retiring_ca=retiring_ca,
        signed=tuple(sorted(holders | set(signed))),
        signed_here=frozenset(signed),
        left_behind=left_behind,
    )
    freshness = regeneration.freshness
    refusals += _refusals_of_the_host(regeneration, signed)
    if freshness.problems:
        refusals += _classification(host, regeneration, store)
    if refusals:
        refuse(host, refusals)
    announce(regeneration)
    return regeneration


def announce(regeneration: Regeneration) -> None:
    """Say in a few lines what the run is about."""
    host, freshness = regeneration.facts.host, regeneration.freshness
    due = "nothing is stale" if not freshness.problems else f"{len(freshness.problems)} stale"
    say(host, f"CA to retire: {regeneration.retired.fingerprint}, {due}")
    in_use = regeneration.facts.certificate_in_use
    names = freshness.settings.certname, set(regeneration.alt_names.names)
    if in_use is None:
        say(host, f"Alt names of {names[0]}: {regeneration.alt_names}")
    else:
        present = set(in_use.alt_names) - {names[0]}
        changes = [f"+{n}" for n in sorted(names[1] - present)]
        if names[1] or regeneration.alt_names.chosen:
            changes += [f"-{n}" for n in sorted(present - names[1])]
        changed = f"changes: {' '.join(changes)}" if changes else "as they are"
        say(host, f"Alt names of {names[0]}: {regeneration.alt_names} ({changed})")
        for name in in_use.other_alt_names:
            warn(
                host,
                f"The alternative name {name} cannot be kept: Puppet's CA signs DNS names only",
            )
    missing = [n for n, s in regeneration.facts.services.items() if s is Service.MISSING]
    if missing:
        warn(host, f"Not installed here, so neither stopped nor started: {', '.join(missing)}")
    for component in COMPONENTS:
        if component not in freshness.installed_components:
            warn(host, f"{component.title} is not installed here: no {component.directory}")
    warn_left_behind(regeneration)


def warn_left_behind(regeneration: Regeneration) -> None:
    """Name the certificates of the CA to retire that nothing here brings back."""
    if regeneration.left_behind:
        host = regeneration.facts.host
        warn(host, "These hold certificates of the CA to retire, and nothing here renews them:")
        for line in shortened(regeneration.left_behind):
            warn(host, f"  {line}")


def inventory_certnames(host: Host) -> set[str]:
    """The names by which the inventory's hosts may be known to the CA."""
    return {name for other in host.inventory for name in names_of(other)}


def names_of(host: Host) -> frozenset[str]:
    """The names by which one host may be known to the CA, before it has said its certname."""
    given = (host.data.get("certname"), host.data.get("ssh_hostname"))
    names = [host.name.rpartition("/")[2], *(name for name in given if isinstance(name, str))]
    return frozenset(name.lower() for name in names)


def nameable_ca(facts: MasterFacts) -> Certificate | None:
    """The CA's certificate; where that cannot be read, the copy that the host itself trusts."""
    texts, conf = facts.ssl.texts, facts.settings
    return read_certificate(texts.get(conf.cacert, "")) or read_certificate(
        texts.get(conf.localcacert, "")
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
    ca: Certificate | None, conf: Settings, counts: tuple[int, int], left_behind: list[str]
) -> str:
    lines = [interlock.describe_ca(ca, counts, command_line(), conf.cacert)]
    if left_behind:
        lines.append("  Nothing here would bring back the certificates of:")
        lines += [f"    {line}" for line in shortened(left_behind)]
    return "\n".join(lines)


def _alt_names(host: Host, facts: MasterFacts, retired: Retired | None) -> AltNames:
    """puppet.conf's and those in use; where the certificate is gone, those it had."""
    conf = facts.settings
    override = host.data.get("dns_alt_names")
    if isinstance(override, (list, tuple)):
        override = ",".join(map(str, override))
    if override is not None and not str(override).strip():
        raise RecertError(
            "dns_alt_names is empty. Leave it out to keep the names there are; to have none, give "
            f"the certname alone: {word(f'dns_alt_names={conf.certname}')}"
        )
    in_use = facts.certificate_in_use
    names = set(in_use.alt_names) if in_use is not None else set()
    if retired is not None and _not_regenerated(facts, retired, in_use):
        for backup in facts.backups.of_ca(retired.fingerprint):
            names |= set(backup.manifest.alt_names)
    return alt_names_to_give(
        conf.certname, conf.dns_alt_names, names, None if override is None else str(override)
    )


def _not_regenerated(facts: MasterFacts, retired: Retired, in_use: Certificate | None) -> bool:
    """Whether the master has no certificate of a CA that took the place of the retired one."""
    if in_use is None:
        return True
    ca = read_certificate(facts.ssl.texts.get(facts.settings.cacert, ""))
    return (
        ca is None
        or ca.fingerprint == retired.fingerprint
        or ca.key == retired.key
        or not in_use.issued_by(ca)
    )


def _refusals_of_the_host(
    regeneration: Regeneration, signed: dict[str, Certificate | None]
) -> list[str]:
    facts, freshness = regeneration.facts, regeneration.freshness
    components = [(c, facts.components[c.directory]) for c in COMPONENTS]
    basics = ask(
        facts.host,
        Basics,
        backup_root=facts.backup_root,
        paths=facts.backup_paths,
        accounts=[facts.settings.user],
        files=[facts.settings.config],
    )
    refusals = [
        *preflight.tool_refusals(basics.missing_tools, basics.crypto),
        *preflight.service_refusals(facts.services),
        *preflight.account_refusals(components, facts.settings.user, basics.existing_accounts),
        *preflight.damage_refusals(
            freshness,
            signed,
            read_certificate(facts.ssl.texts.get(facts.settings.localcacert, "")),
        ),
        *preflight.link_refusals(facts.ssl.files, facts.settings.ssl_roots),
        *preflight.configuration_refusals(basics.missing_files, facts.settings.noop),
    ]
    if backup_due(regeneration):
        refusals += preflight.room_refusals(basics.free, basics.needed, facts.backup_root)
    if freshness.run_due(facts.agent.last_run):
        refusals += preflight.agent_refusals(facts.agent.disabled)
    return refusals


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
    paths = facts.paths("pe-internal-classifier")
    answer = ask(
        host,
        ClassifierGroups,
        port=CLASSIFIER_PORT,
        certificate=paths.certificate,
        private_key=paths.private_key,
        cacert=facts.settings.localcacert,
        certname=facts.settings.certname,
    )
    declared = host.data.get("pe_groups_classified")
    if declared not in (None, True, False) or isinstance(declared, int) != isinstance(
        declared, bool
    ):
        return [f"pe_groups_classified={declared} is not understood: it is True or False."]
    try:
        unclassified = None if answer is None else unclassified_groups(answer)
    except RecertError:
        unclassified = None
    regeneration.classifier_confirmed = unclassified == []
    return preflight.classification_refusals(
        unclassified,
        declared=declared is True,
        confirmed_before=regeneration.retired.fingerprint in store.classified,
    )
