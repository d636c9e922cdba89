"""Find running Asterisk processes, their working directories, and the run directory that they use.

The working directory is where a core is written; files in the run directory show that Asterisk has started.
"""

import getopt
import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from astbtd.lib.files import open_regular
from astbtd.lib.mounts import Mounts

RUN_FILES = frozenset(("asterisk.pid", "asterisk.ctl"))
"""The files that Asterisk creates in its run directory when it starts."""

_PROC = Path("/proc")
_DEFAULT_RUN_DIRECTORY = "/run/asterisk"
_REMOTE_CONSOLE = b"rasterisk"
_OPTIONS = "BC:cde:FfG:ghIiL:M:mnpqRrs:TtU:VvWXx:"  # of main() in Asterisk's main/asterisk.c
_CLIENT_OPTIONS = frozenset(("-r", "-R", "-x"))
_MAX_CONFIGURATION_BYTES = 1 << 20
_COMM_LENGTH = 15  # the kernel cuts comm to this length
_PRIVATE_TMP_POINTS = ("/tmp", "/var/tmp")  # noqa: S108 - we write nothing there
_PRIVATE_TMP = re.compile(r"systemd-private-[0-9a-f]{32}-([^/]+)-[A-Za-z0-9]{6}/tmp(?=/|$)")
_ADD_DIRECTORY = "add that directory, by its path on the host, to watch.directories"


@dataclass(frozen=True)
class RunningAsterisk:
    """A running Asterisk. `cwd` is its working directory by its path on the host, None if it is not accessible.

    `hidden_reason` then says why. `private_directories` are (path in the process, path on the host) of its private
    /tmp and /var/tmp.
    """

    pid: int
    cwd: str | None
    hidden_reason: str | None = None
    private_directories: tuple[tuple[str, str], ...] = ()

    def host_path(self, path: str) -> str | None:
        """Return the path on the host of an absolute path of the process; None if it is not accessible."""
        return None if self.cwd is None else to_host_path(path, self.private_directories)


def running_asterisks(executables: Collection[str]) -> tuple[RunningAsterisk, ...]:
    """Return all Asterisk processes except remote consoles, ordered by pid."""
    return tuple(_inspect(pid) for pid in running_pids(executables))


def running_pids(executables: Collection[str]) -> tuple[int, ...]:
    """Return the ids of all Asterisk processes, ordered; reads no file system but /proc."""
    return tuple(pid for pid in sorted(all_pids()) if _is_asterisk(pid, executables))


def find_private_directories(mounts: Mounts) -> tuple[tuple[str, str], ...]:
    """Return (mount point, path on the host) of what systemd mounted over /tmp and /var/tmp (PrivateTmp=).

    The path on the host is `DIRECTORY/systemd-private-.../tmp`.
    """
    found = []
    for mount in mounts.mounts:
        match = _PRIVATE_TMP.search(mount.root) if mount.point in _PRIVATE_TMP_POINTS else None
        if match:
            found.append((mount.point, f"{mount.point}/{match[0]}"))
    return tuple(found)


def is_private_tmp(directory: str) -> bool:
    """Return whether a directory is in a service's private /tmp, which systemd removes when the service stops."""
    return _PRIVATE_TMP.search(directory) is not None


def private_tmp_glob(directory: str) -> str:
    """Return a glob that matches a directory in a service's private /tmp after a restart too; others unchanged."""
    return _PRIVATE_TMP.sub(r"systemd-private-*-\1-*/tmp", directory)


def read_run_directory(configuration: Path) -> str:
    """Return `astrundir` of an asterisk.conf; Asterisk's default if it is not set or cannot be read.

    The file belongs to the asterisk user. It is parsed, never evaluated, and the directory is only watched. A file on
    a remote file system is not opened, since that may block forever.
    """
    mounts = Mounts.current()
    if mounts.remote_mount(mounts.resolve_links(str(configuration))):
        return _DEFAULT_RUN_DIRECTORY
    try:
        found = read_setting(configuration, "directories", "astrundir")
    except OSError:
        return _DEFAULT_RUN_DIRECTORY
    return os.path.normpath(found) if found and found.startswith("/") else _DEFAULT_RUN_DIRECTORY


