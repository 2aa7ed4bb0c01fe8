"""Take a snapshot of a site's nodes: python3 -m inventories NAME --master HOST SOURCE."""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from inventories.puppetdb import Credential, nodes_at
from recert.certificates import RevocationList, read_revocation_list, utc_now
from recert.errors import RecertError
from recert.harmless import harmless
from recert.hostkeys import changed, known_hosts, names_in
from recert.nodes import (
    Found,
    SiteSnapshot,
    nodes_of_ca,
    nodes_of_list,
    read_snapshot,
    take_snapshot,
)

HERE = Path(__file__).resolve().parent
_SHOWN = 20
_INVENTORY = '''"""The site {name}: its hosts are those of {name}.json; this file is yours to edit.

    python3 -m inventories {name} …        takes the snapshot again and leaves this file as it is
    pyinfra inventories/{name}.py deploys/site.py
"""

from inventories.snapshot import groups_beside, known_keys

# Hosts are looked for under their certnames. Where one is reached in another way, say so here:
#   groups_beside(__file__, {{"db01.example.com": {{"ssh_hostname": "10.0.0.17"}}}})
_groups = groups_beside(__file__)

# A host whose SSH key is not known is not worked on; docs/runbook.md says how to have them.
_keys = known_keys(__file__)

# The data of a group: ssh_user, ssh_key, _sudo and the like.
master = (_groups.master, {{"ssh_user": "root", **_keys}})
agents = (_groups.agents, {{"ssh_user": "root", **_keys}})
windows_agents = (_groups.windows_agents, {{**_keys}})
'''


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m inventories",
        description="Write down which nodes a site has, in inventories/NAME.json, and an inventory "
        "file NAME.py that reads it. A run needs neither PuppetDB nor the CA for it any more.",
    )
    parser.add_argument("name", metavar="NAME", help="what the site is to be called: mysite")
    parser.add_argument("--master", required=True, help="the master's certname")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--puppetdb",
        metavar="URL",
        help="https://puppet.example.com:8081 with --cert, --key and --cacert; or "
        "http://localhost:8080, to which `ssh -L 8080:localhost:8080 MASTER` leads",
    )
    source.add_argument(
        "--ca-inventory",
        metavar="FILE",
        help="the CA's inventory.txt; - reads it from standard input, so that "
        "`ssh MASTER cat …/ssl/ca/inventory.txt |` brings it",
    )
    source.add_argument("--list", metavar="FILE", help="a file with one certname a line; or -")
    for option, what in (
        ("cert", "the client certificate"),
        ("key", "its private key"),
        ("cacert", "the certificate of the CA, by which PuppetDB is known"),
    ):
        parser.add_argument(f"--{option}", metavar="FILE", help=f"{what}, in PEM")
    parser.add_argument(
        "--crl", metavar="FILE", help="the CA's ca_crl.pem: nodes that it revokes are left out"
    )
    parser.add_argument(
        "--windows",
        metavar="PATTERN",
        action="append",
        default=[],
        help="certnames that run Windows ('win*'), where the source does not know; repeatable",
    )
    return parser


