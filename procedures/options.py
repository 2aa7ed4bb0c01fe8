"""Data of the inventory or the command line that confirm something."""

from __future__ import annotations

from pyinfra.api import Host, State
from pyinfra.api.exceptions import DeployError

from recert.errors import RecertError
from recert.options import OPTIONS, mistyped


def refuse_mistyped(state: State) -> None:
    """:raises DeployError: `--data` has a name that is none, and looks like one."""
    wrong = mistyped(state.inventory.override_data)
    if wrong:
        raise DeployError(
            "Nothing was changed: "
            + "; ".join(
                f"there is no data {name}. Was {meant} meant ({OPTIONS[meant]})?"
                for name, meant in sorted(wrong.items())
            )
        )


def flag(host: Host, name: str) -> bool:
    """Whether somebody has said `name=True`.

    :raises RecertError: something else was said.
    """
    value = host.data.get(name)
    if value is not None and not isinstance(value, bool):
        raise RecertError(f"{name}={value} is not understood: it is True or False.")
    return value is True


def listed(host: Host, name: str) -> list[str]:
    """The words of `name=a,b`."""
    value = host.data.get(name)
    words = value if isinstance(value, (list, tuple)) else str(value or "").split(",")
    return [str(word).strip() for word in words if str(word).strip()]
