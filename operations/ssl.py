"""Step 2: the CA, the master's certificates, and what has to go before them."""

from __future__ import annotations

from collections.abc import Generator, Iterable

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from facts.entering import ENTERING
from facts.reading import READING, SAME
from operations.authority import ca_commands
from operations.authority.commands import CredentialsWanted
from operations.clearing import CLEARING, REMOVING, pattern, patterns, patterns_within
from operations.placing import PLACING
from operations.step import changing, in_batches, printable, removing, show_diff, step_failed
from procedures.regeneration import Regeneration, new_ca, regeneration_of
from recert.certificates import describe, read_certificate
from recert.extensions import csr_attributes, named
from recert.freshness import CaStatus

KEYS_LIMIT = 3600
"""Seconds in which the CA, or keys and certificates, have to be made: a dozen of keys with 4096
bits, of which a slow machine with little entropy takes minutes for each."""

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
    + r"""
cacrl=$1 hostcrl=$2 cacert=$3 localcacert=$4 owner=$5; shift 5
place "$cacrl" "$hostcrl" "$owner" 0644 || fail "The CRL could not be copied to $hostcrl."
same "$cacert" "$localcacert" ||
    place "$cacert" "$localcacert" "$owner" 0644 || fail "Cannot write $localcacert."
close_to_others "$@"
"""
)


@operation()
def cleared() -> Generator[PyinfraCommand, None, None]:
    """
    Delete the CA and all certificates of the master (step 2.2).

    Where a fresh CA is in place after an interrupted run, only what is not of it is removed. Keys
    and certificates that are somebody else's stay (`recert.others`), as do mount points.
    The CA's key goes first: without it no later start of Puppet can certify it anew.
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    conf, remains = facts.settings, freshness.ssl_remains
    if not remains:
        host.noop("everything in the SSL directories is of the CA in place")
        return
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
cakey=$1 roots=$2; shift 2
remove "$cakey"
while [ "$roots" -gt 0 ]; do clear_below "$@"; shift 2; roots=$((roots - 1)); done
[ ! -e "$cakey" ] || fail "The CA's key could not be removed: $cakey"
""",
            *unchanged,
            conf.cakey,
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
    Have Puppet make a CA anew (step 2.4).

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
    typed = ca_commands(facts.deployment.authority).create()
    yield changing(facts.lock, typed.script, *typed.arguments, limit=KEYS_LIMIT)
    facts.forget("ssl")
    freshness = regeneration.freshness
    if freshness.ca_due:
        found: list[object] = [f"The CA is not new: it is {freshness.ca_status.value}."]
        if freshness.ca_status is not CaStatus.RETIRING:
            found += freshness.ca_damage
        yield step_failed(found)


@operation()
def certificates_generated(
    names: tuple[str, ...], alt_names: bool = False, keys_ahead: tuple[str, ...] = ()
) -> Generator[PyinfraCommand, None, None]:
    """
    Have the CA make the certificates that are not fresh, in one process (steps 2.5 and 2.6), and
    in one more for each set of alternative names that those of the vendor's services had.

    + names: certnames, or `recert.deployments.model.CERTNAME` for the master's
    + alt_names: whether the certificates carry the master's alternative names
    + keys_ahead: certnames whose keys are made meanwhile, for a later step
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    conf = facts.settings
    due = freshness.names_due(map(conf.real_name, names))
    if not due:
        host.noop("these certificates are fresh")
        return
    for name in due:
        after = [f"subject:     {name}", "issuer:      the new CA"]
        kept = regeneration.kept_names.get(name, frozenset())
        if alt_names or kept:
            wanted = sorted({*(regeneration.alt_names.names if alt_names else kept), name})
            after.append(f"alt names:   {', '.join(f'DNS:{n}' for n in wanted)}")
        if alt_names and regeneration.extensions:
            after.append(f"extensions:  {named(regeneration.extensions)}")
        show_diff(
            host,
            f"Certificate {freshness.paths(name).certificate}",
            describe(freshness.certificate_of(name), freshness.ca),
            after,
        )
    back = facts.put_back(regeneration.extensions) if alt_names else {}
    own = regeneration.alt_names.argument if alt_names else ""
    carried = {name: ",".join(sorted(regeneration.kept_names.get(name, ()))) or own for name in due}
    for argument in dict.fromkeys(carried.values()):
        to_be_made = CredentialsWanted(
            names=[name for name in due if carried[name] == argument],
            alt_names=argument,
            keys_ahead=freshness.names_due(keys_ahead),
            attributes=csr_attributes(back) if back else "",
            attributes_path=facts.attributes_path,
        )
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
    private keys are closed to others.
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    conf, problems = facts.settings, freshness.placement_problems
    owner = f"{conf.user}:{conf.group}"
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
    facts.forget("ssl", "components")
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
