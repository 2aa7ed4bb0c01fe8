"""The tables of deployments, the deploys that carry them out, and how a host shows which it is."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api import Config, Inventory, State

from deploys.documents import regeneration
from facts.deployment import DeploymentSigns
from operations import aside, backup, credentials, puppet_run, services, ssl
from operations.authority import ca_commands
from operations.authority.commands import CredentialsWanted
from operations.services import in_waves
from procedures.deployment import deployment_of_agent
from recert.aside import Aside
from recert.deployments.authority import PUPPET_CERT, PUPPETSERVER_CA, Server
from recert.deployments.debian_5 import DEBIAN_5
from recert.deployments.debian_7 import DEBIAN_7
from recert.deployments.known import DEPLOYMENTS, is_internal, of_program
from recert.deployments.model import CERTNAME, Component, Deployment, Part
from recert.deployments.pe_3_7 import PE_3_7
from recert.deployments.pe_3_8 import PE_3_8
from recert.deployments.pe_2016_2 import PE_2016_2
from recert.deployments.recognition import Signs, generation_refusals, recognised
from recert.errors import RecertError
from recert.kinds import kind_of
from recert.preflight import extra_refusals
from recert.report import Role
from tests.unit.issuing_ca import CERTNAME as MASTER
from tests.unit.issuing_ca import OLD, master, reasons, settings
from tests.unit.shell import Sh

ROOT = Path(__file__).resolve().parents[2]
EACH = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda one: one.name)
VERSIONED = [one for one in DEPLOYMENTS if one.version_file]

# Tables


@EACH
def test_a_table_hangs_together(deployment: Deployment) -> None:
    seat, names = deployment.master, {CERTNAME, *deployment.internal_names}
    assert set(seat.stopped) == set(seat.started)
    assert len(set(seat.stopped)) == len(seat.stopped) == len(seat.started)
    assert {seat.server, *seat.needed, *seat.endpoints, *seat.fed_by_run} <= set(seat.stopped)
    assert set(deployment.agent.services) <= set(seat.stopped)
    # Whoever shows a name of the vendor's has it from somewhere, which a check of it names.
    of_its_own = {n for n, one in seat.endpoints.items() if one.client in deployment.internal_names}
    assert of_its_own <= set(deployment.users.values())
    for service, needs in seat.needs.items():
        before = seat.started[: seat.started.index(service)] if service in seat.started else ()
        assert service not in seat.started or set(needs) <= set(before)
    for component in seat.components:
        assert {*component.credentials} <= names
        assert {*component.pk8} <= {*component.credentials}
        assert component.used_by in seat.stopped
    assert {endpoint.client for endpoint in seat.endpoints.values()} <= names
    # Who answers in orchestration does so with what is delivered.
    orchestrated = (deployment.messaging, deployment.delivery, deployment.agent.orchestration)
    assert all(orchestrated) or not any(orchestrated)
    if deployment.delivery is not None:
        assert {*deployment.delivery.names.values(), deployment.delivery.broker} <= names
    assert all(name.startswith(deployment.internal_prefix) for name in deployment.internal_names)
    if deployment.classifier is not None:
        assert deployment.classifier.service in seat.endpoints
        assert deployment.classifier.client in names


def test_deployments_have_each_their_name() -> None:
    assert len({one.name for one in DEPLOYMENTS}) == len({one.title for one in DEPLOYMENTS})
    assert len({one.name for one in DEPLOYMENTS}) == len(DEPLOYMENTS)
    assert is_internal("pe-internal-of-any-version") and not is_internal("web01")


# Deploys

DONE = list[tuple[str, tuple[Any, ...], dict[str, Any]]]


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> DONE:
    """What a deploy has called, in its order: the operation, and what it is about."""
    calls: DONE = []

    def noted(name: str) -> Callable[..., None]:
        return lambda *arguments, **more: calls.append((name, arguments, more))

    for module, names in (
        (aside, ("made",)),
        (puppet_run, ("run",)),
        (backup, ("made",)),
        (credentials, ("cleared", "copied", "owned", "put_back")),
        (services, ("stopped", "running")),
        (ssl, ("cleared", "catalog_removed", "ca_created", "certificates_generated", "placed")),
    ):
        short = module.__name__.rpartition(".")[2]
        for name in names:
            monkeypatch.setattr(module, name, noted(f"{short}.{name}"))
    return calls


@EACH
def test_a_deploy_does_all_that_its_table_has(deployment: Deployment, done: DONE) -> None:
    regeneration(deployment)()
    about: dict[str, list[Component]] = {}
    copied: dict[str, set[str]] = {}
    given: set[str] = set()
    for operation, arguments, more in done:
        components = [one for one in arguments if isinstance(one, Component)]
        about.setdefault(operation, []).extend(components)
        if operation == "credentials.copied":
            copied.setdefault(components[0].title, set()).add(arguments[1])
            given |= {components[0].title} if more.get("owned") else set()
        if operation == "credentials.owned":
            given.add(components[0].title)
    known = list(deployment.master.components)
    cleared = about.get("credentials.cleared", [])
    assert sorted(one.title for one in cleared) == sorted(one.title for one in known)
    assert copied == {one.title: set(one.credentials) for one in known}
    assert given == {one.title for one in known}
    put_back = {one.title for one in about.get("credentials.put_back", [])}
    assert put_back == {one.title for one in known if any(extra.source for extra in one.extras)}
    put = [name for what, arguments, _ in done if "certificates" in what for name in arguments[0]]
    assert put == [CERTNAME, *deployment.internal_names]
    (made,) = ([*own, *rest] for what, (own, rest), _ in done[:1] if what == "aside.made")
    assert made == put
    everything = {one for components in about.values() for one in components}
    assert everything == set(known)


@EACH
def test_a_deploy_keeps_the_documents_order(deployment: Deployment, done: DONE) -> None:
    regeneration(deployment)()
    order = [operation for operation, *_ in done]
    # But for what is made aside, while nothing is stopped.
    assert order.pop(0) == "aside.made"
    generations = 2 if deployment.internal_names else 1
    assert order[: 6 + generations] == [
        *("services.stopped", "backup.made", "ssl.cleared", "ssl.catalog_removed"),
        *("ssl.ca_created", *["ssl.certificates_generated"] * generations, "ssl.placed"),
    ]
    assert order[-2:] == ["services.running", "puppet_run.run"]
    # What is given away is whole by then, and what is copied has been cleared.
    for component in deployment.master.components:
        own = [what for what, arguments, _ in done if component in arguments]
        assert own[0] == "credentials.cleared"
        assert own[-1] in ("credentials.owned", "credentials.copied")
    numbers = [more["name"].split()[0] for _, _, more in done[1:]]
    assert numbers == sorted(numbers, key=lambda number: [int(n) for n in number.split(".")])
    assert len(set(numbers[:-2])) == len(numbers[:-2])


@EACH
def test_a_deploy_names_the_document_that_it_carries_out(deployment: Deployment) -> None:
    found = regeneration(deployment)
    module = import_module((found.func if isinstance(found, partial) else found).__module__)
    said = " ".join((module.__doc__ or "").split()).replace('"', "")
    title, _, version = deployment.document.rpartition(", ")
    assert title in said and version.removeprefix(f"{deployment.vendor} ") in said


# What is no copy of a credential


@EACH
def test_a_whole_master_of_each_shape_has_nothing_due(deployment: Deployment) -> None:
    judged = master(deployment=deployment).judge()
    assert judged.problems == ()
    assert judged.credential_names == (MASTER, *deployment.internal_names)
    stale = master(OLD, deployment=deployment).judge()
    assert set(stale.names_due(stale.credential_names)) == set(judged.credential_names)


@EACH
def test_what_is_no_copy_stays_or_is_put_back(deployment: Deployment) -> None:
    for component in deployment.master.components:
        for extra in component.extras:
            found = master(deployment=deployment)
            path = component.extra_path(extra)
            assert found.judge().leftovers(component) == ()
            found.change_copy(component, path, owner="root")
            assert reasons(found.judge().problems)[path].startswith("belongs to root")
            found.remove_copy(component, path)
            judged = found.judge()
            due = {extra} if extra.source else set()
            assert set(judged.extras_due(component)) == due
            assert set(reasons(judged.problems)) == ({path} if due else set())


def test_dh_files_without_a_source_are_refused() -> None:
    (dashboard,) = (c for c in PE_3_8.master.components if c.extras)
    found = master(deployment=PE_3_8)
    path = dashboard.extra_path(dashboard.extras[0])
    found.remove_copy(dashboard, path)
    assert extra_refusals(found.judge()) == []
    state = found.components[dashboard.directory]
    found.components[dashboard.directory] = replace(state, sources=frozenset())
    (message,) = extra_refusals(found.judge())
    assert path in message and dashboard.extras[0].source in message and "pe-httpd" in message


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_a_key_for_java_may_be_tighter(mode: int) -> None:
    """The document has it made by whatever openssl there is, and by whatever umask."""
    for component in PE_2016_2.master.components:
        if component.pk8:
            path = f"{component.directory}/{component.file_name(MASTER, Part.PK8)}"
            found = master(deployment=PE_2016_2)
            found.change_copy(component, path, mode=mode)
            assert found.judge().problems == ()
            for open_or_unread in (0o644, 0o660, 0o040):
                found.change_copy(component, path, mode=open_or_unread)
                assert path in reasons(found.judge().problems)


# Recognition

PE37 = Signs({"/opt/puppet/pe_version": "3.7.2"}, frozenset({"/opt/puppet"}))
PE2016 = Signs({"/opt/puppetlabs/server/pe_version": "2016.2.1"}, frozenset({"/opt/puppetlabs"}))
UNNAMED = Signs({}, frozenset({"/opt/puppet"}))


def found(signs: Signs, named: str | None = None) -> Deployment:
    return recognised(signs, DEPLOYMENTS, named, "master")


@pytest.mark.parametrize("named", [None, "pe-3.7-mono"])
def test_a_host_says_what_it_is(named: str | None) -> None:
    assert found(PE37, named) is PE_3_7


@EACH
@pytest.mark.parametrize("more", ["", ".1"])
def test_each_shape_is_recognised(deployment: Deployment, more: str) -> None:
    for version in deployment.versions:
        versions = {deployment.version_file: f"{version}{more}"}
        assert found(Signs(versions, frozenset({deployment.sign}))) is deployment


@pytest.mark.parametrize("version", ["3.3.2", "3.70", "3", "2016.2.1", "", "n/a"])
def test_what_no_table_knows_is_refused_with_what_was_seen(version: str) -> None:
    signs = Signs({"/opt/puppet/pe_version": version}, frozenset({"/opt/puppet"}))
    with pytest.raises(RecertError) as refused:
        found(signs)
    said = str(refused.value)
    assert f"/opt/puppet/pe_version says {version}" in said
    for one in DEPLOYMENTS:
        assert one.name in said and one.title in said


def test_a_host_without_puppet_enterprise_is_refused() -> None:
    with pytest.raises(RecertError, match=r"no file names a version, Puppet is 5\.5\.22"):
        found(Signs(puppet="5.5.22"))


def test_two_that_match_are_for_a_person_to_decide() -> None:
    with pytest.raises(RecertError) as refused:
        found(UNNAMED)
    assert "pe-3.7-mono or pe-3.8.0-mono or pe-3.8-mono" in str(refused.value)
    assert "--data deployment=<name>" in str(refused.value)
    assert found(UNNAMED, "pe-3.8-mono") is PE_3_8


@EACH
def test_where_no_file_names_a_version_puppets_own_decides(deployment: Deployment) -> None:
    for begin in deployment.puppet_versions:
        signs = Signs({}, frozenset({deployment.sign}), f"{begin}.2")
        alike = [one for one in DEPLOYMENTS if one.puppet_versions == deployment.puppet_versions]
        assert found(signs, deployment.name) is deployment
        if alike == [deployment]:
            assert found(signs) is deployment
        else:
            with pytest.raises(RecertError, match=" or ".join(one.name for one in alike) + r"\. S"):
                found(signs)
        for other in DEPLOYMENTS:
            if other not in alike:
                with pytest.raises(RecertError, match=f"That is not {other.name}"):
                    found(signs, other.name)


@pytest.mark.parametrize("puppet", ["5.5.22", "4.10.1", "3.4.3", "3", "4", "4.50.1", "x"])
def test_a_puppet_that_no_table_has_is_that_of_another_shape(puppet: str) -> None:
    for prefix, name in (("/opt/puppet", "pe-3.7-mono"), ("/opt/puppetlabs", "pe-2016.2-mono")):
        signs = Signs({}, frozenset({prefix}), puppet)
        with pytest.raises(RecertError, match=f"Puppet is {puppet}. That is none of the"):
            found(signs)
        with pytest.raises(RecertError, match=f"That is not {name}"):
            found(signs, name)


@pytest.mark.parametrize("deployment", VERSIONED, ids=lambda one: one.name)
def test_a_puppet_of_another_shape_contradicts_the_file(deployment: Deployment) -> None:
    versions, places = (
        {deployment.version_file: deployment.versions[0]},
        frozenset({deployment.sign}),
    )
    for other in VERSIONED:
        signs = Signs(versions, places, f"{other.puppet_versions[0]}.1")
        if other.puppet_versions == deployment.puppet_versions:
            assert found(signs) is deployment
            continue
        with pytest.raises(RecertError) as refused:
            found(signs)
        assert f"say {deployment.name}, and its Puppet is that of" in str(refused.value)
        assert other.name in str(refused.value) and "half way" in str(refused.value)
        with pytest.raises(RecertError, match=f"That is not {deployment.name}"):
            found(signs, deployment.name)
    # Somebody may have put a newer one there, and the vendor's file is its own word.
    assert found(Signs(versions, places, "5.5.22")) is deployment


def test_with_two_generations_programs_nobody_knows_whose_puppet_that_is() -> None:
    both = PE37.directories | PE2016.directories
    assert found(Signs(PE2016.versions, both, "3.7.4")) is PE_2016_2
    with pytest.raises(RecertError, match="That may be"):
        found(Signs({}, both, "3.7.4"))


def test_whose_files_puppets_are_tells_vendors_apart() -> None:
    """Another vendor's directory may have stayed, or been made for something else."""
    here = PE37.directories | {DEBIAN_5.sign}
    for account, own in (("pe-puppet", PE_3_7), ("puppet", DEBIAN_5)):
        signs = Signs({}, here, f"{own.puppet_versions[0]}.4", frozenset({account}))
        assert found(signs) is own
        with pytest.raises(RecertError, match=f"accounts are {account}"):
            found(signs, "pe-2016.2-mono")
    both = frozenset({"puppet", "pe-puppet"})
    with pytest.raises(RecertError, match=r"That may be pe-3\.7-mono.* or debian-5"):
        found(Signs({}, here, "3.7.4", both))
    assert found(Signs(PE37.versions, here, "3.7.4", both)) is PE_3_7
    # What the vendor has no file for is not told by another one's.
    assert found(Signs(PE37.versions, here, "5.5.22", both)) is PE_3_7


