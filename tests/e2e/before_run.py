"""A pyinfra config for the tests: something happens on the master between preview and run.

BEFORE_RUN="script for its shell" pyinfra … --config tests/e2e/before_run.py
"""

import os

import pyinfra_cli.cli  # type: ignore[import-untyped]

import lab

_run_ops = pyinfra_cli.cli.run_ops


def _run_ops_after(*args, **kwargs):  # type: ignore[no-untyped-def]
    lab.run("master", os.environ["BEFORE_RUN"])
    return _run_ops(*args, **kwargs)


pyinfra_cli.cli.run_ops = _run_ops_after
