"""What people report who regenerate Puppet's certificates: on one site, as far as it goes together.

Single cases are elsewhere: a CA behind a link and a disabled agent in `test_preflight`, logins that
greet in `test_odd_masters`, runs in progress in `test_agents`, a whitelist that is asked in
`test_real_services`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding

import lab
from recert.certificates import Certificate
from tests.e2e.nodes import Site, assert_renewed, reported, statuses, why
from tests.e2e.site import BACKUPS, SSLDIR, Run, until_no_run
from tests.e2e.test_as_found import ca_key, kept_of, write
from tests.e2e.test_master import wrapped_puppet

PUPPET = "/opt/puppet/bin/puppet"
DAEMON, CRON = "agent01", "agent04"
"""One whose service runs Puppet, and one where cron does."""
ALIASES = {DAEMON: "10.0.0.17", CRON: "shop"}
"""What the inventory calls them, which says no certname."""
WARNING = (
    "printf '%s\\n' '\033[1;33mWarning: Setting templatedir is deprecated. See"
    " http://links.puppetlabs.com/env-settings-deprecations'"
    ' "   (at /opt/puppet/lib/ruby/settings.rb:1117:in \\`each\')" "$(printf \'\\033[0m\')"'
)
TITLE = r"""printf "\033]0;%s\007\033[?1034h" somebody
"""
TITLES = f"{TITLE}trap '{TITLE}' EXIT\n"
WHITELISTS = (
    "/etc/puppetlabs/puppetdb/certificate-whitelist",
    "/etc/puppetlabs/console-services/rbac-certificate-whitelist",
)


def expired_crl(site: Site) -> bytes:
    """The CA's revocation list as it is when nothing was revoked for five years."""
    crl = x509.load_pem_x509_crl(site.sh(f"cat {SSLDIR}/ca/ca_crl.pem").encode())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(crl.issuer)
        .last_update(now - timedelta(days=1827))
        .next_update(now - timedelta(days=2))
    )
    for entry in crl:
        builder = builder.add_revoked_certificate(entry)
    for extension in crl.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return builder.sign(ca_key(site), hashes.SHA256()).public_bytes(Encoding.PEM)


def ask_as(site: Site, certname: str) -> None:
    """A request of last year's under a name, of which nobody has the key any more."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, certname)])
    key = rsa.generate_private_key(65537, 2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    path = f"{SSLDIR}/ca/requests/{certname}.pem"
    write(site.name, path, request.public_bytes(Encoding.PEM))
    site.sh(f"chown pe-puppet: {path}; touch -d 'last year' {SSLDIR}/ca/requests/*")


@contextmanager
def run_by_cron(agent: str) -> Iterator[None]:
    """Puppet is run again and again, whatever the moment, as cron does it."""
    lab.run(
        agent,
        "rm -f /run/no-cron; (setsid sh -c 'echo $$ >/run/cron.pid; until [ -e /run/no-cron ];"
        f" do {PUPPET} agent --onetime --no-daemonize; sleep 1; done'"
        " >/tmp/cron.log 2>&1 </dev/null &)",
    )
    try:
        yield
    finally:
        lab.run(agent, "touch /run/no-cron; while kill -0 $(cat /run/cron.pid); do sleep 0.2; done")


def test_a_site_as_people_report_them(tmp_path: Path) -> None:
    site = Site.under_aliases(tmp_path, "master", ALIASES)
    site.reset()
    retired, hosts = site.ca.fingerprint, (site.name, DAEMON, CRON)
    key = {name: f"{SSLDIR}/private_keys/{site.certname_of(name)}.pem" for name in (DAEMON, CRON)}
    old = site.certificate_of(CRON)
    # Who else is there: names in whitelists, a proxy and a backup that read keys by their group.
    for path in WHITELISTS:
        site.sh(f"mkdir -p $(dirname {path}); printf '%s\\n' {site.certname} web01 >{path}")
    whitelists = kept_of(site.name, *WHITELISTS)
    site.on(DAEMON, "useradd -r -G pe-puppet foreman-proxy")
    site.on(CRON, f"service pe-puppet stop; {until_no_run()}; groupadd backup-agent")
    site.on(CRON, f"chgrp backup-agent {key[CRON]}")
    # What waits since last year, also under the name of one of the agents.
    ask_as(site, site.certname_of(CRON))
    # What is printed before, between and after the answers.
    for host in hosts:
        write(host, "/etc/profile.d/title.sh", TITLES.encode())
        lab.run(host, "sed -i '1i . /etc/profile.d/title.sh' /root/.bashrc")
    write(CRON, "/etc/fish/conf.d/title.fish", TITLE.encode())
    # And since two days nobody talks to anybody.
    crl = expired_crl(site)
    for host, path in (*((name, "crl.pem") for name in hosts), (site.name, "ca/ca_crl.pem")):
        write(host, f"{SSLDIR}/{path}", crl)
    site.sh(
        f"{until_no_run()}; service pe-puppetserver restart;"
        f" {PUPPET} agent --test >/tmp/run.log 2>&1; true"
    )
    assert "CRL has expired" in site.sh("cat /tmp/run.log")
    whole = ("deploys/site.py", "--json", "--data", f"retire_ca={retired}")
    despite = ("--data", "despite_failing_run=True")

    with ExitStack() as until_here:
        for host in hosts:
            until_here.enter_context(wrapped_puppet(host, WARNING))
        refused = site.pyinfra(*whole, "--dry")
        assert refused.status == 1
        assert "despite_failing_run=True" in refused.stderr
        mended = f"New certificates mend this, whatever else it is: {SSLDIR}/crl.pem expired on"
        assert mended in " ".join(refused.stderr.split())
        preview = site.pyinfra(*whole, "--dry", *despite)
        assert preview.status == 0, preview.stderr
        waiting = preview.stderr.partition("wait for a signature, and go with the CA")[2]
        assert site.certname_of(CRON) in waiting and "waiting01.lab.test" in waiting
        assert f"{key[CRON]} can be read by the group backup-agent (0640)" in preview.stderr
        assert key[DAEMON] not in preview.stderr
        until_here.enter_context(run_by_cron(CRON))
        run = site.pyinfra(*whole, "-y", *despite)
    # Whatever the moment that cron has chosen.
    rest = site.renew(retired) if became(run)[CRON] != "renewed" else run
    if became(rest)[CRON] != "renewed":
        # Its run had begun before there was a key, and put another in the place of the signed one.
        failure = why(rest, ALIASES[CRON])
        assert "has already signed a certificate for" in failure
        remedy = re.search(r"revoke it with `(puppet cert clean [^`]*)`", failure)
        assert remedy is not None, failure
        site.sh(f"PATH=/opt/puppet/bin:$PATH {remedy[1]}")
        rest = site.renew(retired)

    assert became(run)[DAEMON] == "renewed", run.stderr
    assert became(rest) | {DAEMON: "renewed"} == {DAEMON: "renewed", CRON: "renewed"}, rest.stderr
    assert_nobody_is_unknown(site, run)
    assert_renewed(site, DAEMON)
    assert_renewed_beside_cron(site, old)
    assert kept_of(site.name, *WHITELISTS) == whitelists
    proxy = f"su -s /bin/sh foreman-proxy -c 'cat {key[DAEMON]}'"
    assert "PRIVATE KEY" in site.on(DAEMON, proxy)
    assert site.sh(f"ls {SSLDIR}/ca/requests") == ""
    archived = site.sh(f"tar -tf {BACKUPS}/2*/archive.tar")
    assert f"{SSLDIR[1:]}/ca/requests/waiting01.lab.test.pem" in archived
    assert_revocation_lists_are_made_anew(site, retired)


def became(run: Run) -> dict[str, str]:
    """As `statuses`, by the hosts' names in the lab."""
    found = statuses(run)
    return {name: found[alias] for name, alias in ALIASES.items()}


