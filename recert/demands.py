"""What a request asks its certificate to say beside its name and key: extensions, of any arc.

Puppet puts those of its own arc into the certificate, where they are `trusted.extensions` of every
catalog; which others it takes, its version decides. Attributes of a request that are no request
for extensions are in no certificate. Source: "SSL Configuration: CSR Attributes and Certificate
Extensions", Puppet 3.7, and `Puppet::SSL::Oids`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509

_ARC = "1.3.6.1.4.1.34380.1"
_REGISTERED = (
    *("pp_uuid", "pp_instance_id", "pp_image_name", "pp_preshared_key", "pp_cost_center"),
    *("pp_product", "pp_project", "pp_application", "pp_service", "pp_employee", "pp_created_by"),
    *("pp_environment", "pp_role", "pp_software_version", "pp_department", "pp_cluster"),
    *("pp_provisioner", "pp_region", "pp_datacenter", "pp_zone", "pp_network"),
    *("pp_securitypolicy", "pp_cloudplatform", "pp_apptier", "pp_hostname"),
)
_NAMES = {f"{_ARC}.1.{number}": name for number, name in enumerate(_REGISTERED, 1)} | {
    f"{_ARC}.3.1": "pp_authorization",
    f"{_ARC}.3.13": "pp_auth_role",
}

_STRINGS = frozenset({0x0C, 0x13, 0x16})
"""Tags of DER: UTF8String, PrintableString, IA5String."""


@dataclass(frozen=True, order=True)
class Demand:
    """One extension: its number, and its value for a person to read, by which two are compared.

    Puppet 3 writes a bare text where later ones write a string of DER; both read the same.
    """

    number: str
    value: str

    def __str__(self) -> str:
        name = _NAMES.get(self.number) or _standard_name(self.number)
        return f"{name} = {self.value}" if name else f"{self.number} = {self.value}"


def demands_of(extensions: Iterable[x509.Extension[x509.ExtensionType]]) -> frozenset[Demand]:
    """All of a request or certificate, but the alternative names, which are judged by themselves.

    :raises ValueError: one cannot be written as it was read.
    """
    return frozenset(
        Demand(found.oid.dotted_string, _value(found.value))
        for found in extensions
        if not isinstance(found.value, x509.SubjectAlternativeName)
    )


def _value(value: x509.ExtensionType) -> str:
    if not isinstance(value, x509.UnrecognizedExtension):
        return repr(value)
    text = value.value
    if len(text) > 1 and text[0] in _STRINGS:
        if text[1] == len(text) - 2 < 0x80:
            text = text[2:]
        elif len(text) > 2 and text[1:3] == bytes([0x81, len(text) - 3]):
            text = text[3:]
    try:
        return repr(text.decode())
    except UnicodeDecodeError:
        return f"0x{value.value.hex()}"


def _standard_name(number: str) -> str | None:
    name: str = x509.ObjectIdentifier(number)._name
    return None if name == "Unknown OID" else name
