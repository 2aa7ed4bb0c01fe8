"""What a Puppet Server is told to do with credentials, and what of it is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from facts.server_configuration import ConfiguredServer
from recert.deployments.model import ServerFiles
from recert.server_configuration import (
    ServerConfiguration,
    alt_name_refusals,
    blank_refusals,
    chain_refusals,
    server_refusals,
)
from tests.unit.issuing_ca import settings
from tests.unit.shell import Sh

WEBSERVER = """webserver: {
    access-log-config: /etc/puppet/puppetserver/request-logging.xml
    client-auth: want
    ssl-host: 0.0.0.0 # ssl-cert: /no
    # ssl-key: /no
    // ssl-key: /no
    ssl-port: 8140
%s}
"""
CA_CONF = """certificate-authority: {
    # allow-subject-alt-names: false
%s}
"""
CA_CFG = """# To enable the CA service, leave the following line uncommented
%spuppetlabs.services.ca.certificate-authority-service/certificate-authority-service
%spuppetlabs.services.ca.certificate-authority-disabled-service/certificate-authority-disabled-service
"""
JETTY = """[jetty]
; ssl-key = /no
port = 8080
key-password = secret
%s"""


@pytest.fixture
def asked(sh: Sh, tmp_path: Path):  # type: ignore[no-untyped-def]
    def ask(
        webserver: str = "", ca: str = "", database: str = "", on: str = "", off: str = "#"
    ) -> ServerConfiguration:
        for name, text in (
            ("webserver.conf", WEBSERVER % webserver),
            ("ca.conf", CA_CONF % ca),
            ("ca.cfg", CA_CFG % (on, off)),
            ("jetty.ini", JETTY % database),
        ):
            (tmp_path / name).write_text(text)
        files = ServerFiles(*(f"{tmp_path}/*.{kind}" for kind in ("conf", "cfg", "ini")))
        found: ServerConfiguration = sh.ask(ConfiguredServer, files=files)
        return found

    return ask


def test_a_server_as_it_is_packaged_works_with_puppets_files(asked) -> None:  # type: ignore[no-untyped-def]
    found = asked()
    assert found == ServerConfiguration(allows_alt_names=False)
    assert server_refusals(found, settings()) == []


@pytest.mark.parametrize(
    "line",
    [
        "    ssl-key: /srv/key.pem\n",
        '    "ssl-key": "/srv/key.pem",\n',
        "    ssl-key=/srv/key.pem\n",
        "    ssl-cert: /c, ssl-key : /srv/key.pem }\n",
    ],
)
def test_credentials_that_are_none_of_puppets_are_refused(asked, line: str) -> None:  # type: ignore[no-untyped-def]
    found = asked(webserver=line)
    refusals = server_refusals(found, settings())
    assert any("says ssl-key = /srv/key.pem, which is none of Puppet's" in one for one in refusals)
    assert all("webserver.conf" in one for one in refusals)


def test_those_of_puppetdb_may_be_puppets_own(asked) -> None:  # type: ignore[no-untyped-def]
    conf = settings()
    own = f"ssl-key = {conf.privatekeydir}/{conf.certname}.pem\nssl-ca-cert = {conf.localcacert}\n"
    found = asked(database=f"{own}ssl-cert = {conf.hostcert}\n")
    assert server_refusals(found, conf) == []
    (file,) = found.credentials
    assert file.endswith("jetty.ini") and "secret" not in repr(found)
    (refusal,) = server_refusals(asked(database=f"{own}ssl-cert = /etc/puppetdb/ssl/c.pem"), conf)
    assert "jetty.ini says ssl-cert = /etc/puppetdb/ssl/c.pem" in refusal


def test_a_ca_that_is_elsewhere_is_refused(asked) -> None:  # type: ignore[no-untyped-def]
    (refusal,) = server_refusals(asked(on="#", off=""), settings())
    assert "ca.cfg has the CA's service disabled" in refusal


def test_what_the_ca_may_sign(asked) -> None:  # type: ignore[no-untyped-def]
    allowed = asked(ca="    allow-subject-alt-names: true\n")
    assert allowed.allows_alt_names and alt_name_refusals(allowed, ["www"]) == []
    found = asked(ca="    allow-subject-alt-names: false\n")
    assert not found.allows_alt_names and alt_name_refusals(found, []) == []
    (refusal,) = alt_name_refusals(found, ["www", "alias"])
    assert "alternative names alias, www" in refusal and "allow-subject-alt-names: true" in refusal


def test_a_second_list_of_revocations_is_refused(asked) -> None:  # type: ignore[no-untyped-def]
    (refusal,) = server_refusals(asked(ca="    enable-infra-crl: true\n"), settings())
    assert "ca.conf says enable-infra-crl: true" in refusal
    assert server_refusals(asked(ca="    enable-infra-crl: false\n"), settings()) == []


def test_a_path_that_would_be_cut_short_is_refused() -> None:
    assert blank_refusals(settings()) == []
    (refusal,) = blank_refusals(replace(settings(), cadir="/srv/the ca"))
    assert "cadir is '/srv/the ca'" in refusal
    assert len(blank_refusals(replace(settings(), serial="/srv/a\tb", csr_attributes="/a b"))) == 2


def test_a_chain_is_refused() -> None:
    assert chain_refusals(1, "/ca.pem") == chain_refusals(0, "/ca.pem") == []
    (refusal,) = chain_refusals(2, "/ca.pem")
    assert "/ca.pem holds 2 certificates" in refusal


def test_a_server_that_is_not_looked_at_keeps_nobody() -> None:
    found = ServerConfiguration()
    assert found.allows_alt_names and server_refusals(replace(found), settings()) == []
