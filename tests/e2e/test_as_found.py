"""Hosts as they are found: what is in the way is known before anything is deleted, and what is
somebody else's, or was not asked for, is there afterwards."""

from __future__ import annotations

import io
import re
import signal
import tarfile
from base64 import b64decode, b64encode
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

import lab
from recert.certificates import read_certificate
from tests.e2e.nodes import SUMMARY, Site, assert_renewed, reported, statuses, why
from tests.e2e.site import (
    BACKUPS,
    KILLING,
    SSLDIR,
    VARDIR,
    Master,
    Run,
    assert_regenerated,
    until_no_run,
)
from tests.tables import COMPONENTS, STOP_ORDER
from tests.unit.issuing_ca import IssuingCa, key_pem

CONF = "/etc/puppetlabs/puppet/puppet.conf"
ROLE = "1.3.6.1.4.1.34380.1.1.13"
DB = "/etc/puppetlabs/puppetdb/ssl"
EYAML = f"{SSLDIR}/eyaml"
DASHBOARD = "pe-internal-dashboard"
AGENTS = ("agent01", "agent02", "agent03")


# How hosts come to be as they are found


def write(host: str, path: str, content: bytes) -> None:
    lab.run(host, f"base64 -d >'{path}' <<'E'\n{b64encode(content).decode()}\nE\n")


def ca_key(site: Master) -> rsa.RSAPrivateKey:
    """The lab's CA's, to make certificates with as years have made them."""
    password = site.sh(f"cat {SSLDIR}/ca/private/ca.pass").strip()
    pem = site.sh(f"cat {SSLDIR}/ca/ca_key.pem")
    key = load_pem_private_key(pem.encode(), password.encode() if "ENCRYPTED" in pem else None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def made_again(site: Master, old: x509.Certificate, **changes: object) -> bytes:
    """The same certificate with another extension, other names, or from another time; or, with
    `forged`, of another key."""
    forged = "forged" in changes
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(
            rsa.generate_private_key(65537, 2048).public_key() if forged else old.public_key()
        )
        .serial_number(int(str(changes.get("serial", old.serial_number))))
        .not_valid_before(old.not_valid_before_utc - timedelta(days=1))
        .not_valid_after(old.not_valid_after_utc)
    )
    names = changes.get("names")
    for extension in old.extensions:
        if not (names and isinstance(extension.value, x509.SubjectAlternativeName)):
            builder = builder.add_extension(extension.value, extension.critical)
    if names:
        carried = x509.SubjectAlternativeName([x509.DNSName(name) for name in str(names).split()])
        builder = builder.add_extension(carried, False)
    if "role" in changes:
        oid = x509.ObjectIdentifier(ROLE)
        value = str(changes["role"]).encode()
        der = bytes([0x0C, len(value)]) + value
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, der), False)
    return builder.sign(ca_key(site), hashes.SHA256()).public_bytes(Encoding.PEM)


def give_role(site: Site, host: str, certname: str, role: str) -> None:
    """A certificate with `pp_role`, as if its installation had had a csr_attributes.yaml."""
    give(site, host, certname, role=role)


def give(site: Site, host: str, certname: str, **changes: object) -> None:
    """A certificate as years have made it, on its host and at the CA."""
    path = f"{SSLDIR}/certs/{certname}.pem"
    old = x509.load_pem_x509_certificate(lab.run(host, f"cat {path}").stdout.encode())
    new = made_again(site, old, **changes)
    write(host, path, new)
    write(site.name, f"{SSLDIR}/ca/signed/{certname}.pem", new)
    if certname == site.certname:
        for component in COMPONENTS:
            write(host, f"{component.directory}/{certname}.cert.pem", new)


def role_of(pem: str) -> str | None:
    cert = read_certificate(pem)
    assert cert is not None
    return cert.extensions.get(ROLE)


