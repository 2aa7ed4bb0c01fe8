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
from procedures.seats import the_master
from procedures.site import site_of

site = site_of(host.state)
site.regenerates = True

if site.has_agent(host) and not site.renews:
    warn_of_unknown_names(host)

if host == the_master(host):
    begin(host, site.regeneration())
    regeneration(deployment_of_master(host))()
