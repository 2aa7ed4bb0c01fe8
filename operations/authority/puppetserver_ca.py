"""`puppetserver ca`, which makes a CA as files and asks the server for everything else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from facts.puppet import UTF8_LOCALE
from facts.reading import READING, SAME
from operations.authority.beside import BESIDE, beside
from operations.authority.commands import CredentialsWanted, Typed, WaitingRequest
from operations.clearing import REMOVING
from recert.aside import Aside
from recert.settings import CREDENTIAL_SETTINGS, WRITTEN_BESIDE, Settings, duration

_LIFETIME = timedelta(days=5 * 365)
"""Puppet's own default of `ca_ttl`."""

# A CA of one certificate, as a server makes it for itself. Its own serial number is at random: the
# program begins to count at 1.
_SELF_SIGNED = r"""
make_ca() { # of $1 bits, called $2, for $3 seconds: its key, certificate and revocation list here
    ruby --disable-gems -ropenssl -e '
        bits, subject, seconds = ARGV
        key = OpenSSL::PKey::RSA.new(bits.to_i)
        name = OpenSSL::X509::Name.new([["CN", subject, OpenSSL::ASN1::UTF8STRING]])
        from = Time.now - 86_400
        to = Time.now + seconds.to_i
        digest = OpenSSL::Digest.new("SHA256")
        cert = OpenSSL::X509::Certificate.new
        cert.version = 2
        cert.serial = (OpenSSL::BN.new(1) << 125) + OpenSSL::BN.rand(124)
        cert.subject = cert.issuer = name
        cert.public_key = key.public_key
        cert.not_before, cert.not_after = from, to
        make = OpenSSL::X509::ExtensionFactory.new(cert, cert)
        cert.add_extension(make.create_extension("basicConstraints", "CA:TRUE", true))
        cert.add_extension(make.create_extension("keyUsage", "keyCertSign, cRLSign", true))
        cert.add_extension(make.create_extension("subjectKeyIdentifier", "hash", false))
        whose = make.create_extension("authorityKeyIdentifier", "keyid:always", false)
        cert.add_extension(whose)
        cert.sign(key, digest)
        crl = OpenSSL::X509::CRL.new
        crl.version = 1
        crl.issuer = name
        crl.last_update, crl.next_update = from, to
        crl.add_extension(make.create_extension("authorityKeyIdentifier", "keyid:always", false))
        crl.add_extension(OpenSSL::X509::Extension.new("crlNumber", OpenSSL::ASN1::Integer(0)))
        crl.sign(key, digest)
        { "key" => key, "cert" => cert, "crl" => crl }.each do |file, made|
            File.open(file, "w", 0600) { |to_it| to_it.write(made.to_pem) }
        end
    ' "$@"
}
"""

_ASIDE = (
    BESIDE
    + _SELF_SIGNED
    + r"""
config=$1 length=$2 subject=$3 seconds=$4 certname=$5 alt_names=$6 certs=$7 public=$8; shift 8
begin_aside
inside
(
    umask 077
    printf '%s\n' "$config" >puppet.conf && make_ca "$length" "$subject" "$seconds"
) </dev/null || could_not
puppetserver ca import --config ./puppet.conf --cert-bundle ./cert --crl-chain ./crl \
    --private-key ./key --certname "$certname" \
    ${alt_names:+--subject-alt-names "$alt_names"} </dev/null || could_not
rm -f ./key
end_aside
inside
# The program closes all of it to others, and the server leaves open what everybody may know.
find ./new -type f ! -path '*/private_keys/*' ! -name ca_key.pem ! -name '*inventory.txt' \
    -exec chmod 0644 {} + && chmod 0755 "./${certs#"$top"/}" "./${public#"$top"/}" ||
    fail "Cannot open what is public."
note_aside
"""
)

# The program reads puppet.conf by itself, and ends with an error at the first `$vardir`: it is
# given what Puppet has made of that.
_CA = (
    UTF8_LOCALE
    + r"""
config=$1; shift
own=$(mktemp -d) && (umask 077; printf '%s\n' "$config" >"$own/puppet.conf") ||
    fail "No configuration can be made for the CA's program."
trap 'rm -rf "$own"' EXIT
ca() { verb=$1; shift; puppetserver ca "$verb" --config "$own/puppet.conf" "$@" </dev/null; }
"""
)

