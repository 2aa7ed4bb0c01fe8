"""A site that is not there: a pyinfra connector whose hosts answer as a regenerated master and its
agents would, each from its own state, which commands advance.

    pyinfra @simulated/100/site.sqlite deploys/agents.py …

Certificates and requests are real and lie in a file that `make_site` has written. Scripts are
recognised, not run; one that is not known fails on its host, so that a deploy which has learnt
something new is noticed here.
"""

from __future__ import annotations

import atexit
import base64
import gzip
import hashlib
import io
import json
import re
import sqlite3
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyinfra.api import Host, QuoteString, State, StringCommand
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput, OutputLine

from facts.agent import AgentFiles
from facts.attributes import CsrAttributes
from facts.backups import ArchivedCertificates, Backups
from facts.credential_files import CredentialFiles
from facts.deployment import DeploymentSigns
from facts.host import Basics, WhoAndWhen
from facts.others import StrayCredentials
from facts.ports import ConfiguredPorts
from facts.puppet import PuppetAgent, PuppetSettings
from facts.reaching import Unreached
from facts.running import RunningPuppets, ServiceOptions
from facts.services import ServiceStates
from facts.signing import AutosignSetting, CaInventory
from facts.ssl import ComponentDirectory, PemFiles, SslDirectories
from facts.tls import PresentedCertificate
from operations.step import AND_LOOK, END_OF_INPUT
from recert.backups import ARCHIVE_DIGEST
from recert.certificates import read_certificate
from recert.deployments.pe_3_7 import PE_3_7
from recert.settings import SETTINGS

MASTER = "master.example.com"
ALT_NAMES = ("puppet", "puppet.example.com")
CONFDIR = "/etc/puppetlabs/puppet"
SSLDIR = f"{CONFDIR}/ssl"
VARDIR = "/var/opt/lib/pe-puppet"
KEYLENGTH = 4096
"""Bits: PE's own default."""

SPENT = "the simulation itself: "
"""What stands before the CPU seconds that the answers cost, in a line on standard error."""

ASKED = "asked of the master: "
"""What stands before the number of commands that the master has had, by what they were for."""

_DIGEST = "0" * 64
_NOW = time.time()


def certname_of(number: int) -> str:
    return f"agent{number:05}.example.com"


# The site's certificates


def make_site(path: Path, size: int, tell: Callable[[str], None]) -> None:
    """Write the certificates of a master and so many agents: of the CA that is gone, and of the
    one that took its place. All agents share a pair of keys; making keys is not what is measured.
    """
    old, new, leaf, leaf_before = (rsa.generate_private_key(65537, KEYLENGTH) for _ in range(4))
    old_ca, new_ca = _certificate(old, None, 1), _certificate(new, None, 1)
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as site:
        site.execute("CREATE TABLE texts (name TEXT PRIMARY KEY, pem TEXT)")
        site.execute(
            "CREATE TABLE agents (name TEXT PRIMARY KEY, old TEXT, request TEXT, new TEXT)"
        )
        texts = {
            "old ca": old_ca,
            "new ca": new_ca,
            "crl": _revocation_list(new),
            "old key": _public(leaf_before),
            "new key": _public(leaf),
            "new ca key": _public(new),
        }
        for number, name in enumerate((MASTER, *PE_3_7.internal_names), 2):
            names = (MASTER, *ALT_NAMES) if name == MASTER else ()
            texts[name] = _certificate(leaf, (new, name), number, names)
        site.executemany("INSERT INTO texts VALUES (?, ?)", texts.items())
        began = time.monotonic()
        for number in range(1, size + 1):
            name = certname_of(number)
            before = _certificate(leaf_before, (old, name), number + 10)
            after = _certificate(leaf, (new, name), number + 10)
            row = (name, before, _request(leaf, name), after)
            site.execute("INSERT INTO agents VALUES (?, ?, ?, ?)", row)
            if number == size or time.monotonic() - began >= 10:
                began = time.monotonic()
                tell(f"certificates of {number} of {size} agents made")


