"""No run writes, prints or passes on a private key or a password, whatever it is for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lab
from tests.attacks.secrets import secrets_on, watched
from tests.e2e.nodes import Site
from tests.e2e.site import ROOT

AGENT, ASKING = "agent01", "agent03"
PASSWORD = "c0rrect-horse-battery-staple"
"""Of the account that gets ahead only with it on the second one."""


@contextmanager
def asking_sudo(site: Site) -> Iterator[None]:
    """Meanwhile the account there needs its password for sudo, and the inventory gives it."""
    with site.inventory.open("a") as inventory:
        inventory.write(
            f"agents = [(n, {{**d, '_sudo_password': {PASSWORD!r}}} if n == {ASKING!r} else d)"
            " for n, d in agents]\n"
        )
    sudoers = "/etc/sudoers.d/admin"
    site.on(
        ASKING,
        f"cp -p {sudoers} /root/sudoers; sed -i 's/NOPASSWD: //' {sudoers}"
        f" && echo 'admin:{PASSWORD}' | chpasswd",
    )
    try:
        yield
    finally:
        site.on(ASKING, f"cp -p /root/sudoers {sudoers}; rm /root/sudoers; usermod -p '*' admin")


def test_secrets_are_nowhere_but_where_they_belong(tmp_path: Path) -> None:
    """In a whole procedure, at the most talkative: a survey, a preview, the run, its proof, a
    restoration."""
    site = Site.of(tmp_path, "master", (AGENT, ASKING))
    site.reset()
    retired, hosts = site.ca.fingerprint, (site.name, AGENT, ASKING)
    before = {secret for host in hosts for secret in secrets_on(host)}
    reports = set((ROOT / "reports").glob("*"))
    written_to = tmp_path / "written"
    written_to.mkdir()
    named = ("--data", f"retire_ca={retired}")
    texts: dict[str, str] = {}

    def run(*arguments: str) -> None:
        done = site.pyinfra(*arguments, "-vvv", env={"TMPDIR": str(written_to)})
        assert done.status == 0, done.stderr
        texts[" ".join(arguments)] = done.text

    with asking_sudo(site), watched(*hosts) as seen:
        run("deploys/survey.py", "-y")
        run("deploys/site.py", "--dry", "--diff", *named)
        run("deploys/site.py", "-y", *named)
        between = {secret for host in hosts for secret in secrets_on(host)}
        run("deploys/verify.py", "-y", *named)
        run("deploys/restore.py", "-y", "--data", f"backup={site.backups()[0]}")
    secrets = before | between | {secret for host in hosts for secret in secrets_on(host)}
    secrets.add(PASSWORD)

    assert len(secrets) > len(before) > 5
    written = [*(set((ROOT / "reports").glob("*")) - reports), *written_to.rglob("*")]
    texts |= {str(path): path.read_bytes().decode("latin-1") for path in written if path.is_file()}
    # The password of the CA's key reaches openssl by its environment, which is root's to read, as
    # the file is.
    lines = "".join(seen).splitlines()
    texts["processes"] = "\n".join(line for line in lines if not line.startswith("KEY_PASSWORD="))
    texts |= {
        f"/tmp on {host}": lab.run(host, "grep -rahs . /tmp /var/tmp /root/.pyinfra; true").stdout
        for host in hosts
    }
    assert any("reports" in name for name in texts)
    assert "pe-recert" in texts["processes"], "nobody watched"
    found = {name for name, text in texts.items() if any(secret in text for secret in secrets)}
    assert not found