def put_eyaml_keys(host: str) -> str:
    """Keys of hiera-eyaml, as `eyaml createkeys` makes them, and their state."""
    key = rsa.generate_private_key(65537, 2048)
    nobody = x509.Name([])
    cert = (
        x509.CertificateBuilder()
        .subject_name(nobody)
        .issuer_name(nobody)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2015, 1, 1))
        .not_valid_after(datetime(2065, 1, 1))
        .sign(key, hashes.SHA256())
    )
    lab.run(host, f"mkdir {EYAML}")
    own = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    write(host, f"{EYAML}/private_key.pkcs7.key", own)
    write(host, f"{EYAML}/public_key.pkcs7.crt", cert.public_bytes(Encoding.PEM))
    lab.run(host, f"cd {EYAML} && chmod 0400 *.key && chown -R nobody:nogroup . && chmod 0500 .")
    return kept_of(host, EYAML)


def kept_of(host: str, *paths: str) -> str:
    places = " ".join(paths)
    return lab.run(
        host,
        f"find {places} -printf '%p %U:%G %m\\n' | sort; find {places} -type f | sort |"
        " xargs sha256sum",
    ).stdout


# What stays


def test_what_a_site_had_it_has_afterwards(tmp_path: Path) -> None:
    site = Site.of(tmp_path, "master", AGENTS)
    site.reset()
    retired = site.ca.fingerprint
    agent = {name: site.certname_of(name) for name in AGENTS}
    # The master: a CA on a file system of its own, keys of others, and what does not run.
    give_role(site, "master", site.certname, "the master")
    give(site, "master", DASHBOARD, names=f"{DASHBOARD} console.example.com")
    # What Puppet reads for extensions is elsewhere.
    asked_in = "/etc/puppetlabs/csr/attrs.yaml"
    for host in ("master", "agent01"):
        site.on(
            host,
            f"mkdir -p {asked_in.rpartition('/')[0]};"
            f"sed -i 's#^\\[main\\]#[main]\\ncsr_attributes = {asked_in}#' {CONF}",
        )
    keys = put_eyaml_keys("master")
    site.sh(
        f"cp {EYAML}/private_key.pkcs7.key {DB}/shop.pem; chmod 0604 {DB}/shop.pem;"
        f"echo notes >{DB}/notes; systemctl stop pe-httpd pe-puppet"
    )
    shop = kept_of("master", f"{DB}/shop.pem")
    # And in Puppet's own directory, open to everybody as they are.
    open_keys = [f"{SSLDIR}/private_keys/{owner}.pem" for owner in ("root", "nobody")]
    for path in open_keys:
        site.sh(f"cp {EYAML}/private_key.pkcs7.key {path}; chmod 0644 {path}")
    site.sh(f"chown nobody:nogroup {open_keys[1]}")
    # Both trust another CA as well, one of them that first.
    other = IssuingCa("other-ca").certificate
    of_other = f"{SSLDIR}/shop.pem"
    for host, order in (("master", "ca.pem other.pem"), ("agent01", "other.pem ca.pem")):
        write(host, "/root/other.pem", other.pem.encode())
        write(host, of_other, (key_pem("shop") + IssuingCa("other-ca").issue("shop", 3)).encode())
        site.on(host, f"cd /root; cp {SSLDIR}/certs/ca.pem .; cat {order} >{SSLDIR}/certs/ca.pem")
    opened = site.sh(f"stat -c '%n %i %U:%G %a' {' '.join(open_keys)}")
    lab.run(
        "master",
        f"cp -a {SSLDIR}/ca /srv/ca && mount --bind /srv/ca {SSLDIR}/ca && "
        "systemctl restart pe-puppetserver",
        privileged=True,
    )
    # Agents: an extension and somebody's key, an extension that a file takes away, and a CA that
    # was signed anew with the same key.
    shop_names = f"{agent['agent01']} www.shop.example.com"
    give(site, "agent01", agent["agent01"], role="web", names=shop_names)
    agents_keys = put_eyaml_keys("agent01")
    give_role(site, "agent02", agent["agent02"], "db")
    attributes = "/etc/puppetlabs/puppet/csr_attributes.yaml"
    site.on("agent02", f"printf 'custom_attributes:\\n  1.2.840.113549.1.9.7: x\\n' >{attributes}")
    older = made_again(site, site.ca.x509, serial=4711)
    write("agent03", f"{SSLDIR}/certs/ca.pem", older)
    options = ("deploys/site.py", "--json", "--data", f"retire_ca={retired}")
    try:
        lab.run("master", f"chattr +i {asked_in.rpartition('/')[0]}", privileged=True)
        closed = site.preview(retired)
        lab.run("master", f"chattr -i {asked_in.rpartition('/')[0]}", privileged=True)
        preview = site.pyinfra(*options, "--dry")
        killed = site.pyinfra(*options, "-y", *KILLING, env={"KILL_AFTER": "7"})
        rest = site.pyinfra(*options, "--dry")
        run = site.whole(retired)
    finally:
        lab.run(
            "master",
            f"umount {SSLDIR}/ca; rm -rf {SSLDIR}/ca; mv /srv/ca {SSLDIR}/ca",
            privileged=True,
        )

    assert closed.status == 1
    assert f"pp_role=the master, which are put back by {asked_in}" in " ".join(
        closed.stderr.split()
    )
    assert killed.status == -signal.SIGKILL, killed.text
    assert run.changes == rest.plan, run.stderr
    for host in ("master", "agent01"):
        assert f"{SSLDIR}/certs/ca.pem has other CAs' certificates as well, which go with it" in (
            said_of(preview, host)
        )
        assert f"({other.subject})" in said_of(preview, host)
    for told in (preview, rest, run):
        for path in (f"{EYAML}/private_key.pkcs7.key", f"{EYAML}/public_key.pkcs7.crt"):
            assert f"{path} stays as it is" in told.stderr
        assert f"{DB}/shop.pem stays as it is: a private key" in told.stderr
        assert "Does not run, and so is not started: pe-httpd, pe-puppet" in told.stderr
    assert (kept_of("master", EYAML), kept_of("agent01", EYAML)) == (keys, agents_keys)
    # And the keys that it has certified are not the site's.
    for host in ("master", "agent01"):
        assert f"{of_other} stays as it is: a private key" in said_of(preview, host)
        assert key_pem("shop") in site.on(host, f"cat {of_other}")
    assert kept_of("master", f"{DB}/shop.pem") == shop
    assert site.sh(f"stat -c '%n %i %U:%G %a' {' '.join(open_keys)}") == opened
    assert site.sh(f"ls {DB}/notes 2>/dev/null; true") == ""
    assert site.running() == [s for s in STOP_ORDER if s not in ("pe-httpd", "pe-puppet")]
    assert site.sh(f"ls {BACKUPS}").split()[1:] in (["classified"], ["classified", "silent"])
    # One agent alone is refused, by name, and untouched.
    assert statuses(run) == {"agent01": "renewed", "agent02": "failed", "agent03": "renewed"}
    assert "pp_role=db" in why(run, "agent02") and attributes in why(run, "agent02")
    assert "pp_role=db" in preview.stderr
    assert site.certificate_of("agent02").extensions == {ROLE: "db"}
    assert f"{EYAML}/private_key.pkcs7.key stays as it is" in why(run, "agent01")
    assert site.certificate_of("agent01").extensions == {ROLE: "web"}
    assert site.certificate_of("agent01").alt_names == set(shop_names.split())
    kept = f"Alt names of {agent['agent01']}: www.shop.example.com (as they are)"
    assert kept in said_of(preview, "agent01")
    assert f"Alt names of {DASHBOARD}: console.example.com (as they are)" in preview.stderr
    dashboard = site.certificate(f"{SSLDIR}/certs/{DASHBOARD}.pem")
    assert dashboard.issued_by(site.ca)
    assert dashboard.alt_names == {DASHBOARD, "console.example.com"}
    assert site.certificate_of("agent03").extensions == {}
    own = site.certificate(f"{SSLDIR}/certs/{site.certname}.pem")
    assert own.issued_by(site.ca) and own.extensions == {ROLE: "the master"}
    for host in ("master", "agent01"):
        assert site.on(host, f"ls {attributes} {asked_in} 2>/dev/null; true") == ""
    notes = {p["subject"] for p in reported(run)["now"]["problems"] if p["severity"] == "note"}
    assert {f"{EYAML}/private_key.pkcs7.key", f"{DB}/shop.pem"} <= notes
    assert_renewed(site, "agent03")


