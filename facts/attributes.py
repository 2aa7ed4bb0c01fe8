"""What of `csr_attributes.yaml` is about extensions: the rest of it may be secret."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.public import WITHOUT_KEYS
from facts.reading import READING
from facts.script import read_records, record_script
from recert.extensions import MARK


class CsrAttributes(FactBase[list[str]]):
    """
    The section `extension_requests` of a csr_attributes.yaml; none if there is no such file, or
    only one that an interrupted run of ours has left.

    + path: the file

    .. code:: python

        ["extension_requests:\\n  pp_role: web"]
    """

    def command(self, path: str) -> StringCommand:
        return record_script(
            READING
            + r"""
asked_for() {
    stage as_it_lies "$1" | stage awk '
        /^[^ \t#-]/ { inside = /^["\047]?extension_requests/ }
        # All in one line: with what may be secret it is not told, and so cannot be read.
        /^[{]/ { print (/custom_attributes/ ? "{" : $0) }
        inside' | stage tr -d '\000' | stage sed "$2"
}
if [ -f "$1" ] && [ "$(first_line "$1")" != "$2" ]; then
    say attributes "$(asked_for "$1" "$3")"
fi
""",
            path,
            MARK,
            WITHOUT_KEYS,
        )

    def process(self, output: list[str]) -> list[str]:
        return [record[1] for record in read_records(output)]
