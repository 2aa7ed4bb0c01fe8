"""The procedures, a file for each document; `recert.deployments` has their tables."""

from collections.abc import Callable
from functools import partial

from deploys.documents import open_source, pe_3_7, pe_3_8, pe_2015, pe_2016_2
from recert.deployments.debian_5 import DEBIAN_5
from recert.deployments.debian_7 import DEBIAN_7
from recert.deployments.model import Deployment
from recert.deployments.pe_3_7 import PE_3_7
from recert.deployments.pe_3_8 import PE_3_8, PE_3_8_0
from recert.deployments.pe_2015_2 import PE_2015_2
from recert.deployments.pe_2015_3 import PE_2015_3
from recert.deployments.pe_2016_1 import PE_2016_1
from recert.deployments.pe_2016_2 import PE_2016_2

_REGENERATIONS: dict[str, Callable[[], None]] = {
    PE_3_7.name: pe_3_7.regenerate,
    PE_2016_2.name: pe_2016_2.regenerate,
    DEBIAN_5.name: open_source.regenerate,
    DEBIAN_7.name: open_source.regenerate,
    **{
        deployment.name: partial(pe_3_8.regenerate, deployment) for deployment in (PE_3_8_0, PE_3_8)
    },
    **{
        deployment.name: partial(pe_2015.regenerate, deployment)
        for deployment in (PE_2015_2, PE_2015_3, PE_2016_1)
    },
}


def regeneration(deployment: Deployment) -> Callable[[], None]:
    """Steps 1 to 5 for a master of that shape."""
    return _REGENERATIONS[deployment.name]