# What is refused


def test_what_cannot_work_is_refused_before_anything_is_deleted(master: Master) -> None:
    # Its own runs would tell anew, and one that ends with it tells of a failure.
    master.sh(f"systemctl stop pe-puppet; {until_no_run()};/opt/puppet/bin/puppet agent --test")
    retired = master.ca.fingerprint
    before = kept_of("master", SSLDIR, CONF, "/etc/puppetlabs/puppetdb")

    def refused(breakage: str, *data: str, mend: str = "", privileged: bool = False) -> str:
        """What a preview says of a master on which this was done."""
        master.sh(f"cp -p {CONF} /root/conf; cp -p {SUMMARY} /root/summary")
        lab.run("master", breakage, privileged=privileged)
        try:
            words = [word for value in data for word in ("--data", value)]
            run = master.preview(retired, *words)
        finally:
            lab.run("master", mend or ":", privileged=privileged)
            master.sh(f"mv /root/conf {CONF}; mv /root/summary {SUMMARY}")
        return run.stderr if run.status == 1 else f"passed: {run.stderr}"

    read_only = (
        f"mount --bind {SSLDIR}/certs {SSLDIR}/certs && mount -o remount,bind,ro {SSLDIR}/certs"
    )
    said = refused(read_only, mend=f"umount {SSLDIR}/certs", privileged=True)
    assert f"{SSLDIR}/certs" in said and "cannot be changed, and so not be deleted" in said

    for flag, path in (("i", f"{SSLDIR}/ca/serial"), ("a", f"{SSLDIR}/private_keys")):
        said = refused(f"chattr +{flag} {path}", mend=f"chattr -{flag} {path}", privileged=True)
        assert (
            f"{path} cannot be changed, and so not be deleted or written to: immutable or" in said
        )

    aside, catalogs = "/srv/aside", f"{VARDIR}/client_data/catalog"
    unchangeable = (aside, f"{DB}/{master.certname}.cert.pem", catalogs)
    said = refused(
        f"mkdir {aside}; chattr +i {' '.join(unchangeable)}",
        f"backup_dir={aside}/backups",
        mend=f"chattr -i {' '.join(unchangeable)}; rmdir {aside}",
        privileged=True,
    )
    (named,) = re.findall(r"(.*) cannot be changed, and so not be deleted", said)
    assert sorted(named.split(", ")) == sorted(unchangeable)

    # The place for backups is where a link leads to that is emptied, or leads there itself.
    led = f"ln -s {SSLDIR} /srv/led"
    said = refused(led, "backup_dir=/srv/led/backups", mend="rm /srv/led")
    assert f"backup_dir (/srv/led/backups) lies inside {SSLDIR}, which is going" in said

    small = "mount -t tmpfs -o size=1m none /tmp"
    said = refused(small, mend="umount /tmp", privileged=True)
    assert re.search(r"^/tmp has \d+ KiB free: new credentials", said, re.MULTILINE)

    key = f"{SSLDIR}/ca/ca_key.pem"
    said = refused(
        f"cp -p {key} /root/key && mount --bind /root/key {key}",
        mend=f"umount {key}; rm /root/key",
        privileged=True,
    )
    assert f"{key} is a mount point, and no directory: it could not be deleted" in said

    # What others see in a directory stays theirs.
    said = refused("mkdir -p /srv/shop/www", "backup_dir=/srv/shop")
    assert "backup_dir (/srv/shop) holds what is not a backup of a regeneration" in said
    assert "sees it now: /srv/shop/www. Set it to" in said
    assert refused(":", "backup_dir=/srv/shop/backups").startswith("passed")
    said = refused("chmod 0700 /srv/shop", "backup_dir=/srv/shop", mend="rm -r /srv/shop")
    assert said.startswith("passed")

    def puppet_runs(code: str) -> None:
        """As its service has it, with this in the site's manifests."""
        with master.applying(code):
            master.sh("/opt/puppet/bin/puppet agent --onetime --no-daemonize; true")

    puppet_runs("exec { '/bin/false': }")
    said = refused(":")
    assert "last Puppet run, which ended at" in said and "UTC, has failed. The one" in said
    assert "despite_failing_run=True" in said
    assert refused(":", "despite_failing_run=True").startswith("passed")
    assert "is not understood: it is True or False" in refused(":", "despite_failing_run=maybe")
    puppet_runs("")  # and its catalog is cached
    puppet_runs("this is { no manifest")
    summary = master.sh(f"cat {SUMMARY}")
    assert "failed: 0" in summary and re.search(r"config: \d", summary)
    assert "UTC, got no catalog, and went by the cached one." in refused(":")
    puppet_runs("")
    assert refused(":").startswith("passed")

    untried = "Nobody knows whether Puppet succeeds on the master"
    said = refused(f"rm {SUMMARY}")
    assert said.startswith("passed") and f"{untried}. Step 5" in said
    said = refused(f"sed -i 's/last_run: .*/last_run: 1400000000/' {SUMMARY}")
    assert said.startswith("passed") and f"{untried}: the last one ended at 2014-05-13" in said
    assert untried not in refused(":")

    server = f"sed -i 's/^\\[agent\\]/[agent]\\nserver = pe.lab.test/' {CONF}"
    names = "dns_alt_names=puppet,puppet.lab.test"
    assert "looks for its master under the name pe.lab.test" in refused(server, names)
    assert refused(server, f"{names},pe.lab.test").startswith("passed")
    asked_for = f"{CONF.rpartition('/')[0]}/puppetdb.conf"
    for elsewhere, name in (
        ("", "puppet.lab.test"),
        (",https://db2.lab.test:8081", "db2.lab.test"),
    ):
        urls = f"https://puppet.lab.test:8081{elsewhere}"
        said = refused(
            f"printf '[main]\nserver_urls = {urls}\n' >{asked_for}",
            "dns_alt_names=puppet",
            mend=f"rm {asked_for}",
        )
        assert f"asks PuppetDB or the classifier under the name {name} (puppetdb.conf" in said

    options = "--server=nowhere.invalid --vardir=/srv/var --no-daemonize"
    said = refused(
        f"setsid /opt/puppet/bin/puppet agent {options} >/dev/null 2>&1 & echo $! >/root/pid",
        mend="kill -9 $(cat /root/pid); rm -rf /root/pid /srv/var",
    )
    for option in ("server=nowhere.invalid", "vardir=/srv/var"):
        assert f"was started with --{option}, and puppet.conf says" in said

    renamed = f"sed -i 's/^\\( *certname *= *\\).*/\\1new.lab.test/' {CONF}"
    said = refused(renamed)
    assert "under another name: master.lab.test" in said and "other_names=master.lab.test" in said

    said = refused(f"sed -i 's/^\\[main\\]/[main]\\nca_ttl = 3650/' {CONF}")
    assert "ca_ttl is 3650: the new CA and every certificate would end after 1:00:50" in said
    short = f"sed -i -e '/^ *keylength/d' -e 's/^\\[main\\]/[main]\\nkeylength = {{}}/' {CONF}"
    assert f"{CONF} says keylength = 512. With keys below" in refused(short.format(512))
    said = refused(short.format(1024))
    assert said.startswith("passed") and "new keys will be that short" in said

    named = f"sed -i 's/^\\[main\\]/[main]\\nca_ttl = 60d\\nca_name = Our own CA/' {CONF}"
    said = refused(named)
    assert said.startswith("passed") and "subject: Our own CA, expires: after 60 days" in said

    assert kept_of("master", SSLDIR, CONF, "/etc/puppetlabs/puppetdb") == before


