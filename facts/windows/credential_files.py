"""The certificates and private keys below some directories of a Windows host. No key leaves it."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.credential_files import UNDERSTANDING
from facts.few import (
    MOST_CERTIFICATES,
    MOST_OF_A_CA,
    certificates_in,
    read_few_keys,
    require_few,
)
from facts.windows.agent import read_entries
from facts.windows.ruby import TREE, read_answer, ruby_script
from recert.observed import FoundCredentials

# Names are compared as Windows does, so that what lies in two directories is met once. Puppet's
# regular expressions fail on names that are not UTF-8, unless they are taken for bytes.
_SEARCH = r"""
$met = {}
def first_time?(path)
  name = path.dup.force_encoding('BINARY').downcase
  !$met[name] && $met[name] = true
end
def search(directory, kinds, &found)
  return unless first_time?(directory)
  entries(directory).each { |name| visit("#{directory}/#{name}", kinds, &found) }
rescue Errno::ENOENT
rescue SystemCallError
  say 'unreadable', directory
end
def visit(path, kinds, &found)
  stat = File.lstat(path)
  if stat.directory?
    search(path, kinds, &found)
  elsif stat.file? && path.dup.force_encoding('BINARY') =~ kinds && first_time?(path)
    found.call(path, stat)
  end
rescue Errno::ENOENT
rescue SystemCallError
  say 'unreadable', path
end
except, roots = ARGUMENTS[0, 2].map { |group| group.split("\n") }
except.each { |path| first_time?(path) }
roots = roots.select { |path| File.directory?(path) }
"""


class WindowsCredentialFiles(FactBase[FoundCredentials]):
    """
    What `facts.credential_files.CredentialFiles` tells, and which files could not be read.

    + ruby: Puppet's
    + roots: directories to search; of a file below several of them, the first names it
    + outside: directories that are not searched, though they lie below one
    + backups: directories of backups; private keys are looked up among what they hold
    """

    def command(
        self, ruby: str, roots: list[str], outside: list[str], backups: list[str]
    ) -> StringCommand:
        return ruby_script(
            ruby,
            TREE
            + _SEARCH
            + UNDERSTANDING
            + r"""
sums = {}
ARGUMENTS[2].split("\n").each do |backup|
  held = files(tree("#{backup}/files", ''))
  say 'backup', backup unless held.empty?
  held.each { |_, sum| sums[sum] = true }
end
kinds = /\.(pem|crt|cert|cer|key|der|p12|pfx|ks|ts|jks|keystore|truststore)\z
  |\/(certs|private_keys)\/[^\/]*\z/ix
roots.each do |root|
  search(root, kinds) do |path, stat|
    next if stat.size >= 1048576
    say 'file', path, 'f', stat.size, '%.6f' % stat.mtime.to_f
    content = contents(path)
    say 'pem', path if content.include?('-----BEGIN ')
    if content.include?('-----BEGIN CERTIFICATE-----')
      certs = content.scan(/^-----BEGIN CERTIFICATE-----#{INSIDE}*?-----END CERTIFICATE-----/m)
      say 'text', path, certs.map { |pem| pem.delete("\0") + "\n" }.join
    end
    public = content[/^-----BEGIN (RSA )?PUBLIC KEY-----#{INSIDE}*?-----END \1?PUBLIC KEY-----/m]
    say 'public', path, public.delete("\0") + "\n" if public
    if content.include?('PRIVATE KEY-----')
      half = begin
        OpenSSL::PKey::RSA.new(content, '').public_key.to_pem
      rescue StandardError
        ''
      end
      say 'key', path, half
      say 'saved', path if sums[Digest::SHA256.hexdigest(content)]
    end
    next if content.include?('-----BEGIN ')
    certs, half, sealed = understood(content)
    say 'pem', path if half || !certs.empty?
    say 'text', path, certs.join unless certs.empty?
    say 'key', path, half if half
    say 'sealed', path if sealed
  end
end
""",
            "\n".join(outside),
            "\n".join(roots),
            "\n".join(backups),
        )

    def process(self, output: list[str]) -> FoundCredentials:
        records = read_answer(output)
        certificates: dict[str, str] = {}
        keys: dict[str, str] = {}
        public_keys: dict[str, str] = {}
        kinds = ("pem", "saved", "sealed", "unreadable", "backup")
        named: dict[str, set[str]] = {kind: set() for kind in kinds}
        for kind, path, *rest in records:
            if kind == "text":
                certificates[path] = rest[0]
            elif kind == "key":
                keys[path] = rest[0]
            elif kind == "public":
                public_keys[path] = rest[0]
            elif kind in named:
                named[kind].add(path)
        require_few(certificates_in(certificates.values()), MOST_OF_A_CA, "certificates")
        held = len(keys) + len(named["saved"]) + len(named["sealed"])
        require_few(held, MOST_CERTIFICATES, "private keys")
        return FoundCredentials(
            files=read_entries(records),
            certificates=certificates,
            keys=read_few_keys(keys),
            public_keys=read_few_keys(public_keys),
            pems=frozenset(named["pem"]),
            saved=frozenset(named["saved"]),
            backups=len(named["backup"]),
            sealed=frozenset(named["sealed"]),
            unreadable=frozenset(named["unreadable"]),
        )
