"""The document that a survey, a verification or a run leaves: for a person's page and for programs.

Its JSON is described by docs/report.schema.json, which is made from these classes
(`python -m recert.report`). No private key is in it and no password of ours; but it is a map of the
site, and where a Puppet run has failed it has Puppet's errors, which can hold what a catalog keeps
secret: it is for its owner's eyes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import Enum
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from recert.observed import Service
from recert.outcomes import ForeignRequest, Outcome

if TYPE_CHECKING:
    from pydantic import TypeAdapter

VERSION: Literal[2] = 2
SCHEMA = Path(__file__).resolve().parent.parent / "docs" / "report.schema.json"


class Kind(Enum):
    """Which procedure has left the document."""

    SURVEY = "survey"
    VERIFY = "verify"
    SITE = "site"
    AGENTS = "agents"
    REPLACE = "replace"
    RESTORE = "restore"


class Severity(Enum):
    """The worst first. BAD: something does not work, or is not safe. WARNING: it will not be for
    long, or somebody should look. NOTE: what one should know."""

    BAD = "bad"
    WARNING = "warning"
    NOTE = "note"


class Standing(Enum):
    """What a certificate is worth; the worst first.

    RETIRED: of the CA to retire, or that one itself, in a run that names one. FOREIGN: of no CA
    that the master has. UNUSABLE: its key is missing or another's, its subject is not one plain
    name, or the file cannot be read. UNJUDGED: valid, and nobody can tell for whom, because the
    master's CA could not be read."""

    RETIRED = "retired"
    UNUSABLE = "unusable"
    FOREIGN = "of another CA"
    REVOKED = "revoked"
    EXPIRED = "expired"
    EXPIRING = "expires soon"
    UNJUDGED = "not judged"
    GOOD = "good"


class Role(Enum):
    MASTER = "master"
    AGENT = "agent"
    WINDOWS_AGENT = "windows agent"


class Result(Enum):
    """The worst first."""

    FAILED = "failed"
    NOT_MADE = "not made"
    PASSED = "passed"


@dataclass(frozen=True)
class Problem:
    """Something that needs a person. `subject`: the path, service or name it is about."""

    severity: Severity
    host: str
    subject: str
    what: str
    remedy: str


@dataclass(frozen=True)
class CertificateRecord:
    """One certificate file on one host.

    `subject`, `issuer`: common names; with a slash before it, a name that is not just one.
    `serial`: hexadecimal. `issuer_fingerprint`: of the CA whose key made the signature, None if
    none is known. `fingerprint`: SHA-256. `key_bits`: None for a key of an unusual kind.
    `signature`: its hash algorithm. `belongs`: whether key, certificate and CA belong together,
    None where there is no key beside it. `mode`: octal. `used_by`: services.
    All that the file itself would say is None where it cannot be read.
    """

    host: str
    path: str
    owner: str
    mode: str
    standing: Standing
    used_by: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    subject: str | None = None
    alt_names: tuple[str, ...] = ()
    serial: str | None = None
    issuer: str | None = None
    issuer_fingerprint: str | None = None
    not_before: datetime | None = None
    not_after: datetime | None = None
    fingerprint: str | None = None
    key_bits: int | None = None
    signature: str | None = None
    is_ca: bool = False
    belongs: bool | None = None


@dataclass(frozen=True)
class CaRecord:
    """A CA's certificate, and for the one in place what it holds. `requests`: names that wait for
    a signature. `crl_expires`: when its revocation list has to be replaced."""

    fingerprint: str
    subject: str
    not_before: datetime
    not_after: datetime
    key_bits: int | None
    signature: str | None
    signed: int | None = None
    revoked: int | None = None
    requests: tuple[str, ...] = ()
    crl_expires: datetime | None = None


@dataclass(frozen=True)
class ServiceRecord:
    name: str
    state: Service


@dataclass(frozen=True)
class HostRecord:
    """One host of the inventory. `answered`: it could be asked. `well`: nothing is wrong with it
    that keeps it from working under the CA in place, otherwise `why`. `trusts`: the fingerprint of
    the CA that it checks others against. `in_inventory`: whether the CA holds a certificate that
    it signed for this host's key; None if the CA could not be asked. `clock_skew`: seconds by which
    its clock is ahead of the master's, and the master's own of the control machine's. `last_run`:
    the end of the last Puppet run."""

    host: str
    role: Role
    certname: str | None
    answered: bool
    well: bool
    why: str = ""
    fingerprint: str | None = None
    trusts: str | None = None
    in_inventory: bool | None = None
    revoked: bool | None = None
    last_run: datetime | None = None
    last_run_succeeded: bool | None = None
    clock_skew: float | None = None
    services: tuple[ServiceRecord, ...] = ()


def trusted(host: HostRecord, ca: str | None) -> str:
    """Which CA a host checks others against: in words, or the begin of its fingerprint; empty
    where there is none that can be read.

    :param ca: the fingerprint of the one in place.
    """
    if host.trusts is None:
        return ""
    return "the CA in place" if host.trusts == ca else f"{host.trusts[:23]}…"


