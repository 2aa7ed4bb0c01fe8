"""What forbids a regeneration, on both sides of each limit."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from recert import preflight
from recert.certificates import Certificate, read_revocation_list
from recert.deployments.pe_3_7 import PE_3_7
from recert.observed import ComponentState, LastRun, Service
from tests.tables import COMPONENTS, PUPPETDB, STOP_ORDER, credential_names
from tests.unit.issuing_ca import (
    CERTNAME,
    NEW,
    NOW,
    OLD,
    SSLDIR,
    IssuingCa,
    Master,
    file_state,
    master,
    read,
    settings,
)

CLOCK = 1448272000.0
MIB = 1024
RUNNING = dict.fromkeys(STOP_ORDER, Service.RUNNING)


@pytest.mark.parametrize("skew", [0, 300, -300])
def test_clocks_in_step_are_accepted(skew: float) -> None:
    assert preflight.clock_refusals(CLOCK + skew, CLOCK) == []


@pytest.mark.parametrize("skew", [301, -301, 86400 * 365])
def test_clocks_out_of_step_are_refused(skew: float) -> None:
    (message,) = preflight.clock_refusals(CLOCK + skew, CLOCK)
    assert "2015-11-23 09:46:40" in message
    assert "NTP" in message


@pytest.mark.parametrize(
    ("agent", "master"), [(0, 0), (300, 0), (-300, 0), (7200, 7300), (-7200, -7000)]
)
def test_agents_clock_in_step_with_its_masters_is_accepted(agent: float, master: float) -> None:
    """Whatever the control machine's clock says."""
    assert preflight.skew_refusals(agent, master) == []


@pytest.mark.parametrize(
    ("agent", "master"), [(301, 0), (-301, 0), (0, 301), (0, -301), (200, -200), (86400, 0)]
)
def test_agents_clock_out_of_step_with_its_masters_is_refused(agent: float, master: float) -> None:
    (message,) = preflight.skew_refusals(agent, master)
    shown = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", message)
    agents, masters = (datetime.fromisoformat(f"{moment}+00:00") for moment in shown)
    assert agents - masters == timedelta(seconds=agent - master)
    assert abs(masters - datetime.now(UTC) - timedelta(seconds=master)) < timedelta(seconds=60)
    assert message.startswith(f"Its clock says {shown[0]} UTC, the master's {shown[1]} UTC.")
    assert "NTP" in message


# The names of the master


@pytest.mark.parametrize(
    ("looked_for", "carried"),
    [
        (["puppet"], ["puppet"]),
        (["puppet", "puppet"], [CERTNAME, "puppet"]),
        (["puppet", CERTNAME], [CERTNAME, "puppet", "other"]),
        ([], []),
    ],
)
def test_agent_that_looks_for_a_name_of_its_master_is_accepted(
    looked_for: list[str], carried: list[str]
) -> None:
    assert preflight.server_refusals(looked_for, carried) == []


@pytest.mark.parametrize(
    ("looked_for", "missing"),
    [
        (["lb.example.com"], "lb.example.com"),
        (["puppet", "lb.example.com"], "lb.example.com"),
        (["lb.example.com", "ca.example.com"], "ca.example.com, lb.example.com"),
        (["puppet.example"], "puppet.example"),
        (["example.com"], "example.com"),
    ],
)
def test_agent_that_looks_for_another_name_is_refused(looked_for: list[str], missing: str) -> None:
    carried = ["puppet", CERTNAME]
    (message,) = preflight.server_refusals(iter(looked_for), iter(carried))
    assert f"under the name {missing}, which" in message
    assert f"does not carry ({CERTNAME}, puppet)" in message
    names = f"{CERTNAME},puppet,{missing.replace(', ', ',')}, or"
    assert f"dns_alt_names={names}" in message


