"""Puppet Enterprise 3.7 deployments in containers: the default inventory and the tests' hosts.

A host is PE's layout around a real Puppet 5.5.22: `lab/image/` is what goes into one, and
`lab/hosts.py` says which there are.
"""

from lab.containers import (
    HostStatus,
    cut,
    down,
    mend,
    reset,
    run,
    status,
    switch_off,
    switch_on,
    up,
)
from lab.progress import LabError
from lab.state import HostInfo, hosts

__all__ = [
    "HostInfo",
    "HostStatus",
    "LabError",
    "cut",
    "down",
    "hosts",
    "mend",
    "reset",
    "run",
    "status",
    "switch_off",
    "switch_on",
    "up",
]
