"""The SSL directories of a master, without a single private key leaving the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from facts import numbers
from facts.few import read_few_keys
from facts.keys import PUBLIC_HALVES
from facts.locking import LOCKING
from facts.numbers import count, file_time
from facts.packed import files_in
from facts.public import LINES_OF_KEYS, PUBLIC_CONTENTS, WITHOUT_KEYS
from facts.reading import BLOCK, READING, SAME
from facts.script import answer_script, payload, read_records, record_script
from recert.observed import ComponentState, FileState, SslState

# Fields of a `file` record, as find prints them; the number in front is their count.
_KIND, _REST = r"9\0file\0%y\0%m\0", r"%s\0%T@\0%p\0%l\0"
FILE_RECORD = rf"{_KIND}%u\0%g\0{_REST}"

ENTRIES = rf"""
known_as() {{ [ -n "$2" ] && find / -maxdepth 0 "$@" >/dev/null 2>&1; }}
entries() {{ # at and below $1; what belongs to the user $2 or the group $3 goes by these names
    top=$1
    if known_as -user "$2"; then
        set -- "$@" \( -user "$2" -printf "$2"'\0' -o -user 0 -printf 'root\0' -o -printf '%u\0' \)
    else set -- "$@" -printf '%u\0'
    fi
    if known_as -group "$3"; then set -- "$@" \( -group "$3" -printf "$3"'\0' -o -printf '%g\0' \)
    else set -- "$@" -printf '%g\0'
    fi
    shift 3
    stage find_lasting "$top/" -printf '{_KIND}' "$@" -printf '{_REST}'
}}
"""
"""Several names can have one number, and of these a file's owner is called by whichever comes
first. So find is asked whether a file is of the account that it should be of, or root's."""

# A run that was cut off can leave a command working on the host. Every command that changes
# something holds this lock while it works, and it is read only when nobody does.
AFTER_ANY_COMMAND = (
    LOCKING
    + r"""
if [ -d "$lock" ] && command -v flock >/dev/null 2>&1; then
    { locked -s || fail "$unlocked"; } 9<"$lock"
fi
"""
)


class SslDirectories(FactBase[SslState]):
    """
    Everything below the SSL directories: entries, public files, and the public halves of
    private keys, which the host computes.

    + lock: directory that changing commands lock
    + roots: directories to list
    + texts: public files to read
    + keys: private keys to compute the public half of; with `capass` for the CA's
    + certificate_dirs: where to look for certificates older than `cacert`
    + owner: the user and the group of whom all should be, if anybody wants to know
    """

    def command(
        self,
        lock: str,
        roots: list[str],
        texts: list[str],
        keys: list[str],
        capass: str,
        certificate_dirs: list[str],
        cacert: str,
        owner: tuple[str, str] = ("", ""),
    ) -> StringCommand:
        arguments = directory_arguments(
            lock, roots, texts, keys, capass, certificate_dirs, cacert, owner
        )
        return record_script(DIRECTORIES, *arguments)

    def process(self, output: list[str]) -> SslState:
        return read_directories(read_records(output))


DIRECTORIES = (
    PUBLIC_HALVES
    + PUBLIC_CONTENTS
    + ENTRIES
    + r"""
lock=$1 capass=$2 cacert=$3 user=$4 group=$5; shift 5
"""
    + AFTER_ANY_COMMAND
    + r"""
for_each() { # the function $1 over the next group of arguments
    act=$1 size=$2; shift 2
    while [ "$size" -gt 0 ]; do "$act" "$1"; shift; size=$((size - 1)); done
}
list() { [ ! -d "$1" ] || entries "$1" "$user" "$group"; }
read_text() { [ ! -f "$1" ] || contents "$1"; }
keys=
read_key() {
    # What is no file, such as a pipe in which nobody writes, is no key either.
    if [ -f "$1" ]; then keys="$keys$1
"
    elif [ -e "$1" ]; then say key "$1" ''
    fi
}
older() {
    [ -d "$1" ] && [ -e "$cacert" ] || return 0
    stage find_lasting "$1/" -name '*.pem' -type f ! -newer "$cacert" |
        while IFS= read -r path; do contents "$path" older 1; done
}
for act in list read_text read_key older; do
    for_each "$act" "$@"
    shift "$(($1 + 1))"
done
[ -z "$keys" ] || public_halves "$capass" <<END
${keys%?}
END
"""
)
"""The script of `SslDirectories`; it takes its own arguments off those that a script has."""


def directory_arguments(
    lock: str,
    roots: list[str],
    texts: list[str],
    keys: list[str],
    capass: str,
    certificate_dirs: list[str],
    cacert: str,
    owner: tuple[str, str] = ("", ""),
) -> Iterator[str]:
    """What `DIRECTORIES` is called with; see `SslDirectories`."""
    yield from (lock, capass, cacert, *owner)
    for group in (roots, texts, keys, certificate_dirs):
        yield from (str(len(group)), *group)


