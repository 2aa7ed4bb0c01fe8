"""Scripts for the Ruby that Puppet brings along on Windows.

cmd.exe tells the time of a file to the minute and as the country writes it, and prints names in
one of several code pages. Puppet's own Ruby, which is wherever Puppet is, knows all of that
better, can compute digests, and the public half of a key without the key leaving the host. The
script goes into the command line compressed and in base64, which no quoting can harm; the
answer comes back as the records of `facts.script`.
"""

from __future__ import annotations

import base64
import zlib
from itertools import islice

from pyinfra.api import StringCommand

from facts.few import MOST_TOLD, require_few
from facts.script import read_records
from recert.commandline import line, native

_PREAMBLE = r"""
$answer = ''.dup.force_encoding('BINARY')
def say(*fields)
  $answer << "#{fields.size}\0"
  fields.each { |field| $answer << field.to_s.dup.force_encoding('BINARY') << "\0" }
end
def entries(path)
  (Dir.entries(path, :encoding => 'UTF-8') - ['.', '..']).sort
end
def contents(path)
  File.open(path, 'rb') { |file| file.read }
end
def text(path)
  key = /-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\z)/m
  contents(path).gsub(key, '').delete("\0")
end
"""

_END = r"""
say 'end'
puts 'pe-recert:', [$answer].pack('m'), 'pe-recert.'
"""

TREE = r"""
require 'digest/sha2'
def tree(root, as)
  return {} unless File.exist?(root)
  return { as => Digest::SHA256.hexdigest(contents(root)) } unless File.directory?(root)
  entries(root).inject({ as => '-' }) do |all, name|
    all.merge(tree("#{root}/#{name}", "#{as}/#{name}"))
  end
rescue Errno::ENOENT # gone meanwhile
  {}
rescue SystemCallError
  { as => 'unreadable' }
end
def trees(pairs)
  pairs.inject({}) { |all, (root, as)| all.merge(tree(root, as)) }
end
def digest(tree)
  Digest::SHA256.hexdigest(tree.sort.map { |path, sum| "#{sum} #{path}\n" }.join)
end
def files(tree)
  tree.reject { |_, sum| sum == '-' }
end
"""
"""Everything at and below a path with the SHA-256 of each file, and one digest over all of it."""


def read_answer(output: list[str]) -> list[list[str]]:
    """The records that a `ruby_script` has told.

    :raises FactProcessError: the answer is damaged, was cut short, or tells of more than any host
        has.
    """
    records = list(islice(read_records(output), MOST_TOLD + 1))
    require_few(len(records), MOST_TOLD, "files, or things to tell of them")
    return records


def ruby_script(ruby: str, script: str, *arguments: str) -> StringCommand:
    """`script` run by the program `ruby`, its `ARGUMENTS` being `arguments`.

    :raises RecertError: it is too long for a command line.
    """
    packed = _packed("\0".join(arguments).encode("utf-8", "surrogateescape"))
    whole = (
        f"# encoding: utf-8\nARGUMENTS = unpacked('{packed}').split(\"\\0\", -1)\n"
        f"{_PREAMBLE}{script}{_END}"
    )
    unpack = "def unpacked(t) Zlib::Inflate.inflate(t.unpack('m')[0]).force_encoding('UTF-8') end"
    program = f"{unpack}; eval unpacked('{_packed(whole.encode())}')"
    # What another Ruby's installer has set for all of them would be loaded by this one, too.
    alone = (f"set {name}=" for name in ("RUBYOPT", "RUBYLIB"))
    return StringCommand(line(*alone, f'{native(ruby)} -rzlib -e "{program}"'))


def _packed(text: bytes) -> str:
    return base64.b64encode(zlib.compress(text, 9)).decode("ascii")
