"""Step 2: the CA, the master's certificates, and what has to go before them."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from facts.entering import ENTERING
from facts.reading import READING, SAME
from operations.aside import (
    KEYS_LIMIT,
    REMOVING_ASIDE,
    credentials_wanted,
    putting,
)
from operations.authority import ca_commands
from operations.clearing import CLEARING, REMOVING, pattern, patterns, patterns_within
from operations.placing import PLACING
from operations.step import changing, in_batches, printable, removing, show_diff, step_failed
from procedures.regeneration import Regeneration, new_ca, regeneration_of
from recert.certificates import describe, read_certificate
from recert.extensions import named
from recert.freshness import CaStatus, Defect

# What goes was decided on by what was read. Another run may have made a CA since, which nobody
# has named: it must not be taken for the one that was seen.
_UNCHANGED = r"""
cacert=$1 seen=$2; shift 2
now=
if [ -e "$cacert" ] || [ -L "$cacert" ]; then
    now=$(stat -c '%s %Y' "$cacert") || fail "Nobody knows whether $cacert was changed."
fi
[ "$now" = "$seen" ] ||
    fail "$cacert is not the one that was looked at: another run works on this host."
"""


PLACED = (
    PLACING
    + READING
    + SAME
    + REMOVING_ASIDE
    + r"""
aside=$1; shift
cacrl=$1 hostcrl=$2 cacert=$3 localcacert=$4 owner=$5; shift 5
place "$cacrl" "$hostcrl" "$owner" 0644 || fail "The CRL could not be copied to $hostcrl."
same "$cacert" "$localcacert" ||
    place "$cacert" "$localcacert" "$owner" 0644 || fail "Cannot write $localcacert."
close_to_others "$@"
[ -z "$aside" ] || remove_aside "$aside"
"""
)


@operation()
def cleared() -> Generator[PyinfraCommand, None, None]:
    """
    Delete the CA and all certificates of the master (step 2.2).

    Where a fresh CA is in place after an interrupted run, only what is not of it is removed. Keys
    and certificates that are somebody else's stay (`recert.others`), as do mount points.
    The CA's key goes first: without it no later start of Puppet can certify it anew. Nothing goes
    before the CA that takes its place is there, and sound.
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    conf, remains = facts.settings, freshness.ssl_remains
    if not remains:
        host.noop("everything in the SSL directories is of the CA in place")
        return
    if freshness.ca_due and host.state.is_executing:
        if problems := regeneration.aside.problems:
            yield step_failed(["Nothing was deleted: there is no new CA aside.", *problems])
            return
        regeneration.deletion_begun = True
    show_diff(host, "Remove", _described(regeneration, remains), [])
    seen = freshness.ssl.files.get(conf.cacert)
    unchanged = (conf.cacert, f"{seen.size} {int(seen.mtime)}" if seen is not None else "")
    if freshness.ca_due:
        yield changing(
            facts.lock,
            _UNCHANGED
            + REMOVING
            + CLEARING
            + r"""
cakey=$1 new=$2 roots=$3; shift 3
[ -s "$new" ] || fail "Nothing was deleted: $new is gone."
remove "$cakey"
while [ "$roots" -gt 0 ]; do clear_below "$@"; shift 2; roots=$((roots - 1)); done
[ ! -e "$cakey" ] || fail "The CA's key could not be removed: $cakey"
""",
            *unchanged,
            conf.cakey,
            facts.aside.settings.cakey,
            str(len(conf.ssl_roots)),
            *(word for root in conf.ssl_roots for word in (root, pattern(root))),
            *patterns(freshness.others),
        )
    else:
        # Empty files are found by the host: their names may be no text.
        yield changing(
            facts.lock,
            _UNCHANGED
            + ENTERING
            + r"""
for queue; do
    (enter "$queue"; find . -type f -size 0 -delete) || fail "Cannot look through $queue."
done
""",
            *unchanged,
            conf.csrdir,
            conf.signeddir,
        )
        for batch in in_batches(path for path in remains if printable(path) == path):
            yield changing(
                facts.lock,
                _UNCHANGED + REMOVING + 'remove "$@"',
                *unchanged,
                *batch,
            )
    facts.forget("ssl", "components")


@operation()
def catalog_removed() -> Generator[PyinfraCommand, None, None]:
    """Remove the cached catalog of the master's agent (step 2.3)."""
    regeneration = regeneration_of(host)
    facts = regeneration.facts
    path, catalog = facts.settings.cached_catalog, facts.agent.catalog
    if catalog is None or not regeneration.freshness.catalog_due(catalog):
        host.noop("no catalog from before the master's certificate is cached")
        return
    show_diff(host, "Remove", [f"{path} {catalog.describe()}"], [])
    yield from removing(facts.lock, [path])


