"""What there is: every certificate, host and service, and what is wrong. Changes nothing.

    pyinfra inventory.py deploys/survey.py -y

`-y` only keeps pyinfra from asking what to do about a host that is off, and whether to begin. The
status is 1 if a host, or the master of those that were chosen, could not be connected to.
Any set of hosts (--limit), at any time, also in the middle of a regeneration that was cut off.
"""

from pyinfra import host

from procedures.run import run_of
from procedures.survey import survey

survey(run_of(host.state), host)
