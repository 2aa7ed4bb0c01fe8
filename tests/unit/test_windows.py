"""What a Windows host says, and what is made of it."""

from __future__ import annotations

import base64
import re
import zlib
from dataclasses import replace
from pathlib import PureWindowsPath
from types import SimpleNamespace
from typing import cast

import pytest
from pyinfra.api import Host
from pyinfra.api.exceptions import FactProcessError

from facts.windows.agent import WindowsAgentFiles
from facts.windows.attributes import WindowsCsrAttributes
from facts.windows.backups import WindowsBackups
from facts.windows.credential_files import WindowsCredentialFiles
from facts.windows.installation import (
    WindowsInstallation,
    WindowsPuppetSettings,
    framed,
)
from facts.windows.others import WindowsStrayCredentials
from facts.windows.ruby import ruby_script
from facts.windows.services import WindowsServiceOptions, WindowsServices
from procedures.agent import AgentRefusedError
from procedures.windows import WindowsAgentFacts, windows_backup_root
from recert import preflight
from recert.backups import Backup, Manifest
from recert.commandline import LIMIT
from recert.deployments.pe_3_7 import PE_3_7
from recert.errors import RecertError
from recert.observed import FileState, LastRun, Service
from recert.others import PRIVATE_KEY, Stray
from recert.settings import check_settings
from recert.windows import (
    WINDOWS,
    Windows,
    as_documented,
    check_windows_path,
    directory_refusals,
    read_service,
    read_services,
    read_windows,
    windows_refusals,
)
from tests.unit.issuing_ca import NEW, key_digest, printed_settings, public_pem

ETC = "C:/ProgramData/PuppetLabs/puppet/etc"
RUBY = "C:/Program Files/Puppet Labs/Puppet Enterprise/sys/ruby/bin/ruby.exe"

MODERN = [
    "",
    "Microsoft Windows [Version 6.1.7601]",
    '"bangs=!OS!"',
    '"administrator=yes"',
    r'"programdata=C:\ProgramData"',
    r'"allusers=C:\ProgramData"',
    r'"profile=C:\Users\Administrator"',
    r'"puppet=C:\Program Files\Puppet Labs\Puppet Enterprise\bin\puppet.bat"',
    r'"ruby=C:\Program Files\Puppet Labs\Puppet Enterprise\sys\ruby\bin\ruby.exe"',
    r'"puppet=C:\gems\bin\puppet.bat"',
]


def known(**changes: object) -> Windows:
    return replace(read_windows(MODERN), **changes)  # type: ignore[arg-type]


def test_modern_windows_with_the_first_puppet_that_it_names() -> None:
    assert read_windows(MODERN) == Windows(
        version=(6, 1),
        administrator=True,
        denied="",
        bangs=False,
        puppet="C:/Program Files/Puppet Labs/Puppet Enterprise/bin/puppet.bat",
        ruby=RUBY,
        data="C:/ProgramData",
        profile="C:/Users/Administrator",
    )
    assert known().confdir == ETC


def test_windows_2003_keeps_its_data_elsewhere() -> None:
    found = read_windows(
        [
            "Microsoft Windows [Version 5.2.3790]",
            '"bangs=!OS!"',
            "ERROR: Access is denied." + "x" * 1000,
            '"programdata=%PROGRAMDATA%"',
            r'"allusers=C:\Documents and Settings\All Users"',
            r'"profile=C:\Documents and Settings\Administrator"',
        ]
    )
    data = "C:/Documents and Settings/All Users/Application Data"
    assert (found.modern, found.data, found.puppet) == (False, data, None)
    assert found.confdir == f"{data}/PuppetLabs/puppet/etc"
    assert not found.administrator
    (refusal,) = (text for text in windows_refusals(found) if "Administrator rights" in text)
    assert "said: ERROR: Access is denied.xx" in refusal
    assert len(refusal) < 600


@pytest.mark.parametrize("missing", [1, 4])
def test_windows_that_does_not_say_what_it_is(missing: int) -> None:
    with pytest.raises(RecertError):
        read_windows(MODERN[:missing] + MODERN[missing + 1 :])


