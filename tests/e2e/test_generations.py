"""Hosts of the lab's other generations of PE are what the lab's own table says, and are in service.

Nothing here looks at what the suite knows of them: the two are read from the documents apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

import lab
from lab.generations import CERTNAME, SSLDIR, Program
from lab.hosts import HOSTS, Host

MASTERS = ("master-38", "master-2016")
AGENTS = ("agent06", "agent07")
_CA = f"{SSLDIR}/certs/ca.pem"
# As a client of TLS sees the ports; PostgreSQL's is first told what is wanted.
_PRESENTED = """
    context = OpenSSL::SSL::SSLContext.new
    context.add_certificate(OpenSSL::X509::Certificate.new(File.read("{ssl}/certs/{name}.pem")),
                            OpenSSL::PKey.read(File.read("{ssl}/private_keys/{name}.pem")))
    {ports}.each do |port|
      socket = TCPSocket.new("127.0.0.1", port)
      if port == 5432
        socket.write([8, 80877103].pack("NN"))
        socket.read(1)
      end
      tls = OpenSSL::SSL::SSLSocket.new(socket, context)
      tls.connect
      puts tls.peer_cert.subject.to_a.assoc("CN")[1]
    end
"""


@pytest.fixture(scope="module", autouse=True)
def _seeded() -> None:
    agents = [agent.name for name in MASTERS for agent in HOSTS[name].agents]
    lab.reset(*MASTERS, *agents)


def _sh(host: str, script: str) -> str:
    return lab.run(host, script).stdout


def _succeeds(host: str, script: str) -> bool:
    return lab.run(host, script, check=False).returncode == 0


def _not_running(host: Host, services: Sequence[str]) -> str:
    return _sh(host.name, f"/opt/pe-lab/wait-for-services 0 {' '.join(services)}; true").strip()


def _starts(host: str, service: str) -> bool:
    """Whether a service comes up that is stopped now, if need be; systemd may have had enough of
    its starts."""
    forget = f"systemctl reset-failed {service} 2>/dev/null"
    return _succeeds(host, f"service {service} stop; {forget}; service {service} start")


def _program(host: str, service: str) -> Program:
    programs = HOSTS[host].generation.master_programs
    return next(program for program in programs if program.service == service)


@contextmanager
def _without(host: str, path: str) -> Iterator[None]:
    _sh(host, f"mv {path} /root/aside")
    yield
    _sh(host, f"mv /root/aside {path}")


def _ruby(host: Host, code: str) -> str:
    return _sh(host.name, f"{host.generation.programs}/ruby -rsocket -ropenssl -e '{code}'").strip()


def run_of_puppet(host: Host) -> int:
    """How a run ends: 0 or 2 if all is well. The daemon's own may be on its way."""
    script = f"""
        for try in $(seq 100); do
            {host.generation.programs}/puppet agent --test >/tmp/run.log 2>&1
            status=$?
            grep -q 'already in progress' /tmp/run.log || break
            sleep 0.5
        done
        exit $status
    """
    return lab.run(host.name, script, check=False).returncode


@pytest.mark.parametrize("name", MASTERS)
def test_a_master_runs_its_generations_services_and_no_others(name: str) -> None:
    host = HOSTS[name]
    services = host.generation.master_services
    assert _not_running(host, services) == ""
    made = _sh(name, "cd /etc/systemd/system && find *.service -type f").split()
    assert sorted(made) == sorted(f"{service}.service" for service in services)
    assert sorted(host.generation.stopped) == sorted(host.generation.started) == sorted(services)


@pytest.mark.parametrize("name", MASTERS)
def test_each_service_answers_on_its_ports_with_what_is_in_its_directory(name: str) -> None:
    host = HOSTS[name]
    programs = host.generation.master_programs
    expected = {8140: host.certname}
    for program in programs:
        first, *_ = (*program.trios, *program.custom, "none")
        expected |= dict.fromkeys(program.ports, first.replace(CERTNAME, host.certname))
    code = _PRESENTED.format(ports=list(expected), ssl=SSLDIR, name=host.certname)
    assert dict(zip(expected, _ruby(host, code).splitlines(), strict=True)) == expected
    logs = " ".join(program.log for program in programs)
    assert _sh(name, f"stat -c %U {logs}; tail -qn 1 {logs} | cut -d' ' -f3").splitlines() == [
        *(program.serves_as or program.account for program in programs),
        *("ready" for _ in programs),
    ]


