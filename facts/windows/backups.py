"""The backups that the suite has made on a Windows host."""

from __future__ import annotations

from dataclasses import dataclass

from pyinfra.api import FactBase, StringCommand

from facts.backups import BackupStore
from facts.few import MOST_BACKUPS, require_few
from facts.numbers import count
from facts.windows.ruby import TREE, read_answer, ruby_script
from recert.backups import Backup, read_manifest


@dataclass(frozen=True)
class WindowsBackupStore(BackupStore):
    """`live`: one digest over what a backup would hold now; a backup is valid as long as the
    same digest over its copies is the one in its manifest."""

    live: str = ""


class WindowsBackups(FactBase[WindowsBackupStore]):
    """
    Every finished backup below a directory, and how it stands to the live files, as
    `facts.backups.Backups` has them. A backup is a directory with copies: `files/0` is what
    lay at the manifest's first path, and so on.

    + ruby: Puppet's
    + root: where the backups are
    + paths: the live directories
    """

    def command(self, ruby: str, root: str, paths: list[str]) -> StringCommand:
        return ruby_script(
            ruby,
            TREE
            + r"""
require 'json'
root, paths = ARGUMENTS[0], ARGUMENTS[1].split("\n")
stopped = "#{root}/stopped"
say 'stopped', text(stopped) if File.file?(stopped)
found = File.directory?(root) ? entries(root) : []
own = found.grep(/\A(stopped|consent|run\.log|\.?[0-9]+T[0-9]+Z-.*)\z/)
say 'beside', own.empty? ? found.first(5).map { |name| "#{root}/#{name}" }.join("\n") : ''
live = trees(paths.map { |path| [path, path] })
say 'live', digest(live)
saved = {}
found.each do |name|
  manifest = "#{root}/#{name}/manifest.json"
  next if name[0, 1] == '.' || !File.file?(manifest)
  begin
    values = JSON.parse(text(manifest).force_encoding('UTF-8'))
    copies = values['paths'].each_with_index.map { |path, i| ["#{root}/#{name}/files/#{i}", path] }
    held = trees(copies)
    valid = digest(held) == values['archive_sha256']
  rescue StandardError
    held, valid = {}, false
  end
  saved.merge!(files(held)) { |_, a, b| [a, b].flatten } if valid
  uncovered = files(live).reject { |path, sum| held[path] == sum }.size
  say 'backup', name, text(manifest), valid, uncovered, held != live
end
say 'unsaved', files(live).reject { |path, sum| [saved[path]].flatten.include?(sum) }.size
""",
            root,
            "\n".join(paths),
        )

    def process(self, output: list[str]) -> WindowsBackupStore:
        backups: list[Backup] = []
        values = {"stopped": "", "live": "", "unsaved": "0", "beside": ""}
        for record in read_answer(output):
            if record[0] != "backup":
                values[record[0]] = record[1]
                continue
            _, name, text, valid, uncovered, differs = record
            require_few(len(backups) + 1, MOST_BACKUPS, "backups")
            manifest = read_manifest(text)
            if manifest is not None:
                backups.append(
                    Backup(
                        name=name,
                        manifest=manifest,
                        valid=valid == "true",
                        uncovered=count(uncovered),
                        differs=differs == "true",
                    )
                )
        return WindowsBackupStore(
            backups=tuple(backups),
            classified=frozenset(),
            unsaved=count(values["unsaved"]),
            stopped=frozenset(values["stopped"].split()),
            beside=tuple(values["beside"].splitlines()),
            live=values["live"],
        )
