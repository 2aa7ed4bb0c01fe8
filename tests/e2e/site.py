"""A master of the lab as the tests use it: the command line on one side, the truth on the other.

What the suite claims is compared with what is found past it: commands run in the container by
its engine, signatures verified here, and real TLS connections.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lab
from recert.certificates import (
    Certificate,
    read_certificate,
    read_public_key,
    read_revocation_list,
)
from recert.layout import COMPONENTS, INTERNAL_NAMES, STOP_ORDER, Part

ROOT = Path(__file__).resolve().parents[2]
PYINFRA = Path(sys.executable).with_name("pyinfra")
SSLDIR = "/etc/puppetlabs/puppet/ssl"
KILLING = ("--config", "tests/e2e/kill_after.py")
"""Options for a run that kills itself after as many changes as KILL_AFTER says."""
_PRESENTED = """/opt/puppet/bin/ruby -rsocket -ropenssl -e '
    tls = OpenSSL::SSL::SSLSocket.new(TCPSocket.new("127.0.0.1", {port}))
    tls.connect
    puts tls.peer_cert.to_pem
'"""
BACKUPS = "/var/lib/pe-recert/backups"
MANIFESTS = "/etc/puppetlabs/puppet/environments/production/manifests"
VARDIR = "/var/opt/lib/pe-puppet"
RUN_LOCK = f"{VARDIR}/state/agent_catalog_run.lock"
"""Of the Puppet run in progress."""


def until_no_run(lock: str = RUN_LOCK) -> str:
    """What a host's shell types to let a Puppet run come to its end, for a minute at most."""
    return f"for i in $(seq 120); do [ -e {lock} ] || break; sleep 0.5; done"


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
    def plan(self) -> dict[str, list[str]]:
        """The hosts on which each operation of a `--json --dry` would change something."""
        ops = self._document["plan"]
        return {op["name"]: sorted(op["hosts_with_change"]) for op in ops}

    @property
    def changes(self) -> dict[str, list[str]]:
        """The hosts on which each operation of a `--json -y` has changed something."""
        ops = self._document["results"]["operations"]
        return {op["name"]: sorted(op["success"]) for op in ops}

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

    @contextmanager
    def applying(self, code: str) -> Iterator[None]:
        """Catalogs hold this, besides what they always do."""
        manifest = f"{MANIFESTS}/meanwhile.pp"
        self.sh(f"cat >{manifest} <<'E'\n{code}\nE\n")
        try:
            yield
        finally:
            self.sh(f"rm {manifest}")

    def backups(self) -> list[str]:
        return self.sh(f"ls {BACKUPS} 2>/dev/null | grep ^2 || true").split()

    def presented(self, port: int = 8140) -> Certificate:
        """What a TLS client sees, with Puppet's own Ruby for a client."""
        return _certificate(self.sh(_PRESENTED.format(port=port)))

    def running(self) -> list[str]:
        """The services that run, as the service manager says."""
        return self.sh(
            f"for s in {' '.join(STOP_ORDER)}; do"
            " service $s status >/dev/null 2>&1 && echo $s; done; true"
        ).split()

    def snapshot(self, paths: Iterable[str] = ("/etc", "/opt/puppet", "/root", "/var/lib")) -> str:
        """Every file below `paths` with digest, owner, mode and time of change."""
        return self.sh(
            f"find {' '.join(paths)} -printf '%p %y %U:%G %m %s %C@\\n' | sort;"
            f"find {' '.join(paths)} -type f -exec sha256sum {{}} + | sort"
        )