def test_an_open_source_master_has_what_debian_gives_it() -> None:
    signs = Signs({}, frozenset({"/etc/puppet"}), "5.5.22", frozenset({"puppet"}))
    assert found(signs) is DEBIAN_5
    assert found(replace(signs, puppet="7.23.0")) is DEBIAN_7
    with pytest.raises(RecertError, match=r"Puppet is 6\.29\.0"):
        found(replace(signs, puppet="6.29.0"))


def test_nobody_decides_against_what_a_host_shows() -> None:
    for signs, named in (
        (PE37, "pe-3.8-mono"),
        (UNNAMED, "pe-2016.2-mono"),
        (PE2016, "pe-3.7-mono"),
    ):
        with pytest.raises(RecertError, match=f"That is not {named}"):
            found(signs, named)


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(RecertError, match=r"deployment=pe-3\.7 is no deployment .*pe-3\.7-mono"):
        found(PE37, "pe-3.7")


def test_files_of_two_generations_are_for_a_person_to_decide() -> None:
    """After an upgrade the former version's file may have stayed."""
    both = Signs({**PE37.versions, **PE2016.versions}, PE37.directories | PE2016.directories)
    with pytest.raises(RecertError, match=r"pe-3\.7-mono or pe-2016\.2-mono"):
        found(both)
    assert found(both, "pe-2016.2-mono") is PE_2016_2


