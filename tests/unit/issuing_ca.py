"""Real CAs, certificates, requests and revocation lists, and masters made of them.

Keys are made once a session and are short: what is tested here is the judgement.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.name import _ASN1Type

from recert.altnames import AltNames
from recert.certificates import (
    Certificate,
    CertificateRequest,
    read_certificate,
    read_public_key,
    read_request,
)
from recert.deployments.model import Component, Deployment
from recert.deployments.pe_3_7 import PE_3_7
from recert.freshness import CredentialPaths, Defect, Freshness, Retired
from recert.observed import ComponentState, FileState, SslState
from recert.settings import SETTINGS, Settings, check_settings

NOW = datetime(2015, 11, 23, 12, tzinfo=UTC)
MADE = NOW.timestamp() - 600
"""When the files of a fresh master were written, seconds UTC."""

CERTNAME = "master.example.com"
ALT_NAMES = ("puppet", "puppet.example.com")
CA_SUBJECT = f"Puppet CA: {CERTNAME}"
CONFDIR = "/etc/puppetlabs/puppet"
SSLDIR = f"{CONFDIR}/ssl"
VARDIR = "/var/opt/lib/pe-puppet"


@cache
def key(label: str) -> rsa.RSAPrivateKey:
    """The private key that goes by `label` in this session. Those of connections are longer,
    because OpenSSL refuses short ones there."""
    return rsa.generate_private_key(65537, 2048 if label.startswith("live") else 1024)


def key_pem(label: str, password: bytes | None = None) -> str:
    """A private key as Puppet writes it."""
    how: KeySerializationEncryption = NoEncryption()
    if password is not None:
        how = BestAvailableEncryption(password)
    encoded = key(label).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, how)
    return encoded.decode("ascii")


def public_pem(label: str) -> str:
    encoded = key(label).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return encoded.decode("ascii")


def key_digest(label: str) -> str:
    digest = read_public_key(public_pem(label))
    assert digest is not None
    return digest


def read(pem: str) -> Certificate:
    """A certificate that is known to be one."""
    cert = read_certificate(pem)
    assert cert is not None
    return cert


def _name(name: str | x509.Name) -> x509.Name:
    if isinstance(name, x509.Name):
        return name
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])


def odd_subjects(name: str, *others: str) -> dict[str, x509.Name]:
    """Subjects that say more than `name`, or say it in a way that programs differ about; by what
    is odd about each.

    :param others: names that whoever asks for such a certificate would like to have.
    """

    def named(value: str, kind: _ASN1Type | None = None) -> x509.NameAttribute[str]:
        common_name = x509.NameOID.COMMON_NAME
        return x509.NameAttribute(common_name, value, kind, _validate=False)

    def single(value: str, kind: _ASN1Type | None = None) -> x509.Name:
        return x509.Name([named(value, kind)])

    country = x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "DE")
    unit = x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, name)
    together = [named(name), *map(named, others)]
    return {
        "other names after it": x509.Name(together),
        "other names before it": x509.Name(together[::-1]),
        "the same name twice": x509.Name([named(name)] * 2),
        "several in one RDN": x509.Name([x509.RelativeDistinguishedName(together)]),
        "an attribute in its RDN": x509.Name(
            [x509.RelativeDistinguishedName([named(name), country])]
        ),
        "an attribute before it": x509.Name([country, named(name)]),
        "an attribute after it": x509.Name([named(name), country]),
        "another attribute instead": x509.Name([unit]),
        "nothing": x509.Name([]),
        "upper case": single(name.upper()),
        "a NUL in it": single(f"{name}\0.{name}"),
        "a NUL after it": single(f"{name}\0"),
        "a line feed after it": single(f"{name}\n"),
        "a space after it": single(f"{name} "),
        "a space before it": single(f" {name}"),
        "a dot after it": single(f"{name}."),
        "another alphabet": single(name.replace("a", "\u0430")),
        "a zero-width character": single(f"{name}\u200b"),
        "one-line notation": single(f"{name}/CN={others[0] if others else name}"),
        "BMPString": single(name, _ASN1Type.BMPString),
        "UniversalString": single(name, _ASN1Type.UniversalString),
        "T61String": single(name, _ASN1Type.T61String),
    }


@dataclass(frozen=True)
class IssuingCa:
    """A CA. All of them have the same subject, as Puppet's have on one master.

    `serial` tells two certificates for one key apart.
    """

    key: str
    serial: int = 1
    expires: datetime = NOW + timedelta(days=1825)

    @property
    def pem(self) -> str:
        return _ca_pem(self)

    @property
    def certificate(self) -> Certificate:
        return read(self.pem)

    def issue(
        self,
        name: str | x509.Name,
        serial: int,
        alt_names: Iterable[str] = (),
        key: str | None = None,
        expires: datetime = NOW + timedelta(days=1825),
        others: Iterable[x509.GeneralName] = (),
        begins: datetime | None = None,
        extensions: Iterable[x509.ExtensionType | tuple[str, str]] = (),
    ) -> str:
        """A certificate for `name`, whose key goes by `key` (without: by the name), with Puppet's
        `extensions` by number."""
        names = [*(x509.DNSName(n) for n in alt_names), *others]
        label = key or _label(name)
        return _leaf_pem(
            self,
            name,
            _bytes(name),
            serial,
            tuple(names),
            label,
            expires,
            begins,
            tuple(extensions),
        )

    def crl(self, revoked: Iterable[int] = (), expires: timedelta = timedelta(days=1825)) -> str:
        """A revocation list; `expires`: when, counted from now."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(_name(CA_SUBJECT))
            .last_update(NOW - timedelta(days=2000))
            .next_update(NOW + expires)
        )
        for number in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(number)
                .revocation_date(NOW - timedelta(hours=1))
                .build()
            )
        signed = builder.sign(key(self.key), hashes.SHA256())
        return signed.public_bytes(Encoding.PEM).decode("ascii")


