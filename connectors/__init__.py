"""How to reach a host that pyinfra's own connectors cannot: Windows by WinRM, and by SSH what is as
old as PE 3.7.

pyinfra imports this for the connector `winrm`, before it takes any. A second entry point of the
name `ssh` might or might not be the one that it takes.
"""

from connectors import ssh

ssh.install()
