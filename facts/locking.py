"""How commands on one host wait for each other."""

from __future__ import annotations

LOCKING = r"""
locked() { # for a command whose descriptor 9 is the lock; "-s" for one that only reads
    flock $1 -w 300 8 8<&9 2>/dev/null
    status=$?
    [ "$status" -ne 0 ] && can_lock || return 0
    unlocked="flock ended with status $status instead of locking what commands on this host lock."
    [ "$status" -ne 1 ] ||
        unlocked="A command of an earlier run still works on this host after 5 minutes."
    return 1
}
can_lock() { # what nobody else has
    flock -s -w 1 8 2>/dev/null 8<<END
END
}
"""
"""`locked` fails where another command has the lock, and `unlocked` says so. A flock that can lock
nothing, because it knows no such option, is as good as none. With `-w`, its status is 1 when the
time is over. The descriptor has two numbers because some shells keep their own to themselves."""
