"""A monolithic PE 2016.1 master: PuppetDB wants its key as PKCS#8 as well."""

from __future__ import annotations

from recert.deployments.puppetlabs import puppetlabs

PE_2016_1 = puppetlabs("2016.1", "4.4", pk8_of=frozenset({"PuppetDB"}))
