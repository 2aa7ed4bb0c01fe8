"""Step 6 on real agents, whose master has a new CA: what is renewed, and who is left alone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import lab
from recert.certificates import read_certificate, read_request
from tests.e2e.nodes import (
    SUMMARY,
    Site,
    assert_killed_in_each_step,
    assert_renewed,
    digest_of_request,
    reported,
    statuses,
    why,
)
from tests.e2e.site import BACKUPS, KILLING, RUN_LOCK, SSLDIR, Master, until_no_run
from tests.e2e.test_master import counted_starts, starts, wrapped_puppet

AGENTS = ("agent01", "agent02", "agent03", "agent04", "agent05")
PUPPET = "/opt/puppet/bin/puppet"


@pytest.fixture(scope="module")
def retired_and_site(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Site]:
    """A site whose master has been regenerated and whose agents have not."""
    site = Site.of(tmp_path_factory.mktemp("inventories"), "master", AGENTS)
    site.reset()
    return site.retire_ca(), site


@pytest.fixture
def retired(retired_and_site: tuple[str, Site]) -> str:
    return retired_and_site[0]


@pytest.fixture
def site(retired_and_site: tuple[str, Site]) -> Iterator[Site]:
    site = retired_and_site[1]
    site.set_back()
    yield site
    for agent in AGENTS:
        lab.mend(agent)
    site.sh(f"rm -rf {SSLDIR}/ca/requests/* {BACKUPS}/requests")


def fresh(site: Site) -> list[str]:
    """The names that the new CA has signed for nodes."""
    return [n for n in site.sh(f"ls {SSLDIR}/ca/signed").split() if n.startswith(("agent", "str"))]


def test_all_agents_are_renewed_and_nobody_else(site: Site, retired: str) -> None:
    before = {agent: site.certificate_of(agent) for agent in AGENTS}
    site.submit("agent01", "stranger.lab.test")

    preview = site.preview_renewal(retired)
    run = site.renew(retired)

    assert run.status == 0, run.stderr
    assert run.changed == preview.planned
    assert len(run.changed) == 10
    assert "6.4 Delete the agent's SSL directory: 5 of 5 agents" in run.stderr
    assert set(statuses(run).values()) == {"renewed"}
    assert run.changes == preview.plan
    assert_renewed(site)
    assert site.certificate_of("agent05").alt_names == before["agent05"].alt_names
    assert site.certificate_of("agent01").alt_names <= {"agent01.lab.test"}
    assert sorted(fresh(site)) == sorted(f"{site.certname_of(a)}.pem" for a in AGENTS)
    (foreign,) = reported(run)["foreign_requests"]
    held = read_request(site.sh(f"cat {SSLDIR}/ca/requests/stranger.lab.test.pem"))
    assert held is not None
    assert foreign == {"certname": "stranger.lab.test", "digest": held.digest}
    for agent in AGENTS:
        modes = site.on(agent, f"stat -c '%U %a' {BACKUPS} {BACKUPS}/*/*")
        assert set(modes.splitlines()) == {"root 700", "root 600"}
        archived = site.on(agent, f"tar -xOf {BACKUPS}/*/archive.tar {SSLDIR[1:]}/certs/ca.pem")
        trusted = read_certificate(archived)
        assert trusted is not None and trusted.fingerprint == retired

    again = site.renew(retired)
    assert again.status == 0
    assert again.changed == []
    assert set(statuses(again).values()) == {"already fresh"}


def test_unfit_agents_are_refused_and_the_others_go_on(site: Site, retired: str) -> None:
    conf = "/etc/puppetlabs/puppet/puppet.conf"
    site.on("agent01", f"sed -i 's/^\\( *server *= *\\).*/\\1old-puppet.lab.test/' {conf}")
    site.on("agent02", f"{PUPPET} agent --disable 'being repaired'")
    site.on("agent03", "mv /opt/puppet/bin/puppet /opt/puppet/bin/mislaid")
    site.on(
        "agent04",
        "printf '%s\\n' '#!/bin/sh' 'exec /bin/date -d \"10 minutes ago\" \"$@\"'"
        " >/opt/puppet/bin/date; chmod 755 /opt/puppet/bin/date",
    )
    before = {agent: site.state_of(agent) for agent in AGENTS[:4]}
    try:
        run = site.renew(retired)
    finally:
        site.on("agent03", "mv /opt/puppet/bin/mislaid /opt/puppet/bin/puppet")
        site.on("agent04", "rm /opt/puppet/bin/date")

    assert run.status == 1
    assert statuses(run) == {**dict.fromkeys(AGENTS[:4], "failed"), "agent05": "renewed"}
    assert "old-puppet.lab.test" in why(run, "agent01")
    certnames = {entry["host"]: entry["certname"] for entry in reported(run)["agents"]}
    assert certnames["agent01"] == "agent01.lab.test"
    assert "dns_alt_names=master.lab.test,puppet,puppet.lab.test,old-puppet" in why(run, "agent01")
    assert "being repaired" in why(run, "agent02")
    assert "no `puppet`" in why(run, "agent03")
    assert why(run, "agent04").count("UTC") == 2
    assert {agent: site.state_of(agent) for agent in AGENTS[:4]} == before
    assert_renewed(site, "agent05")
    warned = site.pyinfra("deploys/master.py", "--dry", "--data", f"retire_ca={retired}")
    assert "old-puppet.lab.test" in warned.stderr


def test_a_request_of_somebody_else_under_an_agents_name(site: Site, retired: str) -> None:
    site.submit("agent01", "agent02.lab.test")
    limit = ("--limit", "agent02", "--limit", "agent03")
    strangers = digest_of_request(site, f"{SSLDIR}/ca/requests/agent02.lab.test.pem")

    preview = site.preview_renewal(retired, *limit)
    assert preview.status == 0, preview.stderr
    assert "agent02.lab.test that is not this agent's" in preview.stderr
    run = site.renew(retired, *limit)

    assert run.status == 0, run.stderr
    assert statuses(run) == {"agent02": "renewed", "agent03": "renewed"}
    assert_renewed(site, "agent02")
    assert strangers in why(run, "agent02") and "find out who sent it" in why(run, "agent02")
    kept = site.sh(f"ls {BACKUPS}/requests/agent02.lab.test.*").split()
    assert [digest_of_request(site, path) for path in kept] == [strangers]
    assert site.sh(f"stat -c %a%U {BACKUPS}/requests").strip() == "700root"


FIRST_TO_ASK = (
    "/opt/puppet/real/puppet agent --test --waitforcert 0 --ssldir /tmp/stranger"
    " --vardir /tmp/stranger/var >/dev/null 2>&1"
)


@pytest.mark.parametrize("again", [False, True], ids=["once", "again and again"])
def test_a_request_that_comes_first_while_the_agent_is_being_renewed(
    site: Site, retired: str, again: bool
) -> None:
    # In the agent's place: its own request meets one that is there already.
    unless = "" if again else "[ -e /tmp/stranger ] ||"
    site.on(
        "agent02",
        "mkdir /opt/puppet/real; mv /opt/puppet/bin/puppet /opt/puppet/real/;"
        f" printf '%s\n' '#!/bin/sh' 'if [ \"$1\" = agent ]; then {unless} {FIRST_TO_ASK}; fi'"
        " 'exec /opt/puppet/real/puppet \"$@\"' >/opt/puppet/bin/puppet;"
        " chmod 755 /opt/puppet/bin/puppet; rm -rf /tmp/stranger",
    )
    try:
        run = site.renew(retired, "--limit", "agent02")
    finally:
        site.on("agent02", "mv /opt/puppet/real/puppet /opt/puppet/bin/; rmdir /opt/puppet/real")

    if again:
        assert run.status == 1
        assert statuses(run) == {"agent02": "failed"}
        assert "that is not this agent's" in why(run, "agent02")
        assert "agent02.lab.test.pem" not in fresh(site)
        run = site.renew(retired, "--limit", "agent02")
    assert run.status == 0, run.stderr
    assert statuses(run) == {"agent02": "renewed"}
    assert "find out who sent it" in why(run, "agent02")
    assert_renewed(site, "agent02")


def test_the_states_that_a_crash_leaves(site: Site, retired: str) -> None:
    own = {agent: site.certname_of(agent) for agent in AGENTS}
    ca = site.sh(f"cat {SSLDIR}/ca/ca_crt.pem")
    place = f"mkdir -p {SSLDIR}/certs; cat >{SSLDIR}/certs/ca.pem <<'E'\n{ca}E\n"
    new_ca = f"service pe-puppet stop; rm -rf {SSLDIR}/*; {place}"
    ask = f"{PUPPET} agent --test --waitforcert 0 >/dev/null 2>&1; true"
    # The master knows nothing of its request.
    site.on("agent01", new_ca)
    lab.cut("agent01")
    site.on("agent01", ask)
    lab.mend("agent01")
    kept, requests = f"{SSLDIR}/private_keys/{own['agent01']}.pem", f"{SSLDIR}/certificate_requests"
    site.on(
        "agent01",
        f"mkdir -p {requests}; openssl req -new -key {kept} -subj /CN={own['agent01']}"
        f" -out {requests}/{own['agent01']}.pem",
    )
    key = site.on("agent01", f"sha256sum {SSLDIR}/private_keys/{own['agent01']}.pem")
    # The certificate of another key is cached under its name.
    wrong = site.sh(f"cat {SSLDIR}/certs/pe-internal-dashboard.pem")
    site.on(
        "agent02",
        f"{new_ca} {ask}; {ask}; cat >{SSLDIR}/certs/{own['agent02']}.pem <<'E'\n{wrong}E\n",
    )
    # Everything is empty.
    site.on("agent03", f"find {SSLDIR} -type f -exec sh -c ': >\"$1\"' - {{}} \\;")
    # Nothing at all.
    site.on("agent04", f"service pe-puppet stop; rm -rf {SSLDIR}")
    # A lock of nobody's, and an old success.
    site.on("agent05", f"service pe-puppet stop; echo 1 >{RUN_LOCK}")
    assert "config: " in site.on("agent05", f"cat {SUMMARY}")

    preview = site.preview_renewal(retired)
    run = site.renew(retired)

    assert run.status == 0, run.stderr
    assert set(statuses(run).values()) == {"renewed"}
    assert run.changes == preview.plan
    assert site.on("agent01", f"sha256sum {SSLDIR}/private_keys/{own['agent01']}.pem") != key
    site.on_all("service pe-puppet start")
    assert_renewed(site)


def test_an_ssldir_that_is_a_link_or_a_mount_point(site: Site, retired: str) -> None:
    site.on(
        "agent01",
        f"mkdir -p /srv/elsewhere && mv {SSLDIR} /srv/elsewhere/ssl"
        f" && echo keep >/srv/elsewhere/file && ln -s /srv/elsewhere/ssl {SSLDIR}",
    )
    site.on(
        "agent02",
        "mkdir -p /srv/precious && echo keep >/srv/precious/file"
        f" && ln -s /srv/precious {SSLDIR}/extra",
    )
    site.on(
        "agent03",
        f"rm -rf /srv/shared && mv {SSLDIR} /srv/shared && echo keep >/srv/shared/notes"
        f" && ln -s /srv/shared {SSLDIR}",
    )
    mount = f"mv {SSLDIR} /srv/mounted && mkdir {SSLDIR} && mount --bind /srv/mounted {SSLDIR}"
    lab.run("agent04", mount, privileged=True)
    nested = f"{SSLDIR}/private_keys"
    lab.run(
        "agent05",
        f"cp -a {nested} '/srv/a copy'; echo keep >'/srv/a copy/file';"
        f" mount --bind '/srv/a copy' {nested}",
        privileged=True,
    )
    # A CA of its own, elsewhere: nobody has named that one.
    conf = "/etc/puppetlabs/puppet/puppet.conf"
    site.on("agent04", "mkdir /srv/ca; echo keep >/srv/ca/ca_key.pem")
    site.on("agent04", f"sed -i '/^ *\\[main\\]/a cadir = /srv/ca' {conf}")
    refused = ("agent02", "agent03", "agent05")
    before = {agent: site.state_of(agent) for agent in refused}

    run = site.renew(retired)

    assert statuses(run) == {
        "agent01": "renewed",
        "agent02": "failed",
        "agent03": "failed",
        "agent04": "renewed",
        "agent05": "failed",
    }
    assert "/srv/precious" in why(run, "agent02")
    assert "notes" in why(run, "agent03")
    assert f"{nested} is a mount point within {SSLDIR}" in why(run, "agent05")
    assert {agent: site.state_of(agent) for agent in refused} == before
    assert site.on("agent04", "cat /srv/ca/*") == "keep\n"
    assert site.on("agent01", f"readlink {SSLDIR}; cat /srv/elsewhere/file").split() == [
        "/srv/elsewhere/ssl",
        "keep",
    ]
    site.on("agent04", f"mountpoint {SSLDIR}")
    assert_renewed(site, "agent01", "agent04")
    site.on("agent01", f"rm {SSLDIR}; mv /srv/elsewhere/ssl {SSLDIR}")
    unmount = f"umount {SSLDIR}; rmdir {SSLDIR}; mv /srv/mounted {SSLDIR}"
    lab.run("agent04", unmount, privileged=True)
    lab.run("agent05", f"umount {nested}; rm -r '/srv/a copy'", privileged=True)


def test_a_disk_that_is_full(site: Site, retired: str) -> None:
    # What a deletion frees is taken at once.
    def filled(once: str) -> str:
        return (
            f"setsid sh -c 'until {once}; do sleep 0.05; done; while [ ! -e /tmp/enough ];"
            " do cat /dev/zero >>/dev/shm/fill 2>/dev/null; sleep 0.05; done; rm /dev/shm/fill'"
            " >/dev/null 2>&1 </dev/null &"
        )

    freed = "touch /tmp/enough; while [ -e /dev/shm/fill ]; do sleep 0.1; done"
    site.on("agent01", f"rm -f /tmp/enough; {filled('true')}")
    emptied = filled(f"[ ! -e {SSLDIR}/certs/ca.pem ]")
    site.on(
        "agent02",
        f"mv {SSLDIR} /dev/shm/ssl && ln -s /dev/shm/ssl {SSLDIR}; rm -f /tmp/enough; {emptied}",
    )
    before = site.state_of("agent01")

    refused = site.renew(retired, "--limit", "agent01", "--data", "backup_dir=/dev/shm/backups")
    failed = site.renew(retired, "--limit", "agent02")

    assert (refused.status, failed.status) == (1, 1)
    assert "Free some room" in why(refused, "agent01")
    assert site.state_of("agent01") == before
    assert why(failed, "agent02").startswith("6.")
    full = why(site.renew(retired, "--limit", "agent02"), "agent02")
    assert full.startswith(f"before the first change: {SSLDIR} has 0 KiB free: new credentials")
    site.on_all(freed, ("agent01", "agent02"))
    assert site.renew(retired, "--limit", "agent02").status == 0
    assert_renewed(site, "agent02")
    site.on("agent02", f"rm {SSLDIR}; mv /dev/shm/ssl {SSLDIR}")


def test_a_master_that_stops_after_the_preview(site: Site, retired: str) -> None:
    before = {agent: site.state_of(agent) for agent in AGENTS}

    run = site.pyinfra(
        *("deploys/agents.py", "-y", "--json", "--data", f"retire_ca={retired}"),
        *("--config", "tests/e2e/before_run.py"),
        env={"BEFORE_RUN": "systemctl stop pe-puppetserver"},
    )

    assert run.status == 1
    assert set(statuses(run).values()) == {"failed"}
    assert all("does not answer on port 8140" in why(run, agent) for agent in AGENTS)
    assert {agent: site.state_of(agent) for agent in AGENTS} == before
    site.sh("systemctl start pe-puppetserver")


def test_a_master_that_cannot_sign(site: Site, retired: str) -> None:
    site.sh(
        f"mkdir -p /opt/mislaid; mv {PUPPET} /opt/mislaid/; printf '%s\\n' '#!/bin/sh'"
        ' \'case $* in *"cert sign"*) echo "Error: out of numbers" >&2; exit 24 ;; esac\''
        f" 'exec /opt/mislaid/puppet \"$@\"' >{PUPPET}; chmod 755 {PUPPET}"
    )
    agents = ("--limit", "agent01", "--limit", "agent02")
    try:
        run = site.renew(retired, *agents)
    finally:
        site.sh(f"mv /opt/mislaid/puppet {PUPPET}")

    assert run.status == 1
    assert statuses(run) == dict.fromkeys(AGENTS[:2], "failed")
    assert why(run, "agent02").startswith("6.7") and "out of numbers" in why(run, "agent02")
    assert fresh(site) == []
    # An agent that nobody vouches for is not let loose on the master.
    assert not site.on("agent01", "service pe-puppet status >/dev/null && echo runs; true")
    assert site.renew(retired, *agents).status == 0
    assert_renewed(site, *AGENTS[:2])


def test_a_request_that_puppet_does_not_sign_keeps_nobody_elses_from_it(
    site: Site, retired: str
) -> None:
    # Where its certificate would be written, nothing can be.
    in_the_way = f"ln -s /nowhere/at/all {SSLDIR}/ca/signed/agent01.lab.test.pem"
    site.sh(
        f"""
        mkdir /opt/puppet/real && mv {PUPPET} /opt/puppet/real/
        cat >{PUPPET} <<'END'
