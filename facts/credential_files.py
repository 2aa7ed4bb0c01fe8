"""The certificates and private keys below some directories. No key leaves its host."""

from __future__ import annotations

import base64

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from facts.few import (
    MOST_CERTIFICATES,
    MOST_OF_A_CA,
    certificates_in,
    read_few_keys,
    require_few,
)
from facts.keys import PUBLIC_HALVES
from facts.packed import files_in
from facts.public import LINES_OF_KEYS, WITHOUT_KEYS
from facts.reading import READ_FILE, READING
from facts.script import DIGESTS, read_records, record_script
from facts.ssl import FILE_RECORD, read_file_record
from recert.deployments.known import JAVA
from recert.observed import FileState, FoundCredentials, Keystores

# For Ruby 1.9 as well.
UNDERSTANDING = r"""
require 'openssl'
# Of a block in PEM: one that is cut short is not the beginning of what follows, maybe a key.
INSIDE = '(?:(?!-----BEGIN ).)'
def private?(key)
  key.respond_to?(:private?) ? key.private? : key.private_key? # of a curve, until Ruby 2.4
end
# The public half of a private key in PEM; empty where this Ruby cannot tell it.
def public_half(key)
  return key.public_to_pem if key.respond_to?(:public_to_pem)
  return key.public_key.to_pem unless key.is_a?(OpenSSL::PKey::EC)
  half = OpenSSL::PKey::EC.new(key.group)
  half.public_key = key.public_key
  half.to_pem
rescue StandardError
  ''
end
# Whatever its kind is, and whether this OpenSSL knows that: PKCS #8, or what SEC 1 says of curves.
def private_in_der?(content)
  version, second, third = OpenSSL::ASN1.decode(content).value
  return false unless version.is_a?(OpenSSL::ASN1::Integer) && version.value <= 1
  return true if version.value == 1 && second.is_a?(OpenSSL::ASN1::OctetString)
  second.is_a?(OpenSSL::ASN1::Sequence) && second.value[0].is_a?(OpenSSL::ASN1::ObjectId) &&
    third.is_a?(OpenSSL::ASN1::OctetString)
rescue StandardError
  false
end
# Of what is in DER, a certificate, a key, or both in PKCS #12: the certificates in PEM, the public
# half of the private key, and whether a password is wanted.
def understood(content)
  return [[], nil, false] unless content.getbyte(0) == 0x30
  begin
    return [[OpenSSL::X509::Certificate.new(content).to_pem], nil, false]
  rescue StandardError
  end
  begin
    key = OpenSSL::PKey.read(content, '') # also PKCS #8, which RSA.new takes for nothing
    return [[], private?(key) ? public_half(key) : nil, false]
  rescue StandardError
  end
  return [[], '', false] if private_in_der?(content)
  begin
    # OpenSSL takes whatever begins with this byte for one whose password is another: "0011" too.
    return [[], nil, false] unless OpenSSL::ASN1.decode(content).value[0].value == 3
    box = OpenSSL::PKCS12.new(content, '')
    certs = [box.certificate, *box.ca_certs].compact.map { |cert| cert.to_pem }
    [certs, box.key && public_half(box.key), false]
  rescue StandardError => error
    [[], nil, error.message.include?('mac verify')]
  end
end
"""

_IN_DER = (
    r"""
begin
  require 'openssl'
rescue LoadError
  exit # a Ruby that is not Puppet's
end
"""
    + UNDERSTANDING
    + READ_FILE
    + r"""
def say(*fields)
  print [fields.size, *fields].join("\0"), "\0"
end
ARGV.each do |path|
  begin
    certs, half, sealed = understood(read_file(path))
  rescue SystemCallError
    next
  end
  say 'pem', path if half || !certs.empty?
  say 'text', path, certs.join unless certs.empty?
  say 'key', path, half if half
  say 'sealed', path if sealed
end
"""
)


