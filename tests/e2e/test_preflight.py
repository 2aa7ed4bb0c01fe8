"""What forbids a regeneration: refused with a clear error before anything is changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.site import SSLDIR, Master

CONF = "/etc/puppetlabs/puppet/puppet.conf"


def refused(master: Master, *messages: str, data: tuple[str, ...] = (), mode: str = "-y") -> None:
    """Whatever it is that makes the run end, nothing on the host may change."""
    before = master.snapshot()
    arguments = [word for value in data for word in ("--data", value)]
    run = master.pyinfra("deploys/master.py", mode, *arguments)
    assert run.status == 1, run.text
    for message in messages:
        assert message in run.stderr
    assert master.snapshot() == before


@pytest.mark.parametrize("mode", ["-y", "--dry"])
def test_without_a_ca_to_retire(untouched: Master, mode: str) -> None:
    ca = untouched.ca
    refused(
        untouched,
        "Nothing was changed: no CA to retire is named.",
        ca.fingerprint,
        ca.subject,
        f"{ca.not_after:%Y-%m-%d}",
        "15 certificates, 1 of them revoked",
        "compile01.lab.test",
        f"--data retire_ca={ca.fingerprint}",
        mode=mode,
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("yes", "is not a SHA-256 fingerprint"),
        ("12:34", "is not a SHA-256 fingerprint"),
        ("1234", "is not a SHA-256 fingerprint"),
        ("$(touch /root/owned)", "is not a SHA-256 fingerprint"),
        ("ab" * 32, "is neither the CA on this host nor that of a backup made here"),
    ],
)
def test_with_another_ca_named(untouched: Master, value: str, message: str) -> None:
    refused(untouched, message, untouched.ca.fingerprint, data=(f"retire_ca={value}",))


@dataclass(frozen=True)
class Broken:
    """What somebody has done to a master, what undoes it (beside putting its puppet.conf back), and
    what is said of it."""

    do: str
    says: tuple[str, ...]
    undo: str = ":"


BROKEN = {
    "an unreadable puppet.conf": Broken(
        f"echo 'junk [' >>{CONF}", ("Puppet cannot read its puppet.conf", "Could not parse")
    ),
    "no CA here": Broken(
        f"sed -i 's/^\\[main\\]/[main]\\nca = false/' {CONF}",
        ("this is no Puppet master with a CA",),
    ),
    "a wildcard among the alt names": Broken(
        f"sed -i 's/^ *dns_alt_names.*/dns_alt_names = *.lab.test/' {CONF}",
        ("'*.lab.test', which is not a DNS name that Puppet's CA signs",),
    ),
    "an ssldir that holds the rest": Broken(
        # A daemon that reads it anew makes directories there.
        "systemctl stop pe-puppet pe-puppetserver; "
        f"sed -i 's,^\\[main\\],[main]\\nssldir = /etc/puppetlabs,' {CONF}",
        ("lies inside ssldir",),
        "systemctl start pe-puppetserver pe-puppet",
    ),
    "no Puppet": Broken(
        "mv /opt/puppet/bin/puppet /run/puppet",
        ("There is no `puppet`",),
        "mv /run/puppet /opt/puppet/bin/puppet",
    ),
    "no puppet.conf": Broken(
        f"useradd -r puppet; rm {CONF}", ("puppet.conf is missing or empty",), "userdel puppet"
    ),
    "an agent in noop mode": Broken(
        f"sed -i 's/^\\[agent\\]/[agent]\\nnoop = true/' {CONF}", ("noop = true for the agent",)
    ),
    "an agent with an ssldir of its own": Broken(
        f"sed -i 's,^\\[agent\\],[agent]\\nssldir = /var/opt/lib/pe-puppet/ssl,' {CONF}",
        ("differently for [agent] (/var/opt/lib/pe-puppet/ssl)",),
    ),
    "a CA behind a link": Broken(
        f"mv {SSLDIR}/ca /srv/ca && ln -s /srv/ca {SSLDIR}/ca",
        ("is a symbolic link to /srv/ca",),
        f"rm {SSLDIR}/ca && mv /srv/ca {SSLDIR}/ca",
    ),
    "a CA behind a link, among other things": Broken(
        f"mkdir /srv/all; cp -a {SSLDIR}/ca/. /srv/all/; echo keep >/srv/all/notes;"
        f" ln -s /srv/all /srv/ca; sed -i 's,^\\[main\\],[main]\\ncadir = /srv/ca,' {CONF}",
        ("/srv/ca is a symbolic link to a directory that holds more", "files: notes."),
        "rm -r /srv/ca /srv/all",
    ),
    "a clock six minutes off": Broken(
        'mv /bin/date /run/date; printf \'#!/bin/sh\\n[ "$1" = +%%s ] && exec /run/date -d'
        ' "6 minutes ago" +%%s\\nexec /run/date "$@"\\n\' >/bin/date; chmod 755 /bin/date',
        ("The host's clock says", "NTP"),
        "mv /run/date /bin/date",
    ),
    "no room for the backup": Broken(
        "mv /bin/df /run/df; printf '#!/bin/sh\\necho h\\necho d 9 8 100 9%% /\\n' >/bin/df;"
        " chmod 755 /bin/df",
        ("/var/lib/pe-recert/backups has 0 MiB free", "backup_dir"),
        "mv /run/df /bin/df",
    ),
    "a disabled agent": Broken(
        "/opt/puppet/bin/puppet agent --disable 'moving house'",
        ("is disabled", "moving house", "puppet agent --enable"),
        "/opt/puppet/bin/puppet agent --enable",
    ),
    "an account that is gone": Broken(
        "cp -p /etc/passwd /run/passwd; sed -i s/^pe-puppetdb:/pe-gone:/ /etc/passwd",
        ("The account pe-puppetdb does not exist",),
        "cp -p /run/passwd /etc/passwd",
    ),
    "no master service": Broken(
        "mv /etc/systemd/system/pe-puppetserver.service /run/; systemctl daemon-reload",
        ("pe-puppetserver is not installed",),
        "mv /run/pe-puppetserver.service /etc/systemd/system/; systemctl daemon-reload",
    ),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN.keys())
def test_a_master_that_cannot_be_helped(serving: Master, broken: Broken) -> None:
    retired = serving.ca.fingerprint
    serving.sh(f"cp -p {CONF} /run/puppet.conf; {broken.do}")

    refused(serving, *broken.says, data=(f"retire_ca={retired}",))

    serving.sh(f"cp -p /run/puppet.conf {CONF}; {broken.undo}")


def test_with_programs_that_cannot_do_it(untouched: Master) -> None:
    """busybox' first on the PATH of scripts; those that can do it are none the worse."""
    retired = untouched.ca.fingerprint
    programs = ("dd", "find", "grep", "tar", "xargs", "sort", "gzip", "sha256sum")
    untouched.sh(f"for p in {' '.join(programs)}; do ln -s /bin/busybox /opt/puppet/bin/$p; done")
    try:
        refused(
            untouched,
            "/opt/puppet/bin/find, the first find on the PATH, cannot list files with -printf",
            "/opt/puppet/bin/dd, the first dd on the PATH, cannot read a file that is no link",
            "/opt/puppet/bin/grep, the first grep on the PATH, cannot list files with names that",
            "/opt/puppet/bin/tar, the first tar on the PATH, cannot take names that end in NUL",
            "Install tar (1.15 or later), or put its directory before that one on the PATH",
            data=(f"retire_ca={retired}",),
            mode="--dry",
        )
        untouched.sh("cd /opt/puppet/bin && rm dd find grep tar")
        assert untouched.preview(retired).status == 0
    finally:
        untouched.sh(f"cd /opt/puppet/bin && rm -f {' '.join(programs)}")