#!/bin/sh
[ "$1 $2" != "cert sign" ] || {in_the_way} 2>/dev/null
exec /opt/puppet/real/puppet "$@"
END
        chmod 755 {PUPPET}
        """
    )
    agents = ("--limit", "agent01", "--limit", "agent02", "--limit", "agent03")
    try:
        run = site.renew(retired, *agents)
    finally:
        site.sh(
            f"mv /opt/puppet/real/puppet {PUPPET}; rmdir /opt/puppet/real;"
            f" rm -f {SSLDIR}/ca/signed/agent01.lab.test.pem"
        )

    assert run.status == 1
    assert statuses(run) == {"agent01": "failed", "agent02": "renewed", "agent03": "renewed"}
    assert "did not sign agent01.lab.test" in why(run, "agent01")
    assert "agent01.lab.test.pem" not in fresh(site)
    assert_renewed(site, "agent02", "agent03")


def test_a_puppet_run_in_progress_is_let_finish_first(site: Site, retired: str) -> None:
    only = ("--limit", "agent03")
    assert site.renew(retired, *only).status == 0
    # It lasts until step 6.1 is over, and some seconds longer.
    begin = (
        f"{until_no_run()}; rm -f /tmp/over;"
        f" echo 'until [ $(ls {BACKUPS}/2*/manifest.json | wc -l) -ge 2 ]; do sleep 0.2; done;"
        " sleep 5; touch /tmp/over' >/tmp/slow;"
        f" (setsid {PUPPET} agent --test >/tmp/run.log 2>&1 </dev/null &);"
        " for i in $(seq 300); do pgrep -f /tmp/slow$ >/dev/null && break; sleep 0.2; done"
    )
    with site.applying('exec { "/bin/sh /tmp/slow": timeout => 300 }'):
        site.on("agent03", begin)
        run = site.replace(site.certificate_of("agent03").fingerprint, *only)

    assert run.status == 0, run.stderr
    assert "waiting for the Puppet run in progress to end" in run.stderr
    assert "Applied catalog" in site.on("agent03", "ls /tmp/over; cat /tmp/run.log")
    assert_renewed(site, "agent03")


def test_an_agent_whose_first_run_fails(site: Site, retired: str) -> None:
    agents = ("--limit", "agent01", "--limit", "agent02")
    with site.applying("node 'agent02.lab.test' { fail('it is broken') } node default { }"):
        run = site.renew(retired, *agents)

    assert run.status == 1
    assert statuses(run) == {"agent01": "renewed", "agent02": "failed"}
    assert why(run, "agent02").startswith("6.7 Prove") and "it is broken" in why(run, "agent02")
    rest = site.renew(retired, *agents)
    assert rest.status == 0, rest.stderr
    assert statuses(rest) == {"agent01": "already fresh", "agent02": "renewed"}
    assert_renewed(site, *AGENTS[:2])


def test_a_master_that_could_not_sign_is_found_out_first(site: Site, retired: str) -> None:
    signed, only = f"{SSLDIR}/ca/signed", ("--limit", "agent01")
    before = site.state_of("agent01")
    lab.run("master", f"chattr +i {signed}", privileged=True)
    try:
        preview, run = site.preview_renewal(retired, *only), site.renew(retired, *only)
    finally:
        lab.run("master", f"chattr -i {signed}", privileged=True)

    assert (preview.status, run.status) == (1, 1)
    for told in (preview, run):
        assert f"The master could not sign: {signed} cannot be changed" in told.stderr
    assert statuses(run) == {"agent01": "failed"}
    assert site.state_of("agent01") == before


def test_a_service_that_ends_before_its_first_run_is_started_again(
    site: Site, retired: str
) -> None:
    """As Puppet's does where it cannot fetch the CRL in the moment in which it is started."""
    end = f"until [ -s {RUN_LOCK} ]; do :; done; kill -9 $(cat /run/pe-puppet/agent.pid)"
    site.on("agent02", ": >/root/ends")
    with wrapped_puppet(
        "agent02",
        'if [ "$*" = agent ] && [ -e /root/ends ]; then rm /root/ends;'
        f" (setsid sh -c '{end}' </dev/null >/dev/null 2>&1 &) fi",
    ):
        run = site.renew(retired, "--limit", "agent02")
    ended = site.on("agent02", "ls /root/ends 2>/dev/null; true") == ""

    assert ended and run.status == 0, run.stderr
    assert_renewed(site, "agent02")