def read_setting(configuration: Path, section: str, name: str) -> str | None:
    """Return the value of `name` in a section of an asterisk.conf, None if it is not set. Raise OSError.

    The file belongs to the asterisk user: it is parsed, never evaluated.
    """
    assignment = re.compile(rf"(?i:{name})\s*=>?\s*([^\0]+)")
    current_section = None
    for raw_line in _read_limited(configuration).splitlines():
        line = raw_line.split(";")[0].strip()
        if line.startswith("["):
            current_section = line
            continue
        match = assignment.fullmatch(line) if current_section == f"[{section}]" else None
        if match:
            return match[1]
    return None


def _read_limited(path: Path) -> str:
    descriptor = open_regular(path)
    try:
        return os.pread(descriptor, _MAX_CONFIGURATION_BYTES, 0).decode(errors="replace")
    finally:
        os.close(descriptor)


def all_pids() -> Iterator[int]:
    """Yield the ids of all processes."""
    return (int(entry.name) for entry in os.scandir(_PROC) if entry.name.isdigit())


def innermost_pid(pid: int) -> int:
    """Return the id that a process has in its own PID namespace, which is what its core has; `pid` if unknown.

    Source: proc_pid_status(5), NSpid.
    """
    with suppress(OSError, ValueError, IndexError):
        return int(status_words(pid, "NSpid")[-1])
    return pid


def status_words(pid: int, field: str) -> list[str]:
    """Return the words of a field in the status of a process, none if it has no such field. Raise OSError."""
    text = (_PROC / str(pid) / "status").read_text(errors="replace")
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return value.split()
    return []


def _is_asterisk(pid: int, executables: Collection[str]) -> bool:
    names = {os.fsencode(name)[:_COMM_LENGTH] for name in executables}
    try:
        comm = (_PROC / str(pid) / "comm").read_bytes().rstrip(b"\n")
        if comm not in names:
            return False
        command = (_PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return False
    is_zombie = command == [b""]
    return not is_zombie and not is_client(command)


def is_client(command: Sequence[bytes]) -> bool:
    """Return whether a command line is that of a remote console, which renames itself to `rasterisk` early on."""
    if os.path.basename(command[0]) == _REMOTE_CONSOLE:
        return True
    return not _CLIENT_OPTIONS.isdisjoint(parse_options(command))


def parse_options(command: Sequence[bytes]) -> dict[str, str]:
    """Return the options of Asterisk's command line with their values, such as {"-g": "", "-U": "asterisk"}.

    Return no options if one of them is not an option of Asterisk.
    """
    try:
        given, _ = getopt.gnu_getopt([os.fsdecode(word) for word in command[1:]], _OPTIONS)
    except getopt.GetoptError:
        return {}
    return dict(given)


def _inspect(pid: int) -> RunningAsterisk:
    """Trust the path of a working directory only if it leads to the same directory on the host."""
    link = _PROC / str(pid) / "cwd"
    try:
        path = os.readlink(link)
        process_mounts = Mounts.of_process(pid)
    except OSError as error:
        return RunningAsterisk(pid, None, f"its working directory cannot be read: {error.strerror}")
    host_mounts = Mounts.current()
    private_directories = find_private_directories(process_mounts)
    if process_mounts.device_and_path("/") != host_mounts.device_and_path("/"):
        return RunningAsterisk(pid, None, f"it runs in a container, its working directory is {path}: {_ADD_DIRECTORY}")
    host_path = to_host_path(path, private_directories)
    reason = _hidden_reason(link, path, host_path, process_mounts, host_mounts)
    if reason:
        return RunningAsterisk(pid, None, f"its working directory {path} {reason}")
    return RunningAsterisk(pid, host_path, None, private_directories)


def _hidden_reason(link: Path, path: str, host_path: str, process_mounts: Mounts, host_mounts: Mounts) -> str | None:
    """Return why the working directory is not accessible by its path on the host; None if it is.

    A directory on a remote file system is not accessed, since that may block forever: it is judged by the mount
    tables in /proc alone.
    """
    if process_mounts.remote_mount(path) or host_mounts.remote_mount(host_path):
        same = process_mounts.device_and_path(path) == host_mounts.device_and_path(host_path)
        return None if same else "is private to it"
    try:
        return None if os.path.samefile(host_path, link) else "is private to it"
    except OSError:
        return "does not exist outside of it"


def to_host_path(path: str, private_directories: Sequence[tuple[str, str]]) -> str:
    """Return the path on the host of a path of a process with these private directories."""
    for inside, outside in private_directories:
        if path == inside or path.startswith(f"{inside}/"):
            return outside + path[len(inside) :]
    return path
