"""A few certificates only: revoke them, then step 6 on the agents that have them.

    pyinfra inventory.py deploys/replace.py --limit web01 --data retire_certs=<fingerprint>[,...]

Without `retire_certs` it changes nothing and says which certificates the agents have. The CA
stays; use deploys/site.py if it is the CA that is compromised.
"""

from pyinfra import host, local

from procedures.run import Aim, run_of

run_of(host.state, Aim.REPLACE)

local.include("deploys/agents.py")
