"""The Puppet run that ends step 5."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from facts.master import regeneration_of
from facts.preflight import warn_left_behind
from facts.puppet import UTF8_LOCALE
from operations.services import RUN_LIMIT
from operations.step import changing, show_diff, step_failed, wait_until

_RUN = (
    UTF8_LOCALE
    + r"""
puppet agent --test --waitforcert 0 --color=false </dev/null
status=$?
case $status in
    0|2) exit 0 ;;
    *) fail "The Puppet run on the master failed with status $status; its messages are above." ;;
esac
"""
)


@operation()
def run() -> Generator[PyinfraCommand, None, None]:
    """
    Kick off a Puppet run on the master, unless one has succeeded since its certificate was made
    (step 5). Only after it orchestration and ActiveMQ are configured for the new credentials.
    """
    regeneration = regeneration_of(host)
    facts, freshness = regeneration.facts, regeneration.freshness
    conf, last_run = facts.settings, facts.agent.last_run
    if freshness.run_due(last_run):
        before = "last run: none under this certificate"
        show_diff(host, "Puppet run", [before], ["last run: succeeded under the new CA"])

        # The agent service begins a run as soon as it is started, and two do not run at once.
        def no_run() -> bool:
            facts.forget("agent")
            return facts.agent.running is None

        yield wait_until(no_run, "the agent service's own run to end", RUN_LIMIT)
        if regeneration.freshness.run_due(facts.agent.last_run):
            yield changing(conf.confdir, _RUN)
        facts.forget("agent", "ssl")
        if regeneration.freshness.run_due(facts.agent.last_run):
            yield step_failed(
                [
                    "Puppet ended without an error, but its summary shows no successful run:",
                    conf.lastrunfile,
                ]
            )
    else:
        host.noop("a Puppet run has succeeded since the certificate was made")
    if host.state.is_executing:
        warn_left_behind(regeneration)
