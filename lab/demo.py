"""The main job in the lab, from nothing: look, preview, regenerate, and run again.

python -m lab.demo
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import lab

_PYINFRA = Path(sys.executable).with_name("pyinfra")
_DEPLOY = ["inventory.py", "deploys/site.py"]


def _step(title: str, *arguments: str, status: int = 0) -> str:
    """Run pyinfra as a person would, show it, and give back what it printed.

    :raises SystemExit: it did not end with the status that it should.
    """
    print(f"\n\033[1m{title}\033[0m\n$ {shlex.join(['pyinfra', *_DEPLOY, *arguments])}", flush=True)
    process = subprocess.Popen(
        [str(_PYINFRA), *_DEPLOY, *arguments],
        cwd=Path(__file__).resolve().parent.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    if process.wait() != status:
        raise SystemExit(f"the demo expected status {status}, not {process.returncode}")
    return "".join(lines)


def main() -> None:
    lab.up(["master", *(f"agent0{number}" for number in range(1, 6))])
    found = _step("1. Without a CA to retire it only looks, and refuses.", status=1)
    fingerprint = re.search(r"fingerprint: +([0-9A-F:]{95})", found)
    if fingerprint is None:
        raise SystemExit("the demo found no fingerprint above")
    retire = ["--data", f"retire_ca={fingerprint[1]}"]
    _step("2. The preview: what will happen, and nothing happens.", "--dry", *retire)
    _step("3. The real run.", "-y", *retire)
    _step("4. The same command again changes nothing.", "-y", *retire)
    print("\nThe lab stays up: python3 -m lab status, ssh master, reset master, down")


if __name__ == "__main__":
    main()
