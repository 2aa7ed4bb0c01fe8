"""Put a backup back: everything that steps 1 to 5 replaced, exactly as it was.

pyinfra inventory.py deploys/restore.py                          lists the backups
pyinfra inventory.py deploys/restore.py --data backup=<name>     restores one
"""

from pyinfra import host

from operations import restore, services
from procedures.preflight import the_master
from procedures.procedure import begin
from procedures.restoration import prepare_restoration

if host == the_master(host):
    begin(host, prepare_restoration(host))

    services.stopped(name="1 Shut down all PE-related services")
    restore.replaced_saved(name="2 Back up what is going to be replaced")
    restore.put_back(name="3 Put the backup back")
    services.running(name="4 Start PE services")
