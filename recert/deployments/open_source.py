"""What the tables of open source sites have in common.

Source: "Regenerating all certificates in a Puppet deployment", Puppet 3.5 to 5.5.
"""

from __future__ import annotations

VENDOR, ACCOUNT = "Puppet", "puppet"
AGENT = "puppet"

WINDOWS = {AGENT: (AGENT, "pe-puppet")}
"""Agents of PE 3 serve under any master, and their service has the other name."""


def document(version: str) -> str:
    return f"Regenerating all certificates in a Puppet deployment, Puppet {version}"
