"""What is kept as long as a run lasts, and what it is for."""

from __future__ import annotations

import ast
import gc
import re
import weakref
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from pyinfra.api import Config, Inventory, State
from pyinfra.api.exceptions import DeployError

from procedures.looks import Survey
from procedures.platforms import PLATFORMS, POSIX, WINDOWS, platform_of
from procedures.restoration import prepare_restoration
from procedures.run import AGENTS, WINDOWS_AGENTS, Aim, Run, run_of
from procedures.site import Site
from procedures.verification import prepare_verification

ROOT = Path(__file__).resolve().parents[2]
_TO_FILL = {"{}", "[]", "set()", "dict()", "WeakKeyDictionary()", "WeakSet()"}


@pytest.fixture
def state() -> State:
    hosts = ["puppet", "web01", "win01"]
    groups = {"master": ["puppet"], "agents": ["web01"], "windows_agents": ["win01"]}
    inventory = Inventory((hosts, {}), **{name: (found, {}) for name, found in groups.items()})
    made = State(inventory, Config())
    made.activated_hosts = made.active_hosts = set(inventory)
    return made


def test_a_run_is_one_and_is_for_all_that_its_deploys_are_for(state: State) -> None:
    run = run_of(state, Aim.REGENERATE)
    assert (run.regenerates, run.renews) == (True, False)
    assert run_of(state, Aim.RENEW) is run
    assert (run.regenerates, run.renews, run.replaces, run.restores) == (True, True, False, False)


def test_the_master_comes_first_where_its_ca_is_retired_and_it_can_be_reached(state: State) -> None:
    assert not run_of(state).master_comes_first
    assert run_of(state, Aim.REGENERATE).master_comes_first
    state.active_hosts.discard(state.inventory.get_host("puppet"))
    assert not run_of(state).master_comes_first


@pytest.mark.parametrize(
    ("deploy", "aims"),
    [
        ("site", {Aim.REGENERATE, Aim.RENEW}),
        ("master", {Aim.REGENERATE}),
        ("agents", set()),
        ("replace", {Aim.REPLACE}),
        ("restore", {Aim.RESTORE}),
        ("survey", set()),
        ("verify", set()),
    ],
)
def test_what_each_deploy_is_for(deploy: str, aims: set[Aim]) -> None:
    said = re.findall(r"run_of\(host\.state(.*)\)", (ROOT / f"deploys/{deploy}.py").read_text())
    assert {Aim[name] for name in re.findall(r"Aim\.(\w+)", "".join(said))} == aims
    assert said


def test_a_run_is_gone_with_its_state() -> None:
    state = State(Inventory((["puppet"], {})), Config())
    run = weakref.ref(run_of(state))
    assert run() is not None
    del state
    gc.collect()
    assert run() is None


def test_its_hosts(state: State) -> None:
    run = run_of(state)
    assert run.master.name == "puppet"
    assert [agent.name for agent in run.agents] == ["web01", "win01"]
    assert run.reached == {"puppet", "web01", "win01"}
    assert run.group("nobody") == []


def test_a_host_of_a_misspelt_group_is_refused() -> None:
    hosts = ["puppet", "web01", "web03", "web02"]
    groups = {"master": ["puppet"], "agents": ["web01"], "agent": ["web03"]}
    inventory = Inventory((hosts, {}), **{name: (found, {}) for name, found in groups.items()})
    state = State(inventory, Config())
    assert run_of(state).groupless == {"web02": "no group", "web03": "agent"}
    assert Survey(run_of(state)).state().groupless == run_of(state).groupless
    with pytest.raises(DeployError, match=r"web03 \(in agent\) would be left as it is"):
        run_of(state).require_grouped()
    master = inventory.get_host("puppet")
    site = run_of(state).part(Site)
    for begin in (site.regeneration, partial(site.ask_beside, master)):
        with pytest.raises(DeployError, match="would be left as it is"):
            begin()
    for prepare in (prepare_restoration, prepare_verification):
        with pytest.raises(DeployError, match="would be left as it is"):
            prepare(master)
    state.limit_hosts = [inventory.get_host(name) for name in ("puppet", "web01")]
    run_of(state).require_grouped()


def test_a_host_is_of_the_platform_of_its_group(state: State) -> None:
    found = {host.name: platform_of(host) for host in state.inventory}
    assert found == {"puppet": POSIX, "web01": POSIX, "win01": WINDOWS}
    assert [platform.group for platform in PLATFORMS] == [AGENTS, WINDOWS_AGENTS]


def test_a_part_is_made_once_and_for_that_run_alone(state: State) -> None:
    made = []

    def part(run: Run) -> list[str]:
        made.append(run)
        return []

    run = run_of(state)
    assert not run.has_part(part)
    run.part(part).append("here")
    assert run.part(part) == ["here"]
    assert run.has_part(part)
    assert run_of(State(state.inventory, Config())).part(part) == []
    assert len(made) == 2


def test_what_was_found_for_the_preview_holds_unless_it_is_to_be_found_anew(state: State) -> None:
    run, numbers = run_of(state), count()
    for _ in range(2):
        assert run.once("kept", lambda: next(numbers)) == 0
        assert run.once("passing", lambda: next(numbers), anew=True) == 1
    state.is_executing = True
    for _ in range(2):
        assert run.once("passing", lambda: next(numbers), anew=True) == 2
        assert run.once("kept", lambda: next(numbers)) == 0
    run.forget("kept")
    assert run.result_of("kept") is None
    assert run.once("kept", lambda: next(numbers)) == 3
    run.replace_result("kept", 7)
    assert run.once("kept", lambda: next(numbers)) == run.result_of("kept") == 7


def test_what_was_replaced_for_the_preview_is_found_anew_all_the_same(state: State) -> None:
    run = run_of(state)
    run.once("passing", lambda: 1, anew=True)
    run.replace_result("passing", 2)
    assert run.once("passing", lambda: 3, anew=True) == 2
    state.is_executing = True
    assert run.once("passing", lambda: 3, anew=True) == 3


@pytest.mark.parametrize(("lasting", "asked"), [(True, 1), (False, 2)])
def test_who_asks_after_a_refusal(state: State, lasting: bool, asked: int) -> None:
    run, times = run_of(state), []

    def refuse() -> None:
        times.append(1)
        raise DeployError("no")

    for _ in range(2):
        with pytest.raises(DeployError, match="no"):
            run.once("refused", refuse, lasting=lasting)
    assert len(times) == asked
    assert run.result_of("refused") is None


def test_what_a_run_keeps_is_kept_in_one_place() -> None:
    folders = ("procedures", "operations", "facts", "connectors", "recert", "deploys")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    filled = {
        path.relative_to(ROOT).as_posix()
        for path in paths
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        if node.value is not None and ast.unparse(node.value) in _TO_FILL
    }
    assert len(paths) > 100
    assert filled == set()
