"""What of a text file may leave its host: a `.pem` can hold a certificate and its private key."""

from __future__ import annotations

WITHOUT_KEYS = "/-----BEGIN .*PRIVATE KEY-----/,/-----END .*PRIVATE KEY-----/d"
"""For sed. A key that has no end goes to the end of the file."""

PUBLIC_CONTENTS = rf"""
contents() {{
    text=$(tr -d '\000' <"$1")
    case $text in
        (*'PRIVATE KEY-----'*) text=$(printf '%s\n' "$text" | sed '{WITHOUT_KEYS}') ;;
    esac
    say "${{2:-text}}" "$1" "$text"
}}
"""
"""`contents` of `facts.script`, less private keys: looked for by the shell itself, since this is
asked at each look. The second argument is the record's kind, `text` if not given."""
