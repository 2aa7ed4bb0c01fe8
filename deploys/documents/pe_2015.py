"""Steps 1 to 5 of "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise
Deployments", PE 2015.2, 2015.3 and 2016.1, which differ in what their tables have."""

from deploys.documents.alike import step_1, step_2, step_5
from operations import credentials
from recert.deployments.model import CERTNAME, Deployment
from recert.deployments.monolithic import CLASSIFIER_CERT, DASHBOARD_CERT


def regenerate(deployment: Deployment) -> None:
    """On the master, whose regeneration has begun."""
    puppetdb, postgresql, console = deployment.master.components

    step_1(deployment)
    step_2(deployment)

    credentials.cleared(puppetdb, name="3.1 Clear PuppetDB's SSL directory")
    credentials.copied(puppetdb, CERTNAME, owned=True, name="3.2 Copy the master's to PuppetDB")
    credentials.cleared(postgresql, name="3.3 Clear PostgreSQL's certs directory")
    credentials.copied(postgresql, CERTNAME, owned=True, name="3.4 Copy the master's to PostgreSQL")

    credentials.cleared(console, name="4.1 Clear the console's certs directory")
    credentials.copied(console, CLASSIFIER_CERT, name="4.2 Copy the classifier's to the console")
    credentials.copied(console, CERTNAME, name="4.3 Copy the master's to the console")
    credentials.copied(console, DASHBOARD_CERT, name="4.4 Copy the dashboard's to the console")
    credentials.owned(console, name="4.5 Ensure the console can access them")

    step_5()
