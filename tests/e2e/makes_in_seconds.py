"""A pyinfra config for the tests: what is made aside has to be there in seconds.

pyinfra … --config tests/e2e/makes_in_seconds.py
"""

import operations.aside

operations.aside.KEYS_LIMIT = 20