def test_an_agent_is_known_by_where_its_puppet_is() -> None:
    assert of_program("/opt/puppet/bin/puppet") is PE_3_7
    for path in ("/opt/puppetlabs/bin/puppet", "/opt/puppetlabs/puppet/bin/puppet"):
        assert of_program(path) is PE_2016_2
    assert of_program("/usr/bin/puppet") is DEBIAN_5
    assert of_program("/usr/local/bin/puppet") is None


def test_a_windows_agent_may_be_of_another_generation_than_its_master() -> None:
    """Nobody stops a service that goes by another name, and its ssldir is deleted all the same."""
    for deployment in DEPLOYMENTS:
        windows = deployment.agent.windows
        assert set(deployment.agent.services) <= windows.keys()
        orchestrated = ("mcollective",) if deployment.agent.orchestration else ()
        for service in ("puppet", *orchestrated):
            (names,) = (one for one in windows.values() if service in one)
            assert set(names) == {service, f"pe-{service}"}


def test_an_agent_whose_master_cannot_be_asked_can_be_looked_at() -> None:
    nobody = {"ssh_hostname": "127.0.0.1", "ssh_port": 1, "ssh_user": "root"}
    names = ["win01", ("master", nobody)]
    state = State(Inventory((names, {}), master=(["master"], {})), Config())
    agent = state.inventory.get_host("win01")
    for failed in (False, True):
        if failed:
            state.failed_hosts.add(state.inventory.get_host("master"))
        found = deployment_of_agent(agent, None)
        assert {"puppet", "mcollective", "pxp-agent"} == set(found.agent.services)


