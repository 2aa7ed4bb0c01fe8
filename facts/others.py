"""Credentials that lie where nothing of Puppet's own names does. No key leaves its host."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api import FactBase, StringCommand
from pyinfra.api.exceptions import FactProcessError

from facts.credential_files import UNDERSTANDING
from facts.few import MOST_CERTIFICATES, certificates_in, require_few
from facts.script import read_records, record_script
from recert.certificates import read_certificates, read_public_key
from recert.others import CERTIFICATE, KEYSTORE, PARAMETERS, PRIVATE_KEY, PUBLIC_KEY, UNREAD, Stray

# For Ruby 1.9 as well. Java's keystores have their certificates in the clear.
LOOKING = (
    UNDERSTANDING
    + r"""
LARGEST = 16 * 1024 * 1024
PVK = [0x1e, 0xf1, 0xb5, 0xb0].pack('C4')
KEYTABS = [1, 2].map { |version| [5, version].pack('CC') }
# A pipe may have come into a file's place, in which nobody writes; there are none on Windows.
UNWAITING = File::RDONLY | (File::ALT_SEPARATOR ? 0 : File::NONBLOCK)
JAVAS = [0xFEEDFEED, 0xCECECECE].map { |magic| [magic].pack('N') }
def scan(content, what)
  content.scan(/-----BEGIN [A-Z0-9 ]*#{what}-----#{INSIDE}+?-----END [A-Z0-9 ]*#{what}-----/mn)
end
def half_of(content)
  key = OpenSSL::PKey.read(content, '')
  private?(key) ? public_half(key) : ''
rescue StandardError
  ''
end
def in_java(content)
  found = []
  content.scan(/\x00\x05X\.509(....)/mn) do |length,|
    begin
      der = content[$~.end(0), length.unpack('N')[0]]
      found << OpenSSL::X509::Certificate.new(der).to_pem
    rescue StandardError
      next
    end
  end
  found
end
# PKCS #8 with a password, in DER: an algorithm and what it has made.
def sealed_key?(content)
  return false unless content.getbyte(0) == 0x30
  outer = OpenSSL::ASN1.decode(content)
  return false unless outer.value.is_a?(Array) && outer.value.size == 2
  how, sealed = outer.value
  sealed.is_a?(OpenSSL::ASN1::OctetString) && how.value.is_a?(Array) &&
    how.value[0].is_a?(OpenSSL::ASN1::ObjectId) &&
    how.value[0].oid.start_with?('1.2.840.113549.1.5.', '1.2.840.113549.1.12.1.')
rescue StandardError
  false
end
# Those of PKCS #7, in PEM or DER.
def in_pkcs7(content)
  pem = scan(content, '(?:PKCS7|CMS|PKCS #7 SIGNED DATA)')[0]
  return [] unless pem || content.getbyte(0) == 0x30
  der = pem ? pem.gsub(/-----[^\n]*-----/, '').unpack('m')[0] : content
  (OpenSSL::PKCS7.new(der).certificates || []).map { |cert| cert.to_pem }
rescue StandardError
  []
end
# Of other programs, which have their own: PuTTY, Windows, GnuPG (its packets, key box and
# expressions), NSS, Kerberos.
def elses(path, content)
  begins = ['PuTTY-User-Key-File-', '(11:private-key', '(21:protected-private-key', 'Key: (']
  return 'key' if content.start_with?(*begins) || content[0, 4] == PVK
  return 'keystore' if content[8, 4] == 'KBXf' || KEYTABS.include?(content[0, 2])
  return 'keystore' if File.basename(path) =~ /\A(key|cert|secmod)[0-9]*\.db\z/
  tag = content.getbyte(0) || 0
  packet = tag & 0x40 == 0 ? tag >> 2 & 0x0f : tag & 0x3f
  return nil unless tag & 0x80 != 0 && [5, 6].include?(packet)
  return nil unless [3, 4, 5, 6].include?(version_of(content, tag))
  packet == 5 ? 'key' : 'keystore'
end
# Of a packet of OpenPGP: the byte after its length.
def version_of(content, tag)
  second = content.getbyte(1) || 0
  long = tag & 0x40 == 0 ? [1, 2, 4, 0][tag & 3] : second < 192 ? 1 : second < 224 ? 2 : 5
  content.getbyte(1 + long)
end
# What the content is, the certificates in it, and the public halves of its keys.
def credentials(path, content)
  return ['keystore', in_java(content), []] if JAVAS.include?(content[0, 4])
  certs = scan(content, 'CERTIFICATE').map { |pem| pem + "\n" }
  keys = scan(content, 'PRIVATE KEY') + scan(content, 'PRIVATE KEY BLOCK')
  return ['key', certs, keys.map { |pem| half_of(pem + "\n") }] unless keys.empty?
  return ['certificate', certs, []] unless certs.empty?
  halves = scan(content, 'PUBLIC KEY')
  return ['public', [], halves.map { |pem| pem + "\n" }] unless halves.empty?
  return ['parameters', [], []] if content.include?('-----BEGIN DH PARAMETERS-----')
  certs, half, sealed = understood(content)
  return ['keystore', [], []] if sealed
  return ['key', [], ['']] if sealed_key?(content)
  return ['key', certs, [half]] if half
  return ['certificate', certs, []] unless certs.empty?
  certs = in_pkcs7(content)
  return ['certificate', certs, []] unless certs.empty?
  what = elses(path, content)
  what ? [what, [], what == 'key' ? [''] : []] : nil
end
# Of paths: in `queues` there are a CA's certificates by the thousand, and nothing but keys counts.
def look(paths, own, queues)
  paths.each do |path|
    begin
      next if own.include?(path) || !File.file?(path)
      content = File.open(path, UNWAITING) { |file| file.binmode; file.read(LARGEST).to_s }
      content = nil if content.size == LARGEST
    rescue Errno::ENOENT
      next
    rescue SystemCallError
      content = nil
    end
    unless content
      say 'stray', path, 'unread', ''
      next
    end
    queued = queues.any? { |queue| path.start_with?(queue + '/') }
    next if queued && !content.include?('PRIVATE KEY')
    what, certs, halves = credentials(path, content)
    say 'stray', path, what, certs.join, *halves if what
  end
  say 'looked'
end
"""
)

_ON_POSIX = (
    LOOKING
    + r"""
def say(*fields)
  print [fields.size, *fields].join("\0"), "\0"
end
$stdout.binmode
$stdin.binmode
own, queues = ARGV.map { |list| list.dup.force_encoding('BINARY').split("\n") }
look($stdin.read.split("\0"), own, queues)
"""
)

_WHAT = {
    "key": PRIVATE_KEY,
    "certificate": CERTIFICATE,
    "keystore": KEYSTORE,
    "public": PUBLIC_KEY,
    "parameters": PARAMETERS,
    "unread": UNREAD,
}


class StrayCredentials(FactBase[list[Stray]]):
    """
    The files below some directories that hold a private key, a certificate or a keystore, by what
    is in them and whatever they are called. Links to files count as what they lead to.

    + roots: the directories
    + own: files of the names that are Puppet's own there, which are passed over
    + queues: directories of certificates in which only private keys count

    .. code:: python

        [Stray(path="/etc/puppetlabs/puppet/ssl/eyaml/private_key.pkcs7.pem", what="a private key",
               keys=("3f0c…",))]
    """

    def command(self, roots: list[str], own: list[str], queues: list[str]) -> StringCommand:
        # Most hosts have nothing there but Puppet's own, and need no Ruby to tell.
        return record_script(
            r"""
own=$1 queues=$2 look=$3; shift 3
for root; do
    shift
    [ ! -d "$root" ] || set -- "$@" "$root/"
done
unknown() { grep -vxF -e "$own" || [ "$?" -eq 1 ]; }
others() { stage lines_of "$files" | stage unknown; }
files=
found() { find_lasting "$@" -xtype f; }
[ "$#" -eq 0 ] || files=$(found "$@") || fail "Nobody knows what is in $*."
if [ -n "$(others)" ]; then
    stage find_lasting "$@" -xtype f -print0 |
        stage ruby --disable-gems -e "$look" -- "$own" "$queues"
else say looked
fi
""",
            "\n".join(own),
            "\n".join(queues),
            _ON_POSIX,
            *roots,
        )

    def process(self, output: list[str]) -> list[Stray]:
        return read_strays(read_records(output))


def read_strays(records: Iterable[list[str]]) -> list[Stray]:
    """:raises FactProcessError: not everything was looked at."""
    found: list[Stray] = []
    total = 0
    for record in records:
        if record[0] == "looked":
            return found
        _, path, what, certs, *halves = record
        total += certificates_in([certs]) + len(halves) or 1
        require_few(total, MOST_CERTIFICATES, "certificates and keys of others")
        found.append(
            Stray(
                path=path.replace("//", "/"),
                what=_WHAT[what],
                certificates=tuple(read_certificates(certs)),
                keys=tuple(map(read_public_key, halves)),
            )
        )
    raise FactProcessError("Puppet's Ruby did not look for the keys of others")
