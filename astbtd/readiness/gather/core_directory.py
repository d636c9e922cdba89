"""Looks at the directory where the kernel would write the core of a process, without reading or entering anything.

The directory is held through the process's own link to it, so that its mounts count as the process sees them.
"""

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from astbtd.asterisk import asterisk_processes
from astbtd.lib.mounts import Mounts
from astbtd.readiness.facts import Directory, DirectoryProblem, ExistingFile, Kernel
from astbtd.readiness.gather.process_facts import is_contained, opened
from astbtd.readiness.result import Unknown
from astbtd.sources.core_pattern import CorePattern, Kind


def core_directory(pid: int, kernel: Kernel, watched: Sequence[str]) -> Directory | Unknown | None:
    """The directory of that process's next core; None where the kernel writes no file. Raises OSError.

    It may be known here by another name: in a service's private /tmp, or as one of those that are `watched`.
    """
    pattern = kernel.pattern
    if pattern.directory is None:
        return None
    if glob.has_magic(pattern.directory):
        return Unknown(f"its directory varies: core_pattern {pattern.text!r}")
    with opened(pid) as process:
        path, contained = _path(process, pattern), is_contained(process)
        try:
            with _held(process, pattern) as descriptor:
                names = (
                    path,
                    asterisk_processes.name_here(path, asterisk_processes.private_directories(Mounts.of(pid))),
                    *watched,
                )
                here = _here(os.fstat(descriptor), names, contained=contained)
                return _seen(descriptor, path, here, pattern, _name(kernel, pid))
        except FileNotFoundError:
            return _absent(path, pattern, contained=contained)


def _path(process: int, pattern: CorePattern) -> str:
    cwd = os.readlink("cwd", dir_fd=process)
    return os.path.normpath(os.path.join(cwd, pattern.directory or "."))


@contextmanager
def _held(process: int, pattern: CorePattern) -> Iterator[int]:
    """A descriptor that can be asked about the directory and nothing else (O_PATH)."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    start = os.open("root" if pattern.kind is Kind.ABSOLUTE else "cwd", flags, dir_fd=process)
    try:
        descriptor = os.open((pattern.directory or ".").lstrip("/") or ".", flags, dir_fd=start)
    finally:
        os.close(start)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _seen(
    descriptor: int, path: str, here: tuple[str | None, DirectoryProblem | None], pattern: CorePattern, name: str | None
) -> Directory:
    there, disk = os.fstat(descriptor), os.fstatvfs(descriptor)
    return Directory(
        path=path,
        here=here[0],
        fixed=pattern.kind is Kind.ABSOLUTE,
        problem=here[1],
        uid=there.st_uid,
        gid=there.st_gid,
        mode=stat.S_IMODE(there.st_mode),
        read_only=bool(disk.f_flag & os.ST_RDONLY),
        free=disk.f_bavail * disk.f_frsize,
        entry=_entry(descriptor, name) if name else None,
    )


def _absent(path: str, pattern: CorePattern, *, contained: bool) -> Directory:
    problem = (
        DirectoryProblem.CONTAINED
        if contained
        else DirectoryProblem.HIDDEN
        if os.path.isdir(path)
        else DirectoryProblem.MISSING
    )
    fixed = pattern.kind is Kind.ABSOLUTE
    return Directory(path, None, fixed, problem, uid=0, gid=0, mode=0, read_only=False, free=0, entry=None)


def _here(
    there: os.stat_result, names: Sequence[str], *, contained: bool
) -> tuple[str | None, DirectoryProblem | None]:
    """Which of these names the directory has here, and what is wrong with that."""
    here = next((name for name in names if _is_same(name, there)), None)
    if here is None:
        return None, DirectoryProblem.CONTAINED if contained else DirectoryProblem.PRIVATE
    return here, DirectoryProblem.FLEETING if asterisk_processes.is_private(here) else None


def _is_same(path: str, there: os.stat_result) -> bool:
    try:
        here = os.stat(path)
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _entry(directory: int, name: str) -> ExistingFile | None:
    with suppress(FileNotFoundError):
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        return ExistingFile(name, found.st_uid, stat.S_ISDIR(found.st_mode))
    return None


def _name(kernel: Kernel, pid: int) -> str | None:
    """The name of the next core, where nothing of it is known only when it is dumped; see core(5)."""
    pattern = os.path.basename(kernel.pattern.text)
    name = pattern.replace("%%", "\0").replace("%p", str(pid))
    if "%" in name:
        return None
    added = f".{pid}" if kernel.uses_pid and "%p" not in pattern else ""
    return name.replace("\0", "%") + added
