"""What forbids a regeneration: refused with a clear error before anything is changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.site import SSLDIR, Master

CONF = "/etc/puppetlabs/puppet/puppet.conf"


@pytest.fixture(scope="module")
def untouched(_systemd_master: Master) -> Master:
    """One master for all refusals: every test leaves it as it was, and checks that."""
    _systemd_master.reset()
    return _systemd_master


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


@pytest.mark.parametrize(
    ("breakage", "messages"),
    [
        (
            f"echo 'junk [' >>{CONF}",
            ["Puppet cannot read its puppet.conf", "Could not parse"],
        ),
        (
            f"sed -i 's/^\\[main\\]/[main]\\nca = false/' {CONF}",
            ["this is no Puppet master with a CA"],
        ),
        (
            f"sed -i 's/^ *dns_alt_names.*/dns_alt_names = *.lab.test/' {CONF}",
            ["'*.lab.test', which is not a DNS name that Puppet's CA signs"],
        ),
        (
            f"sed -i 's,^\\[main\\],[main]\\nssldir = /etc/puppetlabs,' {CONF}",
            ["lies inside ssldir"],
        ),
        ("mv /opt/puppet/bin/puppet /run/puppet", ["There is no `puppet`"]),
        (f"useradd -r puppet; mv {CONF} /run/conf", ["puppet.conf is missing or empty"]),
        (
            f"sed -i 's/^\\[agent\\]/[agent]\\nnoop = true/' {CONF}",
            ["noop = true for the agent"],
        ),
        (
            f"sed -i 's,^\\[agent\\],[agent]\\nssldir = /var/opt/lib/pe-puppet/ssl,' {CONF}",
            ["differently for [agent] (/var/opt/lib/pe-puppet/ssl)"],
        ),
        (
            f"mkdir /srv/ca && mv {SSLDIR}/ca/* /srv/ca/ && rmdir {SSLDIR}/ca &&"
            f" ln -s /srv/ca {SSLDIR}/ca",
            ["is a symbolic link to /srv/ca"],
        ),
        (
            'mv /bin/date /run/date; printf \'#!/bin/sh\\n[ "$1" = +%%s ] && exec /run/date -d'
            ' "6 minutes ago" +%%s\\nexec /run/date "$@"\\n\' >/bin/date; chmod 755 /bin/date',
            ["The host's clock says", "NTP"],
        ),
        (
            "mv /bin/df /run/df; printf '#!/bin/sh\\necho h\\necho d 9 8 100 9%% /\\n' >/bin/df;"
            " chmod 755 /bin/df",
            ["/var/lib/pe-recert/backups has 0 MiB free", "backup_dir"],
        ),
        (
            "/opt/puppet/bin/puppet agent --disable 'moving house'",
            ["is disabled", "moving house", "puppet agent --enable"],
        ),
        (
            "cp -p /etc/passwd /run/passwd; sed -i s/^pe-puppetdb:/pe-gone:/ /etc/passwd",
            ["The account pe-puppetdb does not exist"],
        ),
        (
            "mv /etc/systemd/system/pe-puppetserver.service /run/; systemctl daemon-reload",
            ["pe-puppetserver is not installed"],
        ),
    ],
    ids=[
        "an unreadable puppet.conf",
        "no CA here",
        "a wildcard among the alt names",
        "an ssldir that holds the rest",
        "no Puppet",
        "no puppet.conf",
        "an agent in noop mode",
        "an agent with an ssldir of its own",
        "a CA behind a link",
        "a clock six minutes off",
        "no room for the backup",
        "a disabled agent",
        "an account that is gone",
        "no master service",
    ],
)
def test_a_master_that_cannot_be_helped(
    _systemd_master: Master, breakage: str, messages: list[str]
) -> None:
    master = _systemd_master
    master.reset()
    retired = master.ca.fingerprint
    master.sh(breakage)

    refused(master, *messages, data=(f"retire_ca={retired}",))


def test_with_programs_that_cannot_do_it(untouched: Master) -> None:
    """busybox' first on the PATH of scripts; those that can do it are none the worse."""
    retired = untouched.ca.fingerprint
    programs = ("find", "grep", "tar", "xargs", "sort", "gzip", "sha256sum")
    untouched.sh(f"for p in {' '.join(programs)}; do ln -s /bin/busybox /opt/puppet/bin/$p; done")
    try:
        refused(
            untouched,
            "/opt/puppet/bin/find, the first find on the PATH, cannot list files with -printf",
            "/opt/puppet/bin/grep, the first grep on the PATH, cannot list files with names that",
            "/opt/puppet/bin/tar, the first tar on the PATH, cannot take names that end in NUL",
            "Install tar (1.15 or later), or put its directory before that one on the PATH",
            data=(f"retire_ca={retired}",),
            mode="--dry",
        )
        untouched.sh("cd /opt/puppet/bin && rm find grep tar")
        assert untouched.preview(retired).status == 0
    finally:
        untouched.sh(f"cd /opt/puppet/bin && rm -f {' '.join(programs)}")


