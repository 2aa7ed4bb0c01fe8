"""PostgreSQL, PuppetDB and the console behind the certificates: what works before works after,
under the new CA alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import lab
from recert.certificates import Certificate
from tests.e2e.nodes import Site, reset_alone
from tests.e2e.site import SSLDIR
from tests.tables import SERVICE_PORTS

AGENTS = ("agent01", "agent03")
CLASSIFIER = "pe-internal-classifier"
# PostgreSQL's client asks for TLS in clear text first: psql tells of that one.
TLS_SERVICES = ("pe-puppetserver", "pe-puppetdb", "pe-console-services", "pe-httpd")
_GET = """/opt/puppet/bin/ruby -rnet/http -ropenssl -e '
    url, ca, cert, key = ARGV
    uri = URI(url)
    http = Net::HTTP.new(uri.host, uri.port)
    http.use_ssl = true
    http.ca_file = ca
    # Without TLS 1.3 the handshake itself tells whether the certificate was taken.
    http.max_version = OpenSSL::SSL::TLS1_2_VERSION
    if cert
        http.cert = OpenSSL::X509::Certificate.new(File.read(cert))
        http.key = OpenSSL::PKey.read(File.read(key))
    end
    begin
        answer = http.get(uri.request_uri)
        puts answer.code, answer.body
    rescue OpenSSL::SSL::SSLError => error
        puts "refused", error.message
    end
'"""
_PSQL = "PGCONNECT_TIMEOUT=5 /opt/puppet/bin/psql -At -c 'SELECT 1'"
_SESSIONS = """
    cd / && setpriv --reuid=pe-postgres --regid=pe-postgres --init-groups /opt/puppet/bin/psql \
        -h /run/pe-postgresql -At -c "SELECT DISTINCT usename, ssl, client_dn
        FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'pe-puppetdb'" postgres
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A master and two agents with real services, as seeded."""
    reset_alone("master", *AGENTS)
    return Site.of(tmp_path, "master", AGENTS)


class Thief:
    """What somebody has who took the master's credentials, and uses them from the master."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.directory = "/root/thief"

    def take(self, *names: str) -> None:
        """Copies of what is in use now."""
        copies = " ".join(f"{kind}/{name}.pem" for name in names for kind in _KINDS)
        self.site.sh(
            f"mkdir -p {self.directory} && cd {SSLDIR}"
            f" && cp --parents certs/ca.pem {copies} {self.directory}/"
        )

    def credential(self, name: str) -> tuple[str, str]:
        return f"{self.directory}/certs/{name}.pem", f"{self.directory}/private_keys/{name}.pem"


_KINDS = ("certs", "private_keys")


def own(name: str) -> tuple[str, str]:
    """The files of a name's certificate and key in an ssldir."""
    return f"{SSLDIR}/certs/{name}.pem", f"{SSLDIR}/private_keys/{name}.pem"


def get(host: str, url: str, *credential: str) -> tuple[str, str]:
    """Status and body (or `refused` and why) of what a host asks for, believing the CA that it
    knows and nobody else."""
    trusted = f"{SSLDIR}/certs/ca.pem"
    said = lab.run(host, f"{_GET} {url} {trusted} {' '.join(credential)}").stdout
    status, _, body = said.partition("\n")
    return status, body


def nodes_in_puppetdb(site: Site) -> dict[str, dict[str, Any]]:
    """What PuppetDB tells the master of each node."""
    url = f"https://{site.certname}:8081/pdb/query/v4/nodes"
    status, body = get(site.name, url, *own(site.certname))
    assert status == "200", body
    return {node["certname"]: node for node in json.loads(body)}


def front(site: Site) -> tuple[str, str]:
    """What somebody gets who opens the console."""
    return get(AGENTS[0], f"https://{site.certname}/")


