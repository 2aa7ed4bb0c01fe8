"""What counts as fresh and what as stale, in every state a master can be found in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from recert import certificates
from recert.altnames import AltNames
from recert.deployments.model import TRIO, Component, Part
from recert.deployments.pe_3_7 import PE_3_7
from recert.freshness import CaStatus, Freshness, Retired
from recert.observed import ComponentState, LastRun
from tests.tables import COMPONENTS, CONSOLE, INTERNAL_NAMES, POSTGRESQL, PUPPETDB, credential_names
from tests.unit.issuing_ca import (
    ALT_NAMES,
    CA_SUBJECT,
    CERTNAME,
    MADE,
    NEW,
    NOW,
    OLD,
    SSLDIR,
    IssuingCa,
    Master,
    file_state,
    key_digest,
    master,
    paths_of,
    public_pem,
    read,
    reasons,
    retired,
)

OLD_KEY_AGAIN = IssuingCa("old-ca", serial=7, expires=NOW + timedelta(days=1826))
"""What Puppet makes if the retired key is still there: another certificate, the same key."""

PUPPETDB_CERT = f"{PUPPETDB.directory}/{CERTNAME}.cert.pem"
PUPPETDB_KEY = f"{PUPPETDB.directory}/{CERTNAME}.private_key.pem"


def assert_quiet(judged: Freshness) -> None:
    """Every step's predicate says that there is nothing to do."""
    assert judged.ca_status is CaStatus.FRESH
    assert not judged.ca_due
    assert judged.ca_damage == ()
    assert judged.names_due(credential_names(CERTNAME)) == []
    assert judged.ssl_remains == ()
    assert judged.placement_problems == ()
    for component in judged.installed_components:
        assert judged.leftovers(component) == ()
        assert judged.copy_problems(component) == []
        assert judged.ownership_problems(component) == []


# The whole


def test_complete_fresh_master_has_no_problems() -> None:
    assert master().judge().problems == ()


def test_with_nothing_stale_every_predicate_is_quiet() -> None:
    assert_quiet(master().judge())


def test_with_nothing_stale_catalog_and_run_after_the_certificate_are_not_due() -> None:
    judged = master().judge()
    assert not judged.catalog_due(file_state(mtime=MADE + 1))
    assert not judged.run_due(LastRun(MADE + 1, succeeded=True))


def test_master_of_the_retired_ca_has_everything_stale() -> None:
    found = master(OLD)
    judged = found.judge()
    assert judged.ca_status is CaStatus.RETIRING
    assert judged.names_due(credential_names(CERTNAME)) == list(credential_names(CERTNAME))
    assert set(judged.ssl_remains) == {p for p, e in found.files.items() if e.kind != "d"}
    for component in COMPONENTS:
        copies = {path for path, _, _ in judged.copies(component)}
        assert set(judged.leftovers(component)) == copies
        assert paths_of(judged.copy_problems(component)) == copies
        assert paths_of(judged.ownership_problems(component)) >= copies
    assert judged.placement_problems
    stale = paths_of(judged.problems)
    for path in (found.settings.cacert, found.settings.cakey, found.settings.hostcrl):
        assert path in stale


def test_master_without_any_ssl_file_has_everything_stale() -> None:
    found = master()
    for path in [path for path, entry in found.files.items() if entry.kind != "d"]:
        found.remove(path)
    judged = found.judge()
    assert judged.ca_status is CaStatus.ABSENT
    assert judged.ssl_remains == ()
    assert judged.names_due(credential_names(CERTNAME)) == list(credential_names(CERTNAME))
    assert judged.problems


def test_naming_the_new_ca_makes_the_fresh_master_stale_again() -> None:
    found = master(NEW)
    found.retired = retired(NEW)
    assert found.judge().ca_status is CaStatus.RETIRING


# The CA


def test_ca_key_kept_without_certificate_is_retiring() -> None:
    found = master(OLD)
    found.remove(found.settings.cacert)
    judged = found.judge()
    assert judged.ca_status is CaStatus.RETIRING
    assert found.settings.cakey in judged.ssl_remains


