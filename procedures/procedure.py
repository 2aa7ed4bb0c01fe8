"""What every procedure has, and which one the operations on a host carry out."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from pyinfra.api import Host

from procedures.master import MasterFacts
from recert.layout import MASTER_SERVICE
from recert.observed import Service


class Procedure:
    """What the operations on a host carry out: the facts of its master, and whether it is over."""

    facts: MasterFacts

    @property
    def work_due(self) -> bool:
        """Whether anything has to be replaced, so that the services have to be stopped."""
        raise NotImplementedError

    @property
    def note_for_resuming(self) -> str:
        """A CA's fingerprint to remember as classified; empty if there is nothing to remember."""
        return ""

    @property
    def serves_old_certificate(self) -> bool:
        """Whether a running master presents another certificate than the one in ssldir."""
        presented, in_use = self.facts.presented, self.facts.certificate_in_use
        return (
            self.facts.services[MASTER_SERVICE] is Service.RUNNING
            and presented is not None
            and (in_use is None or presented.fingerprint != in_use.fingerprint)
        )


_procedures: WeakKeyDictionary[Host, Procedure] = WeakKeyDictionary()


def begin(host: Host, procedure: Procedure) -> None:
    """Make `procedure` the one that the operations on `host` carry out."""
    _procedures[host] = procedure


def procedure_of(host: Host) -> Procedure:
    """What `begin` was given for `host`."""
    return _procedures[host]
