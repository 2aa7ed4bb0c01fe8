"""A pyinfra config for the tests: agents have less time for a step.

pyinfra … --config tests/e2e/impatient.py
"""

import operations.agents

operations.agents.LIMIT = 15
