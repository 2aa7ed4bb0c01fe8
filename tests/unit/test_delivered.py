"""What Puppet runs deliver: that it equals its sources, and what it means if it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recert.looks import HostLook
from recert.observed import Keystores
from recert.report import Result, Role, Severity
from recert.survey import SiteState
from recert.verification import About, Evidence, verify
from tests.tables import CONSOLE_CLIENT, KEYSTORE, PEADMIN_CLIENT, TRUSTSTORE
from tests.unit.agent import AGENT, agent
from tests.unit.delivered import (
    MCOLLECTIVE,
    SERVERS,
    WINDOWS_MCOLLECTIVE,
    client,
    shared,
    with_delivered,
    with_everything,
)
from tests.unit.issuing_ca import CERTNAME, NEW, OLD, SSLDIR, IssuingCa, key_digest, master
from tests.unit.looks import look_at_agent, look_at_master, site, with_file

pytestmark = pytest.mark.usefixtures("short_keys_will_do")


def problems(state: SiteState) -> dict[tuple[str, str], str]:
    assert all(p.remedy for p in state.problems)
    return {(p.host, p.subject): p.what for p in state.problems if p.severity is Severity.BAD}


def checks(state: SiteState, about: About) -> list[tuple[str, str, str]]:
    """Host, what was seen and the remedy, of those that failed."""
    made = verify(state, Evidence())
    return [
        (c.host, c.saw, c.remedy)
        for c in made
        if c.about == about.value and c.result is Result.FAILED
    ]


def test_copies_that_equal_their_sources_are_well(puppet: HostLook, web: HostLook) -> None:
    state = site(puppet, web)
    assert problems(state) == {}
    assert checks(state, About.PLACED) == checks(state, About.RETIRED) == []
    made = [c for c in verify(state, Evidence()) if "delivered" in c.did or "deliver" in c.did]
    assert {c.host: c.saw for c in made} == {
        "master": "18 files, as their sources",
        "web01": "6 files, as their sources",
    }


@pytest.mark.parametrize("path", shared())
def test_each_shared_file_on_a_node_is_compared(puppet: HostLook, web: HostLook, path: str) -> None:
    state = site(puppet, with_delivered(web, shared(), puppet, old=[path]))
    ((where, what),) = problems(state).items()
    assert where == ("web01", path)
    name = shared()[path]
    kind = "certificate" if path.endswith("cert.pem") else "key"
    assert what == (
        f"is not the {kind} of {name}" if name else "is not the certificate of the CA in place"
    )
    assert checks(state, About.PLACED) == [
        ("web01", f"{path} {what}", "A Puppet run of the node makes it anew: puppet agent --test")
    ]


@pytest.mark.parametrize(
    "path", [*client(PEADMIN_CLIENT, "peadmin"), *client(CONSOLE_CLIENT, "puppet-dashboard")]
)
def test_each_file_of_the_clients_on_the_master_is_compared(puppet: HostLook, path: str) -> None:
    files = client(PEADMIN_CLIENT, "peadmin") | client(CONSOLE_CLIENT, "puppet-dashboard")
    found = problems(site(with_delivered(puppet, files, puppet, old=[path])))
    assert list(found) == [("master", path)]


def test_a_file_that_is_empty(puppet: HostLook, web: HostLook) -> None:
    path = f"{MCOLLECTIVE}/mcollective-cert.pem"
    seen = web.found
    certs = {p: text for p, text in seen.certificates.items() if p != path}
    files = {**seen.files, path: replace(seen.files[path], size=0)}
    look = replace(web, found=replace(seen, certificates=certs, files=files))
    assert problems(site(puppet, look)) == {("web01", path): "is empty"}


@pytest.mark.parametrize("name", ["ca.pem", "ca.cert.pem", "cacert.pem", "peadmin-cacert.pem"])
def test_a_ca_by_whatever_name(puppet: HostLook, web: HostLook, name: str) -> None:
    path = f"{MCOLLECTIVE}/{name}"
    assert problems(site(puppet, with_file(web, path, NEW.pem))) == {}
    third = IssuingCa("third-ca").pem
    assert problems(site(puppet, with_file(web, path, third))) == {
        ("web01", path): "is not the certificate of the CA in place"
    }


def test_a_nodes_own_credential_that_was_copied_before_it_was_renewed(
    puppet: HostLook, web: HostLook
) -> None:
    path = f"{MCOLLECTIVE}/{AGENT}.cert.pem"
    own = web.found.certificates[f"{SSLDIR}/certs/{AGENT}.pem"]
    key = path.replace("cert", "private_key")
    kept = with_file(with_file(web, path, own), key, key=key_digest(AGENT), mode=0o600)
    assert problems(site(puppet, kept)) == {}
    stale = with_file(kept, path, NEW.issue(AGENT, 7, key=AGENT))
    assert problems(site(puppet, stale)) == {("web01", path): f"is not the certificate of {AGENT}"}


@pytest.mark.parametrize("name", ["web-public.pem", "replica.pem", "notes.txt.pem"])
def test_a_client_that_puppet_did_not_make_is_somebody_elses(
    puppet: HostLook, web: HostLook, name: str
) -> None:
    look = with_file(web, f"{MCOLLECTIVE}/clients/{name}")
    assert problems(site(puppet, look)) == {}


def test_a_windows_node_has_them_elsewhere(puppet: HostLook) -> None:
    places = (WINDOWS_MCOLLECTIVE,)
    plain = replace(look_at_agent(agent()), role=Role.WINDOWS_AGENT, credential_places=places)
    files = shared(f"{WINDOWS_MCOLLECTIVE}/etc/ssl")
    old = f"{WINDOWS_MCOLLECTIVE}/etc/ssl/mcollective-public.pem"
    assert problems(site(puppet, with_delivered(plain, files, puppet))) == {}
    assert list(problems(site(puppet, with_delivered(plain, files, puppet, old=[old])))) == [
        ("web01", old)
    ]


def test_before_a_regeneration_nothing_of_the_ca_to_retire_is_a_problem() -> None:
    puppet = with_everything(look_at_master(master(OLD)))
    stores = {KEYSTORE: [puppet.ssl.texts[f"{SSLDIR}/certs/{SERVERS}.pem"]], TRUSTSTORE: [OLD.pem]}
    state = site(replace(puppet, keystores=Keystores(True, stores)), retiring=True)
    assert problems(state) == {}


# The broker's keystores


def test_keystores_of_the_retired_site(puppet: HostLook) -> None:
    old = {KEYSTORE: [OLD.issue(SERVERS, 5)], TRUSTSTORE: [OLD.pem]}
    state = site(replace(puppet, keystores=Keystores(True, old)))
    assert problems(state) == {
        ("master", KEYSTORE): "does not hold a certificate of the master's that it has now",
        ("master", TRUSTSTORE): "does not hold the certificate of the CA in place",
    }
    assert {saw.partition(" ")[0] for _, saw, _ in checks(state, About.RETIRED)} == {
        KEYSTORE,
        TRUSTSTORE,
    }


def test_a_broker_with_the_masters_own_certificate(puppet: HostLook) -> None:
    own = puppet.ssl.texts[f"{SSLDIR}/certs/{CERTNAME}.pem"]
    stores = {**puppet.keystores.certificates, KEYSTORE: [own]}
    assert problems(site(replace(puppet, keystores=Keystores(True, stores)))) == {}


def test_a_truststore_with_both_cas_still_lets_the_old_one_in(puppet: HostLook) -> None:
    stores = {**puppet.keystores.certificates, TRUSTSTORE: [NEW.pem, OLD.pem]}
    state = site(replace(puppet, keystores=Keystores(True, stores)))
    assert problems(state) == {("master", TRUSTSTORE): "is of the CA to retire"}
    ((_, _, remedy),) = checks(state, About.RETIRED)
    assert remedy.startswith("A Puppet run of the node")


def test_what_a_keystore_holds_is_among_the_certificates(puppet: HostLook) -> None:
    records = [r for r in site(puppet).certificates if r.path == KEYSTORE]
    assert [(r.subject, r.mode, r.used_by) for r in records] == [
        (SERVERS, "0640", ("pe-activemq",)),
        (NEW.certificate.subject, "0640", ("pe-activemq",)),
    ]


@pytest.mark.parametrize("path", [KEYSTORE, f"{PEADMIN_CLIENT}/peadmin-private.pem"])
def test_what_others_can_read(puppet: HostLook, path: str) -> None:
    files = {**puppet.found.files}
    files[path] = replace(files[path], mode=0o644)
    state = site(replace(puppet, found=replace(puppet.found, files=files)))
    assert problems(state) == {("master", path): "is open to others (0644)"}
    assert checks(state, About.PLACED) == [
        ("master", f"{path} is open to others (0644)", f"chmod o-rwx -- {path}")
    ]
