"""The puppet.conf of a backup is shown before it goes back: it names programs that Puppet starts as
root, and whom it obeys."""

from __future__ import annotations

import subprocess
import tarfile
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyinfra.api.exceptions import DeployError

from facts.configuration import BothConfigurations
from procedures import restoration
from procedures.master import MasterFacts
from recert.backups import Backup
from recert.configuration import LARGEST, Configurations, Kept, refusal, told_differences
from tests.unit.issuing_ca import key_pem, settings
from tests.unit.shell import Sh
from tests.unit.test_backups import MANIFEST

PATH = settings().config
LIVE = """\
# Ours.
[main]
    certname = master.example.com
    dbpassword = ours
[master]
    node_terminus = console
[agent]
    server = master.example.com
"""


def told(held: str, live: str = LIVE) -> list[str]:
    return told_differences(PATH, Configurations(live, Kept.PLAIN, held))


# What is told


def test_what_says_the_same_is_told_in_one_line() -> None:
    for held in (LIVE, LIVE.replace("# Ours.", "\n; # x\n".replace(";", "")), LIVE + "\n"):
        (line,) = told(held)
        assert line.startswith(f"{PATH} goes back as well. It says what it does now (")
    lines = LIVE.splitlines()
    swapped = [*lines[:2], lines[3], lines[2], *lines[4:]]
    (line,) = told("\n".join(swapped))
    assert "what it does now, in another order" in line


@pytest.mark.parametrize(
    "setting",
    [
        *("prerun_command", "postrun_command", "config_version", "external_nodes", "autosign"),
        *("server", "ca_server", "node_terminus", "environmentpath", "libdir"),
    ],
)
def test_what_puppet_starts_and_whom_it_obeys_comes_first(setting: str) -> None:
    harmless = "".join(f"    ordinary{number} = 1\n" for number in range(40))
    held = LIVE.replace("[master]\n", f"[master]\n{harmless}  {setting}=/root/evil\n")
    first, second, third, *rest = told(held)
    assert "41 lines are not there now (+), and 0 lines are there now alone (-):" in first
    assert second == f"+ [master] {setting} = /root/evil"
    assert third.startswith("Among these is what Puppet starts as root")
    assert len(rest) == 40


def test_what_is_gone_or_elsewhere_is_told_as_well() -> None:
    said = told(LIVE.replace("[agent]\n", ""))
    assert "1 line is not there now (+), and 1 line is there now alone (-)" in said[0]
    assert said[1:3] == [
        "+ [master] server = master.example.com",
        "- [agent] server = master.example.com",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "\vprerun_command = /root/evil",
        "prerun_command = /root/evil # as before",
        "  prerun_command=/root/evil\r",
        "prerun_command\t=/root/evil",
    ],
)
def test_no_spelling_of_a_setting_is_taken_for_a_comment(line: str) -> None:
    (said,) = (one for one in told(f"{LIVE}{line}\n") if one.startswith("+ "))
    assert said.startswith("+ [agent] prerun_command = /root/evil")


def test_what_is_a_line_for_puppet_is_one_here() -> None:
    """Python takes more characters than a line feed for the end of one."""
    for end in ("\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028"):
        hidden = f"# {end}server = elsewhere"
        assert len(told(f"{LIVE}{hidden}\n")) == 1
        assert len(told(f"{LIVE}odd{end}# server = elsewhere\n")) > 1


@pytest.mark.parametrize("kept", [Kept.ODD, Kept.TOO_LARGE, Kept.WITH_KEY])
def test_what_cannot_be_shown_does_not_go_back(kept: Kept) -> None:
    said = refusal(PATH, Configurations(LIVE, kept, ""))
    assert said is not None
    assert f"The backup holds {PATH} " in said and "Nothing was replaced" in said
    assert refusal(PATH, Configurations(LIVE, Kept.PLAIN, LIVE)) is None


# What is read


class Tar:
    """An archive of whatever members, and where the file is."""

    def __init__(self, place: Path) -> None:
        self.path = place / "archive.tar"
        self.conf = place / "puppet.conf"
        self.conf.write_text(LIVE)

    @property
    def name(self) -> str:
        return str(self.conf)[1:]

    def make(self, *members: tuple[bytes, str, bytes]) -> None:
        """Each of its type, with that name of another one, and that content."""
        with tarfile.open(self.path, "w") as archive:
            for kind, target, content in members:
                info = tarfile.TarInfo(self.name)
                info.type, info.linkname, info.size = kind, target, len(content)
                archive.addfile(info, BytesIO(content))

    def ask(self, sh: Sh) -> Configurations:
        return sh.ask(BothConfigurations, archive=str(self.path), path=str(self.conf))


