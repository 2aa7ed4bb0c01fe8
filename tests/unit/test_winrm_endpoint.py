"""The lab's WinRM endpoint, judged by a client that is not ours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from winrm.exceptions import (
    InvalidCredentialsError,
    WinRMOperationTimeoutError,
    WinRMTransportError,
    WSManFaultError,
)
from winrm.protocol import Protocol

from tests.unit.winrm_endpoint import DENIED, PASSWORD, USER, Endpoint, endpoint

WAYS = ["https basic", "https ntlm", "http ntlm"]
ACCESS_DENIED = 5
SHELL_NOT_FOUND = 2150858843


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with endpoint(tmp_path_factory.mktemp("winrm")) as running:
        yield running


def client(served: Endpoint, way: str, **options: Any) -> Protocol:
    transport, auth = way.split()
    port = served.https if transport == "https" else served.http
    return Protocol(
        f"{transport}://127.0.0.1:{port}/wsman",
        transport=auth,  # type: ignore[arg-type]
        **{
            "username": USER,
            "password": PASSWORD,
            "ca_trust_path": str(served.certificate),
            "operation_timeout_sec": 1,
            "read_timeout_sec": 5,
            **options,
        },
    )


def run(protocol: Protocol, shell: str, line: str) -> tuple[bytes, bytes, int]:
    command = protocol.run_command(shell, line)
    try:
        stdout, stderr, code = protocol.get_command_output(shell, command)
    finally:
        protocol.cleanup_command(shell, command)
    return stdout, stderr, code


@pytest.mark.parametrize("way", WAYS)
def test_shell_and_its_commands(served: Endpoint, way: str) -> None:
    protocol = client(served, way)
    shell = protocol.open_shell(codepage=850, env_vars={"GREETING": "grüß & <dich>"})

    assert run(protocol, shell, 'echo "$GREETING" $WINRS_CODEPAGE; echo no >&2; exit 7') == (
        "grüß & <dich> 850\n".encode(),
        b"no\n",
        7,
    )
    # In several messages, each of which fits into an envelope.
    stdout, _, code = run(protocol, shell, "head -c 300000 /dev/zero")
    assert (stdout, code) == (bytes(300000), 0)

    protocol.close_shell(shell)
    with pytest.raises(WSManFaultError) as caught:
        protocol.run_command(shell, "true")
    assert caught.value.wsman_fault_code == SHELL_NOT_FOUND


def test_wait_for_output_has_its_limit(served: Endpoint) -> None:
    protocol = client(served, "https basic")
    shell = protocol.open_shell()
    # pywinrm turns the fault of a wait without output into its own exception, and asks again.
    command = protocol.run_command(shell, "sleep 1.5; echo late")
    with pytest.raises(WinRMOperationTimeoutError):
        protocol.get_command_output_raw(shell, command)
    assert protocol.get_command_output(shell, command) == (b"late\n", b"", 0)
    protocol.close_shell(shell)


def test_standard_input_has_an_end_if_it_is_no_console(served: Endpoint) -> None:
    protocol = client(served, "https basic")
    shell = protocol.open_shell()
    halves = [bytes(range(256)) * 200, b"the rest"]
    command = protocol.run_command(shell, "sha256sum", console_mode_stdin=False)
    protocol.send_command_input(shell, command, halves[0])
    protocol.send_command_input(shell, command, halves[1], end=True)
    stdout, _, _ = protocol.get_command_output(shell, command)
    assert stdout.split()[0].decode() == hashlib.sha256(b"".join(halves)).hexdigest()

    command = protocol.run_command(shell, "cat", console_mode_stdin=True)
    protocol.send_command_input(shell, command, b"typed", end=True)
    protocol.get_command_output_raw(shell, command)
    with pytest.raises(WinRMOperationTimeoutError):
        protocol.get_command_output_raw(shell, command)
    protocol.close_shell(shell)


@pytest.mark.parametrize(
    ("way", "options"),
    [
        ("http ntlm", {"message_encryption": "never"}),
        ("http basic", {}),
        ("http ntlm", {"password": "wrong"}),
        ("https ntlm", {"password": "wrong"}),
        ("https basic", {"password": "wrong"}),
        ("https basic", {"username": "nobody"}),
    ],
)
def test_who_is_not_let_in(served: Endpoint, way: str, options: dict[str, str]) -> None:
    with pytest.raises(InvalidCredentialsError):
        client(served, way, **options).open_shell()


@pytest.mark.parametrize("way", WAYS)
def test_account_without_the_right(served: Endpoint, way: str) -> None:
    with pytest.raises(WSManFaultError) as caught:
        client(served, way, username=DENIED).open_shell()
    assert caught.value.wsman_fault_code == ACCESS_DENIED


def test_another_accounts_shell_is_none(tmp_path: Path, served: Endpoint) -> None:
    shell = client(served, "https basic").open_shell()
    with pytest.raises(WSManFaultError) as caught:
        client(served, "https basic", username="printer").run_command(shell, "true")
    assert caught.value.wsman_fault_code == SHELL_NOT_FOUND


def test_nothing_but_wsman(served: Endpoint) -> None:
    protocol = client(served, "https basic")
    protocol.transport.endpoint = protocol.transport.endpoint.replace("/wsman", "/other")
    with pytest.raises(WinRMTransportError) as caught:
        protocol.open_shell()
    assert caught.value.code == 404