@dataclass(frozen=True)
class Snapshot:
    """Everything that was seen at one moment. `problems`: the worst first. `ca`: the one in place,
    None if there is none that can be read."""

    at: datetime
    ca: CaRecord | None
    hosts: tuple[HostRecord, ...]
    certificates: tuple[CertificateRecord, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Check:
    """One thing that was proven, or not. `about`: the same for all checks of a kind; `did`: what
    was done; `saw`: what came of it; `remedy`: for one that failed."""

    about: str
    host: str
    did: str
    saw: str
    result: Result
    remedy: str = ""


@dataclass(frozen=True)
class OperationRecord:
    """One step on one host; `seconds`: how long it took there."""

    name: str
    host: str
    began: datetime
    seconds: float
    result: Literal["changed", "unchanged", "failed"]


@dataclass(frozen=True)
class Outage:
    """From the first service that the run stopped on the master until all of them ran again;
    `ended` is None if they do not yet."""

    began: datetime
    ended: datetime | None

    @property
    def seconds(self) -> float | None:
        return (self.ended - self.began).total_seconds() if self.ended is not None else None


@dataclass(frozen=True)
class HostAndWhy:
    host: str
    why: str


@dataclass(frozen=True)
class Summary:
    """One screen. `well`: nothing is left for anybody to do. `nodes`: hosts that the document is
    about; `back`: those that work under the CA in place, `not_back` the others. `problems`: the
    bad ones. `outage_seconds`: None if there was none, or it has not ended. `checks_not_made`:
    neither passed nor failed."""

    well: bool
    nodes: int
    back: int
    not_back: tuple[HostAndWhy, ...]
    outage_seconds: float | None
    problems: int
    warnings: int
    checks: int
    checks_failed: int
    checks_not_made: int

    @classmethod
    def of(
        cls,
        agents: Sequence[Outcome] = (),
        now: Snapshot | None = None,
        checks: Sequence[Check] = (),
        outage: Outage | None = None,
    ) -> Summary:
        """The sum of the parts of a report."""
        found = now.problems if now is not None else ()
        bad = [problem for problem in found if problem.severity is Severity.BAD]
        failed = [check for check in checks if check.result is Result.FAILED]
        if now is not None:
            failed_hosts = {check.host: f"{check.did}: {check.saw}" for check in reversed(failed)}
            not_back = tuple(
                HostAndWhy(host.host, host.why or failed_hosts.get(host.host, ""))
                for host in now.hosts
                if not host.well or host.host in failed_hosts
            )
            nodes = len(now.hosts)
        else:
            not_back = tuple(
                HostAndWhy(agent.host, agent.why or agent.status.value)
                for agent in agents
                if not agent.status.good
            )
            nodes = len(agents)
        return cls(
            well=not failed and not not_back and all(agent.status.good for agent in agents),
            nodes=nodes,
            back=nodes - len(not_back),
            not_back=not_back,
            outage_seconds=outage.seconds if outage is not None else None,
            problems=len(bad),
            warnings=sum(problem.severity is Severity.WARNING for problem in found),
            checks=len(checks),
            checks_failed=len(failed),
            checks_not_made=sum(check.result is Result.NOT_MADE for check in checks),
        )


@dataclass(frozen=True)
class Report:
    """The document.

    `retired`: fingerprints of the CA to retire, or of single certificates. `ca`: the fingerprint
    of the master's CA at the end, None if it has none that agents are to trust. `retired_ca`: what
    is known of the CA to retire. `agents`: what step 6 made of each. `before`, `now`: what was
    found at the beginning and at the end; a survey has only `now`.
    """

    kind: Kind
    began: datetime
    finished: datetime
    command: str
    preview: bool
    master: str
    retired: tuple[str, ...]
    ca: str | None
    summary: Summary
    retired_ca: CaRecord | None = None
    outage: Outage | None = None
    before: Snapshot | None = None
    now: Snapshot | None = None
    checks: tuple[Check, ...] = ()
    agents: tuple[Outcome, ...] = ()
    foreign_requests: tuple[ForeignRequest, ...] = ()
    operations: tuple[OperationRecord, ...] = ()
    version: Literal[2] = field(default=VERSION, kw_only=True)

    def to_json(self) -> str:
        """Enumerations by their values, times in ISO 8601."""
        plain: dict[str, Any] = asdict(self)
        ordered = {"version": plain.pop("version"), **plain}
        return json.dumps(ordered, indent=2, default=_as_json) + "\n"


def _as_json(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    assert isinstance(value, Enum), value
    return value.value


def read_report(text: str) -> Report:
    """A document as a report again.

    :raises ValueError: it is none, or of another version.
    """
    return _adapter().validate_python(json.loads(text), strict=False)


def schema() -> str:
    """The JSON Schema of the document."""
    found = _adapter().json_schema(mode="serialization")
    return (
        json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **found}, indent=2)
        + "\n"
    )


@cache
def _adapter() -> TypeAdapter[Report]:
    # Every run writes a report, few read one; pydantic takes a while to load.
    from pydantic import TypeAdapter

    return TypeAdapter(Report)


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
