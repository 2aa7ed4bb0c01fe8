"""The proof at the end: a site that was regenerated is well, and whatever is broken is named."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.nodes import NO_MCO, SUMMARY, Site, reported
from tests.e2e.site import BACKUPS, SSLDIR, Run

AGENTS = ("agent01", "agent02")
CONSOLE = "/opt/puppet/share/console-services/certs"
PUPPETDB = "/etc/puppetlabs/puppetdb/ssl"
BROKER = "/etc/puppetlabs/activemq"
CLASSIFIER_KEY = f"{SSLDIR}/private_keys/pe-internal-classifier.pem"
RUBY = "/opt/puppet/bin/ruby -ropenssl -e"
BROKER_KEY = f"{BROKER}/pe-internal-mcollective-servers.private_key.pem"
CRLS = f"{SSLDIR}/ca/ca_crl.pem {SSLDIR}/crl.pem"


@dataclass(frozen=True)
class Regenerated:
    """A site after one run of everything, and that run."""

    site: Site
    retired: str
    run: Run
    took: float
    """Seconds."""

    def verify(self, how: str = "last") -> Run:
        data = ("--data", f"retire_ca={self.retired}", "--data", f"puppet_run={how}")
        return self.site.pyinfra("deploys/verify.py", "-y", "--json", *data)

    def at(self, host: str, script: str) -> str:
        """Run `script` on a host, with a shell function that reads its backup of the old site."""
        old = f"old() {{ tar -xOf {BACKUPS}/2*/archive.tar {SSLDIR[1:]}/$1; }}; set -e\n"
        return self.site.sh(old + script) if host == "master" else self.site.on(host, old + script)


REVOKED = f"""
puppet=/opt/puppet/bin/puppet name=revoked.lab.test
$puppet cert generate $name && $puppet cert revoke $name
mv {SSLDIR}/private_keys/$name.pem /root/revoked.key
"""
"""A node whose key no backup has, and whose certificate the CA has taken back."""


@pytest.fixture(scope="module")
def regenerated(tmp_path_factory: pytest.TempPathFactory) -> Regenerated:
    site = Site.of(tmp_path_factory.mktemp("verify"), "master", AGENTS)
    site.reset()
    site.sh(REVOKED)
    retired, began = site.ca.fingerprint, time.monotonic()
    run = site.whole(retired)
    return Regenerated(site, retired, run, time.monotonic() - began)


def failures(document: dict[str, Any]) -> list[str]:
    return [f"{c['host']}: {c['saw']}" for c in document["checks"] if c["result"] == "failed"]


def test_a_whole_run_ends_with_the_proof_and_one_report(regenerated: Regenerated) -> None:
    run, site = regenerated.run, regenerated.site
    document = reported(run)

    assert run.status == 0, run.stderr
    assert not any("verify" in name for name in run.changed)
    assert document["kind"] == "site"
    assert document["summary"]["well"] is True
    assert document["summary"]["back"] == document["summary"]["nodes"] == 3
    assert (document["before"]["ca"]["fingerprint"], document["now"]["ca"]["fingerprint"]) == (
        regenerated.retired,
        site.ca.fingerprint,
    )
    assert document["retired_ca"]["fingerprint"] == regenerated.retired
    assert 1 < document["summary"]["outage_seconds"] < regenerated.took
    before = {c["path"]: c for c in document["before"]["certificates"] if c["host"] == "agent01"}
    now = {c["path"]: c for c in document["now"]["certificates"] if c["host"] == "agent01"}
    own = f"{SSLDIR}/certs/agent01.lab.test.pem"
    assert (before[own]["standing"], now[own]["standing"]) == ("retired", "good")
    assert now[own]["fingerprint"] == site.certificate_of("agent01").fingerprint
    assert [op["name"] for op in document["operations"] if op["host"] == "master"] == [
        name.rpartition(" | ")[2] for name in run.changed if "master" in run.changes[name]
    ]
    assert all(op["seconds"] >= 0 for op in document["operations"])


def test_verified_by_running_puppet(regenerated: Regenerated) -> None:
    site = regenerated.site
    began = int(site.sh("date +%s"))

    run = regenerated.verify("real")

    document = reported(run)
    assert run.status == 0, run.stderr
    assert run.changed == []
    assert failures(document) == []
    written = f"stat -c %Y {SUMMARY}"
    for ran in (site.sh(written), *site.on_all(written).values()):
        assert int(ran) >= began, "Puppet has not run"
    said = {(c["about"], c["did"]): c["saw"] for c in document["checks"]}
    refusal = (
        "TLS handshake with {} on port {}, offering the master's certificate of the retired CA"
    )
    refused = "Services refuse certificates of the retired CA"
    for service, port in (("pe-puppetserver", 8140), ("pe-puppetdb", 8081), ("pe-activemq", 61613)):
        assert "unknown ca" in said[refused, refusal.format(service, port)]
    presented = "Services present certificates of the CA in place"
    assert {k: v for (about, k), v in said.items() if about == presented} == {
        "TLS handshake with pe-puppetserver on port 8140": PRESENTS_MASTERS,
        "TLS handshake with pe-puppetdb on port 8081": PRESENTS_MASTERS,
        "TLS handshake with pe-postgresql on port 5432, after its SSLRequest": PRESENTS_MASTERS,
        "TLS handshake with pe-console-services on port 4433": PRESENTS_MASTERS,
        "TLS handshake with pe-httpd on port 443": PRESENTS_MASTERS,
        "TLS handshake with pe-activemq on port 61613": (
            "pe-internal-mcollective-servers (0x0005), of the CA in place"
        ),
    }


PRESENTS_MASTERS = "master.lab.test (0x0002), of the CA in place"


@dataclass(frozen=True)
class Broken:
    """One thing that somebody has done by hand on `host`, what undoes it, and `names`: what has to
    be said of it. Those of one `batch` do not get in each other's way. `on`: the host that is
    blamed, where it is another."""

    batch: int
    host: str
    do: str
    undo: str
    names: tuple[str, ...]
    on: str = ""

    @property
    def blamed(self) -> str:
        """The host on which the check fails."""
        return self.on or self.host


def replaced(path: str, content: str) -> tuple[str, str]:
    """Commands that put another content into a file, and that undo it."""
    kept = f"/root/{path.replace('/', '_')}"
    return f"cp -p {path} {kept}; {content} >{path}", f"cp -p {kept} {path}"


def in_der(old: str, kind: str) -> str:
    """A command that prints what `old` prints in PEM in DER, as Puppet's own Ruby does."""
    return f"""{old} | {RUBY} 'print OpenSSL::{kind}.new(STDIN.read).to_der'"""


