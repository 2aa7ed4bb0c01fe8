"""What Puppet runs deliver and the document does not name: copies of the master's credentials that
ActiveMQ, MCollective, peadmin and the console work with, on the master and on every node."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from recert.certificates import Certificate, read_certificate
from recert.deployments.model import Delivery
from recert.freshness import Defect
from recert.looks import HostLook

RUN_PUPPET = "A Puppet run of the node makes it anew: puppet agent --test"

_OF_A_CA = re.compile(r"(.+-cacert|cacert|ca|ca\.cert)\.pem")
_OF_A_NAME = re.compile(
    r"(?P<stem>.+)(-(public|private|cert)|\.(public_key|private_key|cert))\.pem"
)


@dataclass(frozen=True)
class Sources:
    """What is copied: the certificate of the CA in place, and the master's of each name."""

    ca: Certificate
    certificates: Mapping[str, Certificate]

    @classmethod
    def of(cls, master: HostLook, ca: Certificate) -> Sources:
        """Those on a master."""
        conf = master.settings
        assert conf is not None
        names = master.deployment.internal_names
        read = {n: master.ssl.texts.get(f"{conf.certdir}/{n}.pem", "") for n in names}
        certs = {name: read_certificate(pem) for name, pem in read.items()}
        return cls(ca, {name: cert for name, cert in certs.items() if cert is not None})


def is_delivered(look: HostLook, path: str) -> bool:
    """Whether a file lies where Puppet runs put credentials."""
    delivery = look.deployment.delivery
    if delivery is None:
        return False
    places = look.kind.delivered(delivery, look.credential_places)
    return path.startswith(tuple(f"{place}/" for place in places))


def delivered_problems(look: HostLook, sources: Sources) -> list[Defect]:
    """Which copies differ from their sources; whose copy a file is, its name says."""
    delivery = look.deployment.delivery
    if delivery is None:
        return []
    problems = [
        problem
        for path in sorted(look.found.files)
        if is_delivered(look, path) and (problem := _problem(look, delivery, path, sources))
    ]
    return [*problems, *_of_keystores(look, delivery, sources)]


def _problem(look: HostLook, delivery: Delivery, path: str, sources: Sources) -> Defect | None:
    found, file = look.found, PurePosixPath(path).name
    source: Certificate | None
    if _OF_A_CA.fullmatch(file):
        source, what = sources.ca, "the certificate of the CA in place"
    elif match := _OF_A_NAME.fullmatch(file):
        name = delivery.names.get(match["stem"], match["stem"])
        own = look.settings is not None and name == look.settings.certname
        source = _own(look) if own else sources.certificates.get(name)
        what = f"the {'certificate' if file.endswith('cert.pem') else 'key'} of {name}"
    else:
        return None
    if source is None:
        return None
    if found.files[path].size == 0:
        return Defect(path, "is empty", RUN_PUPPET)
    if path in found.certificates:
        cert = read_certificate(found.certificates[path])
        same = cert is not None and cert.fingerprint == source.fingerprint
    else:
        same = source.key == (found.keys.get(path) or found.public_keys.get(path))
    return None if same else Defect(path, f"is not {what}", RUN_PUPPET)


def _own(look: HostLook) -> Certificate | None:
    assert look.settings is not None
    path = look.settings.hostcert
    return read_certificate(look.found.certificates.get(path, ""))


def _of_keystores(look: HostLook, delivery: Delivery, sources: Sources) -> Iterator[Defect]:
    # Releases differ in whether the broker has the shared credential or the master's own.
    own = _own(look) if look.settings is not None else None
    broker = [sources.certificates.get(delivery.broker), own]
    for path, allowed, what in (
        (delivery.keystore, broker, "a certificate of the master's that it has now"),
        (delivery.truststore, [sources.ca], "the certificate of the CA in place"),
    ):
        pems = look.keystores.certificates.get(path)
        if not pems:
            continue  # one that cannot be read is a finding of its own
        certs = [cert for pem in pems if (cert := read_certificate(pem)) is not None]
        wanted = {cert.fingerprint for cert in allowed if cert is not None}
        if wanted and wanted.isdisjoint(cert.fingerprint for cert in certs):
            yield Defect(path, f"does not hold {what}", RUN_PUPPET)
