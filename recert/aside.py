"""What is made aside, while the old CA still serves: where, how it is judged, and what of it goes
where when it takes the old one's place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from recert.certificates import Certificate, read_revocation_list
from recert.freshness import CaStatus, CredentialPaths, Defect, Freshness
from recert.observed import SslState
from recert.preflight import SHORTEST_CA
from recert.settings import CREDENTIAL_SETTINGS, Settings

LONGEST_ASIDE = timedelta(days=1)
"""What was made earlier than that is made anew: nobody knows who has been at it since."""

ROOT = "root"
"""As whom `facts.ssl` knows the owner of what is root's."""

_MOVED = ("ssldir", "cadir", *CREDENTIAL_SETTINGS)
"""The settings of what is made aside, as far as anything here reads it."""


@dataclass(frozen=True)
class Aside:
    """Where a new CA is made for a master, and Puppet's settings that say so.

    `top` is root's, and nobody can look into it. In it are `note`, which names the CA in whose
    place this one is to come, and `inner`, which is for Puppet's account and nobody else:
    Puppet opens its own ssldir to others.
    """

    place: Settings

    @property
    def top(self) -> str:
        """Beside ssldir, and so where there is room for another."""
        return f"{self.place.ssldir}.pe-recert"

    @property
    def directory(self) -> str:
        """In which it is made."""
        return self.top.rpartition("/")[0]

    @property
    def note(self) -> str:
        return f"{self.top}/retires"

    @property
    def inner(self) -> str:
        return f"{self.top}/new"

    @property
    def attributes(self) -> str:
        """The csr_attributes.yaml by which the master's request is made, if it needs one."""
        return f"{self.top}/csr_attributes.yaml"

    def path_of(self, path: str) -> str:
        """Where the counterpart is of a file in ssldir or cadir."""
        return _moved(path, self._moves)

    def place_of(self, path: str) -> str:
        """Where what is made aside is to go."""
        return _moved(path, {there: here for here, there in self._moves.items()})

    def holds(self, path: str) -> bool:
        """Whether a file is among what is made aside."""
        return path.startswith(f"{self.top}/")

    @cached_property
    def settings(self) -> Settings:
        """Those that Puppet makes it by."""
        paths: dict[str, Any] = {n: self.path_of(getattr(self.place, n)) for n in _MOVED}
        return replace(self.place, **paths)

    @cached_property
    def options(self) -> tuple[str, ...]:
        """The same for Puppet's command line: each, since a puppet.conf may have set it."""
        named = {name: getattr(self.settings, name) for name in _MOVED}
        named |= {name: self.path_of(path) for name, path in self._unjudged.items()}
        return tuple(f"--{name}={path}" for name, path in named.items() if path)

    @property
    def outside(self) -> dict[str, str]:
        """What Puppet writes with a CA neither in ssldir nor in cadir, by setting."""
        return {n: path for n, path in self._unjudged.items() if self.path_of(path) == path}

    @property
    def _moves(self) -> dict[str, str]:
        names = ("ssldir", "cadir")
        return {
            root: f"{self.inner}/{name}"
            for root, name in zip(self.place.ssl_roots, names, strict=False)
        }

    @property
    def _unjudged(self) -> dict[str, str]:
        """The settings of files that Puppet writes and nothing here reads, as they are in place."""
        conf = self.place
        return {
            "capub": conf.capub or f"{conf.cadir}/ca_pub.pem",
            "caprivatedir": conf.caprivatedir or f"{conf.cadir}/private",
            "cert_inventory": conf.cert_inventory or f"{conf.cadir}/inventory.txt",
            "privatedir": conf.privatedir or f"{conf.ssldir}/private",
            "passfile": conf.passfile or f"{conf.privatedir or f'{conf.ssldir}/private'}/password",
        }


def _moved(path: str, moves: Mapping[str, str]) -> str:
    for root, to in moves.items():
        if path == root or path.startswith(f"{root}/"):
            return to + path[len(root) :]
    return path


