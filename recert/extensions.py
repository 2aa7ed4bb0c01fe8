"""The extensions that Puppet puts into certificates, `trusted.extensions` of a catalog: what a
certificate has, and what `csr_attributes.yaml` would have a request carry.

The file is made for a node's installation and usually gone by the time of its next certificate,
which Puppet then makes without. Source: "SSL Configuration: CSR Attributes and Certificate
Extensions", Puppet 3.7, and `Puppet::SSL::Oids`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import yaml
from cryptography import x509

from recert.plain_yaml import UnreadableError, read_plain_yaml

ARC = "1.3.6.1.4.1.34380.1"
"""Puppet's own; its CA signs no other extension that a request asks for."""

FILE = "csr_attributes.yaml"
MARK = "# Of pe-recert, which removes this file once the request is made."

_REGISTERED = (
    *("pp_uuid", "pp_instance_id", "pp_image_name", "pp_preshared_key", "pp_cost_center"),
    *("pp_product", "pp_project", "pp_application", "pp_service", "pp_employee", "pp_created_by"),
    *("pp_environment", "pp_role", "pp_software_version", "pp_department", "pp_cluster"),
    *("pp_provisioner", "pp_region", "pp_datacenter", "pp_zone", "pp_network"),
    *("pp_securitypolicy", "pp_cloudplatform", "pp_apptier", "pp_hostname"),
)
NAMES = {f"{ARC}.1.{number}": name for number, name in enumerate(_REGISTERED, 1)} | {
    f"{ARC}.3.1": "pp_authorization",
    f"{ARC}.3.13": "pp_auth_role",
}
_NUMBERS = {name: number for number, name in NAMES.items()}

_STRINGS = frozenset({0x0C, 0x13, 0x16})
"""Tags of DER: UTF8String, PrintableString, IA5String."""


def puppets_extensions(extensions: Iterable[x509.Extension[x509.ExtensionType]]) -> dict[str, str]:
    """The values of Puppet's own, by number."""
    return {
        found.oid.dotted_string: text_in(found.value.value).decode("utf-8", "backslashreplace")
        for found in extensions
        if found.oid.dotted_string.startswith(f"{ARC}.")
        and isinstance(found.value, x509.UnrecognizedExtension)
    }


def text_in(value: bytes) -> bytes:
    """An extension's text: Puppet 3 writes it bare, later ones as a string of DER."""
    if len(value) > 1 and value[0] in _STRINGS:
        if value[1] == len(value) - 2 < 0x80:
            return value[2:]
        if len(value) > 2 and value[1:3] == bytes([0x81, len(value) - 3]):
            return value[3:]
    return value


def requested_extensions(text: str) -> dict[str, str] | None:
    """What a request will carry that is made beside this `csr_attributes.yaml`, by number; None
    where Puppet could not read it.

    :param text: the file, as far as it is about extensions.
    """
    try:
        found = read_plain_yaml(text) or {}
    except UnreadableError:
        return None
    wanted = found.get("extension_requests") if isinstance(found, dict) else found
    if wanted is None:
        return {}
    if not isinstance(wanted, dict):
        return None
    if any(isinstance(value, (list, dict, set)) for value in wanted.values()):
        return None
    return {_NUMBERS.get(str(name), str(name)): _as_ruby(v) for name, v in wanted.items()}


def _as_ruby(value: object) -> str:
    """As Puppet writes a scalar into a request."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def missing(had: Mapping[str, str], carried: Mapping[str, str]) -> dict[str, str]:
    """Those that get lost, or another value."""
    return {number: value for number, value in had.items() if carried.get(number) != value}


def named(extensions: Mapping[str, str]) -> str:
    """For a person."""
    return ", ".join(
        f"{NAMES.get(number, number)}={value}" for number, value in sorted(extensions.items())
    )


def csr_attributes(extensions: Mapping[str, str]) -> str:
    """A file that has a request carry these."""
    # Numbers: which names a Puppet knows, its version decides. Quoted, each in one line of ASCII:
    # Ruby reads `:web`, `1,000` or `2015-1-1` as something else than text, and PyYAML does not.
    wanted = yaml.safe_dump(
        {"extension_requests": dict(extensions)},
        default_flow_style=False,
        default_style='"',
        width=float("inf"),
    )
    return f"{MARK}\n{wanted}"


def carried(files: list[str]) -> dict[str, str] | None:
    """What a request on a host will carry.

    :param files: its own csr_attributes.yaml, if there is one.
    """
    return requested_extensions(files[0]) if files else {}


def loss_refusals(
    had: Mapping[str, str], files: list[str], path: str, closed: Iterable[str] = ()
) -> list[str]:
    """What forbids making a certificate anew: that it would lack extensions which cannot be put
    back, because the host has a csr_attributes.yaml that does not ask for them, or takes none.

    :param had: those of its old certificate. `files`: see `carried`.
    :param closed: why no file can be made where that one would be.
    """
    asked = carried(files)
    if asked is None:
        return [
            f"{path} is not a csr_attributes.yaml that Puppet could read, so that no request can "
            "be made beside it. Correct it, or move it away."
        ]
    lost = missing(had, asked)
    if lost and not files:
        return [
            f"Its certificate has the extensions {named(lost)}, which are put back by {path} while "
            f"the new one is asked for, and that cannot be made: {why}"
            for why in closed
        ]
    if not lost:
        return []
    return [
        f"Its certificate has the extensions {named(lost)}, which its {path} does not ask for: the "
        "new one would be without. Add them there, or move the file away for them to be put back."
    ]