def test_a_name_that_its_own_puppet_asks_under_is_not_taken_from_a_master() -> None:
    present, carried = {"puppet", CERTNAME, "db.lab.test"}, ["puppet", CERTNAME]
    (message,) = preflight.terminus_refusals(["db.lab.test", CERTNAME], present, carried)
    assert "under the name db.lab.test (puppetdb.conf, classifier.yaml), which" in message
    assert f"dns_alt_names={CERTNAME},puppet,db.lab.test, or" in message
    assert preflight.terminus_refusals([CERTNAME, "puppet"], present, carried) == []


@pytest.mark.parametrize(("free", "refused"), [(0, True), (4095, True), (4096, False)])
def test_a_full_disk_is_named(free: int, refused: bool) -> None:
    messages = preflight.full_refusals({"/tmp": 10**9, "/var/opt": free})
    assert len(messages) == refused
    assert all(message.startswith(f"/var/opt has {free} KiB free: ") for message in messages)


def test_a_master_that_asks_another_host_is_of_another_deployment() -> None:
    asked, present = [CERTNAME, "db2.lab.test"], {"puppet", CERTNAME}
    (message,) = preflight.terminus_refusals(asked, present, ["puppet", CERTNAME])
    assert "under the name db2.lab.test (puppetdb.conf, classifier.yaml), which is in no" in message
    assert "a monolithic deployment" in message


OPTIONS = [
    (["--ssldir=/srv/ssl"], "--ssldir=/srv/ssl, and puppet.conf says /etc/puppetlabs/puppet/ssl"),
    (["--onetime", "--certname", "a.b"], f"--certname=a.b, and puppet.conf says {CERTNAME}"),
    (["--ca_port=8141"], "--ca_port=8141, and puppet.conf says 8140"),
    (["--server=old"], "--server=old, and puppet.conf says puppet"),
]


@pytest.mark.parametrize(("arguments", "said"), OPTIONS)
def test_a_service_with_options_of_its_own_is_refused(arguments: list[str], said: str) -> None:
    (message,) = preflight.own_option_refusals({4711: arguments}, settings(server="puppet"))
    assert f"Its Puppet (process 4711) was started with {said}: what" in message


@pytest.mark.parametrize(("arguments", "said"), OPTIONS)
def test_nor_does_it_have_to_run(arguments: list[str], said: str) -> None:
    given = {"/etc/default/pe-puppet": arguments, "the unit pe-puppet": []}
    (message,) = preflight.service_option_refusals(given, settings(server="puppet"))
    option, _, rest = said.partition(", and")
    assert f"is started with {option} (/etc/default/pe-puppet), and{rest}: what" in message


@pytest.mark.parametrize(
    "arguments",
    [
        ["--ssldir=/etc/puppetlabs/puppet//ssl/", f"--certname={CERTNAME.upper()}"],
        ["--daemonize", "--waitforcert", "60", "--environment=test", "--server"],
        ["--server", "--onetime"],
        [],
    ],
)
def test_options_that_change_nothing_are_none(arguments: list[str]) -> None:
    assert preflight.own_option_refusals({1: arguments}, settings(server="puppet")) == []


@pytest.mark.parametrize(
    ("asked", "forwarded", "refused"),
    [
        ({"masterport": 8140, "ca_port": 8140}, [], []),
        ({"masterport": 8140, "ca_port": 9999}, [], ["ca_port is 9999"]),
        ({"masterport": 8141, "ca_port": 8141}, [], ["masterport is 8141", "ca_port is 8141"]),
        ({"masterport": 443, "ca_port": 443}, [443], []),
    ],
    ids=str,
)
def test_agent_asks_where_its_master_listens(
    asked: dict[str, int], forwarded: list[int], refused: list[str]
) -> None:
    refusals = preflight.port_refusals(asked, 8140, forwarded)
    assert [message.partition(" there,")[0] for message in refusals] == refused
    assert all("its master listens on port 8140" in message for message in refusals)
    assert all(re.search(r"--data forwarded_ports=\d+$", message) for message in refusals)