_ISSUE = (
    REMOVING
    + _CA
    + r"""
certname=$1 alt_names=$2; shift 2
remove "$@"
ca generate --ca-client --certname "$certname" \
    ${alt_names:+--subject-alt-names "$alt_names"} || fail "puppetserver ca generate failed."
"""
)

# The server takes no other request under a name as long as one waits there, so what was compared
# is what it signs.
_SIGN = (
    READING
    + SAME
    + _CA
    + r"""
csrdir=$1; shift
count=$# names=
while [ "$count" -gt 0 ]; do
    sum=$1 name=$2; shift 2; count=$((count - 2))
    held=$csrdir/$name.pem
    if [ -f "$held" ] && found=$(sum_of "$held") && [ "${found%% *}" = "$sum" ]
    then names=$names${names:+,}$name
    else echo "The request of $name is not the one that was looked at." >&2
    fi
done
[ -n "$names" ] || exit 0
ca sign --certname "$names"
"""
)

_CLEAN = (
    _CA
    + r"""
names=
for name; do names=$names${names:+,}$name; done
ca clean --certname "$names"
"""
)


# The program knows certificates by their names, and revokes the one that it keeps under each.
_BY_SERIAL = """
fail "puppetserver ca revokes by certname alone, and keeps none of these numbers under one: $*."
"""


class PuppetserverCa:
    """See `operations.authority.CaCommands`."""

    def make_aside(self, aside: Aside, wanted: Sequence[CredentialsWanted], retires: str) -> Typed:
        (one,) = wanted  # no vendor's services have names of their own where there is this program
        (certname,) = one.names
        place = aside.place
        lifetime = duration(place.ca_ttl) or _LIFETIME
        attributes = aside.attributes if one.attributes else place.csr_attributes
        made_by = dict(option.removeprefix("--").split("=", 1) for option in aside.options)
        config = _config({**_named(place), **made_by, "csr_attributes": attributes})
        return Typed(
            _ASIDE,
            (
                *beside(aside, retires, one.attributes),
                config,
                str(place.keylength),
                place.ca_name or f"Puppet CA: {certname}",
                str(int(lifetime.total_seconds())),
                certname,
                one.alt_names,
                aside.settings.certdir,
                aside.settings.publickeydir,
            ),
        )

    def issue(self, conf: Settings, wanted: CredentialsWanted) -> Typed:
        (certname,) = wanted.names
        files = [
            f"{directory}/{certname}.pem"
            for directory in (conf.certdir, conf.privatekeydir, conf.publickeydir, conf.signeddir)
        ]
        return Typed(_ISSUE, (_config(_named(conf)), certname, wanted.alt_names, *files))

    def sign(self, conf: Settings, waiting: Iterable[WaitingRequest], alt_names: bool) -> Typed:
        words = (word for one in waiting for word in (one.digest, one.name))
        return Typed(_SIGN, (_config(_named(conf)), conf.csrdir, *words))

    def clean(self, conf: Settings, names: Iterable[str]) -> Typed:
        return Typed(_CLEAN, (_config(_named(conf)), *names))

    def revoke(self, conf: Settings, serials: Iterable[str]) -> Typed:
        return Typed(_BY_SERIAL, tuple(serials))


def _named(conf: Settings) -> dict[str, str]:
    """Puppet's settings, as far as the program goes by them."""
    paths = ("confdir", "ssldir", "cadir", *CREDENTIAL_SETTINGS, *WRITTEN_BESIDE, "csr_attributes")
    return {
        **{name: getattr(conf, name) for name in paths},
        **{name: getattr(conf, name) for name in ("certname", "server", "ca_server")},
        **{name: str(getattr(conf, name)) for name in ("ca_port", "keylength")},
    }


def _config(settings: Mapping[str, str]) -> str:
    lines = (f"{name} = {value}" for name, value in settings.items() if value)
    return "\n".join(["[main]", *lines])
