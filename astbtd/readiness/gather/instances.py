"""Gathers the facts about each running Asterisk, or about the one that would be started."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from astbtd.asterisk import asterisk_processes, console
from astbtd.errors import AstbtdError
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.extraction.script_report import parse_build
from astbtd.lib import subprocesses
from astbtd.readiness.facts import STOPPED, Console, Directory, Family, Instance, Kernel, Process, Unit
from astbtd.readiness.gather import process_facts, program_files, systemd_config
from astbtd.readiness.gather.core_directory import inspect_core_directory
from astbtd.readiness.gather.mapped_objects import read_executable_path, read_mapped_objects
from astbtd.readiness.gather.timeout import SECONDS, ask
from astbtd.readiness.gather.unit_programs import find_other_programs
from astbtd.readiness.program_facts import MappedObject, ObjectRole, Program
from astbtd.readiness.result import Unknown
from astbtd.settings import AsteriskSettings

_UNITS = ("asterisk.service", "freepbx.service")
_CONTAINED = Unknown("it runs in a container, whose files are not inspected")
_COMMAND = "core show settings"
_TRUE_VALUES = ("yes", "true", "y", "t", "1", "on")  # ast_true() in Asterisk's main/utils.c


@dataclass(frozen=True)
class InstanceInspector:
    """Inspects Asterisk processes. `gdb_user` is the user that gdb runs as, `watched` the configured directories."""

    settings: AsteriskSettings
    kernel: Kernel | Unknown
    family: Family
    gdb_user: SandboxUser
    watched: tuple[str, ...]

    def inspect_running(self, pid: int) -> Instance:
        """Return the facts about a running Asterisk."""
        process = ask(f"process {pid}", lambda: process_facts.read_process(pid))
        if isinstance(process, Unknown):
            return self.inspect_stopped()
        if ask("its root directory", lambda: process_facts.runs_in_container(pid)) is True:
            return self._inspect_contained(process)
        unit = self._find_unit(pid)
        options = asterisk_processes.parse_options(process.command)
        configuration = options.get("-C", self.settings.configuration)
        objects = ask("what it has loaded", lambda: read_mapped_objects(pid, process.started, self.gdb_user))
        return Instance(
            process=process,
            manager=process_facts.find_starter(pid, unit.name if unit else None),
            unit=unit,
            configuration=configuration,
            configured_dumpcore=_ask_dumpcore(configuration),
            console=self._ask_console(pid, configuration),
            directory=self._ask_directory(pid),
            program=self._ask_program(_find_executable(process), objects),
            objects=objects,
            other_programs=self._ask_other_programs(pid) if unit else (),
        )

    def _inspect_contained(self, process: Process) -> Instance:
        """Return the facts about an Asterisk in a container. The files of the host say nothing about it."""
        return Instance(
            process=process,
            manager=process_facts.find_starter(process.pid, None),
            unit=None,
            configuration=self.settings.configuration,
            configured_dumpcore=_CONTAINED,
            console=_CONTAINED,
            directory=self._ask_directory(process.pid),
            program=_CONTAINED,
            objects=_CONTAINED,
        )

    def inspect_stopped(self) -> Instance:
        """Return the facts about the Asterisk that would be started: by its unit, or from the usual directories."""
        unit = systemd_config.find_loaded_unit(*_UNITS)
        configuration = self.settings.configuration
        return Instance(
            process=STOPPED,
            manager=None,
            unit=unit,
            configuration=configuration,
            configured_dumpcore=_ask_dumpcore(configuration),
            console=STOPPED,
            directory=STOPPED,
            program=self._ask_program(self._find_installed(unit), STOPPED),
            objects=STOPPED,
        )

    def _find_unit(self, pid: int) -> Unit | None:
        """Return the unit that starts Asterisk.

        If somebody started it by hand from a shell or from cron, it runs in their unit, which does not count.
        """
        name = ask("its unit", lambda: process_facts.read_unit_name(pid))
        if not isinstance(name, str):
            return None
        unit = systemd_config.find_loaded_unit(name)
        if unit is None:
            return None
        starters = ("asterisk", "fwconsole", *self.settings.executables)
        return unit if any(word in unit["ExecStart"] for word in starters) else None

    def _ask_directory(self, pid: int) -> Directory | Unknown | None:
        kernel = self.kernel
        if isinstance(kernel, Unknown):
            return kernel
        return ask("its working directory", lambda: inspect_core_directory(pid, kernel, self.watched))

    def _ask_other_programs(self, pid: int) -> tuple[str, ...] | Unknown:
        kernel = self.kernel
        if isinstance(kernel, Unknown):
            return kernel
        return ask("its working directory", lambda: find_other_programs(pid, kernel.pattern))

    def _ask_program(self, path: str | None, objects: tuple[MappedObject, ...] | Unknown) -> Program | Unknown:
        if path is None:
            return Unknown("no executable of Asterisk found", "name it in asterisk.executables in /etc/astbtd.yaml")
        modules: list[str] = []
        if not isinstance(objects, Unknown):
            modules = [mapped.path for mapped in objects if mapped.role is ObjectRole.ASTERISK]
        return ask(
            f"the executable {path}",
            lambda: program_files.inspect_program(path, modules, self.family, self.gdb_user),
        )

    def _find_installed(self, unit: Unit | None) -> str | None:
        """Return the path of the executable that the unit starts, or else the first one in PATH."""
        if unit and unit.command:
            path = os.fsdecode(unit.command[0])
            if os.path.basename(path) in self.settings.executables:
                return path
        for name in self.settings.executables:
            found = shutil.which(name, path=subprocesses.ENVIRONMENT["PATH"])
            if found:
                return found
        return None

    def _ask_console(self, pid: int, configuration: str) -> Console | Unknown:
        directory = self.settings.run_directory or asterisk_processes.read_run_directory(Path(configuration))
        path = os.path.join(directory, console.CONTROL_SOCKET)
        return ask("Asterisk's console", lambda: parse_core_settings(console.ask(path, pid, _COMMAND, SECONDS / 2)))


def parse_core_settings(text: str) -> Console:
    """Parse the output of `core show settings`. Raise AstbtdError if it is something else."""
    values = dict(re.findall(r"^\s*(\S[^:\n]*):[ \t]+(.*\S)", text, re.MULTILINE))
    if "Version" not in values:
        raise AstbtdError(f"no valid answer to `{_COMMAND}`")
    dumpcore = values.get("Dump core on crash")
    built = parse_build(
        values["Version"],
        values.get("All Build Options"),
        values.get("ABI related Build Options", values.get("Build Options")),
    )
    return Console(None if dumpcore is None else dumpcore == "Yes", built)


def _find_executable(process: Process) -> str | None:
    """Return the path of the executable; if only root may read it, the one on the command line."""
    path = ask("its executable", lambda: read_executable_path(process.pid))
    if not isinstance(path, Unknown):
        return path
    word = os.fsdecode(process.command[0])
    if word.startswith("/"):
        return word
    return shutil.which(word, path=subprocesses.ENVIRONMENT["PATH"])


def _ask_dumpcore(configuration: str) -> bool | Unknown:
    """Return whether asterisk.conf enables dumpcore."""

    def is_enabled() -> bool:
        try:
            value = asterisk_processes.read_setting(Path(configuration), "options", "dumpcore")
        except FileNotFoundError:
            return False
        return value is not None and value.lower() in _TRUE_VALUES

    return ask(configuration, is_enabled)
