"""What is somebody else's among a master's credentials, found there by Puppet's own Ruby."""

from __future__ import annotations

import io
import tarfile
from base64 import b64encode

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    pkcs7,
    pkcs12,
)

import lab
from facts.others import StrayCredentials
from recert.certificates import read_public_key
from recert.others import CERTIFICATE, KEYSTORE, PRIVATE_KEY, PUBLIC_KEY, UNREAD, of_others
from tests.e2e.site import Master
from tests.unit import issuing_ca
from tests.unit.issuing_ca import CERTNAME, OLD, key_digest, key_pem, public_pem

ROOT = "/root/strays"
OTHER = issuing_ca.IssuingCa("other-ca")


CURVE = ec.generate_private_key(ec.SECP256R1())


def private_der(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, form: PrivateFormat
) -> bytes:
    return key.private_bytes(Encoding.DER, form, NoEncryption())


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
        "sealed.der": issuing_ca.key("shop").private_bytes(
            Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        ),
        "curve.der": private_der(CURVE, PrivateFormat.PKCS8),
        "curve-itself.der": private_der(CURVE, PrivateFormat.TraditionalOpenSSL),
        "edwards.der": private_der(ed25519.Ed25519PrivateKey.generate(), PrivateFormat.PKCS8),
        "curve.p12": pkcs12.serialize_key_and_certificates(
            b"shop", CURVE, None, None, NoEncryption()
        ),
        "curve.pem": CURVE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "chain.p7b": pkcs7.serialize_certificates([OTHER.certificate.x509], Encoding.DER),
        "chain.p7c": pkcs7.serialize_certificates([OTHER.certificate.x509], Encoding.PEM),
        "shop.ppk": b"PuTTY-User-Key-File-2: ssh-rsa\n",
        "shop.pvk": b"\x1e\xf1\xb5\xb0" + bytes(20),
        # As hiera-eyaml-gpg has them: a packet's tag, its length, the version of the key.
        "secring.gpg": b"\x95\x03\xbe\x04" + bytes(30),
        "newer.gpg": b"\xc5\xc1\x00\x04" + bytes(30),
        "pubring.gpg": b"\x99\x01\xa2\x04" + bytes(30),
        "pubring.kbx": bytes(8) + b"KBXf" + bytes(20),
        "agents.key": b"(21:protected-private-key(3:rsa",
        "krb5.keytab": b"\x05\x02" + bytes(20),
        "key4.db": b"SQLite format 3\x00",
        # Neither: begins like a packet, of a version that there is not.
        "picture": b"\x95\x03\xbe\x44" + bytes(30),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    archived = b64encode(packed.getvalue()).decode()
    untouched.sh(
        f"mkdir {ROOT} && cd {ROOT} && base64 -d <<'E' | tar -x && ln -s secret link"
        f" && truncate -s 3G large\n{archived}\nE"
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
        "large": UNREAD,
        "sealed.der": PRIVATE_KEY,
        **dict.fromkeys(("curve.der", "curve-itself.der", "edwards.der"), PRIVATE_KEY),
        **dict.fromkeys(("curve.p12", "curve.pem"), PRIVATE_KEY),
        "chain.p7b": CERTIFICATE,
        "chain.p7c": CERTIFICATE,
        **dict.fromkeys(("shop.ppk", "shop.pvk", "agents.key"), PRIVATE_KEY),
        **dict.fromkeys(("secring.gpg", "newer.gpg"), PRIVATE_KEY),
        **dict.fromkeys(("pubring.gpg", "pubring.kbx", "krb5.keytab", "key4.db"), KEYSTORE),
    }
    for name in ("chain.p7b", "chain.p7c"):
        assert [c.subject for c in by_name[name].certificates] == [OTHER.certificate.subject]
    stay = of_others(found, [OLD.certificate])
    assert by_name["broker.ks"].path not in stay
    assert {by_name[name].path for name in ("sealed.der", "secring.gpg", "large")} <= stay.keys()
    assert [c.subject for c in by_name["broker.ks"].certificates] == [OLD.certificate.subject]
    assert by_name["open.p12"].keys == by_name["both"].keys
    half = CURVE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for name in ("curve.der", "curve-itself.der", "curve.p12", "curve.pem"):
        assert by_name[name].keys == (read_public_key(half.decode()),)
    assert by_name["sealed.p12"].keys == ()
    assert by_name["secret"].keys == by_name["public"].keys == (key_digest("eyaml"),)
    assert [c.subject for c in by_name["both"].certificates] == ["shop"]
