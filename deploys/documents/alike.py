"""The steps that read the same in every document of a monolithic master. The numbers are theirs."""

from operations import aside, backup, puppet_run, services, ssl
from recert.deployments.model import CERTNAME, Deployment


def step_1(deployment: Deployment) -> None:
    # Against the document's order: nothing is stopped before all that will be needed is there.
    aside.made(
        (CERTNAME,),
        deployment.internal_names,
        name="2.4-2.6 Make the new CA and its certs, aside",
    )
    services.stopped(name="1 Shut down all PE-related services")


def step_2(deployment: Deployment) -> None:
    backup.made(name="2.1 Back up the SSL directories")
    ssl.cleared(name="2.2 Delete the CA and clear all certs from the master")
    ssl.catalog_removed(name="2.3 Remove the cached catalog")
    ssl.ca_created(name="2.4 Regenerate the CA")
    ssl.certificates_generated((CERTNAME,), name="2.5 Generate the master's certs")
    ssl.certificates_generated(
        deployment.internal_names, name="2.6 Create the certs for PE's services"
    )
    ssl.placed(name="2.7 Copy the CRL into place")


def step_5() -> None:
    services.running(name="5 Restart PE services")
    puppet_run.run(name="5 Kick off a Puppet run")