def test_an_agent_that_cannot_reach_its_master_and_one_that_is_off(
    site: Site, retired: str
) -> None:
    lab.cut("agent01")
    lab.switch_off("agent02")
    try:
        run = site.renew(retired)
    finally:
        lab.mend("agent01")
        lab.switch_on("agent02")

    assert run.status == 1
    assert statuses(run) == {
        "agent01": "failed",
        "agent02": "unreachable",
        **dict.fromkeys(AGENTS[2:], "renewed"),
    }
    assert "Network is unreachable" in why(run, "agent01"), "Puppet's own message is missing"

    rest = site.renew(retired)

    assert rest.status == 0, rest.stderr
    assert statuses(rest) == {
        **dict.fromkeys(AGENTS[:2], "renewed"),
        **dict.fromkeys(AGENTS[2:], "already fresh"),
    }
    assert_renewed(site)


def test_killed_after_each_operation_and_run_again(site: Site, retired: str) -> None:
    agents = ("--limit", "agent01", "--limit", "agent04")
    assert_killed_in_each_step(site, retired, *agents)
    assert_renewed(site, "agent01", "agent04")


def test_killed_before_the_run_orchestration_still_comes_back(site: Site, retired: str) -> None:
    agent, noted = ("--limit", "agent03"), f"{BACKUPS}/stopped"
    planned = site.preview_renewal(retired, *agent).planned
    started = planned.index("6.6 Start the services that ran before") + 1
    killed = site.pyinfra(
        "deploys/agents.py",
        *("-y", "--json", "--data", f"retire_ca={retired}", *agent, *KILLING),
        env={"KILL_AFTER": str(started)},
    )
    assert killed.status == -signal.SIGKILL, killed.stderr
    assert site.on("agent03", f"cat {noted}; stat -c %a {noted}") == "pe-mcollective\n600\n"
    site.on("agent03", "service pe-mcollective stop")

    rest = site.renew(retired, *agent)

    assert rest.status == 0, rest.stderr
    assert_renewed(site, "agent03")
    assert not site.on("agent03", f"ls {noted}", check=False)


