"""A real PuppetDB with its PostgreSQL, of Debian's packages, for what asks one for its nodes.

It is no host of the deployment, knows none of its nodes, and comes up only where it is asked for.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lab import state
from lab.bases import PUPPETDB, ensure_base
from lab.engine import Engine, obtain_engine
from lab.progress import LabError, say

_ADDRESS = "127.0.0.1"
_READY_TIMEOUT = 180
_READY = """
exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /pdb/meta/v1/version HTTP/1.0\\r\\n\\r\\n' >&3 &&
    head -n 1 <&3 | grep -q ' 200 '
"""


@contextmanager
def running(ca: str, cert: str, key: str) -> Iterator[int]:
    """A PuppetDB while the context lasts; gives the port on which it serves TLS on loopback.

    :param ca: whose clients it accepts, `cert` and `key`: what it presents; all in PEM.
    :raises LabError: it cannot be built, or does not answer in three minutes.
    """
    with state.locked(), state.building():
        engine = obtain_engine(state.BUILD_LOG)
        ensure_base(engine, PUPPETDB)
    container = f"pe-lab-{state.LAB}-puppetdb-{os.getpid()}"
    begun = time.monotonic()
    try:
        engine.run(
            "create",
            f"--name={container}",
            f"--publish={_ADDRESS}::8081",
            *engine.limits(),
            PUPPETDB.tag,
            "/opt/pe-lab/start-alone",
        )
        credential = {"ca": ca, "cert": cert, "key": key}
        files = {
            f"etc/puppetdb/ssl/{name}.pem": (0o600, pem.encode())
            for name, pem in credential.items()
        }
        engine.put(container, files)
        engine.run("start", container)
        port = int(engine.run("port", container, "8081").stdout.decode().rpartition(":")[2])
        _wait(engine, container)
        say(f"PuppetDB answers on {_ADDRESS}:{port} after {time.monotonic() - begun:.0f} s")
        yield port
    finally:
        engine.remove_container(container)


def _wait(engine: Engine, container: str) -> None:
    """Its ports are open some seconds before it works on what comes there."""
    end = time.monotonic() + _READY_TIMEOUT
    while time.monotonic() < end:
        if engine.run("exec", container, "bash", "-c", _READY, check=False).returncode == 0:
            return
        found = engine.inspect("container", container)
        if found is None or not found["State"]["Running"]:
            break
        time.sleep(0.5)
    said = engine.run("logs", "--tail", "15", container, check=False)
    lines = (said.stdout + said.stderr).decode(errors="replace")
    raise LabError(f"PuppetDB does not answer within {_READY_TIMEOUT} s:\n{lines}")