@pytest.mark.parametrize("name", MASTERS)
def test_copies_are_where_the_document_puts_them(name: str) -> None:
    host = HOSTS[name]
    places = host.generation.places
    directories = " ".join(place.directory for place in places)
    sources = " ".join(source for place in places for _, source in place.dh)
    # A directory's own mode is left as it is.
    shown = _sh(name, f"find {directories} -type d -printf '%p %u\\n' -o -printf '%p %u:%g %m\\n'")
    summed = _sh(name, f"find {SSLDIR} {directories} {sources} -type f -exec sha256sum {{}} +")
    digests = {path: digest for digest, path in map(str.split, summed.splitlines())}
    expected = []
    for place in places:
        account, here = place.account, place.directory
        expected.append(f"{here} {account}")
        for file, mode in place.modes(host.certname).items():
            expected.append(f"{here}/{file} {account}:{account} {mode:o}")
        for known in (trio.replace(CERTNAME, host.certname) for trio in place.trios):
            for kind in ("cert", "private_key", "public_key"):
                copy = f"{here}/{known}.{kind}.pem"
                assert digests[copy] == digests[f"{SSLDIR}/{kind}s/{known}.pem"]
        for file, source in place.dh:
            assert digests[f"{here}/{file}"] == digests[source]
        if place.pk8:
            key = f"{here}/{host.certname}.private_key"
            read = f"openssl pkcs8 -inform DER -nocrypt -in {key}.pk8 | openssl rsa -pubout"
            assert _succeeds(name, f'[ "$({read})" = "$(openssl rsa -pubout -in {key}.pem)" ]')
        for file in place.custom:
            assert not _succeeds(name, f"openssl verify -CAfile {_CA} {here}/{file}.cert.pem")
    assert sorted(shown.splitlines()) == sorted(expected)


@pytest.mark.parametrize("name", MASTERS)
def test_the_ssldir_has_the_generations_certificates(name: str) -> None:
    host = HOSTS[name]
    names = {host.certname, *host.generation.internal_certnames}
    keys = _sh(name, f"ls {SSLDIR}/private_keys").split()
    assert set(keys) == {f"{known}.pem" for known in names}
    assert _sh(name, f"find {SSLDIR} ! -user pe-puppet -o ! -group pe-puppet") == ""
    text = _sh(name, f"openssl x509 -noout -text -in {SSLDIR}/certs/{host.certname}.pem")
    assert all(f"DNS:{alt_name}" in text for alt_name in host.alt_names)
    assert _succeeds(name, f"cmp {SSLDIR}/ca/ca_crl.pem {SSLDIR}/crl.pem")


@pytest.mark.parametrize("name", [*MASTERS, *AGENTS, "master"])
def test_a_host_says_which_generation_it_is(name: str) -> None:
    if name not in lab.hosts():
        lab.up([name])
    generation = HOSTS[name].generation
    assert _sh(name, f"cat {generation.agent_version_file}").strip() == generation.agent_version
    if HOSTS[name].role == "master":
        assert _sh(name, f"cat {generation.version_file}").strip() == generation.version
        # The one of 3.7 has real services where a test before wanted them, and what these bring.
        accounts = {*_sh(name, "cut -d: -f1 /etc/passwd").split()} - {"peadmin"}
        assert {account for account in accounts if account.startswith("pe")} == {
            account
            for account in generation.accounts
            if account.startswith("pe") and account != "peadmin"
        }
    new = generation.programs.startswith("/opt/puppetlabs/")
    for directory, there in {
        "/opt/puppet": not new,
        "/var/opt/lib/pe-puppet": not new,
        "/opt/puppetlabs": new,
        "/opt/puppetlabs/server": new and HOSTS[name].role == "master",
    }.items():
        assert _succeeds(name, f"test -e {directory}") == there
    told = _sh(name, f"{generation.programs}/puppet config print vardir confdir codedir rundir")
    assert dict(line.split(" = ") for line in told.splitlines()) == {
        "confdir": "/etc/puppetlabs/puppet",
        "codedir": generation.codedir,
        "rundir": generation.rundir,
        "vardir": generation.vardir,
    }


