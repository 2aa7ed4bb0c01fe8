"""An agent at one look."""

from __future__ import annotations

from typing import Any

from pyinfra.api import FactBase, StringCommand

from facts.puppet import AGENT_TRACES, AgentState, read_agent_state
from facts.script import read_records, record_script
from facts.ssl import DIRECTORIES, directory_arguments, read_directories
from recert.observed import SslState


class AgentFiles(FactBase[tuple[SslState, AgentState]]):
    """
    What `SslDirectories` and `PuppetAgent` tell, in one command: step 6 needs both after most of
    its changes, and a command costs as much as what it looks at.

    + ssl: the arguments of `SslDirectories`
    + agent: the arguments of `PuppetAgent`
    """

    def command(self, ssl: dict[str, Any], agent: dict[str, str]) -> StringCommand:
        traces = [agent[name] for name in ("summary", "catalog", "disabled", "lockfile")]
        return record_script(DIRECTORIES + AGENT_TRACES, *directory_arguments(**ssl), *traces)

    def process(self, output: list[str]) -> tuple[SslState, AgentState]:
        records = list(read_records(output))
        return read_directories(records), read_agent_state(records)
