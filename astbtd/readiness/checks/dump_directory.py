"""Checks where the kernel writes the core, whether Asterisk can write there, and whether astbtd finds it there."""

import posixpath
import re
import shlex
import stat
from collections.abc import Callable

from astbtd.readiness.facts import (
    Credentials,
    Directory,
    DirectoryProblem,
    ExistingFile,
    Instance,
    Kernel,
    Process,
    Unit,
    is_below,
)
from astbtd.readiness.remedies import (
    CORES_IN_ONE_DIRECTORY,
    CORES_IN_WORKING_DIRECTORY,
    CORES_WITH_PID,
    set_in_unit,
)
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning
from astbtd.sources.core_pattern import Kind

_HOME_OF_ASTERISK = "/var/lib/asterisk"
_SHARED_DIRECTORY = "/var/cores"
_HOMES = ("/home", "/opt", "/srv", "/var/cache", "/var/lib", "/var/log", "/var/spool")
"""Directories in which each program has a directory of its own."""

_SHARE_WITH_HOST = (
    "use a directory that the container shares with the host, and add its path on the host to watch.directories "
    "in /etc/astbtd.yaml"
)
_DISTINGUISHING = "pPiIeEf"  # pid and thread id, inside the container and outside; name of the thread, of the program
_DAC_OVERRIDE, _FOWNER = 1, 3  # capability numbers, linux/capability.h


def check_core_pattern(kernel: Kernel | Unknown) -> Check:
    """Check that core_pattern leads to a directory that astbtd watches, and that its helper can be executed."""
    if isinstance(kernel, Unknown):
        return unknown(Name.CORE_PATTERN, kernel)
    pattern = kernel.pattern
    if kernel.unwatched_reason:
        return failed(Name.CORE_PATTERN, kernel.unwatched_reason, CORES_IN_WORKING_DIRECTORY)
    if kernel.helper_runs is False:
        found = f"{pattern.text!r} names a program that cannot be executed: cores are lost"
        return failed(Name.CORE_PATTERN, found, CORES_IN_WORKING_DIRECTORY)
    return ok(Name.CORE_PATTERN, f"{pattern.text!r}: {pattern.kind.value}")


def check_core_uses_pid(kernel: Kernel | Unknown, astbtd: Unit | Unknown) -> Check:
    """Check whether the next core overwrites the previous one."""
    if isinstance(kernel, Unknown):
        return unknown(Name.CORE_USES_PID, kernel)
    pattern = kernel.pattern
    if pattern.kind in (Kind.PIPE, Kind.SOCKET):
        return ok(Name.CORE_USES_PID, "not needed: the kernel does not name the cores")
    if kernel.uses_pid or "%p" in pattern.text.replace("%%", ""):
        return ok(Name.CORE_USES_PID, "each core has a unique name")
    if isinstance(astbtd, Unit) and astbtd.is_active:
        return ok(Name.CORE_USES_PID, "0: the next core overwrites the last one, but astbtd claims it before")
    found = "0: the next core overwrites the last one, and astbtd.service is not running to claim it before"
    return warning(Name.CORE_USES_PID, found, "sysctl -w kernel.core_uses_pid=1")


def check_core_name(instance: Instance, kernel: Kernel | Unknown) -> Check | None:
    """Check that no other program of the unit gives its core the name of Asterisk's; return None if there is no unit.

    `systemctl kill` and the service manager's watchdog signal all processes of a unit, astcanary among them.
    """
    unit, others = instance.unit, instance.other_programs
    if unit is None:
        return None
    if isinstance(kernel, Unknown):
        return unknown(Name.CORE_NAME, kernel)
    if kernel.pattern.kind in (Kind.PIPE, Kind.SOCKET):
        return ok(Name.CORE_NAME, "not needed: the kernel does not name the cores")
    if kernel.uses_pid or _names_process(kernel.pattern.text):
        return ok(Name.CORE_NAME, "contains the process or the program")
    if isinstance(others, Unknown):
        return unknown(Name.CORE_NAME, others)
    if not others:
        return ok(Name.CORE_NAME, f"no other program of {unit.name} dumps core there")
    found = (
        f"{', '.join(others)} of {unit.name} would give a core the same name, {kernel.pattern.text!r}: if they die "
        "together, as with systemctl kill, one core replaces the other"
    )
    return warning(Name.CORE_NAME, found, CORES_WITH_PID)


def _names_process(pattern: str) -> bool:
    """Return True if a specifier of core(5) tells the processes or the programs of a unit apart."""
    specifiers = re.findall(r"%(.)", pattern)
    return any(specifier in _DISTINGUISHING for specifier in specifiers)


