"""Inspects the directory to which the kernel would write the core of a process.

The directory is opened through the links of the process in /proc, with O_PATH: the process's own mounts apply, and
nothing in the directory is read.
"""

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from astbtd.asterisk import asterisk_processes
from astbtd.lib.mounts import Mounts
from astbtd.readiness.facts import Directory, DirectoryProblem, ExistingFile, Kernel
from astbtd.readiness.gather.process_facts import has_other_root, open_process
from astbtd.readiness.result import Unknown
from astbtd.sources.core_pattern import CorePattern, Kind


@dataclass(frozen=True)
class _Location:
    """The path of a directory on the host, None if it is not accessible, and what is wrong with it."""

    host_path: str | None
    problem: DirectoryProblem | None


def inspect_core_directory(pid: int, kernel: Kernel, watched: Sequence[str]) -> Directory | Unknown | None:
    """Return the directory of a process's next core; None if the kernel writes no file. Raise OSError.

    It may have another path on the host: in the private /tmp of a service, or as one of the `watched` directories.
    """
    pattern = kernel.pattern
    if pattern.directory is None:
        return None
    if glob.has_magic(pattern.directory):
        return Unknown(f"the directory depends on the crash: core_pattern {pattern.text!r}")
    with open_process(pid) as process:
        path = _process_path(process, pattern)
        contained = has_other_root(process)
        try:
            with _open_directory(process, pattern) as descriptor:
                private_directories = asterisk_processes.find_private_directories(Mounts.of_process(pid))
                candidates = (path, asterisk_processes.to_host_path(path, private_directories), *watched)
                location = _locate(os.fstat(descriptor), candidates, contained=contained)
                return _describe(descriptor, path, location, pattern, _next_core_name(kernel, pid))
        except FileNotFoundError:
            return _describe_missing(path, pattern, contained=contained)


def _process_path(process: int, pattern: CorePattern) -> str:
    cwd = os.readlink("cwd", dir_fd=process)
    return os.path.normpath(os.path.join(cwd, pattern.directory or "."))


@contextmanager
def _open_directory(process: int, pattern: CorePattern) -> Iterator[int]:
    """Open the directory as the process sees it. The descriptor (O_PATH) only allows fstat and the like."""
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    start_link = "root" if pattern.kind is Kind.ABSOLUTE else "cwd"
    relative_path = (pattern.directory or ".").lstrip("/") or "."
    start = os.open(start_link, flags, dir_fd=process)
    try:
        descriptor = os.open(relative_path, flags, dir_fd=start)
    finally:
        os.close(start)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _describe(
    descriptor: int, path: str, location: _Location, pattern: CorePattern, core_name: str | None
) -> Directory:
    status = os.fstat(descriptor)
    disk = os.fstatvfs(descriptor)
    return Directory(
        path=path,
        host_path=location.host_path,
        is_fixed=pattern.kind is Kind.ABSOLUTE,
        problem=location.problem,
        uid=status.st_uid,
        gid=status.st_gid,
        mode=stat.S_IMODE(status.st_mode),
        read_only=bool(disk.f_flag & os.ST_RDONLY),
        free=disk.f_bavail * disk.f_frsize,
        existing=_find_existing(descriptor, core_name) if core_name else None,
    )


def _describe_missing(path: str, pattern: CorePattern, *, contained: bool) -> Directory:
    if contained:
        problem = DirectoryProblem.CONTAINED
    elif os.path.isdir(path):
        problem = DirectoryProblem.HIDDEN
    else:
        problem = DirectoryProblem.MISSING
    return Directory(
        path=path,
        host_path=None,
        is_fixed=pattern.kind is Kind.ABSOLUTE,
        problem=problem,
        uid=0,
        gid=0,
        mode=0,
        read_only=False,
        free=0,
        existing=None,
    )


def _locate(status: os.stat_result, candidates: Sequence[str], *, contained: bool) -> _Location:
    """Find the directory with this status among the candidate paths on the host."""
    for path in candidates:
        if _is_same(path, status):
            is_volatile = asterisk_processes.is_private_tmp(path)
            return _Location(path, DirectoryProblem.VOLATILE if is_volatile else None)
    return _Location(None, DirectoryProblem.CONTAINED if contained else DirectoryProblem.PRIVATE)


def _is_same(path: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), status)
    except OSError:
        return False


def _find_existing(directory: int, name: str) -> ExistingFile | None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return ExistingFile(name, found.st_uid, stat.S_ISDIR(found.st_mode))


def _next_core_name(kernel: Kernel, pid: int) -> str | None:
    """Return the name of the next core; None if it contains anything that is known only at the crash (core(5))."""
    pattern = os.path.basename(kernel.pattern.text)
    name = pattern.replace("%%", "\0").replace("%p", str(pid))
    if "%" in name:
        return None
    if kernel.uses_pid and "%p" not in pattern:
        name += f".{pid}"
    return name.replace("\0", "%")