def assert_nobody_is_unknown(site: Site, run: Run) -> None:
    """No host of this run is one that the inventory does not have, whatever it is called there."""
    own = {site.certname_of(name) for name in (site.name, *ALIASES)}
    report = reported(run)
    for looked in ("before", "now"):
        assert {host["certname"] for host in report[looked]["hosts"]} == own
        problems = report[looked]["problems"]
        unknown = {p["subject"].split()[0] for p in problems if "of the inventory" in p["what"]}
        assert not own & unknown
        assert looked == "now" or "compile01.lab.test" in unknown
    # In the end all have said who they are.
    lines = run.stderr.rpartition("and nothing here renews them:")[2].splitlines()[1:]
    listed = takewhile(lambda line: ".lab.test" in line, lines)
    left = {line.partition("]")[2].split()[0] for line in listed}
    assert "compile01.lab.test" in left and not own & left, run.stderr


def assert_renewed_beside_cron(site: Site, old: Certificate) -> None:
    """Its key may be one that cron's run has made, before the new CA's certificate was there."""
    new = site.certificate_of(CRON)
    assert new.issued_by(site.ca) and new.key != old.key
    by_hand = f"! service pe-puppet status >/dev/null && {PUPPET} agent --test >/dev/null; echo $?"
    assert site.on(CRON, by_hand).strip() in ("0", "2")


def assert_revocation_lists_are_made_anew(site: Site, retired: str) -> None:
    """Five years later: the CA stays, and neither its list nor an agent's is in force."""
    for host, path in ((site.name, "ca/ca_crl.pem"), (DAEMON, "crl.pem")):
        write(host, f"{SSLDIR}/{path}", expired_crl(site))

    refused = site.preview_renewal(retired)

    said = " ".join(refused.stderr.split())
    assert refused.status == 1
    assert f"the master's revocation list {SSLDIR}/ca/ca_crl.pem expired on" in said
    remedy = said.partition("Make it anew: ")[2].partition(" restart")[0] + " restart"
    site.sh(f"PATH=$PATH:/opt/puppet/bin; {remedy}")
    run = site.renew(retired)
    assert run.status == 0, run.stderr
    assert became(run) == {DAEMON: "renewed", CRON: "already fresh"}
    assert_renewed(site, DAEMON)
