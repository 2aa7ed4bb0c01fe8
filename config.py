"""pyinfra's settings for this project; command line options override them."""

from pyinfra import config

config.REQUIRE_PYINFRA_VERSION = ">=3.10,<4"
