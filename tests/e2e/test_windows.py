"""Windows agents beside Linux ones: the same run and the same table, out of what a real cmd.exe, a
real service manager and a real Puppet make of it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import lab
from facts.script import read_records
from facts.windows.ruby import ruby_script
from recert.certificates import read_certificate
from recert.commandline import line, native, writing
from tests.e2e.nodes import assert_killed_in_each_step, assert_renewed, reported, statuses, why
from tests.e2e.site import BACKUPS, Run, assert_regenerated
from tests.e2e.windows import (
    DATA,
    MixedSite,
    assert_accepted,
    assert_windows_renewed,
)

ALL = ("@winrm/win01", "agent01", "win03")
PROVED_ON_AGENTS = {
    "Nothing belongs to the retired CA",
    "Keys, certificates and copies are as they have to be",
    "Services run",
    "A Puppet run succeeds",
    "The CA knows its nodes, and has revoked none of them",
    "Nothing else is wrong",
}
WINDOWS = ("--exclude", "agent01")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> MixedSite:
    """A master, a Linux agent and two Windows agents, as seeded."""
    lab.up(["master", "agent01", "win01", "win03"])
    site = MixedSite.mixed(tmp_path_factory.mktemp("inventories"))
    site.reset()
    site.remember_windows()
    return site


@pytest.fixture(scope="module")
def retired(mixed: MixedSite) -> str:
    """The CA that has been retired on the master, and not yet on the agents."""
    fingerprint = mixed.ca.fingerprint
    run = mixed.regenerate(fingerprint)
    assert run.status == 0, run.stderr
    return fingerprint


@pytest.fixture
def site(mixed: MixedSite, retired: str) -> Iterator[MixedSite]:
    mixed.set_windows_back()
    yield mixed
    for name in mixed.windows:
        mixed.on(name, "rm -f /C:/pe-lab/*.hangs-*")


def test_a_mixed_site_goes_to_its_new_ca_and_back(mixed: MixedSite) -> None:
    retired = mixed.ca.fingerprint
    before = {name: mixed.windows_state(name) for name in mixed.windows}
    old = {name: mixed.certificate_on(name) for name in mixed.windows}
    options = ("deploys/site.py", "--json", "--data", f"retire_ca={retired}")

    preview = mixed.pyinfra(*options, "--dry", "--diff")
    assert {name: mixed.windows_state(name) for name in mixed.windows} == before
    run = mixed.whole(retired)

    assert run.status == 0, run.stderr
    assert run.changes == preview.plan
    # The proof, at the end, is no change.
    assert [hosts for hosts in preview.plan.values() if hosts][-10:] == [list(ALL)] * 10
    assert f"- fingerprint: {old['win03'].fingerprint}" in preview.text
    assert "PRIVATE KEY" not in preview.text + run.text
    assert statuses(run) == dict.fromkeys(ALL, "renewed")
    proof = reported(run)
    assert proof["summary"]["well"] is True
    assert {c["about"] for c in on_windows(proof["checks"])} == PROVED_ON_AGENTS
    assert {c["result"] for c in on_windows(proof["checks"])} == {"passed"}
    for moment, fingerprint in (("before", retired), ("now", mixed.ca.fingerprint)):
        hosts = on_windows(proof[moment]["hosts"])
        assert {host["trusts"] for host in hosts} == {fingerprint}
        assert {host["fingerprint"] for host in hosts} == {
            (old[n] if moment == "before" else mixed.certificate_on(n)).fingerprint
            for n in mixed.windows
        }
    assert_regenerated(mixed, retired)
    assert_renewed(mixed)
    for name in mixed.windows:
        assert_windows_renewed(mixed, name)
        root = shlex.quote(mixed.backups_on(name))
        manifest = json.loads(mixed.on(name, f"cat {root}/*/manifest.json"))
        assert manifest["ca_fingerprint"] == retired
        kept = mixed.on(name, f"cat {root}/*/files/0/certs/{mixed.certname_of(name)}.pem")
        assert read_certificate(kept) == old[name]
    protected = mixed.on("win01", "cat /C:/pe-lab/icacls.log")
    assert (
        "/reset" in protected
        and "/inheritance:r" in protected
        and "*S-1-5-18:(OI)(CI)F" in protected
    )
    again = mixed.whole(retired)
    assert (again.status, again.changed) == (0, [])

    name = sorted(mixed.sh(f"ls {BACKUPS}").split())[0]
    back = ("deploys/restore.py", "--json", "--data", f"backup={name}")
    spare = shlex.quote(f"{mixed.etc('win01')}/ssl/somebody's key.pem")
    mixed.on("win01", f"ruby -ropenssl -e 'puts OpenSSL::PKey::RSA.new(2048).to_pem' >{spare}")
    refused = mixed.pyinfra(*back, "--dry")
    said = "ssl/somebody's key.pem is a key or certificate of somebody else's that came"
    assert refused.status == 1 and said in refused.stderr
    mixed.on("win01", f"rm {spare}")

    planned = mixed.pyinfra(*back, "--dry")
    restored = mixed.pyinfra(*back, "-y")

    assert restored.status == 0, restored.stderr
    assert restored.changes == planned.plan
    assert statuses(restored) == dict.fromkeys(ALL, "restored")
    assert mixed.ca.fingerprint == retired
    for name in mixed.windows:
        assert mixed.certificate_on(name) == old[name]
        assert mixed.services_on(name) == ("pe-puppet", "pe-mcollective")
        assert_accepted(mixed, name)


def on_windows(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of a report's entries that are about a Windows host; there is one of each at least."""
    found = [entry for entry in entries if entry["host"] in ("@winrm/win01", "win03")]
    assert {entry["host"] for entry in found} == {"@winrm/win01", "win03"}
    return found


