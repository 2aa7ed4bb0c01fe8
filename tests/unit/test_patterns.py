"""No pattern takes the square of what a host says: nobody else has a turn while one is at work."""

from __future__ import annotations

import logging
import re
from importlib import import_module
from pathlib import Path

import pytest

from procedures.terminal import _Harmless
from recert.foreign import foreign_refusals
from recert.windows import read_service, read_windows
from tests.unit.patience import ending

ROOT = Path(__file__).parents[2]
LONG = 100_000

REPEATED = [
    *("1", "1.", "0", "a", "x ", " ", "\t", "\n", "-", "/", "\\", "=", ":", ": ", "<", "<>", "< ."),
    *("0x1", "0x1 ", "0x1 a ", "a.a", "PID:", ":1 ", "\x1b[", "\x1b[1;", "'", '"', "''", "/CN="),
    *("-cacert", "pe-recert: ", "pe-recert: A", "pe-recert, failed: ", "sudo: ", "tty "),
]
_OUR_OWN = {"connectors.ssh._FOR_SH"}
"""Sees no more than the commands that are sent."""


def patterns() -> dict[str, tuple[re.Pattern[str], list[str]]]:
    """Those that modules keep by a name, with the methods by which they look at something."""
    found = {}
    for package in ("connectors", "facts", "recert", "procedures", "operations"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            for key, value in vars(import_module(name)).items():
                if isinstance(value, re.Pattern) and f"{name}.{key}" not in _OUR_OWN:
                    used = re.findall(rf"\b{key}\.([a-z]+)\(", path.read_text())
                    found[f"{name}.{key}"] = (value, sorted(set(used)))
    return found


PATTERNS = patterns()


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_is_soon_through_with_a_long_text(name: str) -> None:
    pattern, methods = PATTERNS[name]
    for repeated in REPEATED:
        text = repeated * (LONG // len(repeated))
        for said in (text, f"0x1 {text}\n!", f"sudo: {text}", f"'{text}"):
            for method in methods:
                with ending():
                    getattr(pattern, method)(*(["", said] if method == "sub" else [said]))


def test_so_is_whoever_looks_for_passwords_in_what_is_logged() -> None:
    said = "'" + "password" * 125_000
    record = logging.LogRecord("pyinfra", logging.INFO, "", 0, said, None, None)
    with ending():
        assert _Harmless().filter(record)
    assert record.getMessage() == said


@pytest.mark.parametrize("repeated", ["1", "1-", "<", "<>", "< .", " ", ": "])
def test_so_is_whoever_reads_lines_of_windows(repeated: str) -> None:
    line = "<DIR> " + repeated * (LONG // len(repeated)) + "x"
    with ending():
        assert read_windows([line, "6.1.7601", '"programdata=C:\\x"']).version == (6, 1)
        assert read_service("puppet", [line]) is None
        assert foreign_refusals(["pe-recert, owner of 0", line], ["C:/x"])
