"""A site that is none of Puppet Enterprise's: Debian's own packages, a CA and nothing beside it."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

import lab
from lab.hosts import HOSTS
from recert.certificates import read_certificate
from tests.e2e.nodes import Site, reported, statuses
from tests.e2e.site import KILLING
from tests.e2e.test_generations import run_of_puppet
from tests.e2e.test_resume import LAST_STEP

# The second agent is of another vendor, or of an older generation.
SITES = {"puppet5": ("agent09", "agent10"), "puppet7": ("agent11", "agent12")}
SSL = "/var/lib/puppet/ssl"
PLACES = f"{SSL} $(ls -d /etc/puppet/puppetserver/ca 2>/dev/null) /etc/puppet/puppet.conf"
EVERYTHING = (
    f"find {PLACES} -printf '%p %y %u:%g %m\\n' | sort;"
    f"find {PLACES} -type f -exec sha256sum {{}} + | sort"
)
# Steps 1 and 2 of the document; its Ctrl-C is a signal here. A server that finds no CA makes one.
TYPED = {
    "puppet5": f"""
        set -e
        puppet resource service puppet ensure=stopped
        puppet resource service puppet-master ensure=stopped
        find {SSL} -mindepth 1 -delete
        puppet cert list -a
        puppet master --no-daemonize --verbose >/tmp/master.log 2>&1 &
        until grep -q 'Starting Puppet master' /tmp/master.log; do kill -0 $!; sleep 0.2; done
        kill -TERM $!
        wait $! || :
        puppet resource service puppet-master ensure=running
        puppet resource service puppet ensure=running
    """,
    "puppet7": f"""
        set -e
        puppet resource service puppet ensure=stopped
        puppet resource service puppetserver ensure=stopped
        find {SSL} /etc/puppet/puppetserver/ca -mindepth 1 ! -type l -delete
        puppet resource service puppetserver ensure=running
        puppet resource service puppet ensure=running
    """,
}
VENDORS_WORDS = re.compile(r"\bPE\b|\bEnterprise\b|\bpe-(?!recert|lab)|\bmco\b|peadmin|console")


def runs(host: str, *services: str) -> bool:
    names = " ".join(services)
    return not lab.run(host, f"/opt/pe-lab/wait-for-services 0 {names}; true").stdout.strip()


@pytest.fixture(params=SITES)
def site(tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    site = Site.of(tmp_path, request.param, SITES[request.param])
    site.reset()
    if site.name == "puppet7":
        # As where the CA was moved from its former place.
        site.sh(f"ln -s {HOSTS[site.name].generation.cadir} {SSL}/ca")
    # A server may go into the background before it listens, and the daemon's first run may come
    # before that.
    assert run_of_puppet(HOSTS[site.name]) in (0, 2), site.sh("cat /tmp/run.log")
    return site


def assert_new(site: Site, retired: str) -> None:
    """What a whole run promises, looked at past it."""
    ca = site.ca
    assert ca.fingerprint != retired
    served = site.sh(
        "openssl s_client -connect 127.0.0.1:8140 </dev/null 2>/dev/null | openssl x509"
    )
    cert = read_certificate(served)
    assert cert is not None and cert.issued_by(ca)
    assert cert.alt_names == {site.certname, *HOSTS[site.name].alt_names}
    keys = f"{HOSTS[site.name].generation.cadir}/ca_key.pem {SSL}/private_keys/*.pem"
    assert {*site.sh(f"stat -c '%U:%G %a' {keys}").splitlines()} == {"puppet:puppet 640"}
    for agent in site.agents:
        assert site.certificate_of(agent).issued_by(ca)
        assert run_of_puppet(HOSTS[agent]) in (0, 2), site.on(agent, "cat /tmp/run.log")
    for host in map(HOSTS.__getitem__, (site.name, *site.agents)):
        assert runs(host.name, *(service.name for service in host.services))


def test_an_open_source_site_goes_to_its_new_ca_and_back(site: Site) -> None:
    retired, before = site.ca.fingerprint, site.sh(EVERYTHING)
    own, other = site.agents
    options = ("deploys/site.py", "--json", "--data", f"retire_ca={retired}")
    surveyed = site.pyinfra("deploys/survey.py", "-y")
    assert surveyed.status == 0, surveyed.stderr

    preview = site.pyinfra(*options, "--dry")
    assert preview.status == 0, preview.stderr
    assert site.sh(EVERYTHING) == before
    run = site.pyinfra(*options, "-y")

    assert run.status == 0, run.stderr
    assert set(statuses(run).values()) == {"renewed"}
    planned = [step for step, hosts in preview.plan.items() if hosts]
    assert planned == [step for step, hosts in run.changes.items() if hosts]
    assert_new(site, retired)
    (name,) = site.backups()
    again = site.pyinfra(*options, "--dry")
    assert again.status == 0, again.stderr
    assert not any(again.plan.values())

    verified = site.pyinfra("deploys/verify.py", "-y", "--data", f"retire_ca={retired}")
    assert verified.status == 0, verified.stderr
    # Nothing of what it says is about what there is not.
    alone = (surveyed.text + preview.text + verified.text).splitlines()
    assert [line for line in alone if VENDORS_WORDS.search(line) and other not in line] == []
    checks = {check["about"] for check in reported(verified)["checks"]}
    assert not any("orchestration" in about for about in checks)

    serial = site.certificate_of(own)
    replaced = site.replace(serial.fingerprint)
    assert replaced.status == 0, replaced.stderr
    assert site.certificate_of(own).key != serial.key

    restored = site.pyinfra("deploys/restore.py", "-y", "--data", f"backup={name}")
    assert restored.status == 0, restored.stderr
    assert site.ca.fingerprint == retired
    assert site.sh(EVERYTHING) == before
    for agent in site.agents:
        assert run_of_puppet(HOSTS[agent]) in (0, 2), site.on(agent, "cat /tmp/run.log")


def test_killed_after_each_step_of_an_open_source_master(site: Site) -> None:
    retired = site.ca.fingerprint
    left = site.preview(retired).planned
    while left and left != [LAST_STEP]:
        run = site.regenerate(retired, *KILLING, env={"KILL_AFTER": "1"})
        assert run.status == -signal.SIGKILL, run.stderr
        assert run.planned == left
        left = left[1:]
    done = site.regenerate(retired)
    assert done.status == 0, done.stderr
    assert not site.preview(retired).planned
    assert site.whole(retired).status == 0
    assert_new(site, retired)


def tree(site: Site) -> str:
    # The CA's certificate is everybody's to read, whatever the umask of the server that copies it.
    but_for = "! -name 'agent*.pem' ! -path '*/certs/ca.pem'"
    return site.sh(f"find {PLACES} {but_for} -printf '%p %y %U:%G %m\\n' | sort")


def test_the_document_typed_leaves_the_same(site: Site) -> None:
    retired = site.ca.fingerprint
    assert site.regenerate(retired).status == 0
    deployed = tree(site)
    site.sh(TYPED[site.name])
    assert site.ca.fingerprint != retired
    assert tree(site) == deployed


@pytest.mark.parametrize("site", ["puppet7"], indirect=True)
def test_what_a_server_cannot_do_is_known_before_it_is_stopped(site: Site) -> None:
    retired, before = site.ca.fingerprint, site.sh(EVERYTHING)
    conf, cadir = "/etc/puppet/puppetserver", HOSTS[site.name].generation.cadir
    disabled = (
        r"sed -i -e '/authority-service$/s/^/#/' -e '/^#.*authority-disabled-service$/s/^#//'"
        f" {conf}/services.d/ca.cfg"
    )
    for change, path, reason in (
        (disabled, f"{conf}/services.d/ca.cfg", "has the CA's service disabled"),
        (
            f"sed -i 's|ssl-port: .*|&\\n    ssl-key: /srv/key.pem|' {conf}/conf.d/webserver.conf",
            f"{conf}/conf.d/webserver.conf",
            "says ssl-key = /srv/key.pem, which is none of Puppet's own files",
        ),
        (
            f"cat {SSL}/certs/{site.certname}.pem >>{cadir}/ca_crt.pem",
            f"{cadir}/ca_crt.pem",
            "holds 2 certificates",
        ),
    ):
        site.sh(f"cp -p {path} /root/kept; {change}")
        preview = site.preview(retired)
        site.sh(f"cp -p /root/kept {path}")
        assert preview.status == 1
        assert f"{path} {reason}" in " ".join(preview.stderr.split())
    # What the CA would not sign of an agent's is said before that is touched, and of no other one.
    agent, other = site.agents
    site.on(agent, "sed -i 's/^.main.$/&\\ndns_alt_names = www.lab.test/' /etc/puppet/puppet.conf")
    whole = site.pyinfra("deploys/site.py", "--dry", "--json", "--data", f"retire_ca={retired}")
    asks = f"[{agent}] Its request would carry the alternative names www.lab.test, and the CA signs"
    assert asks in whole.stderr
    deleted = next(hosts for step, hosts in whole.plan.items() if " 6.4 Delete" in step)
    assert deleted == [other]

    program = "/usr/bin/puppetserver"
    site.sh(
        f"mv {program} {program}.real; chmod 755 {program}.real; printf '%s\\n' '#!/bin/sh' "
        f"'case $* in (*import*) exit 1 ;; esac' 'exec {program}.real \"$@\"' >{program}; "
        f"chmod 755 {program}"
    )
    run = site.regenerate(retired)
    site.sh(f"mv {program}.real {program}")
    assert run.status == 1
    assert "Puppet could not make the new CA and its certificates" in run.stderr
    assert "Nothing is left of what was to be made aside" in run.stderr
    assert site.sh(EVERYTHING) == before
    assert run_of_puppet(HOSTS[site.name]) in (0, 2) and not site.backups()