def test_a_server_and_a_sudo_of_that_time(init_serving: Master, tmp_path: Path) -> None:
    """Each is told in one line, and a refusal of the account names what the server takes."""
    run = init_serving.pyinfra("deploys/restore.py")
    assert run.status == 0, run.text
    (server,) = [line for line in run.stderr.splitlines() if "SHA-1 only" in line]
    assert "Its SSH server (OpenSSH_8.4" in server
    assert len([line for line in run.stderr.splitlines() if "requiretty" in line]) == 1

    inventory = tmp_path / "as_root.py"
    inventory.write_text(
        "from inventories.lab_hosts import lab_host\n"
        "master = [(n, {**d, 'ssh_user': 'root'}) for n, d in [lab_host('master-init')]]\n"
    )
    other = Master(init_serving.name, inventory).pyinfra("deploys/restore.py")
    assert other.status == 1
    assert "The server refuses the account root: Authentication error" in other.text
    assert "takes logins publickey; signatures of keys ssh-ed25519" in other.text
    assert "key exchange" not in other.text


def test_as_an_ordinary_user(init_serving: Master, tmp_path: Path) -> None:
    retired = init_serving.ca.fingerprint
    before = init_serving.snapshot()
    inventory = tmp_path / "without_sudo.py"
    inventory.write_text(
        "from inventories.lab_hosts import lab_host\n"
        "master = [(name, {**data, '_sudo': False}) for name, data in [lab_host('master-init')]]\n"
    )
    without_sudo = Master(init_serving.name, inventory)

    run = without_sudo.pyinfra("deploys/master.py", "-y", "--data", f"retire_ca={retired}")

    assert run.status == 1
    assert "add --sudo" in run.stderr
    assert init_serving.snapshot() == before