def test_certificate_made_anew_for_the_retired_key_is_retiring() -> None:
    assert OLD_KEY_AGAIN.certificate.fingerprint != OLD.certificate.fingerprint
    judged = master(OLD_KEY_AGAIN).judge()
    assert judged.ca_status is CaStatus.RETIRING
    assert judged.names_due([CERTNAME]) == [CERTNAME]
    assert judged.settings.cakey in judged.ssl_remains


def test_certificate_made_anew_for_the_retired_key_is_retiring_without_the_key_file() -> None:
    found = master(OLD_KEY_AGAIN)
    found.remove(found.settings.cakey)
    assert found.judge().ca_status is CaStatus.RETIRING


def test_certificate_made_anew_for_the_retired_key_is_retiring_with_an_unreadable_key() -> None:
    found = master(OLD_KEY_AGAIN)
    found.write_key(found.settings.cakey, None)
    assert found.judge().ca_status is CaStatus.RETIRING


def test_new_certificate_beside_the_retired_key_is_retiring() -> None:
    found = master(NEW)
    found.write_key(found.settings.cakey, OLD.key)
    assert found.judge().ca_status is CaStatus.RETIRING


def test_retired_certificate_beside_another_key_is_retiring() -> None:
    found = master(OLD)
    found.write_key(found.settings.cakey, NEW.key)
    assert found.judge().ca_status is CaStatus.RETIRING


def test_retired_ca_whose_key_is_not_known_is_recognised_by_its_fingerprint() -> None:
    found = master(OLD)
    found.retired = Retired(OLD.certificate.fingerprint, None)
    assert found.judge().ca_status is CaStatus.RETIRING


def test_unknown_retired_key_does_not_equal_an_unreadable_key() -> None:
    found = master(NEW)
    found.retired = Retired(OLD.certificate.fingerprint, None)
    found.write_key(found.settings.cakey, None)
    assert found.judge().ca_status is CaStatus.DAMAGED


def test_key_of_another_ca_without_certificate_is_damaged() -> None:
    found = master(NEW)
    found.remove(found.settings.cacert)
    assert found.judge().ca_status is CaStatus.DAMAGED


def spoil_serial(text: str) -> Callable[[Master], None]:
    return lambda found: found.write(found.settings.serial, text)


def crl_of_another_key(found: Master) -> None:
    found.write(found.settings.cacrl, OLD.crl())


def ca_certificate_of_another_key(found: Master) -> None:
    """Signed by another CA of the same subject, not by itself."""
    pem = OLD.issue(CA_SUBJECT, serial=1, key=NEW.key)
    assert read(pem).subject == read(pem).issuer
    assert read(pem).key == NEW.certificate.key
    found.write(found.settings.cacert, pem)
    found.write(found.settings.localcacert, pem)


def ca_certificate_expired(found: Master) -> None:
    found.now = NEW.expires


