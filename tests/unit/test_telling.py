"""What is said to the person at the terminal."""

from __future__ import annotations

import pytest
from pyinfra.api.exceptions import DeployError

from operations.step import printable
from procedures.telling import command_line, reason_of, refuse_options


def test_a_failed_step_says_nothing_that_a_terminal_obeys() -> None:
    assert printable("x\x1b[2Jy\x9bz\ta\nb \udcff") == "x\\x1b[2Jy\\x9bz\ta\nb \\udcff"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no number"), "no number"),
        (ValueError("one", "two"), "one\ntwo"),
        (TimeoutError(), "No answer in time, or the connection was lost."),
        (EOFError(), "No answer in time, or the connection was lost."),
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (KeyError(), "KeyError()"),
    ],
)
def test_every_exception_has_something_to_say(error: Exception, said: str) -> None:
    assert reason_of(error) == said


@pytest.mark.parametrize("option", ["--serial", "--no-wait"])
def test_options_under_which_hosts_do_not_wait_are_refused(
    option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["pyinfra", "inventory.py", "deploys/site.py"])
    refuse_options()
    monkeypatch.setattr("sys.argv", ["pyinfra", option, "inventory.py", "deploys/site.py"])
    with pytest.raises(DeployError, match=option):
        refuse_options()


def test_command_is_limited_to_one_host_instead_of_those_that_were_typed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = "pyinfra inventory.py d.py -y --limit web01 --limit=web02 --data retire_certs=AB"
    monkeypatch.setattr("sys.argv", words.split())
    assert command_line(limit="web03") == "pyinfra inventory.py d.py --limit web03"
    assert command_line(limit="") == "pyinfra inventory.py d.py"
    assert command_line() == "pyinfra inventory.py d.py --limit web01 --limit=web02"