def test_what_cannot_work_on_an_agent_is_said_of_it_alone(tmp_path: Path) -> None:
    site = Site.of(tmp_path, "master", AGENTS)
    site.reset()
    # A mount in the midst of ssldir, what cannot be changed, and what is called otherwise.
    own, old = site.certname_of("agent03"), "old.lab.test"
    halves = [f"{SSLDIR}/{place}/{old}.pem" for place in ("private_keys", "certs")]
    site.sh(f"/opt/puppet/bin/puppet cert generate {old}")
    for path in halves:
        write("agent03", path, site.sh(f"cat {path}").encode())
    site.sh(f"rm {' '.join(halves)} {SSLDIR}/public_keys/{old}.pem")
    site.on(
        "agent03", f"cat {SSLDIR}/private_keys/{own}.pem {SSLDIR}/certs/{own}.pem >{SSLDIR}/web"
    )
    unchangeable = f"{SSLDIR}/certs/ca.pem {VARDIR}/client_data/catalog"
    lab.run("agent01", f"mount --bind {SSLDIR}/certs {SSLDIR}/certs", privileged=True)
    lab.run("agent02", f"chattr +i {unchangeable}", privileged=True)
    # Whoever has the CA's key has put another certificate into the master's records.
    other = f"{SSLDIR}/ca/signed/{site.certname_of('agent02')}.pem"
    recorded = site.certificate(other).x509
    write(site.name, other, made_again(site, recorded, role="puppet::master", forged=True))
    site.on("agent03", "cp /etc/hosts /root; sed 's/^[0-9.]*/127.0.0.1/' /root/hosts >/etc/hosts")
    site.on(
        "agent03",
        "setsid /opt/puppet/bin/puppet agent --no-daemonize --waitforcert=900 --ssldir /srv/ssl "
        ">/dev/null 2>&1 & echo $! >/root/pid",
    )
    options = ("deploys/site.py", "--dry", "--data", f"retire_ca={site.ca.fingerprint}")
    try:
        preview = site.pyinfra(*options)
        site.on("agent03", "cat /root/hosts >/etc/hosts; kill -9 $(cat /root/pid)")
        confirmed = site.pyinfra(*options, "--data", f"other_names={old}")
    finally:
        lab.run("agent01", f"umount {SSLDIR}/certs", privileged=True)
        lab.run("agent02", f"chattr -i {unchangeable}", privileged=True)

    assert "Step 6 would find: 3 failed" in preview.stderr
    said = {name: said_of(preview, name) for name in AGENTS}
    assert f"{SSLDIR}/certs is a mount point within {SSLDIR}" in said["agent01"]
    for path in unchangeable.split():
        assert re.search(rf"{path}.* cannot be changed, and so", said["agent02"])
    assert "is of another key than the node's own" in said["agent02"]
    assert "pp_role = 'puppet::master'" in said["agent02"]
    assert f"under another name: {old} ({halves[1]})." in said["agent03"]
    assert (
        f"Nothing connects from there to its master, {site.certname} at port 8140 ("
        in said["agent03"]
    )
    assert f"was started with --ssldir=/srv/ssl, and puppet.conf says {SSLDIR}:" in said["agent03"]
    assert "Step 6 would find: 2 failed, 1 to be renewed" in confirmed.stderr
    assert old not in said_of(confirmed, "agent03")


