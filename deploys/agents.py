"""Step 6: clear and regenerate the certs of all agents.

    pyinfra inventory.py deploys/agents.py --data retire_ca=<SHA-256 fingerprint>

The master must have a new CA by now (deploys/master.py; deploys/site.py does both). Only the
groups `agents` and `windows_agents` are changed; on the master requests are signed. The numbers
are those of the document.
"""

from pyinfra import host

from operations import agents
from procedures.deployment import known_deployment
from procedures.outcomes import Outcomes
from procedures.renewal import prepare_renewal
from procedures.reports import Reporting
from procedures.run import run_of
from procedures.site import Site

run = run_of(host.state)
run.part(Outcomes)
run.part(Site).ask_beside(host)
run.part(Reporting)

if host == run.master or run.has_agent(host):
    agents.master_verified(name="6 Verify that the master serves under a fresh CA")

if run.has_agent(host) and prepare_renewal(host):
    if run.replaces:
        agents.revoked(name="0 Revoke and clean the certificate on the master")
    runs = known_deployment(host).agent
    agents.backed_up(name="6.1 Back up the SSL directory")
    agents.stopped(runs.puppet, name="6.2 Stop the Puppet agent service")
    if runs.orchestration:
        agents.stopped(runs.orchestration, name="6.3 Stop the orchestration service")
    for service in runs.others:
        agents.stopped(service, name=f"6.3 Stop {service}")
    agents.ssldir_deleted(name="6.4 Delete the agent's SSL directory")
    agents.catalog_removed(name="6.5 Remove the cached catalog")
    agents.ca_placed(name="6.6 Put the new CA's certificate in place")
    agents.requested(name="6.6 Let the agent request its certificate")
    agents.signed(name="6.7 Have the master sign the request")
    agents.started(name="6.6 Start the services that ran before")
    agents.proven(name="6.7 Prove the certificate with a Puppet run")
