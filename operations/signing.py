"""Step 6.7 on the master: what many agents ask for is compared and signed at once."""

from __future__ import annotations

import hashlib
import time
from weakref import WeakKeyDictionary

from pyinfra.api import Host, StringCommand
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, ConnectorArguments, pop_global_arguments
from pyinfra.connectors.util import CommandOutput

from facts.puppet import UTF8_LOCALE
from facts.ssl import PemFiles
from operations.services import ANSWER_LIMIT, SERVICE_CHANGES
from operations.step import changing
from procedures.host import ask
from procedures.outcomes import outcomes_of
from procedures.renewal import renewals
from procedures.site import Site
from recert.layout import MASTER_SERVICE
from recert.outcomes import ForeignRequest
from recert.signing import Application, Authority, Judgement, Verdict, judge

BATCH = 100
"""Names to one `puppet cert`."""

# Between the comparison and the signature nobody may have put another request there.
_SIGN = (
    UTF8_LOCALE
    + r"""
csrdir=$1 option=$2; shift 2
count=$#
while [ "$count" -gt 0 ]; do
    sum=$1 name=$2; shift 2; count=$((count - 2))
    if [ "$(sha256sum <"$csrdir/$name.pem" | cut -d' ' -f1)" = "$sum" ]; then set -- "$@" "$name"
    else echo "The request of $name is not the one that was looked at." >&2
    fi
done
[ "$#" -gt 0 ] || exit 0
puppet cert sign $option --color=false "$@" </dev/null
"""
)


_CLEAN = UTF8_LOCALE + 'puppet cert clean --color=false "$@" </dev/null'


def connection(host: Host) -> ConnectorArguments:
    """How commands run on a host that is not the one whose operation this is: as root, if its
    data or the command line say so."""
    arguments, _ = pop_global_arguments(host.state, host, {})
    return {key: arguments[key] for key in CONNECTOR_ARGUMENT_KEYS if key in arguments}  # type: ignore[return-value, literal-required]


def run_on(host: Host, command: StringCommand) -> tuple[bool, CommandOutput]:
    """Run a command there and give back what it printed."""
    result: tuple[bool, CommandOutput] = command.execute(host.state, host, connection(host))
    return result


def judge_and_sign(site: Site, host_name: str) -> tuple[Judgement, bool]:
    """The judgement over an agent's request, and whether it was signed just now.

    The first agent that comes has all that wait signed with its own; those that come
    later, where agents are not worked on together, make another round.

    :raises DeployError: the master does not answer.
    """
    with site.exclusively():
        if host_name not in _judged.setdefault(site, {}):
            _judged[site].update(_sign_round(site))
        return _judged[site][host_name]


_judged: WeakKeyDictionary[Site, dict[str, tuple[Judgement, bool]]] = WeakKeyDictionary()


def _sign_round(site: Site) -> dict[str, tuple[Judgement, bool]]:
    site.forget_authority()
    authority = site.authority()
    outcomes_of(site).foreign = tuple(
        ForeignRequest(name, request.digest if (request := authority.request(name)) else None)
        for name in authority.requesting
        if not site.has_certname(name)
    )
    applications = {
        host.name: renewal.application
        for host, renewal in renewals(site)
        if renewal.application is not None and host.name not in _judged.get(site, {})
    }
    judgements = {name: judge(found, authority) for name, found in applications.items()}
    results = {name: (judgement, False) for name, judgement in judgements.items()}
    # One start of Puppet for all: who has alternative names was judged for each.
    due = {name: applications[name] for name, found in judgements.items() if found.may_be_signed}
    verdicts = {found.verdict for found in judgements.values()}
    option = "--allow-dns-alt-names" if Verdict.SIGN_WITH_ALT_NAMES in verdicts else ""
    problems = _sign(site, authority, list(due.values()), option)
    for name, application in due.items():
        why = problems.get(application.certname)
        if why is None:
            results[name] = (Judgement(Verdict.SIGNED), True)
        else:
            results[name] = (Judgement(Verdict.FAILED, why), False)
    return results


def _sign(
    site: Site, authority: Authority, applications: list[Application], option: str
) -> dict[str, str]:
    """Sign these, a hundred to one start of Puppet, and say of which that was not possible, by
    certname, and why.

    `puppet cert sign` stops at the first that it cannot sign, so what comes after that one is
    tried again.
    """
    conf = site.view().facts.settings
    problems: dict[str, str] = {}
    todo = list(applications)
    while todo:
        batch = todo[:BATCH]
        words = []
        for application in batch:
            pem = authority.request_pem(application.certname) or ""
            words += [hashlib.sha256(pem.encode()).hexdigest(), application.certname]
        _, output = run_on(
            site.master, changing(conf.confdir, _SIGN, conf.csrdir, option, *words, limit=600)
        )
        names = [application.certname for application in batch]
        pems = ask(site.master, PemFiles, directory=conf.signeddir, names=names)
        site.learn_signed(pems)
        unsigned = []
        for application in batch:
            cert = site.authority().signed(application.certname)
            if cert is None:
                unsigned.append(application)
            elif cert.key != application.key:
                problems[application.certname] = (
                    f"The master has signed another key under {application.certname}. Revoke it at "
                    f"once: puppet cert clean {application.certname}"
                )
        for application in unsigned[:1]:
            said = [line for line in output.stderr_lines if line.strip()]
            problems[application.certname] = "\n".join(
                [f"The master did not sign {application.certname}:", *said[:4]]
            )
        todo = unsigned[1:] + todo[BATCH:]
    return problems


def clean_all(site: Site) -> str | None:
    """Revoke and remove on the master what is to be retired of this run's agents, and have it
    honour that, which a running master does only after a restart; what went wrong, None if
    nothing did. The first agent that comes does it for all.

    :raises DeployError: the master does not answer.
    """
    return site.once("cleaned", lambda: _clean_round(site))


def _clean_round(site: Site) -> str | None:
    facts = site.view().facts
    conf = facts.settings
    taking_part = {renewal.facts.settings.certname for _, renewal in renewals(site)}
    names = [name for name in site.authority().retired_names if name in taking_part]
    site.cleaned = frozenset(names)
    for start in range(0, len(names), BATCH):
        ok, output = run_on(
            site.master,
            changing(conf.confdir, _CLEAN, *names[start : start + BATCH], limit=600),
        )
        if not ok:
            return "\n".join(output.stderr_lines[-6:])
    ok, output = run_on(
        site.master,
        changing(
            conf.confdir,
            SERVICE_CHANGES
            + r"""
cp "$1" "$2" && chown "$3" "$2" || fail "The CRL could not be copied to $2."
stop "$4"
start "$4"
""",
            conf.cacrl,
            conf.hostcrl,
            f"{conf.user}:{conf.group}",
            MASTER_SERVICE,
            limit=900,
        ),
    )
    if not ok:
        return "\n".join(output.stderr_lines[-6:])
    facts.forget("ssl")
    end = time.monotonic() + ANSWER_LIMIT
    while time.monotonic() < end:
        facts.forget("presented")
        if facts.presented is not None:
            break
        time.sleep(0.5)
    site.forget_authority()
    return site.ca_problem(site.view())
