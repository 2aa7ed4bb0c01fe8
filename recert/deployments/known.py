"""The shapes that there are tables for."""

from __future__ import annotations

from recert.deployments.debian_5 import DEBIAN_5
from recert.deployments.debian_7 import DEBIAN_7
from recert.deployments.model import Deployment
from recert.deployments.pe_3_7 import PE_3_7
from recert.deployments.pe_3_8 import PE_3_8, PE_3_8_0
from recert.deployments.pe_2015_2 import PE_2015_2
from recert.deployments.pe_2015_3 import PE_2015_3
from recert.deployments.pe_2016_1 import PE_2016_1
from recert.deployments.pe_2016_2 import PE_2016_2

DEPLOYMENTS = (
    *(PE_3_7, PE_3_8_0, PE_3_8, PE_2015_2, PE_2015_3, PE_2016_1, PE_2016_2),
    *(DEBIAN_5, DEBIAN_7),
)

PROGRAMS = tuple(dict.fromkeys(path for one in DEPLOYMENTS for path in one.programs))
"""Where Puppet's programs are at any site: often missing from the PATH of a session that is no
login, and to be found before another Puppet on it."""

JAVA = tuple(dict.fromkeys(path for one in DEPLOYMENTS for path in one.java))
"""The same of Java's."""

_GENERATIONS = (DEBIAN_5, PE_3_7, PE_2016_2)
"""Of agents: within one they differ in nothing but services that may not be installed."""

NEWEST = _GENERATIONS[-1]
"""Has all that may run on an agent that does not show its generation."""


def of_program(path: str) -> Deployment | None:
    """The one whose agents have their `puppet` there, None if none has."""
    return next((one for one in _GENERATIONS if path.startswith(f"{one.prefix}/")), None)


def is_internal(name: str) -> bool:
    """Whether a certificate is for a service of the vendor's own, at any site."""
    return any(deployment.is_internal(name) for deployment in DEPLOYMENTS)