@dataclass(frozen=True)
class Layer:
    """Files that go from one directory into another, which is made with that mode where it is not
    there. `names`: in the order in which they go."""

    source: str
    target: str
    mode: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class MadeAside:
    """What there is aside on a master. `fresh`: the judgement over it, as if it were in place."""

    where: Aside
    ssl: SslState
    fresh: Freshness

    @property
    def exists(self) -> bool:
        return self.where.top in self.ssl.files

    @cached_property
    def problems(self) -> tuple[Defect, ...]:
        """Why it cannot take the place of the CA to retire; empty if it can."""
        where, fresh = self.where, self.fresh
        if not self.exists:
            return (Defect(where.top, "is not there"),)
        if others := [path for path in (where.top, where.inner, where.note) if self._others(path)]:
            return (Defect(others[0], "is not root's alone: somebody else may have made it"),)
        retires = self.ssl.texts.get(where.note, "").strip()
        if not retires:
            return (Defect(where.top, "was not made to its end"),)
        if retires != fresh.retired.fingerprint:
            return (Defect(where.top, f"was made for when {retires} is retired"),)
        made = datetime.fromtimestamp(self.ssl.files[where.note].mtime, UTC)
        if abs(fresh.now - made) > LONGEST_ASIDE:
            when = "too long ago" if made < fresh.now else "which is still to come"
            return (Defect(where.top, f"was made on {made:%Y-%m-%d %H:%M} UTC, {when}"),)
        return self._unsound()

    def _others(self, path: str) -> bool:
        """Whether somebody else than root may have put there what is there. Beside ssldir Puppet's
        account may make directories, where that is below one of its own."""
        entry = self.ssl.files.get(path)
        if entry is None:
            return False
        kind = "f" if path == self.where.note else "d"
        return entry.kind != kind or entry.owner != ROOT or bool(entry.mode & 0o022)

    def _unsound(self) -> tuple[Defect, ...]:
        fresh, conf = self.fresh, self.where.settings
        if fresh.ca_status is CaStatus.RETIRING:
            return (Defect(conf.cacert, "has the key of the CA to retire"),)
        if fresh.ca_damage:
            return fresh.ca_damage
        assert fresh.ca is not None
        found = []
        if fresh.ca.not_after - fresh.now < SHORTEST_CA:
            found.append(Defect(conf.cacert, f"ends on {fresh.ca.not_after:%Y-%m-%d}"))
        crl = read_revocation_list(self.ssl.texts.get(conf.cacrl, ""))
        if crl is not None and (why := crl.invalidity(fresh.now)):
            found.append(Defect(conf.cacrl, why))
        problems = map(fresh.certificate_problem, fresh.credential_names)
        found += [problem for problem in problems if problem is not None]
        what = f"is no plain file of {conf.user}'s, and could not be put into place"
        found += [Defect(path, what) for path in self._made if self._is_odd(path)]
        return tuple(found)

    @property
    def _made(self) -> list[str]:
        """All of what has a place that it goes to."""
        return [path for path in self.ssl.files if self.where.place_of(path) != path]

    def _is_odd(self, path: str) -> bool:
        """Such a thing may have been put there while Puppet was at work, by its account. Found
        later it would be found in the outage."""
        entry = self.ssl.files[path]
        return entry.kind != "d" and (entry.kind, entry.owner) != ("f", self.where.place.user)

    def is_of(self, ca: Certificate | None, name: str) -> bool:
        """Whether there is a certificate under a name that this CA has issued, with its key."""
        cert = self.fresh.certificate_of(name)
        return (
            ca is not None
            and cert is not None
            and cert.issued_by(ca)
            and self.fresh.certificate_problem(name) is None
        )

    @property
    def ca_layers(self) -> list[Layer]:
        """What makes the CA, its certificate last: until that is there, none is. What step 2.7
        puts where agents look for it is not of it."""
        conf = self.where.settings
        others = {path for name in self.fresh.credential_names for path in self._paths(name).all}
        others.add(conf.hostcrl)
        directories = [path for path in self._made if self.ssl.files[path].kind == "d"]
        files = [path for path in self._made if path not in others and path not in directories]
        return [
            *(self._layer(path) for path in sorted(directories) if path not in conf.ssl_roots),
            *self._layers(sorted(files, key=lambda path: (path == conf.cacert, path))),
        ]

    def layers_of(self, names: Iterable[str]) -> list[Layer]:
        """What makes the credentials of these, the certificates last."""
        every = [self._paths(name) for name in names]
        return self._layers(
            path
            for part in ("private_key", "public_key", "signed", "certificate")
            for path in (getattr(paths, part) for paths in every)
            if path in self.ssl.files
        )

    def _layers(self, paths: Iterable[str]) -> list[Layer]:
        """By directories, in the order of what goes last into each."""
        names: dict[str, list[str]] = {}
        for path in paths:
            directory, _, name = path.rpartition("/")
            names[directory] = [*names.pop(directory, []), name]
        return [self._layer(directory, files) for directory, files in names.items()]

    def _layer(self, directory: str, names: Iterable[str] = ()) -> Layer:
        mode = self.ssl.files[directory].mode
        return Layer(directory, self.where.place_of(directory), mode, tuple(names))

    def _paths(self, name: str) -> CredentialPaths:
        return self.fresh.paths(name)
