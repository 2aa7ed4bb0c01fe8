"""A pyinfra config for the tests: agents have less time for a step.

pyinfra … --config tests/e2e/impatient.py
"""

import operations.on_agent

operations.on_agent.LIMIT = 15  # before any other module takes it over
