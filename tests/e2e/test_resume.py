"""Stopped anywhere, the same command goes on: after every step, within steps, from every
half-made state that a crash can leave."""

from __future__ import annotations

import random
import signal
import subprocess
import time

import pytest

from tests.e2e.random_kills import killed_at_random
from tests.e2e.site import (
    BACKUPS,
    KILLING,
    LOOKING_FIRST,
    SSLDIR,
    Master,
    Run,
    assert_regenerated,
)
from tests.e2e.test_master import ALL_STEPS
from tests.tables import STOP_ORDER

LAST_STEP = "5 Kick off a Puppet run"


def killed_after(master: Master, retired: str, steps: int) -> Run:
    run = master.regenerate(retired, *KILLING, env={"KILL_AFTER": str(steps)})
    assert run.status == -signal.SIGKILL, run.stderr
    return run


def test_killed_after_every_step_in_turn_it_still_comes_to_its_end(any_master: Master) -> None:
    """And each time what is left to do is one step less, no matter in which state it is found."""
    master, retired = any_master, any_master.ca.fingerprint
    names = master.certificate(f"{SSLDIR}/certs/{master.certname}.pem").alt_names
    left = master.preview(retired).planned
    assert len(left) == ALL_STEPS

    for _ in range(2 * ALL_STEPS):
        # The agent service, once started, may be done with its own run before the suite's.
        if not left or (left == [LAST_STEP] and not master.preview(retired).planned):
            break
        run = killed_after(master, retired, 1)
        assert run.planned == left
        assert run.begun == run.planned[0]
        left = run.planned[1:]

    again = master.regenerate(retired)
    assert again.status == 0, again.stderr
    assert again.changed == []
    assert_regenerated(master, retired, alt_names=set(names))
    (name,) = master.backups()
    assert f"{SSLDIR[1:]}/ca/ca_key.pem" in master.sh(f"tar -tf {BACKUPS}/{name}/archive.tar")


@pytest.mark.parametrize("steps", [1, 4, 8, 11, 14, 17, 20, 21])
def test_killed_after_a_step_the_same_command_completes_it(serving: Master, steps: int) -> None:
    """Other steps than those after which the half-made states begin."""
    master, retired = serving, serving.ca.fingerprint
    killed_after(master, retired, steps)

    run = master.regenerate(retired, *LOOKING_FIRST)

    assert run.status == 0, run.stderr
    assert run.changed == run.planned
    assert_regenerated(master, retired, alt_names={"puppet", "puppet.lab.test"})
    assert len(master.backups()) == 1


def wait_until_seen(master: Master, working_on: str, run: subprocess.Popen[str]) -> None:
    """Until a process of Puppet or tar works on it, which a run has started that goes on."""
    pattern = working_on.replace(" ", ".")
    look = (
        f"for i in $(seq 100); do pgrep -nf '[p]uppet {working_on}|[t]ar .*{pattern}' && break;"
        " sleep 0.05; done"
    )
    while not master.sh(look).strip():
        if run.poll() is not None:
            stdout, stderr = run.communicate()
            raise AssertionError(f"the run ended without {working_on}:\n{stdout}\n{stderr}")


@pytest.mark.parametrize("dies", ["the command on the host too", "only the control machine"])
@pytest.mark.parametrize(
    "working_on",
    [
        "cert list",
        "cert generate .*--dns_alt_names",
        "cert generate .*pe-internal",
        "agent --test",
        "/archive.tar",
    ],
)
def test_killed_in_the_middle_of_a_step(serving: Master, working_on: str, dies: str) -> None:
    master, retired = serving, serving.ca.fingerprint
    if working_on == "/archive.tar":
        # Large enough that the backup takes a moment.
        master.sh(
            f"""
            for number in 1 2 3; do
                head -c 40M /dev/urandom >{SSLDIR}/large.$number
                chown pe-puppet: {SSLDIR}/large.$number
            done
            """
        )
    stopped = "pe-puppet" if working_on == "agent --test" else ""
    if stopped:
        # Its own first run would spare the suite one.
        master.sh(f"/opt/pe-lab/wait-for-run 60; systemctl stop {stopped}")
    process = master.begin("deploys/master.py", "-y", "--data", f"retire_ca={retired}")
    wait_until_seen(master, working_on, process)
    time.sleep(0.4 if "cert" in working_on else 0)
    process.kill()
    process.communicate()
    if dies == "the command on the host too":
        master.sh(f"pkill -9 -f '[p]uppet {working_on}'; pkill -9 tar; true")

    run = master.regenerate(retired)

    assert run.status == 0, run.stderr
    assert_regenerated(
        master,
        retired,
        alt_names={"puppet", "puppet.lab.test"},
        running=[name for name in STOP_ORDER if name != stopped],
    )
    if stopped:
        master.sh(f"systemctl start {stopped}")
    assert not master.sh(f"find {BACKUPS} -name '*.partial'")


