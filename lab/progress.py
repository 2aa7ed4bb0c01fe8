"""What the lab says while it works, and the log of what its programs say."""

import re
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_STARTED = time.monotonic()
_TAIL_LINES = 25
_TELL_EVERY = 10.0
_MEGABYTES = {"B": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}
_log_lock = threading.Lock()


class LabError(Exception):
    """The lab cannot do what was asked; the message says why and what to do."""


def say(message: str) -> None:
    """One line for the person who waits, with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:5.1f} s] {message}", flush=True)


class Packages:
    """How far apt-get and dpkg are with a number of packages, by the lines that they print."""

    _CHOSEN = re.compile(r"(\d+) newly installed")
    _NEEDED = re.compile(r"Need to get ([\d.,]+) (\w?B)(?:/\S+ \S+)? of archives")
    _FETCHED = re.compile(r"Get:\d+ .*\[([\d.,]+) (\w?B)\]")
    _WORKED_ON = re.compile(r"(Unpacking|Setting up) ")

    def __init__(self) -> None:
        self._begin(0)

    def _begin(self, chosen: int) -> None:
        self.chosen = chosen
        self.needed = 0.0
        self.fetched = 0.0
        self.done = {"Unpacking": 0, "Setting up": 0}

    def read(self, line: str) -> None:
        """Take notice of a line."""
        if found := self._CHOSEN.search(line):
            self._begin(int(found[1]))
        elif found := self._NEEDED.search(line):
            self.needed = _megabytes(*found.groups())
        elif found := self._FETCHED.match(line):
            self.fetched += _megabytes(*found.groups())
        elif found := self._WORKED_ON.match(line):
            self.done[found[1]] += 1

    def state(self, before: float, seconds: float) -> str:
        """Where it is; empty as long as there is nothing to tell.

        :param before: megabytes that had been fetched so many `seconds` ago.
        """
        if not self.chosen:
            return ""
        unpacked, set_up = self.done.values()
        if unpacked or set_up:
            return f"of {self.chosen} packages {unpacked} unpacked, {set_up} set up"
        speed = max(0.0, self.fetched - before) / seconds
        return (
            f"{self.fetched:.0f} of {self.needed:.0f} MB of {self.chosen} packages fetched,"
            f" {speed:.1f} MB/s"
        )


def _megabytes(number: str, unit: str) -> float:
    return float(number.replace(",", "")) * _MEGABYTES.get(unit, 0.0)


@contextmanager
def _told(label: str, packages: Packages) -> Iterator[None]:
    """Say every ten seconds how far it is."""
    over = threading.Event()

    def tell() -> None:
        fetched = 0.0
        while not over.wait(_TELL_EVERY):
            state = packages.state(fetched, _TELL_EVERY)
            fetched = packages.fetched
            if state:
                say(f"{label}: {state}")

    telling = threading.Thread(target=tell, daemon=True)
    telling.start()
    try:
        yield
    finally:
        over.set()
        telling.join()


def run_logged(argv: Sequence[str], *, log: Path, label: str, timeout: float) -> None:
    """Run a long program, its output going to the log; the error quotes the last lines. If it
    works on packages, it is told how far it is."""
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    packages = Packages()
    with (
        _told(label, packages),
        log.open("a", encoding="utf-8") as file,
        subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        timer = threading.Timer(timeout, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip()
                tail.append(line)
                packages.read(line)
                with _log_lock:
                    file.write(f"{label}: {line}\n")
                    file.flush()
            status = process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            timed_out = not timer.is_alive()
            timer.cancel()
    if status != 0:
        why = f"did not end within {timeout:.0f} s" if timed_out else f"ended with {status}"
        raise LabError(f"{label}: {argv[0]} {why}; all of it is in {log}\n  " + "\n  ".join(tail))
