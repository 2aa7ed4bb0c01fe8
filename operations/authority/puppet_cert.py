"""`puppet cert`, which works with the CA's files, whether its server runs or not."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from facts.puppet import PUPPET_WITHOUT_CATALOG, ROOMY_HEAP, UTF8_LOCALE
from facts.reading import READING, SAME
from operations.attributes import WITH_ATTRIBUTES
from operations.authority.beside import BESIDE, beside
from operations.authority.commands import CredentialsWanted, Typed, WaitingRequest
from operations.clearing import REMOVING
from operations.placing import PLACING
from recert.aside import Aside
from recert.settings import Settings

# Puppet uses a key that is there, but then leaves its public half unwritten. What is made here
# is what Puppet would have made, with Puppet's own library; where that fails Puppet makes it.
_MAKE_KEY = (
    REMOVING
    + r"""
make_key() (
    [ ! -s "$keys/$1.pem" ] || [ ! -s "$public/$1.pem" ] || return 0
    aside=$(mktemp -d) || exit
    ruby --disable-gems -ropenssl -e '
        key = OpenSSL::PKey::RSA.new(ARGV[0].to_i)
        File.open(ARGV[2], "w", 0600) { |file| file.write(key.public_key.to_pem) }
        File.open(ARGV[1], "w", 0600) { |file| file.write(key.to_pem) }
    ' "$length" "$aside/key" "$aside/public" 2>/dev/null &&
        put "$public/$1.pem" "$owner" 0644 <"$aside/public" &&
        put "$keys/$1.pem" "$owner" 0640 <"$aside/key" ||
        remove "$keys/$1.pem" "$public/$1.pem"
    rm -rf "$aside"
)
"""
)

_ISSUE = (
    WITH_ATTRIBUTES
    + UTF8_LOCALE
    + _MAKE_KEY
    + r"""
keys=$1 public=$2 owner=$3 length=$4 several=$5; shift 5
for name in $several; do make_key "$name" </dev/null & done
wait
"""
    + ROOMY_HEAP
    + r"""
puppet cert generate --color=false "$@" </dev/null || fail "puppet cert generate failed."
# Puppet 3.7 leaves private keys readable by everybody in a directory that is not. What else is
# there is not Puppet's to close.
for name; do
    case $name in (--*) ;; (*) close_to_others "$keys/$name.pem" ;; esac
done
"""
)

_ASIDE = (
    BESIDE
    + _MAKE_KEY
    + r"""
length=$1 keys=$2 public=$3 names=$4 first=$5; shift 5
begin_aside
make "$keys" 0750 "$owner"
make "$public" 0755 "$owner"
"""
    + ROOMY_HEAP
    + r"""
eval "$first" </dev/null &
making=$!
for name in $names; do make_key "$name" </dev/null & done
wait "$making" || { wait; could_not; }
wait
for typed; do eval "$typed" </dev/null || could_not; done
end_aside
for name in $names; do close_to_others "$keys/$name.pem"; done
note_aside
"""
)

# Where requests wait Puppet's account writes, and with allow_duplicate_certs whoever has a
# certificate: what is compared and signed is a copy that only root can get at, and no pipe is
# waited for.
_SIGN = (
    PLACING
    + READING
    + SAME
    + PUPPET_WITHOUT_CATALOG
    + r"""
csrdir=$1 option=$2; shift 2
umask 077
own=$(mktemp -d) && mkdir "$own/requests" "$own/seen" || fail "Cannot make a copy of requests."
trap 'rm -rf "$own"' EXIT
count=$#
while [ "$count" -gt 0 ]; do
    sum=$1 name=$2; shift 2; count=$((count - 2))
    held=$csrdir/$name.pem copy=$own/requests/$name.pem
    if [ -f "$held" ] && get "$held" >"$copy" && found=$(digests <"$copy") &&
        [ "${found%% *}" = "$sum" ] && cp "$copy" "$own/seen/"
    then set -- "$@" "$name"
    else
        rm -f "$copy"
        echo "The request of $name is not the one that was looked at." >&2
    fi
done
[ "$#" -gt 0 ] || exit 0
umask 022
puppet cert sign --csrdir="$own/requests" $option --color=false "$@" </dev/null
status=$?
(
    enter "$csrdir"
    for name in "$@"; do
        held=./$name.pem
        [ ! -e "$own/requests/$name.pem" ] && [ -f "$held" ] || continue
        ! same "$own/seen/$name.pem" "$held" || rm -f "$held"
    done
)
exit "$status"
"""
)
"""What Puppet has signed it removes, here the copy; the request goes if it is still the same."""

_BY_VERB = (
    PUPPET_WITHOUT_CATALOG + 'verb=$1; shift; puppet cert "$verb" --color=false "$@" </dev/null'
)


class PuppetCert:
    """See `operations.authority.CaCommands`."""

    def make_aside(self, aside: Aside, wanted: Sequence[CredentialsWanted], retires: str) -> Typed:
        conf, place = aside.settings, aside.place
        attributes = next((one.attributes for one in wanted if one.attributes), "")

        def typed(*words: str, more: Iterable[str] = ()) -> str:
            return shlex.join(["puppet", "cert", *words, "--color=false", *aside.options, *more])

        def generate(one: CredentialsWanted) -> str:
            more = [f"--csr_attributes={aside.attributes}"] if one.attributes else []
            more += [f"--dns_alt_names={one.alt_names}"] if one.alt_names else []
            return typed("generate", more=[*more, *one.names])

        return Typed(
            _ASIDE,
            (
                *beside(aside, retires, attributes),
                str(place.keylength),
                conf.privatekeydir,
                conf.publickeydir,
                " ".join(name for one in wanted for name in one.names),
                # Which makes a CA where it finds none.
                typed("list", "--all"),
                *map(generate, wanted),
            ),
        )

    def issue(self, conf: Settings, wanted: CredentialsWanted) -> Typed:
        names, alt_names = wanted.names, wanted.alt_names
        arguments = (
            conf.csr_attributes,
            wanted.attributes,
            conf.privatekeydir,
            conf.publickeydir,
            f"{conf.user}:{conf.group}",
            str(conf.keylength),
            " ".join(names if len(names) > 1 else ()),
            *([f"--dns_alt_names={alt_names}"] if alt_names else []),
            *names,
        )
        return Typed(_ISSUE, arguments)

    def sign(self, conf: Settings, waiting: Iterable[WaitingRequest], alt_names: bool) -> Typed:
        option = "--allow-dns-alt-names" if alt_names else ""
        words = (word for one in waiting for word in (one.digest, one.name))
        return Typed(_SIGN, (conf.csrdir, option, *words))

    def clean(self, conf: Settings, names: Iterable[str]) -> Typed:
        return Typed(_BY_VERB, ("clean", *names))

    def revoke(self, conf: Settings, serials: Iterable[str]) -> Typed:
        return Typed(_BY_VERB, ("revoke", *serials))
