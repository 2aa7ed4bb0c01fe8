"""Steps 1 to 5: regenerate every certificate and credential of a monolithic Puppet master.

    pyinfra inventory.py deploys/master.py --data retire_ca=<SHA-256 fingerprint>

Without `retire_ca` it changes nothing and says what it found. Only the group `master` is
changed; agents are asked for the name under which they look for it. The steps are those of the
document for the shape that the master shows to be of: see deploys/documents.
"""

from pyinfra import host

from deploys.documents import regeneration
from procedures.deployment import deployment_of_master
from procedures.procedure import begin
from procedures.renewal import warn_of_unknown_names
from procedures.run import Aim, run_of
from procedures.site import Site

run = run_of(host.state, Aim.REGENERATE)

if run.has_agent(host) and not run.renews:
    warn_of_unknown_names(host)

if host == run.master:
    begin(host, run.part(Site).regeneration())
    regeneration(deployment_of_master(host))()
