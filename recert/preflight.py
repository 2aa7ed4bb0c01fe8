"""What forbids a regeneration before it has begun: each refusal names finding and remedy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from os.path import normpath
from pathlib import PurePosixPath, PureWindowsPath

from recert.certificates import LEAST_BITS, SHORTEST_KEY, Certificate, RevocationList
from recert.deployments.known import PROGRAMS
from recert.deployments.model import Component, Deployment
from recert.errors import RecertError
from recert.freshness import CaStatus, Freshness
from recert.harmless import harmless
from recert.observed import ArchiveState, ComponentState, FileState, LastRun, Service
from recert.pasted import for_sh, word
from recert.settings import (
    CREDENTIAL_SETTINGS,
    PATH_SETTINGS,
    STARTED_WITH,
    Settings,
    duration,
)

MAX_CLOCK_SKEW = 300
"""Seconds. Certificates begin to be valid when the master's clock says so."""


def clock_refusals(host_clock: float, clock_here: float) -> list[str]:
    """:param host_clock: seconds, UTC. :param clock_here: the control machine's."""
    if abs(host_clock - clock_here) <= MAX_CLOCK_SKEW:
        return []
    there, here = (
        f"{datetime.fromtimestamp(t, UTC):%Y-%m-%d %H:%M:%S}" for t in (host_clock, clock_here)
    )
    return [
        f"The host's clock says {there} UTC, the control machine's {here} UTC. Certificates are "
        "dated by the host's clock: bring both in step with NTP first."
    ]


def root_refusals(uid: int) -> list[str]:
    if uid == 0:
        return []
    return ["Commands run here as an ordinary user, not as root: add --sudo."]


def puppet_refusals(program: str | None, complaints: Iterable[str]) -> list[str]:
    """A Puppet that is missing, or that works with its defaults for want of its puppet.conf."""
    if program is None:
        return [f"There is no `puppet` on the PATH and none in {' or '.join(PROGRAMS)}."]
    complaints = list(complaints)
    if not complaints:
        return []
    return [
        "Puppet cannot read its puppet.conf, and would use its defaults instead. Correct the "
        "file; `puppet config print certname` must run without errors.",
        *complaints,
    ]


def skew_refusals(agent_ahead: float, master_ahead: float) -> list[str]:
    """A certificate that begins in the agent's future would be refused by it, and one that it
    presents by the master.

    :param agent_ahead: and `master_ahead`: seconds that each is ahead of the control machine.
    """
    if abs(agent_ahead - master_ahead) <= MAX_CLOCK_SKEW:
        return []
    now = datetime.now(UTC)
    agent, master = (
        f"{now + timedelta(seconds=ahead):%Y-%m-%d %H:%M:%S}"
        for ahead in (agent_ahead, master_ahead)
    )
    return [
        f"Its clock says {agent} UTC, the master's {master} UTC. Neither would accept the other's "
        "certificate: bring both in step with NTP first."
    ]


def server_refusals(looked_for: Iterable[str], carried: Iterable[str]) -> list[str]:
    """An agent trusts its master only under a name that the master's certificate carries.

    :param looked_for: the agent's settings `server` and `ca_server`.
    :param carried: the names in the certificate that the master has, or is going to get.
    """
    carried = sorted(carried)
    missing = sorted(set(looked_for) - set(carried))
    if not missing:
        return []
    return [
        f"It looks for its master under the name {', '.join(missing)}, which the master's new "
        f"certificate does not carry ({', '.join(carried)}), so it could never trust it. Retire "
        f"the CA with {word('dns_alt_names=' + ','.join([*carried, *missing]))}, or correct "
        "`server` in the agent's puppet.conf."
    ]