class CredentialFiles(FactBase[FoundCredentials]):
    """
    The files below some directories that are called like certificates, keys or Java keystores, or
    lie in a `certs` or `private_keys`: their entries, the certificates and public keys in them,
    and the public halves of private keys, which the host computes.

    + roots: directories to search
    + capass: the file with the password of the CA's key
    + backups: directories of backups; private keys are looked up among what they hold
    """

    def command(
        self, roots: list[str], capass: str, backups: list[str] | None = None
    ) -> StringCommand:
        saved = backups or []
        return record_script(
            DIGESTS
            + LINES_OF_KEYS
            + READING
            + PUBLIC_HALVES
            + rf"""
capass=$1 in_der=$2 saved=$3; shift 3
sums=
while [ "$saved" -gt 0 ]; do
    of_it=
    [ ! -r "$1/SHA256SUMS" ] || of_it=$(cut -c 1-64 "$1/SHA256SUMS") || fail "Cannot read $1."
    [ -z "$of_it" ] || say backup "$1"
    sums="$sums $of_it"
    shift; saved=$((saved - 1))
done
found() {{ # $1: what find prints of each
    form=$1; shift
    for root in "$@"; do
        [ ! -d "$root" ] || stage find_lasting "$root/" -type f -size -2048 \
            \( -name '*.pem' -o -name '*.crt' \
            -o -name '*.cert' -o -name '*.cer' -o -name '*.key' -o -name '*.pk8' -o -name '*.der' \
            -o -name '*.p12' -o -name '*.pfx' -o -name '*.ks' -o -name '*.ts' -o -name '*.jks' \
            -o -name '*.keystore' -o -name '*.truststore' \
            -o -path '*/certs/*' -o -path '*/private_keys/*' \) \
            -printf "$form"
    done
}}
# Directories may lie in each other.
paths() {{ stage found '%p\0' "$@" | stage sort -zu; }}
# That nothing is found is no failure, nor that a file has gone meanwhile.
search='
    grep -D skip "$@"
    status=$?
    [ "$status" -gt 1 ] || exit 0
    while [ "$1" != -- ]; do shift; done
    shift
    for file; do [ -e "$file" ] || exit 0; done
    exit "$status"
'
among() {{ stage xargs -0 -r sh -c "$search" grep "$@" --; }}
pems() {{
    stage paths "$@" | stage among -le '-----BEGIN ' |
        while IFS= read -r path; do say pem "$path"; done
}}
# One archive instead of a process for each of thousands; what holds a private key stays out of it.
# The paths are looked up once more for that, and may lead elsewhere by then.
packed() {{ tar --null --ignore-failed-read -T - -Pcf - || [ "$?" -eq 1 ]; }}
archive() {{
    aside=$(mktemp -d) || fail "No directory can be made for what may leave the host."
    trap 'rm -rf "$aside"' EXIT
    stage paths "$@" |
        stage among -lZe '-----BEGIN CERTIFICATE-----' -e 'PUBLIC KEY-----' |
        stage among -LZe 'PRIVATE KEY-----' |
        stage packed >"$aside/archive"
    lines=$(stage lines_of_keys <"$aside/archive")
    [ "$lines" = 0 ] || fail "Private keys have come into the place of certificates meanwhile."
    stage gzip -c <"$aside/archive" | stage encode | stage relay archive
}}
keys() {{ stage paths "$@" | stage among -le 'PRIVATE KEY-----'; }}
in_der() {{
    stage paths "$@" |
        stage among -LZe '-----BEGIN ' |
        stage xargs -0 -r ruby --disable-gems -e "$in_der" --
}}
sum_of() {{ stage as_it_lies "$1" | stage digests | stage cut -c 1-64; }}
certificates_in() {{
    stage as_it_lies "$1" | stage sed '{WITHOUT_KEYS}' |
        stage sed -n '/^-----BEGIN CERTIFICATE-/,/^-----END CERTIFICATE-/p' | stage tr -d '\000'
}}
secrets() {{ # what else is to be known of those that hold private keys
    while IFS= read -r path; do
        [ -f "$path" ] || continue
        certs=$(certificates_in "$path")
        [ -z "$certs" ] || say text "$path" "$certs"
        [ -n "$sums" ] || continue
        sum=$(sum_of "$path")
        case $sums in (*"$sum"*) say saved "$path" ;; esac
    done
}}
found '{FILE_RECORD}' "$@"
pems "$@"
archive "$@"
keys=$(keys "$@")
[ -z "$keys" ] || stage lines_of "$keys" | stage public_halves "$capass"
! command -v ruby >/dev/null 2>&1 || in_der "$@"
[ -z "$keys" ] || stage lines_of "$keys" | stage secrets
""",
            capass,
            _IN_DER,
            str(len(saved)),
            *saved,
            *roots,
        )

    def process(self, output: list[str]) -> FoundCredentials:
        files: dict[str, FileState] = {}
        certificates: dict[str, str] = {}
        keys: dict[str, str] = {}
        public_keys: dict[str, str] = {}
        pems: set[str] = set()
        saved: set[str] = set()
        sealed: set[str] = set()
        backups = archives = 0
        for record in read_records(output):
            if record[0] == "file":
                path, entry = read_file_record(record)
                files[path] = entry
            elif record[0] == "archive":
                require_few(archives := archives + 1, 1, "archive of certificates")
                texts = _unpacked(record[1])
                certificates |= {p: t for p, t in texts.items() if "BEGIN CERTIFICATE-" in t}
                public_keys |= {p: t for p, t in texts.items() if "PUBLIC KEY-----" in t}
            elif record[0] == "backup":
                backups += 1
            else:
                path = record[1].replace("//", "/")
                if record[0] == "pem":
                    pems.add(path)
                elif record[0] == "key":
                    keys[path] = record[2]
                elif record[0] == "text":
                    certificates[path] = record[2]
                elif record[0] == "saved":
                    saved.add(path)
                elif record[0] == "sealed":
                    sealed.add(path)
        require_few(certificates_in(certificates.values()), MOST_OF_A_CA, "certificates")
        # Their names go back to the host in one command.
        named = sum(len(path) for path in files if path.lower().endswith(_KEYSTORES))
        require_few(named, LONGEST_NAMES, "characters in the names of its keystores")
        require_few(len(keys) + len(saved) + len(sealed), MOST_CERTIFICATES, "private keys")
        return FoundCredentials(
            files=files,
            certificates=certificates,
            keys=read_few_keys(keys),
            public_keys=read_few_keys(public_keys),
            pems=frozenset(pems),
            saved=frozenset(saved),
            backups=backups,
            sealed=frozenset(sealed),
        )


