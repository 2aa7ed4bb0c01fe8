"""Going back: a backup put back is the master as it was."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import lab
from tests.e2e.nodes import Site, statuses, why
from tests.e2e.site import BACKUPS, KILLING, SSLDIR, Master, assert_regenerated, short
from tests.unit.issuing_ca import IssuingCa, key_pem

PLACES = (
    f"{SSLDIR} /etc/puppetlabs/puppetdb/ssl /opt/puppet/share/console-services/certs "
    "/opt/puppet/share/puppet-dashboard/certs /opt/puppet/var/lib/pgsql/9.2/data/certs "
    "/etc/puppetlabs/puppet/puppet.conf"
)
EVERYTHING = (
    f"find {PLACES} -printf '%p %y %u:%g %m\\n' | sort;"
    f"find {PLACES} -type f -exec sha256sum {{}} + | sort"
)


def test_restored_it_is_as_it_was_and_can_be_regenerated_again(any_master: Master) -> None:
    retired = any_master.ca.fingerprint
    before = any_master.sh(EVERYTHING)
    assert any_master.regenerate(retired).status == 0
    replacement = any_master.ca.fingerprint
    (name,) = any_master.backups()
    restore = ("deploys/restore.py", "--json", "--data", f"backup={name}")

    preview = any_master.pyinfra(*restore, "--dry")
    run = any_master.pyinfra(*restore, "-y")

    assert run.status == 0, run.stderr
    assert run.changed == preview.planned
    assert len(run.changed) == 4
    assert any_master.sh(EVERYTHING) == before
    assert any_master.presented().issued_by(any_master.ca)
    assert any_master.pyinfra(*restore, "-y").changed == []
    # What it replaced can be restored as well.
    kept = [b for b in any_master.backups() if b != name]
    assert [b.rpartition("-")[2] for b in kept] == [short(replacement)]
    # And the old CA can be retired again; its backup is still good.
    again = any_master.regenerate(retired)
    assert again.status == 0, again.stderr
    assert "2.1 Back up the SSL directories" not in again.changed
    assert_regenerated(any_master, retired)


def test_a_preview_of_a_restoration_shows_both_cas_and_changes_nothing(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    assert master.regenerate(retired).status == 0
    (name,) = master.backups()
    before = master.snapshot()

    run = master.pyinfra("deploys/restore.py", "--dry", "--diff", "--data", f"backup={name}")

    assert run.status == 0
    assert f"- fingerprint: {master.ca.fingerprint}" in run.text
    assert f"+ fingerprint: {retired}" in run.text
    assert "- pe-puppetserver: running" in run.text
    conf = "/etc/puppetlabs/puppet/puppet.conf"
    assert f"{conf} goes back as well. It says what it does now" in " ".join(run.stderr.split())
    assert master.snapshot() == before

    # What somebody has put there since is in no backup.
    since = [f"{SSLDIR}/private_keys/{of}.pem" for of in ("web", "schl\u00fcssel", "back\\slash")]
    for path in since:
        master.sh(f"openssl genrsa -out '{path}' 2048")
    refused = master.pyinfra("deploys/restore.py", "--dry", "--data", f"backup={name}")
    assert refused.status == 1
    named = ", ".join(sorted(since))
    assert f"{named} is a key or certificate of somebody else's that came after" in refused.stderr


def test_agents_go_back_with_their_master_and_over_nobodys_key(tmp_path: Path) -> None:
    site = Site.of(tmp_path, "master", ("agent01", "agent02"))
    site.reset()
    retired = site.ca.fingerprint
    assert site.whole(retired).status == 0
    replacement = site.ca.fingerprint
    name = sorted(site.sh(f"ls {BACKUPS}").split())[0]
    # Both trust another CA as well, and that first; the one has a key of which that knows.
    other = IssuingCa("other-ca")
    trusted = f"{SSLDIR}/certs/ca.pem"
    site.on_all(f"cat - {trusted} >/root/ca.pem <<'E'\n{other.pem}E\ncat /root/ca.pem >{trusted}")
    shop = f"{SSLDIR}/shop \u00e4.pem"
    site.on("agent01", f"cat >'{shop}' <<'E'\n{key_pem('shop')}{other.issue('shop', 3)}E\n")
    back = ("deploys/restore.py", "-y", "--json", "--data", f"backup={name}")

    refused = site.pyinfra(*back)

    assert statuses(refused) == {"agent01": "failed", "agent02": "restored"}, refused.stderr
    assert f"{shop} is a key or certificate of somebody else's that came" in why(refused, "agent01")
    assert site.ca.fingerprint == retired
    assert site.certificate_of("agent02").issued_by(site.ca)

    site.on("agent01", f"rm '{shop}'")
    rest = site.pyinfra(*back)

    assert statuses(rest) == {"agent01": "restored", "agent02": "as it was"}, rest.stderr
    assert site.certificate_of("agent01").issued_by(site.ca)
    # What was replaced is known by the CA of the site.
    for agent in site.agents:
        kept = site.on(agent, f"cat {BACKUPS}/*-{short(replacement)}/manifest.json")
        assert json.loads(kept)["ca_fingerprint"] == replacement


def test_it_restores_what_a_broken_puppet_cannot_tell(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    before = master.sh(EVERYTHING)
    assert master.regenerate(retired).status == 0
    (name,) = master.backups()
    master.sh(f"echo 'junk [' >>/etc/puppetlabs/puppet/puppet.conf; rm -r {SSLDIR}")

    run = master.pyinfra("deploys/restore.py", "-y", "--data", f"backup={name}")

    assert run.status == 0, run.stderr
    assert "- [agent] junk [" in run.stderr
    assert master.sh(EVERYTHING) == before


def test_killed_after_every_step_in_turn_it_still_comes_to_its_end(serving: Master) -> None:
    """And each time what is left to do is one step less."""
    master, retired = serving, serving.ca.fingerprint
    before = master.sh(EVERYTHING)
    assert master.regenerate(retired).status == 0
    (name,) = master.backups()
    restore = ("deploys/restore.py", "--json", "--data", f"backup={name}")
    left = master.pyinfra(*restore, "--dry").planned
    assert len(left) == 4

    while len(left) > 1:
        killed = master.pyinfra(*restore, "-y", *KILLING, env={"KILL_AFTER": "1"})
        assert killed.status == -signal.SIGKILL, killed.stderr
        assert killed.planned == left
        assert killed.begun == left.pop(0)
    run = master.pyinfra(*restore, "-y")

    assert run.status == 0, run.stderr
    assert run.changed == left
    assert master.sh(EVERYTHING) == before
    assert master.presented().issued_by(master.ca)
    assert master.ca.fingerprint == retired
    assert len(master.backups()) == 2


def test_without_a_name_it_lists_the_backups(serving: Master) -> None:
    master = serving
    assert "No backups" in master.pyinfra("deploys/restore.py").text
    retired = master.ca.fingerprint
    assert master.regenerate(retired).status == 0

    run = master.pyinfra("deploys/restore.py")

    assert run.status == 0
    (name,) = master.backups()
    assert name in run.text and retired in run.text and "good" in run.text


def test_a_damaged_or_unknown_backup_is_refused(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    led, moved = "/etc/puppetlabs/puppetdb/ssl", "/opt/puppet/share/console-services/certs"
    master.sh(f"mv {led} /srv/puppetdb-ssl; ln -s /srv/puppetdb-ssl {led}")
    assert master.regenerate(retired).status == 0
    (name,) = master.backups()
    before, running = master.sh(EVERYTHING), master.running()

    # What would end it half way is known beforehand.
    conf = "/etc/puppetlabs/puppet/puppet.conf"
    unchangeable = f"{SSLDIR}/ca/signed {conf}"
    lab.run("master", f"chattr +i {unchangeable}", privileged=True)
    try:
        stuck = master.pyinfra("deploys/restore.py", "-y", "--data", f"backup={name}")
    finally:
        lab.run("master", f"chattr -i {unchangeable}", privileged=True)
    assert stuck.status == 1
    said = " ".join(stuck.stderr.split())
    assert f"{SSLDIR}/ca/signed, {conf} cannot be changed, and so not be deleted" in said
    assert (master.sh(EVERYTHING), master.running()) == (before, running)

    # So is that somebody else could lead root elsewhere, and that the archive has another place.
    for change, undone, message in (
        (
            f"chown -h pe-puppetdb {led}",
            f"chown -h root {led}",
            f"{led} is a link that is not root's. Give it to root",
        ),
        (
            f"mv {moved} /srv/moved; ln -s /srv/moved {moved}",
            f"rm {moved}; mv /srv/moved {moved}",
            f"The backup holds {moved}, where nothing of it lies any more: {moved} leads to "
            "/srv/moved",
        ),
    ):
        master.sh(change)
        there = master.snapshot()
        refused = master.pyinfra("deploys/restore.py", "-y", "--data", f"backup={name}")
        assert (refused.status, master.snapshot()) == (1, there)
        assert message in " ".join(refused.stderr.split())
        master.sh(undone)
    assert (master.sh(EVERYTHING), master.running()) == (before, running)

    # So is that the backup lies in what it would empty.
    master.sh(f"cp -a {BACKUPS} {SSLDIR}/kept; ln -s {SSLDIR}/kept /srv/led")
    for place in (f"{SSLDIR}/kept", "/srv/led"):
        words = ("--data", f"backup={name}", "--data", f"backup_dir={place}")
        within = master.pyinfra("deploys/restore.py", "-y", *words)
        assert within.status == 1
        assert f"backup_dir ({place}) lies inside {SSLDIR}" in " ".join(within.stderr.split())
    master.sh(f"rm -r {SSLDIR}/kept /srv/led")
    assert (master.sh(EVERYTHING), master.running()) == (before, running)

    master.sh(f"echo x >>/var/lib/pe-recert/backups/{name}/archive.tar")
    before = master.snapshot()

    for value, message in (
        (name, "is damaged"),
        ("20150101T000000Z-aaaa", "There is no backup"),
        ("../../etc", "is not the name of a backup"),
        ("$(touch /root/owned)", "is not the name of a backup"),
    ):
        run = master.pyinfra("deploys/restore.py", "-y", "--data", f"backup={value}")
        assert run.status == 1
        assert message in run.stderr
    assert "damaged" in master.pyinfra("deploys/restore.py").text
    assert master.snapshot() == before
    master.sh(f"rm {led}; mv /srv/puppetdb-ssl {led}")