def test_a_service_that_did_not_run_stays_stopped(site: Site, retired: str) -> None:
    site.on("agent02", "service pe-puppet stop; service pe-mcollective stop")
    site.on("agent03", "service pe-mcollective stop")

    run = site.renew(retired, "--limit", "agent02", "--limit", "agent03")

    assert run.status == 0, run.stderr
    assert_renewed(site, "agent02", services=())
    assert_renewed(site, "agent03", services=("pe-puppet",))
    site.on_all("service pe-puppet start; service pe-mcollective start", ("agent02", "agent03"))


def test_a_slow_agent_holds_nobody_up(site: Site, retired: str) -> None:
    slow = "/opt/puppet/bin/find"
    site.on(
        "agent01",
        f"printf '%s\\n' '#!/bin/sh' 'case $* in *\"1 -type d -delete\"*) sleep 35 ;; esac' "
        f"'exec /usr/bin/find \"$@\"' >{slow}; chmod 755 {slow}",
    )
    try:
        run = site.renew(retired, "--config", "tests/e2e/impatient.py")
    finally:
        site.on("agent01", f"rm {slow}")

    assert run.status == 1
    assert statuses(run) == {"agent01": "failed", **dict.fromkeys(AGENTS[1:], "renewed")}
    assert why(run, "agent01").startswith("6.4")
    # What was still at work there is waited for.
    assert site.renew(retired, "--limit", "agent01").status == 0
    assert_renewed(site, "agent01")


