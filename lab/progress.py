"""What the lab says while it works, and the log of what its programs say."""

import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

_STARTED = time.monotonic()
_TAIL_LINES = 25
_log_lock = threading.Lock()


class LabError(Exception):
    """The lab cannot do what was asked; the message says why and what to do."""


def say(message: str) -> None:
    """One line for the person who waits, with the seconds since the start."""
    print(f"[{time.monotonic() - _STARTED:5.1f} s] {message}", flush=True)


def run_logged(argv: Sequence[str], *, log: Path, label: str, timeout: float) -> None:
    """Run a long program, its output going to the log; the error quotes the last lines."""
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    with (
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
