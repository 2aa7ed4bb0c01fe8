"""Steps 1 to 5 of "Regenerating Certs and Security Credentials in Monolithic Puppet Enterprise
Deployments", PE 2016.2."""

from deploys.documents.alike import step_1, step_2, step_5
from operations import credentials
from recert.deployments.model import CERTNAME
from recert.deployments.monolithic import CLASSIFIER_CERT, DASHBOARD_CERT
from recert.deployments.pe_2016_2 import PE_2016_2
from recert.deployments.puppetlabs import ORCHESTRATOR_CERT

PUPPETDB, POSTGRESQL, ORCHESTRATION, CONSOLE = PE_2016_2.master.components


def regenerate() -> None:
    """On the master, whose regeneration has begun."""
    step_1(PE_2016_2)
    step_2(PE_2016_2)

    credentials.cleared(PUPPETDB, name="3.1 Clear PuppetDB's SSL directory")
    credentials.copied(PUPPETDB, CERTNAME, owned=True, name="3.2 Copy the master's to PuppetDB")
    credentials.cleared(POSTGRESQL, name="3.3 Clear PostgreSQL's certs directory")
    credentials.copied(POSTGRESQL, CERTNAME, owned=True, name="3.4 Copy the master's to PostgreSQL")
    credentials.cleared(ORCHESTRATION, name="3.5 Clear the orchestrator's SSL directory")
    credentials.copied(ORCHESTRATION, ORCHESTRATOR_CERT, name="3.6 Copy the orchestrator's own")
    credentials.copied(ORCHESTRATION, CERTNAME, name="3.7 Copy the master's to the orchestrator")
    credentials.owned(ORCHESTRATION, name="3.8 Ensure the orchestrator can access them")

    credentials.cleared(CONSOLE, name="4.1 Clear the console's certs directory")
    credentials.copied(CONSOLE, CLASSIFIER_CERT, name="4.2 Copy the classifier's to the console")
    credentials.copied(CONSOLE, CERTNAME, name="4.3 Copy the master's to the console")
    credentials.copied(CONSOLE, DASHBOARD_CERT, name="4.4 Copy the dashboard's to the console")
    credentials.owned(CONSOLE, name="4.5 Ensure the console can access them")

    step_5()
