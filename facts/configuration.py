"""puppet.conf as a backup has it and as it is now."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.numbers import count
from facts.public import LINES_OF_KEYS, WITHOUT_KEYS
from facts.reading import BLOCK, READING
from facts.script import REAL_PATH, read_records, record_script
from recert.configuration import LARGEST, Configurations, Kept

_WITHOUT_PASSWORDS = r"s/^\([[:space:]]*[A-Za-z_]*password[[:space:]]*=\).*/\1/"
"""For sed. No other setting of Puppet's has a secret for its value."""


class BothConfigurations(FactBase[Configurations]):
    """
    What would become of a file that a backup puts back: both texts, less passwords and keys.

    + archive: path on the host
    + path: of the file; archives have it by its real path, and it may be gone since

    .. code:: python

        Configurations(
            live="[main]\ncertname = web01\n",
            kept=Kept.PLAIN,
            held="[main]\ncertname = web01\n",
        )
    """

    def command(self, archive: str, path: str) -> StringCommand:
        # tar lists the members of a name in their order, each of which would be unpacked.
        return record_script(
            REAL_PATH
            + READING
            + LINES_OF_KEYS
            + r"""
archive=$1 most=$3 blocks=$4
keyless=$5 secretless=$6
place=$(real_path "$2") || fail "Nobody knows where $2 leads to."
member=${place#/}
listed() {
    tar --numeric-owner -tvf "$archive" -- "$member" 2>/dev/null || tar -tf "$archive" >/dev/null
}
kinds() { stage listed | stage awk '{ print substr($0, 1, 1), $3 }'; }
held() { tar -xOf "$archive" -- "$member"; }
keys() { stage held | stage lines_of_keys; }
public() { stage tr -d '\000' | stage sed -e "$keyless" -e "$secretless"; }
found=$(kinds)
say kinds "$found"
size=${found#- }
case $size in
    ('' | *[!0-9]*) ;;
    (*)
        if [ "$size" -le "$most" ]; then
            say keys "$(keys)"
            stage held | stage public | stage relay held
        fi ;;
esac
if [ -e "$2" ]; then
    read_in "$2" "$blocks"
    stage lines_of "$text" | stage public | stage relay live
fi
""",
            archive,
            path,
            str(LARGEST),
            str(LARGEST // BLOCK),
            WITHOUT_KEYS,
            _WITHOUT_PASSWORDS,
        )

    def process(self, output: list[str]) -> Configurations:
        found = dict(record for record in read_records(output))
        members = [line.partition(" ") for line in found["kinds"].splitlines()]
        kept = Kept.PLAIN
        if not members:
            kept = Kept.NOT_THERE
        elif len(members) > 1 or members[0][0] != "-":
            kept = Kept.ODD
        elif count(members[0][2]) > LARGEST:
            kept = Kept.TOO_LARGE
        elif count(found["keys"]):
            kept = Kept.WITH_KEY
        return Configurations(found.get("live", ""), kept, found.get("held", ""))
