"""Which nodes answer in orchestration, asked on the master as the account that PE has for it."""

from __future__ import annotations

import secrets
from collections import Counter

from pyinfra.api import FactBase, StringCommand

from facts.script import read_records, record_script
from recert.observed import Orchestration

PATIENCE = 20
"""Seconds after which nothing is expected of `mco` any more: without a broker it tries for ever."""

GRACE = 5
"""Seconds more for what does not end when it is told to."""

LARGEST_ANSWER = 8 * 1024 * 1024
"""Bytes that are read of it: the identities of a hundred thousand nodes."""

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes that peadmin's session can write to a file, of which root's directory has two. Its own log
may be some megabytes long."""

CUT_SHORT = "what mco answered was cut short"


class DiscoveredNodes(FactBase[Orchestration]):
    """
    What peadmin's `mco find` says: the identities of the nodes that answered.

    + discovery: seconds in which nodes have to answer

    .. code:: python

        Orchestration(answering=frozenset({"web01.example.com"}))
    """

    def command(self, discovery: int) -> StringCommand:
        # The account's login has something to say, too, and a node is called what it likes: so
        # lines that nobody could know beforehand stand around what `mco` prints.
        mark = secrets.token_hex(16)
        # `mco` would take what stands on a standard input for the nodes to talk to. What a login
        # leaves running in the background holds what it prints into open, for as long as it likes:
        # a file, which nobody waits for as for a pipe's end.
        return record_script(
            r"""
dt=$1 patience=$2 grace=$3 begin=$4 end=$5 largest=$6 most=$7
mco=$(command -v mco)
as_peadmin() { # for as long as $1 lets it, with nothing open but two files
    (ulimit -f "$most"; exec $1 su - peadmin -c "$asking") \
        </dev/null >"$aside/nodes" 2>"$aside/errors" 3>&- 4>&-
}
said_in() { stage head -c "$largest" "$1" | stage tr -d '\000'; }
last_lines() { stage tail -c 2000 "$1" | stage tail -n 3 | stage tr -d '\000'; }
if [ -z "$mco" ]; then say why 'there is no mco on the master'
elif ! id peadmin >/dev/null 2>&1; then say why 'there is no account peadmin on the master'
else
    limit=
    if timeout 5 true >/dev/null 2>&1; then # old ones want -t
        limit=timeout
        ! timeout -k 5 5 true 2>/dev/null || limit="timeout -k $grace" # coreutils 8.5
    fi
    aside=$(mktemp -d) || fail "No directory can be made for what mco says."
    trap 'rm -rf "$aside"' EXIT
    asking="echo '$begin'; ${limit:+$limit $patience }'$mco' find --dt $dt; echo '$end'"
    # A shell tells of it if one is ended by a signal.
    { as_peadmin "${limit:+$limit $((patience + 2 * grace))}"; } 2>/dev/null
    stage said_in "$aside/nodes" | stage relay nodes "$begin" "$end"
    say said "$(last_lines "$aside/errors")"
fi
""",
            str(discovery),
            str(PATIENCE),
            str(GRACE),
            f"pe-recert, who answers: {mark}",
            f"pe-recert, that is all: {mark}",
            str(LARGEST_ANSWER),
            str(LARGEST_FILE // 512),
        )

    def process(self, output: list[str]) -> Orchestration:
        found = {record[0]: record[1:] for record in read_records(output)}
        if "why" in found:
            return Orchestration(why=found["why"][0])
        begin, end, printed = found["nodes"]
        login, begun, answer = printed.partition(f"{begin}\n")
        answer, ended, _ = answer.rpartition(end)
        said = " ".join(found["said"][0].split())
        if not begun:
            return Orchestration(said=" ".join([*login[-2000:].split(), *said.split()]))
        if not ended:  # whose name is last may be half a name
            answer = printed.partition(f"{begin}\n")[2].rpartition("\n")[0]
            said = " ".join([*CUT_SHORT.split(), *said.split()])
        lines = Counter(line.strip() for line in answer.splitlines() if line.strip())
        twice = frozenset(name for name, times in lines.items() if times > 1)
        return Orchestration(frozenset(lines), said=said, twice=twice, cut_short=not ended)