def test_alt_names_that_the_agent_did_not_have_before(site: Site, retired: str) -> None:
    site.on(
        "agent01",
        "sed -i '/^\\[main\\]/a dns_alt_names = puppet' /etc/puppetlabs/puppet/puppet.conf",
    )

    run = site.renew(retired, "--limit", "agent01")

    assert run.status == 1
    assert statuses(run) == {"agent01": "waiting for a signature"}
    asked_for = f"{SSLDIR}/ca/requests/agent01.lab.test.pem"
    approved = f"approved_requests={digest_of_request(site, asked_for)}"
    assert f"add --data {approved}, and this request is signed as it is" in why(run, "agent01")
    assert fresh(site) == []
    assert "pe-puppet" in site.state_of("agent01").split()
    rest = site.renew(retired, "--limit", "agent01", "--data", approved)
    assert rest.status == 0, rest.stderr
    assert site.certificate_of("agent01").alt_names == {"agent01.lab.test", "puppet"}
    assert_renewed(site, "agent01")


def test_nothing_is_carried_over_of_what_was_signed_since_the_ca_was_compromised(
    site: Site, retired: str
) -> None:
    had = site.certificate_of("agent05").alt_names - {"agent05.lab.test"}
    assert had
    since = ("--limit", "agent05", "--data", "compromised_since=2015-11-23")
    told = "nothing of it is carried over: " + ", ".join(sorted(had))

    preview = site.preview_renewal(retired, *since)
    run = site.renew(retired, *since)

    assert told in " ".join(preview.stderr.split())
    assert run.status == 1
    assert statuses(run) == {"agent05": "waiting for a signature"}
    names = ", ".join(sorted(had))
    assert f"carries the alt names {names}. It may have none" in why(run, "agent05")
    assert fresh(site) == []
    # What was signed before is worth what it was.
    rest = site.renew(retired, "--limit", "agent05", "--data", "compromised_since=2100-01-01")
    assert rest.status == 0, rest.stderr
    assert site.certificate_of("agent05").alt_names == had | {"agent05.lab.test"}