@pytest.mark.parametrize("program", ["/opt/puppet/bin/puppet", "/opt/puppetlabs/bin/puppet"])
def test_a_master_whose_puppet_is_another_generations_is_refused(program: str) -> None:
    """Upgraded, and what the former version has left comes first on the PATH."""
    for deployment in DEPLOYMENTS:
        own = program.startswith(f"{deployment.prefix}/")
        refusals = generation_refusals(program, deployment)
        assert bool(refusals) is not own
        assert all(program in one and deployment.title in one for one in refusals)
        assert generation_refusals("/usr/local/bin/puppet", deployment) == []


def test_what_a_host_shows(sh: Sh, tmp_path: Path) -> None:
    sh.provide("ruby", "printf 3.7.4")
    (tmp_path / "pe_version").write_text("3.7.2\n")
    (tmp_path / "empty").write_text("")
    files = [f"{tmp_path}/{name}" for name in ("pe_version", "empty", "missing")]
    directories = [str(tmp_path), f"{tmp_path}/missing"]
    seen = sh.ask(
        DeploymentSigns, files=files, directories=directories, accounts=["root", "nobody-of-these"]
    )
    assert seen == Signs(
        {files[0]: "3.7.2"}, frozenset(directories[:1]), "3.7.4", frozenset({"root"})
    )


