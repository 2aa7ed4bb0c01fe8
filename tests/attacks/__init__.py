"""What somebody tries who holds one node, in the lab: see `tests.e2e` for how that is run."""

import tests.e2e  # noqa: F401  the lab that a worker of pytest-xdist has