def test_a_directory_that_others_see_takes_no_backups() -> None:
    assert preflight.beside_refusals("/srv/backups", []) == []
    (message,) = preflight.beside_refusals("/srv", ["/srv/www", "/srv/ftp"])
    assert message.startswith("backup_dir (/srv) holds") and "now: /srv/ftp, /srv/www." in message
    assert "such as /srv/pe-recert." in message
    (message,) = preflight.beside_refusals("D:/data", ["D:/data/x"])
    assert message.startswith("windows_backup_dir (D:/data) holds")


def test_a_master_that_cannot_sign_is_told() -> None:
    signeddir = "/etc/ssl/ca/signed"
    assert preflight.signing_refusals([], 1024, signeddir) == []
    (why,) = preflight.signing_refusals([signeddir], 1024, signeddir)
    assert why.startswith(f"The master could not sign: {signeddir} cannot be changed")
    (why,) = preflight.signing_refusals([], 1023, signeddir)
    assert f"1023 KiB are free where {signeddir} is" in why


def test_a_run_of_which_nobody_knows_is_told() -> None:
    now = datetime.now(UTC)
    day = timedelta(days=1).total_seconds()
    (warning,) = preflight.untried_run_warnings(None, now)
    assert "succeeds on the master. Step 5" in warning
    (warning,) = preflight.untried_run_warnings(LastRun(now.timestamp() - 3 * day, True), now)
    assert "the last one ended at" in warning
    assert preflight.untried_run_warnings(LastRun(now.timestamp() - day, True), now) == []


def test_a_mounted_file_is_refused_with_what_mends_it() -> None:
    assert preflight.mounted_file_refusals([]) == []
    (refusal,) = preflight.mounted_file_refusals(["/etc/a b"])
    assert "umount -- '/etc/a b'" in refusal


def test_room_is_needed_with_a_margin() -> None:
    needed = 100 * MIB
    assert preflight.room_refusals(126 * MIB, needed, "/b") == []
    (message,) = preflight.room_refusals(126 * MIB - 1, needed, "/b")
    assert message.startswith("/b has 125 MiB free, the backup needs about 126 MiB")
    assert "backup_dir" in message


def test_some_room_is_needed_for_an_empty_backup() -> None:
    assert preflight.room_refusals(MIB, 0, "/b") == []
    assert preflight.room_refusals(MIB - 1, 0, "/b")


def test_backups_may_lie_beside_what_is_emptied() -> None:
    assert preflight.backup_place_refusals("/etc/ssl-backups", ["/etc/ssl", "/srv/x"]) == []


@pytest.mark.parametrize("place", ["/etc/ssl", "/etc/ssl/backups"])
def test_backups_may_not_lie_in_what_is_emptied(place: str) -> None:
    (message,) = preflight.backup_place_refusals(place, ["/srv/x", "/etc/ssl"])
    assert place in message and "backup_dir" in message


def test_on_windows_the_case_of_letters_leads_to_no_other_place() -> None:
    ssldir = "C:/ProgramData/PuppetLabs/puppet/etc/ssl"
    assert preflight.backup_place_refusals(f"{ssldir.lower()}/backups", [ssldir])
    assert preflight.backup_place_refusals("/ETC/ssl/backups", ["/etc/ssl"]) == []


def test_backups_may_not_be_led_into_what_is_emptied() -> None:
    (message,) = preflight.around_refusals("/srv/backups", ["/etc/ssl"])
    assert message.startswith("backup_dir (/srv/backups) lies inside /etc/ssl")
    # Who reads the path sees that one, and it is told already.
    assert preflight.around_refusals("/etc/ssl/backups", ["/etc/ssl"]) == []


def refused(services: dict[str, Service]) -> list[str]:
    return preflight.service_refusals(services, PE_3_7.master.needed)


@pytest.mark.parametrize("state", [Service.RUNNING, Service.STOPPED])
def test_master_service_that_is_installed_is_accepted(state: Service) -> None:
    assert refused({**RUNNING, "pe-puppetserver": state}) == []


