"""What the classifier's answer says about the node groups."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recert.classification import unclassified_groups
from recert.errors import RecertError
from tests.tables import CLASSES


def groups(**changes: Any) -> list[dict[str, Any]]:
    """The groups of a new installation; `changes` by name with _ for a blank."""
    answer = [
        {"name": name, "id": str(number), "classes": {needed: {}}}
        for number, (name, needed) in enumerate(CLASSES.items())
    ]
    for group in answer:
        group.update(changes.get(str(group["name"]).replace(" ", "_"), {}))
    return answer


def test_classified_groups_lack_nothing() -> None:
    assert unclassified_groups(json.dumps(groups()), CLASSES) == []


def test_other_groups_and_classes_do_not_matter() -> None:
    answer = groups(PE_Master={"classes": {CLASSES["PE Master"]: {"a": 1}, "ntp": {}}})
    answer.append({"name": "default", "classes": {}})
    assert unclassified_groups(json.dumps(answer), CLASSES) == []


@pytest.mark.parametrize("name", CLASSES)
def test_missing_group_is_named(name: str) -> None:
    answer = [group for group in groups() if group["name"] != name]
    assert unclassified_groups(json.dumps(answer), CLASSES) == [f"{name} (missing)"]


@pytest.mark.parametrize("classes", [{}, None, [], {"ntp": {}}])
@pytest.mark.parametrize("name", CLASSES)
def test_group_without_its_class_is_named(name: str, classes: object) -> None:
    answer = groups(**{name.replace(" ", "_"): {"classes": classes}})
    assert unclassified_groups(json.dumps(answer), CLASSES) == [
        f"{name} (without class {CLASSES[name]})"
    ]


def test_no_groups_at_all_lack_everything() -> None:
    assert len(unclassified_groups("[]", CLASSES)) == len(CLASSES)


@pytest.mark.parametrize(
    "answer",
    ["", "<html>", "null", "5", "[1]", '["PE Master"]', '[{"classes": {}}]', '{"kind": "error"}'],
)
def test_answer_that_is_no_list_of_groups_is_refused(answer: str) -> None:
    with pytest.raises(RecertError, match="not a list of node groups"):
        unclassified_groups(answer, CLASSES)


def test_empty_object_is_no_list_of_groups() -> None:
    with pytest.raises(RecertError, match="not a list of node groups"):
        unclassified_groups("{}", CLASSES)


def test_groups_that_say_nothing_of_classes_are_no_answer() -> None:
    answer = [{"name": name} for name in CLASSES]
    with pytest.raises(RecertError):
        unclassified_groups(json.dumps(answer), CLASSES)