def _label(name: str | x509.Name) -> str:
    return name if isinstance(name, str) else name.rfc4514_string()


def _bytes(name: str | x509.Name) -> bytes:
    """By which names are told apart: to the library those are equal that differ in the kind of
    their strings alone."""
    return _name(name).public_bytes()


def request_pem(
    name: str | x509.Name,
    alt_names: Iterable[str] = (),
    key: str | None = None,
    others: Iterable[x509.GeneralName] = (),
    extensions: Iterable[x509.ExtensionType] = (),
) -> str:
    """A request for `name`, whose key goes by `key` (without: by the name). The same arguments
    make the same bytes: an RSA signature has no chance in it."""
    names = [*(x509.DNSName(n) for n in alt_names), *others]
    return _request_pem(name, _bytes(name), tuple(names), key or _label(name), tuple(extensions))


def puppets_extension(value: str, number: str = "1.13", bare: bool = False) -> x509.ExtensionType:
    """One of Puppet's own arc; 1.13 is pp_role. `bare`: as Puppet 3 writes it."""
    encoded = value.encode()
    if not bare:
        encoded = _der(0x0C, encoded)
    oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.34380.1.{number}")
    return x509.UnrecognizedExtension(oid, encoded)


STANDARD, MICROSOFT = (
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e",
    b"\x2b\x06\x01\x04\x01\x82\x37\x02\x01\x0e",
)
"""The two attributes by which a request asks for extensions."""


def odd_request_pem(name: str, *asked: tuple[bytes, str]) -> str:
    """A request that no library would make: several attributes of those above, each asking for
    one alternative name."""

    def attribute(oid: bytes, alt_name: str) -> bytes:
        extension = x509.SubjectAlternativeName([x509.DNSName(alt_name)]).public_bytes()
        wanted = _der(0x30, _der(0x06, b"\x55\x1d\x11"), _der(0x04, extension))
        return _der(0x30, _der(0x06, oid), _der(0x31, _der(0x30, wanted)))

    own = key(name)
    body = _der(
        0x30,
        b"\x02\x01\x00",
        _name(name).public_bytes(),
        own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        _der(0xA0, *(attribute(*each) for each in asked)),
    )
    signature = own.sign(body, padding.PKCS1v15(), hashes.SHA256())
    request = x509.load_der_x509_csr(
        _der(0x30, body, _WITH_SHA256, _der(0x03, b"\x00" + signature))
    )
    assert request.is_signature_valid
    return request.public_bytes(Encoding.PEM).decode("ascii")


