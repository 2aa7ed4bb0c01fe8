"""A monolithic PE 2016.2 master: all Java services want their keys as PKCS#8, and the document
copies the orchestrator's credentials."""

from __future__ import annotations

from recert.deployments.puppetlabs import puppetlabs

PE_2016_2 = puppetlabs(
    "2016.2",
    "4.5",
    orchestrator_copies=True,
    pk8_of=frozenset({"PuppetDB", "orchestration-services", "console-services"}),
)
