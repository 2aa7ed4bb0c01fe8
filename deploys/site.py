"""Steps 1 to 6: the whole site, the master first and then every agent, and the proof.

pyinfra inventory.py deploys/site.py --data retire_ca=<SHA-256 fingerprint>
"""

from pyinfra import host, local

from procedures.run import Aim, run_of

run_of(host.state, Aim.REGENERATE, Aim.RENEW)

local.include("deploys/master.py")
local.include("deploys/agents.py")
local.include("deploys/verify.py")
