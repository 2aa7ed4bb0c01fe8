"""What can be wrong at a site, by kinds. `recert.problems` judges it, once: a survey lists what was
found, and a check of a verification is the absence of kinds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from recert.report import Problem, Severity


class FindingKind(Enum):
    """Named by what is the matter, not by what it weighs: that depends on where it is."""

    # A host
    NOT_ASKED = auto()
    NOT_JUDGED = auto()
    IN_NO_GROUP = auto()
    SERVICE_STOPPED = auto()
    SERVICE_STOPPED_BEFORE = auto()
    CLOCK_WRONG = auto()
    AGENT_DISABLED = auto()
    RUN_FAILED = auto()
    SOMEBODY_ELSES = auto()
    KEY_OPEN = auto()
    KEY_OF_RETIRED_CA = auto()
    UNREADABLE = auto()
    SEALED = auto()
    NOT_AS_DELIVERED = auto()
    EXTENSIONS_LOST = auto()
    EXTENSIONS_NOT_ASKED_FOR = auto()
    ALT_NAMES_LOST = auto()
    # An agent
    CERTIFICATE_STALE = auto()
    CERTIFICATE_UNKNOWN_TO_CA = auto()
    CERTIFICATE_UNSEEN = auto()
    CA_NOT_TRUSTED = auto()
    CRL_STALE = auto()
    # The master
    FAULT = auto()
    LEFTOVER = auto()
    MADE_ASIDE = auto()
    NAME_OF_ANOTHER = auto()
    CRL_EXPIRES = auto()
    SIGNED_FOR_ANOTHER = auto()
    SIGNED_UNREADABLE = auto()
    HOST_UNKNOWN = auto()
    REQUEST_WAITS = auto()
    # A certificate's file, by itself
    OF_RETIRED_CA = auto()
    OF_ANOTHER_CA = auto()
    REVOKED = auto()
    EXPIRED = auto()
    EXPIRES_SOON = auto()
    NOT_ONE_NAME = auto()
    NOT_YET_VALID = auto()
    WEAK = auto()
    WITHOUT_ITS_KEY = auto()
    NO_CERTIFICATE = auto()


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, as a `Problem` has it. `subject`: the path, service or name."""

    kind: FindingKind
    severity: Severity
    host: str
    subject: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.subject} {self.what}".strip()

    @property
    def problem(self) -> Problem:
        """The same for a report."""
        return Problem(self.severity, self.host, self.subject, self.what, self.remedy)


@dataclass(frozen=True)
class Flaw:
    """What is wrong with a certificate's file, whatever that weighs where it lies."""

    kind: FindingKind
    what: str