def test_the_dashboard_of_38_starts_with_its_dh_files_alone() -> None:
    master, program = "master-38", _program("master-38", "pe-httpd")
    for name, key in program.dh:
        with _without(master, f"{program.directory}/{name}"):
            assert not _starts(master, program.service)
            assert name in _sh(master, f"tail -n 1 {program.log}")
            # The administrator's own, in place of it.
            _sh(
                master,
                "mkdir -p /var/lib/hiera"
                f" && echo '{key}: {program.directory}/mine.pem' >/var/lib/hiera/defaults.yaml",
            )
            assert not _starts(master, program.service)
            _sh(master, f"cp /root/aside {program.directory}/mine.pem")
            assert _starts(master, program.service)
            _sh(master, f"rm -r /var/lib/hiera {program.directory}/mine.pem")
    assert _starts(master, program.service)


@pytest.mark.parametrize(
    "service", ["pe-puppetdb", "pe-orchestration-services", "pe-console-services"]
)
def test_what_loads_javas_key_in_2016_starts_with_its_own_alone(service: str) -> None:
    master, directory = "master-2016", _program("master-2016", service).directory
    key = f"{directory}/{HOSTS[master].certname}.private_key"
    with _without(master, f"{key}.pk8"):
        assert not _starts(master, service)
        for made in (
            "genrsa 2048 2>/dev/null | openssl pkcs8 -topk8 -nocrypt -outform DER",
            f"rsa -in {key}.pem -outform DER",
            f"pkcs8 -topk8 -nocrypt -in {key}.pem",
        ):
            _sh(master, f"openssl {made} >{key}.pk8 && chown --reference {directory} {key}.pk8")
            assert not _starts(master, service), f"with what this makes: {made}"
    assert _starts(master, service)


def test_the_front_of_2016_has_the_administrators_certificate_and_no_other() -> None:
    master, program = "master-2016", _program("master-2016", "pe-nginx")
    for kind in ("cert", "private_key"):
        with _without(master, f"{program.directory}/public-console.{kind}.pem"):
            assert not _starts(master, program.service)
    assert _starts(master, program.service)


def test_the_server_of_2016_tells_anybody_how_it_is() -> None:
    code = """
        tls = OpenSSL::SSL::SSLSocket.new(TCPSocket.new("127.0.0.1", 8140))
        tls.connect
        tls.write("GET /status/v1/simple HTTP/1.0\\r\\n\\r\\n")
        puts tls.read
    """
    answer = _ruby(HOSTS["master-2016"], code)
    assert answer.startswith("HTTP/1.1 200 OK") and answer.endswith("running")
    assert "404 Not Found" in _ruby(HOSTS["master-38"], code)


@pytest.mark.parametrize("name", [*AGENTS, *MASTERS])
def test_puppet_runs_against_the_master(name: str) -> None:
    host = HOSTS[name]
    assert run_of_puppet(host) in (0, 2)
    assert _succeeds(name, f"test -s {host.generation.catalogs}/{host.certname}.json")


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_of_2016_is_roots_and_gets_its_pxp_agent_from_puppet(name: str) -> None:
    host = HOSTS[name]
    assert _not_running(host, host.generation.agent_services) == ""
    assert _sh(name, f"find {SSLDIR} ! -user root -o ! -group root") == ""
    assert not _succeeds(name, "id pe-puppet")
    with _without(name, f"{SSLDIR}/certs/{host.certname}.pem"):
        assert not _starts(name, "pxp-agent")
    assert run_of_puppet(host) == 2
    assert _not_running(host, host.generation.agent_services) == ""


