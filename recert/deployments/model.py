"""What a deployment is made of. Everything else takes one as an argument and names no shape.

Paths that Puppet itself knows (certname, ssldir, cadir, client_datadir …) are not here; they come
from the host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from recert.deployments.authority import Authority

CERTNAME = "<CERTNAME>"
"""Stands for the host's certname in tables, as it does in the documents."""


def real_name(name: str, certname: str) -> str:
    """A name from a table, the certname in its place."""
    return certname if name == CERTNAME else name


NOWHERE = 0
"""For a port: the service listens on no network, but on a socket of the host."""


SOMEWHERE = "somewhere"
"""Among the ports of a configuration: what said `NOWHERE` before holds no longer."""


class Part(Enum):
    """The files of a credential: how a copy of each is called, and its mode. `PK8` is the private
    key as unencrypted PKCS#8 in DER, which Java's drivers want; Puppet itself has none."""

    CERTIFICATE = ("cert.pem", 0o644)
    PUBLIC_KEY = ("public_key.pem", 0o644)
    PRIVATE_KEY = ("private_key.pem", 0o640)
    PK8 = ("private_key.pk8", 0o640)

    def __init__(self, copy_suffix: str, mode: int) -> None:
        self.copy_suffix = copy_suffix
        self.mode = mode
        """The mode of Puppet's own file, and of a copy where the component has no other rule.
        Puppet 3.7.4 leaves private keys at 0644; no private key may stay readable by others."""


TRIO = (Part.CERTIFICATE, Part.PUBLIC_KEY, Part.PRIVATE_KEY)


@dataclass(frozen=True)
class Extra:
    """A file among a component's copies that is none, and that its service wants. `source`: where
    the vendor's is, to put it back where it is gone; empty for one that people have put there."""

    file: str
    source: str = ""


@dataclass(frozen=True)
class Component:
    """A directory with copies of the credentials, owned by one service account.

    `owns_directory`: the document's `chown -R` takes the directory along; a `chown …/*` does not.
    `mode`: one mode for every file, or None for those of `Part`. `used_by`: the service that works
    with them. `pk8`: the credentials whose private key is there as PKCS#8, too.
    """

    title: str
    directory: str
    account: str
    credentials: tuple[str, ...]
    used_by: str
    owns_directory: bool = True
    mode: int | None = None
    pk8: tuple[str, ...] = ()
    extras: tuple[Extra, ...] = ()

    def parts(self, credential: str) -> tuple[Part, ...]:
        """What of a credential there are copies of.

        :param credential: as in the table.
        """
        return (*TRIO, Part.PK8) if credential in self.pk8 else TRIO

    def copies(self, certname: str) -> list[tuple[str, str, Part]]:
        """(path, name of the credential, part) for every file that it should hold on the host of
        that certname."""
        return [
            (f"{self.directory}/{self.file_name(name, part)}", name, part)
            for credential in self.credentials
            for name in [real_name(credential, certname)]
            for part in self.parts(credential)
        ]

    def extra_path(self, extra: Extra) -> str:
        return f"{self.directory}/{extra.file}"

    @property
    def extra_paths(self) -> tuple[str, ...]:
        return tuple(map(self.extra_path, self.extras))

    def file_name(self, name: str, part: Part) -> str:
        return f"{name}.{part.copy_suffix}"

    def file_mode(self, part: Part) -> int:
        return part.mode if self.mode is None else self.mode


@dataclass(frozen=True)
class Endpoint:
    """Where a service listens, and how it shows that it is ready.

    `port`: the usual one; `configured`: the files that may name another, and what `sed -n` finds it
    with there; `bound`: what finds there the addresses that it listens on, where these are not all
    of the host's. `path`: what it is asked for over HTTP, empty where a TLS handshake has to do.
    `handshake`: how TLS begins there, "tls" or "postgresql". `client`: the name whose credential it
    is offered. `log`: where it says why it is not ready.
    """

    port: int
    log: str
    path: str = ""
    handshake: str = "tls"
    client: str = CERTNAME
    configured: tuple[str, str] = ("", "")
    bound: str = ""


@dataclass(frozen=True)
class Seat:
    """A host with a part to play.

    `server`: the service that agents talk to. `stopped`, `started`: its services in the document's
    orders. `needed`: without these the procedure cannot end well. `endpoints`: of those that
    listen. `needs`: which have to answer before another is started. `fed_by_run`: those that work
    with what the Puppet run brings that follows. `components`: in the document's order.
    """

    server: str
    stopped: tuple[str, ...]
    started: tuple[str, ...]
    needed: frozenset[str]
    endpoints: Mapping[str, Endpoint]
    needs: Mapping[str, tuple[str, ...]]
    fed_by_run: frozenset[str]
    components: tuple[Component, ...]

    @property
    def directories(self) -> list[str]:
        """The components'."""
        return [component.directory for component in self.components]


