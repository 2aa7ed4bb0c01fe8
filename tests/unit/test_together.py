"""Several questions in one command, and changes that are looked at in the same breath."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Config, FunctionCommand, Inventory, State, StringCommand
from pyinfra.api.exceptions import FactProcessError
from pyinfra.api.facts import get_fact
from pyinfra.api.host import Host
from pyinfra.connectors.util import CommandOutput, OutputLine

import operations
from facts.host import WhoAndWhen
from facts.services import ServiceStates
from facts.signing import AutosignSetting
from facts.ssl import PemFiles
from facts.together import Question, Together
from operations.posix import PosixHands
from operations.step import BEGINNING, ConnectedCommand, LookingCommand, changing
from procedures.agent import AgentFacts, AgentRefusedError, ask_agent
from procedures.host import LOCK, Look
from recert.ca_records import Autosigning
from recert.deployments.pe_3_7 import PE_3_7
from recert.extensions import ARC, csr_attributes
from recert.observed import Service
from tests.unit.issuing_ca import settings
from tests.unit.shell import Sh


@pytest.fixture
def ran() -> list[str]:
    """The commands that the host has been given."""
    return []


@pytest.fixture
def host(sh: Sh, monkeypatch: pytest.MonkeyPatch, ran: list[str]) -> Host:
    """A host whose commands this machine's shell runs."""
    state = State(Inventory((["web01"], {})), Config())
    (host,) = state.inventory
    monkeypatch.setattr(host, "connected", True)

    def run(command: Any, **arguments: object) -> tuple[bool, CommandOutput]:
        ran.append(command.get_raw_value())
        done = sh.run(ran[-1])
        lines = [
            OutputLine(name, line)
            for name, content in (("stdout", done.stdout), ("stderr", done.stderr))
            for line in content.decode().splitlines()
        ]
        return done.returncode == 0, CommandOutput(lines)

    monkeypatch.setattr(host, "run_shell_command", run)
    return host


def asked_together(host: Host, *questions: Question) -> list[Any]:
    answers: list[Any] = get_fact(host.state, host, Together, kwargs={"facts": list(questions)})
    return answers


def test_each_answers_as_if_it_were_alone(host: Host, ran: list[str], tmp_path: Path) -> None:
    (tmp_path / "web01.pem").write_text("a request\n")
    who, states, missing, held, autosign = asked_together(
        host,
        (WhoAndWhen, {}),
        (ServiceStates, {"services": ["pe-nothing"]}),
        (PemFiles, {"directory": str(tmp_path / "missing")}),
        (PemFiles, {"directory": str(tmp_path)}),
        (AutosignSetting, {"autosign": "true"}),
    )
    assert len(ran) == 1
    assert who.uid == get_fact(host.state, host, WhoAndWhen).uid
    assert states == {"pe-nothing": Service.MISSING}
    assert missing == {}
    assert held == {"web01": "a request\n"}
    assert autosign.kind is Autosigning.ALL


def test_what_a_login_prints_is_no_answer(sh: Sh) -> None:
    fact = Together()
    output = sh.run(fact.command([(WhoAndWhen, {})]).get_raw_value()).stdout.decode()
    (who,) = fact.process(["Welcome!", *output.splitlines()])
    assert who.clock > 0


def test_what_a_login_prints_need_not_end_its_line(sh: Sh) -> None:
    """The title of a terminal, say."""
    fact = Together()
    output = sh.run(fact.command([(WhoAndWhen, {}), (WhoAndWhen, {})]).get_raw_value())
    first, *lines = output.stdout.decode().splitlines()
    (who, _) = fact.process([f"\x1b]0;root@web01\x07{first}", *lines])
    assert who.clock > 0


def test_a_terminal_ends_lines_in_its_own_way(sh: Sh) -> None:
    fact = Together()
    output = sh.run(fact.command([(WhoAndWhen, {})]).get_raw_value())
    (who,) = fact.process([f"{line}\r" for line in output.stdout.decode().splitlines()])
    assert who.clock > 0


def test_a_change_says_nothing_of_what_its_login_prints(host: Host, sh: Sh) -> None:
    command = changing("/nonexistent", "echo done; echo complained >&2")
    plain = sh.run(command.get_raw_value())
    sh.provide("greeting", "printf 'Welcome\n\033]0;title\007'")
    greeted = StringCommand("greeting;", *command.bits)
    ok, output = ConnectedCommand(*greeted.bits).execute(host.state, host, {})
    assert plain.stdout.decode().splitlines()[1:] == ["done"]
    assert (ok, output.stdout_lines, output.stderr_lines) == (True, ["done"], ["complained"])


