"""What a Puppet Server is configured to do with credentials, and what of it nobody here does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from recert.freshness import CredentialPaths
from recert.settings import CREDENTIAL_SETTINGS, WRITTEN_BESIDE, Settings


@dataclass(frozen=True)
class ServerConfiguration:
    """`credentials`: by file, the settings there that name a certificate, a key or a list of
    revocations. `ca_disabled`: the file that says that the CA's service is not to run; empty if
    none does. `allows_alt_names`: whether the CA signs requests with alternative names.
    `infra_crl`: the file that has the CA keep a second list, for servers alone."""

    credentials: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ca_disabled: str = ""
    allows_alt_names: bool = True
    infra_crl: str = ""


def server_refusals(found: ServerConfiguration, conf: Settings) -> list[str]:
    """What keeps a regeneration from being all that the server needs."""
    refusals = []
    if found.ca_disabled:
        refusals.append(
            f"{found.ca_disabled} has the CA's service disabled: this server has its certificates "
            "from a CA elsewhere, or from one that is none of Puppet's. Regenerate where the CA "
            "is; one that is none of Puppet's cannot be regenerated with it."
        )
    paths = CredentialPaths.of(conf, conf.certname)
    own = {paths.certificate, paths.private_key, conf.localcacert, conf.hostcrl}
    own |= {conf.cacert, conf.cacrl}
    for file, settings in sorted(found.credentials.items()):
        for name, path in sorted(settings.items()):
            if path not in own:
                refusals.append(
                    f"{file} says {name} = {path}, which is none of Puppet's own files: nobody "
                    "would make it anew, and its service would go on with what it has of the CA "
                    f"to retire. Name Puppet's own ({', '.join(sorted(own))}) there, and see that "
                    "the service may read them."
                )
    if found.infra_crl:
        refusals.append(
            f"{found.infra_crl} says enable-infra-crl: true. The names in infra_inventory.txt "
            "would be gone with the CA. Take that line away, and put the names and the line back "
            "after the regeneration."
        )
    return refusals


def blank_refusals(conf: Settings) -> list[str]:
    """Paths that `puppetserver ca` would cut short: it takes a value for what is before a blank,
    and would write a CA's key to wherever that is."""
    names = ("confdir", "ssldir", "cadir", *CREDENTIAL_SETTINGS, "csr_attributes", *WRITTEN_BESIDE)
    return [
        f"{name} is {path!r}: the CA's program reads no more of that than what is before the "
        "blank. Choose a path without one."
        for name in names
        if len((path := str(getattr(conf, name))).split()) > 1
    ]


def alt_name_refusals(found: ServerConfiguration, alt_names: Iterable[str]) -> list[str]:
    """A request that the server's CA would not sign.

    :param alt_names: those that it is going to carry besides the node's own name.
    """
    if found.allows_alt_names or not (names := sorted(alt_names)):
        return []
    return [
        f"Its request would carry the alternative names {', '.join(names)}, and the CA signs none "
        "that does: its ca.conf does not say allow-subject-alt-names: true. Say it there, restart "
        "the server, and run the same command again."
    ]


def chain_refusals(certificates: int, file: str) -> list[str]:
    """
    :param certificates: how many there are in the CA's file.
    """
    if certificates < 2:
        return []
    return [
        f"The CA is a chain: {file} holds {certificates} certificates. A CA of one certificate "
        "would take its place, and chains are not made here yet."
    ]