@dataclass(frozen=True)
class Agent:
    """What runs on every node. `puppet`: the service that runs Puppet; `orchestration`: the one
    that answers in orchestration, empty where there is none; `others`: what else works with the
    node's certificate. `windows`: what they may be called there, by the document's names."""

    puppet: str
    windows: Mapping[str, tuple[str, ...]]
    orchestration: str = ""
    others: tuple[str, ...] = ()

    @property
    def services(self) -> tuple[str, ...]:
        """In the document's order of stopping."""
        orchestration = (self.orchestration,) if self.orchestration else ()
        return (self.puppet, *orchestration, *self.others)


@dataclass(frozen=True)
class Delivery:
    """What Puppet runs deliver and the document does not name: copies of the credentials in the
    master's ssldir, on the master and on every node.

    `users`: by directory, the service that works with what is below it. `names`: whose credential a
    copy is, by the beginning of its file name. `keystore`, `truststore`: the broker's, and `broker`
    the name whose credential is in the first.
    """

    users: Mapping[str, str]
    names: Mapping[str, str]
    keystore: str
    truststore: str
    broker: str

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(self.users)


@dataclass(frozen=True)
class Classifier:
    """What tells whether node groups are classified. `client`: the name whose credential it is
    asked with. `classes`: node groups, and the class that each must carry."""

    service: str
    client: str
    classes: Mapping[str, str]


@dataclass(frozen=True)
class Messaging:
    """What nodes answer over in orchestration. `broker`: its service. `log`: a node's."""

    broker: str
    log: str


@dataclass(frozen=True)
class ServerFiles:
    """Where a Puppet Server is configured: patterns of files. `server`: its own settings and its
    CA's; `services`: which services it consists of; `database`: PuppetDB's settings."""

    server: str
    services: str
    database: str


@dataclass(frozen=True)
class Deployment:
    """A shape of a site.

    `name`: by which it is called in data; `title`: in messages; `vendor`: whose it is, there;
    `document`: the title of the one that it is the table of. `programs`: where its Puppet's are
    that may not be on the PATH, and `java` its Java's; `prefix`: below which its `puppet` is.

    A host shows that it is one by the directory `sign`, by the account `account`, which Puppet's
    files are of, and by `version_file`, which says one of `versions`, or that and more numbers;
    `puppet_versions`: likewise Puppet's own, which decide where that file is missing, or where the
    vendor has none.

    `internal_names`: the certificates for the vendor's own services, and `internal_prefix` how
    those of all its versions begin. `server_files`: where its server is told with which credentials
    to work; None where that is not looked at. `delivery`, `messaging`: None where there is no
    orchestration.
    `classifier`: where it matters whether node groups are classified. `credential_places`: where
    the vendor keeps credentials; elsewhere below `searched` there are others' too, such as bundles
    of public CAs, and some may have been put by hand.
    """

    name: str
    title: str
    vendor: str
    document: str
    programs: tuple[str, ...]
    java: tuple[str, ...]
    prefix: str
    sign: str
    account: str
    puppet_versions: tuple[str, ...]
    seats: tuple[Seat, ...]
    agent: Agent
    authority: Authority
    searched: tuple[str, ...]
    configuration: str
    version_file: str = ""
    versions: tuple[str, ...] = ()
    internal_names: tuple[str, ...] = ()
    internal_prefix: str = ""
    delivery: Delivery | None = None
    classifier: Classifier | None = None
    messaging: Messaging | None = None
    server_files: ServerFiles | None = None

    @property
    def master(self) -> Seat:
        """The seat that has the CA."""
        return self.seats[0]

    @property
    def users(self) -> dict[str, str]:
        """Which service works with the credentials below a directory."""
        own = {c.directory: c.used_by for seat in self.seats for c in seat.components}
        return {**own, **(self.delivery.users if self.delivery is not None else {})}

    @property
    def credential_places(self) -> tuple[str, ...]:
        """Where the vendor keeps credentials."""
        return (self.configuration, *self.users)

    def credential_names(self, certname: str) -> tuple[str, ...]:
        """All names whose certificates are needed on the master."""
        return (certname, *self.internal_names)

    def is_internal(self, name: str) -> bool:
        """Whether a certificate is for one of the vendor's own services, of whatever version."""
        prefix = self.internal_prefix
        return name in self.internal_names or (bool(prefix) and name.startswith(prefix))
