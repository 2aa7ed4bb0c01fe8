"""Before the first change: read what a master is, refuse what cannot end well, say what will be.

Everything here only reads. A refusal ends the whole run with `DeployError`, because without
its master no other host can be helped.
"""

from __future__ import annotations

import re
import shlex
import socket
import sys
import time
from collections.abc import Iterable
from typing import NoReturn

from pyinfra import logger
from pyinfra.api import Host
from pyinfra.api.exceptions import DeployError, NoGroupError
from pyinfra.api.output import format_text
from rich.console import Console
from rich.table import Table

from facts.backups import Backups, BackupStore
from facts.host import Basics, WhoAndWhen
from facts.master import MasterFacts, Regeneration, Restoration, ask
from facts.puppet import PuppetSettings
from facts.ssl import SignedCertificates
from facts.tls import ClassifierGroups
from recert import interlock, preflight
from recert.altnames import AltNames, alt_names_to_give
from recert.backups import Manifest, check_backup_name
from recert.certificates import Certificate, read_certificate, read_revocation_list
from recert.classification import unclassified_groups
from recert.errors import RecertError
from recert.freshness import Retired
from recert.layout import CLASSIFIER_PORT, COMPONENTS
from recert.observed import Service
from recert.settings import Settings, check_path, check_settings

BACKUP_DIR = "/var/lib/pe-recert/backups"


def the_master(host: Host) -> Host:
    """The one host of the group `master`.

    :raises DeployError: the group has none or several.
    """
    try:
        masters = host.inventory.get_group("master")
    except NoGroupError:
        masters = []
    if len(masters) != 1:
        names = ", ".join(h.name for h in masters) or "none"
        raise DeployError(
            f"The inventory's group `master` must hold exactly one host, it holds {names}. "
            "Correct the inventory."
        )
    return masters[0]


def send_at_once(host: Host) -> None:
    """Take the wait out of every command over SSH.

    Paramiko leaves Nagle's algorithm on, which holds a command's last packet back until the
    host acknowledges the one before: some 40 ms, for dozens of commands in the outage.
    """
    client = getattr(host.connector, "client", None)
    transport = client.get_transport() if client is not None else None
    if transport is not None and isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def require_root(host: Host) -> float:
    """The host's clock (seconds, UTC), asked along the way.

    :raises DeployError: commands do not run as root.
    """
    who = ask(host, WhoAndWhen)
    if who.uid != 0:
        refuse(host, ["Commands run here as an ordinary user, not as root: add --sudo."])
    return who.clock


def backup_root_of(host: Host) -> str:
    """:raises DeployError: the data `backup_dir` is no path."""
    try:
        return check_path("backup_dir", host.data.get("backup_dir", BACKUP_DIR))
    except RecertError as error:
        refuse(host, [str(error)])


def read_master(host: Host) -> MasterFacts:
    """The facts of a master that can be worked on at all: as root, with a Puppet that works.

    :raises DeployError: it cannot.
    """
    send_at_once(host)
    clock = require_root(host)
    refusals = preflight.clock_refusals(clock, time.time())
    backup_root = backup_root_of(host)
    printed = ask(host, PuppetSettings)
    if printed.program is None:
        refuse(host, ["There is no `puppet` on the PATH and none in /opt/puppet/bin."])
    if printed.complaints:
        refuse(
            host,
            [
                "Puppet cannot read its puppet.conf, and would use its defaults instead. Correct "
                "the file; `puppet config print certname` must run without errors.",
                *printed.complaints,
            ],
        )
    try:
        settings = check_settings(printed.main, printed.master)
    except RecertError as error:
        refuse(host, [str(error)])
    if not settings.ca:
        refusals.append("puppet.conf says ca = false: this is no Puppet master with a CA.")
    facts = MasterFacts(host, settings, backup_root)
    refusals += preflight.backup_place_refusals(backup_root, facts.backup_paths)
    if refusals:
        refuse(host, refusals)
    return facts


