"""Local accounts of the master, while it is regenerated: they spoil what is theirs, and gain and
stop nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.nodes import Site
from tests.e2e.site import Master, assert_regenerated

# For each directory of credentials that is a service's own: its account puts links to a file and a
# directory of root's in the place of all that is there, and of what is made there, again and again.
# Not where they come by a Puppet run: nobody here would mend that.
_LINKS = r"""
printf secret >/root/precious; chmod 600 /root/precious; chmod 700 /root; mkdir -p /root/place
mkdir -m 1777 /run/attack
cat >/run/attack/link <<'END'
cd "$1" || exit
to=/root/precious
while [ ! -e /run/attack/enough ]; do
    for file in * .pe-recert.*/*; do
        [ -f "$file" ] || continue
        ln -sfn "$to" "$file" 2>/dev/null && echo "$1/$file" >>/run/attack/linked
    done
    if [ "$to" = /root/place ]; then to=/root/precious; else to=/root/place; fi
    sleep 0.01
done
END
find /etc/puppetlabs /opt/puppet -type f \( -name '*.pem' -o -name '*.ks' \) \
    -printf '%h\n' | sort -u | while read -r directory; do
        account=$(stat -c %U "$directory")
        case $account:$directory in (root:*|pe-puppet:*|*/activemq|*/mcollective/*) continue ;; esac
        setsid su "$account" -s /bin/sh -c "sh /run/attack/link '$directory'" \
            >/dev/null 2>&1 </dev/null &
        echo "$account"
    done
"""
# Those that a run could want to lock, and what somebody looks for in /tmp who knows names.
_HOLD = r"""
for lock in /etc/puppetlabs/puppet /var/lib/pe-recert /run /tmp; do
    setsid su nobody -s /bin/sh -c "flock '$lock' sleep 300" >/dev/null 2>&1 </dev/null &
done
su nobody -s /bin/sh -c 'for name in pe-recert pyinfra recert new; do
    ln -s /root/precious /tmp/$name; done'
"""


@pytest.fixture
def master(tmp_path: Path) -> Master:
    """As seeded."""
    site = Site.of(tmp_path, "master", ())
    site.reset()
    return site


def test_links_and_locks_in_time(master: Master) -> None:
    retired = master.ca.fingerprint
    attackers = set(master.sh(_LINKS).split())
    master.sh(_HOLD)
    try:
        run = master.regenerate(retired)
    finally:
        linked = master.sh(
            "touch /run/attack/enough; pkill -u nobody; sleep 0.2; cat /run/attack/linked; true"
        )
    precious = master.sh("stat -c '%U:%G %a' /root/precious; cat /root/precious")
    others = master.sh("find /root /etc/passwd /etc/shadow ! -user root; ls /root/place")

    assert attackers and linked, "nobody attacked"
    assert precious == "root:root 600\nsecret"
    assert not others
    # Whoever spoils what is a service's own is told of, and the next run mends it.
    if run.status:
        assert run.stderr
        run = master.regenerate(retired)
    assert run.status == 0, run.stderr
    assert_regenerated(master, retired)
    assert not master.sh("find /etc/puppetlabs /opt/puppet -lname '/root/p*'")
