"""pyinfra's command line in a process that need not load its libraries first.

Two thirds of the CPU time of a short run is Python loading pyinfra and what it uses, and the tests
run it five hundred times. A server has loaded them, and nothing of this project's own; each run is
a fork of it, with its own arguments, environment and output, and ends as any process does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

PYINFRA = Path(sys.executable).with_name("pyinfra")
_POLL = 0.02

_SERVER = r"""
import json, os, sys
import cryptography.x509, jinja2, paramiko, rich.table, yaml
import gevent
from gevent.monkey import get_original
from pyinfra_cli.main import main

sys.path[0] = os.path.dirname(sys.executable)  # as for the program itself
fork, waitpid = get_original("os", "fork"), get_original("os", "waitpid")

def answer(words):
    os.write(1, json.dumps(words).encode() + b"\n")

def child(asked):
    for number, path in enumerate((os.devnull, asked["stdout"], asked["stderr"])):
        file = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["env"])
    sys.argv = asked["argv"]
    gevent.reinit()
    sys.exit(main())

for line in sys.stdin.buffer:
    asked = json.loads(line)
    if "wait" in asked:
        pid, status = waitpid(asked["wait"], os.WNOHANG)
        answer(os.waitstatus_to_exitcode(status) if pid else None)
        continue
    pid = fork()
    if pid == 0:
        child(asked)
    answer(pid)
"""


class _Server:
    """One for this process, which ends with it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self._asking = threading.Lock()

    def ask(self, **words: object) -> int | None:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        with self._asking:
            process.stdin.write(json.dumps(words).encode() + b"\n")
            process.stdin.flush()
            answered: int | None = json.loads(process.stdout.readline())
        return answered


@cache
def _server() -> _Server:
    return _Server()


def run_pyinfra(
    arguments: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float
) -> tuple[int, str, str]:
    """Status (negative: the signal that ended it), stdout and stderr of `pyinfra ARGUMENTS`.

    :param timeout: seconds.
    :raises TimeoutError: it had not ended by then, and was killed.
    """
    server = _server()
    with tempfile.TemporaryDirectory(prefix="pyinfra-") as name:
        outputs = [Path(name) / "stdout", Path(name) / "stderr"]
        for output in outputs:
            output.touch()
        stdout, stderr = map(str, outputs)
        argv = [str(PYINFRA), *arguments]
        pid = server.ask(argv=argv, cwd=str(cwd), env=dict(env), stdout=stdout, stderr=stderr)
        assert pid is not None
        end = time.monotonic() + timeout
        while (status := server.ask(wait=pid)) is None:
            if time.monotonic() > end:
                os.kill(pid, 9)
                told = outputs[1].read_text(errors="replace")
                raise TimeoutError(f"pyinfra did not end within {timeout:.0f} s:\n{told}")
            time.sleep(_POLL)
        said = [output.read_text(encoding="utf-8", errors="replace") for output in outputs]
    return status, said[0], said[1]
