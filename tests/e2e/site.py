"""A master of the lab as the tests use it: the command line on one side, the truth on the other.

What the suite claims is compared with what is found past it: commands run in the container by
its engine, signatures verified here, and real TLS connections.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lab
from lab.hosts import HOSTS
from recert.certificates import (
    Certificate,
    read_certificate,
    read_public_key,
    read_revocation_list,
)
from recert.deployments.model import TRIO
from tests.e2e.forked import PYINFRA, run_pyinfra
from tests.tables import COMPONENTS, INTERNAL_NAMES, STOP_ORDER

ROOT = Path(__file__).resolve().parents[2]
SSLDIR = "/etc/puppetlabs/puppet/ssl"
KILLING = ("--config", "tests/e2e/kill_after.py")
"""Options for a run that kills itself after as many changes as KILL_AFTER says."""
LOOKING_FIRST = ("--config", "tests/e2e/look_first.py")
"""Options for a run whose results have its plan as well."""
_PRESENTED = """
    tls = OpenSSL::SSL::SSLSocket.new(TCPSocket.new("127.0.0.1", {port}))
    tls.connect
    puts tls.peer_cert.to_pem
"""
_RUBY = "/opt/puppet/bin/ruby -rsocket -ropenssl -e"
# One process: a shell would start some hundred.
_EVERYTHING = r"""
    require "etc"
    require "fileutils"
    require "find"
    ssl, backups, retired, directories, *names = ARGV

    def pem(what, text)
      puts "pem #{what}", text, "", "end"
    end

    def owner(stat)
      "#{Etc.getpwuid(stat.uid).name}:#{Etc.getgrgid(stat.gid).name}"
    end

    Find.find(ssl) do |path|
      puts "foreign: #{path}" unless owner(File.lstat(path)) == "pe-puppet:pe-puppet"
    end
    pem("ca", File.read("#{ssl}/ca/ca_crt.pem"))
    pem("crl", File.read("#{ssl}/crl.pem"))
    names.each do |name|
      pem("cert #{name}", File.read("#{ssl}/certs/#{name}.pem"))
      pem("signed #{name}", File.read("#{ssl}/ca/signed/#{name}.pem"))
      key = "#{ssl}/private_keys/#{name}.pem"
      puts "key mode: %o" % (File.stat(key).mode & 07777)
      pem("key #{name}", OpenSSL::PKey::RSA.new(File.read(key)).public_key.to_pem)
    end
    Find.find(*directories.split(",")) do |copy|
      # Some masters of the lab keep old keys there, of no CA that they have had.
      next if [*directories.split(","), "backup"].any? { |directory| copy.end_with?(directory) }
      next if File.basename(copy).start_with?("old-master.")
      found = File.basename(copy).match(/\A(.*)\.(cert|private_key|public_key)\.pem\z/)
      source = "#{ssl}/#{found[2]}s/#{found[1]}.pem" if found
      same = found && File.exist?(source) && FileUtils.identical?(copy, source)
      stat = File.lstat(copy)
      puts "copy: #{copy} #{owner(stat)} %o #{same ? "same" : "different"}" % (stat.mode & 07777)
    end
    Dir.glob("#{backups}/2*-#{retired}/archive.tar").each do |archive|
      wanted = "#{ssl[1..-1]}/ca/ca_crt.pem"
      old = IO.popen(["tar", "-xOf", archive, wanted, { err: File::NULL }], &:read)
      pem("retired", old) unless old.empty?
    end
    tls = OpenSSL::SSL::SSLSocket.new(TCPSocket.new("127.0.0.1", 8140))
    tls.connect
    pem("served", tls.peer_cert.to_pem)
