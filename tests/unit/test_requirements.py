"""What is installed is what was looked at: everything is in a lock file, with digests."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKED = re.compile(
    r"^([a-z0-9.-]+)==(\S+) \\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M
)


def locked(*files: str) -> dict[str, str]:
    """The versions that lock files have; each package is in one of them."""
    found: dict[str, str] = {}
    for text in ((ROOT / file).read_text() for file in files):
        here = {name: version for name, version, _ in LOCKED.findall(text)}
        whole = text.replace("-r requirements.lock\n", "")
        assert len(here) == len(re.findall(r"^[^ #\n]", whole, re.M)), "something has no digest"
        assert not found.keys() & here.keys()
        found |= here
    return found


def pinned(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text().splitlines()
    pins = (line.split("==") for line in lines if re.match(r"[A-Za-z]", line))
    return {canonicalize_name(name): version for name, version in pins}


TO_RUN = (("requirements.txt",), ("requirements.lock",))
TO_TEST = (
    ("requirements.txt", "requirements-dev.txt"),
    ("requirements.lock", "requirements-dev.lock"),
)


@pytest.mark.parametrize(("files", "locks"), [TO_RUN, TO_TEST])
def test_the_lock_has_what_is_pinned(files: tuple[str, ...], locks: tuple[str, ...]) -> None:
    found = locked(*locks)
    pins = {name: version for file in files for name, version in pinned(file).items()}
    assert {name: found.get(name) for name in pins} == pins


@pytest.mark.parametrize(("files", "locks"), [TO_RUN, TO_TEST])
def test_the_lock_has_all_that_that_needs_and_nothing_else(
    files: tuple[str, ...], locks: tuple[str, ...]
) -> None:
    needed: set[tuple[str, str]] = set()
    todo = [(name, "") for file in files for name in pinned(file)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in needed:
            continue
        needed.add((name, extra))
        for line in requires(name) or []:
            one = Requirement(line)
            if one.marker is None or one.marker.evaluate({"extra": extra}):
                todo += [(canonicalize_name(one.name), wanted) for wanted in ("", *one.extras)]
    assert {name for name, _ in needed} == locked(*locks).keys()


def test_what_is_installed_is_what_is_locked() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for lock in ("requirements.lock", "requirements-dev.lock"):
        assert f"--require-hashes -r {lock}" in makefile


def test_ci_runs_actions_by_their_commits() -> None:
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    used = re.findall(r"uses: (\S+)", workflow)
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", one) for one in used)
