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

from recert.extensions import NAMES, text_in


@dataclass(frozen=True, order=True)
class Demand:
    """One extension: its number, and its value for a person to read, by which two are compared.

    Puppet 3 writes a bare text where later ones write a string of DER; both read the same.
    """

    number: str
    value: str

    def __str__(self) -> str:
        name = NAMES.get(self.number) or _standard_name(self.number)
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
    try:
        return repr(text_in(value.value).decode())
    except UnicodeDecodeError:
        return f"0x{value.value.hex()}"


def _standard_name(number: str) -> str | None:
    name: str = x509.ObjectIdentifier(number)._name
    return None if name == "Unknown OID" else name
