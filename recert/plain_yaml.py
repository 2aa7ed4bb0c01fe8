"""YAML that somebody else has written, as far as it is plain."""

from __future__ import annotations

import yaml

LONGEST = 65536
"""Characters. Puppet writes some thousand; parsing megabytes would hold up the run over all."""


class UnreadableError(Exception):
    """It is no YAML, too long, or has references."""


class _Loader(yaml.SafeLoader):
    """PyYAML's own in Python: the one in C would be faster, but what others write can crash it."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # Some hundred characters of references in references are more than any memory holds.
        if self.check_event(yaml.AliasEvent):
            raise UnreadableError("it has references")
        found: yaml.Node | None = super().compose_node(parent, index)
        return found


def read_plain_yaml(text: str) -> object:
    """What it says.

    :raises UnreadableError: nothing that can be told.
    """
    if len(text) > LONGEST:
        raise UnreadableError(f"it is longer than {LONGEST} characters")
    try:
        return yaml.load(text, Loader=_Loader)
    except UnreadableError:
        raise
    except Exception as error:
        # What odd YAML makes a parser raise is not to be foreseen.
        raise UnreadableError(str(error)) from error