def _read(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise RecertError(f"{path}: {error}") from error


def _look(arguments: argparse.Namespace) -> tuple[Found, str]:
    """What the chosen source knows, and what it is called."""
    if arguments.crl and not arguments.ca_inventory:
        raise RecertError("--crl belongs to --ca-inventory")
    files = (arguments.cert, arguments.key, arguments.cacert)
    if any(files) and not (all(files) and arguments.puppetdb):
        raise RecertError("--cert, --key and --cacert belong together, and to --puppetdb")
    if arguments.puppetdb:
        _say(f"Asking PuppetDB at {arguments.puppetdb}", sys.stderr)
        credential = Credential(*files) if all(files) else None
        return nodes_at(arguments.puppetdb, credential), f"PuppetDB at {arguments.puppetdb}"
    path = arguments.ca_inventory or arguments.list
    text = _read(path)
    named = "standard input" if path == "-" else path
    try:
        if arguments.list:
            return nodes_of_list(text), f"the list in {named}"
        return nodes_of_ca(text, _crl(arguments.crl)), f"the CA's inventory in {named}"
    except RecertError as error:
        raise RecertError(f"{named}: {error}") from error


def _crl(path: str | None) -> RevocationList | None:
    if path is None:
        return None
    crl = read_revocation_list(_read(path))
    if crl is None:
        raise RecertError(f"{path} is not a revocation list in PEM")
    return crl


def _write(name: str, snapshot: SiteSnapshot, keys: str | None) -> None:
    """The snapshot, the SSH keys if there are any, and the inventory file if there is none yet."""
    texts = {HERE / f"{name}.json": snapshot.to_json()}
    if keys is not None:
        texts[HERE / f"{name}.known_hosts"] = keys
    if not (HERE / f"{name}.py").exists():
        texts[HERE / f"{name}.py"] = _INVENTORY.format(name=name)
    _put(texts)


def _put(texts: Mapping[Path, str]) -> None:
    """In place of what is there, whole, and all of them or none."""
    aside = {path: path.with_name(f"{path.name}.new") for path in texts}
    try:
        for path, new in aside.items():
            new.write_text(texts[path], encoding="utf-8", errors="surrogateescape")
        for path, new in aside.items():
            new.replace(path)
    finally:
        for new in aside.values():
            new.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Keys:
    """The SSH keys of a snapshot's hosts. `before`: the text of the file as it was; `own`: those
    that their facts have."""

    before: str
    own: Mapping[str, tuple[str, ...]]

    @property
    def text(self) -> str | None:
        """The file as it is to be; None where it stays."""
        return known_hosts(self.before, self.own) if self.own else None


def _keys(name: str, snapshot: SiteSnapshot, keys: Mapping[str, tuple[str, ...]]) -> _Keys:
    path = HERE / f"{name}.known_hosts"
    before = path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""
    hosts = {snapshot.master, *snapshot.nodes}
    return _Keys(before, {host: of_host for host, of_host in keys.items() if host in hosts})


def _tell_keys(name: str, snapshot: SiteSnapshot, keys: _Keys) -> None:
    hosts = {snapshot.master, *snapshot.nodes}
    unknown = sorted(hosts - keys.own.keys() - names_in(keys.before))
    file = f"{name}.known_hosts"
    rest = f"; none of {len(unknown)}: {_some(unknown)}" if unknown else ""
    _say(f"  SSH keys of {len(hosts) - len(unknown)} hosts are in {file}{rest}")
    if others := changed(keys.before, keys.own):
        _say(f"  PuppetDB has another key than {file}, which is kept: {_some(others)}")


def _say(line: str, stream: TextIO | None = None) -> None:
    """Something that others may have written parts of, at a terminal that may not know all
    characters."""
    stream = stream or sys.stdout
    encoding = stream.encoding or "utf-8"
    print(harmless(line).encode(encoding, "backslashreplace").decode(encoding), file=stream)


def _before(name: str) -> SiteSnapshot | None:
    """The snapshot that is going to be replaced.

    :raises RecertError: the name is taken by something else.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise RecertError(f"{name!r} is no name for a file: use letters, digits, - and _")
    path = HERE / f"{name}.json"
    if not path.exists():
        if (HERE / f"{name}.py").exists():
            raise RecertError(f"inventories/{name}.py is there already and is no snapshot's")
        return None
    try:
        return read_snapshot(path.read_text(encoding="utf-8"))
    except (RecertError, UnicodeError):
        return None  # damaged: one more reason to take it again


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _tell(name: str, snapshot: SiteSnapshot, before: SiteSnapshot | None) -> None:
    _say(
        f"{snapshot.source}: {len(snapshot.agents)} agents, "
        f"{len(snapshot.windows_agents)} Windows agents, master {snapshot.master}"
    )
    for why, number in Counter(left.why for left in snapshot.left_out).most_common():
        names = [ascii(left.name)[1:-1] for left in snapshot.left_out if left.why == why]
        _say(f"  left out, {number}: {why}: {_some(names)}")
    if snapshot.unsure:
        _say(
            f"  nobody says what these run, they are taken for Linux ({len(snapshot.unsure)}): "
            f"{_some(list(snapshot.unsure))}"
        )
    if before is not None:
        for what, changed in (
            ("new since", snapshot.nodes - before.nodes),
            ("gone since", before.nodes - snapshot.nodes),
        ):
            if changed:
                _say(f"  {what} the snapshot of {before.taken}: {_some(sorted(changed))}")
    _say(f"Written to inventories/{name}.json. Next:")
    _say(f"  pyinfra inventories/{name}.py deploys/site.py")


def main(arguments: list[str] | None = None) -> None:
    """Do what the command line says.

    :raises SystemExit: it could not be done; nothing was written.
    """
    options = _parser().parse_args(arguments)
    try:
        before = _before(options.name)
        if before is not None and before.master != options.master.lower():
            raise RecertError(
                f"the master of {options.name} was {before.master} until now, and "
                f"{options.master} is another: give that site a name of its own"
            )
        found, source = _look(options)
        snapshot = take_snapshot(
            found,
            master=options.master,
            source=source,
            taken=utc_now().isoformat(timespec="seconds"),
            windows=options.windows,
        )
        keys = _keys(options.name, snapshot, found.host_keys)
        _write(options.name, snapshot, keys.text)
    except (RecertError, OSError) as error:
        raise SystemExit(harmless(f"No snapshot was taken: {error}")) from error
    _tell(options.name, snapshot, before)
    if found.host_keys:
        _tell_keys(options.name, snapshot, keys)


if __name__ == "__main__":
    main()
