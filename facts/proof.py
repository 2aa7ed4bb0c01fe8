"""Whether a host has a private key, without the key leaving it."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable
from contextlib import suppress

from pyinfra.api import FactBase, StringCommand

from facts.reading import READING
from facts.script import read_records, record_script

MOST = 20
"""Signatures that are looked at: a host has one backup for each time that it was renewed."""


class KeyProof(FactBase[list[bytes]]):
    """
    Words, signed on the host with each private key that it has, or has had, under a name: the one
    in use, and those in its backups, for a renewal that was interrupted after it had deleted the
    first. RSA or ECDSA over SHA-256. A key that cannot be used signs nothing.

    + words: to sign
    + key: the private key in use
    + backup_root: where backups are

    .. code:: python

        [b"..."]
    """

    @staticmethod
    def default() -> list[bytes]:
        return []

    def command(self, words: str, key: str, backup_root: str) -> StringCommand:
        return record_script(
            READING
            + r"""
words=$1 key=$2 root=$3
# What cannot be used as a key signs nothing; what is sent to it is taken all the same.
by_openssl() { openssl dgst -sha256 -passin pass: -sign /dev/fd/5 2>/dev/null || cat >/dev/null; }
by_ruby() {
    ruby --disable-gems -ropenssl -e '
        key = IO.for_fd(5).read
        key = begin
            OpenSSL::PKey::RSA.new(key, "")
        rescue StandardError
            OpenSSL::PKey::EC.new(key, "")
        end
        $stdout.binmode
        print key.sign(OpenSSL::Digest::SHA256.new, ARGV[0])
    ' -- "$words" 2>/dev/null </dev/null || :
}
signed() { # with the key on descriptor 5
    if openssl version >/dev/null 2>&1; then stage printf '%s' "$words" | stage by_openssl
    else by_ruby
    fi
}
sign() { stage signed | stage encode; }
sign_with_it() { sign 5<&0; }
[ ! -f "$key" ] || say signature "$(stage as_it_lies "$key" 1 | stage sign_with_it)"
kind=${key%/*}
member=/${kind##*/}/${key##*/}
names_in() { tar -tf "$1" 2>/dev/null || :; }
of_the_key() { grep -F -- "$member" || [ "$?" -eq 1 ]; }
first() { head -n 1; cat >/dev/null; }
held_in() { stage names_in "$1" | stage of_the_key | stage first; }
unpacked() { tar -xOf "$1" -- "$2" 2>/dev/null || :; }
for archive in "$root"/*/archive.tar; do
    [ -f "$archive" ] || continue
    held=$(held_in "$archive")
    [ -z "$held" ] || say signature "$(stage unpacked "$archive" "$held" | stage sign_with_it)"
done
""",
            words,
            key,
            backup_root,
        )

    def process(self, output: list[str]) -> list[bytes]:
        return read_signatures(read_records(output))


def read_signatures(records: Iterable[list[str]]) -> list[bytes]:
    """What a host has signed, among other records. That it makes no sense proves nothing."""
    found = []
    for record in records:
        if record[:1] == ["signature"]:
            with suppress(ValueError):
                found.append(b64decode("".join("".join(record[1:]).split()), validate=True))
    return [signature for signature in found if signature][:MOST]
