"""Steps 1 to 5 on real masters: what is left afterwards, and what a preview says before."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

import lab
from tests.e2e.site import (
    BACKUPS,
    ROOT,
    RUN_LOCK,
    SSLDIR,
    Master,
    assert_regenerated,
    until_said,
)
from tests.tables import INTERNAL_NAMES, STOP_ORDER

ALL_STEPS = 23


def test_a_run_regenerates_everything_and_a_second_changes_nothing(any_master: Master) -> None:
    retired = any_master.ca.fingerprint
    names = any_master.certificate(f"{SSLDIR}/certs/{any_master.certname}.pem").alt_names

    preview = any_master.preview(retired)
    run = any_master.regenerate(retired)

    assert run.status == 0, run.stderr
    assert len(run.changed) == ALL_STEPS
    assert run.changed == preview.planned
    assert_regenerated(any_master, retired, alt_names=set(names))
    again = any_master.regenerate(retired)
    assert again.status == 0, again.stderr
    assert again.changed == []
    assert any_master.preview(retired).planned == []


def test_a_preview_changes_nothing_on_the_host(any_untouched: Master) -> None:
    before = any_untouched.snapshot()

    for arguments in ((), ("--diff",)):
        run = any_untouched.preview(any_untouched.ca.fingerprint, *arguments)
        assert run.status == 0, run.stderr

    assert any_untouched.snapshot() == before
    assert any_untouched.running() == list(STOP_ORDER)


def test_it_leaves_what_the_documents_commands_leave(serving: Master) -> None:
    master = serving
    listing = (
        "for d in /etc/puppetlabs/puppet/ssl /etc/puppetlabs/puppetdb/ssl "
        "/opt/puppet/share/console-services/certs /opt/puppet/share/puppet-dashboard/certs "
        "/opt/puppet/var/lib/pgsql/9.2/data/certs; do find $d -printf '%p %y %u:%g %m\\n'; done"
        " | sort"
    )
    subjects = (
        "for f in /etc/puppetlabs/puppet/ssl/certs/*.pem /etc/puppetlabs/puppet/ssl/ca/signed/*.pem"
        " /etc/puppetlabs/puppetdb/ssl/*.cert.pem /opt/puppet/share/*/certs/*.cert.pem"
        " /opt/puppet/var/lib/pgsql/9.2/data/certs/*.cert.pem; do echo $f;"
        " openssl x509 -in $f -noout -subject -issuer -ext subjectAltName 2>/dev/null; done"
    )
    master.sh((ROOT / "benchmarks" / "by_hand.sh").read_text())
    by_hand = master.sh(listing), master.sh(subjects)

    run = master.regenerate(master.ca.fingerprint)

    assert run.status == 0, run.stderr
    assert "pe-internal-dashboard.private_key.pem" in by_hand[0]
    assert master.sh(listing) == by_hand[0]
    assert master.sh(subjects) == by_hand[1]


def test_the_preview_tells_what_is_and_what_will_be(untouched: Master) -> None:
    master, ca = untouched, untouched.ca
    in_use = master.certificate(f"{SSLDIR}/certs/{master.certname}.pem")

    text = master.pyinfra(
        "deploys/master.py", "--dry", "--diff", "--data", f"retire_ca={ca.fingerprint}"
    ).text

    for name in (master.certname, *INTERNAL_NAMES):
        cert = master.certificate(f"{SSLDIR}/certs/{name}.pem")
        assert f"- serial:      {cert.serial:#06x}" in text
        assert f"- fingerprint: {cert.fingerprint}" in text
        assert f"subject:     {name}" in text
    assert f"- issuer:      {ca.subject}, {ca.fingerprint}" in text
    assert f"- expires:     {in_use.not_after:%Y-%m-%d %H:%M} UTC" in text
    assert "alt names:   DNS:master.lab.test, DNS:puppet, DNS:puppet.lab.test" in text
    assert "+ issuer:      the new CA" in text
    assert "pe-console-services:pe-console-services 0640" in text
    assert "pe-postgres:pe-postgres 0400" in text
    for service in STOP_ORDER:
        assert f"- {service}: running" in text
        assert f"+ {service}: stopped" in text
    assert "compile01.lab.test (alt names puppet, puppet.lab.test)" in text
    assert "retired01.lab.test" not in _warnings(text), "a revoked certificate is not missed"


def _warnings(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("    [master]   "))


def test_names_that_nothing_brings_back_are_said_at_the_end_of_every_run(master: Master) -> None:
    retired = master.ca.fingerprint
    assert "compile01.lab.test" in master.regenerate(retired).stderr.rpartition("Kick off")[2]
    # The CA that knew them is gone; the backup remembers.
    assert "compile01.lab.test" in master.regenerate(retired).stderr


def test_dns_alt_names_in_the_data_override(master: Master) -> None:
    retired = master.ca.fingerprint

    shown = master.pyinfra(
        "deploys/master.py",
        "--dry",
        "--data",
        f"retire_ca={retired}",
        "--data",
        "dns_alt_names=puppet,pe.lab.test",
    ).text
    run = master.regenerate(retired, "--data", "dns_alt_names=puppet,pe.lab.test")

    assert "+pe.lab.test -puppet.lab.test" in shown
    assert run.status == 0, run.stderr
    assert_regenerated(master, retired, alt_names={"puppet", "pe.lab.test"})
    again = master.regenerate(retired, "--data", "dns_alt_names=puppet,pe.lab.test")
    assert again.changed == []


def test_the_backup_is_roots_alone_and_holds_everything(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    before = master.sh(f"cd / && find {SSLDIR[1:]} -type f -exec sha256sum {{}} + | sort")

    assert master.regenerate(retired).status == 0

    (name,) = master.backups()
    assert master.sh(f"find {BACKUPS} -printf '%U %m %y\\n' | sort -u").split("\n") == [
        "0 600 f",
        "0 700 d",
        "",
    ]
    unpacked = master.sh(
        f"d=$(mktemp -d); tar -C $d -xpf {BACKUPS}/{name}/archive.tar && cd $d &&"
        f" find {SSLDIR[1:]} -type f -exec sha256sum {{}} + | sort;"
        " stat -c '%U %a' $d/etc/puppetlabs/puppetdb/ssl/*private_key.pem;"
        " ls $d/etc/puppetlabs/puppet/puppet.conf >/dev/null && echo puppet.conf"
    )
    assert unpacked == f"{before}pe-puppetdb 640\npuppet.conf\n"


def test_puppet_starts_at_most_seven_times_and_a_preview_at_most_twice(serving: Master) -> None:
    master = serving
    with counted_starts(master):
        assert master.preview(master.ca.fingerprint).status == 0
        previewed = starts(master)
        assert master.regenerate(master.ca.fingerprint).status == 0
        ran = starts(master)[len(previewed) :]

    assert len(previewed) <= 2, previewed
    agent_runs = [line for line in ran if line.startswith("agent --test")]
    assert len(agent_runs) <= 1
    # The services' own programs are started by the services.
    own = [line for line in ran if not line.startswith(("agent", "master"))]
    assert len(own) <= 7, own
    assert sum(line.startswith("cert") for line in own) == 3


@contextmanager
def wrapped_puppet(host: str, *lines: str) -> Iterator[None]:
    """The `puppet` program of a host runs these lines of sh first."""
    wrapper = ["#!/bin/sh", *lines, 'exec /opt/puppet/real/puppet "$@"']
    quoted = " ".join(shlex.quote(line) for line in wrapper)
    lab.run(
        host,
        "mkdir /opt/puppet/real && mv /opt/puppet/bin/puppet /opt/puppet/real/puppet;"
        f"cd /opt/puppet/bin && printf '%s\\n' {quoted} >puppet && chmod 755 puppet",
    )
    try:
        yield
    finally:
        lab.run(host, "mv /opt/puppet/real/puppet /opt/puppet/bin/ && rmdir /opt/puppet/real")


@contextmanager
def counted_starts(master: Master) -> Iterator[None]:
    """Every start of the `puppet` program leaves a line."""
    master.sh(": >/run/puppet-starts && chmod 666 /run/puppet-starts")
    with wrapped_puppet(master.name, 'echo "$@" >>/run/puppet-starts'):
        yield


def starts(master: Master) -> list[str]:
    return master.sh("cat /run/puppet-starts").splitlines()


def test_a_failing_puppet_run_is_an_error_with_the_runs_own_message(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint

    with master.applying('exec { "/bin/false": }'):
        run = master.regenerate(retired)

    assert run.status == 1
    assert "/bin/false" in run.stderr and "returned 1 instead of one of [0]" in run.stderr
    assert "The Puppet run failed with status" in run.stderr
    again = master.regenerate(retired)
    assert again.status == 0, again.stderr
    assert again.changed in ([], ["5 Kick off a Puppet run"])
    assert_regenerated(master, retired)


def test_a_service_that_only_says_it_stopped_ends_the_run(init_serving: Master) -> None:
    init_master, retired = init_serving, init_serving.ca.fingerprint
    before = init_master.sh(f"find {SSLDIR} -type f -exec sha256sum {{}} + | sort")
    init_master.sh(
        "cd /etc/init.d && mv pe-puppetdb /root/pe-puppetdb && printf '%s\\n' '#!/bin/sh' "
        "'[ \"$1\" = stop ] && { echo stopped, honestly; exit 0; }' "
        "'exec /root/pe-puppetdb \"$@\"' >pe-puppetdb && chmod 755 pe-puppetdb"
    )

    run = init_master.regenerate(retired)

    assert run.status == 1
    assert "The service pe-puppetdb is still running after it was stopped." in run.stderr
    assert "run the same command again" in run.stderr
    assert init_master.sh(f"find {SSLDIR} -type f -exec sha256sum {{}} + | sort") == before
    init_master.sh("mv /root/pe-puppetdb /etc/init.d/pe-puppetdb")
    assert init_master.regenerate(retired).status == 0
    assert_regenerated(init_master, retired)


def test_missing_and_stopped_services_are_said_and_not_fatal(init_serving: Master) -> None:
    init_master, retired = init_serving, init_serving.ca.fingerprint
    init_master.sh(
        "service pe-activemq stop; mv /etc/init.d/pe-activemq /root/; service pe-httpd stop;"
        " service pe-mcollective stop"
    )

    preview = init_master.preview(retired)
    run = init_master.regenerate(retired)

    assert run.status == 0, run.stderr
    assert "Not installed here, so neither stopped nor started: pe-activemq" in run.stderr
    assert run.changed == preview.planned
    stopped = ("pe-activemq", "pe-httpd", "pe-mcollective")
    assert init_master.running() == [name for name in STOP_ORDER if name not in stopped]
    init_master.sh("mv /root/pe-activemq /etc/init.d/")
    for name in stopped:
        init_master.sh(f"service {name} start")


def test_a_cadir_of_its_own_behind_a_link_is_emptied_backed_up_and_made_anew(
    master: Master,
) -> None:
    master.sh(
        "systemctl stop pe-puppetserver && mv /etc/puppetlabs/puppet/ssl/ca /srv/ca &&"
        " ln -s /srv/ca /etc/puppetlabs/ca &&"
        " sed -i 's,^\\[main\\],[main]\\ncadir = /etc/puppetlabs/ca,'"
        " /etc/puppetlabs/puppet/puppet.conf && systemctl start pe-puppetserver"
    )
    retired = master.certificate("/etc/puppetlabs/ca/ca_crt.pem").fingerprint

    preview = master.preview(retired)
    run = master.regenerate(retired)

    assert run.status == 0, run.stderr
    assert run.changed == preview.planned
    ca = master.certificate("/etc/puppetlabs/ca/ca_crt.pem")
    assert ca.fingerprint != retired
    assert master.presented().issued_by(ca)
    (name,) = master.backups()
    assert "srv/ca/ca_key.pem" in master.sh(f"tar -tf {BACKUPS}/{name}/archive.tar")

    restored = master.pyinfra("deploys/restore.py", "-y", "--data", f"backup={name}")
    assert restored.status == 0, restored.stderr
    assert master.sh("readlink /etc/puppetlabs/ca") == "/srv/ca\n"
    assert master.certificate("/srv/ca/ca_crt.pem").fingerprint == retired


def test_a_backup_that_does_not_compare_stops_the_run_before_any_deletion(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    credentials = (
        f"find {SSLDIR} /etc/puppetlabs/puppetdb/ssl -type f -exec sha256sum {{}} + | sort"
    )
    before = master.sh(credentials)
    # A disk that returns something else than was written to it.
    master.sh(
        "mv /bin/tar /bin/tar.real; printf '%s\\n' '#!/bin/sh' '/bin/tar.real \"$@\" || exit'"
        " 'for word; do case $word in *.partial/archive.tar) written=$word ;; esac; done'"
        ' \'case "$*" in *-cpf*) sed -i s/PRIVATE/PRIVATF/ "$written" ;; esac\' >/bin/tar;'
        " chmod 755 /bin/tar"
    )

    run = master.regenerate(retired)

    assert run.status == 1
    assert "does not compare with what it was made of; nothing was deleted" in run.stderr
    assert master.sh(credentials) == before
    assert master.backups() == []
    master.sh("mv /bin/tar.real /bin/tar")
    assert master.regenerate(retired).status == 0
    assert_regenerated(master, retired)


def test_a_run_that_the_agent_service_got_ahead_of_is_repeated(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    # No agent service, so that the run is the suite's own; the first one finds itself second.
    unit = "/etc/systemd/system/pe-puppet.service"
    master.sh(f"systemctl stop pe-puppet && mv {unit} /root/ && systemctl daemon-reload")
    skipping = "Notice: Run of Puppet configuration client already in progress; skipping"
    first_is_second = (
        'if [ "$1" = agent ] && [ ! -e /run/second ]; then',
        f"touch /run/second; echo '{skipping}'; exit 1",
        "fi",
    )

    with wrapped_puppet(master.name, *first_is_second):
        run = master.regenerate(retired)

    assert run.status == 0, run.stderr
    master.sh("rm /run/second")
    assert master.regenerate(retired).changed == []
    master.sh(f"mv /root/pe-puppet.service {unit} && systemctl daemon-reload")
    master.sh("systemctl start pe-puppet")


def test_a_puppet_run_in_progress_is_let_finish_first(init_serving: Master) -> None:
    """Stopping an init script's agent does not stop the run that it has begun."""
    init_master, retired = init_serving, init_serving.ca.fingerprint
    # The service's own first run would apply the manifest in this one's place.
    init_master.sh(
        "cd /var/opt/lib/pe-puppet/state; for i in $(seq 150); do"
        " [ last_run_summary.yaml -nt /run/pe-puppet/agent.pid ] &&"
        f" [ ! -e {RUN_LOCK} ] && break; sleep 0.2; done"
    )
    applying = "/bin/sh -c 'touch /run/applying; until [ -e /run/go ]; do sleep 0.2; done'"
    with init_master.applying(f'exec {{ "{applying}": timeout => 300 }}'):
        init_master.sh(
            "rm -f /run/applying /run/go;"
            "(setsid /opt/puppet/bin/puppet agent --test >/run/earlier-run 2>&1 </dev/null &);"
            "for i in $(seq 300); do [ -e /run/applying ] && break; sleep 0.2; done"
        )
        process = init_master.begin("deploys/master.py", "-y", "--data", f"retire_ca={retired}")
        until_said(process, "waiting for the Puppet run in progress to end")
        assert init_master.ca.fingerprint == retired
        init_master.sh("touch /run/go")
        _, said = process.communicate(timeout=300)

    assert process.returncode == 0, said
    assert "Applied catalog" in init_master.sh("cat /run/earlier-run")
    assert_regenerated(init_master, retired)
