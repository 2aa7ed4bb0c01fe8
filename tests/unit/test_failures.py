"""What goes wrong with a host is that host's failure, and nothing else is taken for that."""

from __future__ import annotations

import gevent  # type: ignore[import-untyped]
import pytest
from gevent import GreenletExit
from hypothesis import given
from hypothesis import strategies as some
from paramiko.ssh_exception import SSHException
from pyinfra.api import Config, Host, Inventory, State
from pyinfra.api.exceptions import NestedOperationError, PyinfraError

from connectors.failures import described, in_one_line, own_failure
from operations.step import changing


@pytest.mark.parametrize(
    "error", [UnicodeDecodeError("utf-8", b"x", 0, 1, "y"), IndexError(), KeyError(255), EOFError()]
)
def test_what_pyinfra_does_not_know_becomes_what_it_knows(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: object, **__: object) -> None:
        raise error

    inventory = Inventory((["@local"], {}))
    State(inventory, Config())
    host: Host = inventory.get_host("@local")
    monkeypatch.setattr(type(host.connector), "run_shell_command", run)
    with pytest.raises(OSError, match="@local"):
        changing("/dev/null/lock", "true").execute(host.state, host, {})


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(),
        GreenletExit(),
        gevent.Timeout(),
        PyinfraError(),
        NestedOperationError(),
        TimeoutError(),
        SSHException(),
    ],
)
def test_what_is_none_of_a_hosts_doing_passes(error: BaseException) -> None:
    with pytest.raises(type(error)) as found, own_failure("web01"):
        raise error
    assert found.value is error


@given(some.text(some.characters()))
def test_what_is_told_is_one_line_of_text(said: str) -> None:
    assert in_one_line(said).isprintable()
    in_one_line(said).encode()


def test_and_has_an_end() -> None:
    assert len(in_one_line("\U000e0001" * 100_000, 20)) == 20 * len("\\U000e0001")
    assert len(described(ValueError("x" * 100_000))) < 300
