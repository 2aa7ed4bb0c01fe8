"""The data that the suite takes, from the inventory or as `--data name=value`: each is read and
checked here, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from enum import Enum

from recert.backups import check_backup_name
from recert.errors import RecertError
from recert.interlock import parse_fingerprint
from recert.settings import check_certname, check_path
from recert.windows import check_windows_path

BACKUP_DIR = "/var/lib/pe-recert/backups"
"""Where backups go on hosts with sh, unless somebody names another place."""

_CLOSE = 0.75


class RunMode(Enum):
    """How a verification proves that Puppet runs: by running it, by running it without letting it
    change anything, or by the run that it has made since the host has its certificate."""

    REAL = "real"
    NOOP = "noop"
    LAST = "last"


class Options:
    """What was said about one host. None, False or nothing: it was not said.

    :param data: the value of a name, None where there is none.
    """

    def __init__(self, data: Callable[[str], object]) -> None:
        self._data = data

    @property
    def retire_ca(self) -> str | None:
        """SHA-256 fingerprint of the CA to retire, or that is gone

        :raises RecertError: it is none.
        """
        value = self._data("retire_ca")
        return None if value in (None, "") else parse_fingerprint(value)

    @property
    def retire_certs(self) -> frozenset[str]:
        """fingerprints of single certificates to replace, with commas

        :raises RecertError: one is none.
        """
        return self._fingerprints("retire_certs")

    @property
    def approved_certs(self) -> frozenset[str]:
        """fingerprints of certificates that may say more than those before, with commas

        :raises RecertError: one is none.
        """
        return self._fingerprints("approved_certs")

    @property
    def disowned_certs(self) -> frozenset[str]:
        """fingerprints of certificates of the master's by which none is to be made, with commas

        :raises RecertError: one is none.
        """
        return self._fingerprints("disowned_certs")

    @property
    def approved_requests(self) -> frozenset[str]:
        """fingerprints of requests that may ask for what they do, with commas

        :raises RecertError: one is none.
        """
        return self._fingerprints("approved_requests")

    @property
    def compromised_since(self) -> datetime | None:
        """the day since when what the CA to retire has signed is not believed (2026-11-01, UTC)

        :raises RecertError: it is no day.
        """
        value = self._text("compromised_since")
        if not value:
            return None
        try:
            return datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise RecertError(
                f"compromised_since={value} is not understood. It is a day, such as 2026-11-01."
            ) from None

    @property
    def dns_alt_names(self) -> str | None:
        """alternative names of the master's certificate, with commas

        :raises RecertError: it is empty, which is no way to have none, or no text.
        """
        if self._data("dns_alt_names") is None:
            return None
        names = self._words("dns_alt_names")
        if not names:
            raise RecertError(
                "dns_alt_names is empty. Leave it out to keep the names there are; to have none, "
                "give the master's certname alone: dns_alt_names=<certname>"
            )
        return ",".join(names)

    @property
    def deployment(self) -> str | None:
        """which of two shapes a master is of that may be either"""
        # Whatever it is, who knows the shapes says which there are.
        value = self._data("deployment")
        return None if value in (None, "") else str(value)

    @property
    def pe_groups_classified(self) -> bool:
        """True: somebody has looked, and the node groups are classified

        :raises RecertError: it is something else.
        """
        return self._flag("pe_groups_classified")

    @property
    def despite_failing_run(self) -> bool:
        """True: although the master's Puppet run fails already

        :raises RecertError: it is something else.
        """
        return self._flag("despite_failing_run")

    @property
    def other_names(self) -> tuple[str, ...]:
        """names whose keys nobody needs any more, with commas

        :raises RecertError: they are no text.
        """
        return self._words("other_names")

    @property
    def forwarded_ports(self) -> frozenset[int]:
        """ports that something passes on to the master's, with commas

        :raises RecertError: one is none.
        """
        words = self._words("forwarded_ports")
        for word in words:
            if not (word.isascii() and word.isdigit() and 1 <= int(word[:6]) <= 65535):
                raise RecertError(f"forwarded_ports has {word}, which is no port.")
        return frozenset(map(int, words))

    @property
    def backup(self) -> str | None:
        """name of the master's backup to restore

        :raises RecertError: it cannot be one's.
        """
        value = self._data("backup")
        return None if value is None else check_backup_name(value)

    @property
    def restored_paths(self) -> tuple[str, ...]:
        """paths outside of Puppet's usual places that a backup may put back

        :raises RecertError: they are no text.
        """
        return self._words("restored_paths")

    @property
    def backup_dir(self) -> str:
        """where backups go on hosts with sh

        :raises RecertError: it is no absolute path.
        """
        if self._data("backup_dir") is None:
            return BACKUP_DIR
        return check_path("backup_dir", self._text("backup_dir"))

    @property
    def windows_backup_dir(self) -> str | None:
        """where backups go on Windows

        :raises RecertError: it is no absolute path.
        """
        if self._data("windows_backup_dir") is None:
            return None
        return check_windows_path("windows_backup_dir", self._text("windows_backup_dir"))

    @property
    def puppet_run(self) -> RunMode:
        """real, noop or last: how a verification proves that Puppet runs

        :raises RecertError: it is none of these.
        """
        value = self._data("puppet_run")
        try:
            return RunMode.REAL if value is None else RunMode(value)
        except ValueError:
            known = ", ".join(mode.value for mode in RunMode)
            raise RecertError(
                f"puppet_run={value} is not understood. It is one of {known}."
            ) from None

    @property
    def certname(self) -> str | None:
        """a host's, in the inventory

        :raises RecertError: it can be none.
        """
        value = self._text("certname").lower()
        return check_certname(value) if value else None

    def _text(self, name: str) -> str:
        value = self._data(name)
        return "" if value is None else _as_text(name, value)

    def _flag(self, name: str) -> bool:
        value = self._data(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise RecertError(f"{name}={value} is not understood: it is True or False.")

    def _fingerprints(self, name: str) -> frozenset[str]:
        return frozenset(parse_fingerprint(word, name) for word in self._words(name))

    def _words(self, name: str) -> tuple[str, ...]:
        value = self._data(name)
        given = value if isinstance(value, (list, tuple)) else self._text(name).split(",")
        words = (_as_text(name, word).strip() for word in given)
        return tuple(word for word in words if word)


def _as_text(name: str, value: object) -> str:
    # pyinfra makes a number of what looks like one, on the command line.
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise RecertError(f"{name}={value} is not understood: it is a text, such as a name or a path.")


OPTIONS = {
    name: str(option.__doc__).partition("\n")[0]
    for name, option in vars(Options).items()
    if isinstance(option, property)
}
"""The names of all, and what each is."""


def mistyped(names: Iterable[str]) -> dict[str, str]:
    """Those that are none of the suite's and look like one, each with the one that was meant:
    what is not understood would otherwise be no word at all."""
    found = {}
    for name in names:
        if name in OPTIONS or name.startswith(("_", "ssh_", "winrm_")):
            continue
        close = get_close_matches(name.lower().replace("-", "_"), OPTIONS, n=1, cutoff=_CLOSE)
        if close:
            found[name] = close[0]
    return found
