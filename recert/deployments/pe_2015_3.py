"""A monolithic PE 2015.3 master: with an orchestrator, to which Puppet brings its credentials."""

from __future__ import annotations

from recert.deployments.puppetlabs import puppetlabs

PE_2015_3 = puppetlabs("2015.3", "4.3")
