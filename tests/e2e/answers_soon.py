"""A pyinfra config for the tests: services have less time until they have to answer.

pyinfra … --config tests/e2e/answers_soon.py
"""

import operations.readiness

operations.readiness.LIMIT = 4