# Who knows shapes

SHAPES = re.compile(r"\bpe-(?!recert)[a-z]|/opt/puppet|/etc/puppetlabs|/var/log/p")
ELSEWHERE = ("facts", "operations", "procedures", "recert", "connectors", "inventories", "deploys")


def texts_of(path: Path) -> list[str]:
    """The texts of a module, docstrings aside."""
    tree = ast.parse(path.read_text())
    told = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told
    ]


NO_WORDS = {
    "document",
    "vendor",
    "versions",
    "puppet_versions",
    "authority",
    "handshake",
    "configured",
}
"""Fields of tables that name no service, directory, account or certificate."""

ORDINARY = {
    *("/", "/usr/bin", "/var/log/syslog"),
    *("puppet", "puppetserver", "puppetdb", "PuppetDB", "PostgreSQL"),
}
"""Words of tables that are Puppet's own program, or a product, wherever else they stand."""

KNOWING = {
    # What orchestration is asked by, which all of the tables have alike.
    "facts/orchestration.py": {"mco", "peadmin"},
    "recert/orchestration.py": {"mco", "peadmin"},
    "recert/verification.py": {"mco", "peadmin"},
    # Where that is on Windows, of which no table tells the directories.
    "procedures/windows.py": {"mcollective"},
    # The question to the classifier, and what a person is told to look for who asks it himself.
    "facts/tls.py": {"/classifier-api/v1/groups"},
    "recert/preflight.py": set(PE_3_7.classifier.classes) if PE_3_7.classifier else set(),
}
"""Who names what is a table's, all the same."""