"""
BACKUPS = "/var/lib/pe-recert/backups"
MANIFESTS = "/etc/puppetlabs/puppet/environments/production/manifests"
VARDIR = "/var/opt/lib/pe-puppet"
_PATIENCE = 900
"""Seconds after which a run hangs, on however slow a machine."""
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
        """The operations that a `--json --dry`, or a run that looked first, listed as changing."""
        return [op["name"] for op in self._document["plan"] if op["hosts_with_change"]]

    @property
    def changed(self) -> list[str]:
        """The operations that a `--json -y` reported as changed."""
        return [op["name"] for op in self._document["results"]["operations"] if op["success"]]

    @property
    def begun(self) -> str:
        """The operation at which a run that was killed had come."""
        return self.stderr.rpartition("Starting operation: ")[2].partition("\n")[0].strip()

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


def _environment(more: dict[str, str] | None) -> dict[str, str]:
    return {**os.environ, "PYINFRA_PROGRESS": "off", **(more or {})}


def until_said(process: subprocess.Popen[str], text: str) -> None:
    """Until a run that was begun has printed this for the person at the terminal."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if text in line:
            return
    raise AssertionError(f"the run has ended without saying {text!r}:\n{''.join(said)}")


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
    def boot(self) -> str:
        """Which start from its image it lives through; empty if it is down."""
        known = lab.hosts().get(self.name)
        return known["boot"] if known else ""

    def reset(self) -> None:
        lab.reset(self.name)

    def sh(self, script: str) -> str:
        """Run `script` as root in the container, past everything that is tested."""
        return lab.run(self.name, script).stdout

    def pyinfra(self, deploy: str, *arguments: str, env: dict[str, str] | None = None) -> Run:
        words = (str(self.inventory), deploy, *self.options, *arguments)
        return Run(*run_pyinfra(words, ROOT, _environment(env), _PATIENCE))

    def begin(
        self, deploy: str, *arguments: str, env: dict[str, str] | None = None
    ) -> subprocess.Popen[str]:
        """The same as a person starts it, for a test that does something meanwhile."""
        return subprocess.Popen(
            [str(PYINFRA), str(self.inventory), deploy, *self.options, *arguments],
            cwd=ROOT,
            env=_environment(env),
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
        cadir = HOSTS[self.name].generation.cadir
        return self.certificate(f"{cadir}/ca_crt.pem")

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
        return _certificate(self.sh(f"{_RUBY} '{_PRESENTED.format(port=port)}'"))

    def running(self) -> list[str]:
        """The services that run, as the service manager says."""
        down = self.sh(f"/opt/pe-lab/wait-for-services 0 {' '.join(STOP_ORDER)}; true").split()
        return [name for name in STOP_ORDER if name not in down]

    def snapshot(self, paths: Iterable[str] = ("/etc", "/opt/puppet", "/root", "/var/lib")) -> str:
        """Every file below `paths` with digest, owner, mode and time of change."""
        return self.sh(
            f"find {' '.join(paths)} -printf '%p %y %U:%G %m %s %C@\\n' | sort;"
            f"find {' '.join(paths)} -type f -exec sha256sum {{}} + | sort"
        )


def assert_regenerated(
    master: Master,
    retired: str,
    alt_names: set[str] | None = None,
    running: Sequence[str] = STOP_ORDER,
) -> None:
    """Everything that a regeneration promises, looked at from outside of it. `running`: the
    services that ran before it."""
    certname = master.certname
    names = (certname, *INTERNAL_NAMES)
    # One visit to the container: each visit takes longer than all that is asked there.
    lines, pems = _visit(master, names, short(retired))
    assert not lines["foreign"], f"not Puppet's own: {lines['foreign']}"
    assert lines["key mode"] == ["640"] * len(names)

    ca = _certificate(pems["ca"])
    old = read_certificate(pems.get("retired", ""))
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
            for part in TRIO:
                copy = f"{component.directory}/{component.file_name(name, part)}"
                copies.add(f"{copy} {owner} {component.file_mode(part):o} same")
    assert set(lines["copy"]) == copies

    served = _certificate(pems["served"])
    assert served.issued_by(ca) and served.subject == certname
    runs = master.running()
    assert runs == list(running), f"{set(running) ^ set(runs)} should not or should run"


def short(fingerprint: str) -> str:
    """A CA's as the names of its backups end with it."""
    return fingerprint.replace(":", "").lower()[:16]


def _visit(
    master: Master, names: Iterable[str], retired: str
) -> tuple[dict[str, list[str]], dict[str, str]]:
    """What the container shows: lines by what they are about, and PEM texts by name; of the backups
    of the retired CA, the certificate of that."""
    directories = [component.directory for component in COMPONENTS]
    words = (SSLDIR, BACKUPS, retired, ",".join(directories), *names)
    output = master.sh(f"{_RUBY} '{_EVERYTHING}' {' '.join(words)}")
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