def read_directories(records: Iterable[list[str]]) -> SslState:
    """What `DIRECTORIES` has told, among other records.

    :raises FactProcessError: there are more keys than any host has.
    """
    files: dict[str, FileState] = {}
    texts: dict[str, str] = {}
    keys: dict[str, str] = {}
    older: dict[str, str] = {}
    for record in records:
        if record[0] == "file":
            path, entry = read_file_record(record)
            files[path] = entry
        elif record[0] == "text":
            texts[record[1]] = record[2].rstrip("\n")
        elif record[0] == "key":
            keys[record[1]] = record[2]
        elif record[0] == "older":
            older[record[1].replace("//", "/")] = record[2].rstrip("\n")
    return SslState(files, texts, read_few_keys(keys), older)


LARGEST_PEM = BLOCK
"""Bytes that are read of a certificate or request."""

NOT_READ = "too many to be read at once"
"""Stands for a file's text."""

MOST_NAMES = 10_000
"""That are told of files which are not read."""


class PemFiles(FactBase[dict[str, str]]):
    """
    The PEM files of a directory of the CA's, by name: what it has signed, or what waits.

    + names: those that are asked for; all if not given
    + most: bytes of an archive; where all are more than that, no more than `MOST_NAMES` names are
      told, each with `NOT_READ`, and any is to be asked for by name

    What is larger than any certificate or request is cut off.

    .. code:: python

        {"agent01.example.com": "-----BEGIN CERTIFICATE-----..."}
    """

    @staticmethod
    def default() -> dict[str, str]:
        return {}

    def command(
        self, directory: str, names: list[str] | None = None, most: int | None = None
    ) -> StringCommand:
        # One archive instead of a process for each of thousands of files. What leaves the host is
        # looked through for keys where nobody else can change it: what lies in the directory, and
        # where links in it lead, its account can exchange at any moment.
        return answer_script(
            READING
            + LINES_OF_KEYS
            + r"""
found() { stage find_lasting . -follow -maxdepth 1 -type f -name '*.pem' "$@"; }
# One that changes or goes meanwhile is left as it was read; that ends with 1.
packed() { tar --null --ignore-failed-read -T - -hczf - || [ "$?" -eq 1 ]; }
sizes() { # how many there are, whether that is too much, and whether one is too large
    stage found -printf '%s\n' | stage awk -v largest="$largest" -v most="$most" '
        $1 > largest { oversized = 1; $1 = largest }
        { total += 512 + 512 * int(($1 + 511) / 512) }
        END { print NR, (most != "" && total > most) + 0, oversized + 0 }'
}
copied() { # one by one
    for file; do
        [ -f "$file" ] || continue
        stage as_it_lies "$file" 1 | stage sed "$without_keys" >"$aside/$file"
        [ -e "$file" ] || rm -f "$aside/$file"
    done
}
named() { # those that there are, without a look into them
    for file; do
        [ -f "$file" ] || continue
        [ "$names" -gt 0 ] || return 0
        names=$((names - 1))
        printf '%s' "$not_read" >"$aside/$file"
    done
}
[ -d "$1" ] || exit 0
cd "$1" || fail "Cannot look into $1."
shift
without_keys=$1 largest=$2 most=$3 not_read=$4 names=$5 which=$6; shift 6
aside=$(mktemp -d) || fail "No directory can be made for what may leave the host."
trap 'rm -rf "$aside"' EXIT
if [ "$which" = all ]; then
    read -r count too_much oversized <<END
$(sizes)
END
    if [ "$too_much$oversized" = 00 ]; then
        stage found -print0 | stage packed >"$aside/packed"
        keys=$(stage gzip -dc <"$aside/packed" | stage lines_of_keys)
        [ "$keys" != 0 ] || { stage cat "$aside/packed"; exit 0; }
    fi
    # A process for each of them is for a few.
    [ -z "$most" ] || [ "$count" -le 2000 ] || too_much=1
    set -- ./*.pem
else
    too_much=0
fi
if [ "$too_much" -eq 1 ]; then named "$@"; else copied "$@"; fi
cd "$aside" || fail "Cannot look into $aside."
stage found -print0 | stage packed
""",
            directory,
            WITHOUT_KEYS,
            str(LARGEST_PEM),
            "" if most is None else str(most),
            NOT_READ,
            str(MOST_NAMES),
            *(["all"] if names is None else ["some", *(f"./{name}.pem" for name in names)]),
        )

    def process(self, output: list[str]) -> dict[str, str]:
        texts: dict[str, str] = {}
        packed = payload(output)
        if not packed:
            return texts
        try:
            for path, text in files_in(packed):
                name = path.removeprefix("./").removesuffix(".pem")
                if path == f"./{name}.pem" and "/" not in name:
                    texts[name] = text
        except ValueError as error:
            raise FactProcessError(f"the files could not be read: {error}") from error
        return texts