@pytest.mark.usefixtures("serving", "init_serving")
def test_several_masters_in_the_inventory(tmp_path: Path) -> None:
    inventory = tmp_path / "two.py"
    inventory.write_text(
        "from inventories.lab_hosts import lab_host\n"
        "master = [lab_host('master'), lab_host('master-init')]\n"
    )
    run = Master("master", inventory).pyinfra("deploys/master.py", "--dry")
    assert run.status == 1
    assert "must hold exactly one host, it holds master, master-init" in run.stderr


def test_a_certificate_of_the_masters_that_is_doubted_is_asked_about(untouched: Master) -> None:
    """puppet.conf does not say what it has."""
    retired, own = (
        untouched.ca.fingerprint,
        untouched.certificate(f"{SSLDIR}/certs/master.lab.test.pem").fingerprint,
    )
    untouched.sh(f"sed -i.kept 's/^ *dns_alt_names.*/dns_alt_names = puppet/' {CONF}")
    since = ("compromised_since=2015-11-23", f"retire_ca={retired}")
    refused(
        untouched,
        "The certificate of master.lab.test was signed since the CA was compromised",
        "the alternative names puppet.lab.test,",
        f"--data approved_certs={own}",
        data=since,
    )
    said = (*since, f"disowned_certs={own}")
    shown = untouched.pyinfra(
        "deploys/master.py", "--dry", *(w for s in said for w in ("--data", s))
    )
    untouched.sh(f"mv {CONF}.kept {CONF}")
    assert shown.status == 0, shown.stderr
    assert "By word of disowned_certs the alternative names puppet.lab.test of" in shown.text
    assert "Alt names of master.lab.test: puppet (changes: -puppet.lab.test)" in shown.text


class TestNodeGroups:
    """An upgraded deployment must have classified its node groups."""

    GROUPS = "/etc/pe-lab/classifier-groups.json"

    def test_unclassified_they_forbid_it_whatever_is_declared(self, serving: Master) -> None:
        master, retired = serving, serving.ca.fingerprint
        master.sh(f"sed -i.kept 's/\"puppet_enterprise::profile::master\": {{}},//' {self.GROUPS}")
        refused(
            master,
            "PE Master (without class puppet_enterprise::profile::master)",
            data=(f"retire_ca={retired}", "pe_groups_classified=True"),
        )
        master.sh(f"mv {self.GROUPS}.kept {self.GROUPS}")

    def test_unknown_they_have_to_be_declared(self, serving: Master) -> None:
        master, retired = serving, serving.ca.fingerprint
        master.sh("systemctl stop pe-console-services")
        refused(
            master,
            "The classifier on port 4433 does not answer",
            "pe_groups_classified=True",
            data=(f"retire_ca={retired}",),
        )
        declared = master.preview(retired, "--data", "pe_groups_classified=True")
        assert declared.status == 0, declared.stderr
        master.sh("systemctl start pe-console-services")