DAMAGES: dict[str, tuple[str, Callable[[Master], None]]] = {
    "certificate of 0 bytes": ("cacert", lambda m: m.write(m.settings.cacert, "")),
    "certificate cut short": ("cacert", lambda m: m.write(m.settings.cacert, NEW.pem[:200])),
    "certificate gone": ("cacert", lambda m: m.remove(m.settings.cacert)),
    "certificate signed by another key": ("cacert", ca_certificate_of_another_key),
    "certificate expired": ("cacert", ca_certificate_expired),
    "key gone": ("cakey", lambda m: m.remove(m.settings.cakey)),
    "key of 0 bytes": ("cakey", lambda m: m.write_key(m.settings.cakey, None)),
    "key of another pair": ("cakey", lambda m: m.write_key(m.settings.cakey, "another-ca")),
    "CRL gone": ("cacrl", lambda m: m.remove(m.settings.cacrl)),
    "CRL of 0 bytes": ("cacrl", lambda m: m.write(m.settings.cacrl, "")),
    "CRL signed by another key": ("cacrl", crl_of_another_key),
    "serial gone": ("serial", lambda m: m.remove(m.settings.serial)),
    "serial of 0 bytes": ("serial", spoil_serial("")),
    "serial equal to the CA's": ("serial", spoil_serial("0001\n")),
    "serial before the CA's": ("serial", spoil_serial("0000")),
    "serial no number": ("serial", spoil_serial("many")),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_ca_is_due_and_says_where(damage: str) -> None:
    setting, spoil = DAMAGES[damage]
    found = master()
    spoil(found)
    judged = found.judge()
    assert judged.ca_status is CaStatus.DAMAGED
    assert paths_of(judged.ca_damage) == {getattr(found.settings, setting)}
    assert paths_of(judged.ca_damage) <= paths_of(judged.problems)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_ca_is_begun_again_from_nothing(damage: str) -> None:
    found = master()
    DAMAGES[damage][1](found)
    judged = found.judge()
    assert judged.names_due(credential_names(CERTNAME)) == list(credential_names(CERTNAME))
    assert set(judged.ssl_remains) == {p for p, e in found.files.items() if e.kind != "d"}


def test_ca_is_fresh_to_the_last_second_before_it_expires() -> None:
    found = master()
    found.now = NEW.expires - timedelta(seconds=1)
    assert found.judge().ca_status is CaStatus.FRESH


def test_serial_is_hexadecimal() -> None:
    found = master(IssuingCa("new-ca", serial=9))
    found.write(found.settings.serial, "000A\n")
    assert found.judge().ca_status is CaStatus.FRESH


def test_missing_and_empty_files_are_told_apart() -> None:
    found = master()
    found.remove(found.settings.cacrl)
    assert reasons(found.judge().ca_damage)[found.settings.cacrl] == "is missing"
    found.write(found.settings.cacrl, "")
    assert reasons(found.judge().ca_damage)[found.settings.cacrl] == "is empty"
    found.write(found.settings.cacrl, "not a CRL")
    assert "is not a" in reasons(found.judge().ca_damage)[found.settings.cacrl]


def test_key_that_cannot_be_read_is_told_from_another_key() -> None:
    found = master()
    found.write_key(found.settings.cakey, None)
    (problem,) = found.judge().ca_damage
    assert problem.why == f"cannot be read with {found.settings.capass}"


def test_dates_that_everybody_refuses_are_damage_and_staleness() -> None:
    found = master()
    assert found.judge().problems == ()
    too_early = replace(found.judge(), now=NEW.certificate.not_before - timedelta(minutes=1))
    assert too_early.ca_status is CaStatus.DAMAGED
    assert "is not valid before" in too_early.ca_damage[0].why


def test_a_link_has_no_mode_or_owner_that_count() -> None:
    found = master()
    path = found.paths().private_key
    link = replace(found.files[path], kind="l", mode=0o777, owner="root")
    found.files[path] = link
    assert found.judge().placement_problems == ()


# The master's and the internal certificates


def leaf_of_another_ca(found: Master) -> None:
    pem = OLD.issue(CERTNAME, 2, (*ALT_NAMES, CERTNAME))
    assert read(pem).issuer == NEW.certificate.subject
    found.write(found.paths().certificate, pem)
    found.write(found.paths().signed, pem)


def expired_leaf(found: Master) -> None:
    pem = NEW.issue(CERTNAME, 2, (*ALT_NAMES, CERTNAME), expires=NOW)
    found.write(found.paths().certificate, pem)
    found.write(found.paths().signed, pem)


def leaf_of_another_name(found: Master) -> None:
    pem = NEW.issue("web01.example.com", 2, (*ALT_NAMES, CERTNAME), key=CERTNAME)
    found.write(found.paths().certificate, pem)
    found.write(found.paths().signed, pem)


def reissued_leaf(found: Master) -> None:
    """The CA has signed another certificate for the same key since."""
    found.write(found.paths().signed, NEW.issue(CERTNAME, 99, (*ALT_NAMES, CERTNAME)))


def leaf_without_alt_names(found: Master) -> None:
    found.credential(CERTNAME, 2)


def leaf_with_one_more_alt_name(found: Master) -> None:
    found.credential(CERTNAME, 2, (*ALT_NAMES, CERTNAME, "other.example.com"))


LEAF_DAMAGES: dict[str, tuple[str, Callable[[Master], None]]] = {
    "certificate gone": ("certificate", lambda m: m.remove(m.paths().certificate)),
    "certificate of 0 bytes": ("certificate", lambda m: m.write(m.paths().certificate, "")),
    "certificate of another CA": ("certificate", leaf_of_another_ca),
    "certificate revoked": (
        "certificate",
        lambda m: m.write(m.settings.cacrl, NEW.crl(revoked=[2])),
    ),
    "certificate of another name": ("certificate", leaf_of_another_name),
    "certificate expired": ("certificate", expired_leaf),
    "alt names lacking": ("certificate", leaf_without_alt_names),
    "an alt name too many": ("certificate", leaf_with_one_more_alt_name),
    "signed copy gone": ("signed", lambda m: m.remove(m.paths().signed)),
    "signed copy of 0 bytes": ("signed", lambda m: m.write(m.paths().signed, "")),
    "signed copy another certificate": ("signed", reissued_leaf),
    "private key gone": ("private_key", lambda m: m.remove(m.paths().private_key)),
    "private key of 0 bytes": ("private_key", lambda m: m.write_key(m.paths().private_key, None)),
    "private key of another pair": (
        "private_key",
        lambda m: m.write_key(m.paths().private_key, "another"),
    ),
    "public key gone": ("public_key", lambda m: m.remove(m.paths().public_key)),
    "public key of 0 bytes": ("public_key", lambda m: m.write(m.paths().public_key, "")),
    "public key of another pair": (
        "public_key",
        lambda m: m.write(m.paths().public_key, public_pem("another")),
    ),
}


@pytest.mark.parametrize("damage", LEAF_DAMAGES)
def test_stale_certificate_is_due_alone_and_says_where(damage: str) -> None:
    part, spoil = LEAF_DAMAGES[damage]
    found = master()
    spoil(found)
    judged = found.judge()
    assert judged.ca_status is CaStatus.FRESH
    problem = judged.certificate_problem(CERTNAME)
    assert problem is not None
    assert problem.path == getattr(found.paths(), part)
    assert judged.names_due(credential_names(CERTNAME)) == [CERTNAME]
    assert problem in judged.problems


@pytest.mark.parametrize("damage", LEAF_DAMAGES)
def test_files_of_a_stale_certificate_are_removed_and_no_others(damage: str) -> None:
    found = master()
    LEAF_DAMAGES[damage][1](found)
    left = {path for path in found.paths().all if path in found.files}
    assert set(found.judge().ssl_remains) == left


@pytest.mark.parametrize("name", INTERNAL_NAMES)
def test_each_internal_certificate_is_judged(name: str) -> None:
    found = master()
    found.remove(found.paths(name).certificate)
    assert found.judge().names_due(credential_names(CERTNAME)) == [name]


def test_internal_certificates_need_no_alt_names() -> None:
    found = master()
    found.credential("pe-internal-dashboard", 50, ("anything.example.com",))
    assert found.judge().certificate_problem("pe-internal-dashboard") is None


def test_any_alt_names_do_where_puppet_chooses_them() -> None:
    found = master()
    found.alt_names = AltNames(CERTNAME, ())
    assert found.judge().certificate_problem(CERTNAME) is None


def test_certificate_is_fresh_while_the_crl_revokes_another() -> None:
    found = master()
    crl = NEW.crl(revoked=[3000])
    found.write(found.settings.cacrl, crl)
    found.write(found.settings.hostcrl, crl)
    assert_quiet(found.judge())


def test_dotfiles_at_the_top_of_ssldir_are_left_as_the_shell_would() -> None:
    found = master(OLD)
    found.add(f"{SSLDIR}/.keep")
    found.add(f"{SSLDIR}/.git/config")
    found.add(f"{SSLDIR}/ca/.deeper")
    remains = found.judge().ssl_remains
    assert f"{SSLDIR}/.keep" not in remains
    assert f"{SSLDIR}/.git/config" not in remains
    assert f"{SSLDIR}/ca/.deeper" in remains


def test_cadir_outside_ssldir_is_emptied_too() -> None:
    cadir = "/srv/puppet/ca"
    moved = {
        "cadir": cadir,
        "cacert": f"{cadir}/ca_crt.pem",
        "cakey": f"{cadir}/ca_key.pem",
        "cacrl": f"{cadir}/ca_crl.pem",
        "capass": f"{cadir}/private/ca.pass",
        "serial": f"{cadir}/serial",
        "signeddir": f"{cadir}/signed",
        "csrdir": f"{cadir}/requests",
    }
    found = master(OLD, PE_3_7, **moved)
    remains = found.judge().ssl_remains
    assert {moved["cacert"], moved["cakey"], found.settings.hostcrl} <= set(remains)
    assert cadir not in remains
    assert_quiet(master(NEW, PE_3_7, **moved).judge())


def test_agents_fresh_certificates_and_requests_stay() -> None:
    found = master()
    agent = NEW.issue("agent01.example.com", 70)
    signed = found.paths("agent01.example.com").signed
    found.write(signed, agent)
    found.older[signed] = agent
    found.add(found.paths("agent02.example.com").request_at_ca)
    assert_quiet(found.judge())


@pytest.mark.parametrize("place", ["request_at_ca", "signed"])
def test_empty_files_that_stop_puppets_ca_are_removed(place: str) -> None:
    found = master()
    path = getattr(found.paths("agent01.example.com"), place)
    found.add(path, size=0)
    judged = found.judge()
    assert judged.ssl_remains == (path,)
    assert path in paths_of(judged.problems)


def test_empty_files_elsewhere_stay() -> None:
    found = master()
    found.add(f"{SSLDIR}/ca/inventory.txt", size=0)
    found.add(f"{SSLDIR}/ca/signed", kind="d", size=0)
    assert_quiet(found.judge())


@pytest.mark.parametrize("name", credential_names(CERTNAME))
def test_request_that_the_ca_has_answered_is_removed(name: str) -> None:
    found = master()
    path = found.paths(name).request_at_ca
    found.add(path)
    judged = found.judge()
    assert judged.ssl_remains == (path,)
    assert judged.certificate_problem(name) is None


def test_request_that_was_not_signed_is_removed_with_its_keys() -> None:
    found = master()
    paths = found.paths("pe-internal-dashboard")
    for path in (paths.certificate, paths.signed):
        found.remove(path)
    for path in (paths.request, paths.request_at_ca):
        found.add(path)
    assert set(found.judge().ssl_remains) == {
        paths.request,
        paths.request_at_ca,
        paths.private_key,
        paths.public_key,
    }


def test_certificates_of_another_ca_of_the_same_subject_are_removed() -> None:
    found = master()
    stale, fresh = (found.paths(f"agent0{n}.example.com").signed for n in (1, 2))
    for path, ca in ((stale, OLD), (fresh, NEW)):
        found.older[path] = ca.issue("agent.example.com", 80)
        found.write(path, found.older[path])
    assert found.judge().ssl_remains == (stale,)


def test_nothing_is_to_be_removed_twice() -> None:
    found = master()
    leaf_of_another_ca(found)
    found.older[found.paths().signed] = found.texts[found.paths().signed]
    found.add(found.paths().request_at_ca, size=0)
    remains = found.judge().ssl_remains
    assert len(remains) == len(set(remains))


# Step 2.3


def test_no_cached_catalog_is_not_due() -> None:
    assert not master().judge().catalog_due(None)
    assert not master(OLD).judge().catalog_due(None)


@pytest.mark.parametrize(("mtime", "due"), [(MADE - 1, True), (MADE, False), (MADE + 1, False)])
def test_catalog_from_before_the_certificate_is_due(mtime: float, due: bool) -> None:
    assert master().judge().catalog_due(file_state(mtime=mtime)) is due


def test_any_catalog_is_due_while_the_certificate_is_stale() -> None:
    assert master(OLD).judge().catalog_due(file_state(mtime=MADE + 1))


# Step 2.7


def test_crl_must_be_the_cas() -> None:
    found = master()
    found.write(found.settings.hostcrl, OLD.crl())
    assert paths_of(found.judge().placement_problems) == {found.settings.hostcrl}


def test_missing_crl_is_a_placement_problem() -> None:
    found = master()
    found.remove(found.settings.hostcrl)
    assert paths_of(found.judge().placement_problems) == {found.settings.hostcrl}


def test_trusted_ca_certificate_must_be_the_cas() -> None:
    found = master()
    found.write(found.settings.localcacert, OLD.pem)
    assert paths_of(found.judge().placement_problems) == {found.settings.localcacert}


@pytest.mark.parametrize("change", [{"owner": "root"}, {"group": "root"}])
@pytest.mark.parametrize("path", [SSLDIR, f"{SSLDIR}/certs/ca.pem", f"{SSLDIR}/ca/signed"])
def test_everything_belongs_to_puppets_account(path: str, change: dict[str, str]) -> None:
    found = master()
    found.add(path, **change)
    assert paths_of(found.judge().placement_problems) == {path}


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o642, 0o641])
def test_private_keys_are_closed_to_others(mode: int) -> None:
    found = master()
    for path in (found.settings.cakey, found.paths().private_key):
        found.add(path, mode=mode)
    assert paths_of(found.judge().placement_problems) == {
        found.settings.cakey,
        found.paths().private_key,
    }


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o660])
def test_private_keys_may_be_the_groups(mode: int) -> None:
    found = master()
    found.add(found.paths().private_key, mode=mode)
    assert found.judge().placement_problems == ()


