"""What of a text file may leave its host: a `.pem` can hold a certificate and its private key."""

from __future__ import annotations

from facts.reading import READING

WITHOUT_KEYS = "/-----BEGIN .*PRIVATE KEY-----/,/-----END .*PRIVATE KEY-----/d"
"""For sed. A key that has no end goes to the end of the file."""

LINES_OF_KEYS = r"""
lines_of_keys() { grep -c -- 'PRIVATE KEY-----' || [ "$?" -eq 1 ]; }
"""
"""Of what comes in, such as an archive before it leaves its host."""

PUBLIC_CONTENTS = (
    READING
    + rf"""
contents() {{
    kind=${{2:-text}}
    [ -e "$1" ] || return 0
    read_in "$1" "${{3:-}}"
    case $text in
        (*'PRIVATE KEY-----'*)
            text=$(stage lines_of "$text" | stage sed '{WITHOUT_KEYS}') ;;
    esac
    if [ "${{#text}}" -lt 100000 ]; then say "$kind" "$1" "$text"
    else stage lines_of "$text" | stage relay "$kind" "$1"
    fi
}}
"""
)
"""`contents` tells what is in a file after its path, less private keys: looked for by the shell
itself, since this is asked at each look. The second argument is the record's kind, `text` if not
given, the third how many blocks are read. Nothing of one that is gone. Has `READING`."""
