"""What the CA to retire has signed since somebody else may have had it sign is believed of nobody:
it proves no name, and nothing that it says is carried over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyinfra.api.exceptions import DeployError

from procedures.renewal import AgentRenewal, _told_of_doubted
from procedures.site import Site
from recert.ca_records import CaRecords
from recert.deployments.authority import PUPPET_CERT
from recert.freshness import Retired
from recert.options import Options
from recert.signing import BACKDATED, Before, Verdict, judge
from tests.unit.issuing_ca import (
    NEW,
    OLD,
    IssuingCa,
    key_digest,
    puppets_extension,
    read,
    read_csr,
    request_pem,
    settings,
)

NAME, ALIAS = "agent01.example.com", "www.example.com"
ROLE = puppets_extension("puppet::master")
DAY = datetime(2015, 11, 1, tzinfo=UTC)
SINCE = f"{DAY:%Y-%m-%d}"
SECOND = timedelta(seconds=1)
LONG_BEFORE, JUST_BEFORE, SINCE_THEN = DAY - timedelta(days=99), DAY - SECOND, DAY
"""Moments of signing."""


def signed_at(at: datetime, ca: IssuingCa = OLD, serial: int = 5) -> str:
    """With an alternative name and an extension, and dated as Puppet's CA does."""
    names = [NAME, ALIAS]
    return ca.issue(NAME, serial, names, begins=at - BACKDATED, extensions=[ROLE])


class AskedSite(Site):
    """One whose master and CA are these."""

    def __init__(self, said: object, before: str | None, ca: IssuingCa, kept: str | None) -> None:
        super().__init__(cast(Any, StandIn(said)))
        certs = {NAME: read(before)} if before else {}
        retired = Retired(OLD.certificate.fingerprint, OLD.certificate.key, OLD.certificate)
        facts = SimpleNamespace(retired_certificates=lambda _: certs)
        self._view = SimpleNamespace(retired=retired, facts=facts)
        signed = {NAME: kept} if kept else {}
        requested = {NAME: request_pem(NAME, [ALIAS], extensions=[ROLE])}
        self._records = CaRecords(PUPPET_CERT, ca.certificate, ca.crl(), requested, signed)

    def view(self) -> Any:
        return self._view

    def ca_records(self) -> CaRecords:
        return self._records

    def is_taken(self, *_: object) -> bool:
        return False


class StandIn:
    """A run in which this was said."""

    replaces = False

    def __init__(self, said: object) -> None:
        self.options = Options({"compromised_since": said}.get)

    def once(self, _: str, act: Callable[[], object], **__: object) -> object:
        return act()


def asked(
    since: object, before: str | None, ca: IssuingCa = NEW, kept: str | None = None
) -> AskedSite:
    """`before`: what the CA to retire had signed; `ca`: the one in place, which has `kept`."""
    return AskedSite(since, before, ca, kept)


def renewed(site: Site) -> AgentRenewal:
    """The agent, whose request asks for what it had."""
    facts = SimpleNamespace(
        settings=settings(certname=NAME, dns_alt_names=""), host=SimpleNamespace(name="agent01")
    )
    return Judged(site, cast(Any, facts))


class Judged(AgentRenewal):
    """One of which this is what is there now."""

    now = cast(
        Any,
        SimpleNamespace(
            certname=NAME,
            key=key_digest(NAME),
            request=read_csr(request_pem(NAME, [ALIAS], extensions=[ROLE])),
        ),
    )


@pytest.mark.parametrize(
    ("since", "at", "believed"),
    [
        (SINCE, LONG_BEFORE, True),
        (SINCE, JUST_BEFORE, True),
        (SINCE, SINCE_THEN, False),
        (SINCE, SINCE_THEN + timedelta(days=9), False),
        (None, SINCE_THEN, True),
        ("", SINCE_THEN, True),
    ],
)
def test_what_was_signed_since_proves_nothing(since: object, at: datetime, believed: bool) -> None:
    cert = read(signed_at(at))
    for site in (
        asked(since, cert.pem),
        asked(since, cert.pem, ca=OLD),  # not retired yet
        asked(since, cert.pem, ca=OLD, kept=cert.pem),
    ):
        assert site.retired_certificate(NAME) == (cert if believed else None)
        assert set(site.certificates_of(NAME)) == ({cert} if believed else set())
        assert site.doubted_certificate(NAME) == (None if believed else cert)


def test_what_the_new_ca_has_signed_is_believed_whenever() -> None:
    new = read(signed_at(SINCE_THEN + timedelta(days=9), NEW, 9))
    site = asked(SINCE, signed_at(SINCE_THEN), kept=new.pem)
    assert site.certificates_of(NAME) == [new]


def test_a_day_that_is_none_is_refused_before_anything_is_believed() -> None:
    with pytest.raises(DeployError, match="compromised_since=yesterday is not understood"):
        asked("yesterday", signed_at(LONG_BEFORE)).retired_certificate(NAME)


@pytest.mark.parametrize("at", [JUST_BEFORE, SINCE_THEN])
def test_nothing_of_it_is_carried_over(at: datetime) -> None:
    """Neither names nor extensions are asked for, kept or signed without a person."""
    believed = at < DAY
    site = asked(SINCE, signed_at(at))
    found = renewed(site)
    had = {"1.3.6.1.4.1.34380.1.1.13": "puppet::master"}

    assert found.kept_alt_names == found.alt_names == ({ALIAS} if believed else set())
    assert found.previous_extensions == (had if believed else {})
    before = found.certificate_before
    assert before == (read(signed_at(at)) if believed else Before.NOTHING)

    found.apply()
    application = found.application_for(site.ca_records())
    assert application is not None
    assert bool(application.previous_demands) is bool(application.previous_alt_names) is believed
    judged = judge(application, site.ca_records())
    assert judged.verdict is (Verdict.SIGN_WITH_ALT_NAMES if believed else Verdict.EXTENSIONS)
    if not believed:
        assert "By the master's own copy of its previous certificate it had none" in judged.why
        assert f"alt names {ALIAS}. It may have none" in judged.why


def test_what_is_not_carried_over_is_told() -> None:
    (line,) = _told_of_doubted(asked(SINCE, signed_at(SINCE_THEN)), NAME)
    assert "nothing of it is carried over: " in line
    assert "1.3.6.1.4.1.34380.1.1.13 = puppet::master" in line and ALIAS in line
    assert _told_of_doubted(asked(SINCE, signed_at(JUST_BEFORE)), NAME) == []
    assert _told_of_doubted(asked(SINCE, None), NAME) == []
