"""What a host would be the administrator with elsewhere: his SSH agent, his Kerberos ticket, and
whoever answers in the place of one that is jumped over."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import paramiko
import pytest
from pyinfra.api import Host, StringCommand
from pyinfra.api.exceptions import ConnectError

import connectors
from tests.unit.ssh_server import HOST_KEY, USER_KEY, Served, serving, target

assert connectors.ssh


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Served(user_key=USER_KEY, answer=lambda channel: channel.close())) as found:
        yield found


def reached(served: Served, tmp_path: Path, config: str, **data: object) -> Host:
    """A host, by a file of ssh's configuration, in which `USER_KEY` is `id_rsa`."""
    file = tmp_path / "config"
    file.write_text(config)
    return target(served.port, tmp_path, ssh_config_file=str(file), **data)


@pytest.mark.parametrize("said", [{}, {"ssh_forward_agent": True}])
def test_no_agent_is_forwarded(
    served: Served, tmp_path: Path, said: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    host = reached(served, tmp_path, "Host *\n  ForwardAgent yes\n", **said)
    with caplog.at_level(logging.WARNING, "pyinfra"):
        host.connect(raise_exceptions=True)
    host.run_shell_command(StringCommand("true"))  # after which all before it has arrived
    assert served.agents == 0
    assert any("is not heeded" in line for line in caplog.messages) is bool(said)


def jumping(served: Served, tmp_path: Path, known: str) -> Host:
    """A host that is reached over another one, both of which this server is."""
    (tmp_path / "known").write_text(known)
    config = (
        f"Host hop\n  HostName 127.0.0.1\n  Port {served.port}\n  User admin\n"
        f"  IdentityFile {tmp_path}/id_rsa\n  UserKnownHostsFile {tmp_path}/known\n"
        "  ForwardAgent yes\nHost 127.0.0.1\n  ProxyJump hop\n"
    )
    return reached(served, tmp_path, config, ssh_strict_host_key_checking="yes")


def test_no_agent_is_forwarded_to_whom_is_jumped_over(served: Served, tmp_path: Path) -> None:
    key = f"[127.0.0.1]:{served.port} {HOST_KEY.get_name()} {HOST_KEY.get_base64()}\n"
    host = jumping(served, tmp_path, key)
    with pytest.raises(ConnectError, match="prohibited"):  # the server leads nowhere
        host.connect(raise_exceptions=True)
    assert served.agents == 0


@pytest.mark.parametrize(("known", "why"), [(False, "is not known"), (True, "does not match")])
def test_who_is_jumped_over_is_who_its_key_says(
    served: Served, tmp_path: Path, known: bool, why: str
) -> None:
    """Though nothing in ssh's configuration asks for that."""
    other = paramiko.RSAKey.generate(2048)
    key = f"[127.0.0.1]:{served.port} {other.get_name()} {other.get_base64()}\n"
    with pytest.raises(ConnectError, match=why):
        jumping(served, tmp_path, key if known else "").connect(raise_exceptions=True)


def test_a_server_that_asks_for_an_agent_gets_none(served: Served, tmp_path: Path) -> None:
    """One that nobody has offered, or a connection into this network."""
    refused = []

    def answer(channel: paramiko.Channel) -> None:
        transport: Any = channel.transport
        for kind in ("auth-agent@openssh.com", "x11", "forwarded-tcpip", "session"):
            try:
                transport.open_channel(kind, ("127.0.0.1", 22), ("127.0.0.1", 22), timeout=5)
            except paramiko.ChannelException:
                refused.append(kind)
        channel.send_exit_status(0)
        channel.close()

    served.answer = answer
    host = reached(served, tmp_path, "Host *\n  ForwardAgent yes\n  ForwardX11 yes\n")
    host.connect(raise_exceptions=True)
    assert host.run_shell_command(StringCommand("true"))[0]
    assert refused == ["auth-agent@openssh.com", "x11", "forwarded-tcpip", "session"]


@pytest.mark.parametrize(
    "said", [{}, {"gss_auth": True}, {"gss_deleg_creds": True, "gss_kex": True}]
)
def test_no_ticket_is_handed_on(
    said: dict[str, object],
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, Any] = {}
    connect = paramiko.SSHClient.connect

    def watched(self: paramiko.SSHClient, hostname: str, **more: Any) -> None:
        given.update(more)
        connect(self, hostname, **{**more, "gss_auth": False})

    monkeypatch.setattr(paramiko.SSHClient, "connect", watched)
    reached(served, tmp_path, "", ssh_paramiko_connect_kwargs=said).connect(raise_exceptions=True)
    assert given["gss_deleg_creds"] is False and given["gss_kex"] is False
    assert given.get("gss_auth", False) is (said == {"gss_auth": True})
