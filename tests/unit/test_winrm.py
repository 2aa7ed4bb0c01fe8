"""The connector for Windows hosts, against the lab's endpoint with /bin/sh in cmd.exe's place."""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Config, Inventory, State
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.hiddenvalue import HiddenValue
from pyinfra.api.host import Host
from pyinfra.connectors.util import CommandOutput

from connectors import allowance, winrm_shell
from connectors.allowance import TooMuchError
from connectors.winrm import WinRMConnector
from connectors.winrm_data import WinRMHostError
from tests.unit.winrm_endpoint import (
    DENIED,
    GERMAN,
    PASSWORD,
    PRINTER,
    UMLAUT,
    UMLAUT_PASSWORD,
    USER,
    Endpoint,
    endpoint,
)

WAYS = ["https negotiate", "https basic", "http negotiate"]
Data = dict[str, Any]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    with endpoint(tmp_path_factory.mktemp("winrm")) as running:
        yield running


def reaching(served: Endpoint, way: str = "https negotiate", **data: Any) -> Data:
    transport, auth = way.split()
    described: Data = {
        "winrm_hostname": "127.0.0.1",
        "winrm_user": USER,
        "winrm_password": PASSWORD,
        "winrm_auth": auth,
    }
    if transport == "https":
        described |= {"winrm_port": served.https, "winrm_ca_file": str(served.certificate)}
    else:
        described |= {"winrm_port": served.http, "winrm_transport": "http"}
    described |= data
    return {key: value for key, value in described.items() if value is not None}


def host_with(data: Data, config: Config | None = None) -> Host:
    inventory = Inventory(([("@winrm/win01", data)], {}))
    State(inventory, config or Config())
    return inventory.get_host("@winrm/win01")


def refusal(data: Data, config: Config | None = None) -> str:
    """What pyinfra would show where it cannot connect; one line."""
    with pytest.raises(ConnectError) as caught:
        host_with(data, config).connect(show_errors=False, raise_exceptions=True)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def connected() -> Iterator[Callable[[Data], Host]]:
    hosts = []

    def connect(data: Data) -> Host:
        host = host_with(data)
        host.connect(raise_exceptions=True)
        hosts.append(host)
        return host

    yield connect
    for host in hosts:
        host.disconnect()


@pytest.fixture
def host(served: Endpoint, connected: Callable[[Data], Host]) -> Host:
    return connected(reaching(served))


def run(host: Host, line: str, **arguments: Any) -> tuple[bool, CommandOutput]:
    return host.run_shell_command(StringCommand(line), **arguments)


# Commands


@pytest.mark.parametrize("way", WAYS)
def test_command(served: Endpoint, connected: Callable[[Data], Host], way: str) -> None:
    host = connected(reaching(served, way))
    done, output = run(host, "echo one; echo; echo no >&2; printf two; exit 3")
    assert not done
    assert output.stdout_lines == ["one", "", "two"]
    assert output.stderr_lines == ["no"]

    done, output = run(host, "exit 3", _success_exit_codes=[0, 3])
    assert (done, output.output) == (True, "")

    done, output = run(host, 'echo "$NAME"', _env={"NAME": HiddenValue("R&D 100% ä^ö")})
    assert (done, output.stdout_lines) == (True, ["R&D 100% ä^ö"])
    assert run(host, 'echo "$NAME"')[1].stdout_lines == [""]

    # More than a message holds, in both directions.
    text = "".join(f"{number} {'x' * 70}\n" for number in range(3000))
    done, output = run(host, "cat", _stdin=io.StringIO(text), _timeout=30)
    assert output.stdout_lines == text.splitlines()


