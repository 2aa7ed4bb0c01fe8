"""What of `csr_attributes.yaml` on Windows is about extensions: the rest of it may be secret."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.windows.ruby import read_answer, ruby_script
from recert.extensions import MARK

_READ = r"""
path, mark = ARGUMENTS
if File.file?(path)
  lines = text(path).split(/\r?\n/)
  inside = false
  wanted = lines.select do |line|
    inside = !(line =~ /\A["']?extension_requests/).nil? if line =~ /\A[^ \t#-]/
    inside || line =~ /\A\{/
  end
  # All in one line: with what may be secret it is not told, and so cannot be read.
  wanted.map! { |line| line =~ /\A\{.*custom_attributes/ ? '{' : line }
  say 'attributes', wanted.join("\n") unless lines.first == mark
end
"""


class WindowsCsrAttributes(FactBase[list[str]]):
    """
    What `facts.attributes.CsrAttributes` tells.

    + ruby: Puppet's
    + path: the file
    """

    def command(self, ruby: str, path: str) -> StringCommand:
        return ruby_script(ruby, _READ, path, MARK)

    def process(self, output: list[str]) -> list[str]:
        return [record[1] for record in read_answer(output)]
