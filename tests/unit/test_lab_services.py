"""Which services a host of the lab runs, and that the two kinds never mix in a deployment."""

from __future__ import annotations

import pytest

from lab import containers, images, state
from lab.hosts import HOSTS, Host
from lab.progress import LabError
from lab.services import REAL, STAND_INS, Kind


@pytest.fixture(autouse=True)
def _nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PE_LAB_SERVICES", raising=False)
    _up(monkeypatch)


def _up(monkeypatch: pytest.MonkeyPatch, **kinds: Kind) -> None:
    known = {name: {"services": kind} for name, kind in kinds.items()}
    monkeypatch.setattr(state, "hosts", lambda: known)


def _kinds(hosts: list[Host]) -> dict[str, Kind]:
    return {host.name: host.kind for host in hosts}


def test_the_real_ones_where_nobody_says() -> None:
    assert _kinds(containers.chosen_hosts(["master", "agent01"])) == {
        "master": REAL,
        "agent01": REAL,
    }


def test_what_is_asked_for_wins_over_the_environment_and_that_over_what_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _up(monkeypatch, master=STAND_INS)
    assert _kinds(containers.chosen_hosts(["master"])) == {"master": STAND_INS}
    monkeypatch.setenv("PE_LAB_SERVICES", "real")
    assert _kinds(containers.chosen_hosts(["master"])) == {"master": REAL}
    assert _kinds(containers.chosen_hosts(["master"], STAND_INS)) == {"master": STAND_INS}


def test_an_agent_alone_keeps_to_its_master(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PE_LAB_SERVICES", "stand-ins")
    _up(monkeypatch, master=REAL)
    assert _kinds(containers.chosen_hosts(["agent01"])) == {"agent01": REAL}
    assert containers.chosen_hosts(["agent01"])[0].its_master.kind == REAL


def test_a_master_without_real_services_has_stand_ins_and_so_have_its_agents() -> None:
    assert _kinds(containers.chosen_hosts(["master-init", "auto01"], REAL)) == {
        "master-init": STAND_INS,
        "auto01": STAND_INS,
    }


def test_a_word_that_is_no_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PE_LAB_SERVICES", "fake")
    with pytest.raises(LabError, match=r"PE_LAB_SERVICES is 'fake'.*real or stand-ins"):
        containers.chosen_hosts(["master"])


def test_the_kinds_have_images_of_their_own() -> None:
    for host in HOSTS.values():
        tags = {images.image_tag(host.running(kind)) for kind in (REAL, STAND_INS)}
        assert len(tags) == (1 if host.running(REAL).kind == STAND_INS else 2)
