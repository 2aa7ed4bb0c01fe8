"""Who holds one node gets no certificate but that node's, and keeps no other from its own."""

from __future__ import annotations

from tests.attacks.attacked import ALIAS, HELD, OTHER, signed
from tests.e2e.nodes import Site, assert_renewed, digest_of_request, statuses, why
from tests.e2e.site import SSLDIR

CONFDIR = "/etc/puppetlabs/puppet"
CONF = f"{CONFDIR}/puppet.conf"
PUPPET = "/opt/puppet/bin/puppet"
# In the place of `puppet agent`: a request of his own making, sent as Puppet would send it.
_ASKING = r"""
require "openssl"
require "net/http"
server, name, *others = ARGV
key = OpenSSL::PKey::RSA.new(2048)
request = OpenSSL::X509::Request.new
request.version = 0
request.subject = OpenSSL::X509::Name.new([name, *others].map { |cn| ["CN", cn] })
request.public_key = key.public_key
request.sign(key, OpenSSL::Digest::SHA256.new)
ssldir = "/etc/puppetlabs/puppet/ssl"
{ "private_keys" => key, "certificate_requests" => request }.each do |directory, held|
  Dir.mkdir("#{ssldir}/#{directory}") unless File.directory?("#{ssldir}/#{directory}")
  File.write("#{ssldir}/#{directory}/#{name}.pem", held.to_pem)
end
http = Net::HTTP.new(server, 8140)
http.use_ssl = true
http.verify_mode = OpenSSL::SSL::VERIFY_NONE
path = "/puppet-ca/v1/certificate_request/#{name}?environment=production"
puts http.send_request("PUT", path, request.to_pem, "Content-Type" => "text/plain").code
"""


def call(site: Site, agent: str, certname: str) -> None:
    """Have an agent say that it has a certname."""
    site.on(agent, f"sed -i 's/^\\( *certname *= *\\).*/\\1{certname}/' {CONF}")


def in_place_of_puppet(site: Site, agent: str, script: str) -> None:
    """Have an agent's `puppet agent` do something else; `put_back` ends that."""
    site.on(
        agent,
        f"""
        mkdir -p /opt/puppet/real && mv {PUPPET} /opt/puppet/real/
        cat >/opt/puppet/real/instead <<'END'
{script}
END
        cat >{PUPPET} <<'END'
#!/bin/sh
[ "$1" != agent ] || exec sh /opt/puppet/real/instead
exec /opt/puppet/real/puppet "$@"
END
        chmod 755 {PUPPET}
        """,
    )


def put_back(site: Site, agent: str) -> None:
    site.on(agent, f"mv /opt/puppet/real/puppet {PUPPET}; rm -rf /opt/puppet/real")


def test_a_request_with_a_second_cn(site: Site, retired: str) -> None:
    name = site.certname_of(HELD)
    site.on(HELD, f"cat >/root/asking.rb <<'END'\n{_ASKING}\nEND\n")
    words = f"{site.certname} {name} puppet {site.certname}"
    asking = f"/opt/puppet/bin/ruby /root/asking.rb {words} 2>&1 | tee /root/said"
    in_place_of_puppet(site, HELD, asking)
    try:
        run = site.renew(retired, "--limit", HELD)
    finally:
        put_back(site, HELD)

    # Whatever the master has answered, it has kept the request.
    held = site.sh(f"ls {SSLDIR}/ca/requests").split()
    assert f"{name}.pem" in held, site.on(HELD, "cat /root/said")
    assert statuses(run) == {HELD: "failed"}
    assert f"/CN={name}/CN=puppet/CN={site.certname}" in why(run, HELD)
    assert name not in signed(site)


def test_a_node_that_takes_another_ones_name(site: Site, retired: str) -> None:
    other = site.certname_of(OTHER)
    # Nobody else: one of the master's alternative names, a host of the inventory that this run is
    # not about, a service of PE's that this site does not have, and a node that never was.
    taken = {
        "puppet": "the name of the master",
        other: f"the name of {OTHER}",
        "pe-internal-puppetdb": "the name of a service of PE's",
        "stranger.lab.test": "certname': 'stranger.lab.test'",
    }
    for certname, said in taken.items():
        call(site, HELD, certname)

        run = site.renew(retired, "--limit", HELD)

        assert run.status == 1
        assert statuses(run) == {HELD: "failed"}
        assert why(run, HELD).startswith("before the first change")
        assert said in why(run, HELD)
    assert not signed(site)
    assert retired in site.on(
        HELD, f"openssl x509 -noout -fingerprint -sha256 -in {SSLDIR}/certs/ca.pem"
    )

    # One that the inventory does not give, though another host's key is the master's for it.
    call(site, HELD, site.certname_of(ALIAS))
    run = site.renew(retired, "--limit", HELD, "--limit", OTHER)
    assert statuses(run) == {HELD: "failed", OTHER: "renewed"}
    assert "not proven it" in why(run, HELD)
    assert signed(site) == {other}


