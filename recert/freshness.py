"""What on a master is fresh and what is stale: the predicate of every step.

A certificate is fresh if the CA in place issued it, its key belongs to it, and that CA is not
the one to retire, neither by fingerprint nor by key. A copy is fresh if it equals its fresh
source and has the right owner and mode. Everything else is stale, and the regeneration is
over when nothing is. All of it is read from the host at the moment of asking, so that a
preview, a run, a second run and a resumed run need no other memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import cached_property
from pathlib import PurePosixPath

from recert.altnames import AltNames
from recert.certificates import (
    Certificate,
    read_certificate,
    read_public_key,
    read_revocation_list,
)
from recert.deployments.model import Component, Deployment, Extra, Part
from recert.extensions import missing, named
from recert.observed import ComponentState, FileState, LastRun, SslState
from recert.others import kept_directories
from recert.pasted import for_sh, word
from recert.settings import Settings

OTHERS, OWNER_READS = 0o007, 0o400
AT_RANDOM = 1 << 64
"""From here on nobody has counted a serial number."""


@dataclass(frozen=True)
class Retired:
    """The CA to retire: SHA-256 fingerprint of its certificate, digest of its key, and the
    certificate itself where the host or a backup's manifest still has it."""

    fingerprint: str
    key: str | None
    certificate: Certificate | None = None


class CaStatus(Enum):
    ABSENT = "absent"
    DAMAGED = "damaged"
    RETIRING = "to be retired"
    FRESH = "fresh"


@dataclass(frozen=True)
class Defect:
    """Something stale: the path, and why, for a person; `remedy` where one command mends it."""

    path: str
    why: str
    remedy: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


@dataclass(frozen=True)
class CredentialPaths:
    """Where Puppet keeps the files of one name, on the node and at the CA."""

    @classmethod
    def of(cls, settings: Settings, name: str) -> CredentialPaths:
        def pem(directory: str) -> str:
            return f"{directory}/{name}.pem"

        return cls(
            certificate=pem(settings.certdir),
            signed=pem(settings.signeddir),
            private_key=pem(settings.privatekeydir),
            public_key=pem(settings.publickeydir),
            request=pem(settings.requestdir),
            request_at_ca=pem(settings.csrdir),
        )

    certificate: str
    signed: str
    private_key: str
    public_key: str
    request: str
    request_at_ca: str

    def of_part(self, part: Part) -> str:
        return {
            Part.CERTIFICATE: self.certificate,
            Part.PUBLIC_KEY: self.public_key,
            Part.PRIVATE_KEY: self.private_key,
            Part.PK8: self.private_key,
        }[part]

    @property
    def all(self) -> tuple[str, ...]:
        return (
            self.request_at_ca,
            self.signed,
            self.certificate,
            self.request,
            self.private_key,
            self.public_key,
        )


