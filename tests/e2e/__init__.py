"""End to end, in the lab: each worker of pytest-xdist has one of its own.

Most tests reset a master, so they have stand-ins for its services, which start at once.
"""

import os

os.environ.setdefault("PE_LAB_SERVICES", "stand-ins")
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["PE_LAB"] = worker