def test_placement_is_due_while_the_ca_is() -> None:
    assert master(OLD).judge().placement_problems


# Steps 3 and 4


def test_missing_copy_is_due() -> None:
    found = master()
    found.remove_copy(PUPPETDB, PUPPETDB_CERT)
    judged = found.judge()
    assert reasons(judged.copy_problems(PUPPETDB)) == {PUPPETDB_CERT: "is missing"}
    assert judged.leftovers(PUPPETDB) == ()
    assert PUPPETDB_CERT in paths_of(judged.problems)


def test_copy_that_differs_is_due_and_removed_first() -> None:
    found = master()
    found.spoil_copy(PUPPETDB, PUPPETDB_CERT)
    judged = found.judge()
    assert paths_of(judged.copy_problems(PUPPETDB)) == {PUPPETDB_CERT}
    assert judged.leftovers(PUPPETDB) == (PUPPETDB_CERT,)


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.title)
@pytest.mark.parametrize("part", TRIO)
def test_copy_of_another_mode_is_due_and_not_removed(component: Component, part: Part) -> None:
    found = master()
    path = f"{component.directory}/{component.file_name(CERTNAME, part)}"
    found.change_copy(component, path, mode=0o600)
    judged = found.judge()
    assert paths_of(judged.copy_problems(component)) == {path}
    assert judged.leftovers(component) == ()


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.title)
def test_no_private_copy_is_open_to_others(component: Component) -> None:
    assert component.file_mode(Part.PRIVATE_KEY) & 0o007 == 0


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.title)
@pytest.mark.parametrize("change", [{"owner": "root"}, {"group": "root"}])
def test_copy_of_another_owner_is_due(component: Component, change: dict[str, str]) -> None:
    found = master()
    path = f"{component.directory}/{component.file_name(CERTNAME, Part.CERTIFICATE)}"
    found.change_copy(component, path, **change)
    judged = found.judge()
    assert paths_of(judged.ownership_problems(component)) == {path}
    assert judged.copy_problems(component) == []


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda c: c.title)
def test_the_directory_is_the_components_where_the_document_says_so(component: Component) -> None:
    found = master()
    state = found.components[component.directory]
    found.components[component.directory] = replace(state, directory=file_state("d", owner="root"))
    problems = paths_of(found.judge().ownership_problems(component))
    assert problems == (set() if component is POSTGRESQL else {component.directory})