def test_missing_master_service_is_refused() -> None:
    (message,) = preflight.service_refusals(
        {**RUNNING, "pe-puppetserver": Service.MISSING}, PE_3_7.master.needed
    )
    assert "pe-puppetserver is not installed" in message


def test_other_services_may_be_missing() -> None:
    services = {**dict.fromkeys(STOP_ORDER, Service.MISSING), "pe-puppetserver": Service.STOPPED}
    assert refused(services) == []


def account_refusals(
    account: bool, directory: bool, existing: frozenset[str] = frozenset({"pe-puppet"})
) -> list[str]:
    state = ComponentState(account, file_state("d") if directory else None, {}, frozenset())
    return preflight.account_refusals([(PUPPETDB, state)], "pe-puppet", existing)


def test_directory_without_its_account_is_refused() -> None:
    (message,) = account_refusals(account=False, directory=True)
    assert "account pe-puppetdb does not exist" in message
    assert PUPPETDB.directory in message
    assert "Create it" in message


@pytest.mark.parametrize(("account", "directory"), [(True, True), (True, False), (False, False)])
def test_account_is_needed_only_where_the_directory_is(account: bool, directory: bool) -> None:
    assert account_refusals(account, directory) == []


def test_puppets_own_account_is_needed() -> None:
    (message,) = account_refusals(account=True, directory=True, existing=frozenset())
    assert "account pe-puppet, which puppet.conf names" in message


@pytest.mark.parametrize("crypto", ["openssl", "ruby"])
def test_host_with_all_tools_is_accepted(crypto: str) -> None:
    assert preflight.tool_refusals([], crypto) == []


def test_each_missing_tool_is_named() -> None:
    refusals = preflight.tool_refusals(["tar", "comm"], "openssl")
    assert len(refusals) == 2
    assert "tar" in refusals[0]
    assert "comm" in refusals[1]


def test_host_without_openssl_and_ruby_is_refused() -> None:
    (message,) = preflight.tool_refusals([], None)
    assert "Install openssl" in message


def test_enabled_agent_is_accepted() -> None:
    assert preflight.agent_refusals(None) == []


def test_disabled_agent_is_refused_with_its_reason() -> None:
    (message,) = preflight.agent_refusals('{"disabled_message":"maintenance"}\n')
    assert "maintenance" in message
    assert "puppet agent --enable" in message


def test_agent_disabled_without_a_reason_is_refused() -> None:
    (message,) = preflight.agent_refusals("")
    assert "no reason given" in message


# A damaged CA


def damaged() -> Master:
    found = master(NEW)
    found.write(found.settings.cacrl, "")
    return found


def signed_by(ca: IssuingCa, *names: str) -> dict[str, Certificate | None]:
    return {name: read(ca.issue(name, 40)) for name in names}


PE_ITSELF = credential_names(CERTNAME)


def test_damaged_ca_that_others_relied_on_has_to_be_named() -> None:
    signed = signed_by(NEW, *PE_ITSELF, "agent01", "agent02")
    (message,) = preflight.damage_refusals(damaged().judge(), signed, None)
    assert "2 certificates of other nodes" in message
    assert "ca_crl.pem: is empty" in message
    assert message.endswith(f"retire_ca={NEW.certificate.fingerprint}")


@pytest.mark.parametrize("gone", ["certificate", "certificate and key"])
def test_nor_is_it_begun_again_unasked_when_its_certificate_is_gone(gone: str) -> None:
    found = master(NEW)
    found.remove(found.settings.cacert)
    if gone != "certificate":
        found.remove(found.settings.cakey)
    signed = signed_by(NEW, "agent01")
    (message,) = preflight.damage_refusals(found.judge(), signed, NEW.certificate)
    assert message.endswith(f"retire_ca={NEW.certificate.fingerprint}")