def said_of(run: Run, host: str) -> str:
    """What a run has told of a host while it looked at it."""
    return "\n".join(re.findall(rf"^ *\[{host}\] (.*)", run.stderr, re.MULTILINE))


def test_services_that_listen_elsewhere_or_nowhere(master: Master) -> None:
    retired = master.ca.fingerprint
    master.sh(
        "sed -i -e 's/ 8081$/ 8085/' -e 's/ 5432$/ 5439/' -e 's/ 61613$/ 61999/'"
        " -e 's/ 4433$/ 4533/' /opt/pe-lab/components.json;"
        "mkdir -p /etc/puppetlabs/puppetdb/conf.d;"
        "sed -i \"s/new('0.0.0.0', port/new(port == 8085 ? '127.0.0.77' : '0.0.0.0', port/\""
        " /opt/pe-lab/component;"
        "printf '[jetty]\\nssl-host = 127.0.0.77\\nssl-port = 8085\\n'"
        " >/etc/puppetlabs/puppetdb/conf.d/jetty.ini;"
        "echo \"listen_addresses = ''\" >/opt/puppet/var/lib/pgsql/9.2/data/postgresql.conf;"
        "mkdir -p /etc/puppetlabs/console-services/conf.d;"
        "printf 'webserver: {\\n  # ssl-port = 4433\\n  ssl-port = 4533\\n}\\n'"
        " >/etc/puppetlabs/console-services/conf.d/webserver.conf;"
        "systemctl restart pe-puppetdb pe-postgresql pe-activemq pe-console-services"
    )

    run = master.regenerate(retired)

    assert run.status == 0, run.stderr
    assert "pe-activemq does not answer on port 61613" in run.stderr
    assert "pe-puppetdb does not answer" not in run.stderr
    # The classifier has confirmed its groups where it is, or the run would have been refused.
    assert "pe-console-services does not answer" not in run.stderr
    assert master.presented(4533).issued_by(master.ca)
    assert_regenerated(master, retired)
    options = ("--data", f"retire_ca={retired}", "--data", "puppet_run=last")
    proof = master.pyinfra("deploys/verify.py", "-y", *options)
    assert proof.status == 0, proof.stderr
    made = {c["did"]: c["saw"] for c in reported(proof)["checks"]}
    for where in ("pe-puppetdb on port 8085", "pe-console-services on port 4533"):
        assert "of the CA in place" in made[f"TLS handshake with {where}"]
    assert made["TLS handshake with pe-postgresql"] == "it listens on its socket alone"
    silent = made["TLS handshake with pe-activemq on port 61613"]
    assert silent.endswith("nor did it answer before the CA was regenerated")