def words_of(value: object) -> Iterator[str]:
    """What a table names: each text in it, but for those of `NO_WORDS`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from words_of([*value.keys(), *value.values()])
    elif isinstance(value, (tuple, list, frozenset)):
        for one in value:
            yield from words_of(one)
    elif is_dataclass(value):
        own = {"name", "title"} if isinstance(value, Deployment) else set()
        for one in fields(value):
            if one.name not in NO_WORDS | own:
                yield from words_of(getattr(value, one.name))


def modules_without_shapes() -> Iterator[Path]:
    return (
        path
        for folder in ELSEWHERE
        for path in (ROOT / folder).rglob("*.py")
        if path.parts[len(ROOT.parts) : -1]
        not in (("recert", "deployments"), ("deploys", "documents"))
    )


def test_nothing_else_knows_a_shape() -> None:
    words = set(words_of(DEPLOYMENTS)) - {"", CERTNAME, *ORDINARY}
    # Files by their names alone, too.
    words |= {name for word in words if "." in (name := word.rpartition("/")[2])}
    assert {"pe-puppetserver", "pxp-agent", "peadmin", "/opt/puppetlabs", "broker.ks"} <= words
    assert len(words) > 80
    # The longest first: a path is named, and not the directories above it.
    named = re.compile(
        rf"(?<![\w-])(?:{'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})(?![\w-])"
    )
    knowing: dict[str, set[str]] = {}
    for path in modules_without_shapes():
        for text in texts_of(path):
            found = set(named.findall(text)) | {match[0] for match in SHAPES.finditer(text)}
            if found:
                knowing.setdefault(path.relative_to(ROOT).as_posix(), set()).update(found)
    assert knowing == KNOWING


def test_what_differs_between_kinds_of_hosts_is_a_value_of_theirs() -> None:
    """A third kind is one more value, and no `if`."""
    asking = {
        path.relative_to(ROOT).as_posix()
        for folder in ("recert", "facts", "operations", "procedures")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "WINDOWS_AGENT"
    }
    assert asking == {"recert/kinds.py", "procedures/platforms.py"}
    assert {role for role in Role if kind_of(role)} == set(Role)


def test_the_parts_of_a_credential() -> None:
    (console,) = (c for c in PE_2016_2.master.components if c.title == "console-services")
    assert console.parts(CERTNAME)[-1] is Part.PK8
    assert Part.PK8 not in console.parts("pe-internal-dashboard")
    assert console.file_name("web01", Part.PK8) == "web01.private_key.pk8"


# Who knows a CA's program

COMMANDS = re.compile(r"\bpuppet (?:cert|ca)\b|\bpuppetserver ca\b|--configprint signeddir")


def test_nothing_else_names_a_command_of_a_ca() -> None:
    """A remedy that is another program's would be pasted where there is none of that name."""
    allowed = {
        ROOT / "recert/deployments/authority.py",
        ROOT / "operations/authority/puppet_cert.py",
        ROOT / "operations/authority/puppetserver_ca.py",
    }
    knowing = {
        str(path.relative_to(ROOT))
        for folder in ELSEWHERE
        for path in (ROOT / folder).rglob("*.py")
        if path not in allowed and any(COMMANDS.search(text) for text in texts_of(path))
    }
    assert knowing == set()