def test_the_master_among_the_agents(site: Site, retired: str, tmp_path: Path) -> None:
    before = site.state_of("agent01")
    both = Site.of(tmp_path, "master", ("master", "agent01"))
    credentials = site.snapshot([SSLDIR])
    as_agent = both.renew(retired)
    assert as_agent.status == 1
    assert "is the master, and among the agents as well" in as_agent.stderr
    assert site.snapshot([SSLDIR]) == credentials
    assert site.state_of("agent01") == before


def test_without_a_ca_to_retire_nothing_happens(site: Site, retired: str) -> None:
    before = {agent: site.state_of(agent) for agent in AGENTS}

    run = site.pyinfra("deploys/agents.py", "-y")
    wrong = site.renew("AB" * 32)
    new = site.renew(site.ca.fingerprint)

    assert (run.status, wrong.status, new.status) == (1, 1, 1)
    assert f"deploys/agents.py --data retire_ca={retired}" in run.stderr
    assert "neither the CA that this agent trusts" in wrong.stderr
    assert "still has the CA to retire" in new.stderr
    assert {agent: site.state_of(agent) for agent in AGENTS} == before


def test_the_preview_tells_what_each_agent_will_undergo(site: Site, retired: str) -> None:
    old, new = site.certificate_of("agent05"), site.ca

    run = site.pyinfra("deploys/agents.py", "--dry", "--diff", "--data", f"retire_ca={retired}")

    assert run.status == 0, run.stderr
    assert f"- fingerprint: {old.fingerprint}" in run.text
    assert f"+ fingerprint: {new.fingerprint}" in run.text
    assert (
        "alt names:   DNS:agent05-alias.lab.test, DNS:agent05.lab.test, DNS:www.lab.test"
        in run.text
    )
    assert "PRIVATE KEY" not in run.text
    assert "Looked at 5 of 5 agents" in run.stderr
    assert "5 to be renewed" in run.stderr