def test_an_interrupt_ends_with_a_status_and_the_same_command_goes_on(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    process = master.begin("deploys/master.py", "-y", "--data", f"retire_ca={retired}")
    wait_until_seen(master, "cert list", process)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=300)

    assert process.returncode == 130, stderr
    assert "the same command goes on" in stderr
    assert master.regenerate(retired).status == 0
    assert_regenerated(master, retired, alt_names={"puppet", "puppet.lab.test"})


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_a_random_moment(init_serving: Master, seed: int) -> None:
    """A few of what `make soak` does by the hundred."""
    killed_at_random(init_serving, random.Random(seed), seconds=10)


# What a crash leaves, by what was being done: (state, how many steps were done, how to make it).
HALF_MADE = [
    ("the old CA's key without its certificate", 3, "rm {ca}/ca_crt.pem {ssl}/certs/ca.pem"),
    (
        "the old key certified anew by Puppet",
        3,
        "rm {ca}/ca_crt.pem {ssl}/certs/ca.pem; /opt/puppet/bin/puppet cert list -a",
    ),
    ("a deletion cut short", 3, "rm -r {ca}/signed {ssl}/certs {ca}/ca_key.pem"),
    ("the CA's certificate without its key", 6, "rm {ca}/ca_key.pem"),
    ("the CA's certificate of 0 bytes", 6, ": >{ca}/ca_crt.pem"),
    ("the CA's key of 0 bytes", 6, ": >{ca}/ca_key.pem"),
    ("a CRL of 0 bytes", 6, ": >{ca}/ca_crl.pem"),
    ("no serial", 6, "rm {ca}/serial"),
    ("a serial of 0 bytes", 6, ": >{ca}/serial"),
    (
        "a private key of 0 bytes",
        7,
        ": >{ssl}/private_keys/pe-internal-dashboard.pem;"
        "chown pe-puppet: {ssl}/private_keys/pe-internal-dashboard.pem",
    ),
    (
        "a request saved and not signed, with its key",
        8,
        "rm {ca}/signed/pe-internal-classifier.pem {ssl}/certs/pe-internal-classifier.pem;"
        "openssl req -new -key {ssl}/private_keys/pe-internal-classifier.pem"
        " -subj /CN=pe-internal-classifier -out {ca}/requests/pe-internal-classifier.pem;"
        "chown -R pe-puppet: {ca}",
    ),
    (
        "a request saved and not signed, without its key",
        8,
        "rm {ca}/signed/pe-internal-classifier.pem {ssl}/certs/pe-internal-classifier.pem;"
        "openssl req -new -key {ssl}/private_keys/pe-internal-classifier.pem"
        " -subj /CN=pe-internal-classifier -out {ca}/requests/pe-internal-classifier.pem;"
        "rm {ssl}/*_keys/pe-internal-classifier.pem; chown -R pe-puppet: {ca}",
    ),
    ("a request of 0 bytes", 7, ": >{ca}/requests/some.lab.test.pem"),
    ("a signed certificate of 0 bytes", 7, ": >{ca}/signed/pe-internal-dashboard.pem"),
    (
        "the certificate written, its request not yet removed",
        8,
        "openssl req -new -key {ssl}/private_keys/pe-internal-classifier.pem"
        " -subj /CN=pe-internal-classifier -out {ca}/requests/pe-internal-classifier.pem;"
        "chown -R pe-puppet: {ca}",
    ),
    (
        "the backup damaged when the deletion was done",
        4,
        f"for archive in {BACKUPS}/*/archive.tar; do echo x >>$archive; done",
    ),
    ("a certificate in the component cut short", 10, ": >/etc/puppetlabs/puppetdb/ssl/x.pem"),
]


@pytest.mark.parametrize(("state", "steps", "script"), HALF_MADE, ids=[s[0] for s in HALF_MADE])
def test_every_half_made_state_ends_in_a_sound_ca(
    serving: Master, state: str, steps: int, script: str
) -> None:
    master, retired = serving, serving.ca.fingerprint
    killed_after(master, retired, steps)
    master.sh(script.format(ca=f"{SSLDIR}/ca", ssl=SSLDIR))

    run = master.regenerate(retired, *LOOKING_FIRST)

    assert run.status == 0, run.stderr
    assert run.changed == run.planned
    assert_regenerated(master, retired, alt_names={"puppet", "puppet.lab.test"})
    assert master.running() == list(STOP_ORDER)


def test_alt_names_survive_their_certificate(init_serving: Master) -> None:
    """Only the certificate in use knows them; after step 2.2 only the backup's manifest does."""
    master, retired = init_serving, init_serving.ca.fingerprint
    killed_after(master, retired, 4)
    assert master.regenerate(retired).status == 0
    names = {"puppet", "puppet.lab.test", "ca-alias.lab.test"}
    assert_regenerated(master, retired, alt_names=names)
