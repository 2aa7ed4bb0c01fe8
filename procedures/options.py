"""Data of the inventory or the command line that confirm something."""

from __future__ import annotations

from pyinfra.api import Host

from recert.errors import RecertError


def flag(host: Host, name: str) -> bool:
    """Whether somebody has said `name=True`.

    :raises RecertError: something else was said.
    """
    value = host.data.get(name)
    if value is not None and not isinstance(value, bool):
        raise RecertError(f"{name}={value} is not understood: it is True or False.")
    return value is True


def listed(host: Host, name: str) -> list[str]:
    """The words of `name=a,b`, lower-case."""
    value = host.data.get(name)
    words = value if isinstance(value, (list, tuple)) else str(value or "").split(",")
    return [str(word).strip().lower() for word in words if str(word).strip()]