def prepare_regeneration(host: Host) -> Regeneration:
    """Everything that steps 1 to 5 need to know, after everything that forbids them.

    :raises DeployError: with all refusals at once.
    """
    facts = read_master(host)
    conf = facts.settings
    store = facts.backups
    ca = _nameable_ca(facts)
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
    if retiring_ca is None:
        manifests = [backup.manifest for backup in store.of_ca(retired.fingerprint)]
        left_behind = _left_behind_before(manifests, conf, host)
    regeneration = Regeneration(
        facts=facts,
        retired=retired,
        alt_names=alt_names,
        retiring_ca=retiring_ca,
        signed=tuple(sorted(signed)) if retiring_ca is not None else (),
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


def prepare_restoration(host: Host) -> Restoration:
    """The backup that the data `backup` names.

    Nothing of the live Puppet is asked: its puppet.conf may be what has to be restored.

    :raises SystemExit: with status 0, after a list of the backups, where none is named.
    :raises DeployError: there is no such backup, or it is damaged.
    """
    send_at_once(host)
    require_root(host)
    root = backup_root_of(host)
    store = ask(host, Backups, root=root, paths=[])
    wanted = host.data.get("backup")
    if wanted is None:
        list_backups(host, root, store)
        raise SystemExit(0)
    try:
        name = check_backup_name(wanted)
        found = {backup.name: backup for backup in store.backups}.get(name)
        if found is None:
            names = ", ".join(b.name for b in store.backups) or "none"
            raise RecertError(f"There is no backup {name} in {root}; there are: {names}")
        if not found.valid:
            raise RecertError(
                f"The backup {name} is damaged: its archive has not the digest of its manifest. "
                "Restore another one."
            )
        settings = Settings(**found.manifest.settings)
    except RecertError as error:
        refuse(host, [str(error)])
    facts = MasterFacts(host, settings, root)
    restoration = Restoration(facts, name)
    fingerprint = found.manifest.ca_fingerprint or "no CA that could be read"
    say(host, f"Backup {name} of {found.manifest.made_at}: {fingerprint}")
    if restoration.backup.differs:
        warn(host, "A CA that was retired for security reasons is compromised: whoever has its key")
        warn(
            host, "can impersonate any node. Restore it to get going, then get help and retire it."
        )
    return restoration


def list_backups(host: Host, root: str, store: BackupStore) -> None:
    """The backups on the host as a table."""
    if not store.backups:
        say(host, f"No backups in {root}")
        return
    table = Table(title=f"Backups on {host.name} in {root}", title_justify="left")
    for column in ("backup", "made (UTC)", "CA", "certificates", "state"):
        table.add_column(column, overflow="fold", no_wrap=column == "backup")
    for backup in store.backups:
        manifest = backup.manifest
        table.add_row(
            backup.name,
            manifest.made_at[:19].replace("T", " "),
            manifest.ca_fingerprint or "none",
            str(len(manifest.signed)),
            "good" if backup.valid else "damaged",
        )
    terminal = sys.stderr.isatty()
    Console(stderr=True, width=None if terminal else 200).print(table)
    say(host, "To restore one: deploys/restore.py --data backup=<name>")


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
        for line in regeneration.left_behind:
            warn(host, f"  {line}")


def inventory_certnames(host: Host) -> set[str]:
    """The names by which the inventory's hosts may be known to the CA."""
    names = set()
    for other in host.inventory:
        names.add(other.name.rpartition("/")[2].lower())
        for key in ("certname", "ssh_hostname"):
            value = other.data.get(key)
            if isinstance(value, str):
                names.add(value.lower())
    return names


def refuse(host: Host, refusals: Iterable[str]) -> NoReturn:
    """:raises DeployError: always, with every refusal."""
    raise DeployError("\n".join([f"{host.name} is left as it is.", *refusals]))


def say(host: Host, message: str) -> None:
    logger.info(f"{host.print_prefix}{message}")


def warn(host: Host, message: str) -> None:
    logger.warning(f"{host.print_prefix}{format_text(message, 'yellow')}")


def _nameable_ca(facts: MasterFacts) -> Certificate | None:
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
    pems = ask(facts.host, SignedCertificates, signeddir=conf.signeddir)
    certs = {name: read_certificate(pem) for name, pem in pems.items()}
    valid = {n: c for n, c in certs.items() if c is None or c.serial not in revoked}
    return valid, len(certs) - len(valid)


_LEFT_OUT = {"--dry", "--diff", "-y", "--yes", "--json"}
_WITH_SECRET = re.compile(r"--(ssh-)?(key-)?password")


def command_line() -> str:
    """The command that was typed, less what differs from run to run and what is secret."""
    words, kept = iter(sys.argv[1:]), []
    for word in words:
        if _WITH_SECRET.fullmatch(word):
            next(words, None)
        elif word == "--data":
            kept += _data_option(next(words, ""))
        elif word.startswith("--data="):
            kept += _data_option(word.removeprefix("--data="))
        elif word not in _LEFT_OUT and not _WITH_SECRET.match(word):
            kept.append(word)
    return shlex.join(["pyinfra", *kept])


def _data_option(value: str) -> list[str]:
    name = value.partition("=")[0]
    return [] if name == "retire_ca" or "password" in name else ["--data", value]


def _found(
    ca: Certificate | None, conf: Settings, counts: tuple[int, int], left_behind: list[str]
) -> str:
    lines = [interlock.describe_ca(ca, counts, command_line(), conf.cacert)]
    if left_behind:
        lines.append("  Nothing here would bring back the certificates of:")
        lines += [f"    {line}" for line in left_behind]
    return "\n".join(lines)


def _alt_names(host: Host, facts: MasterFacts, retired: Retired | None) -> AltNames:
    """puppet.conf's and those in use; where the certificate is gone, those it had."""
    conf = facts.settings
    override = host.data.get("dns_alt_names")
    if isinstance(override, (list, tuple)):
        override = ",".join(map(str, override))
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


def _left_behind_before(manifests: Iterable[Manifest], conf: Settings, host: Host) -> list[str]:
    """After the deletion only the backup remembers who had a certificate."""
    names = {name for manifest in manifests for name in manifest.signed}
    return interlock.left_behind(dict.fromkeys(names), conf.certname, inventory_certnames(host))


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
    )
    refusals = [
        *preflight.tool_refusals(basics.missing_tools, basics.crypto),
        *preflight.service_refusals(facts.services),
        *preflight.account_refusals(components, facts.settings.user, basics.existing_accounts),
        *preflight.damage_refusals(freshness, signed),
    ]
    if backup_due(regeneration):
        refusals += preflight.room_refusals(basics.free, basics.needed, facts.backup_root)
    if freshness.run_due(facts.agent.last_run):
        refusals += preflight.agent_refusals(facts.agent.disabled)
    return refusals


def backup_due(regeneration: Regeneration) -> bool:
    """Whether the CA to retire is here, and not all of it is in a backup that compares.

    Once its deletion has begun only a missing or damaged backup calls for another.
    """
    backups = regeneration.facts.backups.of_ca(regeneration.retired.fingerprint)
    valid = [backup for backup in backups if backup.valid]
    freshness = regeneration.freshness
    if freshness.ca is not None and freshness.ca.fingerprint == regeneration.retired.fingerprint:
        return not any(backup.uncovered == 0 for backup in valid)
    return not valid and freshness.ca_due


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
    try:
        unclassified = None if answer is None else unclassified_groups(answer)
    except RecertError:
        unclassified = None
    regeneration.classifier_confirmed = unclassified == []
    return preflight.classification_refusals(
        unclassified,
        declared=host.data.get("pe_groups_classified") is True,
        confirmed_before=regeneration.retired.fingerprint in store.classified,
    )
