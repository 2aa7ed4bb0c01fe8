"""The DNS alternative names that new certificates carry (steps 2.5, 2.6 and 6.6)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from recert.errors import RecertError
from recert.settings import split_alt_names


@dataclass(frozen=True)
class AltNames:
    """The names to give, in order and without the certname, which Puppet always adds.

    `chosen`: somebody named them in the data; then an empty tuple means none at all.
    Otherwise an empty tuple leaves the choice to Puppet (`puppet` and the host's own names),
    as the document's command does.
    """

    certname: str
    names: tuple[str, ...]
    chosen: bool = False

    @property
    def argument(self) -> str:
        """The value for `puppet cert generate --dns_alt_names=`."""
        if self.chosen and not self.names:
            return self.certname
        return ",".join(self.names)

    def satisfied_by(self, present: Iterable[str]) -> bool:
        """Whether a certificate with these names is the one that would be made."""
        if not self.names and not self.chosen:
            return True
        return set(present) | {self.certname} == {*self.names, self.certname}

    def __str__(self) -> str:
        if self.names:
            return ", ".join(self.names)
        return "none" if self.chosen else "Puppet's defaults"


def alt_names_to_give(
    certname: str,
    configured: Iterable[str],
    in_use: Iterable[str],
    override: str | None = None,
) -> AltNames:
    """puppet.conf's names together with those of the certificate in use, unless overridden.

    :param override: the data `dns_alt_names`, comma-separated, or None.
    :raises RecertError: for a name that the CA would not sign.
    """
    if override is not None:
        names = split_alt_names(override)
    else:
        names = split_alt_names(",".join([*configured, *sorted(in_use)]))
    return AltNames(
        certname=certname,
        names=tuple(name for name in names if name != certname),
        chosen=override is not None,
    )


def signable(names: Iterable[str]) -> frozenset[str]:
    """Those that Puppet's CA would sign."""
    return frozenset(name for name in names if _is_signable(name))


def _is_signable(name: str) -> bool:
    try:
        return split_alt_names(name) == (name,)
    except RecertError:
        return False


def told_alt_names(
    certname: str, wanted: str, names: Iterable[str], present: Iterable[str], all_go: bool = True
) -> str:
    """For a person: what a new certificate carries, and what of that changes.

    :param wanted: all of it, as text.
    :param names: and `present`: those of the new and of the old one.
    :param all_go: whether what is not among the new ones goes.
    """
    new, old = set(names) - {certname}, set(present) - {certname}
    changes = [f"+{name}" for name in sorted(new - old)]
    if all_go:
        changes += [f"-{name}" for name in sorted(old - new)]
    changed = f"changes: {' '.join(changes)}" if changes else "as they are"
    return f"Alt names of {certname}: {wanted} ({changed})"


def default_alt_names(certname: str) -> set[str]:
    """The names that `puppet cert generate` gives by itself to the certname's certificate."""
    domain = certname.partition(".")[2]
    return {"puppet", certname} | ({f"puppet.{domain}"} if domain else set())
