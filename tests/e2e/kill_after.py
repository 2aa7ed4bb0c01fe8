"""A pyinfra config for the tests: the run kills itself after its N-th operation that changed.

    KILL_AFTER=N pyinfra … --config tests/e2e/kill_after.py

SIGKILL, as a power cut would: nothing is tidied up, no exit handler runs. What it had planned (it
looks before it begins, as without -y) it prints before, as `--json --dry` does.
"""

import os
import signal
import sys

from pyinfra import state
from pyinfra.api import State
from pyinfra.api.operation import OperationMeta
from pyinfra_cli.prints import print_run_json  # type: ignore[import-untyped]

_left = int(os.environ["KILL_AFTER"])
_set_complete = OperationMeta.set_complete


def _set_complete_and_die(self, success, commands, *args, **kwargs):  # type: ignore[no-untyped-def]
    global _left
    _set_complete(self, success, commands, *args, **kwargs)
    if commands:
        _left -= 1
        if _left == 0:
            print_run_json(state, dry=True)
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)


OperationMeta.set_complete = _set_complete_and_die  # type: ignore[method-assign]
State.should_check_for_changes = lambda self: True  # type: ignore[method-assign]
