"""The data that the suite takes, from the inventory or as `--data name=value`."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

OPTIONS = {
    "retire_ca": "SHA-256 fingerprint of the CA to retire, or that is gone",
    "retire_certs": "fingerprints of single certificates to replace, with commas",
    "dns_alt_names": "alternative names of the master's certificate, with commas",
    "deployment": "which of two shapes a master is of that may be either",
    "pe_groups_classified": "True: somebody has looked, and the node groups are classified",
    "despite_failing_run": "True: although the master's Puppet run fails already",
    "other_names": "names whose keys nobody needs any more, with commas",
    "backup": "name of the master's backup to restore",
    "restored_paths": "paths outside of Puppet's usual places that a backup may put back",
    "backup_dir": "where backups go on hosts with sh",
    "windows_backup_dir": "where backups go on Windows",
    "puppet_run": "real, noop or last: how a verification proves that Puppet runs",
    "certname": "a host's, in the inventory",
}
"""Their names, and what each is."""

_CLOSE = 0.75


def mistyped(names: Iterable[str]) -> dict[str, str]:
    """Those that are none of the suite's and look like one, each with the one that was meant:
    what is not understood would otherwise be no word at all."""
    found = {}
    for name in names:
        if name in OPTIONS or name.startswith(("_", "ssh_", "winrm_")):
            continue
        close = get_close_matches(name.lower().replace("-", "_"), OPTIONS, n=1, cutoff=_CLOSE)
        if close:
            found[name] = close[0]
    return found