def test_command_line_arrives_as_it_was(
    served: Endpoint, connected: Callable[[Data], Host]
) -> None:
    host = connected(reaching(served, winrm_user=PRINTER))
    for line in (
        r'if exist "C:\Program Files\R&D 100% ä^ö (x)!\" echo "yes" & echo %PATH% ^& <&>|',
        "echo 'single'  two  spaces\tand a tab \\\" $HOME `x` \N{GRINNING FACE}",
        "x" * 8000,
    ):
        assert run(host, line, _shell_executable="sh")[1].stdout == line
    # Else cmd.exe would take the first and the last quote away.
    assert run(host, r'"C:\a b\x.exe" "y"')[1].stdout == r'@"C:\a b\x.exe" "y"'


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("x" * 8001, "8001 characters"),
        ("echo one\necho two", r"'\n'"),
        ("echo \0", r"'\x00'"),
        ("echo \udc84", r"'\udc84'"),
    ],
)
def test_command_line_that_cmd_cannot_be_given(host: Host, line: str, why: str) -> None:
    with pytest.raises(WinRMHostError) as caught:
        run(host, line)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"_sudo": True},
        {"_su_user": "x"},
        {"_doas": True},
        {"_get_pty": True},
        {"_chdir": "x"},
        {"_shell_executable": "powershell"},
    ],
)
def test_argument_without_a_meaning_there(
    served: Endpoint, host: Host, arguments: dict[str, Any]
) -> None:
    before = served.log.read_text()
    with pytest.raises(WinRMHostError) as caught:
        run(host, "echo something", **arguments)
    assert next(iter(arguments)) in str(caught.value)
    assert served.log.read_text() == before


@pytest.mark.parametrize(
    ("stdin", "read"),
    [
        (None, b""),
        ("a", b"a\r\n"),
        (["a", "b\n"], b"a\r\nb\n"),
        (bytes(range(256)) * 1024, bytes(range(256)) * 1024),
        ("ä", b"\x84\r\n"),
    ],
)
def test_standard_input(
    served: Endpoint, connected: Callable[[Data], Host], stdin: Any, read: bytes
) -> None:
    host = connected(reaching(served, winrm_codepage=850))
    _, output = run(host, "sha256sum", _stdin=stdin, _timeout=10)
    assert output.stdout.split()[0] == hashlib.sha256(read).hexdigest()


def test_command_may_leave_its_input_unread(host: Host) -> None:
    done, output = run(host, "echo enough", _stdin=b"x" * 500_000, _timeout=10)
    assert (done, output.stdout) == (True, "enough")


def test_standard_input_that_the_code_page_lacks(
    served: Endpoint, connected: Callable[[Data], Host]
) -> None:
    with pytest.raises(WinRMHostError, match=r"850 has no '€'.*winrm_codepage"):
        run(connected(reaching(served, winrm_codepage=850)), "cat", _stdin="5 €")


@pytest.mark.parametrize(
    ("codepage", "raw", "shown"),
    [
        (850, r"gr\201\341", "grüß"),
        (437, r"gr\303\274\303\237e", "grüße"),
        (932, r"\223\372\226\173", "日本"),
        (1252, r"\201\220", "\ufffd\ufffd"),
        (65001, r"\377x", "\ufffdx"),
        (None, r"\374", "ü"),
    ],
)
def test_output_in_whatever_encoding(
    served: Endpoint,
    connected: Callable[[Data], Host],
    codepage: int | None,
    raw: str,
    shown: str,
) -> None:
    host = connected(reaching(served, winrm_codepage=codepage))
    assert run(host, rf"printf '{raw}\r\n'; echo $WINRS_CODEPAGE")[1].stdout_lines == [
        shown,
        str(codepage or ""),
    ]


@pytest.mark.parametrize("line", ["yes ''", "yes", "yes >&2", f"yes {'x' * 500}"])
def test_a_command_that_prints_without_end_is_given_up(
    host: Host, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowance, "LARGEST_OUTPUT", 1 << 20)
    with pytest.raises(TooMuchError, match="printed more than 1 MiB"):
        run(host, line, _timeout=30)
    assert run(host, "echo there")[1].stdout_lines == ["there"]


