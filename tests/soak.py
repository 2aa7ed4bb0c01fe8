"""What a run of the tests has no time for: hundreds of random kills, and thousands of agents.

    python -m tests.soak kills [--number N] [--minutes M] [--seed S]
    python -m tests.soak agents [--number N]

Ends with a figure, and with 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# A lab of its own: before anything of it is imported, which reads this.
os.environ.setdefault("PE_LAB", "soak")

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import lab
from benchmarks.growth import measured, register_connector
from benchmarks.simulated import make_site
from tests.e2e.nodes import Site
from tests.e2e.random_kills import duration, killed_at_random
from tests.e2e.site import Master

_AGENTS = ("agent01", "agent02")
_HOSTS = ("master-init", "master", *_AGENTS)
_INVENTORY = "from inventories.lab_hosts import lab_host\nmaster = [lab_host('master-init')]\n"

# What went wrong is printed as it is: rich would take `:AB:` in a fingerprint for an emoji.
_console = Console(emoji=False, markup=False)


def _killed(directory: Path) -> list[Master]:
    """What is killed: steps 1 to 5 on the one master, a whole site of the other."""
    inventory = directory / "master-init.py"
    inventory.write_text(_INVENTORY)
    return [
        Master("master-init", inventory, ["--sudo"]),
        Site.of(directory, "master", _AGENTS),
    ]


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[lost]} lost"),
        TimeRemainingColumn(),
        console=_console,
    )


def _until(number: int, minutes: float) -> Iterator[int]:
    """Numbers from 0, as many as are wanted and begin in time."""
    end = time.monotonic() + minutes * 60
    for count in range(number):
        if time.monotonic() > end:
            return
        yield count


def kills(number: int, minutes: float, seed: int) -> int:
    """How many of so many kills were not made good by the same command."""
    chance = random.Random(seed)
    _console.print(f"Seed {seed}: the same again with --seed {seed}")
    lost: list[str] = []
    made = 0
    with tempfile.TemporaryDirectory(prefix="soak-") as name, _progress() as progress:
        lab.reset(*_HOSTS)
        masters = _killed(Path(name))
        lasts = [duration(master) for master in masters]
        task = progress.add_task("kills", total=number, lost=0)
        for count in _until(number, minutes):
            master, seconds = masters[count % len(masters)], lasts[count % len(masters)]
            try:
                killed_at_random(master, chance, seconds)
            except (AssertionError, TimeoutError) as error:
                lost.append(str(error))
                _console.print(f"Lost: {error}", style="red")
                lab.reset(*_HOSTS)
            made += 1
            progress.update(task, advance=1, lost=len(lost))
    if not lost:
        lab.down()
    _console.print(f"{made} kills at random moments, {len(lost)} not made good")
    return len(lost)


def agents(number: int) -> None:
    """Print what it costs to renew so many simulated agents.

    :raises SystemExit: not every one was renewed.
    """
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        directory = Path(name)
        register_connector(directory)
        site = directory / "site.sqlite"
        make_site(site, number, _console.print)
        with _console.status(f"renewing {number} agents"):
            cost = measured(number, site, directory)
    _console.print(
        f"{number} agents renewed: {cost.cpu:.0f} s of CPU, {cost.peak:.0f} MiB,"
        f" the master was asked {sum(cost.asked.values())} times"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("kills", help="regenerations that are killed at random moments")
    command.add_argument("--number", type=int, default=200)
    command.add_argument("--minutes", type=float, default=120, help="begin none after so many")
    command.add_argument("--seed", type=int, default=random.randrange(1000))
    command = commands.add_parser("agents", help="step 6 over simulated agents")
    command.add_argument("--number", type=int, default=4000)
    arguments = parser.parse_args()
    if arguments.command == "kills":
        sys.exit(1 if kills(arguments.number, arguments.minutes, arguments.seed) else 0)
    agents(arguments.number)


if __name__ == "__main__":
    main()
