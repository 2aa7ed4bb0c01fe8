"""End to end, in the lab: each worker of pytest-xdist has one of its own."""

import os

if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["PE_LAB"] = worker
