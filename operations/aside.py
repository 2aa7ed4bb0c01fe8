"""The new CA and its certificates: made while the old one still serves, and put into its place."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import cast

from pyinfra import host, logger
from pyinfra.api import Host, State, StringCommand, operation
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, ConnectorArguments
from pyinfra.api.command import PyinfraCommand
from pyinfra.api.state import BaseStateCallback

from facts.entering import ENTERING
from operations.authority import ca_commands
from operations.authority.commands import CredentialsWanted
from operations.placing import PLACING
from operations.step import changing, printable, show_diff, step_failed
from procedures.master import MasterFacts
from procedures.regeneration import Regeneration, new_ca, regeneration_of
from recert.aside import Layer
from recert.extensions import csr_attributes

KEYS_LIMIT = 3600
"""Seconds in which the CA, or keys and certificates, have to be made: a dozen of keys with 4096
bits, of which a slow machine with little entropy takes minutes for each."""

REMOVING_ASIDE = (
    ENTERING
    + r"""
remove_aside() {
    [ -e "$1" ] || [ -L "$1" ] || return 0
    (
        enter "${1%/*}"
        rm -rf -- "./${1##*/}"
        [ ! -e "./${1##*/}" ] && [ ! -L "./${1##*/}" ]
    ) || fail "$1 cannot be removed. A CA's key may be in it: remove it by hand."
}
"""
)
"""`remove_aside` removes the directory with all that is made aside. Needs `fail`."""

# What lies aside has been given to Puppet's account, but for what has another name besides. It is
# copied into a directory that is root's alone, looked at there, and renamed into place.
PUTTING = (
    PLACING
    + r"""
owner=$1 user=${1%%:*}; shift
lay() { # from $from into $to as many of the files after $1 as that says
    count=$1 total=$(($# - 1)) passed=0; shift
    while [ "$passed" -lt "$total" ]; do
        [ "$passed" -ge "$count" ] || set -- "$@" "$1"
        shift
        passed=$((passed + 1))
    done
    enter "$from"
    from=$here
    apart "$to"
    status=0
    for name; do cp -pR "$from/$name" "./$name" || status=1; done
    odd=$(find . -mindepth 1 \( ! -type f -o ! -user "$user" \)) || status=1
    [ -z "$odd" ] || status=1
    # A Puppet run that has ended since it was made was one under the old CA.
    [ "$status" -ne 0 ] || touch -- "$@" || status=1
    [ "$status" -ne 0 ] || for name; do mv -f "./$name" .. || status=1; done
    for name; do rm -rf "./$name"; done
    cd .. && rmdir -- "$own"
    [ -z "$odd" ] || fail "In $from these are no plain files of $user's: $odd"
    return "$status"
}
while [ "$#" -gt 0 ]; do
    from=$1 to=$2 mode=$3 count=$4; shift 4
    make "$to" "$mode" "$owner"
    [ "$count" -eq 0 ] || (lay "$count" "$@") ||
        fail "What was made aside in $from could not be put into $to."
    shift "$count"
done
"""
)


@operation()
def made(own: tuple[str, ...], internal: tuple[str, ...]) -> Generator[PyinfraCommand, None, None]:
    """
    Have Puppet make the new CA and its certificates aside, and look at all of it, before anything
    is stopped (what steps 2.4 to 2.6 make).

    What an interrupted run has made aside is used if it is sound and not older than a day. Where
    nothing sound comes of it nothing is left of it, and the master is as it was.

    + own: `recert.deployments.model.CERTNAME`
    + internal: the certnames of the vendor's services
    """
    regeneration = regeneration_of(host)
    facts, conf = regeneration.facts, regeneration.facts.settings
    if not regeneration.freshness.ca_due:
        host.noop("the CA in place is fresh")
        return
    if host.state.is_executing:
        host.state.add_callback_handler(_Tidying(regeneration))
    aside = regeneration.aside
    if not aside.problems:
        host.noop(f"what an interrupted run has made in {aside.where.top} is sound")
        return
    names = [conf.real_name(name) for name in (*own, *internal)]
    show_diff(
        host,
        f"Aside, in {aside.where.top}",
        map(str, aside.problems if aside.exists else ()),
        ["a new CA", *new_ca(conf), *(f"certificate: {name}" for name in names)],
    )
    typed = ca_commands(facts.deployment.authority).make_aside(
        aside.where, credentials_wanted(regeneration, names), regeneration.retired.fingerprint
    )
    yield changing(facts.lock, typed.script, *typed.arguments, limit=KEYS_LIMIT)
    facts.forget("aside")
    if problems := regeneration.aside.problems:
        yield step_failed(["What Puppet has made aside cannot take the CA's place:", *problems])


def credentials_wanted(regeneration: Regeneration, names: Sequence[str]) -> list[CredentialsWanted]:
    """For these certnames, one for each set of alternative names."""
    facts, own = regeneration.facts, regeneration.facts.settings.certname
    back = facts.put_back(regeneration.extensions)
    carried = {name: ",".join(sorted(regeneration.kept_names.get(name, ()))) for name in names}
    if own in carried:
        carried[own] = regeneration.alt_names.argument
    wanted: dict[tuple[bool, str], list[str]] = {}
    for name, alt_names in carried.items():
        wanted.setdefault((name == own, alt_names), []).append(name)
    return [
        CredentialsWanted(alike, alt_names, csr_attributes(back) if masters and back else "")
        for (masters, alt_names), alike in wanted.items()
    ]


def putting(facts: MasterFacts, layers: Iterable[Layer]) -> StringCommand:
    """What puts into place what is made aside, and leaves it there as well: until all of it is in
    place it is needed again."""
    conf = facts.settings
    words = (
        word
        for one in layers
        for word in (
            one.source,
            one.target,
            f"{one.mode:04o}",
            str(len(one.names)),
            *one.names,
        )
    )
    return changing(facts.lock, PUTTING, f"{conf.user}:{conf.group}", *words)


def removing_aside(facts: MasterFacts) -> StringCommand:
    """What leaves nothing of it."""
    return changing(facts.lock, REMOVING_ASIDE + 'remove_aside "$1"', facts.aside.top)


class _Tidying(BaseStateCallback):
    """Leaves nothing aside where a run ends with the old CA in place: there is a CA's key in it.
    Once the old one's deletion has begun, what lies aside is the only CA that there is."""

    def __init__(self, regeneration: Regeneration) -> None:
        self._regeneration = regeneration

    def operation_host_error(  # type: ignore[override]
        self,
        state: State,
        host: Host,
        op_hash: str,
        retry_count: int = 0,
        max_retries: int = 0,
    ) -> None:
        regeneration = self._regeneration
        if host.name != regeneration.facts.host.name or regeneration.deletion_begun:
            return
        top, done = regeneration.facts.aside.top, False
        given = state.get_op_data_for_host(host, op_hash).global_arguments
        passed = {key: given[key] for key in CONNECTOR_ARGUMENT_KEYS if key in given}  # type: ignore[literal-required]
        try:
            done, _ = removing_aside(regeneration.facts).execute(
                state, host, cast(ConnectorArguments, passed)
            )
        except Exception as error:
            host.log_styled(printable(error), fg="red", log_func=logger.error)
        host.log(
            f"The old CA is in place, and nothing of a new one is left in {top}"
            if done
            else f"What was made aside may still be there, with a CA's key: remove {top}",
            logger.info if done else logger.error,
        )
