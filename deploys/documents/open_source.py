"""Steps 1 and 2 of "Regenerating all certificates in a Puppet deployment", Puppet 5.5, and of
"Regenerating all certificates in an OpenVox deployment", OpenVox 8, which differ in what the CA is
made with. The numbers are those of every deploy of this suite: the third step, the agents, is 6
here."""

from operations import aside, backup, puppet_run, services, ssl
from recert.deployments.model import CERTNAME


def regenerate() -> None:
    """On the master, whose regeneration has begun."""
    # Against the document's order: nothing is stopped before all that will be needed is there, and
    # nothing is backed up that a server is still writing to.
    aside.made((CERTNAME,), (), name="2.4-2.5 Make the new CA and the master's certs, aside")
    services.stopped(name="1 Stop the agent and the server")

    backup.made(name="2.1 Back up the SSL directory")
    ssl.cleared(name="2.2 Delete the SSL directory")
    ssl.catalog_removed(name="2.3 Remove the cached catalog")
    ssl.ca_created(name="2.4 Regenerate the CA")
    ssl.certificates_generated((CERTNAME,), name="2.5 Generate the master's certs")
    ssl.placed(name="2.6 Copy the CRL into place")

    services.running(name="5 Start the server and the agent")
    puppet_run.run(name="5 Kick off a Puppet run")
