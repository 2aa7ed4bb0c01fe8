"""What the steps on an agent type there: the same steps, in the language of either kind of host."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from typing import Any, Protocol

from pyinfra.api import Host
from pyinfra.api.command import PyinfraCommand

from operations.posix import PosixHands
from operations.signing import Heard
from operations.windows import WindowsHands
from procedures.agent import AgentFacts
from procedures.windows import WindowsAgentFacts
from recert.backups import Backup, Manifest
from recert.freshness import CredentialPaths

Commands = Generator[PyinfraCommand, None, None]


class Hands(Protocol):
    """Each method gives the commands that make one change, or wait for one; after them the facts
    tell what has come of it, except that of services and after `remove`. `limit`: seconds after
    which nobody waits for a command any more."""

    def archive(self, name: str, manifest: Manifest, limit: int) -> Commands:
        """Make the backup `name` of what `manifest` names, or leave none."""

    def unpack(self, backup: Backup, limit: int) -> Commands:
        """Make the directories of a backup what they were."""

    def stop(self, service: str, limit: int) -> Commands:
        """Stop a service, and remember beside the backups that it ran."""

    def start(
        self, services: Iterable[str], later: Iterable[str], again: Iterable[str], limit: int
    ) -> Commands:
        """Start services, and remember of what was stopped only those that start later.

        :param again: those that are stopped first, should anything have started them; each of them
            is among the services or among the later ones.
        """

    def empty_ssldir(self, stay: Iterable[str], limit: int) -> Commands:
        """Delete everything in ssldir but the files that stay, and itself where nothing is against
        that."""

    def remove(self, paths: Iterable[str], limit: int) -> Commands:
        """Remove files."""

    def place_ca(self, pem: str | None, limit: int) -> Commands:
        """Put the CA's certificate where the agent looks for it. `pem` is not yet known in a
        preview."""

    def ask_for_certificate(
        self,
        own: CredentialPaths,
        signs_itself: bool,
        limit: int,
        heard: Heard,
        attributes: str = "",
        alt_names: tuple[str, ...] = (),
    ) -> Commands:
        """Have Puppet make a key and a request, and send that.

        :param signs_itself: whether the master does, so that Puppet goes on to its first run.
        :param heard: told what Puppet has printed.
        :param attributes: a csr_attributes.yaml to have there meanwhile; empty for none.
        :param alt_names: to ask for in the place of those of puppet.conf; empty for these.
        """

    def await_first_run(self, certificate: str, begin: int, limit: int) -> Commands:
        """Wait until the run that the service begins has ended, if one does. After that facts tell
        of services, too.

        :param certificate: the agent's; a run counts that has ended since it was made.
        :param begin: seconds in which it begins.
        """

    def run_puppet(self, limit: int) -> Commands:
        """One Puppet run; `limit` also for a run in progress, which is let end first."""

    def failure_of_run(self, host: Host, limit: int, options: list[str]) -> list[str]:
        """Run Puppet at once and give back what it says if that fails.

        :param options: more ones for `puppet agent --test`.
        """


_HANDS: Mapping[type[AgentFacts], Callable[[Any], Hands]] = {
    AgentFacts: PosixHands,
    WindowsAgentFacts: WindowsHands,
}


def hands_of(facts: AgentFacts) -> Hands:
    """Those for the host that `facts` are of."""
    return _HANDS[type(facts)](facts)
