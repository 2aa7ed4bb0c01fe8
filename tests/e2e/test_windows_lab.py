"""The lab's Windows agents keep their promises: cmd.exe, services, and a Puppet with a master."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import winrm
from winrm.exceptions import InvalidCredentialsError

import lab
from facts.script import read_records
from facts.windows.ruby import ruby_script
from lab.reaching import ssh_argv
from lab.services import REAL
from recert.certificates import Certificate, read_certificate
from tests.e2e.site import SSLDIR

HOSTS_OF_WINDOWS = ("win01", "win03")
_PROGRAMS = {
    "win01": r"C:\Program Files (x86)\Puppet Labs\Puppet Enterprise",
    "win03": r"C:\Program Files\Puppet Labs\Puppet",
}
_DATA = {
    "win01": "C:/ProgramData/PuppetLabs/puppet",
    "win03": "C:/Documents and Settings/All Users/Application Data/PuppetLabs/puppet",
}
_VERSIONS = {"win01": "6.1.7601", "win03": "5.2.3790"}
SERVER = "/usr/lib/wine/wineserver64 -p"
"""What keeps Wine up, and what it was told when it came up."""


@pytest.fixture(scope="module", autouse=True)
def _windows_lab() -> None:
    lab.reset("master", *HOSTS_OF_WINDOWS, services=REAL)


def _over_ssh(
    name: str, command: str, user: str = "Administrator", stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    ssh, *words = ssh_argv(name, [command])
    argv = [ssh, "-l", user, *words]
    return subprocess.run(
        argv, capture_output=True, encoding="cp1252", input=stdin, timeout=120, check=False
    )


def _typed(name: str, command: str) -> str:
    """What an Administrator's command prints; it has to succeed."""
    done = _over_ssh(name, command)
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


def _over_winrm(
    name: str, *, https: bool, user: str = "Administrator", password: str = ""
) -> winrm.Session:
    how = lab.hosts()[name]["winrm"]
    password = password or Path(how["password_file"]).read_text()
    if https:
        return winrm.Session(
            f"https://{how['hostname']}:{how['https_port']}/wsman",
            auth=(user, password),
            transport="basic",
            ca_trust_path=how["certificate_file"],
        )
    return winrm.Session(
        f"http://{how['hostname']}:{how['http_port']}/wsman",
        auth=(user, password),
        transport="ntlm",
        message_encryption="always",
    )


def _puppet(name: str, arguments: str) -> subprocess.CompletedProcess[str]:
    return _over_ssh(name, rf'call "{_PROGRAMS[name]}\bin\puppet.bat" {arguments}')


def _state(name: str, service: str) -> tuple[str, str]:
    """The state of a service, and the number of its process."""
    shown = _typed(name, f"sc queryex {service}")
    found = re.search(r"STATE *: \d  (\w+).*PID *: (\d+)", shown, re.DOTALL)
    assert found, shown
    return found[1], found[2]


def _start(name: str, service: str) -> None:
    _typed(name, f"sc start {service}")
    _wait(lambda: _state(name, service)[0] == "RUNNING")


def _hanging(name: str, service: str, how: str) -> str:
    """The process of a service that comes to this state and does not leave it."""
    _wait(lambda: _state(name, service)[0] == how)
    time.sleep(2)
    state, process = _state(name, service)
    assert state == how
    return process


def _daemons(name: str) -> list[str]:
    """The processes of mcollectived, as Linux numbers them."""
    return lab.run(name, "pgrep -f '^/usr/bin/ruby .*mcollectived' || true").stdout.split()


