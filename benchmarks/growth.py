"""What the control machine itself spends on step 6 as a site grows, with no network in between.

    python -m benchmarks.growth [--sizes N ...] [--json FILE] [--site FILE]

pyinfra runs deploys/agents.py from the first question to the last agent's proof, over agents that
are simulated (`benchmarks/simulated.py`), each size in a process of its own. CPU time is user and
system together and includes the start of Python; what the simulation spends on its answers is part
of it, and shown beside it. Memory is the most that was resident.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.simulated import ASKED, SPENT, make_site, retired_ca

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Cost:
    """Of a run over `size` agents: CPU seconds, `simulation` among them, MiB at the peak, and how
    many commands the master had, by what they were for."""

    size: int
    cpu: float
    simulation: float
    peak: float
    asked: dict[str, int]

    @property
    def per_agent(self) -> float:
        """CPU milliseconds."""
        return self.cpu / self.size * 1000


def register_connector(directory: Path) -> None:
    """Write what makes pyinfra find the simulation, as an installed package would."""
    package = directory / "simulated-0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: simulated\nVersion: 0\n")
    (package / "entry_points.txt").write_text(
        "[pyinfra.connectors]\nsimulated = benchmarks.simulated:SimulatedConnector\n"
    )


def measured(size: int, site: Path, directory: Path) -> Cost:
    """:raises SystemExit: not every agent was renewed."""
    pyinfra = Path(sys.executable).with_name("pyinfra")
    inventory = f"@simulated/{size}/{site}"
    log = directory / f"log-{size}"
    with log.open("w") as output:
        process = subprocess.Popen(
            [
                *(str(pyinfra), inventory, str(ROOT / "deploys" / "agents.py"), "-y"),
                *("--data", f"retire_ca={retired_ca(site)}"),
            ],
            cwd=directory,  # where the report goes
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{directory}"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    said = log.read_text()
    spent = re.search(rf"^{SPENT}([0-9.]+)$", said, re.MULTILINE)
    asked = re.search(rf"^{ASKED}(.+)$", said, re.MULTILINE)
    renewed = f"Step 6: {size} renewed" in said
    if process.returncode != 0 or not renewed or spent is None or asked is None:
        raise SystemExit(f"{said[-8000:]}\nNot every one of {size} agents was renewed.")
    cpu = usage.ru_utime + usage.ru_stime
    peak = usage.ru_maxrss / 1024
    return Cost(size, cpu, float(spent[1]), peak, json.loads(asked[1]))


def shown(costs: list[Cost]) -> Table:
    table = Table(
        "agents",
        "CPU\ns",
        "simulation\ns of it",
        "CPU\nms an agent",
        "ratio\nto linear",
        "CPU, ms a\nfurther agent",
        "peak\nMiB",
    )
    before = None
    for cost in costs:
        further = ""
        if before is not None:
            further = f"{(cost.cpu - before.cpu) / (cost.size - before.size) * 1000:.1f}"
        table.add_row(
            str(cost.size),
            f"{cost.cpu:.1f}",
            f"{cost.simulation:.1f}",
            f"{cost.per_agent:.1f}",
            f"{cost.per_agent / costs[0].per_agent:.2f}",
            further,
            f"{cost.peak:.0f}",
        )
        before = cost
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 4000])
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--site", type=Path, help="keep the certificates here for another time")
    arguments = parser.parse_args()
    sizes = sorted(set(arguments.sizes))
    console = Console()
    with tempfile.TemporaryDirectory(prefix="growth-") as name:
        directory = Path(name)
        register_connector(directory)
        site = (arguments.site or directory / "site.sqlite").resolve()
        if not site.exists():
            make_site(site, sizes[-1], console.print)
        costs = []
        for size in sizes:
            costs.append(measured(size, site, directory))
            console.print(f"{size} agents: {costs[-1].cpu:.1f} s of CPU")
    console.print(shown(costs))
    if arguments.json:
        figures = [{**asdict(c), "ratio": c.per_agent / costs[0].per_agent} for c in costs]
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
