"""The proof that everything works under the new CA, with an exit status.

    pyinfra inventory.py deploys/verify.py -y --data retire_ca=<SHA-256 fingerprint>

`retire_ca` names the CA that is gone. Puppet runs once on every host; with `--data puppet_run=noop`
it changes nothing there, with `--data puppet_run=last` its last run counts. deploys/site.py ends
with this.
"""

from pyinfra import host

from operations import verify
from procedures.reports import reporting_of
from procedures.site import site_of
from procedures.survey import takes_part
from procedures.verification import prepare_verification

site = site_of(host.state)
reporting_of(site)

if takes_part(site, host):
    prepare_verification(host)

    verify.puppet_succeeds(name="7 Prove that Puppet runs")
    verify.looked_at(name="7 Look at everything")
    verify.orchestrated(name="7 Ask orchestration which nodes answer")
    verify.passed(name="7 Verify that all is well under the new CA")
