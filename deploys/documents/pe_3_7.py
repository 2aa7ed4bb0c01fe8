"""Steps 1 to 5 of "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise
Deployments", PE 3.7."""

from deploys.documents.alike import step_1, step_2, step_5
from operations import credentials
from recert.deployments.model import CERTNAME
from recert.deployments.monolithic import CLASSIFIER_CERT, DASHBOARD_CERT
from recert.deployments.pe_3_7 import PE_3_7

PUPPETDB, POSTGRESQL, CONSOLE, DASHBOARD = PE_3_7.master.components


def regenerate() -> None:
    """On the master, whose regeneration has begun. The numbers are those of the document."""
    step_1(PE_3_7)
    step_2(PE_3_7)

    credentials.cleared(PUPPETDB, name="3.1 Clear PuppetDB's SSL directory")
    credentials.copied(PUPPETDB, CERTNAME, owned=True, name="3.2 Copy the master's to PuppetDB")
    credentials.cleared(POSTGRESQL, name="3.3 Clear PostgreSQL's certs directory")
    credentials.copied(POSTGRESQL, CERTNAME, owned=True, name="3.4 Copy the master's to PostgreSQL")

    credentials.cleared(DASHBOARD, CONSOLE, name="4.1 Clear the console's certs directories")
    credentials.copied(CONSOLE, CLASSIFIER_CERT, name="4.2 Copy the classifier's to the console")
    credentials.copied(CONSOLE, CERTNAME, name="4.3 Copy the master's to the console")
    credentials.copied(CONSOLE, DASHBOARD_CERT, name="4.4 Copy the dashboard's to the console")
    credentials.owned(CONSOLE, name="4.5 Ensure the console can access them")
    credentials.copied(DASHBOARD, CERTNAME, name="4.6 Copy the master's to the dashboard")
    credentials.copied(DASHBOARD, DASHBOARD_CERT, name="4.7 Copy the dashboard's own")
    credentials.owned(DASHBOARD, name="4.8 Ensure the dashboard can access them")

    step_5()