BROKEN = {
    "a swapped key": Broken(
        1,
        "master",
        *replaced(CLASSIFIER_KEY, f"cat {SSLDIR}/private_keys/pe-internal-dashboard.pem"),
        (f"{CLASSIFIER_KEY} does not belong to the certificate",),
    ),
    "an old copy": Broken(
        1,
        "master",
        *replaced(f"{PUPPETDB}/master.lab.test.cert.pem", "old certs/master.lab.test.pem"),
        (
            f"{PUPPETDB}/master.lab.test.cert.pem holds master.lab.test (0x0002) of the retired CA",
            f"{PUPPETDB}/master.lab.test.cert.pem differs from {SSLDIR}/certs/master.lab.test.pem",
        ),
    ),
    "a wrong owner": Broken(
        1,
        "master",
        f"chown root {CONSOLE}/pe-internal-dashboard.private_key.pem",
        f"chown pe-console-services {CONSOLE}/pe-internal-dashboard.private_key.pem",
        ("pe-internal-dashboard.private_key.pem belongs to root:pe-console-services, not to",),
    ),
    "a stopped service": Broken(
        1,
        "master",
        "service pe-activemq stop",
        "service pe-activemq start",
        ("pe-activemq does not run", "no TLS: nothing listens on port 61613"),
    ),
    "a service that lives on with its old credentials": Broken(
        2,
        "master",
        f"""
        cp -rp {BROKER} /root/kept-broker
        name=pe-internal-mcollective-servers
        old certs/$name.pem >{BROKER}/$name.cert.pem
        old public_keys/$name.pem >{BROKER}/$name.public_key.pem
        old private_keys/$name.pem >{BROKER}/$name.private_key.pem
        old certs/ca.pem >{BROKER}/ca.pem
        service pe-activemq restart
        cp -p /root/kept-broker/* {BROKER}/
        """,
        "rm -r /root/kept-broker; service pe-activemq restart",
        (
            "pe-internal-mcollective-servers (0x0005), of the retired CA",
            "it does not take a certificate of the CA in place, either",
        ),
    ),
    "an agent that trusts the old CA": Broken(
        1,
        "agent01",
        *replaced(f"{SSLDIR}/certs/ca.pem", "old certs/ca.pem"),
        (
            f"{SSLDIR}/certs/ca.pem is not the certificate of the master's CA",
            f"{SSLDIR}/certs/ca.pem holds Puppet CA: master.lab.test (0x0001) of the retired CA",
        ),
    ),
    "an old certificate under another name": Broken(
        1,
        "agent02",
        "old certs/agent02.lab.test.pem >/etc/puppetlabs/puppet/spare.crt",
        "rm /etc/puppetlabs/puppet/spare.crt",
        ("/etc/puppetlabs/puppet/spare.crt holds agent02.lab.test (0x0009) of the retired CA",),
    ),
    "an old key under another name": Broken(
        2,
        "agent02",
        "umask 077; old private_keys/agent02.lab.test.pem >/etc/puppetlabs/spare.key",
        "rm /etc/puppetlabs/spare.key",
        ("/etc/puppetlabs/spare.key is a private key from before the CA was retired",),
    ),
    "the key of one that was revoked before": Broken(
        2,
        "master",
        "cp -p /root/revoked.key /etc/puppetlabs/spare.key",
        "rm /etc/puppetlabs/spare.key",
        ("/etc/puppetlabs/spare.key is a private key from before the CA was retired",),
    ),
    "the old CA's key": Broken(
        2,
        "master",
        f"(cat /dev/null; old ca/ca_key.pem; echo) >{BROKER}/other.pem",
        f"rm {BROKER}/other.pem",
        (
            f"{BROKER}/other.pem is a private key from before the CA was retired",
            f"{BROKER}/other.pem is open to others (0644)",
        ),
    ),
    "a key that everybody can read": Broken(
        2,
        "agent01",
        f"chmod o+r {SSLDIR}/private_keys/agent01.lab.test.pem",
        f"chmod o-r {SSLDIR}/private_keys/agent01.lab.test.pem",
        (f"{SSLDIR}/private_keys/agent01.lab.test.pem is open to others (0644)",),
    ),
    "a service's key that everybody can read": Broken(
        1,
        "master",
        f"chmod o+r {BROKER_KEY}",
        f"chmod o-r {BROKER_KEY}",
        (f"{BROKER_KEY} is open to others (0404)",),
    ),
    "an old revocation list": Broken(
        2,
        "agent01",
        *replaced(f"{SSLDIR}/crl.pem", "old crl.pem"),
        (f"{SSLDIR}/crl.pem is not a revocation list of the master's CA",),
    ),
    "an old certificate in DER": Broken(
        2,
        "agent01",
        in_der("old certs/agent01.lab.test.pem", "X509::Certificate")
        + " >/etc/puppetlabs/spare.der",
        "rm /etc/puppetlabs/spare.der",
        ("/etc/puppetlabs/spare.der holds agent01.lab.test (0x0008) of the retired CA",),
    ),
    "an old key in another form and without a name": Broken(
        2,
        "agent01",
        "umask 077; mkdir /etc/puppetlabs/private_keys; "
        + in_der("old private_keys/agent01.lab.test.pem", "PKey::RSA")
        + " >/etc/puppetlabs/private_keys/kept",
        "rm -r /etc/puppetlabs/private_keys",
        ("/etc/puppetlabs/private_keys/kept is a private key from before the CA was retired",),
    ),
    "an old certificate and its key in one box": Broken(
        1,
        "agent02",
        f"""umask 077; (old certs/agent02.lab.test.pem; old private_keys/agent02.lab.test.pem) |
            {RUBY} 'pem = STDIN.read
                cert, key = OpenSSL::X509::Certificate.new(pem), OpenSSL::PKey::RSA.new(pem)
                ["", "secret"].each do |password|
                    box = OpenSSL::PKCS12.create(password, "spare", key, cert)
                    File.open("/etc/puppetlabs/spare#{{password}}.p12", "wb") {{ |file|
                        file.write(box.to_der)
                    }}
                end'""",
        "rm /etc/puppetlabs/spare.p12 /etc/puppetlabs/sparesecret.p12",
        (
            "/etc/puppetlabs/spare.p12 holds agent02.lab.test (0x0009) of the retired CA",
            "/etc/puppetlabs/spare.p12 is a private key from before the CA was retired",
        ),
    ),
    "an agent's service": Broken(
        2,
        "agent02",
        "service pe-mcollective stop",
        "service pe-mcollective start",
        ("pe-mcollective does not run",),
    ),
    "a CA that has forgotten a node": Broken(
        2,
        "master",
        f"sed -i.kept /agent01/d {SSLDIR}/ca/inventory.txt",
        f"mv {SSLDIR}/ca/inventory.txt.kept {SSLDIR}/ca/inventory.txt",
        ("agent01.lab.test (0x0008) is not what the CA has signed",),
        on="agent01",
    ),
    "a run that failed": Broken(
        1,
        "agent01",
        f"sed -i.kept 's/failed: 0/failed: 1/' {SUMMARY}",
        f"mv {SUMMARY}.kept {SUMMARY}",
        (" has failed",),
    ),
}


