"""How long a regeneration takes, by hand and with the deploy, side by side in the lab; and how long
the same services need to stop and to answer again, with nothing in between (`restart.py`).

    python -m benchmarks.outage [--rounds N] [--json FILE]

Each round resets the lab's master to its seeded state and types the document's commands one after
the other (`by_hand.sh`), then does the same with the deploy, and with the restart. The whole run is
timed from outside. The outage begins with the first service that systemd on the master recorded as
stopped, and ends when the last is started and everything answers again: the Puppet master,
ActiveMQ, and the console through its front, which needs PuppetDB and PostgreSQL. The figures are
ratios: seconds differ from machine to machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

import lab
from lab.reaching import exec_argv
from lab.services import REAL
from recert.certificates import read_certificate
from recert.deployments.pe_3_7 import PE_3_7

HOST = "master"
HERE = Path(__file__).resolve().parent


# Ends with its standard input.
_WATCH = """
require 'net/http'
require 'openssl'
Thread.new { $stdin.read; exit!(0) }
$stdout.sync = true

def answers?
  TCPSocket.new('localhost', 61_613).close
  [8140, 443].all? do |port|
    http = Net::HTTP.new('localhost', port)
    http.use_ssl = true
    http.verify_mode = OpenSSL::SSL::VERIFY_NONE
    http.open_timeout = http.read_timeout = 2
    http.get('/').code.to_i < 500
  end
rescue SystemCallError, IOError, Timeout::Error, OpenSSL::SSL::SSLError
  false
end

last = nil
loop do
  now = answers?
  puts "#{Process.clock_gettime(Process::CLOCK_MONOTONIC)} #{now}" if now != last
  last = now
  sleep 0.2
end
"""
_PATIENCE = 60


class Watch:
    """Notes on the master when its services answer and when not, by the clock of its systemd."""

    def __init__(self, directory: Path) -> None:
        self._notes = directory / "answers"
        with self._notes.open("w") as notes:
            self._process = subprocess.Popen(
                exec_argv(HOST, ["/opt/puppet/bin/ruby", "-e", _WATCH]),
                stdin=subprocess.PIPE,
                stdout=notes,
            )

    def answering_since(self) -> float:
        """Seconds; once everything answers.

        :raises SystemExit: something does not, after a minute.
        """
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            last = self._notes.read_text().rpartition("\n")[0].rpartition("\n")[2].split()
            if last and last[1] == "true":
                return float(last[0])
            time.sleep(0.2)
        raise SystemExit(f"after {_PATIENCE} s something on the master still does not answer")

    def stop(self) -> None:
        self._process.communicate()


@dataclass(frozen=True)
class Timing:
    """Seconds."""

    whole: float
    outage: float


def measured(run: Callable[[], None]) -> Timing:
    lab.reset(HOST, services=REAL)
    with tempfile.TemporaryDirectory(prefix="outage-") as directory:
        watch = Watch(Path(directory))
        try:
            before = watch.answering_since()
            time.sleep(3)  # what the start of the container left to do is not ours to time
            began = time.monotonic()
            run()
            whole = time.monotonic() - began
            answering = watch.answering_since()
        finally:
            watch.stop()
    if answering == before:
        raise SystemExit("the services answered all the time")
    moments = "InactiveEnterTimestampMonotonic,ActiveEnterTimestampMonotonic"
    shown = lab.run(HOST, ["systemctl", "show", "-p", moments, *PE_3_7.master.stopped]).stdout
    stopped: list[float] = []
    started: list[float] = []
    for line in shown.split():
        name, _, microseconds = line.partition("=")
        which = stopped if name.startswith("Inactive") else started
        which.append(int(microseconds) / 1e6)
    if len(stopped) != len(PE_3_7.master.stopped) or min(stopped) == 0:
        raise SystemExit("not every service was stopped and started")
    return Timing(whole, max(answering, *started) - min(stopped))


def by_hand() -> None:
    script = (HERE / "by_hand.sh").read_text()
    lab.run(HOST, ["sh", "-c", script])


def with_the_deploy() -> None:
    pem = lab.run(HOST, ["cat", "/etc/puppetlabs/puppet/ssl/ca/ca_crt.pem"]).stdout
    ca = read_certificate(pem)
    assert ca is not None
    _pyinfra("deploys/master.py", "--data", f"retire_ca={ca.fingerprint}")


def restart_alone() -> None:
    _pyinfra("benchmarks/restart.py", "--limit", HOST)


def _pyinfra(deploy: str, *arguments: str) -> None:
    pyinfra = Path(sys.executable).with_name("pyinfra")
    done = subprocess.run(
        [str(pyinfra), "inventory.py", deploy, "-y", *arguments],
        cwd=HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f}  ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args()
    lab.up([HOST], services=REAL)
    console = Console()
    hand: list[Timing] = []
    deploy: list[Timing] = []
    restart: list[Timing] = []
    ways = ((by_hand, hand), (with_the_deploy, deploy), (restart_alone, restart))
    for number in range(1, arguments.rounds + 1):
        for run, timings in ways:
            timing = measured(run)
            timings.append(timing)
            console.print(
                f"round {number} of {arguments.rounds}, {run.__name__.replace('_', ' ')}: "
                f"whole run {timing.whole:.1f} s, outage {timing.outage:.1f} s"
            )
    table = Table("", "by hand, s", "with the deploy, s", "ratio", "restart alone, s", "ratio")
    figures = {}
    for what in ("whole", "outage"):
        a, b, c = ([getattr(one, what) for one in timings] for _, timings in ways)
        of_hand, of_restart = ([y / x for x, y in zip(base, b, strict=True)] for base in (a, c))
        table.add_row(what, *map(spread, (a, b, of_hand, c, of_restart)))
        figures[what] = {
            "by_hand": a,
            "deploy": b,
            "ratio": statistics.median(of_hand),
            "restart": c,
            "ratio_to_restart": statistics.median(of_restart),
        }
    console.print("Medians, and the smallest and largest of", arguments.rounds, "rounds:")
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
