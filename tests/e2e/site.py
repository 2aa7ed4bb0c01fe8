"""A master of the lab as the tests use it: the command line on one side, the truth on the other.

What the suite claims is compared with what is found by other means: testinfra in the
container, OpenSSL's own verification in `cryptography`, and real TLS connections.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import testinfra
from testinfra.host import Host as Testinfra

import lab
from recert.certificates import Certificate, read_certificate, read_revocation_list
from recert.layout import COMPONENTS, INTERNAL_NAMES, STOP_ORDER, Part

ROOT = Path(__file__).resolve().parents[2]
PYINFRA = Path(sys.executable).with_name("pyinfra")
SSLDIR = "/etc/puppetlabs/puppet/ssl"
BACKUPS = "/var/lib/pe-recert/backups"


@dataclass(frozen=True)
class Run:
    """What a pyinfra command printed and how it ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr

    @property
    def planned(self) -> list[str]:
        """The operations that a `--json --dry` listed as changing."""
        return [op["name"] for op in self._document["plan"] if op["hosts_with_change"]]

    @property
    def changed(self) -> list[str]:
        """The operations that a `--json -y` reported as changed."""
        return [op["name"] for op in self._document["results"]["operations"] if op["success"]]

    @property
    def _document(self) -> Any:
        return json.loads(self.stdout)


@dataclass
class Master:
    """One master of the lab and the inventory that names it."""

    name: str
    inventory: Path
    options: list[str] = field(default_factory=list)

    @property
    def certname(self) -> str:
        return lab.hosts()[self.name]["certname"]

    @property
    def host(self) -> Testinfra:
        return testinfra.get_host(f"{_engine()}://{lab.hosts()[self.name]['container']}")

    def reset(self) -> None:
        lab.reset(self.name)

    def sh(self, script: str) -> str:
        """Run `script` as root in the container, past everything that is tested."""
        return lab.run(self.name, script).stdout

    def pyinfra(self, deploy: str, *arguments: str, env: dict[str, str] | None = None) -> Run:
        process = self.begin(deploy, *arguments, env=env)
        stdout, stderr = process.communicate(timeout=300)
        return Run(process.returncode, stdout, stderr)

    def begin(
        self, deploy: str, *arguments: str, env: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [str(PYINFRA), str(self.inventory), deploy, *self.options, *arguments],
            cwd=ROOT,
            env={**os.environ, "PYINFRA_PROGRESS": "off", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def regenerate(self, retire: str, *arguments: str, env: dict[str, str] | None = None) -> Run:
        """A real run of steps 1 to 5, its results in JSON."""
        options = ["-y", "--json", "--data", f"retire_ca={retire}"]
        return self.pyinfra("deploys/master.py", *options, *arguments, env=env)

    def preview(self, retire: str, *arguments: str) -> Run:
        options = ["--dry", "--json", "--data", f"retire_ca={retire}"]
        return self.pyinfra("deploys/master.py", *options, *arguments)

    @property
    def ca(self) -> Certificate:
        return self.certificate(f"{SSLDIR}/ca/ca_crt.pem")

    def certificate(self, path: str) -> Certificate:
        cert = read_certificate(self.sh(f"cat '{path}'"))
        assert cert is not None, f"{path} on {self.name} is no certificate"
        return cert

    def backups(self) -> list[str]:
        return self.sh(f"ls {BACKUPS} 2>/dev/null | grep -v classified || true").split()

    def presented(self, port: int = 8140) -> Certificate:
        """What a TLS client sees, with Puppet's own Ruby for a client."""
        pem = self.sh(
            f"/opt/puppet/bin/ruby -rsocket -ropenssl -e '"
            f's = OpenSSL::SSL::SSLSocket.new(TCPSocket.new("127.0.0.1", {port}));'
            f"s.connect; puts s.peer_cert.to_pem'"
        )
        cert = read_certificate(pem)
        assert cert is not None
        return cert

    def running(self) -> list[str]:
        return [name for name in STOP_ORDER if self.host.service(name).is_running]

    def snapshot(self, paths: Iterable[str] = ("/etc", "/opt/puppet", "/root", "/var/lib")) -> str:
        """Every file below `paths` with digest, owner, mode and time of change."""
        return self.sh(
            f"find {' '.join(paths)} -printf '%p %y %U:%G %m %s %C@\\n' | sort;"
            f"find {' '.join(paths)} -type f -exec sha256sum {{}} + | sort"
        )


def assert_regenerated(master: Master, retired: str, alt_names: set[str] | None = None) -> None:
    """Everything that a regeneration promises, looked at from outside of it."""
    ca = master.ca
    old = _retired_certificate(master, retired)
    assert ca.fingerprint != retired
    assert old is None or ca.key != old.key, "the compromised key was certified anew"
    crl = read_revocation_list(master.sh(f"cat {SSLDIR}/crl.pem"))
    assert crl is not None and crl.signed_by(ca)
    certname = master.certname
    for name in (certname, *INTERNAL_NAMES):
        cert = master.certificate(f"{SSLDIR}/certs/{name}.pem")
        assert cert.subject == name
        assert cert.issued_by(ca), f"{name} is not of the new CA"
        assert master.certificate(f"{SSLDIR}/ca/signed/{name}.pem") == cert
        assert _key_digest(master, f"{SSLDIR}/private_keys/{name}.pem") == cert.key
        mode = master.sh(f"stat -c %a {SSLDIR}/private_keys/{name}.pem").strip()
        assert mode == "640"
    if alt_names is not None:
        in_use = master.certificate(f"{SSLDIR}/certs/{certname}.pem")
        assert in_use.alt_names == alt_names | {certname}
    foreign = master.sh(f"find {SSLDIR} ! -user pe-puppet -o ! -group pe-puppet")
    assert not foreign, f"not Puppet's own: {foreign}"
    for component in COMPONENTS:
        names = {certname if n == "<CERTNAME>" else n for n in component.credentials}
        expected = {component.file_name(n, part) for n in names for part in Part}
        assert set(master.sh(f"ls {component.directory}").split()) == expected
        for name in names:
            for part in Part:
                copy = f"{component.directory}/{component.file_name(name, part)}"
                source = f"{SSLDIR}/{part.ssl_subdirectory}/{name}.pem"
                owner, mode = master.sh(f"cmp {source} {copy} && stat -c '%U:%G %a' {copy}").split()
                assert owner == f"{component.account}:{component.account}", copy
                assert int(mode, 8) == component.file_mode(part), copy
    assert master.running() == list(STOP_ORDER)
    served = master.presented()
    assert served.issued_by(ca) and served.subject == certname


def _retired_certificate(master: Master, retired: str) -> Certificate | None:
    for name in master.backups():
        text = master.sh(
            f"tar -xOf {BACKUPS}/{name}/archive.tar {SSLDIR[1:]}/ca/ca_crt.pem || true"
        )
        cert = read_certificate(text)
        if cert is not None and cert.fingerprint == retired:
            return cert
    return None


def _key_digest(master: Master, path: str) -> str | None:
    from recert.certificates import read_public_key

    return read_public_key(
        master.sh(
            "/opt/puppet/bin/ruby -ropenssl -e "
            f"'puts OpenSSL::PKey::RSA.new(File.read(\"{path}\")).public_key.to_pem'"
        )
    )


def _engine() -> str:
    from lab.engine import find_engine

    return find_engine().program
