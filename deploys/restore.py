"""Put a backup back: everything that steps 1 to 6 replaced, exactly as it was.

pyinfra inventory.py deploys/restore.py                          lists the backups
pyinfra inventory.py deploys/restore.py --data backup=<name>     restores one

The name is that of a backup of the master. Each agent goes back to its own newest backup from
under the same CA.
"""

from pyinfra import host

from operations import agent_restore, restore, services
from procedures.agent_restoration import prepare_agent_restoration
from procedures.listing import list_backups, names_no_backup
from procedures.outcomes import Outcomes
from procedures.procedure import begin
from procedures.reports import Reporting
from procedures.restoration import prepare_restoration
from procedures.run import Aim, run_of

run = run_of(host.state, Aim.RESTORE)
listing = names_no_backup(run)

if listing:
    list_backups(run, host)
elif run.agents:
    run.part(Outcomes)
    run.part(Reporting)

if host == run.master and not listing:
    begin(host, prepare_restoration(host))

    services.stopped(name="1 Stop the services")
    restore.replaced_saved(name="2 Back up what is going to be replaced")
    restore.put_back(name="3 Put the backup back")
    services.running(name="4 Start the services")

if run.agents and not listing and (host == run.master or run.has_agent(host)):
    agent_restore.master_is_back(name="5 Verify that the master is back")

if run.has_agent(host) and not listing and prepare_agent_restoration(host):
    agent_restore.stopped(name="6.1 Stop the agent's services")
    agent_restore.replaced_saved(name="6.2 Back up what is going to be replaced on the agent")
    agent_restore.put_back(name="6.3 Put the agent's backup back")
    agent_restore.started(name="6.4 Start the services that ran before")
