"""What the facts saw on a master, as plain data for the judgement in `recert.freshness`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


@dataclass(frozen=True)
class FileState:
    """One file system entry. `kind` is find's letter: f, d, l, …; `mtime` in seconds UTC;
    `target`: where a symbolic link leads, as it is written."""

    kind: str
    mode: int
    owner: str
    group: str
    size: int
    mtime: float
    target: str = ""

    @property
    def ownership(self) -> str:
        return f"{self.owner}:{self.group}"

    def describe(self) -> str:
        if not self.owner:  # Windows'
            return f"{self.size} bytes"
        return f"{self.ownership} {self.mode:04o}"


@dataclass(frozen=True)
class SslState:
    """Everything below the SSL directories.

    `files`: by path. `texts`: the public files that matter, by path; a missing file has no
    entry. `keys`: for each private key that is there, the digest of its public half as the
    host computed it, or None if the key cannot be used. `older_certificates`: texts of the
    certificates whose files are not newer than the CA's, which another CA may have issued.
    """

    files: Mapping[str, FileState]
    texts: Mapping[str, str]
    keys: Mapping[str, str | None]
    older_certificates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ComponentState:
    """One component's directory. `same`: the copies that are what they should be: the same text as
    their source in as many bytes, or the same key as PKCS#8. `sources`: of what else is put there,
    those that exist."""

    account_exists: bool
    directory: FileState | None
    files: Mapping[str, FileState]
    same: frozenset[str]
    certificates: Mapping[str, str] = field(default_factory=dict)
    sources: frozenset[str] = frozenset()

    @property
    def installed(self) -> bool:
        return self.account_exists or self.directory is not None


class Service(Enum):
    RUNNING = "running"
    STOPPED = "stopped"
    PENDING = "starting or stopping"
    MISSING = "not installed"

    @property
    def active(self) -> bool:
        """Whether it runs, or is on the way to that or from it."""
        return self in (Service.RUNNING, Service.PENDING)


@dataclass(frozen=True)
class Answer:
    """Whether a service answered; if it did not, `said` is what was seen last."""

    answered: bool
    said: str = ""


@dataclass(frozen=True)
class LastRun:
    """Puppet's `last_run_summary.yaml`: when the last run ended (seconds, UTC) and how. `cached`:
    it got no catalog and went by the one from before, and `command`: the setting of a command that
    has failed with the run; the summary takes either for a success."""

    time: float
    succeeded: bool
    cached: bool = False
    command: str = ""

    def was_before(self, made: float) -> bool:
        """Whether it had ended when something was made, at that time in seconds. Puppet notes whole
        seconds, and a small catalog is applied in less than one."""
        return self.time + 1 <= made

    @property
    def failure(self) -> str:
        """What is to be said of a run that did not succeed, after its name."""
        if self.cached:
            return "got no catalog, and went by the cached one"
        return f"has failed with its {self.command}" if self.command else "has failed"


@dataclass(frozen=True)
class FoundCredentials:
    """What is called like a certificate or a key, or lies where such do, below some directories.

    `files`: all of them, by path. `certificates`: the texts of those that hold certificates, in
    PEM whatever they are in. `keys`: for each that holds a private key, the digest of its public
    half, None if it cannot be used. `public_keys`: for each that holds a public key by itself, its
    digest, None as well. `pems`: those that hold anything in PEM, or in DER that is understood.
    `sealed`: those in PKCS #12 that want a password. `saved`: the private keys that are, byte for
    byte, in one of the backups that were named. `backups`: how many of those had anything to
    compare with. `unreadable`: what the connected account may not read.
    """

    files: Mapping[str, FileState] = field(default_factory=dict)
    certificates: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str | None] = field(default_factory=dict)
    public_keys: Mapping[str, str | None] = field(default_factory=dict)
    pems: frozenset[str] = frozenset()
    saved: frozenset[str] = frozenset()
    backups: int = 0
    sealed: frozenset[str] = frozenset()
    unreadable: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Keystores:
    """Java keystores. `readable`: the host has the program that lists them. `certificates`: by
    path, as PEM; none for one that cannot be read."""

    readable: bool = False
    certificates: Mapping[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Orchestration:
    """Which nodes answer in orchestration, by identity. `why`: why nobody could be asked, empty if
    somebody was. `said`: the last words of what asked them. `failed`: there is somebody to ask, and
    asking came to nothing. `twice`: identities by which more than one has answered at once.
    `cut_short`: there may be others."""

    answering: frozenset[str] = frozenset()
    why: str = ""
    said: str = ""
    failed: bool = False
    twice: frozenset[str] = frozenset()
    cut_short: bool = False


@dataclass(frozen=True)
class Listening:
    """Where a service is configured to listen. `port`: None for its usual one. `addresses`: where
    these are not all of the host's."""

    port: int | None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class ArchiveState:
    """How a backup's archive fits where it is to be put back. `missing`: of the paths that the
    backup is of, those that it does not have where they are now, each with that place. `outside`:
    what it has outside of all of them; not what lies below that. `odd`: the first lines about what
    no backup of these paths holds. `mounts`: mount points in there that it does not have. `lost`:
    what is somebody else's there and not in it."""

    missing: Mapping[str, str] = field(default_factory=dict)
    outside: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


class Offered(Enum):
    """What a client offers where it is asked for its certificate."""

    NOTHING = "no certificate"
    RETIRED = "the master's certificate of the retired CA"
    CURRENT = "the master's certificate of the CA in place"


@dataclass(frozen=True)
class ClientCredential:
    """One that could be offered, as the host has read it: its certificate, or why it could not."""

    offered: Offered
    certificate: str | None
    why: str = ""


@dataclass(frozen=True)
class Handshake:
    """One TLS handshake with a service.

    `answered`: whether anything spoke TLS there. `accepted`: the handshake came to its end.
    `asked`: the service asked for a client certificate. `presented`: the service's, as PEM.
    `said`: the error.
    """

    service: str
    port: int
    offered: Offered
    answered: bool
    accepted: bool
    asked: bool
    presented: str | None
    said: str


@dataclass(frozen=True)
class Handshakes:
    """Every handshake that was tried, and the credentials that there were to offer."""

    made: tuple[Handshake, ...] = ()
    credentials: tuple[ClientCredential, ...] = ()