AS_PK8 = """
key = OpenSSL::PKey::RSA.new($stdin.read(65_536), '')
kind = [OpenSSL::ASN1::ObjectId('rsaEncryption'), OpenSSL::ASN1::Null(nil)]
version, inner = OpenSSL::ASN1::Integer(0), OpenSSL::ASN1::OctetString(key.to_der)
$stdout.binmode
print OpenSSL::ASN1::Sequence([version, OpenSSL::ASN1::Sequence(kind), inner]).to_der
"""
"""For `ruby -ropenssl -e`, also 1.9's: prints the private key that it reads as unencrypted PKCS#8
in DER, as `openssl pkcs8 -topk8 -nocrypt -outform DER` makes it."""


class ComponentDirectory(FactBase[ComponentState]):
    """
    A directory with copies of credentials: entries, certificates, and which copies equal
    their source. Keys are compared on the host.

    + directory: the component's
    + account: that owns it
    + copies: (copy, source); a copy that is called `.pk8` is the key as PKCS#8
    + sources: other files to look for
    """

    def command(
        self,
        directory: str,
        account: str,
        copies: list[tuple[str, str]],
        sources: list[str] | None = None,
    ) -> StringCommand:
        return record_script(
            PUBLIC_CONTENTS
            + SAME
            + ENTRIES
            + r"""
directory=$1 account=$2 as_pk8=$3 sources=$4; shift 4
id "$account" >/dev/null 2>&1 && say account
[ ! -d "$directory" ] || entries "$directory" "$account" "$account"
while [ "$sources" -gt 0 ]; do
    [ ! -f "$1" ] || say source "$1"
    shift; sources=$((sources - 1))
done
pk8() { ruby --disable-gems -ropenssl -e "$as_pk8" 2>/dev/null || [ "$?" -eq 1 ]; } # that is no key
pk8_of() { stage as_it_lies "$1" | stage pk8; }
sum_of_pk8() { stage pk8_of "$1" | stage digests; }
as_it_should_be() { # whether $copy is the key $source as PKCS#8, or reads as that does
    case $copy in
        (*.pk8) [ -s "$copy" ] && [ "$(sum_of "$copy")" = "$(sum_of_pk8 "$source")" ]; return ;;
    esac
    read_in "$source"
    held=$text
    read_in "$copy"
    [ "$text" = "$held" ]
}
left=$#
while [ "$left" -gt 0 ]; do
    copy=$1 source=$2 left=$((left - 2)); shift 2
    [ -f "$copy" ] || continue
    if [ -f "$source" ] && as_it_should_be; then
        case $copy in
            (*.pk8) say same "$copy" ;;
            (*) say alike "$copy" "$source"; set -- "$@" "$copy" "$source" ;;
        esac
    fi
    case $copy in (*.cert.pem) contents "$copy" text 1 ;; esac
done
# What reads alike can differ in how it ends.
[ "$#" -eq 0 ] || stage find_lasting -L "$@" -maxdepth 0 -printf '3\0size\0%p\0%s\0'
""",
            directory,
            account,
            AS_PK8,
            str(len(sources or [])),
            *(sources or []),
            *(word for pair in copies for word in pair),
        )

    def process(self, output: list[str]) -> ComponentState:
        account_exists = False
        entries: list[tuple[str, FileState]] = []
        same: set[str] = set()
        alike: dict[str, str] = {}
        sizes: dict[str, int] = {}
        certificates: dict[str, str] = {}
        sources: set[str] = set()
        for record in read_records(output):
            if record[0] == "account":
                account_exists = True
            elif record[0] == "file":
                entries.append(read_file_record(record))
            elif record[0] == "same":
                same.add(record[1])
            elif record[0] == "alike":
                alike[record[1]] = record[2]
            elif record[0] == "size":
                sizes[record[1]] = count(record[2])
            elif record[0] == "source":
                sources.add(record[1])
            elif record[0] == "text":
                certificates[record[1]] = record[2].rstrip("\n")
        # find names the directory itself first.
        top = entries[0][1] if entries else None
        files = dict(entries[1:])
        same |= {c for c, source in alike.items() if sizes.get(c) == sizes.get(source)}
        return ComponentState(
            account_exists, top, files, frozenset(same), certificates, frozenset(sources)
        )


def read_file_record(record: list[str]) -> tuple[str, FileState]:
    """A `file` record as (path, entry); the slash that made find follow a link is taken off."""
    _, kind, mode, owner, group, size, mtime, path, target = record
    entry = FileState(kind, numbers.mode(mode), owner, group, count(size), file_time(mtime), target)
    return path.replace("//", "/").rstrip("/") or "/", entry
