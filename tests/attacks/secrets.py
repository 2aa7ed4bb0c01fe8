"""Where the lab's private keys are looked for: whatever a run writes, prints, or shows in a list of
processes."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import lab

# One whole line of each private key's text: whatever else is in it may be in others' as well.
_LINES = r"""
find / -xdev -type f \( -path '/etc/*' -o -path '/var/*' -o -path '/opt/puppet/*' \) \
    -exec grep -ls -- 'PRIVATE KEY-----' {} + 2>/dev/null | while IFS= read -r file; do
        sed -n '/PRIVATE KEY-----/{n;n;n;p;}' "$file"
    done
tar_of() { tar -xOf "$1" --wildcards '*private_keys/*' 2>/dev/null; }
for archive in /var/lib/pe-recert/backups/*/archive.tar; do
    tar_of "$archive" | sed -n '/PRIVATE KEY-----/{n;n;n;p;}'
done
true
"""
_WATCH = r"""
rm -f /root/enough
while [ ! -e /root/enough ]; do
    cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\000' '\n'
    sleep 0.05
done
rm -f /root/enough
"""


def keys_on(host: str) -> set[str]:
    lines = lab.run(host, _LINES).stdout.split()
    return {line for line in lines if re.fullmatch(r"[A-Za-z0-9+/]{60,}", line)}


@contextmanager
def watched(*hosts: str) -> Iterator[list[str]]:
    """What the hosts' processes are called with meanwhile."""
    seen: list[str] = []

    def watch(host: str) -> None:
        seen.append(lab.run(host, _WATCH).stdout)

    threads = [threading.Thread(target=watch, args=(host,)) for host in hosts]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        for host in hosts:
            lab.run(host, "touch /root/enough")
        for thread in threads:
            thread.join()
