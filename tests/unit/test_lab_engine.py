"""What the lab installs on this machine."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab import engine


def test_images_that_are_built_side_by_side_install_their_tool_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed: list[Sequence[str]] = []

    def install(packages: Sequence[str], log: Path) -> None:
        time.sleep(0.05)  # long enough for the others to come and ask
        installed.append(packages)

    def which(program: str) -> str | None:
        return f"/usr/bin/{program}" if installed else None

    monkeypatch.setattr(engine, "_install", install)
    monkeypatch.setattr(engine, "_can_install", lambda: True)
    monkeypatch.setattr("shutil.which", which)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(engine.require_mmdebstrap, [tmp_path / "log"] * 4))

    assert len(installed) == 1


@pytest.mark.parametrize("size", [0, 1, 512, 9000, 30000])
def test_an_archive_has_nothing_after_its_end(size: int) -> None:
    made = engine._tar({"opt/one": (0o755, b"x" * size), "opt/two": (0o600, b"y")})
    with tarfile.open(fileobj=io.BytesIO(made)) as archive:
        found = {member.name: (member.mode, member.size) for member in archive}
    assert found == {"opt/one": (0o755, size), "opt/two": (0o600, 1)}
    contents = 2 * 512 + -(-size // 512) * 512 + 512
    assert len(made) == contents + 2 * 512
