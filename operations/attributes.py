"""A csr_attributes.yaml that is there while a request is made, and no longer."""

from __future__ import annotations

from operations.placing import PLACING
from recert.extensions import MARK

WITH_ATTRIBUTES = (
    PLACING
    + rf"""
attributes=$1 asked_for=$2; shift 2
# Puppet's account may write there, and put a link or a pipe in the file's place.
without_attributes() {{ # ours, also where a run that was cut off has left it
    [ -f "$attributes" ] || return 0
    (
        enter "${{attributes%/*}}"
        left=./${{attributes##*/}}
        begins=$(dd if="$left" iflag=nofollow,nonblock bs={len(MARK)} count=1 2>/dev/null)
        [ "$begins" != '{MARK}' ] || rm -f -- "$left"
    )
}}
trap without_attributes EXIT
trap 'exit 1' HUP INT PIPE TERM
put_attributes() {{ stage printf '%s' "$asked_for" | stage put "$attributes" '' 0600; }}
[ -z "$asked_for" ] || whole put_attributes || fail "Cannot write to $attributes."
"""
)
"""Takes two arguments off those of the script: the path, and the content or nothing. Puppet reads
it as root. Has `PLACING`."""
