"""Why a master is not fresh, for a person: what is wrong by itself, without all that has to be made
anew along with it."""

from __future__ import annotations

from recert.freshness import Defect, Freshness
from recert.pasted import for_sh

REGENERATE = (
    "Run deploys/site.py with the retire_ca of the CA that is to go; it completes the rest."
)


def faults(fresh: Freshness) -> list[Defect]:
    """What keeps PE from working under the CA in place; each with a remedy."""
    if fresh.ca_due:
        unfit = Defect(fresh.settings.cacert, f"is {fresh.ca_status.value}", REGENERATE)
        return [_with_remedy(problem) for problem in fresh.ca_damage or (unfit,)]
    stale = set(fresh.names_due(fresh.credential_names))
    found = [problem for name in sorted(stale) if (problem := fresh.certificate_problem(name))]
    found += fresh.placement_problems
    for component in fresh.installed_components:
        name_of = {path: name for path, name, _ in fresh.copies(component)}
        copies = fresh.copy_problems(component)
        found += [problem for problem in copies if name_of[problem.path] not in stale]
        found += [
            Defect(path, "is missing", for_sh("cp", extra.source, path))
            for extra in fresh.extras_due(component)
            for path in [component.extra_path(extra)]
        ]
        found += [p for p in fresh.ownership_problems(component) if p.remedy]
    return [_with_remedy(problem) for problem in found]


def leftovers(fresh: Freshness) -> list[Defect]:
    """What nothing works with, and what step 2.2, 3 or 4 would remove; each with a remedy."""
    if fresh.ca_due:
        return []
    known = {problem.path for problem in faults(fresh)}
    for name in fresh.names_due(fresh.credential_names):
        known |= set(fresh.paths(name).all)
    found = dict.fromkeys(fresh.ssl_remains, "is not of the CA on this host")
    for component in fresh.installed_components:
        copies = {path for path, *_ in fresh.copies(component)}
        why = f"does not belong to {component.title}'s credentials"
        found |= {path: why for path in fresh.leftovers(component) if path not in copies}
    return [
        Defect(path, why, for_sh("rm", path)) for path, why in found.items() if path not in known
    ]


def _with_remedy(problem: Defect) -> Defect:
    return problem if problem.remedy else Defect(problem.path, problem.why, REGENERATE)
