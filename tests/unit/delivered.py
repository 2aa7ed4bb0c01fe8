"""What Puppet runs deliver, as it lies on a host that `tests.unit.looks` has looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from recert.looks import HostLook
from recert.observed import FileState, Keystores
from tests.tables import CONSOLE_CLIENT, DELIVERED_NAMES, KEYSTORE, PEADMIN_CLIENT, TRUSTSTORE
from tests.unit.issuing_ca import MADE, NEW, IssuingCa, key_digest, settings

SERVERS = "pe-internal-mcollective-servers"
MCOLLECTIVE = "/etc/puppetlabs/mcollective/ssl"
WINDOWS_MCOLLECTIVE = "C:/ProgramData/PuppetLabs/mcollective"


def shared(directory: str = MCOLLECTIVE) -> dict[str, str]:
    """What every node gets: the name of which each file is, by path; the CA's is empty."""
    return {
        f"{directory}/mcollective-cacert.pem": "",
        f"{directory}/mcollective-cert.pem": SERVERS,
        f"{directory}/mcollective-private.pem": SERVERS,
        f"{directory}/mcollective-public.pem": SERVERS,
        f"{directory}/clients/peadmin-public.pem": DELIVERED_NAMES["peadmin"],
        f"{directory}/clients/puppet-dashboard-public.pem": DELIVERED_NAMES["puppet-dashboard"],
    }


def client(directory: str, stem: str) -> dict[str, str]:
    """What a client of MCollective's has."""
    name = DELIVERED_NAMES[stem]
    return {
        f"{directory}/{stem}-cacert.pem": "",
        f"{directory}/{stem}-cert.pem": name,
        f"{directory}/{stem}-private.pem": name,
        f"{directory}/{stem}-public.pem": name,
        f"{directory}/mcollective-public.pem": SERVERS,
    }


def with_delivered(
    look: HostLook, files: dict[str, str], master: HostLook, old: Iterable[str] = ()
) -> HostLook:
    """The look with these copies of what `master` has; those in `old` are of another key."""
    conf, former = settings(), set(old)
    seen = look.found
    certificates, keys, public = (
        dict(seen.certificates),
        dict(seen.keys),
        dict(seen.public_keys),
    )
    entries = dict(seen.files)
    for path, name in files.items():
        key = key_digest("former" if path in former else name) if name else None
        entries[path] = FileState("f", 0o600, "root", "root", 1000, MADE)
        if path.endswith("private.pem"):
            keys[path] = key
        elif path.endswith("public.pem"):
            public[path] = key
        else:
            source = f"{conf.certdir}/{name}.pem" if name else conf.cacert
            another = IssuingCa("third-ca").issue(name or "ca", 9)
            certificates[path] = another if path in former else master.ssl.texts[source]
    found = replace(
        seen,
        files=entries,
        certificates=certificates,
        keys=keys,
        public_keys=public,
        pems=seen.pems | set(files),
    )
    return replace(look, found=found)


def with_everything(master: HostLook) -> HostLook:
    """The look at a master after its Puppet run: its node's copies, its clients', its broker's."""
    files = shared() | client(PEADMIN_CLIENT, "peadmin")
    files |= client(CONSOLE_CLIENT, "puppet-dashboard")
    look = with_delivered(master, files, master)
    servers = master.ssl.texts[f"{settings().certdir}/{SERVERS}.pem"]
    stores = Keystores(True, {KEYSTORE: [servers, NEW.pem], TRUSTSTORE: [NEW.pem]})
    entry = FileState("f", 0o640, "pe-activemq", "pe-activemq", 3000, MADE)
    found = replace(look.found, files={**look.found.files, KEYSTORE: entry, TRUSTSTORE: entry})
    return replace(look, found=found, keystores=stores)
