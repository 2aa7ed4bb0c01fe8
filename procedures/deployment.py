"""Which deployment a host is of, asked once."""

from __future__ import annotations

from pyinfra.api import Host
from pyinfra.api.exceptions import DeployError, PyinfraError

from facts.deployment import DeploymentSigns
from procedures.host import ask
from procedures.options import options_of
from procedures.run import Run, run_of
from procedures.seats import the_master
from recert.deployments.known import DEPLOYMENTS, NEWEST, of_program
from recert.deployments.model import Deployment
from recert.deployments.recognition import recognised
from recert.errors import RecertError


def _found(_: Run) -> dict[str, Deployment]:
    """By host."""
    return {}


def deployment_of_master(master: Host) -> Deployment:
    """The shape of the site whose master that is.

    :raises DeployError: it is none that is known, or may be several.
    """
    found = run_of(master.state).part(_found)
    if master.name not in found:
        signs = ask(
            master,
            DeploymentSigns,
            files=sorted({one.version_file for one in DEPLOYMENTS if one.version_file}),
            directories=sorted({one.sign for one in DEPLOYMENTS}),
            accounts=sorted({one.account for one in DEPLOYMENTS}),
        )
        try:
            named = options_of(master).deployment
            found[master.name] = recognised(signs, DEPLOYMENTS, named, master.name)
        except RecertError as error:
            raise DeployError(str(error)) from error
    return found[master.name]


def deployment_of_agent(agent: Host, program: str | None) -> Deployment:
    """The shape whose agents are like this one: agents may be of another generation than their
    master.

    :param program: its `puppet`; None where that says nothing.
    :raises DeployError: the inventory has no master, or several.
    """
    found = run_of(agent.state).part(_found)
    if agent.name not in found:
        own, master = of_program(program or ""), the_master(agent)
        if own is None and master in master.state.failed_hosts and master.name not in found:
            return NEWEST  # asked by each agent, one that is off would be connected to for each
        try:
            found[agent.name] = own or deployment_of_master(master)
        except (PyinfraError, OSError):
            # A master that is off, or none that is known here, keeps nobody from looking at an
            # agent. Not noted: what is to be changed on it goes by what its master turns out to be.
            return NEWEST
    return found[agent.name]


def known_deployment(host: Host) -> Deployment:
    """The same of a host that may not have answered: its site's then, as far as that is known."""
    found = run_of(host.state).part(_found)
    return found.get(host.name) or found.get(the_master(host).name) or DEPLOYMENTS[0]
