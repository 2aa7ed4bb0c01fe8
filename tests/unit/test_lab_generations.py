"""The lab's table of generations holds together, and changes nothing for who names none of them."""

from __future__ import annotations

import json

import pytest

from lab import generations, services
from lab.generations import CERTNAME, DEBIAN_5, GENERATIONS, PE_3_7, Generation
from lab.hosts import HOSTS, named_hosts
from recert.deployments.known import DEPLOYMENTS
from recert.deployments.model import Extra

EACH = pytest.mark.parametrize("generation", GENERATIONS.values(), ids=GENERATIONS)


def test_hosts_of_other_generations_come_up_where_they_are_named() -> None:
    assert {host.generation.name for host in named_hosts([])} == {"3.7"}
    assert [host.name for host in named_hosts(["agent06", "master-2016"])] == [
        "master-2016",
        "agent06",
    ]
    others = {host.name for host in HOSTS.values()} - {host.name for host in named_hosts([])}
    named = {"master-38", "master-2015-2", "master-2015-3", "master-2016-1", "master-2016"}
    of_pe = named | {"agent06", "agent07", "agent08"}
    assert others == of_pe | {"puppet5", "agent09", "agent10", "puppet7", "agent11", "agent12"}


@EACH
def test_the_document_stops_and_starts_what_runs(generation: Generation) -> None:
    running = sorted(generation.master_services)
    assert sorted(generation.stopped) == sorted(generation.started) == running
    assert set(generation.agent_services) <= set(running)


@EACH
def test_a_service_finds_what_it_loads(generation: Generation) -> None:
    places = {place.directory: place for place in generation.places}
    names = {CERTNAME, *generation.internal_certnames}
    for place in generation.places:
        assert set(place.trios) <= names
        assert place.account in generation.accounts
    for program in generation.master_programs:
        assert {program.account, program.serves_as or "root"} <= {*generation.accounts, "root"}
        if program.directory not in places:
            assert program.directory in ("", "/etc/puppetlabs/activemq")
            continue
        place = places[program.directory]
        assert {*program.trios, *program.custom} <= {*place.trios, *place.custom}
        assert [name for name, _ in program.dh] == [name for name, _ in place.dh]
        assert not program.pk8 or place.pk8
    # And nothing is there that nobody looks at.
    loaded = {
        (program.directory, name)
        for program in generation.master_programs
        for name in (*program.trios, *program.custom)
    }
    assert loaded >= {
        (place.directory, name)
        for place in generation.places
        for name in (*place.trios, *place.custom)
    }


def test_what_differs_is_what_the_documents_say() -> None:
    pk8 = {
        name: [place.account for place in generation.places if place.pk8]
        for name, generation in GENERATIONS.items()
    }
    assert pk8 == {
        "3.7": [],
        "3.8": [],
        "2015.2": [],
        "2015.3": [],
        "2016.1": ["pe-puppetdb"],
        "2016.2": ["pe-puppetdb", "pe-orchestration-services", "pe-console-services"],
    }
    names = {name: len(row.internal_certnames) for name, row in GENERATIONS.items()}
    assert names == {"3.7": 5, "3.8": 5, "2015.2": 5, "2015.3": 6, "2016.1": 6, "2016.2": 6}
    assert GENERATIONS["2015.2"].agent_services == ("mcollective", "puppet")
    assert GENERATIONS["2015.3"].agent_services == ("mcollective", "pxp-agent", "puppet")


def test_modes_are_those_of_the_documents_commands() -> None:
    database, postgresql, *_ = generations.PE_2016_2.places
    assert database.modes("a.test") == {
        "a.test.cert.pem": 0o644,
        "a.test.private_key.pem": 0o640,
        "a.test.public_key.pem": 0o644,
        "a.test.private_key.pk8": 0o600,
    }
    assert set(postgresql.modes("a.test").values()) == {0o400}


def test_stand_ins_of_37_are_as_they_were() -> None:
    told = json.loads(services.stand_ins("master", PE_3_7, "m.test"))
    loaded = {
        name: (
            component["account"],
            component["ports"],
            [credential["name"] for credential in component["credentials"]],
        )
        for name, component in told.items()
    }
    assert loaded == {
        "pe-puppetdb": ("pe-puppetdb", [8081], ["m.test"]),
        "pe-postgresql": ("pe-postgres", [5432], ["m.test"]),
        "pe-console-services": (
            "pe-console-services",
            [4433],
            ["m.test", "pe-internal-classifier", "pe-internal-dashboard"],
        ),
        "pe-httpd": ("puppet-dashboard", [443], ["m.test", "pe-internal-dashboard"]),
        "pe-activemq": ("pe-activemq", [61613], ["pe-internal-mcollective-servers"]),
        "pe-mcollective": ("root", [], []),
    }
    assert not any(component["pk8"] or component["dh"] for component in told.values())


@pytest.mark.parametrize(
    ("name", "generation"),
    [*((f"pe-{one.name}-mono", one) for one in GENERATIONS.values()), ("debian-5", DEBIAN_5)],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_the_products_table_says_the_same(name: str, generation: Generation) -> None:
    """Both are read from the documents, by different eyes; one of the shapes has no host."""
    (shape,) = (one for one in DEPLOYMENTS if one.name == name)
    seat = shape.master
    assert (seat.stopped, seat.started) == (generation.stopped, generation.started)
    assert shape.internal_names == generation.internal_certnames
    assert set(shape.agent.services) == set(generation.agent_services)
    assert shape.version_file == generation.version_file
    assert shape.account == generation.accounts[0]
    assert [(c.directory, c.account, c.credentials, bool(c.pk8)) for c in seat.components] == [
        (place.directory, place.account, place.trios, place.pk8) for place in generation.places
    ]
    extras = {component.directory: set(component.extras) for component in seat.components}
    assert extras == {
        place.directory: {Extra(name, source) for name, source in place.dh}
        | {Extra(f"{name}.{kind}.pem") for name in place.custom for kind in ("cert", "private_key")}
        for place in generation.places
    }
    listening = {one.service: one for one in generation.master_programs if one.ports}
    answers = {name: e for name, e in seat.endpoints.items() if name != seat.server}
    assert {name: (e.port, e.log) for name, e in answers.items()} == {
        name: (one.ports[0], one.log) for name, one in listening.items()
    }
    logs = {one.service: one.log for one in generation.agent_programs}
    assert (shape.messaging is None) is generation.packaged
    assert shape.messaging is None or shape.messaging.log == logs[shape.agent.orchestration]