def test_what_an_interrupted_run_left_is_begun_again_without_asking() -> None:
    signed = signed_by(NEW, *PE_ITSELF)
    assert preflight.damage_refusals(damaged().judge(), signed, None) == []


def test_what_is_left_of_the_ca_to_retire_may_go() -> None:
    found = master(NEW)
    found.remove(found.settings.cacert)
    assert preflight.damage_refusals(found.judge(), signed_by(OLD, "agent01"), None) == []


def test_ca_that_is_to_be_retired_may_be_damaged() -> None:
    found = master(OLD)
    found.write(found.settings.cacrl, "")
    assert preflight.damage_refusals(found.judge(), signed_by(OLD, "agent01"), None) == []


def test_sound_ca_is_not_refused() -> None:
    assert preflight.damage_refusals(master(NEW).judge(), signed_by(NEW, "agent01"), None) == []


# Links, and what Puppet is configured to do


@pytest.mark.parametrize("target", ["ca.pem", "../certs/ca.pem", "/etc/ssl/puppet/certs/ca.pem"])
def test_links_within_the_ssl_directories_are_accepted(target: str) -> None:
    link = replace(file_state(), kind="l", target=target)
    files = {"/etc/ssl/puppet/certs/hash.0": link}
    assert preflight.link_refusals(files, ["/etc/ssl/puppet"]) == []


@pytest.mark.parametrize("target", ["/srv/ca", "../../../srv/ca", "/srv/puppet/../ca"])
def test_a_link_to_where_the_ca_is_now_stays(target: str) -> None:
    files = {
        "/etc/ssl/puppet/ca": replace(file_state(), kind="l", target=target),
        "/etc/ssl/puppet/certs/hash.0": replace(file_state(), kind="l", target="ca.pem"),
    }
    roots = ["/etc/ssl/puppet", "/srv/ca"]
    assert preflight.link_refusals(files, roots) == []
    assert preflight.links_to_roots(files, roots) == {"/etc/ssl/puppet/ca"}
    assert preflight.links_to_roots(files, roots[:1]) == frozenset()


@pytest.mark.parametrize("target", ["/srv/ca", "../../ca", "/etc/ssl/puppets/ca"])
def test_links_out_of_them_are_refused(target: str) -> None:
    link = replace(file_state(), kind="l", target=target)
    (message,) = preflight.link_refusals({"/etc/ssl/puppet/ca": link}, ["/etc/ssl/puppet"])
    assert "/etc/ssl/puppet/ca is a symbolic link to /" in message


def test_a_puppet_run_that_would_do_nothing_is_refused() -> None:
    assert preflight.configuration_refusals([], noop=False) == []
    (message,) = preflight.configuration_refusals([], noop=True)
    assert "noop = true" in message


def test_a_missing_puppet_conf_is_refused() -> None:
    (message,) = preflight.configuration_refusals(["/etc/puppet.conf"], noop=False)
    assert message.startswith("/etc/puppet.conf is missing or empty")


# The node groups


def test_classified_groups_are_accepted() -> None:
    assert (
        preflight.classification_refusals([], declared=False, confirmed_before=False, port=4433)
        == []
    )


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("confirmed", [True, False])
def test_unclassified_groups_are_refused_whatever_was_said(declared: bool, confirmed: bool) -> None:
    (message,) = preflight.classification_refusals(
        ["PE Master (missing)"], declared=declared, confirmed_before=confirmed, port=4433
    )
    assert "PE Master (missing)" in message
    assert "Classify the groups" in message


def test_silent_classifier_is_refused_with_what_to_declare() -> None:
    (message,) = preflight.classification_refusals(
        None, declared=False, confirmed_before=False, port=4455
    )
    assert "port 4455" in message
    assert "--data pe_groups_classified=True" in message


@pytest.mark.parametrize(("declared", "confirmed"), [(True, False), (False, True)])
def test_silent_classifier_is_accepted_if_the_groups_are_known(
    declared: bool, confirmed: bool
) -> None:
    assert not preflight.classification_refusals(
        None, declared=declared, confirmed_before=confirmed, port=4433
    )