def assert_regenerated(master: Master, retired: str, alt_names: set[str] | None = None) -> None:
    """Everything that a regeneration promises, looked at from outside of it."""
    certname = master.certname
    names = (certname, *INTERNAL_NAMES)
    # One visit to the container: each visit takes longer than all that is asked there.
    lines, pems = _visit(master, names)
    assert not lines["foreign"], f"not Puppet's own: {lines['foreign']}"
    assert lines["key mode"] == ["640"] * len(names)

    ca = _certificate(pems["ca"])
    old = read_certificate(pems.get(f"retired {retired.replace(':', '').lower()[:16]}", ""))
    assert ca.fingerprint != retired
    assert old is not None and old.fingerprint == retired, "the backup lacks the retired CA"
    assert ca.key != old.key, "the compromised key was certified anew"
    crl = read_revocation_list(pems["crl"])
    assert crl is not None and crl.signed_by(ca)
    for name in names:
        cert = _certificate(pems[f"cert {name}"])
        assert cert.subject == name
        assert cert.issued_by(ca), f"{name} is not of the new CA"
        assert _certificate(pems[f"signed {name}"]) == cert
        assert read_public_key(pems[f"key {name}"]) == cert.key
    if alt_names is not None:
        assert _certificate(pems[f"cert {certname}"]).alt_names == alt_names | {certname}

    copies = set()
    for component in COMPONENTS:
        owner = f"{component.account}:{component.account}"
        for name in (certname if n == "<CERTNAME>" else n for n in component.credentials):
            for part in Part:
                copy = f"{component.directory}/{component.file_name(name, part)}"
                copies.add(f"{copy} {owner} {component.file_mode(part):o} same")
    assert set(lines["copy"]) == copies

    served = _certificate(pems["served"])
    assert served.issued_by(ca) and served.subject == certname
    assert master.running() == list(STOP_ORDER)


def _visit(master: Master, names: Iterable[str]) -> tuple[dict[str, list[str]], dict[str, str]]:
    """What the container shows: lines by what they are about, and PEM texts by name."""
    directories = " ".join(component.directory for component in COMPONENTS)
    output = master.sh(
        f"""
        ssl={SSLDIR}
        pem() {{ echo "pem $1"; cat; echo; echo end; }}
        find $ssl ! -user pe-puppet -o ! -group pe-puppet | sed 's/^/foreign: /'
        pem ca <$ssl/ca/ca_crt.pem
        pem crl <$ssl/crl.pem
        for name in {" ".join(names)}; do
            pem "cert $name" <$ssl/certs/$name.pem
            pem "signed $name" <$ssl/ca/signed/$name.pem
            stat -c 'key mode: %a' $ssl/private_keys/$name.pem
            /opt/puppet/bin/ruby -ropenssl -e '
                puts OpenSSL::PKey::RSA.new($stdin.read).public_key.to_pem
            ' <$ssl/private_keys/$name.pem | pem "key $name"
        done
        # Some masters of the lab keep old keys there, of no CA that they have had.
        for copy in $(find {directories} -mindepth 1 ! -name 'old-master.*' ! -name backup); do
            name=$(basename $copy | sed -E 's/\\.(cert|private_key|public_key)\\.pem$//')
            case $copy in
                *.cert.pem) source=certs ;;
                *.private_key.pem) source=private_keys ;;
                *) source=public_keys ;;
            esac
            cmp -s $copy $ssl/$source/$name.pem && same=same || same=different
            echo "copy: $copy $(stat -c '%U:%G %a' $copy) $same"
        done
        for backup in {BACKUPS}/2*; do
            old=$(tar -xOf $backup/archive.tar {SSLDIR[1:]}/ca/ca_crt.pem 2>/dev/null)
            [ -z "$old" ] || echo "$old" | pem "retired ${{backup##*-}}"
        done
        {_PRESENTED.format(port=8140)} | pem served
        """
    )
    lines: dict[str, list[str]] = {"foreign": [], "copy": [], "key mode": []}
    pems: dict[str, str] = {}
    current = ""
    for line in output.splitlines():
        if line.startswith("pem "):
            current = line.removeprefix("pem ")
            pems[current] = ""
        elif line == "end":
            current = ""
        elif current:
            pems[current] += f"{line}\n"
        elif ": " in line:
            about, _, what = line.partition(": ")
            lines[about].append(what)
    return lines, pems


def _certificate(pem: str) -> Certificate:
    cert = read_certificate(pem)
    assert cert is not None
    return cert
