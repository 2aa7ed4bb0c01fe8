"""Puppet Enterprise deployments in containers: the default inventory and the tests' hosts.

A host is PE's layout around a real Puppet 5.5.22: `lab/image/` is what goes into one, and
`lab/hosts.py` says which there are. They are of PE 3.7; others, with stand-ins for their services,
come up where they are named (`python3 -m lab up master-2016 agent06`), and `lab/generations.py`
says what differs between them.

The systemd master and its agents come in two kinds (`lab/services.py`). With real services,
the default, they have:

- ActiveMQ, mcollectived and `mco`, configured by their Puppet runs as PE's modules do;
- PostgreSQL, which takes clients only over TLS with a certificate, and in it the database of a
  PuppetDB 7 that stores the facts, catalog and report of every run. Debian bullseye, of which the
  hosts are, has none: bookworm's is compiled into one jar (`image/puppetdb/`), which bullseye's
  Java runs. Its terminus, made for Puppet 7, gets what it lacks from `image/puppet5_runtime.rb`;
- Apache as the console's front. Behind it `image/console-services` is a program of ours, since the
  console is not free software: it has the credentials of PE's, answers the classifier's API to its
  one client and the console's web server to its own, and is unavailable without PostgreSQL and
  PuppetDB.

With stand-ins they start at once, for tests that reset a master. A stand-in is up only if all that
the real service would load is there and right, and tells its log why it is not.

A Windows agent is Wine with its own service manager, in a container (`lab/image/windows/`). What is
typed is real: cmd.exe runs it, over an SSH server and a WinRM endpoint from which no POSIX shell is
reached. What stands behind it, so far as Wine lacks it:

- Puppet and `ruby.exe` are the container's Ruby, on the same files: `C:` there is the directory
  `/C:`, and what Puppet prints of it is given back as Windows writes it.
- `sc`, `icacls` and `certutil` are small programs of ours that do what is used here of their
  likes on Windows, through Windows' interfaces.
- An exit status above 255 arrives as 255 (Linux has eight bits), and text in code page 1252.
- Access control lists become Unix modes, and are not inherited. `Administrator` and `operator` are
  told apart by what their token may read in the registry, not by the file system.
- A run of Puppet is no process of Windows: taskkill and tasklist do not know it. Nor is
  mcollectived, the Linux agents' on the container's Ruby, but it begins and ends with the process
  of the service pe-mcollective. With stand-ins that service does nothing.
- Facts are those of Linux but for `common_appdata`, and Puppet starts and stops pe-mcollective by
  `image/windows/service` in place of its provider for Windows.
"""

from lab.containers import HostStatus, down, reset, status, up
from lab.progress import LabError
from lab.reaching import cut, mend, run, switch_off, switch_on
from lab.state import HostInfo, hosts

__all__ = [
    "HostInfo",
    "HostStatus",
    "LabError",
    "cut",
    "down",
    "hosts",
    "mend",
    "reset",
    "run",
    "status",
    "switch_off",
    "switch_on",
    "up",
]
