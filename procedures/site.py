"""A site in one run: its master, whom agents are to trust, and what the master holds of them.

What many agents need of the master is asked once for all of them, by whichever comes first;
the others wait for the answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyinfra.api import Host
from pyinfra.api.exceptions import ConnectError, DeployError, PyinfraError

from facts.host import HostBasics
from procedures.identity import identities_of
from procedures.master import MasterFacts
from procedures.preflight import read_master, refuse
from procedures.regeneration import Regeneration, nameable_ca, prepare_regeneration
from procedures.requests import WaitingRequests
from procedures.run import Run
from procedures.status import fail_in_the_end
from procedures.telling import command_line, warn
from recert.altnames import AltNames, default_alt_names
from recert.ca_records import Autosign, Autosigning, CaRecords
from recert.certificates import Certificate, read_certificate, read_revocation_list, utc_now
from recert.errors import RecertError
from recert.freshness import CaStatus, Freshness, Retired
from recert.identity import never_believed
from recert.interlock import named_ca
from recert.pasted import for_sh
from recert.preflight import expired_crl, signing_refusals
from recert.signing import signed_since
from recert.site_cas import SiteCas

_AUTHORITY = ("ssl", "presented", "requests", "signed")
"""What of the master tells whether it serves as a CA, and what it holds of agents."""


@dataclass(frozen=True)
class MasterView:
    """What agents have to know of their master before the run begins.

    `retired`: the CA that its regeneration retires or has retired, None where single
    certificates are replaced. `names`: those that its certificate carries or will carry.
    `port`: where it listens for agents.
    `clock_ahead`: seconds by which its clock is ahead of the control machine's.
    `signing_refusals`: why it could not sign what agents ask for.
    `answers`: whether it does, to whoever asks it now.
    """

    facts: MasterFacts
    retired: Retired | None
    names: frozenset[str]
    port: int
    clock_ahead: float
    autosign: Autosign
    answers: bool
    signing_refusals: tuple[str, ...] = ()


def approved_of(run: Run) -> frozenset[str]:
    """The certificates that somebody has said may carry more than those before, and the requests
    that may ask for it.

    :raises DeployError: one of them is none.
    """
    with _nothing_changed():
        return run.options.approved_certs | run.options.approved_requests


@contextmanager
def _nothing_changed() -> Iterator[None]:
    """:raises DeployError: an option is not understood."""
    try:
        yield
    except RecertError as error:
        raise DeployError(f"Nothing was changed: {error}") from error


class Site:
    """What a run's master is and holds of its agents, and which of these is believed to be who."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.found: set[str] = set()
        """Those fingerprints of `retire_certs` that belong to an agent of this run."""
        self.compared: set[str] = set()
        """The agents whose certificates were compared with `retire_certs`."""
        self.disputed: set[str] = set()
        """Certnames that several agents have proven to have."""
        self._hosts: dict[str, str] = {}
        """Host names by certname, of the agents that are believed to have it."""

    @property
    def master(self) -> Host:
        """:raises DeployError: the inventory has none or several."""
        return self.run.master

    # Who

    def register(self, host: Host, certname: str) -> Host | None:
        """Note the certname that an agent is believed to have.

        :returns: another one that has it too; neither is to be changed.
        """
        other = self._hosts.setdefault(certname, host.name)
        if other == host.name:
            return None
        self.disputed.add(certname)
        return self.run.state.inventory.get_host(other)

    def require_no_master(self, host: Host) -> None:
        """:raises DeployError: the inventory has the master among the agents."""
        if host.name == self.master.name:
            raise DeployError(
                f"{host.name} is the master, and among the agents as well. Nothing was changed. "
                "Take it out of the group `agents`: steps 1 to 5 renew its own certificate."
            )

    def is_taken(self, host: Host, name: str) -> bool:
        """Whether a name is the master's, a service's of PE's, or that of another host than this
        one, whether the run is about that one or not."""
        return (
            never_believed(name, self.names_of_master) is not None
            or self._hosts.get(name, host.name) != host.name
            or identities_of(host).whose(host.name, name) is not None
        )

    @property
    def names_of_master(self) -> frozenset[str]:
        """Those that its certificate carries, will carry or has carried: somebody may still look
        for it under each."""
        return self.run.once("names of the master", self._read_names_of_master, lasting=True)

    def _read_names_of_master(self) -> frozenset[str]:
        view = self.view()
        in_use = view.facts.certificate_in_use
        before = [backup.manifest.alt_names for backup in view.facts.backups.backups]
        return view.names.union(*before, in_use.alt_names if in_use is not None else ())

    def certificates_of(self, certname: str) -> list[Certificate]:
        """What the master's own records have of a node: the CA in place has signed it, or the one
        to retire had, and neither has revoked it."""
        ca_records = self.ca_records()
        held = ca_records.ever_signed(certname)
        found = [ca_records.signed(certname)]
        if held is not None and held.fingerprint in ca_records.retired and self.run.replaces:
            found.append(held)
        found.append(self.retired_certificate(certname))
        return [
            cert
            for cert in found
            if cert is not None and cert.subject == certname and not self._is_doubted(cert)
        ]

    def doubted_certificate(self, certname: str) -> Certificate | None:
        """What the CA to retire had signed for a name when somebody else may have had it sign."""
        found = self._retired_certificate(certname)
        return found if found is not None and self._is_doubted(found) else None

    def _is_doubted(self, cert: Certificate) -> bool:
        with _nothing_changed():
            since = self.run.options.compromised_since
        retired = self.view().retired
        if since is None or retired is None:
            return False
        ca = self.ca_records().ca
        if ca is not None and ca.fingerprint != retired.fingerprint and cert.issued_by(ca):
            return False
        return signed_since(cert, since)

    def retired_certificate(self, certname: str) -> Certificate | None:
        """What the CA to retire had signed for a name, and not revoked, before anybody else could
        have had it sign."""
        found = self._retired_certificate(certname)
        return None if found is None or self._is_doubted(found) else found

    def _retired_certificate(self, certname: str) -> Certificate | None:
        view = self.view()
        if (retired := view.retired) is None:
            return None
        before: dict[str, Certificate] = self.run.once(
            "retired certificates", lambda: view.facts.retired_certificates(retired), lasting=True
        )
        return before.get(certname)

    def has_certname(self, certname: str) -> bool:
        """Whether an agent of this run has that certname."""
        return certname in self._hosts

    # The master, before the run

    def require_all_found(self) -> None:
        """Say which of the named certificates no agent of this run has or had. An agent that hides
        its own is no reason not to replace those of the others; the run fails in its end.

        :raises DeployError: none of them is anybody's, though all agents could be looked at; or
            none is named, so that nothing is left to be asked or done.
        """
        if self.run.replaces and not self.retire_certs:
            raise DeployError(
                "Nothing was changed: no certificate to retire is named. Which ones the agents "
                "have, and what to run, is told above."
            )
        missing = sorted(self.retire_certs - self.found)
        if not missing:
            return
        unread = sorted({agent.name for agent in self.run.agents} - self.compared)
        if not unread and not self.found:
            raise DeployError(
                f"Nothing was changed: retire_certs={','.join(missing)} is the certificate of no "
                "agent of this run. Correct it, or --limit the run to the agents that have it."
            )
        what = f"retire_certs={','.join(missing)}"
        clean = self.view().facts.deployment.authority.clean
        if unread:
            warn(
                self.master,
                f"{what} stays valid: it is of none of the agents that "
                f"could be looked at, and {', '.join(unread)} could not. Run the same "
                f"command when they are back, or `{clean}` on the master at once.",
            )
            return
        held = [name for name in self.ca_records().retired_names if name not in self._hosts]
        remedy = f"The master has signed none of {'that' if len(missing) == 1 else 'these'}."
        if held:
            remedy = f"`{for_sh(clean, *held)}` on the master revokes it: look at who has it."
        warn(self.master, f"{what} stays as it is: no agent of this run says it has it. {remedy}")
        fail_in_the_end()

    def regeneration(self) -> Regeneration:
        """Steps 1 to 5, as this run is going to carry them out.

        :raises DeployError: they are forbidden.
        """
        self.run.require_grouped()
        return self.run.once(
            "regeneration", lambda: prepare_regeneration(self.master), lasting=True
        )

    def view(self) -> MasterView:
        """:raises DeployError: agents cannot be helped with this master."""
        return self.run.once("view", self._read_view, lasting=True)

    def ask_beside(self, host: Host) -> None:
        """Ask the master for its view on its own turn, beside the agents on theirs: each of them
        waits for a start of Puppet, and those who need the view would wait for one more."""
        if host != self.master:
            return
        self.run.require_grouped()
        if self.run.connected_agents:
            self.view()

    def _read_view(self) -> MasterView:
        cannot_sign: list[str] = []
        if self.run.master_comes_first:
            regeneration = self.regeneration()
            facts = regeneration.facts
            retired: Retired | None = regeneration.retired
            names = set(regeneration.alt_names.names)
            if not names and not regeneration.alt_names.chosen:
                names = default_alt_names(facts.settings.certname)
        else:
            with self._master_answers():
                facts = read_master(self.master, as_agent_too=False)
            # Nothing here changes it before agents are changed.
            facts.good_for = 10
            facts.read_together("backups", "autosign", "signing", *_AUTHORITY)
            signing: HostBasics = facts.known("signing")
            cannot_sign = signing_refusals(
                signing.unchangeable, signing.free, facts.settings.signeddir
            )
            retired = self._retired(facts)
            cert = facts.certificate_in_use
            names = set(cert.alt_names) if cert is not None else set()
        autosign: Autosign = facts.known("autosign")
        view = MasterView(
            facts,
            retired,
            frozenset(names | {facts.settings.certname}),
            facts.port_of(facts.seat.server),
            facts.clock_ahead,
            autosign,
            facts.presented is not None,
            tuple(cannot_sign),
        )
        if autosign.kind is not Autosigning.OFF:
            warn(
                self.master,
                f"The master signs by itself (autosign: {autosign.kind.value}): anybody who can "
                "reach it can get a certificate under the new CA. For whom it signs, step 6.7 has "
                "nothing to do.",
            )
        return view

    def _retired(self, facts: MasterFacts) -> Retired | None:
        if self.run.replaces:
            return None
        ca = nameable_ca(facts)
        named = f"The master serves under {ca.fingerprint if ca else 'a CA that cannot be read'}"
        manifests = [backup.manifest for backup in facts.backups.backups]
        try:
            fingerprint = self.run.options.retire_ca
        except RecertError as error:
            refuse(self.master, [str(error)])
        if fingerprint is None:
            in_place = ca.fingerprint if ca is not None else None
            retired = [m.ca_fingerprint for m in manifests if m.ca_fingerprint != in_place]
            before = next((found for found in reversed(retired) if found), None)
            lines = ["Nothing was changed: no CA to retire is named.", f"  {named}"]
            if before is not None:
                lines += [
                    f"  It took the place of {before}. For the agents to follow:",
                    f"    {command_line()} --data retire_ca={before}",
                ]
            else:
                lines.append("  Retire it first: deploys/master.py, or deploys/site.py for all.")
            raise DeployError("\n".join(lines))
        return named_ca(fingerprint, ca, manifests)

    @property
    def retire_certs(self) -> frozenset[str]:
        """The fingerprints of single certificates to replace.

        :raises DeployError: one of them is none.
        """
        if not self.run.replaces:
            return frozenset()
        return self.run.once("retire_certs", self._read_retire_certs, lasting=True)

    def _read_retire_certs(self) -> frozenset[str]:
        with _nothing_changed():
            return self.run.options.retire_certs

    # The master, at the moment of asking

    def ca_records(self) -> CaRecords:
        """The CA that agents are to trust, as it was when last asked."""
        return self.run.once("ca_records", self._read_ca_records, anew=True)

    @property
    def cas(self) -> list[Certificate]:
        """The CAs whose certificates the site has had, as far as the master knows them."""
        return self.run.once("cas", self._read_cas, lasting=True)

    def _read_cas(self) -> list[Certificate]:
        manifests = [backup.manifest for backup in self.view().facts.backups.backups]
        found = [read_certificate(manifest.ca_certificate or "") for manifest in manifests]
        retired = self.view().retired
        named = retired.certificate if retired is not None else None
        return [ca for ca in (self.ca_records().ca, named, *found) if ca is not None]

    @property
    def ever_had(self) -> SiteCas:
        """The CAs of the site, also those of which the master knows no more than the key, and the
        one that it has made in this run."""
        before: SiteCas = self.run.once("CAs ever had", self._read_ever_had, lasting=True)
        return before.with_ca(self.ca_records().ca)

    def _read_ever_had(self) -> SiteCas:
        view = self.view()
        manifests = [backup.manifest for backup in view.facts.backups.backups]
        return SiteCas.of(self.ca_records().ca, view.retired, manifests)

    def learn_signed(self, pems: dict[str, str]) -> None:
        """Take in what the master has just signed, by name."""
        with self.run.exclusively():
            self.run.replace_result("ca_records", self.ca_records().with_signed(pems))

    def forget_ca_records(self) -> None:
        """Have the master asked again what it holds."""
        with self.run.exclusively():
            self.run.forget("ca_records")
            self.view().facts.forget("requests", "signed")

    def _read_ca_records(self) -> CaRecords:
        view = self.view()
        conf, ssl = view.facts.settings, view.facts.ssl
        freshness, authority = self._freshness(view), view.facts.deployment.authority
        if freshness.ca_due:
            return CaRecords(authority, None, autosign=view.autosign, retired=self.retire_certs)
        view.facts.read_together("requests", "signed")
        waiting = WaitingRequests(view.facts, view.facts.known("requests"), self.run.exclusively)
        return CaRecords(
            authority,
            freshness.ca,
            ssl.texts.get(conf.cacrl, ""),
            waiting,
            view.facts.known("signed"),
            view.autosign,
            conf.csrdir,
            self.retire_certs,
            too_many_wait=waiting.too_many,
            approved=approved_of(self.run),
        )

    def _freshness(self, view: MasterView) -> Freshness:
        conf = view.facts.settings
        retired = view.retired or Retired("", None)
        ssl, names = view.facts.ssl, AltNames(conf.certname, ())
        return Freshness(view.facts.deployment, conf, ssl, {}, retired, names, utc_now())

    def master_problem(self) -> str | None:
        """Why no agent may be changed now; None if the master serves under a fresh CA. What the
        master says is asked anew, once for the whole run."""
        return self.run.once("problem", self._find_master_problem, anew=True)

    def _find_master_problem(self) -> str | None:
        if self.master in self.run.state.failed_hosts:
            return "the master failed before; see above."
        try:
            view = self.view()
            self.forget_ca_records()
            view.facts.forget(*_AUTHORITY)
            view.facts.read_together(*_AUTHORITY)
            problem = self.ca_problem(view)
            if problem is not None:
                return problem
            self.ca_records()
        except (PyinfraError, RecertError, OSError) as error:
            return f"the master cannot be asked: {error}"
        return None

    def ca_problem_before(self, view: MasterView) -> str | None:
        """The same as the preview sees it, asked once for all agents."""
        return self.run.once("problem before", lambda: self.ca_problem(view), lasting=True)

    def ca_problem(self, view: MasterView) -> str | None:
        """Why the master is no CA for agents now."""
        freshness = self._freshness(view)
        if freshness.ca_status is CaStatus.RETIRING:
            return (
                "the master still has the CA to retire. Run deploys/master.py first, or "
                "deploys/site.py for all."
            )
        if freshness.ca is None or freshness.ca_due:
            found = "; ".join(map(str, freshness.ca_damage))
            return f"the master's CA is {freshness.ca_status.value} ({found})."
        crl = read_revocation_list(view.facts.ssl.texts.get(view.facts.settings.cacrl, ""))
        # A revocation, with which a replacement begins, makes it anew.
        server = view.facts.seat.server
        problem = expired_crl(freshness.settings, crl, freshness.now, view.facts.deployment)
        if problem and not self.run.replaces:
            return problem
        presented, in_use = view.facts.presented, view.facts.certificate_in_use
        port = view.facts.port_of(server)
        if presented is None:
            return f"the master does not answer on port {port}."
        its_own = presented == in_use and presented.subject == view.facts.settings.certname
        if not presented.issued_by(freshness.ca) or not its_own:
            return (
                f"the master presents {presented.fingerprint} on port {port}, which is not its "
                "certificate of the CA in place."
            )
        return None

    def retired_fingerprints(self) -> tuple[str, ...]:
        """What this run retires: a CA, or single certificates."""
        if self.retire_certs:
            return tuple(sorted(self.retire_certs))
        view: MasterView | None = self.run.result_of("view")
        retired = view.retired if view is not None else None
        return (retired.fingerprint,) if retired is not None else ()

    def known_ca_records(self) -> CaRecords | None:
        """What the master has said last, if it was asked at all."""
        ca_records: CaRecords | None = self.run.result_of("ca_records")
        return ca_records

    def refuses(self, cert: Certificate) -> bool:
        """Whether the master refuses a certificate: it is revoked, and the master has been
        restarted since, without which it goes by the CRL that it knows."""
        refused = self.view().facts.backups.refused
        return cert.serial in self.ca_records().revoked and cert.fingerprint in refused

    # One for all

    @contextmanager
    def _master_answers(self) -> Iterator[None]:
        """:raises DeployError: the master cannot be reached."""
        try:
            yield
        except (ConnectError, OSError) as error:
            raise DeployError(
                f"Nothing was changed: the master {self.master.name} cannot be reached ({error}), "
                "and agents without a master would be an outage."
            ) from error
