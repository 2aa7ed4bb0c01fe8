"""How root reads what a service's account can put something else in the place of, at any moment: a
pipe in which nobody writes, a link to what has no end."""

from __future__ import annotations

from facts.script import DIGESTS

BLOCK = 64 * 1024

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes that are read of any file: the list of what a CA with some hundred thousand nodes has
signed, and its revocation list, are the largest."""

READING = rf"""
as_it_lies() {{ # what is in the file $1, or in its first $2 blocks
    dd if="$1" iflag=nonblock bs={BLOCK} count="${{2:-{LARGEST_FILE // BLOCK}}}" 2>/dev/null ||
        [ ! -e "$1" ] || fail "$1 cannot be read."
}}
first_line() {{ stage as_it_lies "$1" 1 | stage sed -n 1p; }}
read_in() {{ # the same into $text, less its last ends of lines and bytes of zero
    {{ text=$(dd if="$1" iflag=nonblock bs={BLOCK} count="${{2:-{LARGEST_FILE // BLOCK}}}"); }} \
        2>/dev/null && return
    text=
    [ ! -e "$1" ] || fail "$1 cannot be read."
}}
"""
"""`as_it_lies` waits for nobody and reads no more than there can be; nothing of a file that is
gone. It follows links, as sites have them among their certificates. `read_in` is for what is asked
of many files at each look: one process for each, where a pipeline is five. Both need `fail`."""

READ_FILE = r"""
def read_file(path)
  File.open(path, File::RDONLY | File::NONBLOCK) { |file| file.binmode; file.read(2_097_152).to_s }
end
"""
"""The same of a credential, for Ruby."""

TOO_LARGE = rf"""
too_large() {{ # the files below the given paths that are
    for path in "$@"; do
        [ -e "$path" ] || continue
        path=$(readlink -f "$path") || return
        find_lasting "$path" -type f -size +{LARGEST_FILE // 1024}k || return
    done
}}
"""
"""`too_large` tells what is no credential, and takes for ever to be read: whoever may write there
makes a file of terabytes in a moment, and without room for it."""

SAME = (
    DIGESTS
    + r"""
sum_of() { stage as_it_lies "$1" | stage digests; }
same() {
    first=$(sum_of "$1") second=$(sum_of "$2")
    for sum in "$first" "$second"; do
        case $sum in ([0-9a-f]*' '*) ;; (*) fail "$1 and $2 cannot be compared." ;; esac
    done
    [ "$first" = "$second" ]
}
"""
)
"""`same` tells whether two files hold the same, where `cmp` would wait for whoever writes into a
pipe, and says nothing where they could not be read; needs `READING` and `fail`."""
