"""Going back: what is known of a master that is to be as a backup of it was."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import Host

from facts.backups import Backups
from facts.configuration import BothConfigurations
from facts.host import Basics
from procedures.deployment import deployment_of_master
from procedures.host import ask
from procedures.master import MasterFacts
from procedures.options import options_of
from procedures.preflight import (
    archive_of,
    backup_root_of,
    check_restorable,
    fit_of,
    refuse,
    require_root,
    restoration_refusals,
    send_at_once,
)
from procedures.procedure import Procedure, procedure_of
from procedures.run import run_of
from procedures.telling import say, warn, within_reason
from recert.backups import Backup
from recert.certificates import read_certificate
from recert.configuration import refusal, told_differences
from recert.errors import RecertError
from recert.freshness import Retired
from recert.preflight import service_refusals
from recert.settings import stored_settings


@dataclass
class Restoration(Procedure):
    """A master that is going back to a backup."""

    facts: MasterFacts
    name: str

    @property
    def backup(self) -> Backup:
        return next(b for b in self.facts.backups.backups if b.name == self.name)

    @property
    def work_due(self) -> bool:
        return self.backup.differs or self.serves_old_certificate


def restoration_of(host: Host) -> Restoration:
    """The same, where it is a restoration."""
    procedure = procedure_of(host)
    assert isinstance(procedure, Restoration)
    return procedure


def prepare_restoration(host: Host) -> Restoration:
    """The backup that the data `backup` names.

    Nothing of the live Puppet is asked: its puppet.conf may be what has to be restored.

    :raises DeployError: there is no such backup, or it is damaged.
    """
    run_of(host.state).require_grouped()
    send_at_once(host)
    require_root(host)
    root = backup_root_of(host)
    store = ask(host, Backups, root=root, paths=[])
    try:
        name = options_of(host).backup
        found = {backup.name: backup for backup in store.backups}.get(name or "")
        if name is None or found is None:
            names = ", ".join(b.name for b in store.backups) or "none"
            raise RecertError(f"There is no backup {name} in {root}; there are: {names}")
        if not found.valid:
            raise RecertError(
                f"The backup {name} is damaged: its archive has not the digest of its manifest. "
                "Restore another one."
            )
        deployment = deployment_of_master(host)
        settings = stored_settings(found.manifest.settings, deployment)
        facts = MasterFacts(host, settings, root, deployment)
        check_restorable(facts, found.manifest)
    except RecertError as error:
        refuse(host, [str(error)])
    restoration = Restoration(facts, name)
    fingerprint = found.manifest.ca_fingerprint or "no CA that could be read"
    say(host, f"Backup {name} of {found.manifest.made_at}: {fingerprint}")
    if restoration.backup.differs:
        _require_possible(facts, restoration.backup)
        _tell_configuration(facts, restoration.backup)
        warn(host, "A CA that was retired for security reasons is compromised: whoever has its key")
        warn(
            host, "can impersonate any node. Restore it to get going, then get help and retire it."
        )
    return restoration


def _require_possible(facts: MasterFacts, backup: Backup) -> None:
    """:raises DeployError: something would end the restoration half way."""
    basics = ask(
        facts.host,
        Basics,
        backup_root=facts.backup_root,
        paths=facts.backup_paths,
        accounts=[],
        files=[],
        links=facts.backup_paths,
        places=[facts.backup_root, *facts.backup_paths],
    )
    ca = read_certificate(facts.ssl.texts.get(facts.settings.cacert, ""))
    try:
        others = (
            facts.left_alone(Retired(ca.fingerprint, ca.key, ca))
            if ca is not None
            else facts.others(facts.known_cas)
        )
    except RecertError as error:
        refuse(facts.host, [str(error)])
    fact, arguments = fit_of(facts, backup, basics, others)
    refusals = restoration_refusals(facts, backup, basics, ask(facts.host, fact, **arguments))
    refusals += service_refusals(facts.services, facts.seat.needed)
    if refusals:
        refuse(facts.host, refusals)


def _tell_configuration(facts: MasterFacts, backup: Backup) -> None:
    """Show what the puppet.conf that goes back says otherwise than the one there is.

    :raises DeployError: nobody can know what it would be.
    """
    path = facts.settings.config
    if path not in backup.manifest.paths:
        return
    found = facts.seen(BothConfigurations, archive=archive_of(facts, backup), path=path)
    if why := refusal(path, found):
        refuse(facts.host, [why])
    for line in within_reason(told_differences(path, found)):
        warn(facts.host, line)
