"""A pyinfra config for the tests: a Windows service that is starting or stopping hangs sooner.

pyinfra … --config tests/e2e/hangs_soon.py
"""

import operations.windows

operations.windows.HANG_LIMIT = 5
