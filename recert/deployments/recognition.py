"""Which deployment a host is of, by what it shows. What no table knows, or what two match, is
refused: a procedure for another shape deletes what that one has, and nobody puts back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from recert.deployments.known import of_program
from recert.deployments.model import Deployment
from recert.errors import RecertError


@dataclass(frozen=True)
class Signs:
    """What a host shows. `versions`: what its own files say, by path. `directories`, `accounts`:
    those that there are. `puppet`: Puppet's version, empty if it has not said it."""

    versions: Mapping[str, str] = field(default_factory=dict)
    directories: frozenset[str] = frozenset()
    puppet: str = ""
    accounts: frozenset[str] = frozenset()

    def __str__(self) -> str:
        versions = [f"{path} says {version}" for path, version in sorted(self.versions.items())]
        seen = versions or ["no file names a version"]
        if self.directories:
            seen.append(f"there is {' and '.join(sorted(self.directories))}")
        if self.accounts:
            seen.append(f"accounts are {' and '.join(sorted(self.accounts))}")
        if self.puppet:
            seen.append(f"Puppet is {self.puppet}")
        return ", ".join(seen)


def recognised(
    signs: Signs, known: Iterable[Deployment], named: str | None, host: str
) -> Deployment:
    """The one deployment that a master shows to be of.

    :param named: the data `deployment`, which decides between several and overrides no sign; None
        if not given.
    :param host: for the message.
    :raises RecertError: there is none, there are several, or `named` is none of them.
    """
    known = list(known)
    by_files = [one for one in known if _fits(signs, one)]
    fitting = _by_puppet(signs, by_files, known)
    there_are = ", ".join(f"{one.name} ({one.title})" for one in known)
    seen = f"{host} is left as it is: {signs}."
    if named is not None:
        if named not in [one.name for one in known]:
            raise RecertError(
                f"deployment={named} is no deployment that is known here: {there_are}."
            )
        if named not in [one.name for one in fitting]:
            raise RecertError(f"{seen} That is not {named}. Take deployment={named} away.")
        return next(one for one in fitting if one.name == named)
    if by_files and not fitting and signs.versions:
        says, its = _names(by_files), _names(one for one in known if _has_puppet(signs, one))
        raise RecertError(
            f"{seen} Its files say {says}, and its Puppet is that of {its}: an upgrade has come "
            "half way. Bring it to its end, or the former Puppet back."
        )
    if not fitting:
        raise RecertError(
            f"{seen} That is none of the deployments that are known here: {there_are}. A procedure "
            "for another one would leave this one half done."
        )
    if len(fitting) > 1:
        raise RecertError(
            f"{seen} That may be {_names(fitting)}. Say which: --data deployment=<name>"
        )
    return fitting[0]


def generation_refusals(program: str, deployment: Deployment) -> list[str]:
    """A master with two generations' programs, of which the wrong one comes first: its settings and
    certificates would be those of a Puppet that serves nobody.

    :param program: the `puppet` that commands there find.
    """
    own = of_program(program)
    if own is None or own.prefix == deployment.prefix:
        return []
    return [
        f"This is {deployment.title}, and the first `puppet` there is {program}, which is another "
        "generation's. Remove what an upgrade has left of that."
    ]


def _fits(signs: Signs, deployment: Deployment) -> bool:
    if deployment.sign not in signs.directories:
        return False
    # Who does not say its accounts has none of these, and Puppet none of its own then.
    if signs.accounts and deployment.account not in signs.accounts:
        return False
    if not signs.versions:
        return True
    version = signs.versions.get(deployment.version_file, "")
    return _is_one_of(version, deployment.versions)


def _by_puppet(
    signs: Signs, fitting: list[Deployment], known: list[Deployment]
) -> list[Deployment]:
    """Those of the fitting that Puppet's own version allows. Where the vendor's file names one, a
    Puppet that no table has says nothing against it; where none does, it fits none."""
    vendors = {one.vendor for one in fitting}
    alike = [one for one in known if one.vendor in vendors]
    # With two generations' programs nobody knows of which one that Puppet is.
    if not signs.puppet or len({one.sign for one in alike} & signs.directories) != 1:
        return fitting
    own = [one for one in fitting if _has_puppet(signs, one)]
    decides = not signs.versions or any(_has_puppet(signs, one) for one in alike)
    return own if decides else fitting


def _has_puppet(signs: Signs, deployment: Deployment) -> bool:
    return _is_one_of(signs.puppet, deployment.puppet_versions)


def _is_one_of(version: str, begins: Iterable[str]) -> bool:
    return any(f"{version}.".startswith(f"{begin}.") for begin in begins)


def _names(deployments: Iterable[Deployment]) -> str:
    return " or ".join(one.name for one in deployments)
