"""What forbids a regeneration before it has begun: each refusal names finding and remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from recert.freshness import CaStatus, Freshness
from recert.layout import NEEDED_SERVICES, Component, credential_names
from recert.observed import ComponentState, Service

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


def room_refusals(free: int, needed: int, backup_root: str) -> list[str]:
    """:param free: and `needed`: kibibytes."""
    if free >= needed * 5 // 4 + 1024:
        return []
    return [
        f"{backup_root} has {free // 1024} MiB free, the backup needs about "
        f"{needed * 5 // 4 // 1024 + 1} MiB. Free some room or set backup_dir to another place."
    ]


def backup_place_refusals(backup_root: str, paths: Iterable[str]) -> list[str]:
    """A backup inside of what is going to be deleted would be deleted with it."""
    return [
        f"backup_dir ({backup_root}) lies inside {path}, which is going to be emptied. Set it to "
        "another place."
        for path in paths
        if f"{backup_root}/".startswith(f"{path}/")
    ]


def service_refusals(services: Mapping[str, Service]) -> list[str]:
    return [
        f"The service {name} is not installed, and the procedure cannot end without it: is this "
        "the monolithic Puppet master?"
        for name in sorted(NEEDED_SERVICES)
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
        "The Puppet agent on the master is disabled, so that the Puppet run of step 5 would fail "
        f"({disabled.strip() or 'no reason given'}). Run `puppet agent --enable` first."
    ]


def damage_refusals(freshness: Freshness, signed: Iterable[str]) -> list[str]:
    """A damaged CA that was not named, but that others than PE have relied on.

    What an interrupted run leaves has signed nothing but PE's own certificates; that is begun
    again without asking.
    """
    if freshness.ca_status is not CaStatus.DAMAGED or freshness.ca is None:
        return []
    relied_on = sorted(set(signed) - set(credential_names(freshness.settings.certname)))
    if not relied_on:
        return []
    damage = "; ".join(str(problem) for problem in freshness.ca_damage)
    return [
        f"The CA on the host ({freshness.ca.fingerprint}) is damaged ({damage}), is not the one "
        f"to retire, and has signed {len(relied_on)} certificates of other nodes. It will only be "
        f"replaced if it is named: retire_ca={freshness.ca.fingerprint}"
    ]


def classification_refusals(
    unclassified: list[str] | None, declared: bool, confirmed_before: bool
) -> list[str]:
    """The document's first warning.

    :param unclassified: what the classifier answered, None if it did not answer.
    :param declared: the data `pe_groups_classified`.
    :param confirmed_before: the classifier answered when an interrupted run began.
    """
    if unclassified:
        return [
            "This deployment was upgraded and its node groups are not classified: "
            f"{', '.join(unclassified)}. A Puppet run with new certificates would then break it. "
            "Classify the groups in the console first."
        ]
    if unclassified is None and not declared and not confirmed_before:
        return [
            "The classifier on port 4433 does not answer, so nobody knows whether the node groups "
            "of this deployment are classified. After an upgrade to 3.7 they are not, and "
            "regenerating then breaks the deployment. Check in the console that PE Infrastructure, "
            "PE Certificate Authority, PE Master, PE PuppetDB, PE Console and PE ActiveMQ Broker "
            "have their classes, then add --data pe_groups_classified=True"
        ]
    return []
