"""The shell of this machine in the place of a host's."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path
from typing import Any, TypeVar

from pyinfra.api import FactBase

T = TypeVar("T")

ME = pwd.getpwuid(os.getuid()).pw_name
"""The account whose files the tests make."""


class Sh:
    """A shell that goes by the name of `sh` on the host."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.env: dict[str, str] = {}
        """What a session has in its environment, besides what every one has."""

    def run(self, command: str) -> subprocess.CompletedProcess[bytes]:
        path = f"{self.directory}:{os.environ['PATH']}"
        return subprocess.run(
            [f"{self.directory}/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            env={"PATH": path, "HOME": "/nonexistent", "LC_ALL": "C", **self.env},
            check=False,
        )

    def output(self, fact: type[FactBase[T]], **arguments: Any) -> list[str]:
        """The lines that pyinfra would read."""
        command = fact().command(**arguments)
        assert not isinstance(command, str)
        done = self.run(command.get_raw_value())
        assert done.returncode == 0, done.stderr
        assert done.stderr == b""
        return done.stdout.decode("utf-8").splitlines()

    def ask(self, fact: type[FactBase[T]], **arguments: Any) -> T:
        output = self.output(fact, **arguments)
        return fact().process(output) if output else fact.default()  # as pyinfra does

    def provide(self, program: str, script: str) -> None:
        """Another program on the host's PATH."""
        path = self.directory / program
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
