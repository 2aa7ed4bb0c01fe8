"""The proof: Puppet runs, everything is looked at, and who fails a check fails.

None of these is a change, so that a preview lists none and a run reports none.
"""

from __future__ import annotations

import time
from collections.abc import Generator

from pyinfra import host
from pyinfra.api import operation
from pyinfra.api.command import PyinfraCommand

from operations.hands import hands_of
from operations.on_agent import all_at_once
from operations.puppet_run import failure_of_run
from operations.services import RUN_LIMIT
from operations.step import step_failed
from procedures.agent import AgentFacts
from procedures.host import HostFacts
from procedures.run import run_of
from procedures.telling import first_of_a_kind, reason_of
from procedures.verification import Verification, verification_of
from recert.options import RunMode
from recert.preflight import MAX_CLOCK_SKEW
from recert.verification import RunSeen

Commands = Generator[PyinfraCommand, None, None]


@all_at_once
@operation()
def puppet_succeeds() -> Commands:
    """
    Run Puppet, or with `puppet_run=noop` without letting it change anything. With
    `puppet_run=last`, and at the end of a whole run, its last run is looked at.
    """
    if not host.state.is_executing:
        return
    verification = _verification()
    try:
        run = _last_run(verification) if verification.mode is RunMode.LAST else _run(verification)
    except Exception as error:
        run = RunSeen("ran Puppet", False, reason_of(error))
    verification.ran(host, run)
    host.noop("Puppet is no change of ours")
    yield from ()


@all_at_once
@operation()
def looked_at() -> Commands:
    """
    Look at every certificate, key and service of the host, and on the master try the services.
    """
    if not host.state.is_executing:
        return
    try:
        _verification().look(host)
    except Exception as error:
        yield step_failed(reason_of(error).splitlines())
    host.noop("looking changes nothing")


@all_at_once
@operation()
def orchestrated() -> Commands:
    """
    Ask on the master who answers in orchestration, and wait a while for those that have to.
    """
    if not host.state.is_executing:
        return
    _verification().ask_orchestration()
    host.noop("asking changes nothing")
    yield from ()


@all_at_once
@operation()
def passed() -> Commands:
    """
    Fail where a check has failed, naming what was found and what to do.
    """
    if not host.state.is_executing:
        return
    found = []
    checks, left_out = first_of_a_kind(_verification().failed_on(host), lambda check: check.about)
    for check in checks:
        found += [f"{check.about}: no.", f"  {check.saw}", f"  -> {check.remedy}"]
    found += [f"{about}: and {count} more" for about, count in left_out.items()]
    if found:
        yield step_failed(found)
    else:
        host.noop("every check of this host is passed")


def _verification() -> Verification:
    verification = verification_of(run_of(host.state))
    assert verification is not None
    return verification


def _run(verification: Verification) -> RunSeen:
    facts = verification.facts(host)
    conf = facts.settings
    options = ["--noop"] if verification.mode is RunMode.NOOP else []
    did = " ".join(["puppet agent --test", *options])
    began = time.monotonic()
    failure = _failure_of_run(facts, options)
    took = time.monotonic() - began
    if failure:
        return RunSeen(did, False, " ".join(failure[-3:]))
    if verification.mode is RunMode.REAL and not _succeeded(facts):
        return RunSeen(did, False, f"no success is noted in {conf.lastrunfile}")
    return RunSeen(did, True, f"it succeeded in {took:.0f} s")


def _failure_of_run(facts: HostFacts, options: list[str]) -> list[str]:
    """What a Puppet run of now says if it fails."""
    if isinstance(facts, AgentFacts):
        return hands_of(facts).failure_of_run(host, RUN_LIMIT, options)
    return failure_of_run(facts, host, RUN_LIMIT, options)


def _succeeded(facts: HostFacts) -> bool:
    facts.forget("agent")
    last = facts.agent.last_run
    return last is not None and last.succeeded


def _last_run(verification: Verification) -> RunSeen:
    facts = verification.facts(host)
    facts.forget("agent", "ssl")
    did = f"read {facts.settings.lastrunfile}"
    cert = facts.ssl.files.get(facts.paths(facts.settings.certname).certificate)
    last = facts.agent.last_run
    if last is None:
        return RunSeen(did, False, "it tells of no run")
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(last.time))
    if not last.succeeded:
        return RunSeen(did, False, f"the run of {when} {last.failure}")
    if last.time > time.time() + 2 * MAX_CLOCK_SKEW:
        return RunSeen(did, False, f"the run of {when} is still to come")
    if cert is None or last.was_before(cert.mtime):
        return RunSeen(did, False, f"the run of {when} was before the certificate was made")
    return RunSeen(did, True, f"a run succeeded at {when}")
