"""The connector for Windows hosts against cmd.exe: what its unit tests, with sh, cannot show."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Config, Inventory, State
from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host

import lab

_ODD = r"C:\R&D 100% ä^ö (x)!"


@pytest.fixture(scope="module", autouse=True)
def _win01() -> None:
    lab.up(["win01"])


@pytest.fixture(params=["https negotiate", "https basic", "http negotiate"])
def host(request: pytest.FixtureRequest) -> Iterator[Host]:
    transport, auth = request.param.split()
    how = lab.hosts()["win01"]["winrm"]
    data: dict[str, Any] = {
        "winrm_hostname": how["hostname"],
        "winrm_user": "Administrator",
        "winrm_password": Path(how["password_file"]).read_text(),
        "winrm_transport": transport,
        "winrm_auth": auth,
        "winrm_port": how["http_port"] if transport == "http" else how["https_port"],
    }
    if transport == "https":
        data["winrm_ca_file"] = how["certificate_file"]
    inventory = Inventory(([("@winrm/win01", data)], {}))
    State(inventory, Config())
    connected = inventory.get_host("@winrm/win01")
    connected.connect(raise_exceptions=True)
    yield connected
    connected.disconnect()


def _typed(host: Host, line: str, **arguments: Any) -> tuple[bool, list[str]]:
    done, output = host.run_shell_command(StringCommand(line), _timeout=60, **arguments)
    return done, output.stdout_lines


def test_cmd_by_winrm(host: Host) -> None:
    assert _typed(host, f'if not exist "{_ODD}" mkdir "{_ODD}"') == (True, [])
    assert _typed(host, 'dir /b C:\\ | find "R&D"') == (True, [_ODD.removeprefix("C:\\")])
    assert _typed(host, r'"C:\windows\system32\cmd.exe" /c "echo said"') == (True, ["said"])
    assert _typed(host, 'echo "%GIVEN%"', _env={"GIVEN": "ü & 100% ^x"}) == (
        True,
        ['"ü & 100% ^x"'],
    )
    assert _typed(host, "exit 7", _success_exit_codes=[7]) == (True, [])
    # Asks, and is not left waiting for an answer.
    assert _typed(host, "set /p ANSWER=Sure? & echo done")[1][-1].endswith("done")

    with pytest.raises(TimeoutError):
        host.run_shell_command(StringCommand("ping -n 60 127.0.0.1"), _timeout=2)
    _, processes = _typed(host, "tasklist")
    assert any("cmd.exe" in line for line in processes)
    assert not any("ping.exe" in line.lower() for line in processes)


def test_files_by_winrm(host: Host) -> None:
    _typed(host, f'if not exist "{_ODD}" mkdir "{_ODD}"')
    name = rf"{_ODD}\s p ä & 5%.bin"
    for content in (os.urandom(15_000), b""):
        assert host.put_file(io.BytesIO(content), name)
        downloaded = io.BytesIO()
        assert host.get_file(name, downloaded)
        assert downloaded.getvalue() == content
    assert _typed(host, f'cd /d "{_ODD}" & dir /b') == (True, ["s p ä & 5%.bin"])
    with pytest.raises(OSError, match="nosuch"):
        host.get_file(r"C:\nosuch", io.BytesIO())
    with pytest.raises(OSError, match=r"nosuch\\file"):
        host.put_file(io.BytesIO(b"x"), r"C:\nosuch\file")