@operation()
def ca_created() -> Generator[PyinfraCommand, None, None]:
    """
    Put the CA that Puppet has made aside into place (step 2.4).

    What counts is the CA that is there afterwards: sound, with a certificate and a key that
    are not those of the CA to retire.
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    if not freshness.ca_due:
        host.noop("the CA in place is fresh")
        return
    before = freshness.ca or regeneration.retiring_ca
    show_diff(
        host,
        "CA",
        describe(before, before),
        [*new_ca(facts.settings), "a new key and certificate"],
    )
    yield putting(facts, regeneration.aside.ca_layers)
    facts.forget("ssl")
    freshness = regeneration.freshness
    if freshness.ca_due:
        found: list[object] = [f"The CA is not new: it is {freshness.ca_status.value}."]
        if freshness.ca_status is not CaStatus.RETIRING:
            found += freshness.ca_damage
        yield step_failed(found)


@operation()
def certificates_generated(names: tuple[str, ...]) -> Generator[PyinfraCommand, None, None]:
    """
    Put the certificates that are not fresh into place, with their keys: those that were made aside
    along with the CA (steps 2.5 and 2.6).

    Where there are none of the CA in place, as after a change of the alternative names wanted, the
    CA makes them, in one process for each set of alternative names.

    + names: certnames, or `recert.deployments.model.CERTNAME` for the master's
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    conf = facts.settings
    due = freshness.names_due(map(conf.real_name, names))
    if not due:
        host.noop("these certificates are fresh")
        return
    for name in due:
        masters = name == conf.certname
        after = [f"subject:     {name}", "issuer:      the new CA"]
        kept = regeneration.kept_names.get(name, frozenset())
        if masters or kept:
            wanted = sorted({*(regeneration.alt_names.names if masters else kept), name})
            after.append(f"alt names:   {', '.join(f'DNS:{n}' for n in wanted)}")
        if masters and regeneration.extensions:
            after.append(f"extensions:  {named(regeneration.extensions)}")
        show_diff(
            host,
            f"Certificate {freshness.paths(name).certificate}",
            describe(freshness.certificate_of(name), freshness.ca),
            after,
        )
    aside = regeneration.aside
    # In a preview their CA is still to come, and they come with it.
    ready = [n for n in due if freshness.ca_due or aside.is_of(freshness.ca, n)]
    if ready:
        yield putting(facts, aside.layers_of(ready))
    for to_be_made in credentials_wanted(regeneration, [n for n in due if n not in ready]):
        typed = ca_commands(facts.deployment.authority).issue(conf, to_be_made)
        yield changing(facts.lock, typed.script, *typed.arguments, limit=KEYS_LIMIT)
    facts.forget("ssl", "components")
    problems = [
        problem
        for problem in map(regeneration.freshness.certificate_problem, due)
        if problem is not None
    ]
    if problems:
        yield step_failed(problems)


@operation()
def placed() -> Generator[PyinfraCommand, None, None]:
    """
    Copy the CRL into place and give everything to Puppet's account (step 2.7).

    The CA's certificate is put where the master's own agent looks for it, if it is not there;
    private keys are closed to others. Nothing is left of what was made aside: all of it is in
    place by now.
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    conf, problems = facts.settings, freshness.placement_problems
    owner = f"{conf.user}:{conf.group}"
    aside = regeneration.aside
    if aside.exists:
        problems = (*problems, Defect(aside.where.top, "is not needed any more"))
    if not problems:
        host.noop("CRL, owners and modes are as they should be")
        return
    show_diff(
        host,
        "CRL, owners and modes",
        [str(problem) for problem in problems],
        [f"{conf.hostcrl}: the CA's revocation list; all {owner}"],
    )
    yield changing(
        facts.lock,
        PLACED,
        aside.where.top,
        conf.cacrl,
        conf.hostcrl,
        conf.cacert,
        conf.localcacert,
        owner,
        *freshness.ssl.keys,
    )
    for root in conf.ssl_roots:
        stay = patterns_within(root, freshness.kept)
        yield changing(facts.lock, PLACING + 'give "$@"', owner, root, "directory", *stay)
    facts.forget("ssl", "components", "aside")
    left = regeneration.freshness.placement_problems
    if left:
        yield step_failed(left)


def _described(regeneration: Regeneration, paths: Iterable[str]) -> list[str]:
    """Each path with owner and mode, and for a certificate what it is."""
    freshness = regeneration.freshness
    lines = []
    for path in paths:
        lines.append(f"{path} {freshness.ssl.files[path].describe()}")
        cert = read_certificate(freshness.ssl.texts.get(path, ""))
        lines += [f"    {line}" for line in describe(cert, freshness.ca)]
    return lines