def test_if_one_fails_nothing_is_believed(sh: Sh) -> None:
    fact = Together()
    command = fact.command([(WhoAndWhen, {}), (WhoAndWhen, {}), (WhoAndWhen, {})])
    sh.provide("date", "exit 1")
    sh.provide("base64", "exit 1")
    done = sh.run(command.get_raw_value())
    assert done.returncode != 0
    with pytest.raises(FactProcessError, match="cut short"):
        fact.process(done.stdout.decode().splitlines())


def learning(host: Host, change: str, *questions: Question) -> tuple[bool, list[str], list[Any]]:
    """What a change that is looked at has come to, has printed, and what the look has told."""
    learnt: list[Any] = ["out of date"]
    command = LookingCommand(
        changing("/dev/null/lock", change), Look(list(questions), learnt.clear, learnt.extend)
    )
    ok, output = command.execute(host.state, host, {})
    return ok, output.output_lines, learnt


def test_a_change_is_looked_at_afterwards(host: Host, ran: list[str], tmp_path: Path) -> None:
    change = f"echo done; echo made >{tmp_path}/web01.pem"
    question: Question = (PemFiles, {"directory": str(tmp_path)})
    assert learning(host, change, question) == (True, ["done"], [{"web01": "made\n"}])
    assert len(ran) == 1


def test_a_change_that_fails_fails_and_is_looked_at(host: Host, tmp_path: Path) -> None:
    change = f"echo half >{tmp_path}/web01.pem; echo done; fail broken"
    question: Question = (PemFiles, {"directory": str(tmp_path)})
    ok, told, learnt = learning(host, change, question)
    assert not ok
    assert told[:2] == ["done", "broken"]
    assert "The step failed with status 1." in told[2]
    assert learnt == [{"web01": "half\n"}]


def test_what_pyinfra_keeps_of_it_is_the_change(host: Host) -> None:
    change = changing("/dev/null/lock", "echo done")
    command = LookingCommand(change, Look([(WhoAndWhen, {})], lambda: None, lambda answers: None))
    command.execute(host.state, host, {})
    assert command.get_raw_value() == change.get_raw_value()


def test_who_does_not_answer_is_told_what_was_asked(host: Host, sh: Sh) -> None:
    sh.provide("base64", "exit 1")
    questions: list[Question] = [(WhoAndWhen, {}), (AutosignSetting, {"autosign": "true"})]
    with pytest.raises(AgentRefusedError, match=r"WhoAndWhen and .*AutosignSetting"):
        ask_agent(host, Together, facts=questions)


def test_a_look_that_tells_nothing_leaves_what_it_was_about_unknown(host: Host, sh: Sh) -> None:
    sh.provide("base64", "exit 1")
    ok, told, learnt = learning(host, "echo done", (WhoAndWhen, {}))
    assert (ok, told[0], learnt) == (True, "done", [])
    assert "encode ended with status 1" in told[1]


def test_answers_that_make_no_sense_end_no_run(host: Host, sh: Sh) -> None:
    sh.provide("date", "echo never")
    assert learning(host, "echo done", (WhoAndWhen, {})) == (True, ["done"], [])


def asking_puppet(host: Host, sh: Sh, tmp_path: Path) -> Callable[[bool], list[str]]:
    """What a Puppet that asks for a certificate says of its Ruby's heap."""
    key = tmp_path / "key.pem"
    sh.provide("puppet", f'echo "heap: $RUBY_HEAP_MIN_SLOTS $RUBY_GC_HEAP_INIT_SLOTS"; echo >{key}')
    facts = AgentFacts(host, settings(confdir=str(tmp_path)), str(tmp_path / "backups"), PE_3_7)
    facts.lock = str(tmp_path / "lock")
    own = facts.paths("web01")

    def ask(signs_itself: bool) -> list[str]:
        heard: list[str] = []
        (command,) = PosixHands(facts).ask_for_certificate(
            replace(own, private_key=str(key)),
            signs_itself,
            60,
            lambda ok, said: heard.extend([f"ok: {ok}", *said]),
        )
        assert isinstance(command, FunctionCommand)
        assert command.function(host.state, host)
        return heard

    return ask


def test_only_a_puppet_that_applies_no_catalog_has_a_roomy_heap(
    host: Host, sh: Sh, tmp_path: Path
) -> None:
    ask = asking_puppet(host, sh, tmp_path)
    assert ask(False) == ["ok: True", "heap: 600000 600000"]
    assert ask(True) == ["ok: True", "heap:  "]


