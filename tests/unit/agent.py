"""Agents that can be damaged: what the facts would see on one, and what its master holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from recert.ca_records import Autosign, CaRecords
from recert.deployments.authority import PUPPET_CERT
from recert.freshness import CredentialPaths
from recert.observed import FileState, SslState
from recert.renewal import Renewal
from recert.settings import Settings
from tests.unit.issuing_ca import (
    MADE,
    NEW,
    NOW,
    SSLDIR,
    IssuingCa,
    file_state,
    key_digest,
    public_pem,
    read,
    request_pem,
    settings,
)

AGENT = "agent01.example.com"
CSRDIR = "/etc/puppetlabs/puppet/ssl/ca/requests"
"""On the master."""

SERIAL = 0x64
CA_PLACED = MADE - 60
"""When a renewed agent got its CA's certificate, seconds UTC; its own is from `MADE`."""


@dataclass
class Agent:
    """`ca`: the one that its master has, None as long as it is to be made anew. `revoked`:
    serial numbers. `requests` and `signed`: what the master holds, PEM by name. `retired`:
    certificates (PEM) that somebody named. `former`: those (PEM) in the agent's backups."""

    settings: Settings
    ca: IssuingCa | None = NEW
    files: dict[str, FileState] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str | None] = field(default_factory=dict)
    revoked: tuple[int, ...] = ()
    requests: dict[str, str] = field(default_factory=dict)
    signed: dict[str, str] = field(default_factory=dict)
    autosign: Autosign = field(default_factory=Autosign)
    retired: tuple[str, ...] = ()
    former: tuple[str, ...] = ()
    now: datetime = NOW

    def judge(self) -> Renewal:
        return Renewal(
            self.settings,
            SslState(dict(self.files), dict(self.texts), dict(self.keys)),
            self.ca_records(),
            self.now,
            tuple(map(read, self.former)),
        )

    def ca_records(self) -> CaRecords:
        retired = frozenset(read(pem).fingerprint for pem in self.retired)
        return CaRecords(
            PUPPET_CERT,
            self.ca.certificate if self.ca is not None else None,
            self.ca.crl(self.revoked) if self.ca is not None else "",
            self.requests,
            self.signed,
            self.autosign,
            CSRDIR,
            retired,
        )

    @property
    def paths(self) -> CredentialPaths:
        return CredentialPaths.of(self.settings, self.settings.certname)

    @property
    def file_paths(self) -> set[str]:
        return {path for path, entry in self.files.items() if entry.kind != "d"}

    def write(self, path: str, text: str, mtime: float = MADE) -> None:
        """A public file in ssldir."""
        self.texts[path] = text
        self.files[path] = file_state(size=len(text), mtime=mtime)

    def remove(self, *paths: str) -> None:
        for path in paths:
            for entries in (self.files, self.texts, self.keys):
                entries.pop(path, None)

    def delete_all(self) -> None:
        """Step 6.4."""
        self.remove(*self.file_paths)

    def trust(self, ca: IssuingCa, mtime: float = CA_PLACED) -> None:
        self.write(self.settings.localcacert, ca.pem, mtime)

    def make_key(self, label: str | None = AGENT, mtime: float = MADE) -> None:
        """Both halves of a key; without a label one that cannot be used."""
        self.keys[self.paths.private_key] = None if label is None else key_digest(label)
        size = 0 if label is None else 1000
        self.files[self.paths.private_key] = file_state(mode=0o640, size=size, mtime=mtime)
        self.write(self.paths.public_key, public_pem(label or AGENT), mtime)

    def make_request(
        self, alt_names: Iterable[str] = (), key: str = AGENT, sent: bool = True
    ) -> None:
        pem = request_pem(AGENT, alt_names, key)
        self.write(self.paths.request, pem)
        if sent:
            self.requests[AGENT] = pem

    def get_signed(self, ca: IssuingCa = NEW, serial: int = SERIAL, key: str = AGENT) -> str:
        """The master signs for the agent's name."""
        self.requests.pop(AGENT, None)
        self.signed[AGENT] = ca.issue(AGENT, serial, key=key)
        return self.signed[AGENT]


def agent(ca: IssuingCa = NEW, **setting_changes: str) -> Agent:
    """An agent that holds everything of `ca`; its master has `NEW`, and knows of it if that is
    the same one."""
    values = {"certname": AGENT, "dns_alt_names": "", "server": "puppet", **setting_changes}
    found = Agent(settings(**values))
    for name in ("ca", "certs", "private_keys", "public_keys", "certificate_requests"):
        found.files[f"{SSLDIR}/{name}"] = file_state("d", 0o755)
    found.trust(ca)
    found.write(found.settings.hostcrl, ca.crl())
    found.make_key()
    found.make_request(sent=False)
    pem = ca.issue(AGENT, SERIAL)
    found.write(found.paths.certificate, pem)
    if ca is NEW:
        found.signed[AGENT] = pem
    return found


def half_done() -> dict[str, Agent]:
    """A renewal that was interrupted after each of its moments, by what was done last."""
    found: dict[str, Agent] = {}

    def emptied() -> Agent:
        new = agent()
        new.delete_all()
        new.signed.clear()
        return new

    def placed() -> Agent:
        new = emptied()
        new.trust(NEW)
        return new

    def keyed() -> Agent:
        new = placed()
        new.make_key()
        return new

    def written() -> Agent:
        new = keyed()
        new.make_request(sent=False)
        return new

    def requesting() -> Agent:
        new = keyed()
        new.make_request()
        return new

    def signed() -> Agent:
        new = requesting()
        new.get_signed()
        return new

    def fetched() -> Agent:
        new = signed()
        new.write(new.paths.certificate, new.signed[AGENT])
        return new

    for make in (emptied, placed, keyed, written, requesting, signed, fetched):
        found[make.__name__] = make()
    return found