def psql(site: Site, sslmode: str, cert: str, key: str) -> tuple[int, str]:
    """Status and output of a query as the console's classifier asks it."""
    parameters = {
        "host": site.certname,
        "dbname": "pe-classifier",
        "user": "pe-classifier",
        "sslmode": sslmode,
        "sslrootcert": f"{SSLDIR}/certs/ca.pem",
        "sslcert": cert,
        "sslkey": "/root/psql.key",
    }
    words = " ".join(f"{name}={value}" for name, value in parameters.items())
    script = (
        f"trap 'rm /root/psql.key' EXIT; install -m 0600 {key} /root/psql.key; {_PSQL} '{words}'"
    )
    done = lab.run(site.name, script, check=False)
    return done.returncode, done.stdout + done.stderr


def assert_in_service(site: Site, ca: Certificate) -> None:
    """Everything behind the certificates works, under this CA."""
    for service in TLS_SERVICES:
        presented = site.presented(SERVICE_PORTS[service])
        assert presented.issued_by(ca), service
        assert presented == site.certificate(f"{SSLDIR}/certs/{site.certname}.pem"), service
    everybody = {site.certname, *map(site.certname_of, AGENTS)}
    assert front(site) == ("200", f"Puppet Enterprise console: {len(everybody)} nodes\n")
    assert set(nodes_in_puppetdb(site)) == everybody
    groups = f"https://{site.certname}:4433/classifier-api/v1/groups"
    assert get(site.name, groups, *own(CLASSIFIER))[0] == "200"
    assert get(site.name, groups, *own(site.certname))[0] == "403"
    # PuppetDB's whitelist has the master's name, and no agent's.
    stored = f"https://{site.certname}:8081/pdb/query/v4/nodes"
    assert get(AGENTS[0], stored, *own(site.certname_of(AGENTS[0])))[0] == "403"
    assert psql(site, "verify-full", *own(CLASSIFIER)) == (0, "1\n")
    # PuppetDB is PostgreSQL's client with the master's own certificate.
    assert site.sh(_SESSIONS).splitlines() == [f"pe-puppetdb|t|/CN={site.certname}"]


def assert_run_is_stored(site: Site, agent: str) -> None:
    """An ordinary run of an agent leaves its facts, catalog and report in PuppetDB."""
    name = site.certname_of(agent)
    before = nodes_in_puppetdb(site)[name]
    site.on(agent, "/opt/puppet/bin/puppet agent --test >/dev/null 2>&1 || [ $? = 2 ]")
    after = nodes_in_puppetdb(site)[name]
    for what in ("facts_timestamp", "catalog_timestamp", "report_timestamp"):
        assert after[what] > (before[what] or ""), what


def test_services_work_before_and_after_and_only_under_the_new_ca(site: Site) -> None:
    retired = site.ca
    assert_in_service(site, retired)
    assert_run_is_stored(site, "agent01")
    thief = Thief(site)
    thief.take(site.certname, CLASSIFIER)
    stored = nodes_in_puppetdb(site)

    run = site.whole(retired.fingerprint)

    assert run.status == 0, run.stderr
    assert site.ca.fingerprint != retired.fingerprint
    assert_in_service(site, site.ca)
    # What the nodes' first runs under the new CA have sent, beside what was known before.
    now = nodes_in_puppetdb(site)
    assert {n for n in stored if now[n]["facts_timestamp"] > stored[n]["facts_timestamp"]} == {*now}
    assert_run_is_stored(site, "agent03")
    assert_thief_is_refused(site, thief)


def assert_thief_is_refused(site: Site, thief: Thief) -> None:
    stolen, url = thief.credential(site.certname), f"https://{site.certname}"
    for path in (":8081/pdb/query/v4/nodes", ":4433/classifier-api/v1/groups", ":4435/"):
        assert get(site.name, url + path, *stolen)[0] == "refused", path
    status, said = psql(site, "verify-full", *thief.credential(CLASSIFIER))
    assert status != 0 and "unknown ca" in said, said
    status, said = psql(site, "disable", *own(CLASSIFIER))
    assert status != 0 and "no pg_hba.conf entry" in said, said