def retired_ca(path: Path) -> str:
    """The fingerprint of the CA that is gone."""
    ca = read_certificate(_Site(path, 0).text("old ca"))
    assert ca is not None
    return ca.fingerprint


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def _public(key: rsa.RSAPrivateKey) -> str:
    encoded = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode("ascii")


def _certificate(
    key: rsa.RSAPrivateKey,
    issued: tuple[rsa.RSAPrivateKey, str] | None,
    serial: int,
    alt_names: Iterable[str] = (),
) -> str:
    """A certificate in PEM as Puppet's CA makes them.

    :param issued: the CA's key and the name it is issued to; None for the CA's own.
    """
    ca_key, name = issued if issued is not None else (key, f"Puppet CA: {MASTER}")
    yesterday = datetime.fromtimestamp(_NOW, UTC) - timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(f"Puppet CA: {MASTER}"))
        .serial_number(serial)
        .public_key(key.public_key())
        .not_valid_before(yesterday)
        .not_valid_after(yesterday + timedelta(days=1826))
        .add_extension(x509.BasicConstraints(ca=issued is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if names := [x509.DNSName(alt_name) for alt_name in alt_names]:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")


def _request(key: rsa.RSAPrivateKey, name: str) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(_named(name))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")


def _revocation_list(key: rsa.RSAPrivateKey) -> str:
    yesterday = datetime.fromtimestamp(_NOW, UTC) - timedelta(days=1)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(_named(f"Puppet CA: {MASTER}"))
        .last_update(yesterday)
        .next_update(yesterday + timedelta(days=1826))
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode("ascii")


@dataclass(frozen=True)
class _Agent:
    """PEM: its certificate of the CA that is gone, its request, its certificate of the new one."""

    old: str
    request: str
    new: str


class _Site:
    """The file that `make_site` wrote, and what the master holds of its agents. It is read piece
    by piece: what the control machine needs is measured, and not what a simulation does."""

    def __init__(self, path: Path, size: int) -> None:
        self.size = size
        self.requests: set[str] = set()
        self.signed: set[str] = set()
        self._file = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def text(self, name: str) -> str:
        (pem,) = self._file.execute("SELECT pem FROM texts WHERE name = ?", (name,)).fetchone()
        return str(pem)

    def agent(self, name: str) -> _Agent:
        select = "SELECT old, request, new FROM agents WHERE name = ?"
        return _Agent(*self._file.execute(select, (name,)).fetchone())


@cache
def _site(path: Path, size: int) -> _Site:
    return _Site(path, size)


# Hosts


Record = tuple[object, ...]
Answer = list[str]


class _Simulated:
    """A host: what its answers are made of, and how its commands change it."""

    def __init__(self, site: _Site, certname: str) -> None:
        self.site = site
        self.certname = certname
        self.files: dict[str, tuple[str, int, int, float]] = {}
        """Kind, mode, size and time of change (seconds UTC) by path."""
        self.texts: dict[str, Callable[[], str]] = {}
        self.backups: list[str] = []

    def put(self, path: str, read: Callable[[], str], mode: int = 0o644) -> None:
        """A file below ssldir, with the directories that it needs."""
        above = Path(path).parents
        for directory in reversed(above):
            if str(directory).startswith(SSLDIR):
                self.files.setdefault(str(directory), ("d", 0o755, 4096, _NOW))
        self.files[path] = ("f", mode, 1500, time.time())
        self.texts[path] = read

    def facts(self) -> dict[type, Callable[[list[str]], Iterator[Record]]]:
        """What answers a fact."""
        return {
            WhoAndWhen: self._who,
            PuppetSettings: self._settings,
            SslDirectories: self._ssl,
            Basics: self._basics,
            Backups: self._backups,
            CredentialFiles: self._credentials,
            CsrAttributes: lambda _: iter(()),
            RunningPuppets: lambda _: iter(()),
            ServiceOptions: lambda _: iter(()),
            StrayCredentials: lambda _: iter([("looked",)]),
            Unreached: lambda _: iter(()),
        }

    def answer(self, fact: type, arguments: list[str]) -> Answer:
        """What the host prints for a fact."""
        return _framed(_encoded(self.facts()[fact](arguments)))

    def change(self, script: str, arguments: list[str], stdin: str) -> Answer | None:
        """Do what a command of an operation does; None if it is not known."""
        raise NotImplementedError

    def public_key_of(self, path: str) -> str:
        raise NotImplementedError

    def _who(self, arguments: list[str]) -> Iterator[Record]:
        yield "identity", 0, int(time.time())

    def _settings(self, arguments: list[str]) -> Iterator[Record]:
        yield from self._who(arguments)
        yield "program", "/opt/puppet/bin/puppet"
        printed = "\n".join(
            f"{name} = {_SETTINGS[name]}" for name in SETTINGS if name != "certname"
        )
        for section in reversed(arguments[0].split()):
            yield "printed", section, f"certname = {self.certname}\n{printed}"

    def _ssl(self, arguments: list[str]) -> Iterator[Record]:
        _roots, texts, keys, _older = _groups(arguments[5:])
        for path, (kind, mode, size, mtime) in self.files.items():
            user = "pe-puppet"
            yield "file", kind, f"{mode:o}", user, user, size, f"{mtime:.10f}", path, ""
        for path in texts:
            if path in self.texts:
                yield "text", path, self.texts[path]()
        for path in keys:
            if path in self.files:
                yield "key", path, self.public_key_of(path)

    def _credentials(self, arguments: list[str]) -> Iterator[Record]:
        certificates = {}
        for path, (kind, mode, size, mtime) in self.files.items():
            if kind == "f" and path.endswith(".pem"):
                user = "pe-puppet"
                yield "file", kind, f"{mode:o}", user, user, size, f"{mtime:.10f}", path, ""
                yield "pem", path
                if "/private_keys/" in path or path.endswith("/ca_key.pem"):
                    yield "key", path, self.public_key_of(path)
                elif "BEGIN CERTIFICATE" in (text := self.texts[path]()):
                    certificates[path] = text
        yield "archive", base64.b64encode(_archive(certificates)).decode("ascii")

    def _basics(self, arguments: list[str]) -> Iterator[Record]:
        yield "free", 10_000_000
        yield "needed", 40
        yield "crypto", "openssl"

    def _backups(self, arguments: list[str]) -> Iterator[Record]:
        for number, manifest in enumerate(self.backups):
            name = f"20151123T10150{number}Z-{_DIGEST[:16]}"
            yield "backup", "valid", 0, 0, name, manifest
        yield "unsaved", 0 if self.backups else 5


class _SimulatedAgent(_Simulated):
    """Before -> CA placed -> request made -> signed -> run succeeded."""

    def __init__(self, site: _Site, certname: str) -> None:
        super().__init__(site, certname)
        self.renewed = False
        self.catalog = True
        self.last_run = _NOW - 900
        self.services = {"pe-puppet": "running", "pe-mcollective": "running"}
        self.certificate = f"{SSLDIR}/certs/{certname}.pem"
        self.request = f"{SSLDIR}/certificate_requests/{certname}.pem"
        self.put(f"{SSLDIR}/certs/ca.pem", lambda: site.text("old ca"))
        self.put(f"{SSLDIR}/crl.pem", lambda: site.text("crl"))
        self._put_keys()
        self.put(self.certificate, lambda: site.agent(certname).old)

    def facts(self) -> dict[type, Callable[[list[str]], Iterator[Record]]]:
        return super().facts() | {
            ServiceStates: self._services,
            AgentFiles: self._agent_files,
        }

    def change(self, script: str, arguments: list[str], stdin: str) -> Answer | None:
        site, name = self.site, self.certname
        if "archive.tar" in script:
            manifest = stdin.partition(END_OF_INPUT)[0]
            self.backups.append(manifest.replace(ARCHIVE_DIGEST, _DIGEST))
        elif script.endswith('stop_service "$1"\n'):
            self.services[arguments[1]] = "stopped"
        elif "-xdev -mindepth 1 ! -type d" in script:
            self.files.clear()
            self.texts.clear()
        elif "summary=$1 lockfile=$2" in script:
            pass  # the run that its service has begun is over
        elif "Cannot be removed: $path" in script:
            self.catalog = False
        elif 'put "$path"' in script:
            self.put(arguments[3], lambda: site.text("new ca"))
        elif "Puppet has made neither a key nor a request" in script:
            self.renewed = True
            self._put_keys()
            self.put(self.request, lambda: site.agent(name).request)
            site.requests.add(name)
            return _REQUESTING
        elif 'do start_service "$service"; done' in script:
            for service in arguments[3:]:
                self.services[service] = "running"
            if name in site.signed:
                self._run()
        else:
            return None
        return []

    def public_key_of(self, path: str) -> str:
        return self.site.text("new key" if self.renewed else "old key")

    def _put_keys(self) -> None:
        for directory, mode in (("private_keys", 0o640), ("public_keys", 0o644)):
            path = f"{SSLDIR}/{directory}/{self.certname}.pem"
            self.put(path, lambda: self.public_key_of(""), mode)

    def _run(self) -> None:
        """What the agent's service does first of all, once it is started."""
        self.put(self.certificate, lambda: self.site.agent(self.certname).new)
        self.put(f"{SSLDIR}/crl.pem", lambda: self.site.text("crl"))
        self.catalog = True
        self.last_run = time.time() + 1

    def _services(self, arguments: list[str]) -> Iterator[Record]:
        for service in arguments[1:]:
            yield "service", service, self.services[service]

    def _agent_files(self, arguments: list[str]) -> Iterator[Record]:
        yield from self._ssl(arguments[:-4])
        yield "summary", _SUMMARY.format(int(self.last_run))
        if self.catalog:
            yield "catalog", "640", "pe-puppet", "pe-puppet", 4000, self.last_run


class _SimulatedMaster(_Simulated):
    """A master that deploys/master.py has been through."""

    def __init__(self, site: _Site) -> None:
        super().__init__(site, MASTER)
        ca = f"{SSLDIR}/ca"
        for path in (f"{ca}/ca_crt.pem", f"{SSLDIR}/certs/ca.pem"):
            self.put(path, lambda: site.text("new ca"))
        for path in (f"{ca}/ca_crl.pem", f"{SSLDIR}/crl.pem"):
            self.put(path, lambda: site.text("crl"))
        self.put(f"{ca}/ca_key.pem", lambda: "", 0o640)
        self.put(f"{ca}/serial", lambda: f"{100_000:04X}")
        for name in (MASTER, *PE_3_7.internal_names):
            for path in (f"{ca}/signed/{name}.pem", f"{SSLDIR}/certs/{name}.pem"):
                self.put(path, lambda name=name: site.text(name))  # type: ignore[misc]
            self.put(f"{SSLDIR}/private_keys/{name}.pem", lambda: "", 0o640)
            self.put(f"{SSLDIR}/public_keys/{name}.pem", lambda: site.text("new key"))
        self.backups.append(_manifest_of_the_master(site))

    def facts(self) -> dict[type, Callable[[list[str]], Iterator[Record]]]:
        return super().facts() | {
            ArchivedCertificates: lambda _: iter([("texts", _NOTHING)]),
            AutosignSetting: lambda _: iter(()),
            CaInventory: lambda _: iter(()),
            ComponentDirectory: lambda _: iter(()),
            ConfiguredPorts: lambda _: iter(()),
            PresentedCertificate: self._presented,
            PuppetAgent: lambda _: iter([("summary", _SUMMARY.format(int(_NOW)))]),
            DeploymentSigns: self._signs,
            ServiceStates: lambda words: (("service", s, "running") for s in words[1:]),
        }

    def answer(self, fact: type, arguments: list[str]) -> Answer:
        _asked[Path(arguments[0]).name if fact is PemFiles else fact.__name__] += 1
        if fact is PemFiles:
            return self._pem_files(arguments)
        return super().answer(fact, arguments)

    def change(self, script: str, arguments: list[str], stdin: str) -> Answer | None:
        if "puppet cert sign" not in script:
            return None
        _asked["puppet cert sign"] += 1
        words = iter(arguments[3:])
        said = []
        for digest, name in zip(words, words, strict=True):
            held = self.site.agent(name).request.encode()
            if name not in self.site.requests or hashlib.sha256(held).hexdigest() != digest:
                continue
            self.site.requests.remove(name)
            self.site.signed.add(name)
            said += [
                f"Signing Certificate Request for: {name}",
                f"Notice: Signed certificate request for {name}",
                f"Notice: Removing file Puppet::SSL::CertificateRequest {name}",
            ]
        return said

    def public_key_of(self, path: str) -> str:
        return self.site.text("new ca key" if path.endswith("/ca_key.pem") else "new key")

    def _signs(self, arguments: list[str]) -> Iterator[Record]:
        yield "version", PE_3_7.version_file, f"{PE_3_7.versions[0]}.2"
        yield "directory", PE_3_7.prefix

    def _presented(self, arguments: list[str]) -> Iterator[Record]:
        yield "presented", self.site.text(MASTER)

    def _pem_files(self, arguments: list[str]) -> Answer:
        directory, _without_keys, _largest, _most, _not_read, _names, which, *files = arguments
        if directory.endswith("/requests"):
            held = {name: self.site.agent(name).request for name in self.site.requests}
        elif which == "all":
            held = {name: self.site.agent(name).new for name in self.site.signed}
            held |= {name: self.site.text(name) for name in (MASTER, *PE_3_7.internal_names)}
        else:
            wanted = [file.removeprefix("./").removesuffix(".pem") for file in files]
            held = {n: self.site.agent(n).new for n in wanted if n in self.site.signed}
        return _framed(_archive(held))


# Answers


def _words(command: StringCommand) -> list[str]:
    return [str(bit.obj if isinstance(bit, QuoteString) else bit) for bit in command.bits]


_NOTHING = base64.b64encode(gzip.compress(b"")).decode("ascii")
_NO_SSL: dict[str, Any] = {
    **dict.fromkeys(("lock", "capass", "cacert"), ""),
    **dict.fromkeys(("roots", "texts", "keys", "certificate_dirs"), ()),
}
_NO_TRACES = dict.fromkeys(("summary", "catalog", "disabled", "lockfile"), "")
_FACTS: dict[str, type] = {
    _words(command)[2]: fact
    for fact, command in {
        ArchivedCertificates: ArchivedCertificates().command("", ""),
        AutosignSetting: AutosignSetting().command(""),
        Backups: Backups().command("", []),
        Basics: Basics().command("", [], [], []),
        CaInventory: CaInventory().command(""),
        ComponentDirectory: ComponentDirectory().command("", "", []),
        ConfiguredPorts: ConfiguredPorts().command({}),
        CredentialFiles: CredentialFiles().command([], ""),
        CsrAttributes: CsrAttributes().command(""),
        DeploymentSigns: DeploymentSigns().command([], [], []),
        PemFiles: PemFiles().command(""),
        PresentedCertificate: PresentedCertificate().command([], 0),
        PuppetAgent: PuppetAgent().command("", "", "", ""),
        AgentFiles: AgentFiles().command(_NO_SSL, _NO_TRACES),
        PuppetSettings: PuppetSettings().command(),
        RunningPuppets: RunningPuppets().command(),
        ServiceOptions: ServiceOptions().command([]),
        ServiceStates: ServiceStates().command([]),
        StrayCredentials: StrayCredentials().command([], [], []),
        SslDirectories: SslDirectories().command(**_NO_SSL),
        Unreached: Unreached().command([], ""),
        WhoAndWhen: WhoAndWhen().command(),
    }.items()
}
"""Facts by their scripts: the third word of `sh -c SCRIPT pe-recert …`."""


def _apart(words: list[str]) -> Iterator[list[str]]:
    """The commands of a line: a change, a look at it, or what is asked together."""
    command: list[str] = []
    for word in [*words, "&&"]:
        if word in {"&&", AND_LOOK}:
            yield command
            command = []
        elif word != "; exit $status":
            command.append(word)


def _groups(words: list[str]) -> list[list[str]]:
    """Groups of words that each follow their number."""
    groups, position = [], 0
    while position < len(words):
        end = position + 1 + int(words[position])
        groups.append(words[position + 1 : end])
        position = end
    return groups


def _encoded(records: Iterable[Record]) -> bytes:
    """As `say` in facts/script.py prints them."""
    fields: list[object] = []
    for record in (*records, ("end",)):
        fields += [len(record), *record]
    return "".join(f"{field}\0" for field in fields).encode()


def _framed(content: bytes) -> Answer:
    """As ENCODE in facts/script.py does it."""
    lines = base64.encodebytes(content).decode("ascii").splitlines()
    return ["pe-recert:", *lines, "pe-recert."]


def _archive(texts: dict[str, str]) -> bytes:
    """As `tar -cz` would, of PEM files by their names, or by their whole paths."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=6) as unpacked,
        tarfile.open(fileobj=unpacked, mode="w") as archive,
    ):
        for name, text in texts.items():
            entry = tarfile.TarInfo(name if name.startswith("/") else f"./{name}.pem")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def _manifest_of_the_master(site: _Site) -> str:
    ca = read_certificate(site.text("old ca"))
    assert ca is not None
    values: dict[str, Any] = {
        "version": 1,
        "made_at": "2015-11-23T10:15:00+00:00",
        "host": "master",
        "certname": MASTER,
        "ca_fingerprint": ca.fingerprint,
        "ca_key": ca.key,
        "ca_subject": ca.subject,
        "ca_expires": ca.not_after.isoformat(),
        "ca_certificate": ca.pem,
        "paths": [SSLDIR],
        "settings": {"dns_alt_names": []},
        "alt_names": list(ALT_NAMES),
        "signed": [certname_of(number) for number in range(1, site.size + 1)],
        "archive_sha256": _DIGEST,
    }
    return json.dumps(values, indent=2)


_SETTINGS = {
    "confdir": CONFDIR,
    "config": f"{CONFDIR}/puppet.conf",
    "vardir": VARDIR,
    "ssldir": SSLDIR,
    "cadir": f"{SSLDIR}/ca",
    "client_datadir": f"{VARDIR}/client_data",
    "lastrunfile": f"{VARDIR}/state/last_run_summary.yaml",
    "agent_catalog_run_lockfile": f"{VARDIR}/state/agent_catalog_run.lock",
    "agent_disabled_lockfile": f"{VARDIR}/state/agent_disabled.lock",
    "cacert": f"{SSLDIR}/ca/ca_crt.pem",
    "cakey": f"{SSLDIR}/ca/ca_key.pem",
    "cacrl": f"{SSLDIR}/ca/ca_crl.pem",
    "capass": f"{SSLDIR}/ca/private/ca.pass",
    "serial": f"{SSLDIR}/ca/serial",
    "signeddir": f"{SSLDIR}/ca/signed",
    "csrdir": f"{SSLDIR}/ca/requests",
    "certdir": f"{SSLDIR}/certs",
    "privatekeydir": f"{SSLDIR}/private_keys",
    "publickeydir": f"{SSLDIR}/public_keys",
    "requestdir": f"{SSLDIR}/certificate_requests",
    "hostcrl": f"{SSLDIR}/crl.pem",
    "localcacert": f"{SSLDIR}/certs/ca.pem",
    "dns_alt_names": "",
    "user": "pe-puppet",
    "group": "pe-puppet",
    "masterport": "8140",
    "ca_port": "8140",
    "use_srv_records": "false",
    "ca": "true",
    "keylength": str(KEYLENGTH),
    "noop": "false",
    "server": "puppet",
    "ca_server": "puppet",
    "autosign": f"{CONFDIR}/autosign.conf",
    "ca_name": "Puppet CA: puppet",
    "ca_ttl": "5y",
    "csr_attributes": f"{CONFDIR}/csr_attributes.yaml",
    "capub": f"{SSLDIR}/ca/ca_pub.pem",
    "caprivatedir": f"{SSLDIR}/ca/private",
    "cert_inventory": f"{SSLDIR}/ca/inventory.txt",
    "privatedir": f"{SSLDIR}/private",
    "passfile": f"{SSLDIR}/private/password",
}

_SUMMARY = """---
version:
  config: 1448272000
  puppet: 3.7.4
resources:
  changed: 1
  failed: 0
  failed_to_restart: 0
  out_of_sync: 1
  restarted: 0
  scheduled: 0
  skipped: 0
  total: 8
time:
  config_retrieval: 0.06769737800095754
  file: 0.002744283
  filebucket: 3.8767e-05
  schedule: 0.000173439
  total: 1.313590134
  last_run: {}
changes:
  total: 1
events:
  failure: 0
  success: 1
  total: 1
"""

_REQUESTING = [
    "Info: Creating a new SSL key for this node",
    "Info: csr_attributes file loading from /etc/puppetlabs/puppet/csr_attributes.yaml",
    f"Info: Creating a new SSL certificate request, SHA256 {':'.join(['AB'] * 32)}",
    "Exiting; no certificate found and waitforcert is disabled",
]


# The connector


_spent = 0.0
_asked: Counter[str] = Counter()


def _tell_what_was_spent() -> None:
    print(f"{SPENT}{_spent:.3f}", file=sys.stderr)
    print(f"{ASKED}{json.dumps(_asked)}", file=sys.stderr)


class SimulatedConnector(BaseConnector):
    """`@simulated/NUMBER/PATH`: a master and so many agents of the site in that file."""

    handles_execution = True

    def __init__(self, state: State, host: Host) -> None:
        super().__init__(state, host)
        self._simulated: _Simulated | None = None

    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        atexit.unregister(_tell_what_was_spent)  # pyinfra asks for the names more than once
        atexit.register(_tell_what_was_spent)
        number, _, path = name.partition("/")
        data = {"simulated": (path, int(number))}
        yield "master", dict(data), ["master"]
        for agent in range(1, int(number) + 1):
            yield certname_of(agent), dict(data), ["agents"]

    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> tuple[bool, CommandOutput]:
        global _spent
        time.sleep(0)  # others take their turns, as while a real host works
        began = time.thread_time()
        try:
            ok, lines = self._answer(_words(command), str(arguments.get("_stdin") or ""))
        finally:
            _spent += time.thread_time() - began
        stream = "stdout" if ok else "stderr"
        return ok, CommandOutput([OutputLine(stream, line) for line in lines])

    def put_file(self, *arguments: Any, **more: Any) -> bool:
        raise NotImplementedError

    def get_file(self, *arguments: Any, **more: Any) -> bool:
        raise NotImplementedError

    def _answer(self, words: list[str], stdin: str) -> tuple[bool, list[str]]:
        simulated = self._host
        lines: list[str] = []
        for command in _apart(words):
            if command[0] == "echo":
                lines.append(command[1])
                continue
            script, arguments = command[2], command[4:]
            fact = _FACTS.get(script)
            if fact is not None:
                lines += simulated.answer(fact, arguments)
                continue
            # operations/step.py: the lock, then the script that runs under it.
            done = simulated.change(arguments[1], arguments[2:], stdin) if arguments[1:] else None
            if done is None:
                known = re.sub(r"\s+", " ", script if len(arguments) < 2 else arguments[1])[-200:]
                return False, [f"the simulation does not know this command: {known}"]
            lines += done
        return True, lines

    @property
    def _host(self) -> _Simulated:
        if self._simulated is None:
            path, size = self.host.data.get("simulated")
            site, name = _site(Path(path), size), self.host.name
            is_master = name == "master"
            self._simulated = _SimulatedMaster(site) if is_master else _SimulatedAgent(site, name)
        return self._simulated