def _unpacked(archive: str) -> dict[str, str]:
    try:
        found = files_in(base64.b64decode(archive))
        return {name.replace("//", "/"): text for name, text in found}
    except ValueError as error:
        raise FactProcessError(f"the certificates could not be read: {error}") from error


def keystores_among(found: FoundCredentials) -> list[str]:
    """The files that are called like Java keystores."""
    return [path for path in found.files if path.lower().endswith(_KEYSTORES)]


LONGEST_NAMES = 200_000
"""Characters, of all keystores together."""

_KEYSTORES = (".ks", ".ts", ".jks", ".keystore", ".truststore")


class KeystoreCertificates(FactBase[Keystores]):
    """
    The certificates in Java keystores, where Java's `keytool` is there. Those of Java 7 it lists
    without a password, newer ones with that of ActiveMQ's configuration beside them, which stays on
    the host as the keys do.

    + paths: the keystores

    .. code:: python

        Keystores(readable=True, certificates={"/etc/puppetlabs/activemq/broker.ks": ["-----BEGIN …"]})
    """  # noqa: E501

    def command(self, paths: list[str]) -> StringCommand:
        return record_script(
            READING
            + r"""
PATH=$PATH:$1; shift
certificates() { sed -n '/^-----BEGIN CERTIFICATE-/,/^-----END CERTIFICATE-/p'; }
line_of() { stage as_it_lies "$1" | stage tr -s '\n\r\t ' ' '; }
password_of() { # of the keystore called $1 in the configuration $2
    case $1 in (*.ts|*.truststore) kind=trust ;; (*) kind=key ;; esac
    stage line_of "$2" | stage sed -n \
        -e "s/.*${kind}StorePassword=\"\([^\"]*\)\".*/\1/p" \
        -e "s/.*${kind}StorePassword='\([^']*\)'.*/\1/p"
}
# A keystore that does not open is one that cannot be read, which is told as such.
listed() { keytool -list -rfc -keystore "$@" 2>/dev/null || :; }
without_password() { stage echo | stage listed "$1" | stage certificates; }
# A word of the command line could be read by everybody on the host.
with_password() {
    KEYSTORE_PASSWORD=$(password_of "${1##*/}" "$2")
    export KEYSTORE_PASSWORD
    stage listed "$1" -storepass:env KEYSTORE_PASSWORD </dev/null | stage certificates
}
readable=no
command -v keytool >/dev/null 2>&1 && readable=yes
say readable "$readable"
for path in "$@"; do
    pems=
    config=${path%/*}/activemq.xml
    if [ "$readable" = yes ]; then
        pems=$(without_password "$path")
        [ -n "$pems" ] || [ ! -f "$config" ] || pems=$(with_password "$path" "$config")
    fi
    say keystore "$path" "$pems"
done
""",
            ":".join(JAVA),
            *paths,
        )

    def process(self, output: list[str]) -> Keystores:
        readable = False
        certificates: dict[str, list[str]] = {}
        for record in read_records(output):
            if record[0] == "readable":
                readable = record[1] == "yes"
            else:
                end = "-----END CERTIFICATE-----"
                pems = [f"{pem}{end}\n".lstrip() for pem in record[2].split(end) if pem.strip()]
                certificates[record[1]] = pems
        require_few(sum(map(len, certificates.values())), MOST_CERTIFICATES, "certificates")
        return Keystores(readable, certificates)