def test_what_is_going_to_be_copied_will_have_to_be_given_away() -> None:
    found = master()
    found.remove_copy(PUPPETDB, PUPPETDB_CERT)
    assert paths_of(found.judge().ownership_problems(PUPPETDB)) == {PUPPETDB_CERT}


def test_stale_credential_makes_its_copies_stale_and_no_others() -> None:
    found = master()
    found.remove(found.paths("pe-internal-dashboard").certificate)
    judged = found.judge()
    stale = {f"{CONSOLE.directory}/pe-internal-dashboard.{part.copy_suffix}" for part in TRIO}
    assert paths_of(judged.copy_problems(CONSOLE)) == stale
    assert set(judged.leftovers(CONSOLE)) == stale
    assert judged.copy_problems(PUPPETDB) == []


def test_copy_problems_of_one_credential_leave_out_the_others() -> None:
    judged = master(OLD).judge()
    assert paths_of(judged.copy_problems(CONSOLE, "pe-internal-classifier")) == {
        f"{CONSOLE.directory}/pe-internal-classifier.{part.copy_suffix}" for part in TRIO
    }


@pytest.mark.parametrize("name", ["old.cert.pem", "backup/old.key", "backup"])
def test_foreign_files_among_the_copies_are_leftovers(name: str) -> None:
    found = master()
    path = f"{PUPPETDB.directory}/{name}"
    found.change_copy(PUPPETDB, path)
    judged = found.judge()
    assert judged.leftovers(PUPPETDB) == (path,)
    assert path in paths_of(judged.problems)