def _wait(for_what: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not for_what():
        assert time.monotonic() < end
        time.sleep(0.2)


def _certificate(name: str) -> Certificate:
    pem = _typed(name, f'type "{_DATA[name]}/etc/ssl/certs/{name}.lab.test.pem"'.replace("/", "\\"))
    certificate = read_certificate(pem)
    assert certificate is not None
    return certificate


@pytest.mark.parametrize("name", HOSTS_OF_WINDOWS)
def test_puppet_works_with_its_master_and_asks_it_for_a_certificate(name: str) -> None:
    assert _VERSIONS[name] in _typed(name, "ver")
    shown = _puppet(name, "config print certname confdir ssldir client_datadir").stdout
    assert dict(line.split(" = ") for line in shown.splitlines()) == {
        "certname": f"{name}.lab.test",
        "confdir": f"{_DATA[name]}/etc",
        "ssldir": f"{_DATA[name]}/etc/ssl",
        "client_datadir": f"{_DATA[name]}/var/client_data",
    }
    reports = f"/var/opt/lib/pe-puppet/reports/{name}.lab.test"
    lab.run("master", ["rm", "-r", reports])
    done = _puppet(name, "agent --test --color=false")
    assert done.returncode in (0, 2), done.stdout + done.stderr
    assert lab.run("master", ["ls", reports]).stdout.split()
    data = _DATA[name].replace("/", "\\")
    assert f"{name}.lab.test.json" in _typed(name, rf'dir /b "{data}\var\client_data\catalog"')

    seeded = _certificate(name)
    _typed(name, rf'rd /s /q "{data}\etc\ssl"')
    lab.run("master", f"/opt/puppet/bin/puppet cert clean {name}.lab.test")
    refused = _puppet(name, "agent --test --waitforcert 0")
    assert refused.returncode == 1, refused.stdout
    lab.run("master", f"/opt/puppet/bin/puppet cert sign {name}.lab.test")
    done = _puppet(name, "agent --test --waitforcert 0")
    assert done.returncode in (0, 2), done.stdout + done.stderr
    signed = read_certificate(
        lab.run("master", f"cat {SSLDIR}/ca/signed/{name}.lab.test.pem").stdout
    )
    assert _certificate(name) == signed != seeded


@pytest.mark.parametrize("name", HOSTS_OF_WINDOWS)
def test_services_start_stop_hang_and_end_with_their_process(name: str) -> None:
    service = "pe-mcollective"
    hang = rf"C:\pe-lab\{service}.hangs-"
    assert _state(name, service)[0] == _state(name, "pe-puppet")[0] == "RUNNING"
    _typed(name, f"net stop {service}")
    _wait(lambda: _state(name, service)[0] == "STOPPED")
    _start(name, service)

    _typed(name, f"type nul >{hang}stopping & sc stop {service}")
    process = _hanging(name, service, "STOP_PENDING")
    again = _over_ssh(name, f"sc stop {service}")
    assert (again.returncode, "FAILED 1061" in again.stdout) == (255, True)
    _typed(name, f"taskkill /F /PID {process} & del {hang}stopping")
    _wait(lambda: _state(name, service) == ("STOPPED", "0"))
    assert "FAILED 1062" in _over_ssh(name, f"sc stop {service}").stdout

    _typed(name, f"type nul >{hang}starting & sc start {service}")
    process = _hanging(name, service, "START_PENDING")
    _typed(name, f"taskkill /F /PID {process} & del {hang}starting")
    _wait(lambda: _state(name, service) == ("STOPPED", "0"))
    _start(name, service)
    assert "FAILED 1060" in _over_ssh(name, "sc query no-such-service").stdout

    summary = f'"{_DATA[name]}/var/state/last_run_summary.yaml"'.replace("/", "\\")
    _typed(name, f"net stop pe-puppet & del {summary}")
    _typed(name, "sc start pe-puppet")
    _wait(lambda: _over_ssh(name, f"type {summary}").returncode == 0)


@pytest.mark.parametrize("name", HOSTS_OF_WINDOWS)
def test_mcollectived_begins_and_ends_with_its_service(name: str) -> None:
    service = "pe-mcollective"
    assert len(_daemons(name)) == 1
    _typed(name, f"net stop {service}")
    _wait(lambda: _state(name, service)[0] == "STOPPED")
    assert _daemons(name) == []

    _start(name, service)
    _typed(name, f"taskkill /F /PID {_state(name, service)[1]}")
    _wait(lambda: _daemons(name) == [])

    _start(name, service)
    (daemon,) = _daemons(name)
    lab.run(name, f"kill {daemon}")
    _wait(lambda: _state(name, service)[0] == "STOPPED")
    _start(name, service)


@pytest.mark.parametrize("name", HOSTS_OF_WINDOWS)
def test_ssh_and_winrm_are_sessions_of_cmd_exe(name: str) -> None:
    command = (
        'echo "a b" c^&d %USERNAME% & echo wrong 1>&2 & reg query HKU\\S-1-5-19 >nul 2>&1'
        " && (exit 7) || (exit 8)"
    )
    for user, status in (("Administrator", 7), ("operator", 8)):
        done = _over_ssh(name, command, user)
        expected = (f'"a b" c&d {user}', "wrong", status)
        assert (done.stdout.strip(), done.stderr.strip(), done.returncode) == expected
        for https in (True, False):
            got = _over_winrm(name, https=https, user=user).run_cmd(command)
            said = (got.std_out.decode().strip(), got.std_err.decode().strip(), got.status_code)
            assert said == expected, f"https={https}"
        assert "S-1-5-19" not in _over_ssh(name, "set", user).stdout
    assert _over_ssh(name, "more", stdin="one\ntwo\n").stdout.split() == ["one", "two"]
    with pytest.raises(InvalidCredentialsError):
        _over_winrm(name, https=True, password="no").run_cmd("ver")

    # Nothing of the container underneath answers.
    for posix in ("id", "sh -c id", "/bin/sh -c id", "dir Z:\\", "true; id"):
        done = _over_ssh(name, posix)
        assert done.returncode != 0 and "uid=" not in done.stdout, posix


def test_access_control_lists_are_set_saved_and_restored() -> None:
    def open_to_others() -> list[str]:
        return lab.run("win01", "find /C:/keys/ -perm /007").stdout.split()

    _typed("win01", r"mkdir C:\keys & echo secret>C:\keys\one.pem")
    seeded = _typed("win01", r"icacls C:\keys /t")
    assert len(open_to_others()) == 2
    _typed("win01", r"icacls C:\keys /save C:\saved.acl /t /q")
    grant = "/inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F"
    _typed("win01", rf"icacls C:\keys {grant} /t")
    assert not open_to_others()
    _typed("win01", r"icacls C:\keys /reset /q")
    assert open_to_others() == ["/C:/keys/"]
    _typed("win01", r"icacls C:\ /restore C:\saved.acl")
    assert _typed("win01", r"icacls C:\keys /t") == seeded
    assert len(open_to_others()) == 2
    assert "(OI)(CI)F" in _typed("win01", r"type C:\pe-lab\icacls.log")
    assert _over_ssh("win01", r"icacls C:\nowhere /t").returncode != 0


def test_ruby_is_what_puppet_has_on_windows() -> None:
    ruby = rf'"{_PROGRAMS["win01"]}\sys\ruby\bin\ruby.exe"'
    _typed("win01", r"mkdir C:\R^&D & echo 100%>C:\R^&D\x.txt")
    script = "puts ARGV, File.read(%q(C:/R&D/x.txt)); $stderr.puts Dir.pwd; exit 3"
    done = _over_ssh("win01", f'{ruby} -e "{script}" "a b" "c&d%"')
    assert (done.stdout.split("\n"), done.returncode) == (["a b", "c&d%", "100%", ""], 3)
    assert done.stderr.strip() == "/"
    long = f'{ruby} -e "puts ARGV[0].size; puts %q(x) * 1_000_000" {"y" * 7000}'
    assert _typed("win01", long).split() == ["7000", "x" * 1_000_000]
    assert _typed("win01", f'{ruby} -e "puts 6 * 7" | find "42"').strip() == "42"


@pytest.mark.parametrize("name", HOSTS_OF_WINDOWS)
def test_what_another_ruby_has_set_is_nothing_to_the_suites(name: str) -> None:
    program = _PROGRAMS[name].replace("\\", "/") + "/sys/ruby/bin/ruby.exe"
    asked = ruby_script(program, "say 'here'").get_raw_value()
    theirs = "set RUBYOPT=-rnone&set RUBYLIB=C:/none"
    assert _over_ssh(name, f'{theirs}&"{program}" -e "puts 1"').returncode != 0
    (said,) = read_records(_typed(name, f"{theirs}&{asked}").splitlines())
    assert said == ["here"]


def test_files_come_and_go_over_sftp(tmp_path: Path) -> None:
    content = bytes(range(256))
    (tmp_path / "sent").write_bytes(content)
    batch = tmp_path / "batch"
    batch.write_text(
        f"put {tmp_path}/sent C:/pe-lab/sent.bin\nget /C:/pe-lab/sent.bin {tmp_path}/got\n"
    )
    _, *options, destination = ssh_argv("win03", [])
    subprocess.run(
        ["sftp", "-b", str(batch), *options, destination],
        check=True,
        capture_output=True,
        timeout=60,
    )
    assert (tmp_path / "got").read_bytes() == content
    assert "sent.bin" in _typed("win03", r"dir /b C:\pe-lab")


def test_cut_off_switched_off_and_reset() -> None:
    before = lab.hosts()["win01"]
    lab.cut("win01")
    assert _puppet("win01", "agent --test").returncode == 1
    lab.mend("win01")
    _typed("win01", r"echo here>C:\mark")
    # Who asks for the services before Wine is up must not be who starts it: it would end again.
    lab.run("win01", f"sed -i 's|^WINEPREFIX=.*{SERVER}$|sleep 2; &|' /opt/pe-lab/init")
    lab.switch_off("win01")
    assert _over_ssh("win01", "ver").returncode == 255
    lab.switch_on("win01")
    assert lab.hosts()["win01"] == before
    assert _typed("win01", r"type C:\mark").strip() == "here"
    assert _state("win01", "pe-mcollective")[0] == "RUNNING"
    assert lab.run("win01", f"pgrep -fx '{SERVER}'").stdout
    _typed("win01", r"reg query HKU\S-1-5-19 >nul")
    assert _over_ssh("win01", r"reg query HKU\S-1-5-19", "operator").returncode != 0
    lab.reset(*HOSTS_OF_WINDOWS)
    assert _over_ssh("win01", r"type C:\mark").returncode != 0
    with ThreadPoolExecutor() as pool:
        ended = pool.map(lambda name: _puppet(name, "agent --test").returncode, HOSTS_OF_WINDOWS)
    assert set(ended) <= {0, 2}
