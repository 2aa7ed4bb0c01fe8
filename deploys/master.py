"""Steps 1 to 5: regenerate every certificate and credential of a monolithic Puppet master.

    pyinfra inventory.py deploys/master.py --data retire_ca=<SHA-256 fingerprint>

Without `retire_ca` it changes nothing and says what it found. Only the group `master` is
changed; agents are asked for the name under which they look for it. The numbers are those of
the document.
"""

from pyinfra import host

from operations import agent, backup, credentials, services, ssl
from procedures.preflight import the_master
from procedures.procedure import begin
from procedures.renewal import warn_of_unknown_names
from procedures.site import site_of
from recert.deployments.model import CERTNAME
from recert.deployments.pe_3_7 import PE_3_7

PUPPETDB, POSTGRESQL, CONSOLE, DASHBOARD = PE_3_7.master.components
INTERNAL_NAMES = PE_3_7.internal_names
CLASSIFIER_CERT, DASHBOARD_CERT = "pe-internal-classifier", "pe-internal-dashboard"

site = site_of(host.state)
site.regenerates = True

if site.has_agent(host) and not site.renews:
    warn_of_unknown_names(host)

if host == the_master(host):
    begin(host, site.regeneration())

    services.stopped(name="1 Shut down all PE-related services")

    backup.made(name="2.1 Back up the SSL directories")
    ssl.cleared(name="2.2 Delete the CA and clear all certs from the master")
    ssl.catalog_removed(name="2.3 Remove the cached catalog")
    ssl.ca_created(name="2.4 Regenerate the CA")
    ssl.certificates_generated(
        (CERTNAME,),
        alt_names=True,
        keys_ahead=INTERNAL_NAMES,
        name="2.5 Generate the master's certs",
    )
    ssl.certificates_generated(INTERNAL_NAMES, name="2.6 Create the certs for PE's services")
    ssl.placed(name="2.7 Copy the CRL into place")

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

    services.running(name="5 Restart PE services")
    agent.run(name="5 Kick off a Puppet run")