SEALED = {
    1: ["/etc/puppetlabs/sparesecret.p12 wants a password: nobody could look into it"],
    2: [],
}
"""What of each batch nobody can judge."""


@pytest.fixture(params=sorted({what.batch for what in BROKEN.values()}))
def batch(request: pytest.FixtureRequest, regenerated: Regenerated) -> Iterator[tuple[int, Run]]:
    """All that is broken together, and a verification of that."""
    broken = [what for what in BROKEN.values() if what.batch == request.param]
    for what in broken:
        regenerated.at(what.host, what.do)
    yield request.param, regenerated.verify()
    for what in broken:
        regenerated.at(what.host, what.undo)


def test_whatever_is_broken_is_found_and_named(
    batch: tuple[int, Run], subtests: pytest.Subtests
) -> None:
    number, run = batch
    found = failures(reported(run))
    printed = " ".join(run.stderr.split())
    assert run.status == 1
    names: list[str] = []
    for title, what in BROKEN.items():
        if what.batch != number:
            continue
        names += what.names
        for name in what.names:
            with subtests.test(title, name=name):
                assert any(line.startswith(f"{what.blamed}: ") for line in found if name in line)
                assert name in printed, "the terminal does not name it"
    assert [line for line in found if not any(name in line for name in names)] == []
    not_made = [c["saw"] for c in reported(run)["checks"] if c["result"] == "not made"]
    assert not_made == [*SEALED[number], NO_MCO]