def failures(run: Run) -> list[str]:
    """What a verification has found, by host."""
    checks = reported(run)["checks"]
    return [f"{c['host']}: {c['saw']} -> {c['remedy']}" for c in checks if c["result"] == "failed"]


def test_what_is_broken_on_windows_is_found_and_named(site: MixedSite, retired: str) -> None:
    # Below what is searched: the old certificates in the backups are no finding.
    backups = "C:/ProgramData/PuppetLabs/backups"
    options = (*WINDOWS, "--json", "--data", f"windows_backup_dir={backups}")
    named = (*options, "--data", f"retire_ca={retired}")

    def verify(how: str) -> Run:
        return site.pyinfra("deploys/verify.py", "-y", *named, "--data", f"puppet_run={how}")

    before = {name: site.windows_state(name) for name in site.windows}
    surveyed = reported(site.pyinfra("deploys/survey.py", "--dry", *options))
    assert {name: site.windows_state(name) for name in site.windows} == before
    for host in on_windows(surveyed["now"]["hosts"]):
        name = host["host"].removeprefix("@winrm/")
        assert host["certname"] == site.certname_of(name)
        assert host["fingerprint"] == site.certificate_on(name).fingerprint
        assert (host["trusts"], host["in_inventory"], host["well"]) == (retired, False, False)
        assert abs(host["clock_skew"]) < 10
        assert host["last_run_succeeded"] is True
        assert [s["state"] for s in host["services"]] == ["running", "running"]

    assert site.renew(retired, *named).status == 0
    began = int(site.sh("date +%s"))
    well = verify("real")
    assert well.status == 0, well.stderr
    assert well.changed == []
    assert {c["result"] for c in on_windows(reported(well)["checks"])} == {"passed"}
    for name in site.windows:
        summary = shlex.quote(f"{DATA[name]}/PuppetLabs/puppet/var/state/last_run_summary.yaml")
        assert int(site.on(name, f"stat -c %Y {summary}")) >= began, "Puppet has not run"

    labs, old = f"{DATA['win01']}/PuppetLabs", f"/{backups}/*/files/0"
    certname = site.certname_of("win01")
    state = "puppet/var/state"
    site.on(
        "win01",
        f"cd {labs} && mkdir -p 'mcollective/etc/R & D' &&"
        f" sed 's/$/\\r/' {old}/certs/{certname}.pem >'mcollective/etc/R & D/SPARE.CER' &&"
        f" sed '/-----/d' {old}/certs/{certname}.pem | base64 -d >mcollective/etc/spare.der &&"
        f" cat {old}/private_keys/{certname}.pem >puppet/etc/ssl/private_keys/{certname}.pem &&"
        f" cp {old}/private_keys/{certname}.pem puppet/var/spare.key && : >puppet/etc/broker.jks"
        f""" && printf '{{"disabled_message":"on purpose"}}' >{state}/agent_disabled.lock""",
    )
    trusted = shlex.quote(f"{site.etc('win03')}/ssl/certs/ca.pem")
    site.on("win03", f"cp {trusted} /root/ca.pem; cat /{backups}/*/files/0/certs/ca.pem >{trusted}")
    site.typed("win03", "net stop pe-mcollective")

    run = verify("noop")

    site.on("win01", f"rm -rf {labs}/mcollective/etc/R* {labs}/{state}/agent_disabled.lock")
    assert run.status == 1
    found, shown = failures(run), " ".join(run.stderr.split())
    ca = "puppet/etc/ssl/certs/ca.pem"
    data = DATA["win03"].removeprefix("/")
    for blamed, *words in (
        ("@winrm/win01", f"R & D/SPARE.CER holds {certname} (0x000", "of the retired CA"),
        ("@winrm/win01", f"etc/spare.der holds {certname} (0x000", "of the retired CA"),
        ("@winrm/win01", f"private_keys/{certname}.pem does not belong to the certificate"),
        ("@winrm/win01", f"private_keys/{certname}.pem is a private key from before the CA"),
        ("@winrm/win01", "var/spare.key is a private key from before the CA was retired"),
        ("@winrm/win01", "disabled"),
        ("win03", "pe-mcollective does not run", "net start pe-mcollective"),
        ("win03", f"{data}/PuppetLabs/{ca} is not the certificate of the master's CA"),
        ("win03", f"{ca} holds Puppet CA: master.lab.test (0x0001) of the retired CA"),
        ("win03", "certificate verify failed"),
    ):
        matching = [text for text in found if text.startswith(f"{blamed}: ")]
        matching = [text for text in matching if all(word in text for word in words)]
        assert len(matching) == 1, (words, found)
        found.remove(matching[0])
        assert words[0] in shown
    assert found == []
    checks = on_windows(reported(run)["checks"])
    (not_made,) = [c["saw"] for c in checks if c["result"] == "not made"]
    assert not_made.endswith("keytool to read C:/ProgramData/PuppetLabs/puppet/etc/broker.jks")
    assert "PRIVATE KEY" not in run.text + json.dumps(reported(run))
    site.on("win01", f"rm -rf /{backups}")
    site.on("win03", f"rm -rf /{backups}")


