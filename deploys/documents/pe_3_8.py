"""Steps 1 to 5 of "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise
Deployments", PE 3.8."""

from deploys.documents.alike import step_1, step_2, step_5
from operations import credentials
from recert.deployments.model import CERTNAME, Deployment
from recert.deployments.monolithic import CLASSIFIER_CERT, DASHBOARD_CERT


def regenerate(deployment: Deployment) -> None:
    """On the master, whose regeneration has begun. The numbers are those of the document.

    :param deployment: which of the versions that the document is about.
    """
    puppetdb, postgresql, console, dashboard = deployment.master.components

    step_1(deployment)
    step_2(deployment)

    credentials.cleared(puppetdb, name="3.1 Clear PuppetDB's SSL directory")
    credentials.copied(puppetdb, CERTNAME, owned=True, name="3.2 Copy the master's to PuppetDB")
    credentials.cleared(postgresql, name="3.3 Clear PostgreSQL's certs directory")
    credentials.copied(postgresql, CERTNAME, owned=True, name="3.4 Copy the master's to PostgreSQL")

    credentials.cleared(dashboard, console, name="4.1 Clear the console's certs directories")
    credentials.copied(console, CLASSIFIER_CERT, name="4.2 Copy the classifier's to the console")
    credentials.copied(console, CERTNAME, name="4.3 Copy the master's to the console")
    credentials.copied(console, DASHBOARD_CERT, name="4.4 Copy the dashboard's to the console")
    credentials.owned(console, name="4.5 Ensure the console can access them")
    credentials.copied(dashboard, CERTNAME, name="4.6 Copy the master's to the dashboard")
    credentials.copied(dashboard, DASHBOARD_CERT, name="4.7 Copy the dashboard's own")
    if dashboard.extras:  # since 3.8.1
        credentials.put_back(dashboard, name="4.8 Copy the DH parameter files to the dashboard")
    credentials.owned(dashboard, name="4.9 Ensure the dashboard can access them")

    step_5()