def test_components_of_a_whole_master_have_their_accounts() -> None:
    found = master()
    states = [(c, replace(found.components[c.directory])) for c in COMPONENTS]
    assert preflight.account_refusals(states, "pe-puppet", frozenset({"pe-puppet"})) == []


def test_each_mount_point_within_ssldir_is_refused() -> None:
    assert preflight.mount_refusals([], "/srv/ssl") == []
    first, second = preflight.mount_refusals(
        ["/srv/ssl/certs", "/srv/ssl/private_keys"], "/srv/ssl"
    )
    assert first.startswith("/srv/ssl/certs is a mount point within /srv/ssl,")
    assert second.startswith("/srv/ssl/private_keys is a mount point within /srv/ssl,")


# What cannot work is known beforehand


def test_a_puppet_run_that_fails_already_is_refused_unless_somebody_says_so() -> None:
    failed = LastRun(CLOCK, succeeded=False)
    (message,) = preflight.failing_run_refusals(failed, declared=False)
    assert "2015-11-23 09:46 UTC" in message
    assert "--data despite_failing_run=True" in message
    assert preflight.failing_run_refusals(failed, declared=True) == []
    cached = LastRun(CLOCK, succeeded=False, cached=True)
    (message,) = preflight.failing_run_refusals(cached, declared=False)
    assert "UTC, got no catalog, and went by the cached one." in message
    assert preflight.failing_run_refusals(LastRun(CLOCK, succeeded=True), declared=False) == []
    assert preflight.failing_run_refusals(None, declared=False) == []


def test_failing_run_is_explained_by_what_has_expired() -> None:
    failed = LastRun(CLOCK, succeeded=False)
    crl = "/ssl/crl.pem expired on 2015-01-01"
    *_, why = preflight.failing_run_refusals(failed, False, [crl])
    assert why.endswith(crl)
    assert preflight.failing_run_refusals(failed, True, [crl]) == []


@pytest.mark.parametrize(("seconds", "expired"), [(1, False), (0, True), (-1, True)])
def test_revocation_list_that_has_expired(seconds: int, expired: bool) -> None:
    conf = master().settings
    crl = read_revocation_list(NEW.crl(expires=timedelta(seconds=seconds)))
    why = preflight.expired_crl(conf, crl, NOW, PE_3_7)
    assert (why is not None) is expired
    if why is not None:
        assert conf.cacrl in why and f"{NOW + timedelta(seconds=seconds):%Y-%m-%d}" in why
        assert "puppet cert revoke 0x0; cp -- " in why
    assert preflight.expired_crl(conf, None, NOW, PE_3_7) is None


@pytest.mark.parametrize("ttl", ["", "5y", "157680000", "30d", "720h", "2592000"])
def test_a_ca_that_lives_for_a_month_or_more(ttl: str) -> None:
    assert preflight.lifetime_refusals(ttl) == []


@pytest.mark.parametrize(
    ("ttl", "said"),
    [("3650", "after 1:00:50"), ("29d", "after 29 days"), ("2591999", "after 29 days"), ("0", "0")],
)
def test_a_ca_that_would_end_soon_is_refused(ttl: str, said: str) -> None:
    (message,) = preflight.lifetime_refusals(ttl)
    assert f"ca_ttl is {ttl}" in message and said in message and "5y" in message


@pytest.mark.parametrize("ttl", ["for ever", "10000y", "999999999999y"])
def test_a_ca_ttl_that_is_no_time(ttl: str) -> None:
    (message,) = preflight.lifetime_refusals(ttl)
    assert "which is no time" in message


def test_a_link_of_a_services_account_is_known_beforehand() -> None:
    (message,) = preflight.astray_refusals(["/srv/ssl is a link that is not root's."])
    assert message.startswith("/srv/ssl is a link") and "`chown -h`" in message
    (message,) = preflight.astray_refusals(["Cannot enter /srv/ssl."])
    assert "Cannot enter /srv/ssl." in message