def test_a_node_whose_certificate_is_revoked_or_that_refuses_to_run(
    regenerated: Regenerated,
) -> None:
    regenerated.at("agent02", "/opt/puppet/bin/puppet agent --disable 'on purpose'")
    regenerated.at(
        "master",
        f"cp -p {CRLS} /root/; /opt/puppet/bin/puppet cert revoke agent01.lab.test >/dev/null 2>&1"
        f"; touch {BROKER}/broker.ks",
    )

    run = regenerated.verify("noop")

    regenerated.at("agent02", "/opt/puppet/bin/puppet agent --enable")
    regenerated.at(
        "master",
        f"cp -p /root/ca_crl.pem {SSLDIR}/ca/; cp -p /root/crl.pem {SSLDIR}/;"
        f" rm {BROKER}/broker.ks",
    )
    document = reported(run)
    found = failures(document)
    assert run.status == 1
    assert any("agent01.lab.test (0x0008) is there, and revoked" in line for line in found)
    runs = {c["host"]: c for c in document["checks"] if c["about"] == "A Puppet run succeeds"}
    assert {host: run["result"] for host, run in runs.items()} == {
        "master": "passed",
        "agent01": "passed",
        "agent02": "failed",
    }
    assert {run["did"] for run in runs.values()} == {"puppet agent --test --noop"}
    assert "disabled" in runs["agent02"]["saw"]
    assert [c["saw"] for c in document["checks"] if c["result"] == "not made"] == [
        f"there is no keytool to read {BROKER}/broker.ks",
        NO_MCO,
    ]


def test_a_verification_of_some_hosts(regenerated: Regenerated) -> None:
    data = ("--data", f"retire_ca={regenerated.retired}", "--data", "puppet_run=last")
    run = regenerated.site.pyinfra("deploys/verify.py", "-y", "--limit", "agent01", *data)

    checks = reported(run)["checks"]
    assert run.status == 0, run.stderr
    assert {check["host"] for check in checks} == {"agent01"}
    assert {check["result"] for check in checks} == {"passed"}
    assert len(checks) == 8


def test_a_verification_wants_to_know_what_is_to_be_gone(regenerated: Regenerated) -> None:
    unnamed = regenerated.site.pyinfra("deploys/verify.py", "-y")
    unknown = regenerated.verify("twice")

    mistyped = regenerated.site.pyinfra(
        "deploys/verify.py", "-y", "--data", f"retire_ca={'AB:' * 31}CD"
    )
    assert (unnamed.status, unknown.status, mistyped.status) == (1, 1, 1)
    assert "is no CA that this master has or has a backup of" in mistyped.stderr
    assert f"There is a backup of {regenerated.retired}" in mistyped.stderr
    assert f"retire_ca={regenerated.retired}" in unnamed.stderr
    assert "puppet_run=twice is not understood. It is one of real, noop, last." in unknown.stderr