def test_what_forbids_any_work() -> None:
    assert windows_refusals(known()) == []
    (no_rights,) = windows_refusals(known(administrator=False))
    (bangs,) = windows_refusals(known(bangs=True))
    (no_puppet,) = windows_refusals(known(puppet=None, ruby=None))
    (no_ruby,) = windows_refusals(known(ruby=None))
    assert "no Administrator rights" in no_rights
    assert "DelayedExpansion" in bangs
    assert ETC in no_puppet
    assert "ruby.exe" in no_ruby


@pytest.mark.parametrize(
    "data", ["//fs/share", "C:/a/../b", "C:relative", 'C:/x" & calc & "', "C:/x\x1b[2J"]
)
def test_backups_go_to_no_place_that_a_host_makes_up(data: str) -> None:
    host = cast(Host, SimpleNamespace(data={}))
    assert windows_backup_root(host, known()) == "C:/ProgramData/pe-recert/backups"
    with pytest.raises(AgentRefusedError, match="not a plain absolute path on a drive"):
        windows_backup_root(host, known(data=data))


@pytest.mark.parametrize(
    "confdir", ["C:/Users/Administrator/.puppet", "c:/users/ADMINISTRATOR/.Puppet/etc"]
)
def test_an_accounts_own_directories_are_never_believed(confdir: str) -> None:
    (refusal,) = directory_refusals(known(), confdir)
    assert ETC in refusal
    assert directory_refusals(known(), ETC) == []


SC = """
SERVICE_NAME: pe-mcollective
        TYPE               : {kind}  WIN32_OWN_PROCESS
        STATE              : {state}
                                (STOPPABLE, NOT_PAUSABLE, ACCEPTS_SHUTDOWN)
        WIN32_EXIT_CODE    : 0  (0x0)
        SERVICE_EXIT_CODE  : 0  (0x0)
        CHECKPOINT         : 0x0
        WAIT_HINT          : 0x0
        PID                : {pid}
        FLAGS              :
"""


@pytest.mark.parametrize(
    ("state", "pid", "expected"),
    [
        ("4  RUNNING", 1234, (Service.RUNNING, 1234)),
        ("1  STOPPED", 0, (Service.STOPPED, None)),
        ("2  START_PENDING", 77, (Service.PENDING, 77)),
        ("3  STOP_PENDING", 78, (Service.PENDING, 78)),
        ("7  PAUSED", 79, (Service.RUNNING, 79)),
    ],
)
def test_states_of_a_service(state: str, pid: int, expected: tuple[Service, int | None]) -> None:
    text = SC.format(kind="10", state=state, pid=pid)
    found = read_service("pe-mcollective", text.splitlines())
    assert found is not None
    assert (found.state, found.pid, found.word) == (*expected, state.split()[1])
    assert found.alone


def test_service_in_a_shared_process_and_in_another_language() -> None:
    german = SC.format(kind="20", state="4  RUNNING", pid=5).replace("STATE", "STATUS")
    found = read_service("x", german.replace("TYPE", "TYP").splitlines())
    assert found is not None and found.state is Service.RUNNING
    assert not found.alone


def test_enterprise_services_come_before_open_source_ones() -> None:
    running = SC.format(kind="10", state="4  RUNNING", pid=5).splitlines()
    missing = ["[SC] EnumQueryServicesStatus:OpenService FAILED 1060:", "", "No such service."]
    services = read_services(
        [
            *("service=pe-puppet", *missing, "service=puppet", *running),
            *("service=pe-mcollective", *running, "service=mcollective", *running),
        ]
    )
    found = as_documented(services, PE_3_7.agent.windows)
    assert {name: entry.name for name, entry in found.items()} == {
        "pe-puppet": "puppet",
        "pe-mcollective": "pe-mcollective",
    }
    nothing = read_services(["service=pe-puppet", *missing])
    assert as_documented(nothing, PE_3_7.agent.windows) == nothing == {}


