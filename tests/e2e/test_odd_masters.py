"""Masters as years of use leave them, and what happens beside a run."""

from __future__ import annotations

import pytest

from tests.e2e.site import BACKUPS, RUN_LOCK, SSLDIR, Master, assert_regenerated, short
from tests.e2e.test_restore import EVERYTHING
from tests.tables import POSTGRESQL_SERVICE, STOP_ORDER


def test_thousands_of_nodes_and_of_leftovers(master: Master) -> None:
    """A command line holds neither their names nor their files' names."""
    retired = master.ca.fingerprint
    master.sh(
        f"cd {SSLDIR}/ca/signed && for i in $(seq 3500); do"
        " ln agent01.lab.test.pem ip-10-20-30-$i.us-west-2.compute.internal.pem; done;"
        "cd /opt/puppet/share/console-services/certs &&"
        " for i in $(seq 2000); do : >a-rather-long-name-of-an-old-file-$i.pem; done"
    )

    run = master.regenerate(retired)

    assert run.status == 0, run.stderr
    assert "and 3" in run.stderr and "more (`puppet cert list --all`" in run.stderr
    assert_regenerated(master, retired)
    assert "ip-10-20-30-3500" in master.sh(f"cat {BACKUPS}/2*/manifest.json")


def test_names_that_are_no_text(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    odd = r"$(printf 'caf\351 \n -x.pem')"
    master.sh(
        f'touch "/opt/puppet/share/console-services/certs/{odd}" "{SSLDIR}/ca/requests/{odd}"'
    )

    shown = master.preview(retired, "--diff")
    run = master.regenerate(retired, "--diff")

    assert shown.status == 0, shown.stderr
    assert run.status == 0, run.stderr
    assert_regenerated(master, retired)
    master.sh(f': >"{SSLDIR}/ca/requests/{odd}"')
    again = master.regenerate(retired)
    assert again.status == 0, again.stderr
    assert master.sh(f"ls {SSLDIR}/ca/requests") == ""


def test_a_ca_that_changed_since_it_was_looked_at_is_not_deleted(serving: Master) -> None:
    """As if a second run had made a new one meanwhile."""
    master, retired = serving, serving.ca.fingerprint
    master.sh(
        "(setsid sh -c 'while systemctl -q is-active pe-puppetserver; do sleep 0.05; done;"
        f" touch -d yesterday {SSLDIR}/ca/ca_crt.pem' >/dev/null 2>&1 </dev/null &)"
    )

    run = master.regenerate(retired)

    assert run.status == 1
    assert "is not the one that was looked at: another run works on this host" in run.stderr
    assert master.ca.fingerprint == retired
    assert master.regenerate(retired).status == 0
    assert_regenerated(master, retired)


def node_signed(name: str) -> str:
    """What has the CA sign for a node, whose key is not the master's to have."""
    return f"/opt/puppet/bin/puppet cert generate {name}; rm {SSLDIR}/private_keys/{name}.pem"


def test_a_certificate_that_no_backup_has_calls_for_another_backup(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    assert master.regenerate(retired).status == 0
    (name,) = master.backups()
    restored = master.pyinfra("deploys/restore.py", "-y", "--data", f"backup={name}")
    assert restored.status == 0, restored.stderr
    master.sh(f"{node_signed('late.lab.test')}; : >{SSLDIR}/ca/ca_crt.pem")

    run = master.regenerate(retired)

    assert run.status == 0, run.stderr
    newest = master.backups()[-1]
    assert "late.lab.test.pem" in master.sh(f"tar -tf {BACKUPS}/{newest}/archive.tar")


def test_what_was_added_since_goes_when_a_backup_is_put_back(serving: Master) -> None:
    master = serving
    # Names that tar does not print as they are.
    master.sh(f"mkdir {SSLDIR}/Schlüssel; : >{SSLDIR}/Schlüssel/x; : >'{SSLDIR}/back\\slash'")
    before = master.sh(EVERYTHING)
    assert master.regenerate(master.ca.fingerprint).status == 0
    (name,) = master.backups()
    restore = ("deploys/restore.py", "-y", "--json", "--data", f"backup={name}")
    assert master.pyinfra(*restore).status == 0
    master.sh(f"mkdir {SSLDIR}/extra; ln -s /etc/passwd {SSLDIR}/link")

    assert "3 Put the backup back" in master.pyinfra(*restore).changed

    assert master.sh(EVERYTHING) == before
    assert master.pyinfra(*restore).changed == []


def test_a_service_that_dies_after_its_start_is_not_success(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    unit = "/etc/systemd/system/pe-console-services.service"
    # It answers until the Puppet run has begun: nobody asks it again after that.
    master.sh(
        f"cp {unit} /root/unit; sed -i '/^\\[Service\\]/a ExecStartPost=/bin/sh -c"
        f' "(until [ -e {RUN_LOCK} ]; do sleep 0.1; done;'
        f" kill -9 $(cat /run/pe-console-services.pid)) &\"' {unit};"
        "systemctl daemon-reload"
    )

    run = master.regenerate(retired)

    assert run.status == 1
    assert "These services have stopped since: pe-console-services" in run.stderr
    master.sh(f"cp /root/unit {unit}; systemctl daemon-reload")
    assert master.regenerate(retired).status == 0
    assert_regenerated(master, retired)


def test_what_a_watchdog_starts_meanwhile_is_started_anew(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    # Services stop side by side, and the database once nobody needs it any more.
    last = POSTGRESQL_SERVICE
    master.sh(
        f"(until [ -e {BACKUPS}/stopped ] && ! systemctl -q is-active {last}; do sleep 0.05; done;"
        " systemctl start pe-puppetdb; systemctl show -p MainPID pe-puppetdb >/root/watchdog)"
        " >/dev/null 2>&1 </dev/null &"
    )

    run = master.regenerate(retired)

    assert run.status == 0, run.stderr
    assert master.sh("cat /root/watchdog; rm /root/watchdog") != "MainPID=0"
    assert master.presented(8081).issued_by(master.ca)
    assert_regenerated(master, retired)


_BRINGS_ALONG = r"""
echo Welcome; uptime; printf 'Gr\374\337e\n'
export POSIXLY_CORRECT=1 GREP_OPTIONS='--color=always -v' TAR_OPTIONS='--exclude=*' CDPATH=/tmp:/
export BASH_ENV=/root/env ENV=/root/env IFS=/ GZIP=-v RUBYOPT=-rnothing RUBYLIB=/none
export OPENSSL_CONF=/none LANG=de_DE.UTF-8 LC_MESSAGES=de_DE
for program in grep find sort printf cat openssl; do
    eval "$program() { echo $program is somebody else; }"; export -f $program
done
printf '\033]0;root@master\007'
"""
"""What somebody's .bashrc may do, last of all a terminal's title, which ends no line."""


def test_a_login_that_greets_and_a_lock_of_nobodys(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    master.sh(
        f"cat >/root/.greeting <<'END'\n{_BRINGS_ALONG}\nEND\n"
        "sed -i '1i . /root/.greeting' /root/.bashrc; echo 'echo read anew' >/root/env;"
        f"echo 1 >{RUN_LOCK}"
    )

    preview = master.preview(retired)
    run = master.regenerate(retired)

    master.sh("sed -i 1d /root/.bashrc")
    assert run.status == 0, run.stderr
    assert run.changed == preview.planned
    # A wait for the lock's process, which never ends, would have outlasted the time limit.
    assert_regenerated(master, retired)


def test_an_init_script_without_a_status(init_serving: Master) -> None:
    init_master, retired = init_serving, init_serving.ca.fingerprint
    init_master.sh(
        "mv /etc/init.d/pe-puppetdb /root/pe-puppetdb && printf '%s\\n' '#!/bin/sh'"
        ' \'[ "$1" = status ] && { echo "usage: $0 start|stop"; exit 1; }\''
        " 'exec /root/pe-puppetdb \"$@\"' >/etc/init.d/pe-puppetdb;"
        " chmod 755 /etc/init.d/pe-puppetdb"
    )

    preview = init_master.pyinfra(
        "deploys/master.py", "--dry", "--diff", "--data", f"retire_ca={retired}"
    )
    run = init_master.regenerate(retired)

    assert "- pe-puppetdb: running" in preview.text
    assert run.status == 0, run.stderr
    init_master.sh("mv /root/pe-puppetdb /etc/init.d/pe-puppetdb")
    assert init_master.running() == list(STOP_ORDER)
    assert init_master.presented(8081).issued_by(init_master.ca)


@pytest.mark.parametrize("damage", [": >{ca}/ca_crl.pem", ": >{ca}/ca_crt.pem", "rm {ca}/ca_*"])
def test_a_damaged_ca_that_nodes_rely_on_is_not_begun_again_unasked(
    serving: Master, damage: str
) -> None:
    """The command of last year is no leave to destroy the CA of today."""
    master, retired = serving, serving.ca.fingerprint
    assert master.regenerate(retired).status == 0
    relied_on = master.ca.fingerprint
    master.sh(f"{node_signed('node.lab.test')}; {damage.format(ca=f'{SSLDIR}/ca')}")
    before = master.snapshot()

    run = master.regenerate(retired)

    assert run.status == 1
    assert "is damaged" in run.stderr and "node.lab.test" in run.stderr
    assert f"retire_ca={relied_on}" in run.stderr
    assert master.snapshot() == before
    named = master.regenerate(relied_on)
    assert named.status == 0, named.stderr
    kept = [name for name in master.backups() if name.endswith(short(relied_on))]
    assert "node.lab.test.pem" in master.sh(f"tar -tf {BACKUPS}/{kept[0]}/archive.tar")