def test_what_a_file_system_keeps_beside_owner_and_mode(master: Master) -> None:
    retired = master.ca.fingerprint
    directory, path = f"{SSLDIR}/certs", f"{SSLDIR}/certs/{master.certname}.pem"
    content = master.sh(f"cat {path}").encode()
    owners = master.sh(f"stat -c %u:%g:%a {directory} {path}")
    lists = ("SCHILY.acl.access", "SCHILY.acl.default")
    keep(master, directory, dict.fromkeys(lists, acl("rwx", "r-x")))
    keep(
        master,
        path,
        {"SCHILY.xattr.user.note": "of ours", lists[0]: acl("rw-", "r--")},
        content,
    )
    master.sh(f"chattr +A {path}")
    before = kept_beside(master, directory, path)
    assert master.sh(f"stat -c %u:%g:%a {directory} {path}") == owners
    for kept in (before[0][lists[0]], before[0][lists[1]], before[1][lists[0]]):
        assert "user:nobody:r" in kept
    assert before[1].keys() >= {"SCHILY.xattr.user.note", "flags"}

    assert master.regenerate(retired).status == 0
    assert kept_beside(master, path) == [{}]
    (name,) = master.backups()
    run = master.pyinfra("deploys/restore.py", "-y", "--data", f"backup={name}")

    assert run.status == 0, run.stderr
    assert kept_beside(master, directory, path) == before
    assert master.sh(f"stat -c %u:%g:%a {directory} {path}") == owners