def check_core_directory(instance: Instance, astbtd: Unit | Unknown) -> Check:
    """Check that the directory of the core exists, is writable for Asterisk, and accessible for astbtd.

    A private /tmp, which is removed with the service, is no failure as long as astbtd runs and saves the core.
    """

    def check(directory: Directory, process: Process) -> Check:
        problem = directory.problem
        remedy = _directory_remedy(directory, instance)
        if problem and problem is not DirectoryProblem.VOLATILE:
            return failed(Name.CORE_DIRECTORY, f"{directory.path} {problem.value}", remedy)
        if directory.read_only:
            return failed(Name.CORE_DIRECTORY, f"{directory.path} is read-only for Asterisk", remedy)
        if not can_write(process.credentials, directory):
            found = f"{directory.path} is not writable by uid {process.credentials.uid}"
            if problem is None and _belongs_to_unit(directory, process, instance.unit):
                remedy = _make_writable(directory, process)
            return failed(Name.CORE_DIRECTORY, found, remedy)
        if problem is None:
            return ok(Name.CORE_DIRECTORY, directory.path)
        found = f"{directory.path} {problem.value}"
        if isinstance(astbtd, Unit) and not astbtd.is_active:
            found += f", and {astbtd.name} is not running to save the core before"
            return failed(Name.CORE_DIRECTORY, found, remedy)
        return warning(Name.CORE_DIRECTORY, f"{found}: astbtd has little time to save the core", remedy)

    return _check_if_known(Name.CORE_DIRECTORY, instance, check)


def check_blocked_core(instance: Instance) -> Check:
    """Check for an existing file that Asterisk cannot replace with its core."""

    def check(directory: Directory, process: Process) -> Check:
        existing = directory.existing
        if existing is None or not _blocks_core(existing, directory, process.credentials):
            return ok(Name.BLOCKED_CORE, f"no file in {directory.path} blocks the core")
        path = posixpath.join(directory.host_path or directory.path, existing.name)
        why = "is a directory" if existing.is_directory else f"belongs to uid {existing.uid} in a sticky directory"
        move_away = shlex.join(["mv", path, f"{path}.old"])
        return failed(Name.BLOCKED_CORE, f"{path} {why}: the kernel writes no core there", move_away)

    return _check_if_known(Name.BLOCKED_CORE, instance, check)


def can_write(credentials: Credentials, directory: Directory) -> bool:
    """Return True if a process can create files in a directory, according to its mode (path_resolution(7))."""
    if credentials.has_capability(_DAC_OVERRIDE):
        return True
    if credentials.uid == directory.uid:
        granted = directory.mode >> 6
    elif directory.gid in credentials.groups:
        granted = directory.mode >> 3
    else:
        granted = directory.mode
    required = stat.S_IWOTH | stat.S_IXOTH
    return granted & required == required


def _check_if_known(name: Name, instance: Instance, check: Callable[[Directory, Process], Check]) -> Check:
    """Run a check that needs the directory of the core and the process, if both are known."""
    directory, process = instance.directory, instance.process
    if directory is None:
        return ok(name, "not needed: the kernel hands the core to a program")
    if isinstance(directory, Unknown):
        return unknown(name, directory)
    if isinstance(process, Unknown):
        return unknown(name, process)
    return check(directory, process)


def _blocks_core(existing: ExistingFile, directory: Directory, credentials: Credentials) -> bool:
    """Return True if the kernel cannot remove an old core with the permissions of the process (fs/coredump.c)."""
    if existing.is_directory:
        return True
    if not directory.mode & stat.S_ISVTX or credentials.has_capability(_FOWNER):
        return False
    return credentials.uid not in (existing.uid, directory.uid)


def _directory_remedy(directory: Directory, instance: Instance) -> str:
    """Return how to make the directory accessible, or how to select another one."""
    if directory.problem is DirectoryProblem.MISSING:
        return f"install -d -m 1777 {shlex.quote(directory.path)}"
    if directory.problem is DirectoryProblem.CONTAINED:
        return _SHARE_WITH_HOST
    if directory.problem in (DirectoryProblem.PRIVATE, DirectoryProblem.VOLATILE):
        unit = instance.unit
        if unit is not None and unit.hides_tmp(directory.path):
            return set_in_unit(instance, "PrivateTmp=no") or ""
    return _select_other_directory(directory, instance)


def _belongs_to_unit(directory: Directory, process: Process, unit: Unit | None) -> bool:
    """Return True if a directory is meant for Asterisk alone, so that its owner may be changed."""
    path = directory.path
    if path == _HOME_OF_ASTERISK:
        return True
    if unit is None or directory.uid not in (0, process.credentials.uid):
        return False
    is_private = path not in _HOMES and is_below(path, _HOMES)
    return is_private and path in unit.paths("WorkingDirectory")


def _make_writable(directory: Directory, process: Process) -> str:
    path = shlex.quote(directory.path)
    if directory.uid == process.credentials.uid:
        return f"chmod u+wx {path}"
    return f"chown {process.credentials.uid} {path}"


def _select_other_directory(directory: Directory, instance: Instance) -> str:
    """Return how to select another directory: with the unit's WorkingDirectory=, or one for all cores.

    If a sandbox made the directory read-only, it may do the same with the other one; ReadWritePaths= prevents that.
    """
    unit = instance.unit
    unit_selects_it = unit is not None and unit["WorkingDirectory"] != "" and not directory.is_fixed
    if unit_selects_it:
        settings = [f"WorkingDirectory={_HOME_OF_ASTERISK}"]
        if directory.read_only:
            settings.append(f"ReadWritePaths={_HOME_OF_ASTERISK}")
        return set_in_unit(instance, *settings) or ""
    if unit and directory.read_only:
        make_writable = set_in_unit(instance, f"ReadWritePaths={_SHARED_DIRECTORY}")
        return f"{CORES_IN_ONE_DIRECTORY}; {make_writable}"
    return CORES_IN_ONE_DIRECTORY
