"""Credentials in the agent's ssldir on Windows under other names than Puppet's own."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.others import LOOKING, read_strays
from facts.windows.ruby import read_answer, ruby_script
from recert.others import Stray

_BELOW = r"""
def below(path)
  return [path] unless File.directory?(path)
  entries(path).map { |name| below("#{path}/#{name}") }.flatten
rescue SystemCallError
  []
end
roots, own = ARGUMENTS.map { |group| group.split("\n") }
look(roots.map { |root| File.exist?(root) ? below(root) : [] }.flatten, own, [])
"""


class WindowsStrayCredentials(FactBase[list[Stray]]):
    """
    What `facts.others.StrayCredentials` tells.

    + ruby: Puppet's
    + roots: the directories
    + own: files of the names that are Puppet's own there
    """

    def command(self, ruby: str, roots: list[str], own: list[str]) -> StringCommand:
        return ruby_script(ruby, LOOKING + _BELOW, "\n".join(roots), "\n".join(own))

    def process(self, output: list[str]) -> list[Stray]:
        return read_strays(read_answer(output))
