"""A monolithic PE 3.8 master and its agents: as 3.7, with the dashboard's DH parameters.

Source: the document of that name, PE 3.8, which puts two files back into the directory that it has
emptied (since 3.8.1, before which there are none), and has nothing to say of node groups.
"""

from __future__ import annotations

from dataclasses import replace

from recert.deployments.model import Component, Extra
from recert.deployments.monolithic import document, title
from recert.deployments.pe_3_7 import PE_3_7

_DH = "/opt/puppet/share/puppet/modules/puppet_enterprise/files/console"
_SEAT = PE_3_7.master


def _with_dh_files(component: Component) -> Component:
    if component.title != "puppet-dashboard":
        return component
    extras = tuple(
        Extra(f"{name}_cert.pem", f"{_DH}/{name}.pem")
        for name in ("dhparam_puppetproxy", "dhparam_puppetdashboard")
    )
    return replace(component, extras=extras)


PE_3_8_0 = replace(
    PE_3_7,
    name="pe-3.8.0-mono",
    title=title("3.8.0"),
    document=document("3.8"),
    versions=("3.8.0",),
    puppet_versions=("3.8",),
    classifier=None,
)

PE_3_8 = replace(
    PE_3_8_0,
    name="pe-3.8-mono",
    title=title("3.8"),
    versions=tuple(f"3.8.{number}" for number in range(1, 10)),
    seats=(replace(_SEAT, components=tuple(map(_with_dh_files, _SEAT.components))),),
)