def test_a_server_and_a_sudo_of_that_time(_init_master: Master, tmp_path: Path) -> None:
    """Each is told in one line, and a refusal names what the server offers."""
    run = _init_master.pyinfra("deploys/restore.py")
    assert run.status == 0, run.text
    (server,) = [line for line in run.stderr.splitlines() if "SHA-1 only" in line]
    assert "Its SSH server (OpenSSH_8.4" in server
    assert len([line for line in run.stderr.splitlines() if "requiretty" in line]) == 1

    inventory = tmp_path / "as_root.py"
    inventory.write_text(
        "from inventories.lab import lab_host\n"
        "master = [(n, {**d, 'ssh_user': 'root'}) for n, d in [lab_host('master-init')]]\n"
    )
    other = Master(_init_master.name, inventory).pyinfra("deploys/restore.py")
    assert other.status == 1
    assert "offers key exchange diffie-hellman-group-exchange-sha1, " in other.text
    assert "host keys ssh-rsa; " in other.text
    assert "logins publickey; signatures of keys ssh-ed25519" in other.text


def test_as_an_ordinary_user(init_master: Master, tmp_path: Path) -> None:
    retired = init_master.ca.fingerprint
    before = init_master.snapshot()
    inventory = tmp_path / "without_sudo.py"
    inventory.write_text(
        "from inventories.lab import lab_host\n"
        "master = [(name, {**data, '_sudo': False}) for name, data in [lab_host('master-init')]]\n"
    )
    init_master = Master(init_master.name, inventory)

    run = init_master.pyinfra("deploys/master.py", "-y", "--data", f"retire_ca={retired}")

    assert run.status == 1
    assert "add --sudo" in run.stderr
    assert init_master.snapshot() == before


def test_several_masters_in_the_inventory(untouched: Master, tmp_path: Path) -> None:
    inventory = tmp_path / "two.py"
    inventory.write_text(
        "from inventories.lab import lab_host\n"
        "master = [lab_host('master'), lab_host('master-init')]\n"
    )
    run = Master("master", inventory).pyinfra("deploys/master.py", "--dry")
    assert run.status == 1
    assert "must hold exactly one host, it holds master, master-init" in run.stderr


class TestNodeGroups:
    """An upgraded deployment must have classified its node groups."""

    GROUPS = "/etc/pe-lab/classifier-groups.json"

    def test_unclassified_they_forbid_it_whatever_is_declared(self, master: Master) -> None:
        retired = master.ca.fingerprint
        master.sh(f"sed -i 's/\"puppet_enterprise::profile::master\": {{}},//' {self.GROUPS}")
        refused(
            master,
            "PE Master (without class puppet_enterprise::profile::master)",
            data=(f"retire_ca={retired}", "pe_groups_classified=True"),
        )

    def test_unknown_they_have_to_be_declared(self, master: Master) -> None:
        retired = master.ca.fingerprint
        master.sh("systemctl stop pe-console-services")
        refused(
            master,
            "The classifier on port 4433 does not answer",
            "pe_groups_classified=True",
            data=(f"retire_ca={retired}",),
        )
        declared = master.preview(retired, "--data", "pe_groups_classified=True")
        assert declared.status == 0, declared.stderr
