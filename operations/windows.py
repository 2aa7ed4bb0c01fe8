"""The steps on a Windows agent as command lines for cmd.exe, each short, with the waiting here."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial

from pyinfra.api import FunctionCommand, Host, State, StringCommand
from pyinfra.api.command import PyinfraCommand
from pyinfra.connectors.util import CommandOutput

from operations.services import RUN_LIMIT
from operations.signing import Heard, overheard, run_on
from operations.step import ConnectedCommand, step_failed, wait_until
from procedures.outcomes import Outcomes
from procedures.run import run_of
from procedures.telling import reason_of
from procedures.windows import WindowsAgentFacts
from recert.backups import Backup, Manifest
from recert.commandline import line, lines, native, quoted, writing
from recert.foreign import closing, foreign_refusals, taking
from recert.freshness import CredentialPaths
from recert.observed import FileState, Service
from recert.windows import WindowsService

Commands = Generator[PyinfraCommand, None, None]

HANG_LIMIT = 60
"""Seconds after which a service that is still starting or stopping hangs; its process is ended."""

_END_LIMIT = 20
"""Seconds in which a service is stopped once its process was ended."""

_TOLD = ("err", "warn", "exiting", "notice: run of", "notice: skipping run")
"""How the lines of a Puppet run begin that say why it has failed."""


_PARTIAL = ".????????T??????Z-*.partial"
"""Backups that were not finished."""


class WindowsHands:
    """For Windows 2003 and later."""

    def __init__(self, facts: WindowsAgentFacts) -> None:
        self._facts = facts
        self._conf = facts.settings
        self._root = facts.backup_root

    # Backups

    def archive(self, name: str, manifest: Manifest, limit: int) -> Commands:
        facts = self._facts
        new = f"{self._root}/.{name}.partial"
        yield self._take_root(limit)
        yield self._typed(
            f'for /d %d in ({native(f"{self._root}/{_PARTIAL}")}) do @rd /s /q "%d"',
            f"mkdir {native(new)} || exit 1",
            limit=limit,
        )
        yield from _in_time(
            lines(self._copies(facts.ssl.files, _pairs(manifest.paths, new))), limit
        )
        if facts.windows.modern:
            for number, path in enumerate(manifest.paths):
                save = f"icacls {native(path)} /save {native(f'{new}/{number}.acl')} /t /c /q"
                yield self._typed(f"if exist {native(path)} ({save} >nul || exit 1)", limit=limit)
        finished = replace(manifest, archive_sha256=facts.backups.live)
        for typed in writing(f"{new}/manifest.json", finished.to_json()):
            yield _command(typed, limit)
        yield self._typed(
            f"move /y {native(new)} {native(f'{self._root}/{name}')} >nul || exit 1", limit=limit
        )
        facts.forget("backups")

    def unpack(self, backup: Backup, limit: int) -> Commands:
        place = f"{self._root}/{backup.name}"
        paths = backup.manifest.paths
        back = [(held, path) for path, held in _pairs(paths, place)]
        copies = self._copies(self._facts.held_by(place, len(paths)), back)
        for path in paths:
            yield from self._deleted(path, limit)
        yield from _in_time(lines(copies), limit)
        for number, path in enumerate(paths):
            acl, parent = native(f"{place}/{number}.acl"), native(path.rpartition("/")[0])
            put_back = f"icacls {parent} /restore {acl} /c /q >nul || exit 1"
            yield self._typed(f"if exist {acl} ({put_back})", limit=limit)
        self._facts.forget("ssl", "agent", "backups")

    @staticmethod
    def _copies(files: Mapping[str, FileState], pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
        """The commands that copy each directory of `pairs`, of which `files` are the contents, to
        the other one."""
        for source, target in pairs:
            for found, entry in files.items():
                if found != source and not found.startswith(f"{source}/"):
                    continue
                copy = native(target + found.removeprefix(source))
                if entry.kind == "d":
                    yield f"mkdir {copy} || exit 1"
                else:
                    yield f"copy /b /y {native(found)} {copy} >nul || exit 1"

    def _take_root(self, limit: int) -> FunctionCommand:
        """Have the directory of the backups, where only SYSTEM and Administrators see anything."""
        return self._acting(partial(self._taken, limit))

    def _taken(self, limit: int, host: Host) -> None:
        directories = self._facts.windows.made_for(self._root)
        like = f"{self._facts.windows.data}/pe-recert-{uuid.uuid4().hex}"
        ok, output = _type(host, *taking(directories, like), limit=limit)
        if not ok:
            raise _StepError(f"{self._root} cannot be made.", output)
        if refusals := foreign_refusals(output.stdout_lines, directories):
            raise _StepError("\n".join(refusals))
        closed = closing(directories, modern=self._facts.windows.modern)
        ok, output = _type(host, *closed, limit=limit)
        if not ok:
            raise _StepError(f"{self._root} cannot be closed to others.", output)

    # Services

    def stop(self, service: str, limit: int) -> Commands:
        noted = native(f"{self._root}/stopped")
        note = f"(echo {service})>>{noted} || exit 1"
        yield self._take_root(limit)
        yield self._typed(note, limit=limit)
        yield self._acting(partial(self._stop, service))
        self._facts.forget("agent")

    def start(
        self, services: Iterable[str], later: Iterable[str], again: Iterable[str], limit: int
    ) -> Commands:
        for service in again:
            yield self._acting(partial(self._stop_running, service))
        for service in services:
            yield self._acting(partial(self._start, service))
        noted = native(f"{self._root}/stopped")
        if kept := " & ".join(f"(echo {service})" for service in later):
            yield self._typed(f"({kept}) >{noted} || exit 1", limit=limit)
        else:
            yield self._typed(f"if exist {noted} (del /f /q {noted})", limit=limit)

    def _stop(self, service: str, host: Host) -> None:
        known = self._known(service)
        said: CommandOutput | None = None
        if known.state is Service.RUNNING:
            ok, output = _type(host, f"sc stop {quoted(known.name)}")
            said = None if ok else output
        if self._becomes(service, Service.STOPPED, HANG_LIMIT if said is None else 2):
            return
        known = self._known(service)
        if known.state is Service.RUNNING:
            raise _StepError(f"The service {service} goes on after it was told to stop.", said)
        self._end(host, known, f"stopping ({known.word})")
        if not self._becomes(service, Service.STOPPED, _END_LIMIT):
            raise _StepError(
                f"The service {service} is still {self._known(service).word} after its process "
                "was ended.",
                said,
            )

    def _stop_running(self, service: str, host: Host) -> None:
        self._facts.forget("services")
        if self._known(service).state is not Service.STOPPED:
            self._stop(service, host)

    def _start(self, service: str, host: Host) -> None:
        if self._known(service).word == "STOP_PENDING":
            self._stop(service, host)
        for _ in range(2):
            said = None
            if self._known(service).state is Service.STOPPED:
                ok, output = _type(host, f"sc start {quoted(self._known(service).name)}")
                said = None if ok else output
            if self._becomes(service, Service.RUNNING, HANG_LIMIT):
                return
            known = self._known(service)
            if known.state is not Service.PENDING:
                break
            self._end(host, known, f"starting ({known.word})")
            self._becomes(service, Service.STOPPED, _END_LIMIT)
        raise _StepError(
            f"The service {service} is {self._known(service).word} after it was started.", said
        )

    def _end(self, host: Host, known: WindowsService, doing: str) -> None:
        """End the process of a service that hangs, and have the table tell so."""
        what = f"The service {known.name} hung while {doing}"
        if known.pid is None:
            raise _StepError(f"{what}, and has no process that could be ended.")
        if not known.alone:
            raise _StepError(
                f"{what}, and shares process {known.pid} with others, which is not ended."
            )
        ok, output = _type(host, f"taskkill /F /PID {known.pid}")
        if not ok:
            raise _StepError(f"{what}, and process {known.pid} could not be ended.", output)
        run_of(host.state).part(Outcomes).remark(
            host, f"{what} for {HANG_LIMIT} s; its process {known.pid} was ended."
        )

    def _becomes(self, service: str, state: Service, limit: float) -> bool:
        """Whether a service reaches a state in time."""
        until = time.monotonic() + limit
        while True:
            self._facts.forget("services")
            found = self._known(service).state
            if found is state:
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(1)

    def _known(self, service: str) -> WindowsService:
        found = self._facts.managed.get(service)
        if found is None:
            raise _StepError(f"The service {service} is gone.")
        return found

    # Files

    def empty_ssldir(self, stay: Iterable[str], limit: int) -> Commands:
        # Where anything is to stay, the agent was refused.
        for root in self._facts.ssl_roots:
            yield from self._deleted(root, limit)
        self._facts.forget("ssl")

    def remove(self, paths: Iterable[str], limit: int) -> Commands:
        removals = (
            f"(if exist {path} del /f /q /a {path}) & if exist {path} "
            f"(echo Cannot be removed: {path} 1>&2& exit 1)"
            for path in map(native, paths)
        )
        for typed in lines(removals):
            yield _command(typed, limit)

    def place_ca(self, pem: str | None, limit: int) -> Commands:
        conf = self._conf
        for directory in map(native, (conf.ssldir, conf.certdir)):
            yield self._typed(
                f"if not exist {directory} (mkdir {directory} || exit 1)", limit=limit
            )
        new = f"{conf.localcacert}.new"
        for typed in writing(new, pem) if pem is not None else ():
            yield _command(typed, limit)
        yield self._typed(
            f"move /y {native(new)} {native(conf.localcacert)} >nul || exit 1", limit=limit
        )
        self._facts.forget("ssl")

    def _deleted(self, directory: str, limit: int) -> Commands:
        path = native(directory)
        yield self._typed(
            f"if exist {path} rd /s /q {path}",
            f"if exist {path} (echo This could not be removed: {path} 1>&2& exit 1)",
            limit=limit,
        )

    # Puppet

    def ask_for_certificate(
        self,
        own: CredentialPaths,
        signs_itself: bool,
        limit: int,
        heard: Heard,
        attributes: str = "",
        alt_names: tuple[str, ...] = (),
    ) -> Commands:
        # Its exit status says as little as elsewhere. Where the master signs by itself, Puppet
        # goes on to its first run, which ends with the session that has begun it.
        if signs_itself:
            limit = RUN_LIMIT
        either = " else ".join(
            f"if exist {native(path)} (exit 0)"
            for path in (own.private_key, own.request, own.certificate)
        )
        nothing = "echo Puppet has made neither a key nor a request; its messages are above."
        facts = self._facts
        path = facts.attributes_path
        if attributes:
            directory = native(facts.attributes_directory)
            yield self._typed(
                f"if not exist {directory} (mkdir {directory} || exit 1)", limit=limit
            )
            for typed in writing(path, attributes):
                yield _command(typed, limit)
        # In quotes: to cmd.exe a comma and an equals sign end a word.
        names = f" {quoted('--dns_alt_names=' + ','.join(alt_names))}" if alt_names else ""
        asking = self._typed(
            f"call {native(facts.puppet)} agent --test --waitforcert 0 --color=false{names} 2>&1",
            f"{either} else ({nothing} 1>&2& exit 1)",
            limit=limit,
        )
        yield overheard(asking, heard)
        if attributes:
            yield self._typed(f"del /f /q {native(path)}", limit=limit)
        self._facts.forget("ssl", "agent")

    def await_first_run(self, certificate: str, begin: int, limit: int) -> Commands:
        facts = self._facts
        began = time.monotonic()

        def over() -> bool:
            facts.forget("agent", "ssl")
            if facts.agent.running is not None:
                return False
            entry, last_run = facts.ssl.files.get(certificate), facts.agent.last_run
            done = entry is not None and not (last_run is None or last_run.was_before(entry.mtime))
            return done or time.monotonic() - began > begin

        yield wait_until(over, "the agent service's own run to end", limit, poll=2)
        facts.forget("agent", "ssl", "services")

    def run_puppet(self, limit: int) -> Commands:
        yield self._acting(partial(self._run_puppet, limit, []))
        self._facts.forget("agent", "ssl")

    def failure_of_run(self, host: Host, limit: int, options: list[str]) -> list[str]:
        try:
            self._run_puppet(limit, options, host)
        except _StepError as error:
            return error.lines
        return []

    def _run_puppet(self, limit: int, options: list[str], host: Host) -> None:
        facts, lockfile = self._facts, native(self._conf.agent_catalog_run_lockfile)
        log = native(f"{self._root}/run.log")
        # A run's diffs can show what managed files keep secret: the log stays there.
        errors = " ".join(f'/c:"{word}"' for word in _TOLD)
        told = f"(findstr /i /b {errors} {log} & del /f /q {log} & exit 1)"
        puppet = f"call {native(facts.puppet)} agent --test --waitforcert 0 --color=false"
        puppet = " ".join([puppet, *options])
        self._taken(limit, host)
        for _attempt in range(3):
            until = time.monotonic() + limit
            while self._running() and time.monotonic() < until:
                time.sleep(2)
            if not self._running():  # a lock of nobody's keeps Puppet from running
                _type(host, f"if exist {lockfile} del /f /q {lockfile}")
            ok, output = _type(
                host,
                f"{puppet} >{log} 2>&1",
                f"if errorlevel 3 {told}",
                f"if errorlevel 2 (del /f /q {log} & exit 0)",
                f"if errorlevel 1 {told}",
                f"del /f /q {log}",
                limit=limit,
            )
            if ok:
                return
            if not any("already in progress" in text for text in output.output_lines):
                break
        raise _StepError("The Puppet run failed:", output)

    def _running(self) -> bool:
        self._facts.forget("agent")
        return self._facts.agent.running is not None

    # How it is typed

    def _acting(self, act: Callable[[Host], None]) -> FunctionCommand:
        """A command that types several others, as what each has come to demands."""

        def acting(state: State, host: Host) -> bool:
            try:
                act(host)
            except Exception as error:
                # A host that no longer answers fails alone, as one that answers badly.
                why = error.lines if isinstance(error, _StepError) else [reason_of(error)]
                for text in why:
                    host.log(text)
                run_of(state).part(Outcomes).reason(host, why)
                return False
            return True

        return FunctionCommand(acting, (), {})

    def _typed(self, *parts: str, limit: int) -> StringCommand:
        return _command(line(*parts), limit)


class _StepError(Exception):
    """A step that cannot be completed, and what the host has said."""

    def __init__(self, what: str, output: CommandOutput | None = None) -> None:
        super().__init__(what)
        said = [] if output is None else [text.strip() for text in output.output_lines]
        self.lines = [what, *(text for text in said if text)][:20]


def _command(typed: str, limit: int) -> StringCommand:
    command = ConnectedCommand(typed)
    if limit is not None:
        command.connector_arguments["_timeout"] = limit
    return command


def _in_time(typed: Iterable[str], limit: int) -> Commands:
    """Type these lines, all of them within `limit`: how many there are is what the host says."""
    end = time.monotonic() + limit
    for one in typed:
        left = int(end - time.monotonic())
        if left <= 0:
            yield step_failed([f"Its files were not copied within {limit} s."])
            return
        yield _command(one, left)


def _type(host: Host, *parts: str, limit: int = 240) -> tuple[bool, CommandOutput]:
    """Type one line and give back what it printed."""
    return run_on(host, _command(line(*parts), limit))


def _pairs(paths: Iterable[str], backup: str) -> list[tuple[str, str]]:
    """Each path with where a backup holds it."""
    return [(path, f"{backup}/files/{number}") for number, path in enumerate(paths)]
