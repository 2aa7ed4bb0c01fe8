"""The services of the master stopped and started as steps 1 and 5 do it, with nothing in between:
no outage of a regeneration can be shorter. `benchmarks.outage` times it."""

from pyinfra import host

from operations import services
from procedures.preflight import read_master
from procedures.procedure import Procedure, begin


class Restart(Procedure):
    """Every service is stopped, though nothing is replaced."""

    work_due = True


restart = Restart()
restart.facts = read_master(host)
begin(host, restart)

services.stopped(name="Stop the services")
services.running(name="Start the services")
