"""A csr_attributes.yaml that is there while a request is made, and no longer."""

from __future__ import annotations

from recert.extensions import MARK

WITH_ATTRIBUTES = rf"""
attributes=$1
[ -z "$2" ] || {{
    (umask 077 && printf '%s' "$2" >"$attributes") || fail "Cannot write to $attributes."
}}
shift 2
without_attributes() {{ # ours, also where a run that was cut off has left it
    [ ! -f "$attributes" ] || [ "$(head -n 1 "$attributes")" != '{MARK}' ] || rm -f "$attributes"
}}
trap without_attributes EXIT
trap 'exit 1' HUP INT PIPE TERM
"""
"""Takes two arguments off those of the script: the path, and the content or nothing."""