def test_a_key_under_another_name_is_refused_or_confirmed() -> None:
    found = {"old": "/ssl/certs/old.pem", "older": "/ssl/certs/older.pem"}
    (message,) = preflight.other_name_refusals(found, "new", ["old"], PE_3_7)
    assert "older (/ssl/certs/older.pem)" in message and "old (" not in message.split("older")[0]
    assert "--data other_names=older" in message
    assert preflight.other_name_refusals(found, "new", ["old", "Older"], PE_3_7) == []
    assert preflight.other_name_refusals({}, "new", [], PE_3_7) == []
    copied = {"new": "/ssl/web.pem", "pe-internal-classifier": "/ssl/copy.pem"}
    copied["pe-internal-of-an-older-version"] = "/ssl/certs/pe-internal-of-an-older-version.pem"
    assert preflight.other_name_refusals(copied, "new", [], PE_3_7) == []


def test_what_cannot_be_changed_is_named_as_far_as_a_person_reads() -> None:
    assert preflight.unchangeable_refusals([]) == []
    (message,) = preflight.unchangeable_refusals([f"/ssl/{n}" for n in range(7)])
    assert "/ssl/4 and 2 more cannot be changed" in message and "chattr -i" in message


# A directory that is a link


def test_a_directory_of_puppets_own_may_be_a_link() -> None:
    conf = master().settings
    files = [f"{SSLDIR}/private/x", conf.cacert, conf.hostcrl, conf.signeddir, SSLDIR]
    files += [f"{conf.cadir}/inventory.txt", f"{conf.cadir}/ca_pub.pem"]
    assert preflight.linked_root_refusals(conf, files, [SSLDIR, conf.cadir], [SSLDIR]) == []
    # Whatever is in one that is none is for others to judge.
    files.append(f"{SSLDIR}/web/x")
    assert preflight.linked_root_refusals(conf, files, [SSLDIR], []) == []


def test_a_link_to_what_is_not_puppets_is_refused() -> None:
    conf = master().settings
    files = [
        *(f"{SSLDIR}/zeta", f"{SSLDIR}/app/a.key", f"{SSLDIR}/app/b/c.key"),
        *("/srv/elsewhere/x", f"{SSLDIR}-before/y", f"{SSLDIR}/web/certs/x.pem"),
    ]
    (message,) = preflight.linked_root_refusals(conf, files, [SSLDIR], [SSLDIR])
    assert f"{SSLDIR} is a symbolic link" in message and "files: app, web, zeta." in message


# How long new keys are


@pytest.mark.parametrize(
    ("bits", "refused", "warned"),
    [
        ("512", True, False),
        ("1023", True, False),
        ("1024", False, True),
        ("2047", False, True),
        ("2048", False, False),
        ("4096", False, False),
    ],
)
def test_keys_that_nobody_takes_are_not_made(bits: str, refused: bool, warned: bool) -> None:
    conf = settings(keylength=bits)
    refusals, warnings = preflight.key_length_refusals(conf), preflight.key_length_warnings(conf)
    assert (bool(refusals), bool(warnings)) == (refused, warned)
    for line in (*refusals, *warnings):
        assert line.startswith(f"{conf.config} says keylength = {bits}")


def test_what_no_command_can_name_is_refused() -> None:
    """Each file of somebody else's is named in the one that empties a directory."""
    older = "/etc/puppetlabs/puppet/ssl/ca.2012/signed"
    few = {f"{older}/agent{number:04}.example.com.pem" for number in range(200)}
    many = {f"{older}/agent{number:04}.example.com.pem" for number in range(400)}
    assert preflight.staying_refusals(few) == []
    (message,) = preflight.staying_refusals(many)
    assert f"400 in {older}" in message
    assert "Move them out of there" in message
