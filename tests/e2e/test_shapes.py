"""Sites of other shapes go to their new CA as their documents say, by the same commands.

`test_generations` types the documents on the same hosts, and finds what the lab's own table has: so
the table is what both leave.
"""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

import lab
from lab.generations import CERTNAME, Place
from lab.hosts import HOSTS, Host
from tests.e2e.nodes import Site, statuses
from tests.e2e.site import BACKUPS, KILLING, SSLDIR
from tests.e2e.test_generations import typed
from tests.e2e.test_resume import LAST_STEP

SHAPES = {
    "master-38": ("agent08",),
    "master-2015-2": (),
    "master-2015-3": (),
    "master-2016-1": (),
    "master-2016": ("agent06", "agent07"),
}


def shown(host: Host, place: Place) -> tuple[dict[str, str], str]:
    """The files of a directory with owners and modes, and whose the directory is."""
    look = f"cd {place.directory} && stat -c '%n %U:%G %a' * && stat -c %U ."
    *files, owner = lab.run(host.name, look).stdout.splitlines()
    return dict(line.split(" ", 1) for line in files), owner


def tree(host: Host) -> str:
    """All that the document's steps on the master have anything to do with, with owners and
    modes."""
    below = " ".join([SSLDIR, *(place.directory for place in host.generation.places)])
    listing = f"find {below} ! -name 'agent*.pem' -printf '%p %y %U:%G %m\\n' | sort"
    # The mode of the key that the document has root make depends on who types.
    return re.sub(r"(\.pk8 .*) \d+$", r"\1", lab.run(host.name, listing).stdout, flags=re.M)


def assert_as_the_document(host: Host) -> None:
    for place in host.generation.places:
        files, owner = shown(host, place)
        account = f"{place.account}:{place.account}"
        # A key is its account's to read, and its group's: also the one that the document has root
        # make, with whatever umask.
        modes = {
            n: 0o640 if n.endswith(".pk8") else m for n, m in place.modes(host.certname).items()
        }
        assert files == {name: f"{account} {mode:o}" for name, mode in modes.items()}
        assert owner == place.account
        pairs = [
            (f"{SSLDIR}/{kind}s/{name}.pem", f"{place.directory}/{name}.{kind}.pem")
            for name in (name.replace(CERTNAME, host.certname) for name in place.trios)
            for kind in ("cert", "private_key", "public_key")
        ]
        pairs += [(source, f"{place.directory}/{name}") for name, source in place.dh]
        lab.run(host.name, "\n".join(f"cmp {one} {other} || exit 1" for one, other in pairs))
        if place.pk8:
            key = f"{place.directory}/{host.certname}.private_key"
            made = f"openssl pkcs8 -topk8 -nocrypt -outform DER -in {key}.pem"
            lab.run(host.name, f"{made} | cmp - {key}.pk8")


@pytest.mark.parametrize("name", SHAPES)
def test_a_site_of_another_shape_goes_to_its_new_ca(tmp_path: Path, name: str) -> None:
    host, site = HOSTS[name], Site.of(tmp_path, name, SHAPES[name])
    site.reset()
    retired, generation = site.ca.fingerprint, host.generation
    dh = [f"{place.directory}/mine.pem" for place in generation.places if place.dh]
    for path in dh:  # somebody's own, beside the vendor's
        site.sh(f"cp {path.rpartition('/')[0]}/dhparam_puppetproxy_cert.pem {path}")
    options = ("deploys/site.py", "--json", "--data", f"retire_ca={retired}")

    preview = site.pyinfra(*options, "--dry")
    assert preview.status == 0, preview.stderr
    run = site.pyinfra(*options, "-y")

    assert run.status == 0, run.stderr
    assert site.ca.fingerprint != retired
    if SHAPES[name]:
        assert set(statuses(run).values()) == {"renewed"}
    planned = [step for step, hosts in preview.plan.items() if hosts]
    assert planned == [step for step, hosts in run.changes.items() if hosts]
    assert site.sh(" && ".join(f"cat {path}" for path in dh) or "true").count(
        "DH PARAM"
    ) == 2 * len(dh)
    site.sh(" ".join(["rm -f", *dh]))
    assert_as_the_document(host)
    services = " ".join(generation.master_services)
    assert site.sh(f"/opt/pe-lab/wait-for-services 0 {services}").strip() == ""
    again = site.pyinfra(*options, "--dry")
    assert again.status == 0, again.stderr
    assert not any(again.plan.values())
    deployed = tree(host)
    site.sh(typed(host))
    assert tree(host) == deployed


