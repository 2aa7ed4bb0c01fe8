"""What was said about the hosts of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pyinfra.api import Host, State
from pyinfra.api.exceptions import DeployError

from procedures.telling import warn
from recert.errors import RecertError
from recert.options import OPTIONS, Options, mistyped

_ANSWERED_BY_MASTER = "retire_ca"
"""Where this is no fingerprint, the refusal has that of the CA there is, which the master tells."""


def refuse_misunderstood(state: State) -> None:
    """What the command line says is looked at whether this run reads it or not: whoever has typed
    it takes it for done.

    :raises DeployError: `--data` has a name that is none, and looks like one, or a value that is
        none; or what the inventory says is a host's certname cannot be one.
    """
    said = state.inventory.override_data
    wrong = [_asked(name, meant) for name, meant in sorted(mistyped(said).items())]
    for name in sorted(OPTIONS.keys() & said.keys() - {_ANSWERED_BY_MASTER}):
        with added_to(wrong):
            getattr(Options(said.get), name)
    for host in state.inventory:
        try:
            _ = options_of(host).certname
        except RecertError as error:
            wrong.append(f"{host.name}: {error}")
    if wrong:
        raise DeployError(f"Nothing was changed: {'; '.join(wrong)}")


def warn_of_misspelt(state: State) -> None:
    """What the inventory says under a name that looks like one of the suite's would be no word at
    all. It may be somebody's own, so that nothing is refused for it."""
    having: dict[str, list[Host]] = {}
    of_all = state.inventory.get_data().keys()
    for host in state.inventory:
        for name in host.host_data.keys() | host.group_data.keys() | of_all:
            having.setdefault(name, []).append(host)
    for name, meant in sorted(mistyped(having).items()):
        first, *others = having[name]
        whose = f" It is in the data of {len(others)} more hosts." if others else ""
        warn(first, f"In the inventory {_asked(name, meant)}{whose} If it is yours, all is well.")


def _asked(name: str, meant: str) -> str:
    return f"there is no data {name}. Was {meant} meant ({OPTIONS[meant]})?"


@contextmanager
def added_to(refusals: list[str]) -> Iterator[None]:
    """Have data that are not understood be one refusal among others."""
    try:
        yield
    except RecertError as error:
        refusals.append(str(error))


def options_of(host: Host) -> Options:
    """What was said about a host, on the command line or else in the inventory."""
    return Options(host.data.get)
