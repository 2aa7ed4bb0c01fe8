"""`puppet cert`, which works with the CA's files, whether its server runs or not."""

from __future__ import annotations

from collections.abc import Iterable

from facts.puppet import PUPPET_WITHOUT_CATALOG, ROOMY_HEAP, UTF8_LOCALE
from facts.reading import READING, SAME
from operations.attributes import WITH_ATTRIBUTES
from operations.authority.commands import CredentialsWanted, Typed, WaitingRequest
from operations.clearing import REMOVING
from operations.placing import PLACING
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
keys=$1 public=$2 owner=$3 length=$4 first=$5 meanwhile=$6; shift 6
for name in $first; do make_key "$name" </dev/null & done
wait
for name in $meanwhile; do make_key "$name" </dev/null & done
"""
    + ROOMY_HEAP
    + r"""
puppet cert generate --color=false "$@" </dev/null
status=$?
wait
[ "$status" -eq 0 ] || fail "puppet cert generate failed."
# Puppet 3.7 leaves private keys readable by everybody in a directory that is not. What else is
# there is not Puppet's to close.
for name; do
    case $name in (--*) ;; (*) close_to_others "$keys/$name.pem" ;; esac
done
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

    def create(self) -> Typed:
        return Typed(PUPPET_WITHOUT_CATALOG + "puppet cert list --all --color=false </dev/null")

    def issue(self, conf: Settings, wanted: CredentialsWanted) -> Typed:
        names, alt_names = wanted.names, wanted.alt_names
        arguments = (
            wanted.attributes_path,
            wanted.attributes,
            conf.privatekeydir,
            conf.publickeydir,
            f"{conf.user}:{conf.group}",
            str(conf.keylength),
            " ".join(names if len(names) > 1 else ()),
            " ".join(wanted.keys_ahead),
            *([f"--dns_alt_names={alt_names}"] if alt_names else []),
            *names,
        )
        return Typed(_ISSUE, arguments)

    def sign(self, conf: Settings, waiting: Iterable[WaitingRequest], alt_names: bool) -> Typed:
        option = "--allow-dns-alt-names" if alt_names else ""
        words = (word for one in waiting for word in (one.digest, one.name))
        return Typed(_SIGN, (conf.csrdir, option, *words))

    def clean(self, names: Iterable[str]) -> Typed:
        return Typed(_BY_VERB, ("clean", *names))

    def revoke(self, serials: Iterable[str]) -> Typed:
        return Typed(_BY_VERB, ("revoke", *serials))
