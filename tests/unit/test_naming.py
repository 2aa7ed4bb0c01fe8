"""A name tells one thing from another: no class, module or import leads in a circle or to two."""

from __future__ import annotations

import ast
import re
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    *("recert", "facts", "connectors", "procedures", "operations", "deploys"),
    *("inventories", "reports"),
)
SOURCES = {
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): (
        ast.parse(path.read_text())
    )
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
}


def test_no_class_name_is_there_twice() -> None:
    names = Counter(
        node.name
        for tree in SOURCES.values()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    )
    assert len(names) > 100
    assert [name for name, times in names.items() if times > 1] == []


def test_no_two_modules_of_a_folder_differ_by_an_ending() -> None:
    """Such as `agent` and `agents`, or `survey` and `surveying`."""
    stems = Counter(re.sub(r"(?:ing|s)$", "", module) for module in SOURCES)
    assert {stem for stem, times in stems.items() if times > 1} == set()


def test_imports_lead_in_no_circle() -> None:
    TopologicalSorter({module: _imported(tree) for module, tree in SOURCES.items()}).prepare()


def _imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            deeper = {f"{node.module}.{alias.name}" for alias in node.names} & SOURCES.keys()
            found |= deeper or {node.module} & SOURCES.keys()
    return found
