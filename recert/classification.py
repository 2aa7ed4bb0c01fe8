"""Whether the node groups of PE are classified (the document's first warning)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from recert.errors import RecertError


def unclassified_groups(answer: str, needed_classes: Mapping[str, str]) -> list[str]:
    """The groups that lack what they need, from the classifier's `/v1/groups` in JSON.

    An upgrade to 3.7 makes the groups without their classes, so a group that is there and
    empty counts as not classified.

    :param needed_classes: the class that each group must carry.
    :raises RecertError: the answer is not a list of groups with their classes.
    """
    try:
        groups = json.loads(answer)
        if not isinstance(groups, list):
            raise TypeError(type(groups))
        classes = {group["name"]: group["classes"] or {} for group in groups}
    except (ValueError, TypeError, KeyError) as error:
        raise RecertError("the classifier's answer is not a list of node groups") from error
    lacking = []
    for name, needed in needed_classes.items():
        if name not in classes:
            lacking.append(f"{name} (missing)")
        elif needed not in classes[name]:
            lacking.append(f"{name} (without class {needed})")
    return lacking
