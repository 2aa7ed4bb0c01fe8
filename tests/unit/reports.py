"""Reports of sites of any size."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from recert.observed import Service
from recert.outcomes import ForeignRequest, Outcome, Status
from recert.report import (
    CaRecord,
    CertificateRecord,
    Check,
    HostRecord,
    Kind,
    OperationRecord,
    Outage,
    Problem,
    Report,
    Result,
    Role,
    ServiceRecord,
    Severity,
    Snapshot,
    Standing,
    Summary,
)

BEGAN = datetime(2015, 11, 23, 10, tzinfo=UTC)
FINISHED = BEGAN + timedelta(minutes=11)
FIVE_YEARS = timedelta(days=1825)
OLD_CA, NEW_CA = (":".join([f"{byte:02X}"] * 32) for byte in (0xFE, 0x12))

_OWN = "document.title='owned'"
HOSTILE = f'</script><script>{_OWN}</script><img src=x onerror="{_OWN}">'
"""A certname that would be script, were it not escaped."""


def fingerprint(number: int) -> str:
    return ":".join(f"{byte:02X}" for byte in number.to_bytes(32, "big"))


def _ca(digest: str, begins: datetime) -> CaRecord:
    return CaRecord(
        fingerprint=digest,
        subject="Puppet CA: puppet.example.com",
        not_before=begins,
        not_after=begins + FIVE_YEARS,
        key_bits=4096,
        signature="sha256",
        signed=14,
        revoked=1,
    )


def certificate(number: int, name: str, *, old: bool = False) -> CertificateRecord:
    """The certificate of one agent, before or after."""
    begins = BEGAN - timedelta(days=900 + number % 700) if old else BEGAN + timedelta(minutes=2)
    return CertificateRecord(
        host=name,
        path=f"/etc/puppetlabs/puppet/ssl/certs/{name}.pem",
        owner="root:root",
        mode="0644",
        standing=Standing.RETIRED if old else Standing.GOOD,
        subject=name,
        serial=f"{number:#06x}",
        issuer="Puppet CA: puppet.example.com",
        issuer_fingerprint=OLD_CA if old else NEW_CA,
        not_before=begins,
        not_after=begins + FIVE_YEARS,
        fingerprint=fingerprint(2 * number + old + 1),
        key_bits=4096,
        signature="sha256",
        belongs=True,
    )


def names(number: int) -> list[str]:
    return [f"node{n:04}.example.com" for n in range(1, number + 1)]


def site_report(number: int, *, odd_name: str | None = None) -> Report:
    """A whole site with so many agents, the last of which failed.

    :param odd_name: what the first agent is called, everywhere.
    """
    agents = names(number)
    if odd_name is not None:
        agents[0] = odd_name
    failed = agents[-1]
    before = [certificate(n, name, old=True) for n, name in enumerate(agents)]
    now = [certificate(n, name) for n, name in enumerate(agents)]
    now[-1] = replace(before[-1], problems=("is of the CA to retire",))
    problem = Problem(Severity.BAD, failed, now[-1].path, "is of the CA to retire", "Run it again.")
    hosts = [
        HostRecord(
            host=name,
            role=Role.AGENT,
            certname=name,
            answered=True,
            well=name != failed,
            why="its disk is full" if name == failed else "",
            last_run=FINISHED - timedelta(seconds=n % 300),
            last_run_succeeded=True,
            clock_skew=(n % 21 - 10) / 10,
            services=(ServiceRecord("pe-puppet", Service.RUNNING),),
        )
        for n, name in enumerate(agents)
    ]
    after = Snapshot(FINISHED, _ca(NEW_CA, BEGAN), tuple(hosts), tuple(now), (problem,))
    checks = tuple(
        Check(
            "A Puppet run succeeds",
            name,
            "puppet agent --test",
            "exit status 1" if name == failed else "exit status 0",
            Result.FAILED if name == failed else Result.PASSED,
        )
        for name in agents
    )
    outcomes = tuple(
        Outcome(name, name, Status.FAILED, "6.4 Delete the agent's SSL directory", "No space left")
        if name == failed
        else Outcome(name, name, Status.RENEWED)
        for name in agents
    )
    outage = Outage(BEGAN + timedelta(seconds=20), BEGAN + timedelta(seconds=61.5))
    return Report(
        kind=Kind.SITE,
        began=BEGAN,
        finished=FINISHED,
        command="pyinfra inventories/mysite.py deploys/site.py",
        preview=False,
        master="puppet",
        retired=(OLD_CA,),
        ca=NEW_CA,
        summary=Summary.of(outcomes, after, checks, outage),
        retired_ca=_ca(OLD_CA, BEGAN - timedelta(days=1600)),
        outage=outage,
        before=Snapshot(
            BEGAN, _ca(OLD_CA, BEGAN - timedelta(days=1600)), tuple(hosts), tuple(before), ()
        ),
        now=after,
        checks=checks,
        agents=outcomes,
        foreign_requests=(ForeignRequest(odd_name or "stranger.example.com", fingerprint(7)),),
        operations=tuple(
            OperationRecord(
                "6.1 Back up the SSL directory",
                name,
                BEGAN + timedelta(seconds=70),
                0.5 + n / 1000,
                "changed",
            )
            for n, name in enumerate(agents)
        ),
    )