def test_a_node_that_the_inventory_does_not_give_a_name_proves_it(site: Site, retired: str) -> None:
    preview = site.preview_renewal(retired, "--limit", ALIAS)
    # Who has had the CA's key could have had its master sign in any name since.
    since = ("--limit", ALIAS, "--data", "compromised_since=2015-11-23")
    doubted = site.renew(retired, *since)
    # Also where a run was cut off after it had deleted the key.
    site.on(
        ALIAS,
        f"mkdir -p /var/lib/pe-recert/backups/20151123T101500Z-0 && cd / && "
        f"tar -cf /var/lib/pe-recert/backups/20151123T101500Z-0/archive.tar {SSLDIR[1:]} && "
        f"rm -rf {SSLDIR}/private_keys",
    )

    # And while a local account holds what it can open.
    hold = f"flock {CONFDIR} sleep 120 >/dev/null 2>&1 &"
    site.on(ALIAS, f"su nobody -s /bin/sh -c '{hold}'; sleep 0.5; ! flock -n {CONFDIR} true")

    run = site.renew(retired, "--limit", ALIAS)

    site.on(ALIAS, "pkill -u nobody sleep; true")
    assert preview.status == 0, preview.stderr
    assert doubted.status == 1
    assert "not proven it" in why(doubted, ALIAS)
    assert "signed since the CA was compromised (compromised_since), so it" in why(doubted, ALIAS)
    assert run.status == 0, run.stderr
    assert_renewed(site, ALIAS)
    # What the new CA has signed is believed.
    again = site.renew(retired, *since)
    assert (again.status, again.changed) == (0, [])


def test_two_nodes_with_one_key(site: Site, retired: str) -> None:
    name = site.certname_of(ALIAS)
    key = site.on(ALIAS, f"cat {SSLDIR}/private_keys/{name}.pem")
    call(site, HELD, name)
    own = site.certname_of(HELD)
    site.on(
        HELD,
        f"cat >{SSLDIR}/private_keys/{name}.pem <<'END'\n{key}END\n"
        f"rm {SSLDIR}/certs/{own}.pem {SSLDIR}/private_keys/{own}.pem",
    )

    run = site.renew(retired, "--limit", HELD, "--limit", ALIAS)

    assert statuses(run) == {HELD: "failed", ALIAS: "failed"}
    for agent in (HELD, ALIAS):
        assert f"has proven to be {name}" in why(run, agent)
    assert not signed(site)


def test_a_role_that_the_node_did_not_have(site: Site, retired: str) -> None:
    name = site.certname_of(HELD)
    asked = "/etc/puppetlabs/puppet/csr_attributes.yaml"
    held = f"{SSLDIR}/ca/requests/{name}.pem"

    def ask_for(role: str) -> None:
        site.on(
            HELD,
            f"printf 'extension_requests:\\n  1.3.6.1.4.1.34380.1.1.13: {role}\\n' >{asked}",
        )

    ask_for("web")
    try:
        harmless = site.renew(retired, "--limit", HELD)
        seen = digest_of_request(site, held)
        # Before anybody has approved of that, there is another in its place.
        site.sh(f"rm {held}")
        site.on(HELD, f"rm {SSLDIR}/certificate_requests/*")
        ask_for("puppet::master")
        site.on(HELD, f"{PUPPET} agent --test --waitforcert 0 >/dev/null 2>&1; true")
        run = site.renew(retired, "--limit", HELD, "--data", f"approved_requests={seen}")
    finally:
        site.on(HELD, f"rm {asked}")

    approved = f"approved_requests={digest_of_request(site, held)}"
    for told, role in ((harmless, "web"), (run, "puppet::master")):
        assert statuses(told) == {HELD: "waiting for a signature"}
        assert f"pp_role = '{role}'" in why(told, HELD)
    assert f"add --data approved_requests={seen}, and" in why(harmless, HELD)
    assert f"add --data {approved}, and" in why(run, HELD)
    assert name not in signed(site)
    # Who has looked at it says that.
    assert site.renew(retired, "--limit", HELD, "--data", approved).status == 0
    assert_renewed(site, HELD)