@pytest.mark.parametrize(
    "value",
    [
        *("ssl", "/etc/ssl", "C:ssl", r"\\server\share\ssl", "C:/a/../b", 'C:/a"b', "C:/a\nb"),
        *("C:/a*b", "C:/a:b", "C:/\ufffd", ""),
    ],
)
def test_path_that_is_not_on_a_drive_is_refused(value: str) -> None:
    with pytest.raises(RecertError, match="not a plain absolute path on a drive"):
        check_windows_path("ssldir", value)


def test_path_is_written_as_puppet_writes_it() -> None:
    assert check_windows_path("x", r"C:\R&D 100% (ä)\\ssl") == "C:/R&D 100% (ä)/ssl"


def printed(**changes: str) -> dict[str, str]:
    """What Puppet prints on Windows."""
    values = {
        name: value.replace("/etc/puppetlabs/puppet", ETC).replace(
            "/var/opt/lib/pe-puppet", "C:/ProgramData/PuppetLabs/puppet/var"
        )
        for name, value in printed_settings().items()
    }
    values = {n: f"C:{v}" if v.startswith("/") else v for n, v in values.items()}
    return {**values, **changes}


def test_settings_of_a_windows_agent() -> None:
    found = check_settings(printed(), printed(), PE_3_7, rules=WINDOWS)
    assert found.ssldir == f"{ETC}/ssl"
    assert found.ssl_roots == (f"{ETC}/ssl",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ssldir": "C:/ssl"}, "too close to the root"),
        ({"ssldir": ETC.upper()}, "lies inside ssldir"),
        ({"certdir": "D:/certs"}, "certdir"),
        ({"confdir": "/etc/puppet"}, "confdir is '/etc/puppet'"),
    ],
)
def test_settings_that_would_delete_too_much_are_refused(
    changes: dict[str, str], message: str
) -> None:
    values = printed(**changes)
    with pytest.raises(RecertError, match=message):
        check_settings(values, values, PE_3_7, rules=WINDOWS)


def test_paths_of_windows_differ_in_more_than_case() -> None:
    values = printed(certdir=f"{ETC}/ssl/certs".upper())
    assert (
        check_settings(values, values, PE_3_7, rules=WINDOWS).certdir == f"{ETC}/SSL/CERTS".upper()
    )
    assert PureWindowsPath("C:/A") == PureWindowsPath("c:/a")


# Options of services


def said_by_sc(command: str) -> list[str]:
    """`sc qc`, as it is in English and in German."""
    return [
        "pe-recert:",
        "service=pe-puppet",
        "[SC] QueryServiceConfig SUCCESS",
        "SERVICE_NAME: pe-puppet",
        "        TYPE               : 10  WIN32_OWN_PROCESS",
        f"        BINARY_PATH_NAME   : {command}",
        "        DISPLAY_NAME       : Puppet Agent -- PE",
        "service=puppet",
        "[SC] OpenService FEHLER 1060:",
        "pe-recert.",
    ]


DAEMON = r'"C:\Program Files\PE\sys\ruby\bin\rubyw.exe" "C:\Program Files\PE\service\daemon.rb"'


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (DAEMON, []),
        (rf"{DAEMON} --ssldir=D:\ssl --onetime", ["--ssldir=D:/ssl", "--onetime"]),
        (rf'{DAEMON} "--ssldir=D:\my ssl"', ["--ssldir=D:/my ssl"]),
        (rf'{DAEMON} --verbose --ssldir "D:\my ssl"', ["--verbose", "--ssldir", "D:/my ssl"]),
    ],
)
def test_options_of_a_service_are_told_in_words(command: str, words: list[str]) -> None:
    found = WindowsServiceOptions().process(said_by_sc(command))
    assert found == ({"the service pe-puppet": words} if words else {})


