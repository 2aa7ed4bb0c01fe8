"""The lab's private keys and passwords, to be looked for in whatever a run writes, prints, or shows
in a list of processes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import lab

# One whole line of each private key's text: whatever else is in it may be in others' as well.
_LINES = r"""
find / -xdev -type f \( -path '/etc/*' -o -path '/var/*' -o -path '/opt/puppet*' \) \
    -exec grep -ls -- 'PRIVATE KEY-----' {} + 2>/dev/null | while IFS= read -r file; do
        sed -n '/PRIVATE KEY-----/{n;n;n;p;}' "$file"
    done
tar_of() { tar -xOf "$1" --wildcards '*private_keys/*' 2>/dev/null; }
for archive in /var/lib/pe-recert/backups/*/archive.tar; do
    tar_of "$archive" | sed -n '/PRIVATE KEY-----/{n;n;n;p;}'
done
true
"""
# Of the CA's key, which Puppet makes.
_PASSWORDS = "find /etc/puppetlabs -name ca.pass -exec cat {} +"
# Each once: it goes on for minutes, and most are the same from one look to the next.
_WATCH = r"""
rm -f /root/enough /root/watched
cat >/root/watch <<'END'
while [ ! -e /root/enough ]; do
    cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\000' '\n'
    sleep 0.2
done | awk '!seen[$0]++' >/root/watched
rm /root/enough
END
setsid sh /root/watch </dev/null >/dev/null 2>&1 &
"""
_SEEN = r"""
touch /root/enough
while [ -e /root/enough ]; do sleep 0.1; done
cat /root/watched
"""


def secrets_on(host: str) -> set[str]:
    lines = lab.run(host, _LINES).stdout.split()
    keys = {line for line in lines if re.fullmatch(r"[A-Za-z0-9+/]{60,}", line)}
    password = lab.run(host, _PASSWORDS).stdout
    return keys | ({password} if len(password) > 10 else set())


@contextmanager
def watched(*hosts: str) -> Iterator[list[str]]:
    """What the hosts' processes are called with meanwhile; it is there once that is over."""
    seen: list[str] = []
    for host in hosts:
        lab.run(host, _WATCH)
    yield seen
    seen += [lab.run(host, _SEEN).stdout for host in hosts]