def test_puppet_starts_at_most_four_times_on_an_agent(site: Site, retired: str) -> None:
    agents = ("agent01", "agent05")  # the one without alternative names, the other with
    watched = [Master(name, site.inventory) for name in ("master", *agents)]
    with ExitStack() as counting:
        for host in watched:
            counting.enter_context(counted_starts(host))
        run = site.renew(retired, "--limit", "agent01", "--limit", "agent05")
        on_master, *on_agents = [starts(host) for host in watched]

    assert run.status == 0, run.stderr
    for found in on_agents:
        assert len(found) <= 4, found
    assert len([line for line in on_master if line.startswith("cert")]) == 1
    assert len([line for line in on_master if line.startswith("config")]) == 1


def assert_turned_away(said: str) -> None:
    """A run with a stolen certificate has had no catalog. The alert that says why is lost where the
    connection is reset before the client has read it."""
    assert "Could not retrieve catalog" in said, said
    assert "certificate revoked" in said or "Connection reset by peer" in said, said


def test_a_few_certificates_only(site: Site, retired: str, tmp_path: Path) -> None:
    agents = ("--exclude", "agent04", "--exclude", "agent05")
    assert site.renew(retired, *agents).status == 0
    first, other, third = (site.certificate_of(agent) for agent in AGENTS[:3])
    named = f"{first.fingerprint},{third.fingerprint}"
    site.on("agent01", f"cp -a {SSLDIR} /root/stolen")

    unnamed = site.pyinfra("deploys/replace.py", "-y", "--limit", "agent01", "--limit", "agent02")
    assert unnamed.status == 1
    assert f"--limit agent01 --dry --diff --data retire_certs={first.fingerprint}" in (
        unnamed.stderr.replace("\n", "")
    )
    # Nobody is asked whether to begin what is nothing.
    without = site.pyinfra("deploys/replace.py", "--limit", "agent01", "--limit", "agent02")
    assert without.status == 1
    assert "no certificate to retire is named. Which ones the agents have" in without.text
    assert "Press enter" not in without.text
    unknown = site.replace("AB" * 32, *agents)
    assert unknown.status == 1 and "the certificate of no agent of this run" in unknown.stderr
    preview = site.preview_replacement(named, *agents)
    run = site.replace(named, *agents)

    assert run.status == 0, run.stderr
    assert run.changes == preview.plan
    assert statuses(run) == {
        "agent01": "renewed",
        "agent02": "already fresh",
        "agent03": "renewed",
    }
    assert site.certificate_of("agent01").key != first.key
    assert site.certificate_of("agent03").key != third.key
    assert site.certificate_of("agent02") == other
    assert_renewed(site, *AGENTS[:3])
    stolen = site.on(
        "agent01",
        f"{PUPPET} agent --test --ssldir /root/stolen --vardir /tmp/stolen 2>&1 | tail -n 20",
        check=False,
    )
    assert_turned_away(stolen)
    again = site.replace(named, *agents)
    assert again.status == 0 and again.changed == []

    second = site.certificate_of("agent01")
    killed = site.pyinfra(
        "deploys/replace.py",
        *("-y", "--json", "--data", f"retire_certs={second.fingerprint}", *agents, *KILLING),
        env={"KILL_AFTER": "2"},
    )
    assert killed.status == -9
    rest = site.replace(second.fingerprint, *agents)
    assert rest.status == 0, rest.stderr
    assert not any("Revoke" in name for name in rest.changed)
    assert_renewed(site, "agent01")

    # Who cannot be looked at holds nobody up.
    newest, absent = site.certificate_of("agent01"), site.certificate_of("agent03")
    site.on("agent03", f"mv {PUPPET} {PUPPET}.mislaid")
    part = site.replace(f"{newest.fingerprint},{absent.fingerprint}", *agents)
    site.on("agent03", f"mv {PUPPET}.mislaid {PUPPET}")
    assert part.status == 1
    assert statuses(part) == {
        "agent01": "renewed",
        "agent02": "already fresh",
        "agent03": "failed",
    }
    assert f"retire_certs={absent.fingerprint} stays valid" in part.stderr.replace("\n", "")
    assert_renewed(site, "agent01")

    # Nor does one that goes by another name, which no data contradict, so as not to be found.
    newest, hidden = site.certificate_of("agent01"), site.certificate_of("agent03")
    conf = "/etc/puppetlabs/puppet/puppet.conf"
    renamed = f"{PUPPET} config set --section main certname agent03"
    site.on("agent03", f"cp {conf} /root/; {renamed}")
    names = {agent: agent for agent in ("agent01", "agent03")}
    part = Site.under_aliases(tmp_path, "master", names).replace(
        f"{newest.fingerprint},{hidden.fingerprint}"
    )
    site.on("agent03", f"cp /root/puppet.conf {conf}")
    assert part.status == 1
    assert statuses(part)["agent01"] == "renewed"
    told = part.stderr.replace("\n", "")
    assert f"retire_certs={hidden.fingerprint} stays as it is" in told
    assert "`puppet cert clean -- agent03.lab.test` on the master revokes it" in told
    assert_renewed(site, "agent01")

    # Revoked by hand, a certificate is stale for every deploy.
    site.sh(f"{PUPPET} cert clean agent02.lab.test")
    assert "6.4 Delete the agent's SSL directory" in site.preview_renewal(retired, *agents).planned


