"""pyinfra's settings for this project; command line options override them."""

import os
import sys

from pyinfra import config

from procedures import interruption, slips, terminal

# pyinfra forbids it for the sake of the files that it executes itself; the modules that those
# import would be compiled anew in each run.
sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"

interruption.end_with_a_status()
slips.refuse()
terminal.guard()
