"""Inventories from where real ones come from: a PuppetDB, over TLS and with a client certificate,
and a master's CA, over SSH."""

from __future__ import annotations

import io
import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from inventories import __main__ as command
from lab import puppetdb
from lab.hosts import HOSTS
from lab.reaching import ssh_argv
from tests.e2e.site import SSLDIR, Master
from tests.unit import issuing_ca

SOON = datetime.now(UTC) + timedelta(days=100)
AGENTS = [f"node{number:04}.lab.test" for number in range(200)]
DEACTIVATED = "gone01.lab.test"
_PATIENCE = 120


@dataclass(frozen=True)
class PuppetDb:
    """One that runs, and the files with which it is asked."""

    url: str
    files: dict[str, str]
    context: ssl.SSLContext

    def _ask(self, path: str, body: dict[str, Any] | None = None, **query: str) -> Any:
        request = Request(
            f"{self.url}{path}?{urlencode(query)}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urlopen(request, timeout=60, context=self.context) as response:
            return json.load(response)

    def command(self, what: str, version: int, certname: str, **payload: Any) -> None:
        now = datetime.now(UTC).isoformat()
        body = {"certname": certname, "producer_timestamp": now, **payload}
        self._ask("/pdb/cmd/v1", body, command=what, version=str(version), certname=certname)

    def wait_for(self, number: int) -> None:
        """Until it has so many active nodes: it takes commands first and works on them later."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            if len(self._ask("/pdb/query/v4/nodes")) == number:
                return
            time.sleep(0.5)
        raise AssertionError(f"PuppetDB does not have {number} nodes within {_PATIENCE} s")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PuppetDb]:
    ca, directory = issuing_ca.LIVE, tmp_path_factory.mktemp("puppetdb")
    pems = {
        "cacert": ca.pem,
        "cert": ca.issue("admin.lab.test", 2, key="live-admin", expires=SOON),
        "key": issuing_ca.key_pem("live-admin"),
    }
    files = {name: str(directory / f"{name}.pem") for name in pems}
    for name, pem in pems.items():
        Path(files[name]).write_text(pem)
    context = ssl.create_default_context(cafile=files["cacert"])
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_cert_chain(files["cert"], files["key"])
    cert = ca.issue("puppetdb.lab.test", 3, ["localhost"], key="live-puppetdb", expires=SOON)
    with puppetdb.running(ca.pem, cert, issuing_ca.key_pem("live-puppetdb")) as port:
        yield PuppetDb(f"https://localhost:{port}", files, context)


def test_the_snapshot_has_the_nodes_that_puppetdb_has(
    database: PuppetDb,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    facts: dict[str, dict[str, Any]] = {
        name: {"kernel": "Linux", "osfamily": "RedHat"} for name in (*AGENTS, DEACTIVATED)
    }
    facts |= {
        "master.lab.test": {"kernel": "Linux"},
        "win01.lab.test": {"kernel": "windows", "osfamily": "windows"},
        "win02.lab.test": {"os": {"family": "windows"}},
        "sun01.lab.test": {"kernel": "SunOS", "osfamily": "Solaris"},
    }
    for name, values in facts.items():
        database.command(
            "replace_facts",
            5,
            name,
            values=values,
            environment="production",
            producer="master.lab.test",
        )
    database.wait_for(len(facts))
    database.command("deactivate_node", 3, DEACTIVATED)
    database.wait_for(len(facts) - 1)

    monkeypatch.setattr(command, "HERE", tmp_path)
    options = [word for name, file in database.files.items() for word in (f"--{name}", file)]
    source = ["--master", "master.lab.test", "--puppetdb", database.url]
    command.main(["mysite", *source, *options])

    snapshot = json.loads((tmp_path / "mysite.json").read_text())
    assert snapshot["agents"] == AGENTS
    assert snapshot["windows_agents"] == ["win01.lab.test", "win02.lab.test"]
    assert snapshot["master"] == "master.lab.test"
    assert [left["name"] for left in snapshot["left_out"]] == ["sun01.lab.test"]
    assert "200 agents, 2 Windows agents" in capsys.readouterr().out


def test_a_client_of_another_ca_is_told_what_is_wrong(
    database: PuppetDb, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = issuing_ca.IssuingCa("live-other", expires=SOON)
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text(other.issue("admin.lab.test", 2, key="live-admin", expires=SOON))
    key.write_text(issuing_ca.key_pem("live-admin"))
    monkeypatch.setattr(command, "HERE", tmp_path)
    own = ["--cert", str(cert), "--key", str(key), "--cacert", database.files["cacert"]]
    with pytest.raises(SystemExit, match="may not accept this client's certificate"):
        command.main(["mysite", "--master", "master", "--puppetdb", database.url, *own])
    assert not (tmp_path / "mysite.json").exists()


def test_the_cas_own_list_becomes_an_inventory_that_works(
    untouched: Master, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    master = untouched
    cat = ssh_argv(master.name, ["cat", f"{SSLDIR}/ca/inventory.txt"])
    listed = subprocess.run(cat, capture_output=True, text=True, timeout=30, check=True).stdout
    (tmp_path / "ca_crl.pem").write_text(master.sh(f"cat {SSLDIR}/ca/ca_crl.pem"))
    monkeypatch.setattr(command, "HERE", tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(listed))
    source = ["--ca-inventory", "-", "--crl", str(tmp_path / "ca_crl.pem")]
    command.main(["mysite", "--master", master.certname, *source])

    snapshot = json.loads((tmp_path / "mysite.json").read_text())
    agents = {host.certname for host in HOSTS["master"].agents}
    assert agents <= set(snapshot["agents"])
    assert master.certname not in snapshot["agents"]
    left_out = " ".join(f"{left['name']}: {left['why']}" for left in snapshot["left_out"])
    assert "pe-internal-classifier" in left_out and "is revoked" in left_out

    inventory = tmp_path / "mysite.py"
    reached = f"{{{master.certname!r}: lab_host('master')[1]}}"
    inventory.write_text(
        "from inventories.lab_hosts import lab_host\n"
        + inventory.read_text().replace("beside(__file__)", f"beside(__file__, {reached})")
    )
    run = Master("master", inventory).pyinfra(
        "deploys/site.py", "--limit", master.certname, "--dry"
    )
    assert master.ca.fingerprint in run.text, "pyinfra reached it and looked"
