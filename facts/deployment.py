"""What a host shows of which deployment it is."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.script import read_records, record_script
from recert.deployments.recognition import Signs


class DeploymentSigns(FactBase[Signs]):
    """
    The versions that the host's own files name, which directories and accounts there are, and
    Puppet's version.

    + files: that may name a version
    + directories: to look for
    + accounts: to look for

    .. code:: python

        Signs(
            versions={"/opt/puppet/pe_version": "3.7.2"},
            directories=frozenset({"/opt/puppet"}),
            puppet="3.7.4",
            accounts=frozenset({"pe-puppet"}),
        )
    """

    def command(
        self, files: list[str], directories: list[str], accounts: list[str]
    ) -> StringCommand:
        return record_script(
            r"""
count=$1; shift
while [ "$count" -gt 0 ]; do
    [ ! -s "$1" ] || say version "$1" "$(head -c 100 "$1")"
    shift; count=$((count - 1))
done
count=$1; shift
while [ "$count" -gt 0 ]; do
    [ ! -d "$1" ] || say directory "$1"
    shift; count=$((count - 1))
done
for account; do ! id "$account" >/dev/null 2>&1 || say account "$account"; done
say puppet "$(ruby -e 'require "puppet/version"; print Puppet.version' 2>/dev/null </dev/null)"
""",
            str(len(files)),
            *files,
            str(len(directories)),
            *directories,
            *accounts,
        )

    def process(self, output: list[str]) -> Signs:
        records = list(read_records(output))
        return Signs(
            versions={r[1]: r[2].strip() for r in records if r[0] == "version" and r[2].strip()},
            directories=frozenset(r[1] for r in records if r[0] == "directory"),
            puppet=next((r[1].strip() for r in records if r[0] == "puppet"), ""),
            accounts=frozenset(r[1] for r in records if r[0] == "account"),
        )


class PuppetProgram(FactBase[str]):
    """
    Where the host's `puppet` is; empty if there is none.
    """

    def command(self) -> StringCommand:
        return record_script('say program "$(command -v puppet)"')

    def process(self, output: list[str]) -> str:
        return next((record[1] for record in read_records(output)), "")