def costly_key(bits: int = 3072) -> rsa.RSAPublicKey:
    """A public key whose exponent is as long as itself, so that a verification takes hundreds of
    times what it takes elsewhere."""
    return rsa.RSAPublicNumbers((1 << (bits - 2)) + 1, (1 << (bits - 1)) + 1).public_key()


def request_for(name: str, public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> str:
    """A request for a key of which nobody has the private half."""
    encoded = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    body = _der(0x30, b"\x02\x01\x00", _name(name).public_bytes(), encoded, b"\xa0\x00")
    made = _der(0x30, body, _WITH_SHA256, _der(0x03, bytes(385)))
    return x509.load_der_x509_csr(made).public_bytes(Encoding.PEM).decode("ascii")


def certificate_for(
    name: str,
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    issuer: str = CA_SUBJECT,
    by: str = "new-ca",
) -> str:
    """A certificate for any key, signed with the one that goes by `by`."""
    made = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .serial_number(0x77)
        .public_key(public)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1000))
        .sign(key(by), hashes.SHA256())
    )
    return made.public_bytes(Encoding.PEM).decode("ascii")


def without_parameters(pem: str) -> str:
    """The same certificate as if it were signed with RSASSA-PSS, of which nothing more is said."""
    cert = x509.load_pem_x509_certificate(pem.encode())
    pss = _der(0x30, _der(0x06, b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"))
    tbs = cert.tbs_certificate_bytes.replace(_WITH_SHA256, pss)
    content = tbs[2 if tbs[1] < 0x80 else 2 + (tbs[1] & 0x7F) :]
    made = _der(0x30, _der(0x30, content), pss, _der(0x03, b"\x00" + cert.signature))
    odd = x509.load_der_x509_certificate(made)
    return odd.public_bytes(Encoding.PEM).decode("ascii")


def _der(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    length = len(content).to_bytes(2, "big").lstrip(b"\0") or b"\0"
    if len(content) > 127:
        length = bytes([0x80 + len(length)]) + length
    return bytes([tag]) + length + content


_WITH_SHA256 = _der(0x30, _der(0x06, b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"), b"\x05\x00")


def read_csr(pem: str) -> CertificateRequest:
    """A request that is known to be one."""
    request = read_request(pem)
    assert request is not None
    return request


def _extension(given: x509.ExtensionType | tuple[str, str]) -> x509.ExtensionType:
    if not isinstance(given, tuple):
        return given
    number, text = given
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(number), text.encode())


@cache
def _request_pem(
    name: str | x509.Name,
    subject: bytes,
    alt_names: tuple[x509.GeneralName, ...],
    key_label: str,
    extensions: tuple[x509.ExtensionType, ...],
) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(name))
    for given in extensions:
        builder = builder.add_extension(_extension(given), critical=False)
    if alt_names:
        builder = builder.add_extension(x509.SubjectAlternativeName(alt_names), critical=False)
    signed = builder.sign(key(key_label), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode("ascii")


@cache
def _ca_pem(ca: IssuingCa) -> str:
    cert = (
        x509.CertificateBuilder()
        .subject_name(_name(CA_SUBJECT))
        .issuer_name(_name(CA_SUBJECT))
        .serial_number(ca.serial)
        .public_key(key(ca.key).public_key())
        .not_valid_before(ca.expires - timedelta(days=3650))
        .not_valid_after(ca.expires)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key(ca.key), hashes.SHA256())
    )
    return cert.public_bytes(Encoding.PEM).decode("ascii")


@cache
def _leaf_pem(
    ca: IssuingCa,
    name: str | x509.Name,
    subject: bytes,
    serial: int,
    alt_names: tuple[x509.GeneralName, ...],
    key_label: str,
    expires: datetime,
    begins: datetime | None,
    extensions: tuple[x509.ExtensionType | tuple[str, str], ...],
) -> str:
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(CA_SUBJECT))
        .serial_number(serial)
        .public_key(key(key_label).public_key())
        .not_valid_before(begins or expires - timedelta(days=3650))
        .not_valid_after(expires)
    )
    for given in extensions:
        builder = builder.add_extension(_extension(given), critical=False)
    if alt_names:
        builder = builder.add_extension(x509.SubjectAlternativeName(alt_names), critical=False)
    cert = builder.sign(key(ca.key), hashes.SHA256())
    return cert.public_bytes(Encoding.PEM).decode("ascii")


OLD = IssuingCa("old-ca")
"""The CA to retire, and the one that takes its place."""
NEW = IssuingCa("new-ca")

LIVE = IssuingCa("live-ca", expires=datetime.now(UTC) + timedelta(days=1000))
"""A CA for connections, which are made now and not in 2015."""


def printed_settings(**changes: str) -> dict[str, str]:
    """What `puppet config print` says of a monolithic master, by name."""
    values = {
        "confdir": CONFDIR,
        "config": f"{CONFDIR}/puppet.conf",
        "vardir": VARDIR,
        "ssldir": SSLDIR,
        "cadir": f"{SSLDIR}/ca",
        "cacert": f"{SSLDIR}/ca/ca_crt.pem",
        "cakey": f"{SSLDIR}/ca/ca_key.pem",
        "cacrl": f"{SSLDIR}/ca/ca_crl.pem",
        "capass": f"{SSLDIR}/ca/private/ca.pass",
        "serial": f"{SSLDIR}/ca/serial",
        "signeddir": f"{SSLDIR}/ca/signed",
        "csrdir": f"{SSLDIR}/ca/requests",
        "certdir": f"{SSLDIR}/certs",
        "privatekeydir": f"{SSLDIR}/private_keys",
        "publickeydir": f"{SSLDIR}/public_keys",
        "requestdir": f"{SSLDIR}/certificate_requests",
        "hostcrl": f"{SSLDIR}/crl.pem",
        "localcacert": f"{SSLDIR}/certs/ca.pem",
        "client_datadir": f"{VARDIR}/client_data",
        "lastrunfile": f"{VARDIR}/state/last_run_summary.yaml",
        "agent_catalog_run_lockfile": f"{VARDIR}/state/agent_catalog_run.lock",
        "agent_disabled_lockfile": f"{VARDIR}/state/agent_disabled.lock",
        "certname": CERTNAME,
        "dns_alt_names": ",".join(ALT_NAMES),
        "user": "pe-puppet",
        "group": "pe-puppet",
        "masterport": "8140",
        "ca_port": "8140",
        "ca": "true",
        "keylength": "4096",
        "noop": "false",
        "csr_attributes": f"{CONFDIR}/csr_attributes.yaml",
    }
    # Settings that later versions of the suite ask for; none of the tests needs their values.
    for name in SETTINGS:
        values.setdefault(name, f"{VARDIR}/{name}")
    return values | changes


def settings(**changes: str) -> Settings:
    printed = printed_settings(**changes)
    return check_settings(printed, printed, PE_3_7)


def file_state(
    kind: str = "f",
    mode: int = 0o644,
    owner: str = "pe-puppet",
    group: str | None = None,
    size: int = 1000,
    mtime: float = MADE,
) -> FileState:
    return FileState(kind, mode, owner, owner if group is None else group, size, mtime)


@dataclass
class Master:
    """A master that can be damaged: what the facts would see, and what is wanted of it."""

    settings: Settings
    ca: IssuingCa
    files: dict[str, FileState]
    texts: dict[str, str]
    keys: dict[str, str | None]
    older: dict[str, str]
    components: dict[str, ComponentState]
    retired: Retired
    deployment: Deployment = PE_3_7
    alt_names: AltNames = field(default_factory=lambda: AltNames(CERTNAME, ALT_NAMES))
    now: datetime = NOW

    def judge(self) -> Freshness:
        ssl = SslState(dict(self.files), dict(self.texts), dict(self.keys), dict(self.older))
        return Freshness(
            self.deployment,
            self.settings,
            ssl,
            dict(self.components),
            self.retired,
            self.alt_names,
            self.now,
        )

    def paths(self, name: str = CERTNAME) -> CredentialPaths:
        return CredentialPaths.of(self.settings, name)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A public file in the SSL directories."""
        self.texts[path] = text
        self.files[path] = file_state(mode=mode, size=len(text))

    def write_key(self, path: str, label: str | None, mode: int = 0o640) -> None:
        """A private key; without a label one that cannot be used."""
        self.keys[path] = None if label is None else key_digest(label)
        self.files[path] = file_state(mode=mode, size=0 if label is None else 1000)

    def add(self, path: str, **changes: object) -> None:
        """A file that is listed and not read, or one of the directories."""
        self.files[path] = replace(self.files.get(path, file_state()), **changes)  # type: ignore[arg-type]

    def remove(self, path: str) -> None:
        for entries in (self.files, self.texts, self.keys):
            entries.pop(path, None)

    def credential(self, name: str, serial: int, alt_names: Iterable[str] = ()) -> None:
        """The files that `puppet cert generate` leaves for one name."""
        paths = self.paths(name)
        pem = self.ca.issue(name, serial, alt_names)
        self.write(paths.certificate, pem)
        self.write(paths.signed, pem)
        self.write(paths.public_key, public_pem(name))
        self.write_key(paths.private_key, name)

    def component(self, component: Component) -> None:
        """A component's directory with all copies it should hold."""
        directory, account = component.directory, component.account
        copies = {
            path: file_state(mode=component.file_mode(part), owner=account)
            for path, _, part in component.copies(self.settings.certname)
        }
        self.components[directory] = ComponentState(
            account_exists=True,
            directory=file_state("d", 0o755, account),
            files=copies | {path: file_state(owner=account) for path in component.extra_paths},
            same=frozenset(copies),
            sources=frozenset(extra.source for extra in component.extras if extra.source),
        )

    def change_copy(self, component: Component, path: str, **changes: object) -> None:
        """Other properties for one file in a component's directory, new or there."""
        state = self.components[component.directory]
        entry = state.files.get(path, file_state(owner=component.account))
        files = {**state.files, path: replace(entry, **changes)}  # type: ignore[arg-type]
        self.components[component.directory] = replace(state, files=files)

    def remove_copy(self, component: Component, path: str) -> None:
        state = self.components[component.directory]
        files = {p: entry for p, entry in state.files.items() if p != path}
        self.components[component.directory] = replace(state, files=files, same=state.same - {path})

    def spoil_copy(self, component: Component, path: str) -> None:
        """Its content is not its source's any more."""
        state = self.components[component.directory]
        self.components[component.directory] = replace(state, same=state.same - {path})


def retired(ca: IssuingCa = OLD) -> Retired:
    return Retired(ca.certificate.fingerprint, ca.certificate.key, ca.certificate)


def master(ca: IssuingCa = NEW, deployment: Deployment = PE_3_7, **setting_changes: str) -> Master:
    """A complete master whose credentials are all of `ca`; the one to retire is `OLD`."""
    conf = settings(**setting_changes)
    found = Master(conf, ca, {}, {}, {}, {}, {}, retired(), deployment)
    found.write(conf.cacert, ca.pem)
    found.write_key(conf.cakey, ca.key)
    found.write(conf.cacrl, ca.crl())
    found.write(conf.hostcrl, found.texts[conf.cacrl])
    found.write(conf.localcacert, ca.pem)
    found.write(conf.serial, "0064")
    found.add(conf.capass, mode=0o640)
    found.credential(CERTNAME, 2, (*ALT_NAMES, CERTNAME))
    for serial, name in enumerate(deployment.internal_names, 3):
        found.credential(name, serial)
    directories = {path.rpartition("/")[0] for path in found.files}
    for directory in (*directories, *conf.ssl_roots, conf.csrdir, conf.requestdir):
        found.files[directory] = file_state("d", 0o755)
    for component in deployment.master.components:
        found.component(component)
    return found


def paths_of(problems: Iterable[Defect]) -> set[str]:
    return {problem.path for problem in problems}


def reasons(problems: Iterable[Defect]) -> Mapping[str, str]:
    return {problem.path: problem.why for problem in problems}
