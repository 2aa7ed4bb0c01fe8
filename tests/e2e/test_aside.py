"""The new CA is made aside, while the old one serves: what fails there harms nobody, what is stale
is made anew, and nobody else looks into it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lab
from recert.certificates import Certificate
from tests.e2e.nodes import reported
from tests.e2e.site import KILLING, LOOKING_FIRST, SSLDIR, Master, assert_regenerated
from tests.e2e.test_master import wrapped_puppet
from tests.tables import STOP_ORDER

CONFDIR = SSLDIR.rpartition("/")[0]
ASIDE = f"{SSLDIR}.pe-recert"
NEW_CA = f"{ASIDE}/new/ssldir/ca/ca_crt.pem"
MAKING = "2.4-2.6 Make the new CA and its certs, aside"
NAMES = {"puppet", "puppet.lab.test"}
IN_SECONDS = ("--config", "tests/e2e/makes_in_seconds.py")

CALLS = {
    "the CA": "cert list --all *",
    "the master's": "cert generate *--dns_alt_names=*",
    "those for PE's services": "cert generate *pe-internal-dashboard*",
}
BREAKAGES = {
    "fails": "exit 1",
    "is killed": "kill -9 $$",
    # And says that all is well.
    "makes nothing": "exit 0",
    "writes half a file": '/opt/puppet/real/puppet "$@"; half "$@"; exit 0',
    "has no room": "fill; /opt/puppet/real/puppet",
    "hangs": "exec sleep 300",
}
# Of what the call is for: what comes last of it.
HALF = r"""half() {
    for word; do
        case $word in
            (--cacert=*) cacert=${word#*=} ;;
            (--certdir=*) certs=${word#*=} ;;
        esac
        last=$word
    done
    made=$certs/$last.pem
    [ -f "$made" ] || made=$cacert
    head -c 100 "$made" >/run/half && cat /run/half >"$made"
}"""

# Asks as an agent does, who verifies, and notes each answer that it does not get.
CLIENT = r"""
require "socket"
require "openssl"
context = OpenSSL::SSL::SSLContext.new
context.ca_file = "/run/asking/ca.pem"
context.verify_mode = OpenSSL::SSL::VERIFY_PEER
File.write("/run/asking/pid", $$.to_s)
loop do
  begin
    tls = OpenSSL::SSL::SSLSocket.new(TCPSocket.new("127.0.0.1", 8140), context)
    tls.connect
    tls.close
    File.open("/run/asking/answered", "a") { |file| file.puts "yes" }
  rescue StandardError => error
    now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
    File.open("/run/asking/refused", "a") { |file| file.puts "#{now} #{error.message}" }
  end
  sleep 0.3
end
"""


@contextmanager
def asked_meanwhile(master: Master) -> Iterator[None]:
    """The master's server is asked all the time by somebody who verifies."""
    master.sh(
        f"rm -rf /run/asking; mkdir /run/asking; cp {SSLDIR}/ca/ca_crt.pem /run/asking/ca.pem;"
        f"(setsid /opt/puppet/bin/ruby -e '{CLIENT}' >/dev/null 2>&1 </dev/null &)"
    )
    try:
        yield
    finally:
        master.sh("kill $(cat /run/asking/pid)")
    assert int(master.sh("wc -l </run/asking/answered")) > 5


def refused(master: Master) -> list[str]:
    """What he got instead of an answer: when, by the clock of systemd in seconds, and why."""
    return master.sh("cat /run/asking/refused 2>/dev/null; true").splitlines()


def contents(master: Master) -> str:
    return master.sh(f"find {SSLDIR} -type f -exec sha256sum {{}} + | sort; ls -a {CONFDIR}")


@contextmanager
def little_room(master: Master) -> Iterator[None]:
    """The confdir is on a file system of its own, with room for what is to be made."""
    small = (
        "mkdir /srv/small; mount -t tmpfs -o size=9m none /srv/small;"
        f"cp -a {CONFDIR}/. /srv/small; mount --bind /srv/small {CONFDIR}"
    )
    lab.run(master.name, small, privileged=True)
    try:
        yield
    finally:
        undone = f"umount -l {CONFDIR}; umount -l /srv/small; rmdir /srv/small"
        lab.run(master.name, undone, privileged=True)


CASES = [
    *((call, how) for call in CALLS for how in ("fails", "writes half a file")),
    ("the master's", "is killed"),
    ("those for PE's services", "makes nothing"),
    ("the master's", "hangs"),
    ("those for PE's services", "has no room"),
]


@pytest.mark.parametrize(("call", "how"), CASES, ids=[f"{how}: {call}" for call, how in CASES])
def test_where_puppet_breaks_nothing_was_stopped_or_deleted(
    serving: Master, call: str, how: str
) -> None:
    master, retired = serving, serving.ca.fingerprint
    with little_room(master):
        before = contents(master)
        wrapper = (
            HALF,
            f"fill() {{ head -c 20M /dev/zero >{CONFDIR}/filler 2>/dev/null; }}",
            f'case "$*" in ({_pattern(CALLS[call])}) {BREAKAGES[how]} "$@" ;; esac'
            if how == "has no room"
            else f'case "$*" in ({_pattern(CALLS[call])}) {BREAKAGES[how]} ;; esac',
        )
        with wrapped_puppet(master.name, *wrapper), asked_meanwhile(master):
            run = master.regenerate(retired, *IN_SECONDS)
        assert refused(master) == []
        master.sh(f"rm -f {CONFDIR}/filler")
        assert contents(master) == before

    assert run.status == 1
    assert "step 2.4-2.6" in run.stderr or "error" in run.stderr.lower()
    assert "nothing of a new one is left" in " ".join(run.stderr.split()), run.stderr
    assert master.ca.fingerprint == retired
    assert master.running() == list(STOP_ORDER)
    assert not master.backups()


def test_nobody_is_refused_before_step_1(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    with asked_meanwhile(master):
        run = master.regenerate(retired)
    assert run.status == 0, run.stderr
    left = "systemctl show -p ActiveExitTimestampMonotonic pe-puppetserver"
    stopped = int(master.sh(left).partition("=")[2]) / 1e6
    moments = [float(line.split()[0]) for line in refused(master)]
    assert moments and min(moments) >= stopped
    assert_regenerated(master, retired)


def _pattern(text: str) -> str:
    """For `case`, with the blanks in it quoted."""
    return text.replace(" ", "' '")


def made_aside(master: Master, retired: str) -> Certificate:
    """The CA that a run has made aside which was killed then."""
    run = master.regenerate(retired, *KILLING, env={"KILL_AFTER": "1"})
    assert run.status == -signal.SIGKILL, run.stderr
    assert run.begun == MAKING
    return master.certificate(NEW_CA)


def test_what_a_killed_run_has_made_is_named_and_used(serving: Master) -> None:
    master, retired = serving, serving.ca.fingerprint
    made = made_aside(master, retired)
    assert made.fingerprint != retired
    assert master.sh(f"stat -c '%a %U' {ASIDE} {ASIDE}/new").split("\n")[:2] == [
        "711 root",
        "700 root",
    ]

    survey = master.pyinfra("deploys/survey.py", "-y")
    preview = master.preview(retired)
    run = master.regenerate(retired, *LOOKING_FIRST)

    (told,) = (one for one in reported(survey)["now"]["problems"] if one["subject"] == ASIDE)
    assert "holds a new CA with its key" in told["what"]
    assert told["remedy"].endswith(f"rm -r -- {ASIDE}")
    assert MAKING not in preview.planned
    assert "is used: it is sound" in " ".join(preview.stderr.split())
    assert run.status == 0, run.stderr
    assert run.changed == run.planned == preview.planned
    assert_regenerated(master, retired, alt_names=NAMES)
    assert master.ca.fingerprint == made.fingerprint
    assert master.sh(f"ls -a {CONFDIR}").count("pe-recert") == 0


STALE = {
    "cut off": f"rm {ASIDE}/retires",
    "of two days ago": f"touch -d '2 days ago' {ASIDE}/retires",
    "of a day to come": f"touch -d '2 days' {ASIDE}/retires",
    "of Puppet's account": f"chown -R pe-puppet: {ASIDE}; touch -d 2100-01-01 {ASIDE}/retires",
    "with a pipe": f"cd {ASIDE}/new/ssldir/ca && mkfifo odd && chown pe-puppet: odd",
    "for another CA": f"echo AB:CD >{ASIDE}/retires",
    "without a key": f"rm {ASIDE}/new/ssldir/private_keys/pe-internal-dashboard.pem",
    "with half a CA": f": >{ASIDE}/new/ssldir/ca/ca_crl.pem",
    "with a file of somebody's": f"rm -rf {ASIDE}; mkdir {ASIDE}; ln -s /etc/shadow {ASIDE}/new",
    "a link to somewhere": f"rm -rf {ASIDE}; mkdir -p /srv/theirs; ln -s /srv/theirs {ASIDE}",
}


@pytest.mark.parametrize("stale", STALE)
def test_what_is_stale_is_made_anew(serving: Master, stale: str) -> None:
    master, retired = serving, serving.ca.fingerprint
    made = made_aside(master, retired)
    master.sh(STALE[stale])

    run = master.regenerate(retired, *LOOKING_FIRST)

    assert run.status == 0, run.stderr
    assert run.planned[0] == MAKING
    assert run.changed == run.planned
    assert "is made anew" in " ".join(run.stderr.split())
    assert_regenerated(master, retired, alt_names=NAMES)
    assert master.ca.fingerprint != made.fingerprint
    assert master.sh(f"ls -a {CONFDIR}").count("pe-recert") == 0
    assert not master.sh("ls -A /srv/theirs 2>/dev/null; rm -rf /srv/theirs")


def test_other_names_wanted_since_make_it_stale_and_a_preview_makes_nothing(
    master: Master,
) -> None:
    retired = master.ca.fingerprint
    before = contents(master)
    assert MAKING in master.preview(retired).planned
    assert contents(master) == before
    made = made_aside(master, retired)
    wanted = ("--data", "dns_alt_names=puppet,puppet.lab.test,added.lab.test")

    run = master.regenerate(retired, *LOOKING_FIRST, *wanted)

    assert run.status == 0, run.stderr
    assert run.planned[0] == MAKING
    assert_regenerated(master, retired, alt_names={*NAMES, "added.lab.test"})
    assert master.ca.fingerprint != made.fingerprint


@pytest.mark.parametrize(
    ("meanwhile", "said"),
    [
        ("exit 2", "nothing of a new one is left"),
        (f"rm {ASIDE}/new/ssldir/ca/ca_key.pem", "Nothing was deleted"),
    ],
    ids=["no backup can be made", "what was aside is gone"],
)
def test_where_a_later_step_fails_before_the_deletion_the_old_ca_stays(
    serving: Master, meanwhile: str, said: str
) -> None:
    master, retired = serving, serving.ca.fingerprint
    before = master.sh(f"find {SSLDIR} -type f -exec sha256sum {{}} + | sort")
    with wrapped_tar(master, meanwhile):
        run = master.regenerate(retired)
    assert run.status == 1
    assert said in " ".join(run.stderr.split())
    assert not master.sh(f"ls {ASIDE}/new/ssldir/ca/ca_key.pem 2>/dev/null; true")
    assert master.sh(f"find {SSLDIR} -type f -exec sha256sum {{}} + | sort") == before
    done = master.regenerate(retired)
    assert done.status == 0, done.stderr
    assert_regenerated(master, retired, alt_names=NAMES)
    assert master.sh(f"ls -a {CONFDIR}").count("pe-recert") == 0


@contextmanager
def wrapped_tar(master: Master, meanwhile: str) -> Iterator[None]:
    """This is done when the archive of the backup is made."""
    wrapper = f'#!/bin/sh\ncase "$*" in (*archive*) {meanwhile} ;; esac\nexec /run/tar "$@"\n'
    master.sh(f"mv /bin/tar /run/tar; printf '%s' '{wrapper}' >/bin/tar; chmod 755 /bin/tar")
    try:
        yield
    finally:
        master.sh("mv /run/tar /bin/tar")


LOOKING = r"""
Process::Sys.setgid(65534)
Process::Sys.setuid(65534)
File.write("/run/looking/pid", $$.to_s)
top, ssl = ARGV
seen = {}
loop do
  [top, ssl].each do |root|
    Dir.glob("#{root}/**/*", File::FNM_DOTMATCH).each { |path| seen[path] = true }
    # Whoever knows the names needs no list of them.
    %w[new new/ssldir new/ssldir/ca new/ssldir/private_keys retires csr_attributes.yaml
       new/ssldir/ca/ca_key.pem ca/ca_key.pem].each { |name| seen["#{root}/#{name}"] = true }
  end
  seen.keys.each do |path|
    begin
      text = File.read(path)
      puts path if path.start_with?(top) || text.include?("PRIVATE KEY")
    rescue SystemCallError
      next
    end
  end
  $stdout.flush
end
"""


def test_nobody_else_can_look_into_it_while_it_is_made_and_put_into_place(
    serving: Master,
) -> None:
    master, retired = serving, serving.ca.fingerprint
    master.sh(
        "rm -rf /run/looking; mkdir -m 777 /run/looking;"
        f"(setsid /opt/puppet/bin/ruby -e '{LOOKING}' {ASIDE} {SSLDIR} "
        ">/run/looking/seen 2>/run/looking/errors </dev/null &)"
    )
    try:
        run = master.regenerate(retired)
    finally:
        alive = master.sh("kill $(cat /run/looking/pid) && echo yes")
    assert run.status == 0, run.stderr
    assert alive.strip() == "yes", master.sh("cat /run/looking/errors")
    assert master.sh("sort -u /run/looking/seen") == ""
    assert_regenerated(master, retired, alt_names=NAMES)


def test_what_puppet_writes_beside_a_ca_has_to_be_where_it_is_deleted(
    untouched: Master, tmp_path: Path
) -> None:
    master, retired = untouched, untouched.ca.fingerprint
    conf = f"{CONFDIR}/puppet.conf"
    master.sh(f"cp -p {conf} /run/conf; printf '\\n[master]\\ncert_inventory = /srv/i\\n' >>{conf}")
    try:
        run = master.preview(retired)
    finally:
        master.sh(f"cp -p /run/conf {conf}")
    assert run.status == 1
    said = " ".join(run.stderr.split())
    assert "sets cert_inventory to /srv/i" in said and "Take cert_inventory out of it" in said
