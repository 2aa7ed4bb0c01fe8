"""What is believed of `puppet config print`, and what is refused."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from recert.deployments.pe_3_7 import PE_3_7
from recert.errors import RecertError
from recert.settings import (
    PATH_SETTINGS,
    SETTINGS,
    SHARED_SETTINGS,
    check_certname,
    check_path,
    check_settings,
    parse_printed,
    split_alt_names,
    stored_settings,
)
from tests.unit.issuing_ca import CERTNAME, CONFDIR, SSLDIR, VARDIR, printed_settings, settings


def printed(names: list[str]) -> list[str]:
    values = printed_settings()
    return [f"{name} = {values[name]}" for name in names]


# Reading


def test_settings_are_read_in_the_order_asked() -> None:
    assert parse_printed(printed(list(SETTINGS))) == printed_settings()


def test_settings_are_read_in_sorted_order() -> None:
    assert parse_printed(printed(sorted(SETTINGS))) == printed_settings()


@pytest.mark.parametrize("line", ["dns_alt_names =", "dns_alt_names = "])
def test_empty_value_is_a_value(line: str) -> None:
    assert parse_printed([line]) == {"dns_alt_names": ""}


def test_value_may_hold_an_equals_sign() -> None:
    assert parse_printed(["ssldir = /a = b"]) == {"ssldir": "/a = b"}


def test_what_is_no_setting_is_passed_over() -> None:
    lines = ["Warning: Setting modulepath is deprecated", "", "unknown = 1", "certname = a"]
    assert parse_printed(lines) == {"certname": "a"}


@pytest.mark.parametrize("section", [0, 1])
def test_missing_value_is_refused_by_name(section: int) -> None:
    sections = [printed_settings(), printed_settings()]
    del sections[section]["cakey"]
    with pytest.raises(RecertError, match="no value for cakey"):
        check_settings(sections[0], sections[1], PE_3_7)


@pytest.mark.parametrize("name", SHARED_SETTINGS)
def test_agent_and_master_must_agree(name: str) -> None:
    other = "/srv/other" if name in PATH_SETTINGS else "other.example.com"
    with pytest.raises(RecertError, match=rf"sets {name} differently.*{other}"):
        check_settings(printed_settings(), printed_settings(**{name: other}), PE_3_7)


@pytest.mark.parametrize("name", ["lastrunfile", "client_datadir", "agent_disabled_lockfile"])
def test_where_the_agent_keeps_its_state_is_the_agents_own(name: str) -> None:
    conf = check_settings(printed_settings(**{name: "/srv/agent"}), printed_settings(), PE_3_7)
    assert getattr(conf, name) == "/srv/agent"


def test_account_port_and_ca_are_the_master_sections() -> None:
    conf = check_settings(
        printed_settings(user="root", group="root", masterport="1", ca="false"),
        printed_settings(user="pe-x", group="pe-y", masterport="8141", ca="true"),
        PE_3_7,
    )
    assert (conf.user, conf.group, conf.masterport, conf.ca) == ("pe-x", "pe-y", 8141, True)


def test_ca_is_a_boolean() -> None:
    assert settings(ca="True").ca
    assert not settings(ca="false").ca


def test_alt_names_of_both_sections_count() -> None:
    conf = check_settings(
        printed_settings(dns_alt_names="puppet,a.example.com"),
        printed_settings(dns_alt_names="b.example.com, puppet"),
        PE_3_7,
    )
    assert conf.dns_alt_names == ("puppet", "a.example.com", "b.example.com")


def test_certname_is_lower_case() -> None:
    assert settings(certname="Master.Example.COM").certname == CERTNAME


def test_cached_catalog_is_the_masters() -> None:
    assert settings().cached_catalog == f"{VARDIR}/client_data/catalog/{CERTNAME}.json"


# Where an agent looks, and how a master signs


def test_agent_looks_for_its_master_and_its_ca() -> None:
    conf = check_settings(
        printed_settings(server="Puppet", ca_server="CA.example.com"),
        printed_settings(server="no", ca_server="no"),
        PE_3_7,
    )
    assert (conf.server, conf.ca_server) == ("puppet", "ca.example.com")
    assert conf.server_names == ("puppet", "ca.example.com")


def test_agent_that_looks_for_one_name_is_known_to_look_once() -> None:
    assert settings(server="puppet", ca_server="Puppet").server_names == ("puppet",)


def test_the_ports_that_an_agent_asks() -> None:
    printed = printed_settings(masterport="8141", ca_port="9999")
    conf = check_settings(printed, printed, PE_3_7)
    assert conf.server_ports == {"masterport": 8141, "ca_port": 9999}
    with pytest.raises(RecertError, match=r"^ca_port is "):
        settings(ca_port="x")


@pytest.mark.parametrize("value", ["true", "false", f"{CONFDIR}/Autosign.conf"])
def test_autosign_is_the_masters_as_it_is_written(value: str) -> None:
    conf = check_settings(printed_settings(autosign="no"), printed_settings(autosign=value), PE_3_7)
    assert conf.autosign == value


@pytest.mark.parametrize("name", ["server", "ca_server", "ca_port", "autosign"])
def test_settings_of_agents_have_to_be_there(name: str) -> None:
    printed = printed_settings()
    del printed[name]
    with pytest.raises(RecertError, match=f"no value for {name}"):
        check_settings(printed, printed_settings(), PE_3_7)


def test_host_may_be_an_agent_alone() -> None:
    printed = printed_settings(certname="agent01", dns_alt_names="web, www")
    conf = check_settings(printed, printed, PE_3_7)
    assert (conf.certname, conf.dns_alt_names) == ("agent01", ("web", "www"))


def test_where_puppet_reads_what_a_request_is_to_ask_for_is_the_masters() -> None:
    path = "/etc/puppetlabs/csr/attrs.yaml"
    printed = printed_settings(csr_attributes=path)
    assert check_settings(printed_settings(), printed, PE_3_7).csr_attributes == path
    # A Puppet that does not know the setting prints nothing.
    assert settings(csr_attributes="").csr_attributes == f"{CONFDIR}/csr_attributes.yaml"
    with pytest.raises(RecertError, match="inside ssldir"):
        settings(csr_attributes=f"{SSLDIR}/csr_attributes.yaml")


def test_backups_of_earlier_versions_have_no_such_setting() -> None:
    stored = asdict(settings())
    del stored["csr_attributes"]
    assert stored_settings(stored, PE_3_7) == settings()


# Directories that are going to be emptied


@pytest.mark.parametrize("ssldir", ["/", "/etc", "/etc/", "//"])
@pytest.mark.parametrize("name", ["ssldir", "cadir"])
def test_directory_near_the_root_is_refused(name: str, ssldir: str) -> None:
    with pytest.raises(RecertError, match=f"{name} is .*too close to the root"):
        settings(**{name: ssldir})


@pytest.mark.parametrize("name", ["ssldir", "cadir"])
@pytest.mark.parametrize("path", [CONFDIR, "/etc/puppetlabs", f"{CONFDIR}/"])
def test_directory_that_holds_confdir_is_refused(name: str, path: str) -> None:
    with pytest.raises(RecertError, match=f"inside {name}"):
        settings(**{name: path})


@pytest.mark.parametrize("inside", ["confdir", "config", "vardir", "client_datadir"])
def test_nothing_that_puppet_needs_may_lie_in_ssldir(inside: str) -> None:
    with pytest.raises(RecertError, match=rf"{inside} .*inside ssldir"):
        settings(**{inside: f"{SSLDIR}/somewhere/deep"})


def test_directory_whose_name_only_begins_like_ssldir_is_not_inside() -> None:
    assert settings(client_datadir=f"{SSLDIR}-data").client_datadir == f"{SSLDIR}-data"


@pytest.mark.parametrize(
    "path", ["", "ssl", "./ssl", f"{SSLDIR}/../..", "/a/b\n/c", "/a/b\x00", "/a/\x7fb", "$vardir/x"]
)
@pytest.mark.parametrize("name", ["ssldir", "cakey", "client_datadir"])
def test_path_that_is_not_plainly_absolute_is_refused(name: str, path: str) -> None:
    with pytest.raises(RecertError, match=f"{name} is "):
        settings(**{name: path})


def test_path_is_normalised() -> None:
    assert check_path("x", "/a//b/./c/") == "/a/b/c"


def test_path_may_hold_what_only_a_shell_would_mind() -> None:
    assert check_path("x", "/srv/a b/$(c);'d'") == "/srv/a b/$(c);'d'"


def test_two_leading_slashes_hide_nothing() -> None:
    with pytest.raises(RecertError, match="inside ssldir"):
        settings(ssldir="//etc/puppetlabs")


@pytest.mark.parametrize(
    "name", ["certdir", "privatekeydir", "publickeydir", "requestdir", "cacert", "signeddir"]
)
def test_nothing_to_be_replaced_lies_outside_what_is_emptied(name: str) -> None:
    with pytest.raises(RecertError, match=name):
        settings(**{name: "/srv/elsewhere/x"})


def test_cadir_inside_ssldir_is_emptied_with_it() -> None:
    assert settings().ssl_roots == (SSLDIR,)


def test_cadir_outside_ssldir_is_emptied_too() -> None:
    assert settings(cadir="/srv/puppet/ca").ssl_roots == (SSLDIR, "/srv/puppet/ca")


def test_cadir_beside_ssldir_is_not_inside() -> None:
    assert settings(cadir=f"{SSLDIR}-ca").ssl_roots == (SSLDIR, f"{SSLDIR}-ca")


# Names


@pytest.mark.parametrize(
    "name", ["master", "master.example.com", "a-b_c.example.com", "9lives", "m" * 253]
)
def test_certname_as_puppet_allows_it(name: str) -> None:
    assert check_certname(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-master",
        "--all",
        ".",
        "..",
        ".hidden",
        "a/b",
        "../../etc/passwd",
        "a\nb",
        "a\n",
        "a\x00b",
        "a\tb",
        "mästér",
        "m" * 254,
    ],
)
def test_certname_that_is_no_file_name_or_an_option_is_refused(name: str) -> None:
    with pytest.raises(RecertError, match="certname"):
        check_certname(name)
    with pytest.raises(RecertError, match="certname"):
        settings(certname=name)


def test_alt_names_are_split_lower_case_and_each_once() -> None:
    given = " Puppet, DNS:puppet.example.com ,,puppet,a_b.example.com"
    assert split_alt_names(given) == ("puppet", "puppet.example.com", "a_b.example.com")


def test_no_alt_names() -> None:
    assert split_alt_names("") == ()
    assert split_alt_names(" , ") == ()


@pytest.mark.parametrize(
    "name",
    [
        "-puppet",
        "--allow-dns-alt-names",
        "a.-b",
        "a-.b",
        "*.example.com",
        "*",
        "IP:192.0.2.1",
        "2001:db8::1",
        "$(reboot)",
        "`reboot`",
        "a;reboot",
        "a|b",
        "a b",
        "a'b",
        'a"b',
        "a&b",
        "a\nb",
        "a\x00b",
        "a..b",
        ".a",
        "a.",
        "a/b",
        "püppet",
        "a" * 64,
        ".".join(["a" * 60] * 5),
        "URI:http://example.com",
    ],
)
def test_alt_name_that_the_ca_would_not_sign_is_refused(name: str) -> None:
    with pytest.raises(RecertError, match="not a DNS name"):
        split_alt_names(f"puppet,{name}")


def test_address_is_refused_as_alt_name() -> None:
    with pytest.raises(RecertError, match="not a DNS name"):
        split_alt_names("puppet,192.0.2.1")


@pytest.mark.parametrize("account", ["", "-R", "root:root", "a b", "a;b", "a\n", "$(id)", "a" * 33])
@pytest.mark.parametrize("name", ["user", "group"])
def test_account_that_is_none_is_refused(name: str, account: str) -> None:
    with pytest.raises(RecertError, match=f"^{name} is "):
        settings(**{name: account})


@pytest.mark.parametrize("name", ["masterport", "keylength"])
@pytest.mark.parametrize("value", ["", "0", "-1", "65536000", "8140x", "8 140", "1.5"])
def test_number_out_of_its_range_is_refused(name: str, value: str) -> None:
    with pytest.raises(RecertError, match=f"^{name} is "):
        settings(**{name: value})


def test_numbers_at_their_limits() -> None:
    assert settings(masterport="65535", keylength="512").masterport == 65535
    assert settings(masterport="1", keylength="16384").keylength == 16384


def test_a_hidden_directory_in_ssldir_would_survive_and_is_refused() -> None:
    values = printed_settings()
    for name, value in values.items():
        values[name] = value.replace(f"{SSLDIR}/ca", f"{SSLDIR}/.ca")
    with pytest.raises(RecertError, match="is not among what the document's"):
        check_settings(values, values, PE_3_7)


def test_an_ssldir_that_holds_a_components_credentials_is_refused() -> None:
    values = {n: v.replace(SSLDIR, "/opt/puppet") for n, v in printed_settings().items()}
    with pytest.raises(RecertError, match="lies inside ssldir"):
        check_settings(values, values, PE_3_7)