@pytest.mark.parametrize(("name", "own"), [("master-38", "4.5"), ("master-2016", "3.1")])
def test_killed_after_each_step_that_is_its_own(tmp_path: Path, name: str, own: str) -> None:
    """What comes before is PE 3.7's too, and killed there after each. `own`: where that ends."""
    site = Site.of(tmp_path, name, ())
    site.reset()
    retired = site.ca.fingerprint
    left = site.preview(retired).planned
    steps = next(place for place, step in enumerate(left) if step.startswith(own))
    while left and left != [LAST_STEP]:
        run = site.regenerate(retired, *KILLING, env={"KILL_AFTER": str(steps)})
        assert run.status == -signal.SIGKILL, run.stderr
        assert run.planned == left
        left, steps = left[steps:], 1
    done = site.regenerate(retired)
    assert done.status == 0, done.stderr
    assert not site.preview(retired).planned
    assert_as_the_document(HOSTS[name])
    (backup,) = site.backups()
    assert f"{SSLDIR[1:]}/ca/ca_key.pem" in site.sh(f"tar -tf {BACKUPS}/{backup}/archive.tar")


def test_a_master_that_is_none_of_these_is_left_as_it_is(tmp_path: Path) -> None:
    site = Site.of(tmp_path, "master-38", ())
    site.reset()
    named = ("deploys/master.py", "-y", "--data", f"retire_ca={site.ca.fingerprint}")
    before = site.snapshot()

    def refused(*arguments: str) -> str:
        run = site.pyinfra(*named, *arguments)
        assert run.status == 1
        return " ".join(run.stderr.split())

    assert "That is not pe-3.7-mono" in refused("--data", "deployment=pe-3.7-mono")
    assert "there is no data deploymnet" in refused("--data", "deploymnet=pe-3.8-mono")
    file = HOSTS["master-38"].generation.version_file
    version = site.sh(f"cat {file}").strip()
    for said in ("3.3.2", "3.80"):
        site.sh(f"echo {said} >{file}")
        assert f"{file} says {said}" in (why := refused())
        assert "pe-3.8-mono (Puppet Enterprise 3.8, monolithic)" in why
    site.sh(f"echo {version} >{file}")
    site.sh(f"mv {file} /root/aside")
    # Then Puppet's own decides: the lab's is none of PE's.
    assert "Puppet is 5.5.22. That is none of the deployments" in refused()
    own = "deployment=pe-3.8-mono"
    assert "That is not pe-3.8-mono" in refused("--data", own)
    ruby = "/opt/puppet/bin/ruby"
    site.sh(f"mv {ruby} {ruby}.real")

    def says(puppet: str) -> None:
        site.sh(
            f"cat >{ruby} <<'END'\n#!/bin/sh\n"
            f'case $2 in (*puppet/version*) printf {puppet} ;; (*) exec {ruby}.real "$@" ;; esac\n'
            f"END\nchmod 755 {ruby}"
        )

    says("3.8.7")
    assert "That may be pe-3.8.0-mono or pe-3.8-mono." in refused()
    preview = site.pyinfra(*named[:1], "--dry", *named[2:], "--data", own)
    assert preview.status == 0, preview.stderr
    site.sh(f"mv /root/aside {file}; echo {version} >{file}; touch -r / {file}")
    says("3.7.4")
    assert "its Puppet is that of pe-3.7-mono: an upgrade has come half way" in refused()
    site.sh(f"mv {ruby}.real {ruby}")
    changed = {line.split()[0] for line in {*site.snapshot().splitlines()} ^ {*before.splitlines()}}
    ours = {file, file.rpartition("/")[0], "/root", ruby.rpartition("/")[0], ruby}
    assert {path for path in changed if path.startswith("/")} <= ours

    # Before 3.8.1 there were no DH files, which nothing puts back where the vendor's are gone too.
    places = [place for place in HOSTS["master-38"].generation.places if place.dh]
    vendors = [source for place in places for _, source in place.dh]
    dh = [f"{place.directory}/{name}" for place in places for name, _ in place.dh] + vendors
    site.sh("mkdir /root/dh; " + "; ".join(f"mv {path} /root/dh/" for path in dh))
    assert f"is gone, and so is {vendors[0]}" in refused()
    site.sh(f"echo 3.8.0 >{file}")
    preview = site.pyinfra(*named[:1], "--dry", *named[2:])
    site.sh(
        "; ".join(f"mv /root/dh/{path.rpartition('/')[2]} {path}" for path in dh)
        + f"; rmdir /root/dh; echo {version} >{file}"
    )
    assert preview.status == 0, preview.stderr
    assert "DH" not in preview.text