@pytest.mark.parametrize(
    ("option", "refused"),
    [("D:/ssl", True), (f"{ETC}/ssl".upper(), False), (f"{ETC}//ssl/", False)],
)
def test_a_service_with_another_ssldir_is_refused(option: str, refused: bool) -> None:
    conf = check_settings(printed(), printed(), PE_3_7, rules=WINDOWS)
    given = {"the service pe-puppet": [f"--ssldir={option}"]}
    messages = preflight.service_option_refusals(given, conf)
    assert len(messages) == refused
    assert all("(the service pe-puppet), and puppet.conf says C:/" in one for one in messages)


# Facts


def test_every_question_fits_into_a_command_line() -> None:
    long = "C:/" + "/".join(["Documents and Settings äöü"] * 8)
    traces = dict.fromkeys(("summary", "catalog", "disabled", "lockfile"), f"{long}/state.yaml")
    commands = [
        WindowsInstallation().command(),
        WindowsPuppetSettings().command(puppet=f"{long}/bin/puppet.bat"),
        WindowsServices().command([n for names in PE_3_7.agent.windows.values() for n in names]),
        WindowsServiceOptions().command(list(PE_3_7.agent.windows["pe-puppet"])),
        WindowsAgentFiles().command(
            RUBY, [long, f"{long}/ca"], [f"{long}/{n}.pem" for n in range(4)], [long], traces
        ),
        WindowsBackups().command(RUBY, f"{long}/backups", [long, f"{long}/ca"]),
        WindowsStrayCredentials().command(RUBY, [long], [f"{long}/{n}.pem" for n in range(8)]),
        WindowsCsrAttributes().command(RUBY, f"{long}/csr_attributes.yaml"),
        WindowsCredentialFiles().command(
            RUBY,
            [long, f"{long}/ca", f"{long}/var"],
            [f"{long}/backups"],
            [f"{long}/backups/20260102T0304{second}Z-0123456789abcdef" for second in range(10, 60)],
        ),
    ]
    for command in commands:
        assert len(command.get_raw_value()) < LIMIT


def test_script_and_arguments_come_through_the_command_line_unharmed() -> None:
    text = ruby_script(RUBY, 'say "x"', 'a"b%PATH%&^!', "ä\n", "").get_raw_value()
    assert text.startswith('@(set RUBYOPT=)&(set RUBYLIB=)&("C:\\Program Files')
    (packed,) = re.findall(r"eval unpacked\('([^']*)'\)", text)
    script = zlib.decompress(base64.b64decode(packed)).decode()
    assert 'say "x"' in script
    (arguments,) = re.findall(r"ARGUMENTS = unpacked\('([^']*)'\)", script)
    assert zlib.decompress(base64.b64decode(arguments)).decode() == 'a"b%PATH%&^!\0ä\n\0'
    assert text.count('"') == 4, "quotes of the script would end cmd.exe's"
    assert not re.search("[%^!]", text)


@pytest.mark.parametrize("output", [[], ["pe-recert:", "ver"], ["pe-recert."]])
def test_answer_that_was_cut_short_is_refused(output: list[str]) -> None:
    with pytest.raises(FactProcessError):
        framed(output)


def test_what_cmd_is_told_to_run_first_may_say_something() -> None:
    for before in ([], ["Welcome", ""], ["no end of a line: pe-recert:"]):
        marked = (
            before if before[-1:] == ["no end of a line: pe-recert:"] else [*before, "pe-recert:"]
        )
        assert framed([*marked, "one ", "pe-recert.", "bye"]) == ["one"]


def answer(*records: tuple[object, ...]) -> list[str]:
    raw = "".join(
        f"{len(record)}\0" + "".join(f"{field}\0" for field in record)
        for record in (*records, ("end",))
    )
    encoded = base64.encodebytes(raw.encode()).decode().splitlines()
    return ["noise", "pe-recert:", *encoded, "pe-recert."]