def test_revocations_that_somebody_has_begun(site: Site, retired: str) -> None:
    agents = ("--limit", "agent01", "--limit", "agent02")
    assert site.renew(retired, *agents).status == 0
    # An interrupted run had stopped it, and Puppet's own run has started it since.
    site.on("agent01", f"echo pe-mcollective >{BACKUPS}/stopped")
    assert site.renew(retired, *agents).status == 0
    assert_renewed(site, *AGENTS[:2])
    forgotten, cleaned = (site.certificate_of(agent) for agent in AGENTS[:2])
    site.on_all(f"rm -rf /root/stolen; cp -a {SSLDIR} /root/stolen", AGENTS[:2])
    # As a crash leaves it: revoked, but the master that runs goes by its former CRL.
    site.sh(f"rm {SSLDIR}/ca/signed/agent01.lab.test.pem; {PUPPET} cert clean agent02.lab.test")
    named = f"{forgotten.fingerprint},{cleaned.fingerprint}"

    preview = site.preview_replacement(named, *agents)
    run = site.replace(named, *agents)

    assert run.status == 0, run.stderr
    assert run.changes == preview.plan
    (revoked,) = [hosts for name, hosts in run.changes.items() if "Revoke" in name]
    assert revoked == list(AGENTS[:2])
    assert_renewed(site, *AGENTS[:2])
    stolen = site.on_all(
        f"{PUPPET} agent --test --ssldir /root/stolen --vardir /tmp/stolen 2>&1 | tail -n 20",
        AGENTS[:2],
    )
    for said in stolen.values():
        assert_turned_away(said)