@EACH
def test_a_deploy_works_with_the_ca_while_its_server_is_as_that_wants(
    deployment: Deployment, done: DONE
) -> None:
    regeneration(deployment)()
    order = [operation for operation, *_ in done]
    stopped = range(order.index("services.stopped") + 1, order.index("services.running"))
    wanted = {
        "aside.made": deployment.authority.creates,
        "ssl.certificates_generated": deployment.authority.issues,
    }
    for place, operation in enumerate(order):
        if operation in wanted:
            now = Server.DOWN if place in stopped else Server.UP
            assert wanted[operation] in (now, Server.EITHER)
    # Agents ask a server that runs, and what is replaced is revoked beside it.
    assert Server.DOWN not in (deployment.authority.signs, deployment.authority.revokes)


def test_what_is_typed_for_puppet_cert() -> None:
    commands = ca_commands(PUPPET_CERT)
    where = Aside(settings())
    typed = commands.make_aside(where, [CredentialsWanted(["web01"], "")], "AB:CD")
    calls = [one for one in typed.arguments if one.startswith("puppet cert")]
    assert len(calls) == 2 and calls[-1].endswith(" web01")
    # Nothing of what it writes is left to where the host's puppet.conf puts it.
    assert all(f"{option} " in call for call in calls[:1] for option in where.options[:-1])
    assert commands.clean(settings(), ["web01", "web02"]).arguments[-2:] == ("web01", "web02")
    assert commands.revoke(settings(), ["0x1f"]).arguments[-1] == "0x1f"


def test_what_is_typed_for_puppetserver_ca() -> None:
    commands = ca_commands(PUPPETSERVER_CA)
    conf = replace(
        settings(), ca_ttl="10d", ca_name="Ours", csr_attributes="/etc/x.yaml", capass=""
    )
    where = Aside(conf)
    wanted = CredentialsWanted(["web01"], "web01.example.com,www")
    arguments = commands.make_aside(where, [wanted], "AB:CD").arguments
    config = next(one for one in arguments if one.startswith("[main]")).splitlines()
    assert arguments[-7:-2] == ("4096", "Ours", "864000", "web01", "web01.example.com,www")
    # Nothing of what it writes is left to where the host's puppet.conf puts it.
    for option in where.options:
        assert option.removeprefix("--").replace("=", " = ", 1) in config
    own = {f"certname = {conf.certname}", "csr_attributes = /etc/x.yaml", "keylength = 4096"}
    assert own <= {*config}
    ours = commands.make_aside(where, [replace(wanted, attributes="x")], "AB:CD").arguments
    assert f"csr_attributes = {where.attributes}" in ours[5].splitlines() and "x" in ours
    plain, *names = commands.clean(conf, ["web01", "web02"]).arguments
    assert names == ["web01", "web02"]
    assert f"ssldir = {conf.ssldir}" in plain.splitlines() and "capass = " not in plain
    assert commands.issue(conf, wanted).arguments[:3] == (plain, "web01", wanted.alt_names)


# Services side by side


@EACH
def test_no_service_starts_beside_one_that_it_needs(deployment: Deployment) -> None:
    seat = deployment.master
    waves = in_waves(seat.started, seat.needs)
    assert [name for wave in waves for name in seat.started if name in wave] == [
        name for wave in waves for name in wave
    ]
    assert sorted(name for wave in waves for name in wave) == sorted(seat.started)
    place = {name: number for number, wave in enumerate(waves) for name in wave}

    def depth(name: str) -> int:
        return max((1 + depth(need) for need in seat.needs.get(name, ())), default=0)

    for name, needs in seat.needs.items():
        assert all(place[need] < place[name] for need in needs if name in place)
    # The first is what others wait for, and each is as many as can be.
    needed = {need for needs in seat.needs.values() for need in needs}
    assert set(waves[0]) <= needed
    assert len(waves) == 1 + max(map(depth, seat.needs))


def test_what_somebody_wants_stopped_is_not_waited_for() -> None:
    assert in_waves(["a", "b"], {"b": ("gone",)}) == [["a", "b"]]
    assert in_waves(["c", "b", "a"], {"b": ("a",), "c": ("b",)}) == [["a"], ["b"], ["c"]]
