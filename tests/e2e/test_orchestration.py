"""Orchestration with real daemons: who answers mco before and after, and what the broker takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lab
from recert.certificates import Certificate, read_certificate, read_public_key
from tests.e2e.nodes import Site, reset_alone
from tests.e2e.site import BACKUPS, SSLDIR

AGENTS = ("agent01", "agent02", "agent03", "agent04", "agent05")
LEFT_OUT = "agent05"
RENEWED = tuple(agent for agent in AGENTS if agent != LEFT_OUT)
SHARED = "pe-internal-mcollective-servers"
PEADMIN = "pe-internal-peadmin-mcollective-client"
_MCO_SSL = "/etc/puppetlabs/mcollective/ssl"
# Without TLS 1.3 the handshake itself tells whether the certificate was taken.
_OFFER = """/opt/puppet/bin/ruby -rsocket -ropenssl -e '
    context = OpenSSL::SSL::SSLContext.new
    context.max_version = OpenSSL::SSL::TLS1_2_VERSION
    context.cert = OpenSSL::X509::Certificate.new(File.read(ARGV[1]))
    context.key = OpenSSL::PKey.read(File.read(ARGV[2]))
    tls = OpenSSL::SSL::SSLSocket.new(TCPSocket.new(ARGV[0], 61613), context)
    begin
        tls.connect
        puts "taken"
    rescue OpenSSL::SSL::SSLError
        puts "refused"
    end
'"""
_RETIRED = f"""
    set -e
    cd /var/lib/peadmin && mkdir retired
    for kind in private public; do
        tar -xOf {BACKUPS}/2*/archive.tar {SSLDIR[1:]}/${{kind}}_keys/{PEADMIN}.pem \
            >retired/peadmin-$kind.pem
    done
    tar -xOf {BACKUPS}/2*/archive.tar {SSLDIR[1:]}/certs/{SHARED}.pem >retired/shared.cert.pem
    tar -xOf {BACKUPS}/2*/archive.tar {SSLDIR[1:]}/private_keys/{SHARED}.pem >retired/shared.key.pem
    sed 's|/.mcollective.d/peadmin-|/retired/peadmin-|' .mcollective >retired/client.cfg
    chown -R peadmin: retired
"""
"""What a thief of the retired keys has, on a master where they would otherwise work."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A master and its agents with real services, as seeded; one of them is in no inventory."""
    reset_alone("master", *AGENTS)
    return Site.of(tmp_path, "master", RENEWED)


def found_by_mco(site: Site, config: str = "/var/lib/peadmin/.mcollective") -> set[str]:
    """The certnames that answer a client who signs as this configuration says."""
    return set(site.sh(f"su - peadmin -c 'mco find -c {config}' || true").split())


def certnames(site: Site, agents: tuple[str, ...]) -> set[str]:
    return {site.certname, *map(site.certname_of, agents)}


def in_keystore(site: Site, name: str) -> Certificate:
    """The first certificate of one of the broker's Java keystores."""
    path = f"/etc/puppetlabs/activemq/{name}"
    listed = site.sh(f"echo | keytool -list -rfc -keystore {path} 2>/dev/null")
    cert = read_certificate(f"-----BEGIN{listed.partition('-----BEGIN')[2]}")
    assert cert is not None, listed
    return cert


def offered(site: Site, host: str, cert: str, key: str) -> str:
    """What the broker does when somebody on a host offers it a certificate."""
    return lab.run(host, f"{_OFFER} {site.certname} {cert} {key}").stdout.strip()


def test_the_renewed_are_back_and_nobody_else(site: Site) -> None:
    retired = site.ca.fingerprint
    assert found_by_mco(site) == certnames(site, AGENTS)

    run = site.whole(retired)

    assert run.status == 0, run.stderr
    assert found_by_mco(site) == certnames(site, RENEWED)
    ping = site.sh("su - peadmin -c 'mco rpc rpcutil ping -j'")
    assert {one["sender"] for one in json.loads(ping)} == certnames(site, RENEWED)
    assert_broker_is_of_the_new_ca(site)
    assert_retired_keys_command_nobody(site)
    again = site.sh("/opt/puppet/bin/puppet agent --test >/dev/null 2>&1; echo $?")
    assert again.strip() == "0", "a second run of Puppet finds something to change"

    everybody = Site.of(site.inventory.parent, "master", AGENTS)
    assert everybody.whole(retired).status == 0
    assert found_by_mco(everybody) == certnames(site, AGENTS)


def assert_broker_is_of_the_new_ca(site: Site) -> None:
    own = site.certificate(f"{SSLDIR}/certs/{site.certname}.pem")
    assert own.issued_by(site.ca)
    assert site.presented(61613) == own == in_keystore(site, "broker.ks")
    assert in_keystore(site, "broker.ts") == site.ca
    for agent, answer in (("agent01", "taken"), (LEFT_OUT, "refused")):
        stem = f"{_MCO_SSL}/{site.certname_of(agent)}"
        assert offered(site, agent, f"{stem}.cert.pem", f"{stem}.private_key.pem") == answer


def assert_retired_keys_command_nobody(site: Site) -> None:
    site.sh(_RETIRED)
    stem = "/var/lib/peadmin/retired/shared"
    assert offered(site, site.name, f"{stem}.cert.pem", f"{stem}.key.pem") == "refused"
    ssl = f"{SSLDIR}/certs/{SHARED}.pem", f"{SSLDIR}/private_keys/{SHARED}.pem"
    assert offered(site, site.name, *ssl) == "taken"
    # Let in with the master's own certificate, but the requests are signed with the retired key.
    assert found_by_mco(site, "/var/lib/peadmin/retired/client.cfg") == set()
    shared = read_public_key(site.sh(f"cat {SSLDIR}/public_keys/{SHARED}.pem"))
    site.sh("rm -r /var/lib/peadmin/retired")
    delivered = site.on_all(f"cat {_MCO_SSL}/mcollective-public.pem")
    assert {read_public_key(pem) for pem in delivered.values()} == {shared}
