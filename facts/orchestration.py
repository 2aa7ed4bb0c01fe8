"""Which nodes answer in orchestration, asked on the master as the account that PE has for it."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.script import read_records, record_script
from recert.observed import Orchestration

PATIENCE = 20
"""Seconds after which nothing is expected of `mco` any more: without a broker it tries for ever."""

_BEGIN, _END = "pe-recert, who answers:\n", "pe-recert, that is all."
"""Around what `mco` prints: the account's login has something to say, too."""


class DiscoveredNodes(FactBase[Orchestration]):
    """
    What peadmin's `mco find` says: the identities of the nodes that answered.

    + discovery: seconds in which nodes have to answer

    .. code:: python

        Orchestration(answering=frozenset({"web01.example.com"}))
    """

    def command(self, discovery: int) -> StringCommand:
        # `mco` would take what stands on a standard input for the nodes to talk to.
        return record_script(
            rf"""
begin='{_BEGIN.rstrip()}' end='{_END}'
"""
            r"""
mco=$(command -v mco)
if [ -z "$mco" ]; then say why 'there is no mco on the master'
elif ! id peadmin >/dev/null 2>&1; then say why 'there is no account peadmin on the master'
else
    limit=
    timeout "$2" true >/dev/null 2>&1 && limit="timeout $2"
    errors=$(mktemp) || fail "No temporary file can be made."
    asking="echo '$begin'; '$mco' find --dt $1; echo '$end'"
    say nodes "$($limit su - peadmin -c "$asking" </dev/null 2>"$errors")"
    say said "$(tail -n 3 "$errors")"
    rm -f "$errors"
fi
""",
            str(discovery),
            str(PATIENCE),
        )

    def process(self, output: list[str]) -> Orchestration:
        found = dict(read_records(output))
        login, begun, answer = found.get("nodes", "").partition(_BEGIN)
        nodes = answer.partition(_END)[0].splitlines()
        said = found.get("said", "") if begun else f"{login} {found.get('said', '')}"
        return Orchestration(
            frozenset(line.strip() for line in nodes if line.strip()),
            found.get("why", ""),
            " ".join(said.split()),
        )
