"""Puts together what is known of each running Asterisk, or of the one that would be started."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from astbtd.asterisk import asterisk_processes, console
from astbtd.errors import AstbtdError
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.extraction.script_report import built_with
from astbtd.lib import subprocesses
from astbtd.readiness.facts import (
    STOPPED,
    Console,
    Directory,
    Family,
    Instance,
    Kernel,
    MappedObject,
    Process,
    Program,
    Role,
    Unit,
)
from astbtd.readiness.gather import process_facts, program_files, unit_properties
from astbtd.readiness.gather.core_directory import core_directory
from astbtd.readiness.gather.mapped_objects import executable, mapped_objects
from astbtd.readiness.gather.timeout import SECONDS, known
from astbtd.readiness.result import Unknown
from astbtd.settings import AsteriskSettings

_UNITS = ("asterisk.service", "freepbx.service")
_CONTAINED = Unknown("it runs in a container, whose files are not looked into")
_QUESTION = "core show settings"
_TRUE = ("yes", "true", "y", "t", "1", "on")  # ast_true() in Asterisk's main/utils.c


@dataclass(frozen=True)
class InstanceInspector:
    """What looking at an Asterisk takes: `reader` is whom gdb runs as, `watched` are the configured directories."""

    settings: AsteriskSettings
    kernel: Kernel | Unknown
    family: Family
    reader: SandboxUser
    watched: tuple[str, ...]

    def running(self, pid: int) -> Instance:
        """A running Asterisk."""
        seen = known(f"process {pid}", lambda: process_facts.process(pid))
        if isinstance(seen, Unknown):
            return self.stopped()
        if known("its root directory", lambda: process_facts.runs_in_a_container(pid)) is True:
            return self._contained(seen)
        unit = self._unit_of(pid)
        configuration = asterisk_processes.options(seen.command).get("-C", self.settings.configuration)
        objects = known("what it has loaded", lambda: mapped_objects(pid, seen.started, self.reader))
        return Instance(
            process=seen,
            manager=process_facts.manager(pid, unit.name if unit else None),
            unit=unit,
            configuration=configuration,
            configured_dumpcore=_dumpcore(configuration),
            console=self._console(pid, configuration),
            directory=self._directory(pid),
            program=self._program(_executable(seen), objects),
            objects=objects,
        )

    def _contained(self, seen: Process) -> Instance:
        """A running one in a container: what our own files say is not of it."""
        return Instance(
            process=seen,
            manager=process_facts.manager(seen.pid, None),
            unit=None,
            configuration=self.settings.configuration,
            configured_dumpcore=_CONTAINED,
            console=_CONTAINED,
            directory=self._directory(seen.pid),
            program=_CONTAINED,
            objects=_CONTAINED,
        )

    def stopped(self) -> Instance:
        """The Asterisk that would be started: by its unit, else from the usual directories."""
        unit = unit_properties.first_loaded(*_UNITS)
        configuration = self.settings.configuration
        return Instance(
            process=STOPPED,
            manager=None,
            unit=unit,
            configuration=configuration,
            configured_dumpcore=_dumpcore(configuration),
            console=STOPPED,
            directory=STOPPED,
            program=self._program(self._installed(unit), STOPPED),
            objects=STOPPED,
        )

    def _unit_of(self, pid: int) -> Unit | None:
        """The unit that starts it; not cron's or a shell server's, out of which somebody has started it by hand."""
        name = known("its unit", lambda: process_facts.unit_of(pid))
        unit = unit_properties.first_loaded(name) if isinstance(name, str) else None
        starters = ("asterisk", "fwconsole", *self.settings.executables)
        return unit if unit and any(word in unit["ExecStart"] for word in starters) else None

    def _directory(self, pid: int) -> Directory | Unknown | None:
        kernel = self.kernel
        if isinstance(kernel, Unknown):
            return kernel
        return known("its working directory", lambda: core_directory(pid, kernel, self.watched))

    def _program(self, path: str | None, objects: tuple[MappedObject, ...] | Unknown) -> Program | Unknown:
        if path is None:
            return Unknown("no executable of Asterisk was found", "name it in asterisk.executables in /etc/astbtd.yaml")
        modules = [] if isinstance(objects, Unknown) else [each.path for each in objects if each.role is Role.ASTERISK]
        return known(f"the executable {path}", lambda: program_files.program(path, modules, self.family, self.reader))

    def _installed(self, unit: Unit | None) -> str | None:
        word = os.fsdecode(unit.command[0]) if unit and unit.command else ""
        if os.path.basename(word) in self.settings.executables:
            return word
        found = (shutil.which(name, path=subprocesses.ENVIRONMENT["PATH"]) for name in self.settings.executables)
        return next((path for path in found if path), None)

    def _console(self, pid: int, configuration: str) -> Console | Unknown:
        directory = self.settings.run_directory or asterisk_processes.run_directory(Path(configuration))
        path = os.path.join(directory, console.CONTROL_SOCKET)
        return known("Asterisk's console", lambda: told_by(console.ask(path, pid, _QUESTION, SECONDS / 2)))


def told_by(text: str) -> Console:
    """What the answer to `core show settings` says. Raises AstbtdError where it is none."""
    values = dict(re.findall(r"^\s*(\S[^:\n]*):[ \t]+(.*\S)", text, re.MULTILINE))
    if "Version" not in values:
        raise AstbtdError(f"it does not answer to {_QUESTION}")
    dumpcore = values.get("Dump core on crash")
    built = built_with(
        values["Version"],
        values.get("All Build Options"),
        values.get("ABI related Build Options", values.get("Build Options")),
    )
    return Console(None if dumpcore is None else dumpcore == "Yes", built)


def _executable(seen: Process) -> str | None:
    """The path of its program; where only root may read that, the one it was started by."""
    path = known("its executable", lambda: executable(seen.pid))
    if not isinstance(path, Unknown):
        return path
    word = os.fsdecode(seen.command[0])
    return word if word.startswith("/") else shutil.which(word, path=subprocesses.ENVIRONMENT["PATH"])


def _dumpcore(configuration: str) -> bool | Unknown:
    def configured() -> bool:
        try:
            value = asterisk_processes.setting(Path(configuration), "options", "dumpcore")
        except FileNotFoundError:
            return False
        return value is not None and value.lower() in _TRUE

    return known(configuration, configured)