def terminus_refusals(
    asked: Iterable[str], present: Iterable[str], carried: Iterable[str]
) -> list[str]:
    """A master whose own Puppet asks PuppetDB or the classifier under a name that would go, or on
    another host, whose credentials nobody would make anew.

    :param asked: the names in puppetdb.conf and classifier.yaml.
    :param present: those in the master's certificate.
    :param carried: those that its new certificate is going to carry.
    """
    carried = sorted(carried)
    elsewhere = sorted(set(asked) - set(present) - set(carried))
    if elsewhere:
        return [
            f"Its Puppet asks PuppetDB or the classifier under the name {', '.join(elsewhere)} "
            "(puppetdb.conf, classifier.yaml), which is in no certificate of this master: another "
            "host's, whose credentials nobody would make anew, and no Puppet run could succeed "
            "under a new CA. This is for a monolithic deployment, which has all of it on one "
            "host. If it is on this one, or nobody goes by that file, correct it or move it away."
        ]
    going = sorted(set(asked) & set(present) - set(carried))
    if not going:
        return []
    return [
        f"Its Puppet asks PuppetDB or the classifier under the name {', '.join(going)} "
        "(puppetdb.conf, classifier.yaml), which the master's new certificate would not carry "
        f"({', '.join(carried)}), so no Puppet run could succeed. Retire the CA with "
        f"{word('dns_alt_names=' + ','.join([*carried, *going]))}, or correct that file."
    ]


def own_option_refusals(running: Mapping[int, Iterable[str]], conf: Settings) -> list[str]:
    """A Puppet whose service gives it options that puppet.conf knows nothing of: what is made anew
    would not be what it works with.

    :param running: the arguments of the host's Puppets, by process.
    """
    return [
        f"Its Puppet (process {process}) was started with --{name}={value}, and puppet.conf says "
        f"{said}: what is made anew would not be what it works with. Move {name} from the options "
        "of its service (/etc/sysconfig, /etc/default, its unit) to puppet.conf, and start the "
        "service again."
        for process, arguments in running.items()
        for name, value, said in _differing(arguments, conf)
    ]


def service_option_refusals(given: Mapping[str, Iterable[str]], conf: Settings) -> list[str]:
    """The same of what a service is going to be started with, whether it runs or not.

    :param given: its options, by where they stand.
    """
    return [
        f"The service of its Puppet is started with --{name}={value} ({place}), and puppet.conf "
        f"says {said}: what is made anew would not be what it works with. Move {name} from there "
        "to puppet.conf, or take it out if nobody goes by it."
        for place, arguments in given.items()
        for name, value, said in _differing(arguments, conf)
    ]


def _differing(arguments: Iterable[str], conf: Settings) -> Iterator[tuple[str, str, str]]:
    """Options that say something else than puppet.conf, with what that says."""
    path = PureWindowsPath if conf.confdir[1:2] == ":" else PurePosixPath
    for name, value in dict(_options_in(arguments)).items():  # the last one counts
        said = str(getattr(conf, name))
        same = path(value) == path(said) if name in PATH_SETTINGS else value.lower() == said
        if not same:
            yield name, value, said


