"""What the suite needs of a host's programs, put to the test there.

A host may have others than GNU's first on its PATH (busybox', a vendor's), or old ones. What they
are called is no answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api import FactBase, StringCommand

from facts.keys import READING_KEYS
from facts.script import DIGESTS, ROOM, read_records, record_script
from recert.programs import ABILITIES, Inability

# Each ends with 0 where the program can do it, and may print.
_TESTS = {
    "find": r"""
found=$(find / -maxdepth 0 -xdev -follow -perm /777 ! -newer / \
    -exec true {} + -printf '%y %m %u %g %s %T@ %p %l\n')
case $found in ('d '*' / ') ;; (*) return 1 ;; esac
find /dev/null -maxdepth 0 -type d -execdir true {} + -delete
""",
    "xargs": r"""
names() { stage printf 'a b\0c\0' | stage xargs -0 -r sh -c 'echo "$# $2"' sh; }
[ "$(names)" = '2 c' ]
""",
    "grep": r"""
with() { stage printf 'a\n' | stage grep -lZe '-----a' -e a -- - /dev/null | stage tr '\000' ','; }
listed() { grep -LZe a -- /dev/null || [ "$?" -eq 1 ]; }
without() { stage listed | stage tr '\000' ','; }
[ "$(with)" = '(standard input),' ] && [ "$(without)" = /dev/null, ] &&
    grep -Rqs -D skip -e : -- /etc/passwd
""",
    "sort": r"""
names() { stage printf 'b\0a\0b\0' | stage sort -zu | stage tr '\000' ','; }
[ "$(names)" = a,b, ]
""",
    "tar": r"""
packed() { stage printf 'etc/passwd\0' | stage tar -C / --null --ignore-failed-read -T - -cf -; }
stage packed | stage tar -C / -df -
""",
    "gzip": r"""
there_and_back() { stage echo a | stage gzip -c | stage gzip -dc; }
[ "$(there_and_back)" = a ]
""",
    "comm": r"""
one() { stage echo a | stage comm -23 - /dev/null; }
[ "$(one)" = a ]
""",
    "sha256sum": r"""
case $(digests </dev/null) in (e3b0c44298fc1c149afbf4c8996fb924*) ;; (*) return 1 ;; esac
""",
    "readlink": '[ "$(readlink -f /.)" = / ]',
    "stat": "case $(stat -c '%s %Y' /) in ([0-9]*' '[0-9]*) ;; (*) return 1 ;; esac",
    "dd": "dd if=/dev/null iflag=nofollow,nonblock bs=65536",
    "awk": r"""
second() { stage echo 'a b' | stage awk -v of=a '$1 == of { sub("b", "c"); print $2 }'; }
[ "$(second)" = c ]
""",
    "df": "case $(room /) in (*[!0-9]*|'') return 1 ;; esac",
    "du": "case $(du -sLk /dev/null) in ([0-9]*) ;; (*) return 1 ;; esac",
    "date": "case $(date +%s) in (*[!0-9]*|'') return 1 ;; esac",
    "mktemp": r"""
made=$(mktemp -d) && rmdir "$made" && made=$(mktemp) && rm "$made"
""",
    "id": r"""
case $(id -u) in (*[!0-9]*|'') return 1 ;; esac
id "$(id -un)"
""",
    "openssl": "openssl_reads_keys || ruby_reads_keys",
}


UNABLE = (
    DIGESTS
    + ROOM
    + READING_KEYS
    + "".join(f"can_{program}() {{\n{test.strip()}\n}}\n" for program, test in _TESTS.items())
    + f"programs='{' '.join(ABILITIES)}'"
    + r"""
together() { # what all can do; each by itself costs forty processes
    stage find / -maxdepth 0 -xdev -follow -perm /777 ! -newer / \
        -exec true {} + -printf 'etc/passwd\0' | stage sort -zu |
        stage xargs -0 -r grep -lZe '-----a' -e : -- |
        stage tar -C / --null --ignore-failed-read -T - -cf - | stage gzip -c |
        stage tar -C / -dzf - || return
    grep -Rqs -D skip -e : -- /etc/passwd &&
        find /dev/null -maxdepth 0 -type d -execdir true {} + -delete &&
        comm -23 /dev/null /dev/null && digests </dev/null &&
        dd if=/dev/null iflag=nofollow,nonblock bs=65536 || return
    for program in readlink stat awk df du date mktemp id openssl; do
        "can_$program" || return
    done
}
put_to_the_test() { # the program $1
    path=$(command -v "$1") || path= # another may do its work
    said=$(whole "can_$1" 2>&1 >/dev/null) || say unable "$1" "$path" "$said"
}
unable() {
    ! whole together >/dev/null 2>&1 || return 0
    for program in $programs; do put_to_the_test "$program"; done
}
"""
)
"""The function `unable` tells which programs cannot do what is needed."""


class UnablePrograms(FactBase[tuple[Inability, ...]]):
    """
    The programs that cannot do what is needed of them; none on most hosts.

    .. code:: python

        (Inability(program="xargs", path="/usr/local/bin/xargs", said="unknown option: 0"),)
    """

    def command(self) -> StringCommand:
        return record_script(f"{UNABLE}unable")

    def process(self, output: list[str]) -> tuple[Inability, ...]:
        return read_unable(read_records(output))


def read_unable(records: Iterable[list[str]]) -> tuple[Inability, ...]:
    """What `unable` has told, among other records."""
    return tuple(
        Inability(record[1], record[2], record[3]) for record in records if record[0] == "unable"
    )