def test_code_page_is_asked_for(served: Endpoint, connected: Callable[[Data], Host]) -> None:
    host = connected(reaching(served, winrm_user=GERMAN))
    assert run(host, r"printf 'gr\201\341'")[1].stdout == "grüß"


# Limits, and connections that are lost


@pytest.mark.parametrize("way", ["https basic", "http negotiate"])
def test_command_that_takes_too_long_is_ended(
    served: Endpoint, connected: Callable[[Data], Host], tmp_path: Path, way: str
) -> None:
    host = connected(reaching(served, way))
    with pytest.raises(TimeoutError):
        run(host, f"echo $$ >{tmp_path}/pid; sleep 600", _timeout=1)
    process = Path("/proc", (tmp_path / "pid").read_text().strip())
    _wait_until(lambda: not process.exists())
    assert run(host, "echo again")[1].stdout == "again"


def test_command_may_be_silent_for_longer_than_one_wait(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(winrm_shell, "POLL_SECONDS", 1)
    assert run(host, "sleep 1.5; echo late")[1].stdout == "late"


@pytest.mark.parametrize("way", WAYS)
def test_connection_is_made_anew_after_a_pause(
    served: Endpoint,
    connected: Callable[[Data], Host],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    host = connected(reaching(served, way))
    monkeypatch.setattr(winrm_shell, "IDLE_SECONDS", 0)
    assert run(host, "echo one")[1].stdout == "one"
    assert run(host, "echo two")[1].stdout == "two"


@pytest.mark.parametrize("way", WAYS)
def test_shell_that_windows_has_ended_is_opened_anew(
    served: Endpoint, connected: Callable[[Data], Host], way: str
) -> None:
    host = connected(reaching(served, way))
    assert isinstance(host.connector, WinRMConnector)
    remote = host.connector._shell
    assert remote is not None and remote._shell is not None
    remote._shell.close()
    assert run(host, "echo one")[1].stdout == "one"


def test_endpoint_that_goes_away_while_a_command_runs(
    tmp_path: Path, connected: Callable[[Data], Host]
) -> None:
    with endpoint(tmp_path) as short_lived:
        host = connected(reaching(short_lived))
        pid = short_lived.process.pid
        with pytest.raises(WinRMHostError, match=f"https://127.0.0.1:{short_lived.https}/wsman: "):
            run(host, f"kill -9 {pid}; sleep 600", _timeout=30)
    with pytest.raises(WinRMHostError, match="refused"):
        run(host, "true")


def test_connection_after_an_answer_that_came_too_late(
    tmp_path: Path, connected: Callable[[Data], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    with endpoint(tmp_path) as slow:
        host = connected(reaching(slow, "http negotiate"))
        monkeypatch.setattr(winrm_shell, "POLL_SECONDS", 1)
        with pytest.raises(WinRMHostError, match="does not answer"):
            run(host, f"sleep 0.5; kill -STOP {slow.process.pid}; echo late")
        slow.process.send_signal(signal.SIGCONT)
        assert run(host, "echo again")[1].stdout == "again"


# What is said where it cannot connect


@pytest.mark.parametrize("way", WAYS)
def test_wrong_password(served: Endpoint, way: str) -> None:
    text = refusal(reaching(served, way, winrm_password="wrong"))
    assert f"refused the user {USER}" in text
    assert "WINRM_PASSWORD" in text


@pytest.mark.parametrize("way", WAYS)
def test_account_without_the_right(served: Endpoint, way: str) -> None:
    text = refusal(reaching(served, way, winrm_user=DENIED))
    assert DENIED in text and "Administrators" in text and "LocalAccountTokenFilterPolicy" in text


@pytest.mark.parametrize("way", ["https negotiate", "http negotiate"])
def test_names_and_passwords_beyond_ascii(
    served: Endpoint, connected: Callable[[Data], Host], way: str
) -> None:
    data = reaching(served, way, winrm_user=UMLAUT, winrm_password=UMLAUT_PASSWORD)
    assert run(connected(data), "echo in")[1].stdout == "in"
    if way == "https negotiate":
        assert "winrm_auth to negotiate" in refusal({**data, "winrm_auth": "basic"})


def test_password_from_the_environment_or_hidden(
    served: Endpoint, connected: Callable[[Data], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = reaching(served)
    connected({**data, "winrm_password": HiddenValue(PASSWORD)})
    del data["winrm_password"]
    monkeypatch.delenv("WINRM_PASSWORD", raising=False)
    assert "WINRM_PASSWORD" in refusal(data)
    monkeypatch.setenv("WINRM_PASSWORD", PASSWORD)
    connected(data)


def test_untrusted_certificate(served: Endpoint, connected: Callable[[Data], Host]) -> None:
    text = refusal(reaching(served, winrm_ca_file=None))
    assert "self-signed certificate" in text
    assert f"SHA-256 {served.fingerprint} " in text
    thumbprint = subprocess.run(
        ["openssl", "x509", "-in", served.certificate, "-noout", "-fingerprint", "-sha1"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.partition("=")[2]
    assert f"thumbprint {thumbprint.strip().replace(':', '').lower()})" in text

    for fingerprint in (served.fingerprint, served.fingerprint.replace(":", "").lower()):
        connected(reaching(served, winrm_ca_file=None, winrm_fingerprint=fingerprint))
    other = ("11" if served.fingerprint.startswith("00") else "00") + served.fingerprint[2:]
    text = refusal(reaching(served, winrm_ca_file=None, winrm_fingerprint=other))
    assert "not the certificate" in text and served.fingerprint in text


def test_trusted_certificate_of_another_host(served: Endpoint) -> None:
    text = refusal(reaching(served, winrm_hostname="localhost"))
    assert "not trusted" in text and "localhost" in text


@pytest.mark.parametrize(
    ("way", "data", "why"),
    [
        ("https negotiate", {"winrm_port": "http"}, "does not speak TLS"),
        ("http negotiate", {"winrm_port": "https"}, "connection failed"),
        ("https negotiate", {"winrm_port": "closed"}, "winrm quickconfig -transport:https"),
        ("http negotiate", {"winrm_port": "closed"}, "winrm quickconfig -transport:http"),
        ("http negotiate", {"winrm_hostname": "nowhere.invalid"}, "not known to DNS"),
        ("https basic", {"winrm_hostname": "nowhere.invalid"}, "not known to DNS"),
        ("https basic", {"winrm_user": None}, "winrm_user"),
        ("https basic", {"winrm_transport": "ftp"}, "'ftp'; it can be https or http"),
        ("https basic", {"winrm_auth": "digest"}, "'digest'; it can be negotiate or basic"),
        ("http basic", {}, "in the clear"),
        ("https basic", {"winrm_ca_file": "/nowhere.pem"}, "no file /nowhere.pem"),
        ("https basic", {"winrm_fingerprint": "AB:CD"}, "exclude each other"),
        ("https basic", {"winrm_fingerprint": "AB:CD", "winrm_ca_file": None}, "AB:CD is no SHA"),
        ("http negotiate", {"winrm_ca_file": "/etc/hosts"}, "http has no certificate"),
    ],
)
def test_wrong_data(served: Endpoint, way: str, data: Data, why: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = unused.getsockname()[1]
    ports = {"http": served.http, "https": served.https, "closed": closed}
    if "winrm_port" in data:
        data = {"winrm_port": ports[data["winrm_port"]]}
    assert why in refusal(reaching(served, way, **data))


@pytest.mark.parametrize("transport", ["https", "http"])
def test_host_that_says_nothing(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winrm_shell, "POLL_SECONDS", -9)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        data = {
            "winrm_hostname": "127.0.0.1",
            "winrm_port": silent.getsockname()[1],
            "winrm_transport": transport,
            "winrm_user": USER,
            "winrm_password": PASSWORD,
        }
        assert "does not answer" in refusal(data, Config(CONNECT_TIMEOUT=1))


@pytest.mark.parametrize(
    ("options", "way", "why"),
    [
        (["--path", "/elsewhere"], "https basic", "HTTP 404"),
        (["--auth", "basic"], "https negotiate", "does not offer negotiate authentication, but B"),
        (["--auth", "basic"], "http negotiate", 'auth @{Negotiate="true"}'),
        (["--auth", "negotiate"], "https basic", "does not offer basic authentication, but N"),
    ],
)
def test_endpoint_that_is_set_up_otherwise(
    tmp_path: Path, options: list[str], way: str, why: str
) -> None:
    with endpoint(tmp_path, *options) as odd:
        assert why in refusal(reaching(odd, way))


def test_proxy_for_the_web_is_none_for_windows(
    served: Endpoint, connected: Callable[[Data], Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for way in WAYS:
        connected(reaching(served, way))


# Secrets


def _spellings(secret: str) -> list[str]:
    return [
        secret,
        repr(secret)[1:-1],
        base64.b64encode(f"{USER}:{secret}".encode()).decode(),
        base64.b64encode(secret.encode()).decode().rstrip("="),
        secret.encode("utf-16-le").hex(),
    ]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("secret", [PASSWORD, "Falsch 0815 & mehr"])
def test_password_is_in_no_log_of_any_library(
    served: Endpoint, caplog: pytest.LogCaptureFixture, way: str, secret: str
) -> None:
    caplog.set_level(logging.DEBUG)
    host = host_with(reaching(served, way, winrm_password=secret))
    host.connect()
    if host.connected:
        run(host, "echo something; exit 1")
        host.disconnect()
    assert "wsman" in caplog.text
    assert [text for text in _spellings(secret) if text in caplog.text] == []
    assert [text for text in _spellings(secret) if text in served.log.read_text()] == []


@pytest.fixture
def site(tmp_path: Path, served: Endpoint) -> Path:
    """An inventory of six hosts, over each way two."""
    hosts = [(f"@winrm/win0{n}", reaching(served, way)) for n, way in enumerate(WAYS * 2)]
    inventory = tmp_path / "inventory.py"
    inventory.write_text(f"windows_agents = {hosts!r}\n")
    return inventory


def pyinfra(inventory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["pyinfra", "-y", str(inventory), *words],
        cwd=inventory.parent,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_password_is_in_nothing_that_pyinfra_prints(site: Path) -> None:
    (site.parent / "deploy.py").write_text(
        "from pyinfra import host\n"
        "from pyinfra.operations import python, server\n"
        "def fail():\n    host.run_shell_command('exit 1')\n    host.get_fact(None)\n"
        "server.shell(['echo done'])\n"
        "python.call(fail)\n"
    )
    printed = ""
    for words in (["deploy.py"], ["deploy.py", "--data", "winrm_port=1"]):
        done = pyinfra(site, "--debug", "-vvv", *words)
        printed += done.stdout + done.stderr
    assert "Traceback" in printed and "connection refused" in printed
    assert [text for text in _spellings(PASSWORD) if text in printed] == []


# Side by side


def test_hosts_do_not_wait_for_each_other(site: Path, tmp_path: Path) -> None:
    """Each command ends when it has seen the five others begin."""
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    line = (
        f"touch {meeting}/$$; n=0; while [ $(ls {meeting} | wc -l) -lt 6 ]; "
        "do sleep 0.1; n=$((n+1)); [ $n -lt 150 ] || exit 9; done"
    )
    done = pyinfra(site, "exec", "--", line)
    assert done.returncode == 0, done.stderr
    assert len(list(meeting.iterdir())) == 6


def _wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)
