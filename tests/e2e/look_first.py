"""A pyinfra config for the tests: a run looks at all that it will change before it begins.

pyinfra … -y --json --config tests/e2e/look_first.py

As without -y; its results in JSON have the plan as well then.
"""

from pyinfra.api import State

State.should_check_for_changes = lambda self: True  # type: ignore[method-assign]