@pytest.mark.parametrize("signs_itself", [False, True])
def test_extensions_are_asked_for_by_a_file_that_is_gone_afterwards(
    host: Host, sh: Sh, tmp_path: Path, signs_itself: bool
) -> None:
    path, key = tmp_path / "csr_attributes.yaml", tmp_path / "key.pem"
    sh.provide("puppet", f"cat {path}; echo >{key}")
    facts = AgentFacts(host, settings(csr_attributes=str(path)), str(tmp_path), PE_3_7)
    own = replace(facts.paths("web01"), private_key=str(key))

    def ask(attributes: str) -> list[str]:
        heard: list[str] = []
        (command,) = PosixHands(facts).ask_for_certificate(
            own, signs_itself, 60, lambda ok, said: heard.extend(said), attributes
        )
        assert isinstance(command, FunctionCommand)
        command.function(host.state, host)
        return heard

    wanted = csr_attributes({f"{ARC}.1.13": "web"})
    assert ask(wanted) == wanted.splitlines()
    assert not path.exists()
    path.write_text("---\n")  # the host's own
    assert ask("") == ["---"]
    assert path.read_text() == "---\n"


@pytest.mark.parametrize("signs_itself", [False, True])
def test_names_that_puppet_conf_does_not_have_are_asked_for(
    host: Host, sh: Sh, tmp_path: Path, signs_itself: bool
) -> None:
    key = tmp_path / "key.pem"
    sh.provide("puppet", f'printf "%s\\n" "$#" "$@"; echo >{key}')
    facts = AgentFacts(host, settings(), str(tmp_path), PE_3_7)
    own = replace(facts.paths("web01"), private_key=str(key))

    def asked(*alt_names: str) -> list[str]:
        heard: list[str] = []
        (command,) = PosixHands(facts).ask_for_certificate(
            own, signs_itself, 60, lambda ok, said: heard.extend(said), "", alt_names
        )
        assert isinstance(command, FunctionCommand)
        command.function(host.state, host)
        return heard

    usual = ["agent", "--test", "--waitforcert", "0", "--color=false"]
    assert asked() == ["5", *usual]
    assert asked("a.example.com", "b") == ["6", *usual, "--dns_alt_names=a.example.com,b"]


@pytest.mark.parametrize("signs_itself", [False, True])
@pytest.mark.parametrize("signal", ["HUP", "TERM", "PIPE"])
def test_that_file_goes_also_where_the_asking_is_ended(
    host: Host, sh: Sh, tmp_path: Path, signs_itself: bool, signal: str
) -> None:
    path, key = tmp_path / "csr_attributes.yaml", tmp_path / "key.pem"
    sh.provide(
        "puppet", f"test -s {path} && echo there; kill -{signal} $PPID; echo >{key}; sleep 1"
    )
    facts = AgentFacts(host, settings(csr_attributes=str(path)), str(tmp_path), PE_3_7)
    own = replace(facts.paths("web01"), private_key=str(key))
    heard: list[str] = []
    (command,) = PosixHands(facts).ask_for_certificate(
        own, signs_itself, 60, lambda ok, said: heard.extend(said), csr_attributes({ARC: "web"})
    )
    assert isinstance(command, FunctionCommand)
    command.function(host.state, host)
    assert signs_itself or heard[0] == "there"
    assert not path.exists()


def test_a_lock_is_one_that_only_root_can_hold(sh: Sh, tmp_path: Path) -> None:
    lock = tmp_path / "within" / "lock"
    for _ in range(2):
        held = 'flock -n "$1" true || echo held'
        done = sh.run(changing(str(lock), held, str(lock)).get_raw_value())
        assert done.stdout.decode() == f"{BEGINNING}\nheld\n"
        assert (lock.stat().st_mode & 0o777, lock.parent.stat().st_mode & 0o777) == (0o700, 0o700)
    assert LOCK.startswith("/var/lib/pe-recert/")


def test_without_a_place_for_it_a_command_works_all_the_same(sh: Sh, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = sh.run(changing(f"{tmp_path}/file/lock", "echo done").get_raw_value())
    assert (done.returncode, done.stdout.decode()) == (0, f"{BEGINNING}\ndone\n")


def test_every_change_holds_that_lock() -> None:
    locks = {
        f"{path.name}: {ast.unparse(call.args[0])}"
        for path in Path(operations.__file__).parent.glob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) in ("changing", "removing")
    }
    assert len(locks) > 5
    assert {lock for lock in locks if lock.split(": ")[1].split(".")[-1] != "lock"} == set()