def test_files_of_an_agent_are_read() -> None:
    found = WindowsAgentFiles().process(
        answer(
            ("file", f"{ETC}/ssl", "d", 0, "100.5"),
            ("file", f"{ETC}/ssl/ä.pem", "f", 12, "101.25"),
            ("text", f"{ETC}/ssl/certs/ca.pem", NEW.pem),
            ("key", "good", public_pem("agent")),
            ("key", "bad", ""),
            ("unreadable", "secret"),
            ("disabled", "why"),
            ("running", 42),
            ("catalog", 7, "99.0"),
        )
    )
    entry = found.ssl.files[f"{ETC}/ssl/ä.pem"]
    assert (entry.kind, entry.size, entry.mtime, entry.describe()) == ("f", 12, 101.25, "12 bytes")
    assert found.ssl.texts == {f"{ETC}/ssl/certs/ca.pem": NEW.pem}
    assert found.ssl.keys == {"good": key_digest("agent"), "bad": None}
    assert found.unreadable == ("secret",)
    assert (found.agent.disabled, found.agent.running) == ("why", 42)
    assert found.agent.catalog is not None and found.agent.catalog.mtime == 99.0


def test_a_run_whose_own_command_failed_did_not_succeed() -> None:
    summary = "---\ntime:\n  last_run: 1448272000\nresources:\n  failed: 0\nversion:\n  config: 1\n"
    found = WindowsAgentFiles().process(answer(("summary", summary), ("failed", "postrun_command")))
    assert found.agent.last_run == LastRun(1448272000.0, succeeded=False, command="postrun_command")


def test_credentials_that_lie_anywhere_are_read() -> None:
    own, both, other = f"{ETC}/ssl/certs/web.pem", f"{ETC}/both.KEY", f"{ETC}/other.cer"
    public = f"{ETC}/clients/peadmin-public.pem"
    found = WindowsCredentialFiles().process(
        answer(
            ("unreadable", f"{ETC}/secret"),
            ("file", own, "f", 1000, "101.25"),
            ("pem", own),
            ("text", own, NEW.pem),
            ("file", both, "f", 2000, "102.5"),
            ("pem", both),
            ("text", both, NEW.pem),
            ("key", both, public_pem("agent")),
            ("saved", both),
            ("file", other, "f", 7, "103"),
            ("pem", other),
            ("key", other, ""),
            ("public", public, public_pem("agent")),
        )
    )
    assert found.files[own] == FileState("f", 0, "", "", 1000, 101.25)
    assert set(found.files) == found.pems == {own, both, other}
    assert found.certificates == {own: NEW.pem, both: NEW.pem}
    assert found.keys == {both: key_digest("agent"), other: None}
    assert found.public_keys == {public: key_digest("agent")}
    assert found.saved == {both}
    assert found.unreadable == {f"{ETC}/secret"}


def test_credentials_are_searched_where_puppetlabs_keeps_its_data() -> None:
    assert known().puppetlabs == "C:/ProgramData/PuppetLabs"


@pytest.mark.parametrize("name", ["eyaml key.pem", "schl\u00fcssel.key"])
@pytest.mark.parametrize("is_held", [True, False])
def test_what_somebody_else_has_put_there_since_would_be_lost(name: str, is_held: bool) -> None:
    ssldir, root = f"{ETC}/ssl", "C:/ProgramData/pe-recert/backups"
    held = {f"{root}/b/files/0/{name}": FileState("f", 0, "", "", 9, 0)} if is_held else {}
    facts = cast(
        WindowsAgentFacts,
        SimpleNamespace(
            backup_root=root,
            strays=[Stray(f"{ssldir}/{name}", PRIVATE_KEY, keys=("ab",))],
            others=lambda cas: {f"{ssldir}/{name}": PRIVATE_KEY},
            held_by=lambda place, count: held if (place, count) == (f"{root}/b", 1) else {},
        ),
    )
    manifest = Manifest("", "", "", None, None, None, None, (ssldir,), {})
    backup = Backup("b", manifest, valid=True, uncovered=0, differs=True)
    refusals = WindowsAgentFacts.refusals_to_go_back(facts, backup, [])
    assert [refusal.startswith(f"{ssldir}/{name} is a key") for refusal in refusals] == (
        [] if is_held else [True]
    )