def test_services_that_hang_and_paths_that_need_quoting(site: MixedSite, retired: str) -> None:
    odd = "/C:/R&D 100% (ä) ^PATH! %OS%/ssl"
    etc, moved = shlex.quote(site.etc("win01")), shlex.quote(odd)
    site.on(
        "win01",
        f"mkdir -p {shlex.quote(odd.rpartition('/')[0])}; rm -rf {moved}; mv {etc}/ssl {moved};"
        f" printf '[main]\\r\\nssldir = %s\\r\\n' {moved} >>{etc}/puppet.conf;"
        " : >/C:/pe-lab/pe-mcollective.hangs-stopping",
    )
    site.on("win03", ": >/C:/pe-lab/pe-mcollective.hangs-starting")
    hanging = site.typed("win01", "sc queryex pe-mcollective")
    backups = "C:/Back & up 50% ^ %TEMP%/ö"
    options = ("--config", "tests/e2e/hangs_soon.py", "--data", f"windows_backup_dir={backups}")

    preview = site.preview_renewal(retired, *WINDOWS, *options)
    run = site.renew(retired, *WINDOWS, *options)

    assert statuses(run)["@winrm/win01"] == "renewed", run.stderr
    done, planned = (
        [step for step, hosts in steps.items() if "@winrm/win01" in hosts]
        for steps in (run.changes, preview.plan)
    )
    assert done == planned
    assert_windows_renewed(site, "win01", odd)
    held = site.on("win01", f"ls {shlex.quote('/' + backups)}/*/files/0/private_keys")
    assert held.split() == ["win01.lab.test.pem"]
    (pid,) = re.findall(r"PID\s*:\s*(\d+)", hanging)
    assert f"pe-mcollective hung while stopping (STOP_PENDING) for 5 s; its process {pid}" in (
        why(run, "@winrm/win01")
    )
    assert "hung while stopping" in run.stderr.replace("\n", "")
    # It hangs however often it is started.
    assert statuses(run)["win03"] == "failed"
    assert "hung while starting (START_PENDING)" in why(run, "win03")
    assert why(run, "win03").startswith("6.7 Prove")
    site.on("win03", "rm /C:/pe-lab/pe-mcollective.hangs-starting")
    rest = site.renew(retired, *WINDOWS, *options)
    assert rest.status == 0, rest.stderr
    assert statuses(rest) == {"@winrm/win01": "already fresh", "win03": "renewed"}
    assert_windows_renewed(site, "win03")
    site.on("win01", f"rm -rf {shlex.quote(odd.rpartition('/')[0])}")