def _options_in(arguments: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those of `STARTED_WITH`, as `--name=value` or `--name value`."""
    before = ""
    for argument in arguments:
        name, given, value = argument.partition("=")
        if before in STARTED_WITH and not argument.startswith("--"):
            yield before, argument
        before = ""
        if name.startswith("--"):
            if given and name[2:] in STARTED_WITH:
                yield name[2:], value
            elif not given:
                before = name[2:]


def port_refusals(asked: Mapping[str, int], listens: int, forwarded: Collection[int]) -> list[str]:
    """An agent whose request would reach nobody.

    :param asked: the ports on which it asks its master and its CA, by setting.
    :param listens: where its master does.
    :param forwarded: the data `forwarded_ports`.
    """
    return [
        f"{name} is {port} there, and its master listens on port {listens}: nobody would take what "
        f"it asks. Correct {name} in the agent's puppet.conf; or, if something passes port {port} "
        f"on to the master's, say so: --data forwarded_ports={port}"
        for name, port in asked.items()
        if port != listens and port not in forwarded
    ]


def reach_refusals(unreached: Mapping[tuple[str, int], str]) -> list[str]:
    """An agent from which nothing leads to its master, though that answers others.

    :param unreached: why, by name and port of the server.
    """
    return [
        f"Nothing connects from there to its master, {name} at port {port} ({why}): its request "
        "would reach nobody. See what its name leads to and what is between them, and correct "
        "`server` or that."
        for (name, port), why in unreached.items()
    ]


def room_refusals(free: int, needed: int, backup_root: str) -> list[str]:
    """:param free: and `needed`: kibibytes."""
    if free >= needed * 5 // 4 + 1024:
        return []
    return [
        f"{backup_root} has {free // 1024} MiB free, the backup needs about "
        f"{needed * 5 // 4 // 1024 + 1} MiB. Free some room or set backup_dir to another place."
    ]


LEAST_ROOM = 4096
"""Kibibytes, for new credentials and what a Puppet run writes."""


def full_refusals(rooms: Mapping[str, int]) -> list[str]:
    """A disk on which there is no room for what takes the place of what is deleted.

    :param rooms: kibibytes that are free, by directory.
    """
    return [
        f"{directory} has {free} KiB free: new credentials, or what a Puppet run writes, would not "
        f"fit. Free some room; {LEAST_ROOM} KiB will do."
        for directory, free in rooms.items()
        if free < LEAST_ROOM
    ]


def backup_place_refusals(backup_root: str, paths: Iterable[str]) -> list[str]:
    """A backup inside of what is going to be deleted would be deleted with it."""
    return [_around(backup_root, path) for path in paths if _is_within(backup_root, path)]


def around_refusals(backup_root: str, around: Iterable[str]) -> list[str]:
    """The same where links lead there.

    :param around: the directories in which the host has found the place for backups.
    """
    return [_around(backup_root, path) for path in around if not _is_within(backup_root, path)]


def beside_refusals(backup_root: str, beside: Collection[str]) -> list[str]:
    """What others see in a directory is theirs to see: backups are in one that is root's alone.

    :param beside: some of what is there and no run of this project has put there.
    """
    if not beside:
        return []
    return [
        f"{_option(backup_root)} ({backup_root}) holds what is not a backup of a regeneration, and "
        "would be closed to everybody who sees it now: "
        f"{', '.join(sorted(beside)[:5])}. Set it to a directory of its own, such as "
        f"{backup_root}/pe-recert."
    ]


def _around(backup_root: str, path: str) -> str:
    return (
        f"{_option(backup_root)} ({backup_root}) lies inside {path}, which is going to be emptied. "
        "Set it to another place."
    )


def _option(backup_root: str) -> str:
    return "windows_backup_dir" if PureWindowsPath(backup_root).drive else "backup_dir"


def _is_within(path: str, root: str) -> bool:
    if PureWindowsPath(path).drive:
        path, root = path.lower(), root.lower()
    return f"{path}/".startswith(f"{root}/")


def service_refusals(services: Mapping[str, Service], needed: Iterable[str]) -> list[str]:
    return [
        f"The service {name} is not installed, and the procedure cannot end without it: is this "
        "the monolithic Puppet master?"
        for name in sorted(needed)
        if services[name] is Service.MISSING
    ]


def account_refusals(
    components: Iterable[tuple[Component, ComponentState]],
    puppet_account: str,
    existing: frozenset[str],
) -> list[str]:
    """A missing account would fail a `chown` in the middle of the procedure."""
    refusals = [
        f"The account {component.account} does not exist, but {component.directory} does, and "
        f"{component.title}'s credentials have to be given to it. Create it, or move the "
        "directory away if the component is gone."
        for component, state in components
        if state.directory is not None and not state.account_exists
    ]
    if puppet_account not in existing:
        refusals.append(
            f"The account {puppet_account}, which puppet.conf names as Puppet's, does not exist."
        )
    return refusals


def tool_refusals(missing: Iterable[str], crypto: str | None) -> list[str]:
    refusals = [f"The program {tool} is not installed on the host." for tool in missing]
    if crypto is None:
        refusals.append(
            "Neither openssl nor ruby is on the host, so that no key can be compared with its "
            "certificate. Install openssl."
        )
    return refusals


def agent_refusals(disabled: str | None) -> list[str]:
    if disabled is None:
        return []
    return [
        "The Puppet agent is disabled, so that its Puppet run would fail "
        f"({disabled.strip() or 'no reason given'}). Run `puppet agent --enable` first."
    ]


def damage_refusals(
    freshness: Freshness, signed: Mapping[str, Certificate | None], trusted: Certificate | None
) -> list[str]:
    """A damaged CA that was not named, but that others than PE have relied on.

    What an interrupted run leaves has signed nothing but PE's own certificates, or is the rest
    of the CA to retire; that is begun again without asking.

    :param signed: what is in the CA's directory of signed certificates, by name.
    :param trusted: the CA's certificate as the host's agent keeps it.
    """
    if freshness.ca_status in (CaStatus.FRESH, CaStatus.RETIRING):
        return []
    own = freshness.credential_names
    old = freshness.retired.certificate
    relied_on = [
        name
        for name, cert in signed.items()
        if name not in own and cert is not None and (old is None or not cert.issued_by(old))
    ]
    if not relied_on:
        return []
    ca = freshness.ca or trusted
    named = ca.fingerprint if ca is not None else "its fingerprint"
    damage = "; ".join(str(problem) for problem in freshness.ca_damage)
    return [
        f"The CA on the host ({named}) is damaged ({damage}), is not the one to retire, and has "
        f"signed {len(relied_on)} certificates of other nodes, {min(relied_on)} among them. It "
        f"will only be replaced if it is named: retire_ca={named}"
    ]


def extra_refusals(freshness: Freshness) -> list[str]:
    """A service would not start without what is neither there nor where the vendor keeps it."""
    return [
        f"{component.extra_path(extra)} is gone, and so is {extra.source} to put it back from: "
        f"{component.used_by} would not start. Get it from the vendor's package first."
        for component in freshness.installed_components
        for extra in freshness.extras_due(component)
        if extra.source not in freshness.components[component.directory].sources
    ]


def link_refusals(files: Mapping[str, FileState], roots: Iterable[str]) -> list[str]:
    """A link out of the SSL directories: the backup would hold the link alone, and the key
    that it leads to would neither be saved nor deleted with the rest."""
    roots = tuple(roots)
    inside = tuple(f"{root}/" for root in roots)
    return [
        f"{path} is a symbolic link to {leads_to}, outside of what is backed up and deleted. Put "
        "what it leads to in its place."
        for path, leads_to in _links(files)
        if leads_to not in roots and not leads_to.startswith(inside)
    ]


def links_to_roots(files: Mapping[str, FileState], roots: Iterable[str]) -> frozenset[str]:
    """What stays of the SSL directories: a link from the place where the CA was before Puppet 6.22
    to where it is now, which `puppetserver ca` makes once and nobody makes again."""
    roots = tuple(roots)
    return frozenset(path for path, leads_to in _links(files) if leads_to in roots)


def _links(files: Mapping[str, FileState]) -> Iterator[tuple[str, str]]:
    """And what each leads to."""
    for path, entry in files.items():
        if entry.kind == "l":
            yield path, normpath(PurePosixPath(path).parent / entry.target)


PUPPETS_OWN = frozenset(
    {
        *("ca", "certificate_requests", "certs", "private", "private_keys", "public_keys"),
        *("ca_pub.pem", "inventory.txt"),
    }
)
"""What Puppet makes at the top of ssldir and cadir, beside what its settings name."""


def linked_root_refusals(
    conf: Settings, files: Iterable[str], roots: Iterable[str], links: Collection[str]
) -> list[str]:
    """A directory to be emptied that lies elsewhere, among what is not Puppet's.

    :param files: below all of the roots.
    :param links: those of the roots that are symbolic links.
    """
    refusals = []
    for root in roots:
        foreign = _foreign_entries(conf, files, PurePosixPath(root)) if root in links else []
        if foreign:
            refusals.append(
                f"{root} is a symbolic link to a directory that holds more than Puppet's own "
                f"files: {', '.join(foreign[:5])}. What the link leads to would be emptied. Move "
                "them away, or Puppet's files into a directory of their own."
            )
    return refusals


def _foreign_entries(conf: Settings, files: Iterable[str], root: PurePosixPath) -> list[str]:
    def at_the_top(paths: Iterable[str]) -> set[str]:
        within = (path for path in map(PurePosixPath, paths) if root in path.parents)
        return {path.relative_to(root).parts[0] for path in within}

    own = at_the_top(getattr(conf, name) for name in CREDENTIAL_SETTINGS)
    return sorted(at_the_top(files) - own - PUPPETS_OWN)


def mount_refusals(mounts: Iterable[str], ssldir: str) -> list[str]:
    """A mount point in the midst of ssldir: where it leads to the same file system, what is
    mounted there would be deleted; where it does not, it would keep the rest from going."""
    return [
        f"{mount} is a mount point within {ssldir}, which is going to be deleted. Unmount it, or "
        "mount it in place of the whole ssldir."
        for mount in mounts
    ]


def mounted_file_refusals(files: Iterable[str]) -> list[str]:
    """A single file that is mounted cannot be deleted, and its directory not be emptied."""
    return [
        f"{file} is a mount point, and no directory: it could not be deleted. Put the file itself "
        f"there ({for_sh('umount', file)}) and mount its whole directory, if need be."
        for file in files
    ]


def archive_refusals(archive: str, found: ArchiveState) -> list[str]:
    """A backup that cannot be put back where its paths lead now: it would be found out when
    everything has been stopped, or emptied."""
    refusals = [
        f"{mount} is a mount point that the backup does not have, and would stay. Unmount it."
        for mount in found.mounts
    ]
    refusals += lost_refusals(found.lost)
    if found.missing and found.outside:
        moved = ", ".join(f"{path} leads to {real}" for path, real in found.missing.items())
        refusals.append(
            f"The backup holds {', '.join(found.outside)}, where nothing of it lies any more: "
            f"{moved}, of which it holds nothing. What was moved since it was made has to be moved "
            "back (with the links of then, and no others), and restored after that. Where nobody "
            f"has moved anything, somebody has changed {archive}: do not restore it."
        )
    elif found.odd:
        refusals.append(
            f"The archive {archive} holds what no backup does: {'; '.join(found.odd)}. Somebody "
            "has changed the backup: do not restore it, look for another copy."
        )
    return refusals


def lost_refusals(lost: Sequence[str]) -> list[str]:
    """What is somebody else's and in no backup that is to be put back."""
    if not lost:
        return []
    return [
        f"{_listed(lost)} is a key or certificate of somebody else's that came after this backup, "
        "and would be deleted: the directories become what they were. Move it elsewhere first, and "
        "back afterwards."
    ]


def _listed(names: Sequence[str]) -> str:
    """Some names, in one line whatever is in them."""
    return harmless(", ".join(names[:5]).replace("\n", "\\n"))


def unchangeable_refusals(paths: Iterable[str]) -> list[str]:
    """What would end a deletion half way."""
    paths = list(dict.fromkeys(paths))
    if not paths:
        return []
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return [
        f"{', '.join(paths[:5])}{more} cannot be changed, and so not be deleted or written to: "
        "immutable or append-only (lsattr; chattr -i -a), or on a read-only file system (mount -o "
        "remount,rw)."
    ]


LEAST_ROOM_TO_SIGN = 1024
"""Kibibytes."""


def signing_refusals(unchangeable: Iterable[str], free: int, signeddir: str) -> list[str]:
    """A master that could sign nothing once agents have deleted what they had.

    :param unchangeable: of what the CA writes when it signs.
    :param free: kibibytes where it keeps what it has signed.
    """
    refusals = [f"The master could not sign: {why}" for why in unchangeable_refusals(unchangeable)]
    if free < LEAST_ROOM_TO_SIGN:
        refusals.append(
            f"The master could not sign: {free} KiB are free where {signeddir} is. Free some room."
        )
    return refusals


def oversized_refusals(paths: Iterable[str]) -> list[str]:
    """A file of terabytes is made in a moment, by whoever may write there, and fills the disk once
    it is backed up."""
    return [
        f"{path} is larger than any credential, and would be backed up: move it elsewhere."
        for path in list(paths)[:5]
    ]


MOST_THAT_STAYS = 20_000
"""Bytes of paths that are named one by one, in the command that empties a directory, as what is to
stay: Linux gives a command's line 128 KiB, in which they may be quoted more than once."""


def staying_refusals(others: Collection[str]) -> list[str]:
    """So many files of somebody else's that no command could name them all: the tree of a CA that a
    site had before, for example."""
    if sum(len(path.encode(errors="surrogateescape")) + 1 for path in others) <= MOST_THAT_STAYS:
        return []
    where = Counter(path.rpartition("/")[0] for path in others).most_common(3)
    listed = ", ".join(f"{count} in {directory}" for directory, count in where)
    return [
        f"{len(others)} keys and certificates that are somebody else's would have to stay in "
        f"directories that are emptied ({listed}): more than can be looked after one by one. Move "
        "them out of there, with their directories, first."
    ]


def astray_refusals(found: Iterable[str]) -> list[str]:
    """A directory on whose way lies a link of a service's account: whoever can change that leads
    root where he likes, and the steps that fill the directory refuse to go.

    :param found: what the host said of each.
    """
    return [
        f"{said} Give it to root (`chown -h`), or put the directory in its place."
        if said.endswith("not root's.")
        else f"Root cannot go there: {said}"
        for said in found
    ]


def failing_run_refusals(
    last_run: LastRun | None, declared: bool, expired: Iterable[str] = ()
) -> list[str]:
    """The Puppet run with which step 5 ends, tested before anything is changed.

    :param last_run: the master's, while its CA is still the one to retire.
    :param declared: the data `despite_failing_run`.
    :param expired: what the procedure makes anew and no run succeeds without.
    """
    if last_run is None or last_run.succeeded or declared:
        return []
    when = f"{datetime.fromtimestamp(last_run.time, UTC):%Y-%m-%d %H:%M}"
    return [
        f"The master's last Puppet run, which ended at {when} UTC, {last_run.failure}. The one "
        "with which step 5 ends would fail as well, and then no agent is touched. Run `puppet "
        "agent --test` and mend what it says; or, if new certificates are what mends it, add "
        "--data despite_failing_run=True",
        *(f"New certificates mend this, whatever else it is: {what}" for what in expired),
    ]


OLDEST_RUN = timedelta(days=2)
"""Of a node's last Puppet run: it has one every half hour, unless nobody starts any."""


def untried_run_warnings(last_run: LastRun | None, now: datetime) -> list[str]:
    """Where nothing tells whether the Puppet run would succeed with which step 5 ends."""
    when = ""
    if last_run is not None:
        ended = datetime.fromtimestamp(last_run.time, UTC)
        if now - ended < OLDEST_RUN:
            return []
        when = f": the last one ended at {ended:%Y-%m-%d %H:%M} UTC"
    return [
        f"Nobody knows whether Puppet succeeds on the master{when}. Step 5 ends with a run, and "
        "no agent is touched if that fails: try `puppet agent --test --noop` before."
    ]


def expired_crl(
    conf: Settings, crl: RevocationList | None, now: datetime, deployment: Deployment
) -> str | None:
    """Why nobody under a CA accepts anybody any more; None if its revocation list is in force."""
    expired = crl.invalidity(now) if crl is not None else None
    if expired is None:
        return None
    return (
        f"the master's revocation list {conf.cacrl} {expired}, and whoever goes by one that has "
        f"refuses everybody. Make it anew: {crl_renewal(conf, deployment)}"
    )


def crl_renewal(conf: Settings, deployment: Deployment) -> str:
    """What to do on a master about a revocation list that has expired, or will soon."""
    return (
        f"{deployment.authority.new_crl}; {for_sh('cp', conf.cacrl, conf.hostcrl)}; "
        f"service {deployment.master.server} restart"
    )


SHORTEST_CA = timedelta(days=30)


def outside_refusals(outside: Mapping[str, str], conf: Settings) -> list[str]:
    """What Puppet writes with a CA, and would go on with: step 2.2 deletes neither of it.

    :param outside: paths that lie neither in ssldir nor in cadir, by setting.
    """
    return [
        f"{conf.config} sets {name} to {path}, which is not among what the document's `rm -rf …/*` "
        f"deletes. Take {name} out of it, or set it below cadir."
        for name, path in outside.items()
    ]


def lifetime_refusals(ca_ttl: str) -> list[str]:
    """:param ca_ttl: the setting; seconds, or a number with a unit."""
    try:
        lifetime = duration(ca_ttl)
    except RecertError as error:
        return [str(error)]
    if lifetime is None or lifetime >= SHORTEST_CA:
        return []
    return [
        f"ca_ttl is {ca_ttl}: the new CA and every certificate would end after {lifetime}. Seconds "
        "are meant where no unit (y, d, h) follows. Correct ca_ttl in puppet.conf: 5y is usual."
    ]


def key_length_refusals(conf: Settings) -> list[str]:
    """New keys that are too short for the services that are to work with them."""
    if conf.keylength >= LEAST_BITS:
        return []
    return [
        f"{conf.config} says keylength = {conf.keylength}. With keys below {LEAST_BITS} bits "
        "PostgreSQL and other services do not start. Correct that line to keylength = 4096, or "
        "take it out."
    ]


def key_length_warnings(conf: Settings) -> list[str]:
    """The same of what works, and that anybody can afford to break who has the means."""
    if not LEAST_BITS <= conf.keylength < SHORTEST_KEY:
        return []
    return [
        f"{conf.config} says keylength = {conf.keylength}: new keys will be that short. 4096 is "
        "Puppet's own default."
    ]


def other_name_refusals(
    found: Mapping[str, str], certname: str, confirmed: Iterable[str], deployment: Deployment
) -> list[str]:
    """A host works with what it has, and not with what puppet.conf has been made to say since.

    :param found: names of which a key lies there, with a certificate of the CA that is given up,
        and where.
    :param confirmed: the data `other_names`, in any case.
    """
    # A copy of the host's own is no other name, nor is what an older PE has left.
    known = {certname, *map(str.lower, confirmed)}
    left = {
        name: path
        for name, path in found.items()
        if name not in known and not deployment.is_internal(name)
    }
    if not left:
        return []
    listed = ", ".join(f"{name} ({path})" for name, path in sorted(left.items()))
    return [
        f"Puppet calls this host {certname}, and keys with certificates of this site's CA lie "
        f"there under another name: {listed}. If certname was changed since, what works under the "
        "old name would not start again: correct certname in puppet.conf. If nobody needs them, "
        f"say so: --data other_names={','.join(sorted(left))}"
    ]


def configuration_refusals(missing_files: Iterable[str], noop: bool) -> list[str]:
    refusals = [
        f"{path} is missing or empty, so that Puppet works with its defaults. Put it back first."
        for path in missing_files
    ]
    if noop:
        refusals.append(
            "puppet.conf says noop = true for the agent, so that its Puppet run would configure "
            "nothing. Take it out first."
        )
    return refusals


def classification_refusals(
    unclassified: list[str] | None,
    declared: bool,
    confirmed_before: bool,
    port: int,
) -> list[str]:
    """The document's first warning.

    :param unclassified: what the classifier answered, None if it did not answer.
    :param declared: the data `pe_groups_classified`.
    :param confirmed_before: the classifier answered when an interrupted run began.
    :param port: where it was asked.
    """
    if unclassified:
        return [
            "The node groups of this deployment are not classified, as after an upgrade: "
            f"{', '.join(unclassified)}. A Puppet run with new certificates would then break it. "
            "Classify the groups in the console first."
        ]
    if unclassified is None and not declared and not confirmed_before:
        return [
            f"The classifier on port {port} does not answer, so nobody knows whether the node "
            "groups of this deployment are classified. After an upgrade to 3.7 they are not, and "
            "regenerating then breaks the deployment. Check in the console that PE Infrastructure, "
            "PE Certificate Authority, PE Master, PE PuppetDB, PE Console and PE ActiveMQ Broker "
            "have their classes, then add --data pe_groups_classified=True"
        ]
    return []
