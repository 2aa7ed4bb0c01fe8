"""The table of PE 3.7 by the parts that tests are about."""

from __future__ import annotations

from recert.deployments.pe_3_7 import PE_3_7

COMPONENTS = PE_3_7.master.components
PUPPETDB, POSTGRESQL, CONSOLE, DASHBOARD = COMPONENTS
ENDPOINTS = dict(PE_3_7.master.endpoints)
SERVICE_PORTS = {name: endpoint.port for name, endpoint in ENDPOINTS.items()}
STOP_ORDER = PE_3_7.master.stopped
INTERNAL_NAMES = PE_3_7.internal_names
assert PE_3_7.classifier is not None
CLASSES = PE_3_7.classifier.classes
POSTGRESQL_SERVICE = "pe-postgresql"
assert PE_3_7.delivery is not None
KEYSTORE, TRUSTSTORE = PE_3_7.delivery.keystore, PE_3_7.delivery.truststore
DELIVERED_NAMES = PE_3_7.delivery.names
PEADMIN_CLIENT = "/var/lib/peadmin/.mcollective.d"
CONSOLE_CLIENT = "/opt/puppet/share/puppet-dashboard/.mcollective.d"

credential_names = PE_3_7.credential_names
