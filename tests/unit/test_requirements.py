"""What is installed is what was looked at: everything is in one lock file, with digests."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKED = re.compile(
    r"^([a-z0-9.-]+)==(\S+) \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M
)


def locked() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text()
    found = {name: version for name, version, _ in LOCKED.findall(text)}
    assert len(found) == len(re.findall(r"^[^ #\n]", text, re.M)), "something has no digest"
    return found


def pinned(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text().splitlines()
    pins = (line.split("==") for line in lines if re.match(r"[A-Za-z]", line))
    return {canonicalize_name(name): version for name, version in pins}


def test_the_lock_has_what_is_pinned() -> None:
    found = locked()
    assert {name: found.get(name) for name in pinned("requirements.txt")} == pinned(
        "requirements.txt"
    )


def test_the_lock_has_all_that_that_needs() -> None:
    found = locked()
    needed, todo = set(), list(pinned("requirements.txt"))
    while todo:
        name = todo.pop()
        if name in needed:
            continue
        needed.add(name)
        for line in requires(name) or []:
            one = Requirement(line)
            if one.marker is None or one.marker.evaluate({"extra": ""}):
                todo.append(canonicalize_name(one.name))
    assert needed <= found.keys()


def test_ci_runs_actions_by_their_commits() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    used = re.findall(r"uses: (\S+)", workflow)
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", one) for one in used)
