"""What is somebody else's among a master's credentials, found there by Puppet's own Ruby."""

from __future__ import annotations

import io
import tarfile
from base64 import b64encode

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    pkcs12,
)

import lab
from facts.others import StrayCredentials
from recert.others import KEYSTORE, PRIVATE_KEY, PUBLIC_KEY
from tests.e2e.site import Master
from tests.unit import issuing_ca
from tests.unit.issuing_ca import CERTNAME, OLD, key_digest, key_pem, public_pem

ROOT = "/root/strays"
OTHER = issuing_ca.IssuingCa("other-ca")


def sealed(password: bytes) -> bytes:
    """A key with its certificate, in PKCS #12."""
    how = BestAvailableEncryption(password) if password else NoEncryption()
    leaf = x509.load_pem_x509_certificate(OTHER.issue("shop", 3).encode())
    return pkcs12.serialize_key_and_certificates(b"shop", issuing_ca.key("shop"), leaf, None, how)


def test_credentials_are_found_by_what_is_in_them(untouched: Master) -> None:
    der = OLD.certificate.x509.public_bytes(Encoding.DER)
    in_java = b"\x00\x05X.509" + len(der).to_bytes(4, "big") + der
    files = {
        "secret": key_pem("eyaml").encode(),
        "half-written": key_pem("eyaml")[:300].encode(),
        "notes.txt": b"a PRIVATE KEY is not here",
        "both": (key_pem("shop") + OTHER.issue("shop", 3)).encode(),
        "public": public_pem("eyaml").encode(),
        "queue/node.pem": OLD.issue("node", 7).encode(),
        "queue/key.pem": key_pem("node").encode(),
        f"own/{CERTNAME}.pem": OLD.issue(CERTNAME, 2).encode(),
        "broker.ks": b"\xfe\xed\xfe\xed..." + in_java + b"rest",
        "open.p12": sealed(b""),
        "sealed.p12": sealed(b"secret"),
        # Begin with the byte of every sequence in DER, as a CA's next serial number does.
        "serial": b"0011",
        "zeros": b"0" * 500,
        "unfinished": sealed(b"secret")[:200],
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    archived = b64encode(packed.getvalue()).decode()
    untouched.sh(
        f"mkdir {ROOT} && cd {ROOT} && base64 -d <<'E' | tar -x && ln -s secret link\n{archived}\nE"
    )
    own, queue = f"{ROOT}/own/{CERTNAME}.pem", f"{ROOT}/queue"
    command = StrayCredentials().command(roots=[ROOT], own=[own], queues=[queue])
    try:
        said = lab.run("master", command.get_raw_value()).stdout
    finally:
        untouched.sh(f"rm -r {ROOT}")

    found = StrayCredentials().process(said.splitlines())
    by_name = {stray.path.removeprefix(f"{ROOT}/"): stray for stray in found}
    assert {name: stray.what for name, stray in by_name.items()} == {
        "secret": PRIVATE_KEY,
        "both": PRIVATE_KEY,
        "public": PUBLIC_KEY,
        "queue/key.pem": PRIVATE_KEY,
        "broker.ks": KEYSTORE,
        "open.p12": PRIVATE_KEY,
        "sealed.p12": KEYSTORE,
        "link": PRIVATE_KEY,
    }
    assert [c.subject for c in by_name["broker.ks"].certificates] == [OLD.certificate.subject]
    assert by_name["open.p12"].keys == by_name["both"].keys
    assert by_name["sealed.p12"].keys == ()
    assert by_name["secret"].keys == by_name["public"].keys == (key_digest("eyaml"),)
    assert [c.subject for c in by_name["both"].certificates] == ["shop"]
