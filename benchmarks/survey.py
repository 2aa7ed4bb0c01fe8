"""How long a survey of many hosts takes, with no network in between.

    python -m benchmarks.survey [--size N] [--rounds N]

pyinfra runs deploys/survey.py over simulated agents (`benchmarks/simulated.py`) that have not been
renewed since their master has a new CA, so that every one of them has something wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from benchmarks.growth import ROOT, register_connector
from benchmarks.simulated import make_site


def measured(size: int, site: Path, directory: Path) -> float:
    """Seconds from the command to its end.

    :raises SystemExit: it did not tell of every host.
    """
    pyinfra = Path(sys.executable).with_name("pyinfra")
    began = time.monotonic()
    process = subprocess.run(
        [
            *(str(pyinfra), f"@simulated/{size}/{site}", str(ROOT / "deploys" / "survey.py")),
            *("--dry", "--parallel", "100"),
        ],
        cwd=directory,  # where the report goes
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{directory}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    took = time.monotonic() - began
    reports = sorted((directory / "reports").glob("survey-*.json"))
    hosts = json.loads(reports[-1].read_text())["now"]["hosts"] if reports else []
    if process.returncode != 0 or sum(host["answered"] for host in hosts) != size + 1:
        raise SystemExit(f"{process.stderr[-8000:]}\nNot every one of {size} agents was looked at.")
    for path in reports:
        path.unlink()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=200, help="agents")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="survey-") as name:
        directory = Path(name)
        register_connector(directory)
        site = directory / "site.sqlite"
        make_site(site, arguments.size, console.print)
        took = [measured(arguments.size, site, directory) for _ in range(arguments.rounds)]
    shown = ", ".join(f"{seconds:.1f}" for seconds in took)
    console.print(f"{arguments.size} agents: {statistics.median(took):.1f} s (median of {shown})")


if __name__ == "__main__":
    main()
