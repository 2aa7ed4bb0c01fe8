"""Who is in the network alone holds up nobody, and is told nothing.

Requests that he leaves under names: `tests.e2e.test_agents`. Names that PuppetDB was made to hold:
`tests.unit.test_hostnames`.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import paramiko

from tests.attacks.attacked import HELD, INVENTORY, signed
from tests.e2e.nodes import Site, assert_renewed, statuses
from tests.unit import ssh_server
from tests.unit.ssh_server import Served, serving
from tests.unit.test_ssh_hostile import AT_FIRST, saying
from tests.unit.test_winrm_hostile import leading, reached, served


def test_who_answers_in_hosts_places(site: Site, retired: str, tmp_path: Path) -> None:
    """A man in the middle, of whose host one knows the key and of whose other host one does not; a
    server that never stops talking; a WinRM endpoint that leads to another one."""
    with ExitStack() as strangers:
        middle = strangers.enter_context(serving(Served(user_key=ssh_server.USER_KEY)))
        talking, _ = strangers.enter_context(saying(*AT_FIRST["messages"]))
        (tmp_path / "other").mkdir()
        other = strangers.enter_context(served(lambda h: h.say(200), tmp_path / "other"))
        there = f"https://localhost:{other.server_address[1]}/wsman"
        redirecting = strangers.enter_context(served(leading(307, there), tmp_path))

        known, nobody = tmp_path / "known", tmp_path / "nobody"
        former = paramiko.RSAKey.generate(2048).get_base64()
        known.write_text(f"[127.0.0.1]:{middle.port} ssh-rsa {former}\n")
        nobody.write_text("")

        def strictly(port: int, keys: Path) -> dict[str, object]:
            return ssh_server.reached(
                port,
                tmp_path,
                ssh_user="root",
                ssh_known_hosts_file=str(keys),
                ssh_strict_host_key_checking="yes",
            )

        agents = [
            ("in-the-middle", strictly(middle.port, known)),
            ("at-first-sight", strictly(middle.port, nobody)),
            ("talking", strictly(talking, nobody)),
        ]
        inventory = tmp_path / "attacked.py"
        inventory.write_text(
            f"{INVENTORY}\nagents += {agents!r}\n"
            f"windows_agents = [('@winrm/redirecting', {reached(redirecting, tmp_path)!r})]\n"
        )
        attacked = Site(site.name, inventory, agents=site.agents)
        names = [*dict(agents), "@winrm/redirecting"]
        limits = [word for name in (HELD, *names) for word in ("--limit", name)]

        run = attacked.renew(retired, *limits)

        assert statuses(run) == {HELD: "renewed", **dict.fromkeys(names, "unreachable")}
        assert middle.commands == []
        assert redirecting.seen  # type: ignore[attr-defined]
        assert other.seen == []  # type: ignore[attr-defined]
    assert_renewed(site, HELD)
    assert signed(site) == {site.certname_of(HELD)}
