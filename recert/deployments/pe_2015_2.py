"""A monolithic PE 2015.2 master: before there was an orchestrator."""

from __future__ import annotations

from recert.deployments.puppetlabs import puppetlabs

PE_2015_2 = puppetlabs("2015.2", "4.2", orchestrator=False)