@pytest.mark.parametrize("name", [".keep", ".old/key.pem"])
def test_dotfiles_among_the_copies_are_left_as_the_shell_would(name: str) -> None:
    found = master()
    found.change_copy(PUPPETDB, f"{PUPPETDB.directory}/{name}")
    assert_quiet(found.judge())


def test_dotfile_where_the_document_gives_away_no_directory_may_be_anybodys() -> None:
    found = master()
    found.change_copy(POSTGRESQL, f"{POSTGRESQL.directory}/.keep", owner="root", group="root")
    assert found.judge().ownership_problems(POSTGRESQL) == []


def test_component_without_account_and_directory_is_not_installed() -> None:
    found = master()
    found.components[PUPPETDB.directory] = ComponentState(False, None, {}, frozenset())
    judged = found.judge()
    assert PUPPETDB not in judged.installed_components
    assert judged.problems == ()


def test_component_whose_directory_is_gone_gets_its_copies_again() -> None:
    found = master()
    found.components[PUPPETDB.directory] = ComponentState(True, None, {}, frozenset())
    judged = found.judge()
    assert PUPPETDB in judged.installed_components
    assert {PUPPETDB_CERT, PUPPETDB_KEY} <= paths_of(judged.copy_problems(PUPPETDB))


# Step 5