def test_who_may_not_change_a_host_changes_nothing(site: MixedSite, retired: str) -> None:
    before = {name: site.windows_state(name) for name in site.windows}
    wrong = site.connected_as({"winrm_password": "gl4ss-h4mmer"}, {"ssh_user": "operator"})

    run = wrong.renew(retired, *WINDOWS)

    assert run.status == 1
    assert statuses(run) == {"@winrm/win01": "unreachable", "win03": "failed"}
    assert "no Administrator rights" in why(run, "win03")
    assert "before the first change" in why(run, "win03")
    assert "gl4ss" not in run.text + json.dumps(reported(run))
    assert {name: site.windows_state(name) for name in site.windows} == before

    # Nor is a key deleted that no CA of the site's has certified.
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    spare = f"{site.etc('win03')}/ssl/shop.key"
    site.on("win03", f"printf '%s' '{pem.decode()}' >{shlex.quote(spare)}")
    refused = site.preview_renewal(retired, "--limit", "win03")
    assert refused.status == 1
    said = " ".join(refused.stderr.split())
    assert f"{spare[1:]} is a key or certificate of somebody else's" in said
    site.on("win03", f"rm {shlex.quote(spare)}")

    # Whoever has made the place of the backups could open it again, whatever its list says.
    made = shlex.quote(f"{DATA['win03']}/pe-recert")
    site.on("win03", f"mkdir {made} && chown nobody {made} && chmod 777 {made}")
    foreign = site.renew(retired, "--limit", "win03")
    site.on("win03", f"rm -r {made}")
    assert statuses(foreign) == {"win03": "failed"}
    assert why(foreign, "win03").startswith("6.1 Back up")
    assert "pe-recert belongs to" in why(foreign, "win03")
    assert site.windows_state("win03") == before["win03"]

    lab.switch_off("win01")
    try:
        rest = site.renew(retired, *WINDOWS)
    finally:
        lab.switch_on("win01")
    assert rest.status == 1
    assert statuses(rest) == {"@winrm/win01": "unreachable", "win03": "renewed"}

    # A single certificate only, of a CA that stays.
    renewed, only = site.certificate_on("win03"), ("--limit", "win03")
    unnamed = site.pyinfra("deploys/replace.py", "-y", *only)
    assert unnamed.status == 1
    assert f"retire_certs={renewed.fingerprint}" in unnamed.stderr.replace("\n", "")
    preview = site.preview_replacement(renewed.fingerprint, *only)
    replaced = site.replace(renewed.fingerprint, *only)
    assert replaced.status == 0, replaced.stderr
    assert replaced.changes == preview.plan
    assert site.certificate_on("win03").key != renewed.key
    assert_windows_renewed(site, "win03")


def test_windows_agents_killed_after_each_operation_and_run_again(
    site: MixedSite, retired: str
) -> None:
    assert_killed_in_each_step(site, retired, *WINDOWS)
    for name in site.windows:
        assert_windows_renewed(site, name)


def test_what_is_typed_comes_out_of_a_real_cmd(mixed: MixedSite) -> None:
    place = "C:/a b & c^ (x) %PATH% 100% é ä' =;,!OS!{}[]+`~@#$"
    text = '{"x": "a&b|c<d>e^f (g) %OS% 100% !OS!",\n  "long": "' + "z" * 5000 + '"\n}'
    text += "\n-----BEGIN CERTIFICATE-----\n" + ("MIIB+/=" * 9 + "\n") * 200

    mixed.typed("win03", line(f"mkdir {native(place)}"))
    for typed in writing(f"{place}/f.txt", text):
        assert not mixed.typed("win03", typed)

    found = mixed.on("win03", f"cat {shlex.quote('/' + place)}/f.txt")
    assert found.replace("\r\n", "\n") == text
    copied = f"copy /b /y {native(place + '/f.txt')} {native(place + '/%TEMP%.txt')} >nul"
    mixed.typed("win03", line(copied, f"del /f /q /a {native(place + '/f.txt')}"))
    assert mixed.on("win03", f"ls {shlex.quote('/' + place)}").splitlines() == ["%TEMP%.txt"]
    mixed.typed("win03", line(f"rd /s /q {native(place)}"))
    assert "a b & c" not in mixed.on("win03", "ls /C:/")


def test_of_a_file_with_a_key_only_the_certificate_leaves_the_host(mixed: MixedSite) -> None:
    for name in mixed.windows:
        certname, ssl = mixed.certname_of(name), shlex.quote(f"{mixed.etc(name)}/ssl")
        pem, key = f"{ssl}/certs/{certname}.pem", f"{ssl}/private_keys/{certname}.pem"
        mixed.on(name, f"cat {key} {pem} {key} >/C:/both.pem")
        ruby = mixed.on(name, "find /C:/Program* -name ruby.exe").strip().removeprefix("/")
        asked = ruby_script(ruby, "say 'text', text(ARGUMENTS[0])", "C:/both.pem")

        said = mixed.typed(name, asked.get_raw_value())

        ((_, text),) = read_records([told.rstrip("\r") for told in said.splitlines()])
        assert read_certificate(text) == mixed.certificate_on(name)
        assert not set(text.splitlines()) & set(mixed.on(name, f"cat {key}").splitlines())
        mixed.on(name, "rm /C:/both.pem")
