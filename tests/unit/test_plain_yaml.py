"""YAML of others holds up nobody."""

from __future__ import annotations

import pytest

from facts.puppet import read_summary
from recert.plain_yaml import LONGEST, UnreadableError, read_plain_yaml

MERGED = "\n".join(
    ["a0: &a0 {k: x}"]
    + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 20)]
)
"""Each level has nine times as many keys to merge as the one before."""


@pytest.mark.parametrize(
    "text",
    [MERGED, "a: &a [*a]", "[" * 10_000, "x" * (LONGEST + 1), "a: [", "!!bool x", "!!timestamp x"],
    ids=["merged", "in itself", "deep", "long", "cut short", "no boolean", "no time"],
)
def test_what_cannot_be_told(text: str) -> None:
    with pytest.raises(UnreadableError):
        read_plain_yaml(text)
    assert read_summary(f"{text}\ntime:\n  last_run: 1\n") is None


def test_what_is_plain() -> None:
    assert read_plain_yaml("a: {b: [1, true, x]}\nc: &c y\n") == {
        "a": {"b": [1, True, "x"]},
        "c": "y",
    }
