"""The agent's files on Windows: its SSL directory, without the private key leaving the host, and
what its last run left."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pyinfra.api import FactBase, StringCommand

from facts.few import read_few_keys
from facts.numbers import count, file_time
from facts.proof import read_signatures
from facts.puppet import COMMAND_FAILED, REPORT, WENT_BY_CACHE, AgentState, read_summary
from facts.windows.ruby import read_answer, ruby_script
from recert.observed import FileState, LastRun, SslState


@dataclass(frozen=True)
class WindowsFiles:
    """`unreadable`: what the connected account may not read. `signatures`: see
    `facts.proof.KeyProof`."""

    ssl: SslState
    agent: AgentState
    unreadable: tuple[str, ...]
    signatures: tuple[bytes, ...] = ()


_LISTING = r"""
def list(path)
  stat = File.lstat(path)
  kind = stat.directory? ? 'd' : stat.symlink? ? 'l' : 'f'
  say 'file', path, kind, stat.size, '%.6f' % stat.mtime.to_f
  if kind == 'd'
    entries(path).each { |name| list("#{path}/#{name}") }
  elsif kind == 'f'
    File.open(path, 'rb') { |file| file.read(1) }
  end
rescue Errno::ENOENT # gone meanwhile
rescue SystemCallError
  say 'unreadable', path
end
"""


class WindowsDirectories(FactBase[dict[str, FileState]]):
    """
    Everything at and below some directories, by path.

    + ruby: Puppet's
    + roots: the directories
    """

    def command(self, ruby: str, roots: list[str]) -> StringCommand:
        script = "ARGUMENTS.each { |path| list(path) if File.exist?(path) }"
        return ruby_script(ruby, _LISTING + script, *roots)

    def process(self, output: list[str]) -> dict[str, FileState]:
        return read_entries(read_answer(output))


class WindowsAgentFiles(FactBase[WindowsFiles]):
    """
    What `facts.agent.AgentFiles` tells: everything below the SSL directories, the public files,
    the public halves of private keys, which Puppet's Ruby computes on the host, and the traces of
    the Puppet agent.

    + ruby: Puppet's
    + roots: directories to list
    + texts: public files to read
    + keys: private keys to compute the public half of
    + agent: `summary`, `catalog`, `disabled` and `lockfile`, Puppet's files
    + proof: words to be signed, and the private keys to do it with, as patterns; not asked if empty
    """

    def command(
        self,
        ruby: str,
        roots: list[str],
        texts: list[str],
        keys: list[str],
        agent: dict[str, str],
        proof: list[str] | None = None,
    ) -> StringCommand:
        return ruby_script(
            ruby,
            _LISTING
            + r"""
require 'openssl'
def alive?(number)
  Process.kill(0, number)
  true
rescue Errno::EPERM
  true
rescue StandardError
  false
end
roots, texts, keys, traces, marks, proof = ARGUMENTS.map { |group| group.split("\n") }
roots.each { |path| list(path) if File.exist?(path) }
texts.each { |path| say 'text', path, text(path) if File.file?(path) && File.readable?(path) }
keys.select { |path| File.exist?(path) }.each do |path|
  half = begin
    OpenSSL::PKey::RSA.new(contents(path), '').public_key.to_pem
  rescue StandardError
    ''
  end
  say 'key', path, half
end
summary, catalog, disabled, lockfile = traces
report, command_failed, *went_by_cache = marks
if File.file?(summary)
  say 'summary', text(summary)
  report = "#{File.dirname(summary)}/#{report}"
  said = File.file?(report) && File.mtime(report) >= File.mtime(summary) ? text(report) : ''
  say 'cached' if went_by_cache.any? { |words| said.include?(words) }
  setting = said[/#{command_failed}(p\w+)/, 1]
  say 'failed', setting if setting
end
if File.file?(catalog)
  stat = File.stat(catalog)
  say 'catalog', stat.size, '%.6f' % stat.mtime.to_f
end
say 'disabled', text(disabled) if File.file?(disabled)
if File.file?(lockfile)
  number = text(lockfile)[/\A\s*(\d+)\s*\z/, 1].to_i
  say 'running', number if number > 0 && alive?(number)
end
words, *signing = proof
Dir.glob(signing).each do |path|
  begin
    key = OpenSSL::PKey::RSA.new(contents(path), '')
    say 'signature', [key.sign(OpenSSL::Digest::SHA256.new, words)].pack('m')
  rescue StandardError
    next
  end
end
""",
            "\n".join(roots),
            "\n".join(texts),
            "\n".join(keys),
            "\n".join(agent[name] for name in ("summary", "catalog", "disabled", "lockfile")),
            "\n".join((REPORT, COMMAND_FAILED, *WENT_BY_CACHE)),
            "\n".join(proof or []),
        )

    def process(self, output: list[str]) -> WindowsFiles:
        records = read_answer(output)
        texts: dict[str, str] = {}
        keys: dict[str, str] = {}
        last_run: LastRun | None = None
        catalog: FileState | None = None
        disabled: str | None = None
        running: int | None = None
        unreadable: list[str] = []
        for kind, *fields in records:
            if kind == "text":
                texts[fields[0]] = fields[1]
            elif kind == "key":
                keys[fields[0]] = fields[1]
            elif kind == "unreadable":
                unreadable.append(fields[0])
            elif kind == "summary":
                last_run = read_summary(fields[0])
            elif kind == "cached" and last_run is not None:
                last_run = replace(last_run, succeeded=False, cached=True)
            elif kind == "failed" and last_run is not None:
                last_run = replace(last_run, succeeded=False, command=fields[0])
            elif kind == "catalog":
                catalog = FileState("f", 0, "", "", count(fields[0]), file_time(fields[1]))
            elif kind == "disabled":
                disabled = fields[0]
            elif kind == "running":
                running = count(fields[0])
        return WindowsFiles(
            SslState(read_entries(records), texts, read_few_keys(keys)),
            AgentState(last_run, catalog, disabled, running),
            tuple(unreadable),
            tuple(read_signatures(records)),
        )


def read_entries(records: list[list[str]]) -> dict[str, FileState]:
    """What the records `file` tell, by path."""
    files = {}
    for record in records:
        if record[0] == "file":
            _, path, kind, size, mtime = record
            files[path] = FileState(kind, 0, "", "", count(size), file_time(mtime))
    return files