@pytest.mark.parametrize(("time", "due"), [(MADE - 1, True), (MADE + 1, False)])
def test_run_from_before_the_certificate_does_not_count(time: float, due: bool) -> None:
    assert master().judge().run_due(LastRun(time, succeeded=True)) is due


def test_run_that_failed_or_never_was_is_due() -> None:
    assert master().judge().run_due(LastRun(MADE + 1, succeeded=False))
    assert master().judge().run_due(None)


def test_run_is_due_while_the_certificate_is_stale() -> None:
    assert master(OLD).judge().run_due(LastRun(MADE + 1, succeeded=True))


# For a person


def test_problem_names_path_and_reason() -> None:
    found = master()
    found.write_key(found.settings.cakey, "another-ca")
    (problem,) = found.judge().ca_damage
    assert str(problem) == f"{found.settings.cakey}: does not belong to the CA's certificate"


def test_key_digests_tell_keys_apart() -> None:
    assert key_digest("old-ca") != key_digest("new-ca")
    assert OLD.certificate.key == key_digest("old-ca") == OLD_KEY_AGAIN.certificate.key


# Keys that nobody takes


def test_new_credentials_with_keys_that_nobody_takes_are_not_fresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = master()
    assert found.judge().problems == ()
    monkeypatch.setattr(certificates, "LEAST_BITS", 1025)
    judged = found.judge()
    assert judged.ca_status is CaStatus.DAMAGED
    assert reasons(judged.ca_damage)[found.settings.cacert] == "has a key of 1024 bits"
    # Under a CA that is sound they go by themselves.
    sound = IssuingCa("live-ca")
    found.write(found.settings.cacert, sound.pem)
    found.write_key(found.settings.cakey, sound.key)
    found.write(found.settings.cacrl, sound.crl())
    found.write(found.paths().certificate, sound.issue(CERTNAME, 2))
    assert found.judge().ca_status is CaStatus.FRESH
    problem = found.judge().certificate_problem(CERTNAME)
    assert problem is not None and problem.why == "has a key of 1024 bits"


# Alternative names of the vendor's services


def test_a_services_certificate_that_lacks_the_names_it_had_is_stale() -> None:
    found, name = master(), "pe-internal-dashboard"
    kept = {name: frozenset({"console.example.com"})}
    problem = replace(found.judge(), kept_names=kept).certificate_problem(name)
    assert problem is not None
    assert problem.why == "has not the alt names console.example.com"
    found.credential(name, 40, (name, "console.example.com"))
    assert replace(found.judge(), kept_names=kept).certificate_problem(name) is None
