"""Steps 3 and 4: the components' copies of the master's credentials, out of one table."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from facts.reading import READING, SAME
from facts.ssl import AS_PK8
from operations.clearing import CLEARING, pattern, patterns, patterns_within
from operations.placing import PLACING
from operations.step import changing, show_diff, step_failed
from procedures.regeneration import Regeneration, regeneration_of
from recert.certificates import describe, read_certificate
from recert.deployments.model import Component, Part

_OWN = (
    PLACING
    + r"""
own() { # $1 account, $2 whether the directory too, $3 directory; what matches the others stays
    to=$1 too=$2 place=$3; shift 3
    give "$to:$to" "$place" "$too" "$@"
}
"""
)


COPYING = (
    _OWN
    + READING
    + SAME
    + r"""
directory=$1 account=$2 ownership=$3 as_pk8=$4 parts=$5; shift 5
umask 077 # a copy of a private key is never open to others, not even while it is made
make "$directory" 0755 "$account:$account"
converted() { ruby --disable-gems -ropenssl -e "$as_pk8"; }
make_pk8() { stage get_theirs "$1" | stage converted | stage put "$2" '' "$3"; }
while [ "$parts" -gt 0 ]; do
    case $2 in
        (*.pk8) whole make_pk8 "$@" || fail "Writing $1 to $2 failed." ;;
        (*)
            place "$1" "$2" '' "$3" || fail "Copying $1 to $2 failed."
            same "$1" "$2" || fail "The copy $2 differs from $1." ;;
    esac
    shift 3; parts=$((parts - 1))
done
[ "$ownership" = later ] || own "$account" "$ownership" "$directory" "$@"
"""
)


@operation()
def cleared(*components: Component) -> Generator[PyinfraCommand, None, None]:
    """
    Remove everything from the components' directories that is not a fresh copy, nor somebody
    else's key or certificate.

    + components: rows of a deployment
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    leftovers = {
        component: paths
        for component in components
        if component in freshness.installed_components and (paths := freshness.leftovers(component))
    }
    if not leftovers:
        host.noop("nothing but fresh copies there")
        return
    for component, paths in leftovers.items():
        files = facts.components[component.directory].files
        show_diff(host, "Remove", [f"{path} {files[path].describe()}" for path in paths], [])
    for component in leftovers:
        gone = set(leftovers[component])
        kept = [path for path, _, _ in freshness.copies(component) if path not in gone]
        kept += component.extra_paths
        # The host finds what goes: there may be thousands, and names that are no text.
        yield changing(
            facts.lock,
            CLEARING + 'clear_below "$@"',
            component.directory,
            pattern(component.directory),
            *patterns([*kept, *freshness.others]),
        )
        facts.forget(component.directory)


@operation()
def copied(
    component: Component, credential: str, owned: bool = False
) -> Generator[PyinfraCommand, None, None]:
    """
    Copy certificate, public and private key of one credential where they are not fresh.

    + component: a row of a deployment
    + credential: one of the component's
    + owned: whether this step also gives the files to the component's account
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    if component not in freshness.installed_components:
        host.noop(f"{component.title} is not installed")
        return
    stale = {problem.path for problem in freshness.copy_problems(component, credential)}
    if not stale and not (owned and freshness.ownership_problems(component)):
        host.noop("these copies are fresh")
        return
    name = facts.settings.real_name(credential)
    parts = [
        (path, part)
        for path, of_name, part in freshness.copies(component)
        if of_name == name and path in stale
    ]
    for path, part in parts:
        _show_copy(regeneration, component, path, name, part)
    yield changing(
        facts.lock,
        COPYING,
        component.directory,
        component.account,
        _ownership(component) if owned else "later",
        AS_PK8,
        str(len(parts)),
        *(
            word
            for path, part in parts
            for word in (
                facts.paths(name).of_part(part),
                path,
                f"{component.file_mode(part):04o}",
            )
        ),
        *patterns_within(component.directory, freshness.kept),
    )
    facts.forget(component.directory)
    problems = regeneration.freshness.copy_problems(component, credential)
    if owned:
        problems += regeneration.freshness.ownership_problems(component)
    if problems:
        yield step_failed(problems)


@operation()
def put_back(component: Component) -> Generator[PyinfraCommand, None, None]:
    """
    Put what is no copy of a credential, and what the service wants, back where it is gone.

    + component: a row of a deployment
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    due = freshness.extras_due(component) if component in freshness.installed_components else []
    if not due:
        host.noop("everything else is there")
        return
    paths = {component.extra_path(extra): extra.source for extra in due}
    show_diff(host, component.directory, [], [f"{p}: a copy of {s}" for p, s in paths.items()])
    yield changing(
        facts.lock,
        PLACING
        + r"""
while [ "$#" -gt 0 ]; do
    place "$2" "$1" '' 0644 || fail "Copying $2 to $1 failed."
    shift 2
done
""",
        *(word for pair in paths.items() for word in pair),
    )
    facts.forget(component.directory)
    if regeneration.freshness.extras_due(component):
        yield step_failed([f"{path} is not there" for path in paths])


@operation()
def owned(component: Component) -> Generator[PyinfraCommand, None, None]:
    """
    Give the component's directory and its copies to the component's account.

    + component: a row of a deployment
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    if component not in freshness.installed_components:
        host.noop(f"{component.title} is not installed")
        return
    problems = freshness.ownership_problems(component)
    if not problems:
        host.noop(f"all is {component.account}'s")
        return
    show_diff(
        host,
        component.directory,
        [str(problem) for problem in problems],
        [f"{component.directory}: all {component.account}:{component.account}"],
    )
    yield changing(
        facts.lock,
        _OWN + 'own "$@"',
        component.account,
        _ownership(component),
        component.directory,
        *patterns_within(component.directory, freshness.kept),
    )
    facts.forget(component.directory)
    left = regeneration.freshness.ownership_problems(component)
    if left:
        yield step_failed(left)


def _ownership(component: Component) -> str:
    return "directory" if component.owns_directory else "files"


def _show_copy(
    regeneration: Regeneration, component: Component, path: str, name: str, part: Part
) -> None:
    freshness = regeneration.freshness
    state = regeneration.facts.components[component.directory]
    entry = state.files.get(path)
    before = [f"owner, mode: {entry.describe()}"] if entry is not None else []
    before += describe(read_certificate(state.certificates.get(path, "")), freshness.ca)
    after = [
        f"owner, mode: {component.account}:{component.account} {component.file_mode(part):04o}",
    ]
    if part is Part.CERTIFICATE and freshness.certificate_problem(name) is None:
        after += describe(freshness.certificate_of(name), freshness.ca)
    elif part is Part.CERTIFICATE:
        after += [f"subject:     {name}", "issuer:      the new CA"]
    of = "as PKCS#8: " if part is Part.PK8 else "a copy of "
    after.append(f"{of}{freshness.paths(name).of_part(part)}")
    show_diff(host, f"Copy {path}", before, after)