@pytest.fixture
def tar(tmp_path: Path) -> Tar:
    return Tar(tmp_path)


def plain(content: bytes) -> tuple[bytes, str, bytes]:
    return tarfile.REGTYPE, "", content


def test_both_are_read_less_passwords(sh: Sh, tar: Tar) -> None:
    subprocess.run(["tar", "-C", "/", "-cf", tar.path, tar.name], check=True)
    secret = "[main]\n  http_proxy_password=s3cret\nLDAPpassword = s3cret\nserver = s3rver\n"
    tar.conf.write_text(secret)
    found = tar.ask(sh)
    assert found.kept is Kept.PLAIN
    assert found.held == LIVE.replace(" ours", "")
    assert "s3cret" not in found.live and "s3rver" in found.live
    assert (
        b"s3cret"
        not in "\n".join(
            sh.output(BothConfigurations, archive=str(tar.path), path=str(tar.conf))
        ).encode()
    )


def test_a_file_that_is_gone_by_now_or_was_then(sh: Sh, tar: Tar) -> None:
    tar.make(plain(LIVE.encode()))
    tar.conf.unlink()
    found = tar.ask(sh)
    assert (found.live, found.kept) == ("", Kept.PLAIN)
    assert found.held == LIVE.replace(" ours", "")
    tar.conf.write_text(LIVE)
    tar.make()
    assert tar.ask(sh).kept is Kept.NOT_THERE


def test_members_that_would_be_something_else_in_the_end(sh: Sh, tar: Tar) -> None:
    evil = plain(b"[main]\nprerun_command = /root/evil\n")
    for odd in (
        (plain(LIVE.encode()), evil),
        (plain(LIVE.encode()), (tarfile.SYMTYPE, "ssl/evil", b"")),
        ((tarfile.SYMTYPE, "ssl/evil", b""),),
        ((tarfile.LNKTYPE, "etc/puppetlabs/puppet/ssl/evil", b""),),
        ((tarfile.DIRTYPE, "", b""),),
    ):
        tar.make(*odd)
        assert tar.ask(sh).kept is Kept.ODD


def test_nothing_is_hidden_behind_a_key_a_zero_or_a_size(sh: Sh, tar: Tar) -> None:
    evil = b"[main]\nprerun_command = /root/evil\n"
    tar.make(plain(b"# -----BEGIN RSA PRIVATE KEY-----\n" + evil))
    assert tar.ask(sh).kept is Kept.WITH_KEY
    tar.make(plain(b"# \0002\0held\0\0001\0end\0\n" + evil))
    assert "prerun_command = /root/evil" in tar.ask(sh).held
    tar.make(plain(b"#" * LARGEST + b"\n" + evil))
    found = tar.ask(sh)
    assert (found.kept, found.held) == (Kept.TOO_LARGE, "")


def test_no_line_of_a_key_comes_from_either(sh: Sh, tar: Tar) -> None:
    key = key_pem("secret")
    tar.make(plain(key.encode()))
    tar.conf.write_text(f"server = s3rver\n{key}")
    found = tar.ask(sh)
    assert "s3rver" in found.live
    assert not [line for line in key.splitlines()[1:-1] if line in found.live + found.held]


# Before it goes back


def prepared(found: Configurations, monkeypatch: pytest.MonkeyPatch, *paths: str) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(restoration, "warn", lambda _, line: said.append(line))
    facts = SimpleNamespace(
        settings=settings(),
        backup_root="/b",
        host=SimpleNamespace(name="master"),
        seen=lambda *_, **__: found,
    )
    manifest = SimpleNamespace(**{**vars(MANIFEST), "paths": paths})
    backup = Backup("20151123T101500Z-ab12", cast(Any, manifest), True, 0, True)
    restoration._tell_configuration(cast(MasterFacts, facts), backup)
    return said


def test_it_is_told_or_refused_before_anything_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    evil = Configurations(LIVE, Kept.PLAIN, LIVE + "prerun_command = /root/evil\n")
    assert "+ [agent] prerun_command = /root/evil" in prepared(evil, monkeypatch, PATH)
    assert prepared(evil, monkeypatch, "/etc/puppetlabs/puppet/ssl") == []
    with pytest.raises(DeployError, match="as a link or several times"):
        prepared(Configurations(LIVE, Kept.ODD, ""), monkeypatch, PATH)
