"""Checks where the kernel writes the core, and whether it can be written and found there."""

import posixpath
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
)
from astbtd.readiness.remedies import CORES_AS_FILES, CORES_IN_ONE_PLACE, in_unit
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning
from astbtd.sources.core_pattern import Kind

_ASTERISKS_OWN = "/var/lib/asterisk"
_SHARE = (
    "let it lead out of the container (a shared directory), and name it, as it is called here, in watch.directories "
    "in /etc/astbtd.yaml"
)
_DAC_OVERRIDE, _FOWNER = 1, 3  # capability numbers, linux/capability.h


def core_pattern(kernel: Kernel | Unknown) -> Check:
    """The kind of core_pattern, and whether we see where it leads."""
    if isinstance(kernel, Unknown):
        return unknown(Name.CORE_PATTERN, kernel)
    pattern = kernel.pattern
    if kernel.unseen:
        return failed(Name.CORE_PATTERN, f"{kernel.unseen}: astbtd does not see them", CORES_AS_FILES)
    if kernel.helper is False:
        found = f"{pattern.text!r} names a program that cannot be run: cores are lost"
        return failed(Name.CORE_PATTERN, found, CORES_AS_FILES)
    return ok(Name.CORE_PATTERN, f"{pattern.text!r}: {pattern.kind.value}")


def core_uses_pid(kernel: Kernel | Unknown, astbtd: Unit | Unknown) -> Check:
    """Whether the next core replaces the one before it."""
    if isinstance(kernel, Unknown):
        return unknown(Name.CORE_USES_PID, kernel)
    if kernel.pattern.kind in (Kind.PIPE, Kind.SOCKET):
        return ok(Name.CORE_USES_PID, "not needed: the kernel gives no names to what it hands on")
    if kernel.uses_pid or "%p" in kernel.pattern.text.replace("%%", ""):
        return ok(Name.CORE_USES_PID, "each core has a name of its own")
    if isinstance(astbtd, Unit) and astbtd.is_active:
        return ok(Name.CORE_USES_PID, "0: the next core replaces the last, which astbtd has claimed by then")
    found = "0: the next core replaces the last, and astbtd.service does not run to claim it before"
    return warning(Name.CORE_USES_PID, found, "sysctl -w kernel.core_uses_pid=1")


def core_directory(instance: Instance, astbtd: Unit | Unknown) -> Check:
    """The directory of the core: there, writable by the process, and not private to it.

    What goes with the process is no failure while astbtd is there to save the core.
    """

    def judge(directory: Directory, process: Process) -> Check:
        problem, remedy = directory.problem, _remedy(directory, instance)
        if problem and problem is not DirectoryProblem.FLEETING:
            return failed(Name.CORE_DIRECTORY, f"{directory.path} {problem.value}", remedy)
        if directory.read_only:
            return failed(Name.CORE_DIRECTORY, f"{directory.path} is read-only for it", remedy)
        if not may_write(process.credentials, directory):
            found = f"{directory.path} is not writable by uid {process.credentials.uid}"
            return failed(Name.CORE_DIRECTORY, found, remedy)
        if problem and isinstance(astbtd, Unit) and not astbtd.is_active:
            found = f"{directory.path} {problem.value}, and {astbtd.name} does not run to save the core before"
            return failed(Name.CORE_DIRECTORY, found, remedy)
        if problem:
            found = f"{directory.path} {problem.value}: astbtd has a moment to save the core"
            return warning(Name.CORE_DIRECTORY, found, remedy)
        return ok(Name.CORE_DIRECTORY, directory.path)

    return _where_it_is_known(Name.CORE_DIRECTORY, instance, judge)


def blocked_core(instance: Instance) -> Check:
    """Whether something that Asterisk cannot replace lies where its core is to be."""

    def judge(directory: Directory, process: Process) -> Check:
        entry = directory.entry
        if entry is None or not _blocks(entry, directory, process.credentials):
            return ok(Name.BLOCKED_CORE, f"nothing in {directory.path} is in the way")
        path = posixpath.join(directory.here or directory.path, entry.name)
        why = "is a directory" if entry.is_directory else f"belongs to uid {entry.uid} in a sticky directory"
        aside = shlex.join(["mv", path, f"{path}.old"])
        return failed(Name.BLOCKED_CORE, f"{path} {why}: the kernel writes no core there", aside)

    return _where_it_is_known(Name.BLOCKED_CORE, instance, judge)


def may_write(who: Credentials, directory: Directory) -> bool:
    """Whether a process may make files in a directory, by its mode bits as path_resolution(7) has it."""
    if who.has(_DAC_OVERRIDE):
        return True
    wanted = stat.S_IWOTH | stat.S_IXOTH
    shift = 6 if who.uid == directory.uid else 3 if directory.gid in who.groups else 0
    return directory.mode >> shift & wanted == wanted


def _where_it_is_known(name: Name, instance: Instance, judge: Callable[[Directory, Process], Check]) -> Check:
    """What `judge` says of the core's directory, where there is one and both it and the process are known."""
    directory, process = instance.directory, instance.process
    if directory is None:
        return ok(name, "none is needed: the kernel hands the core to a program")
    if isinstance(directory, Unknown):
        return unknown(name, directory)
    return unknown(name, process) if isinstance(process, Unknown) else judge(directory, process)


def _blocks(entry: ExistingFile, directory: Directory, who: Credentials) -> bool:
    """The kernel removes an old core first, as the process would (fs/coredump.c)."""
    if entry.is_directory:
        return True
    sticky = bool(directory.mode & stat.S_ISVTX)
    return sticky and who.uid not in (entry.uid, directory.uid) and not who.has(_FOWNER)


def _remedy(directory: Directory, instance: Instance) -> str:
    """What puts the directory where it is looked for, or leads to another one."""
    if directory.problem is DirectoryProblem.MISSING:
        return f"install -d -m 1777 {shlex.quote(directory.path)}"
    if directory.problem is DirectoryProblem.CONTAINED:
        return _SHARE
    private = directory.problem in (DirectoryProblem.PRIVATE, DirectoryProblem.FLEETING)
    if private and instance.unit and instance.unit.makes_private(directory.path):
        return in_unit(instance, "PrivateTmp=no") or _elsewhere(directory, instance)
    return _elsewhere(directory, instance)


def _elsewhere(directory: Directory, instance: Instance) -> str:
    """Another directory: its unit's, or one for all cores. A sandbox that makes one read-only may do so to all."""
    by_unit = bool(instance.unit and instance.unit["WorkingDirectory"]) and not directory.fixed
    place = _ASTERISKS_OWN if by_unit else "/var/cores"
    settings = [f"WorkingDirectory={place}"] if by_unit else []
    settings += [f"ReadWritePaths={place}"] if directory.read_only else []
    steps = (None if by_unit else CORES_IN_ONE_PLACE, in_unit(instance, *settings) if settings else None)
    return "; ".join(filter(None, steps))