def typed(host: Host) -> str:
    """The document's steps 1 to 5, as a careful person types them: what is no copy of a credential
    is put back."""
    generation = host.generation
    puppet = f"{generation.programs}/puppet"
    lines = [f"{puppet} resource service {name} ensure=stopped" for name in generation.stopped]
    lines += [
        f"find {SSLDIR} -mindepth 1 -delete",
        f"rm {generation.catalogs}/{host.certname}.json",
        f"{puppet} cert list -a",
        f"{puppet} cert generate {host.certname} --dns_alt_names={','.join(host.alt_names)}",
        *(f"{puppet} cert generate {name}" for name in generation.internal_certnames),
        f"cp {SSLDIR}/ca/ca_crl.pem {SSLDIR}/crl.pem",
        f"chown -R pe-puppet:pe-puppet {SSLDIR}",
    ]
    for place in generation.places:
        kept = "".join(f" ! -name '{name}.*'" for name in place.custom)
        lines.append(f"find {place.directory} -mindepth 1{kept} -delete")
        for name in (name.replace(CERTNAME, host.certname) for name in place.trios):
            lines += [
                f"cp {SSLDIR}/{kind}s/{name}.pem {place.directory}/{name}.{kind}.pem"
                for kind in ("cert", "public_key", "private_key")
            ]
        lines += [f"cp {source} {place.directory}/{name}" for name, source in place.dh]
        if place.pk8:
            key = f"{place.directory}/{host.certname}.private_key"
            lines.append(f"openssl pkcs8 -topk8 -nocrypt -outform DER -in {key}.pem -out {key}.pk8")
        if place.tight:
            lines.append(f"chmod 400 {place.directory}/*")
        files = f"{place.directory}/*" if place.tight else place.directory
        lines.append(f"chown -R {place.account}:{place.account} {files}")
    lines += [f"{puppet} resource service {name} ensure=running" for name in generation.started]
    return "\n".join(["set -e", *lines])


@pytest.mark.parametrize("name", MASTERS)
def test_the_document_typed_leaves_a_site_in_service(name: str) -> None:
    host = HOSTS[name]
    puppet = f"{host.generation.programs}/puppet"
    before = _sh(name, f"cat {_CA}")
    _sh(name, typed(host))
    assert _sh(name, f"cat {_CA}") != before
    # With its own copies, of the old CA, unless the daemon's first run restarts it just now.
    assert _sh(name, "/opt/pe-lab/wait-for-services 60 pe-activemq; true").strip() == ""
    assert run_of_puppet(host) in (0, 2)
    assert _succeeds(name, f"cmp {_CA} /etc/puppetlabs/activemq/ca.pem")
    test_a_master_runs_its_generations_services_and_no_others(name)
    test_each_service_answers_on_its_ports_with_what_is_in_its_directory(name)
    test_copies_are_where_the_document_puts_them(name)
    test_the_ssldir_has_the_generations_certificates(name)

    for agent in host.agents:
        generation = agent.generation
        services = generation.agent_services
        _sh(
            agent.name,
            f"""
            set -e
            for service in {" ".join(services)}; do service $service stop; done
            rm -r {SSLDIR} {generation.catalogs}/{agent.certname}.json
            service puppet start
            service mcollective start
            """,
        )
        _sh(
            name,
            f"""
            until [ -s {SSLDIR}/ca/requests/{agent.certname}.pem ]; do sleep 0.2; done
            {puppet} cert sign {agent.certname}
            """,
        )
        assert _not_running(agent, services) == "pxp-agent"
        assert run_of_puppet(agent) in (0, 2)
        # PE 3.8 has no orchestrator, whose Puppet would see to it.
        left = "" if host.generation is generation else "pxp-agent"
        assert _not_running(agent, services) == left
        assert _sh(agent.name, f"cat {_CA}") == _sh(name, f"cat {_CA}")