def acl(own: str, rest: str) -> str:
    """An access control list as tar has it, with one more account."""
    return f"user::{own}\nuser:nobody:{rest}\ngroup::{rest}\nmask::{rest}\nother::{rest}\n"


def keep(master: Master, path: str, headers: dict[str, str], content: bytes | None = None) -> None:
    """Give a directory, or a file with that content, what tar unpacks of these headers."""
    owner, group, mode = master.sh(f"stat -c '%u %g %a' {path}").split()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo(path.removeprefix("/"))
        member.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
        member.uid, member.gid, member.mode = int(owner), int(group), int(mode, 8)
        member.size = len(content or b"")
        member.pax_headers = headers
        tar.addfile(member, io.BytesIO(content or b""))
    write("master", "/root/kept.tar", archive.getvalue())
    master.sh("tar --xattrs --acls --numeric-owner -C / -xpf /root/kept.tar")


def kept_beside(master: Master, *paths: str) -> list[dict[str, str]]:
    """What each has beside owner and mode, by the name that tar has for it; `flags` as lsattr shows
    them, if there are any."""
    found = []
    for path in paths:
        packed = master.sh(f"tar --xattrs --acls --no-recursion -C / -cf - {path[1:]} | base64")
        with tarfile.open(fileobj=io.BytesIO(b64decode(packed))) as tar:
            (member,) = tar
        kept = {n: v for n, v in member.pax_headers.items() if n.startswith("SCHILY.")}
        flags = master.sh(f"lsattr -d {path}").split()[0].translate(str.maketrans("", "", "-e"))
        found.append({**kept, "flags": flags} if flags else kept)
    return found
