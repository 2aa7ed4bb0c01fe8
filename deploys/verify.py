"""The proof that everything works under the new CA, with an exit status.

    pyinfra inventory.py deploys/verify.py -y --data retire_ca=<SHA-256 fingerprint>

`retire_ca` names the CA that is gone. Puppet runs once on every host; with `--data puppet_run=noop`
it changes nothing there, with `--data puppet_run=last` its last run counts. deploys/site.py ends
with this.
"""

from pyinfra import host

from operations import verify
from procedures.deployment import known_deployment
from procedures.reports import Reporting
from procedures.run import run_of
from procedures.verification import prepare_verification

run = run_of(host.state)
run.part(Reporting)

if run.takes_part(host):
    prepare_verification(host)

    verify.puppet_succeeds(name="7 Prove that Puppet runs")
    verify.looked_at(name="7 Look at everything")
    if known_deployment(run.master).messaging is not None:
        verify.orchestrated(name="7 Ask orchestration which nodes answer")
    verify.passed(name="7 Verify that all is well under the new CA")