@dataclass(frozen=True)
class Freshness:
    """The judgement over one master at one moment. `others`: the files in the directories of the
    document that are somebody else's, and stay as they are; see `recert.others`. `extensions`:
    those of Puppet's that the master's certificate is to carry. `kept_names`: the alternative names
    that those for the vendor's services are to carry, by name."""

    deployment: Deployment
    settings: Settings
    ssl: SslState
    components: Mapping[str, ComponentState]
    retired: Retired
    alt_names: AltNames
    now: datetime
    others: frozenset[str] = frozenset()
    extensions: Mapping[str, str] = field(default_factory=dict)
    kept_names: Mapping[str, frozenset[str]] = field(default_factory=dict)

    # The CA (steps 2.2 and 2.4)

    @cached_property
    def ca(self) -> Certificate | None:
        return self._certificate(self.settings.cacert)

    @cached_property
    def ca_status(self) -> CaStatus:
        key_on_host = self.ssl.keys.get(self.settings.cakey)
        if self.retired.key is not None and key_on_host == self.retired.key:
            return CaStatus.RETIRING
        if self.ca is None:
            begun = {self.settings.cacert, self.settings.cakey} & self.ssl.files.keys()
            return CaStatus.DAMAGED if begun else CaStatus.ABSENT
        if self.retired.fingerprint == self.ca.fingerprint or self.retired.key == self.ca.key:
            return CaStatus.RETIRING
        return CaStatus.DAMAGED if self.ca_damage else CaStatus.FRESH

    @cached_property
    def ca_damage(self) -> tuple[Defect, ...]:
        """What makes the CA in place unusable; each is something that a crash leaves behind."""
        conf, ca = self.settings, self.ca
        if ca is None:
            return (Defect(conf.cacert, self._not_a("certificate", conf.cacert)),)
        found = []
        if not ca.is_self_signed:
            found.append(Defect(conf.cacert, "is not signed by its own key"))
        if unusable := ca.weakness or ca.invalidity(self.now):
            found.append(Defect(conf.cacert, unusable))
        if conf.cakey not in self.ssl.keys:
            found.append(Defect(conf.cakey, "is missing"))
        elif self.ssl.keys[conf.cakey] is None:
            found.append(Defect(conf.cakey, f"cannot be read with {conf.capass}"))
        elif self.ssl.keys[conf.cakey] != ca.key:
            found.append(Defect(conf.cakey, "does not belong to the CA's certificate"))
        crl = read_revocation_list(self.ssl.texts.get(conf.cacrl, ""))
        if crl is None:
            found.append(Defect(conf.cacrl, self._not_a("revocation list", conf.cacrl)))
        elif not crl.signed_by(ca):
            found.append(Defect(conf.cacrl, "is not signed by the CA"))
        # One at random is not come to by counting.
        if self._next_serial() <= ca.serial < AT_RANDOM:
            found.append(Defect(conf.serial, "would give out the CA's own serial number again"))
        return tuple(found)

    @property
    def ca_due(self) -> bool:
        return self.ca_status is not CaStatus.FRESH

    @property
    def requests_waiting(self) -> list[str]:
        """The names under which somebody has asked the CA in place for a certificate, since
        whenever, and got none."""
        prefix = f"{self.settings.csrdir}/"
        names = [path.removeprefix(prefix) for path in self.ssl.files if path.startswith(prefix)]
        return sorted(name.removesuffix(".pem") for name in names if name.endswith(".pem"))

    # The master's and the internal certificates (steps 2.5 and 2.6)

    def certificate_problem(self, name: str) -> Defect | None:
        """Why the credential of `name` in ssldir is stale; None if it is fresh."""
        return self._certificate_problems[name]

    @cached_property
    def _certificate_problems(self) -> Mapping[str, Defect | None]:
        return {name: self._judge_certificate(name) for name in self.credential_names}

    def _judge_certificate(self, name: str) -> Defect | None:
        paths = self.paths(name)
        if self.ca_due or self.ca is None:
            return Defect(paths.certificate, "is of a CA that goes")
        cert = self._certificate(paths.certificate)
        if cert is None:
            return Defect(paths.certificate, self._not_a("certificate", paths.certificate))
        if not cert.issued_by(self.ca):
            return Defect(paths.certificate, "was not issued by the CA on this host")
        if cert.subject != name:
            return Defect(paths.certificate, f"is that of {cert.subject}")
        if unusable := cert.weakness or cert.invalidity(self.now):
            return Defect(paths.certificate, unusable)
        crl = read_revocation_list(self.ssl.texts.get(self.settings.cacrl, ""))
        if crl is not None and cert.serial in crl.revoked:
            return Defect(paths.certificate, "is revoked")
        signed = self._certificate(paths.signed)
        if signed is None or signed.fingerprint != cert.fingerprint:
            return Defect(paths.signed, "is not the certificate that is in use")
        if self.ssl.keys.get(paths.private_key) != cert.key:
            return Defect(paths.private_key, "does not belong to the certificate")
        if self._public_key(paths.public_key) != cert.key:
            return Defect(paths.public_key, "does not belong to the certificate")
        if name == self.settings.certname and not self.alt_names.satisfied_by(cert.alt_names):
            return Defect(paths.certificate, f"has other alt names than {self.alt_names}")
        if less := self.kept_names.get(name, frozenset()) - cert.alt_names:
            return Defect(paths.certificate, f"has not the alt names {', '.join(sorted(less))}")
        lost = missing(self.extensions, cert.extensions)
        if name == self.settings.certname and lost:
            return Defect(paths.certificate, f"has not the extensions {named(lost)}")
        return None

    def names_due(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if self.certificate_problem(name) is not None]

    # What step 2.2 removes

    @cached_property
    def ssl_remains(self) -> tuple[str, ...]:
        """The files in the SSL directories that are not of a fresh CA.

        With the CA itself stale that is every file that the document's `rm -rf …/*` removes.
        With a fresh CA, after an interrupted run, it is what cannot be used: the files of
        credentials that are not fresh, empty requests and signed certificates (with one of
        them Puppet's CA fails for every name), requests of its own names that it has
        answered, and certificates that another CA issued.
        """
        if self.ca_due:
            return tuple(path for path, entry in self._clearable() if entry.kind != "d")
        assert self.ca is not None
        answered = [self.paths(name).request_at_ca for name in self.credential_names]
        remains = [path for path in answered if path in self.ssl.files]
        for name in self.names_due(self.credential_names):
            remains += [path for path in self.paths(name).all if path in self.ssl.files]
        queues = {self.settings.csrdir, self.settings.signeddir}
        for path, entry in self._clearable():
            in_queue = str(PurePosixPath(path).parent) in queues
            if entry.kind != "d" and in_queue and entry.size == 0:
                remains.append(path)
        for path, text in self.ssl.older_certificates.items():
            cert = read_certificate(text)
            if cert is None or path in self.others or path not in self.ssl.files:
                continue
            if not cert.issued_by(self.ca):
                remains.append(path)
        return tuple(dict.fromkeys(remains))

    # Step 2.3

    def catalog_due(self, catalog: FileState | None) -> bool:
        """Whether the cached catalog is from before the master's certificate."""
        if catalog is None:
            return False
        if self.certificate_problem(self.settings.certname) is not None:
            return True
        cert_file = self.ssl.files[self.paths(self.settings.certname).certificate]
        return catalog.mtime < cert_file.mtime

    # Step 2.7

    @cached_property
    def placement_problems(self) -> tuple[Defect, ...]:
        """CRL and CA certificate in place, ownership as `chown -R` leaves it, keys private."""
        conf = self.settings
        if self.ca_due:
            return (Defect(conf.hostcrl, "is of a CA that goes"),)
        found = []
        if self.ssl.texts.get(conf.hostcrl) != self.ssl.texts.get(conf.cacrl):
            found.append(Defect(conf.hostcrl, "is not the CA's revocation list"))
        if self.ssl.texts.get(conf.localcacert) != self.ssl.texts.get(conf.cacert):
            found.append(Defect(conf.localcacert, "is not the CA's certificate"))
        wanted = f"{conf.user}:{conf.group}"
        for path, entry in self.ssl.files.items():
            if entry.kind == "l" or path in self.kept:
                continue  # a link has no owner and mode that count
            if entry.ownership != wanted:
                found.append(_not_owned_by(wanted, path, entry))
            if path in self.ssl.keys and entry.mode & OTHERS:
                why = f"is open to others ({entry.mode:04o})"
                found.append(Defect(path, why, for_sh("chmod o-rwx", path)))
        return tuple(found)

    # Steps 3 and 4

    def leftovers(self, component: Component) -> tuple[str, ...]:
        """What `rm -rf …/*` has to remove there: everything that is not a fresh copy."""
        state = self.components[component.directory]
        fresh = {
            path
            for path, name, part in self.copies(component)
            if self._content_problem(component, path, name, part) is None
        }
        extras = component.extra_paths
        return tuple(
            path
            for path in state.files
            if path not in fresh
            and path not in extras
            and path not in self.kept
            # An emptied mount point stays, and a directory is no credential.
            and state.files[path].kind != "d"
            and not _hidden(path, component.directory)
        )

    def copy_problems(self, component: Component, name: str | None = None) -> list[Defect]:
        """What is stale among the copies of the credential `name` (None: of all), less owners."""
        wanted = None if name is None else self.settings.real_name(name)
        found = []
        for path, credential, part in self.copies(component):
            if wanted in (None, credential):
                problem = self._content_problem(component, path, credential, part)
                if problem is None:
                    problem = self._mode_problem(component, path, part)
                if problem is not None:
                    found.append(problem)
        return found

    def ownership_problems(self, component: Component) -> list[Defect]:
        """Whose files are not the component's: all that are going to be copied, too."""
        state = self.components[component.directory]
        copied = [problem.path for problem in self.copy_problems(component)]
        copied += map(component.extra_path, self.extras_due(component))
        why = f"will be copied, then given to {component.account}"
        found = [Defect(path, why) for path in copied]
        wanted = f"{component.account}:{component.account}"
        entries = dict(state.files)
        if component.owns_directory and state.directory is not None:
            entries[component.directory] = state.directory
        for path, entry in entries.items():
            if path in self.kept:
                continue
            given = component.owns_directory or not _hidden(path, component.directory)
            if given and entry.ownership != wanted:
                found.append(_not_owned_by(wanted, path, entry))
        return found

    def extras_due(self, component: Component) -> list[Extra]:
        """Those of the vendor's that are gone. One that is there stays, whoever has made it."""
        files = self.components[component.directory].files
        return [
            extra
            for extra in component.extras
            if extra.source and component.extra_path(extra) not in files
        ]

    def copies(self, component: Component) -> list[tuple[str, str, Part]]:
        """(path of the copy, name of the credential, part) for every file it should hold."""
        return component.copies(self.settings.certname)

    @cached_property
    def kept(self) -> frozenset[str]:
        """What is somebody else's, and the directories that are there for its sake."""
        roots = [*self.settings.ssl_roots, *self.deployment.master.directories]
        return self.others | kept_directories(self.others, self.settings, roots)

    # The whole

    @cached_property
    def installed_components(self) -> tuple[Component, ...]:
        known = self.deployment.master.components
        return tuple(c for c in known if self.components[c.directory].installed)

    @cached_property
    def problems(self) -> tuple[Defect, ...]:
        """All that is stale. Empty means that the credentials are regenerated."""
        found: list[Defect] = []
        if self.ca_due:
            found += self.ca_damage or (Defect(self.settings.cacert, f"is {self.ca_status.value}"),)
        for name in self.credential_names:
            problem = self.certificate_problem(name)
            if problem is not None:
                found.append(problem)
        found += [Defect(path, "is not of the CA on this host") for path in self.ssl_remains]
        found += self.placement_problems
        for component in self.installed_components:
            found += [
                Defect(path, f"does not belong to {component.title}'s credentials")
                for path in self.leftovers(component)
            ]
            found += self.copy_problems(component)
            found += [
                Defect(component.extra_path(extra), "is missing")
                for extra in self.extras_due(component)
            ]
            found += self.ownership_problems(component)
        return tuple(found)

    def run_due(self, last_run: LastRun | None) -> bool:
        """Whether no Puppet run has succeeded since the master's certificate was made."""
        if self.certificate_problem(self.settings.certname) is not None or last_run is None:
            return True
        made = self.ssl.files[self.paths(self.settings.certname).certificate].mtime
        return not last_run.succeeded or last_run.was_before(made)

    def certificate_of(self, name: str) -> Certificate | None:
        return self._certificate(self.paths(name).certificate)

    def paths(self, name: str) -> CredentialPaths:
        return CredentialPaths.of(self.settings, name)

    @property
    def credential_names(self) -> tuple[str, ...]:
        """The names whose certificates the master needs."""
        return self.deployment.credential_names(self.settings.certname)

    def _clearable(self) -> Iterable[tuple[str, FileState]]:
        roots = self.settings.ssl_roots
        return (
            (path, entry)
            for path, entry in self.ssl.files.items()
            if path not in roots
            and path not in self.others
            and not any(_hidden(path, root) for root in roots)
        )

    def _content_problem(
        self, component: Component, path: str, name: str, part: Part
    ) -> Defect | None:
        state = self.components[component.directory]
        if self.certificate_problem(name) is not None:
            return Defect(path, "is a copy of a credential that goes")
        if path not in state.files:
            return Defect(path, "is missing")
        if path not in state.same:
            source = self.paths(name).of_part(part)
            copying = f"{for_sh('cat', source)} > {word(path)}"
            if part is Part.PK8:
                key, pk8 = word(source), word(path)
                copying = f"openssl pkcs8 -topk8 -nocrypt -outform DER -in {key} -out {pk8}"
            return Defect(path, f"differs from {source}", f"{copying}, then restart its service")
        return None

    def _mode_problem(self, component: Component, path: str, part: Part) -> Defect | None:
        entry = self.components[component.directory].files[path]
        wanted = component.file_mode(part)
        tighter = entry.mode & OWNER_READS and entry.mode | wanted == wanted
        if entry.mode == wanted or (part is Part.PK8 and tighter):
            return None
        remedy = for_sh(f"chmod {wanted:04o}", path)
        return Defect(path, f"has mode {entry.mode:04o}, not {wanted:04o}", remedy)

    def _certificate(self, path: str) -> Certificate | None:
        return read_certificate(self.ssl.texts.get(path, ""))

    def _public_key(self, path: str) -> str | None:
        return read_public_key(self.ssl.texts.get(path, ""))

    def _next_serial(self) -> int:
        try:
            return int(self.ssl.texts.get(self.settings.serial, "").strip() or "0", 16)
        except ValueError:
            return 0

    def _not_a(self, what: str, path: str) -> str:
        if path not in self.ssl.files:
            return "is missing"
        return "is empty" if self.ssl.files[path].size == 0 else f"is not a {what}"


def _not_owned_by(wanted: str, path: str, entry: FileState) -> Defect:
    why = f"belongs to {entry.ownership}, not to {wanted}"
    return Defect(path, why, for_sh(f"chown {wanted}", path))


def _hidden(path: str, root: str) -> bool:
    """Whether the document's `root/*` would leave `path` alone."""
    if not path.startswith(f"{root}/"):
        return False
    return path[len(root) + 1 :].startswith(".")
