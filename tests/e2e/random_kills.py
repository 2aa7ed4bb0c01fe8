"""A regeneration killed at any moment, and the same command again: nothing may be lost."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from subprocess import TimeoutExpired

from tests.e2e.nodes import Site, assert_renewed
from tests.e2e.site import Master, assert_regenerated

_AT_WORK = "pkill -9 -f '[p]uppet (cert|agent --test)'; pkill -9 -x tar; true"
"""What a command of the suite may have left working on a host."""


def killed_at_random(master: Master, chance: random.Random, seconds: float) -> str:
    """Kill a regeneration of the master, or of the whole site, and have the same command complete
    it.

    :param seconds: the latest moment, after the start.
    :return: what was killed and when, for a person.
    :raises AssertionError: something is not as it has to be afterwards.
    """
    retired, moment, deploy = master.ca.fingerprint, chance.uniform(0, seconds), _deploy(master)
    process = master.begin(deploy, "-y", "--data", f"retire_ca={retired}")
    with suppress(TimeoutExpired):
        process.communicate(timeout=moment)
    process.kill()
    process.communicate()
    hosts_too = chance.random() < 0.5
    if hosts_too:
        master.sh(_AT_WORK)
        if isinstance(master, Site):
            master.on_all(_AT_WORK)
    what = f"{master.name}, {deploy} after {moment:.1f} s" + (", hosts too" if hosts_too else "")

    run = master.pyinfra(deploy, "-y", "--json", "--data", f"retire_ca={retired}")
    assert run.status == 0, f"{what}: {run.stderr}"
    assert_regenerated(master, retired)
    if isinstance(master, Site):
        assert_renewed(master)
    again = master.pyinfra(deploy, "-y", "--json", "--data", f"retire_ca={retired}")
    assert (again.status, again.changed) == (0, []), f"{what}: {again.stderr}"
    return what


def _deploy(master: Master) -> str:
    return "deploys/site.py" if isinstance(master, Site) else "deploys/master.py"


def duration(master: Master) -> float:
    """Seconds that a regeneration takes here, which is the time over which kills are spread."""
    began = time.monotonic()
    retired = master.ca.fingerprint
    run = master.pyinfra(_deploy(master), "-y", "--data", f"retire_ca={retired}")
    assert run.status == 0, run.stderr
    return time.monotonic() - began
