"""Finds the Asterisk processes that run, the directories they work in, and where they say that they started."""

import getopt
import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from astbtd.lib.mounts import Mounts
from astbtd.lib.safe_open import open_regular

RUN_FILES = frozenset(("asterisk.pid", "asterisk.ctl"))
"""What Asterisk creates in its run directory when it starts."""

_PROC = Path("/proc")
_DEFAULT_RUN_DIRECTORY = "/run/asterisk"
_REMOTE_CONSOLE = b"rasterisk"
_OPTIONS = "BC:cde:FfG:ghIiL:M:mnpqRrs:TtU:VvWXx:"  # of main() in Asterisk's main/asterisk.c
_CLIENT_OPTIONS = frozenset(("-r", "-R", "-x"))
_LARGEST_CONFIGURATION = 1 << 20
_MADE_PRIVATE = ("/tmp", "/var/tmp")  # noqa: S108 - nothing of ours goes there
_PRIVATE = re.compile(r"systemd-private-[0-9a-f]{32}-([^/]+)-[A-Za-z0-9]{6}/tmp(?=/|$)")
_NAME_IT = "name that directory, as it is called here, in watch.directories"


@dataclass(frozen=True)
class RunningAsterisk:
    """A live Asterisk; `cwd` is None when it cannot be seen from here, `hidden` then says why.

    `private` are the directories that it has for itself: the name it knows each by, and the name here.
    """

    pid: int
    cwd: str | None
    hidden: str | None = None
    private: tuple[tuple[str, str], ...] = ()

    def outside(self, path: str) -> str | None:
        """Where an absolute path of the process leads here; None where it leads to a place that is not seen here."""
        return None if self.cwd is None else name_here(path, self.private)


def running(executables: Collection[str]) -> tuple[RunningAsterisk, ...]:
    """All Asterisk processes, the remote consoles left out, by rising pid."""
    return tuple(_seen(pid) for pid in running_pids(executables))


def running_pids(executables: Collection[str]) -> tuple[int, ...]:
    """The ids of all Asterisk processes, rising; asks nothing of any file system but /proc."""
    return tuple(pid for pid in sorted(pids()) if _is_asterisk(pid, executables))


def private_directories(mounts: Mounts) -> tuple[tuple[str, str], ...]:
    """What systemd mounted in place of /tmp and /var/tmp (PrivateTmp=): `DIRECTORY/systemd-private-.../tmp`."""
    found = ((mount.point, _PRIVATE.search(mount.root)) for mount in mounts.mounts if mount.point in _MADE_PRIVATE)
    return tuple((point, f"{point}/{match[0]}") for point, match in found if match)


def is_private(directory: str) -> bool:
    """Whether a directory is in a service's private /tmp, which systemd makes when it starts and removes at its end."""
    return _PRIVATE.search(directory) is not None


def next_time(directory: str) -> str:
    """The glob of what a directory in a service's private /tmp is called the next time; others stay as they are."""
    return _PRIVATE.sub(r"systemd-private-*-\1-*/tmp", directory)


def run_directory(configuration: Path) -> str:
    """The `astrundir` of an asterisk.conf, Asterisk's default where it says nothing or may not answer.

    The file belongs to the asterisk user: it is parsed, and the answer only watched for signs of a start.
    """
    mounts = Mounts.now()
    if mounts.served_by_others(mounts.real(str(configuration))):
        return _DEFAULT_RUN_DIRECTORY
    try:
        found = setting(configuration, "directories", "astrundir")
    except OSError:
        return _DEFAULT_RUN_DIRECTORY
    return os.path.normpath(found) if found and found.startswith("/") else _DEFAULT_RUN_DIRECTORY


def setting(configuration: Path, section: str, name: str) -> str | None:
    """What an asterisk.conf sets `name` to in a section, None if it does not. Raises OSError.

    The file belongs to the asterisk user: it is parsed, never evaluated.
    """
    here = found = None
    for line in _read_regular(configuration).splitlines():
        line = line.split(";")[0].strip()
        if line.startswith("["):
            here = line
        elif here == f"[{section}]" and (match := re.fullmatch(rf"(?i:{name})\s*=>?\s*([^\0]+)", line)):
            found = found or match[1]
    return found


def _read_regular(path: Path) -> str:
    descriptor = open_regular(path)
    try:
        return os.pread(descriptor, _LARGEST_CONFIGURATION, 0).decode(errors="replace")
    finally:
        os.close(descriptor)


def pids() -> Iterator[int]:
    """All processes."""
    return (int(entry.name) for entry in os.scandir(_PROC) if entry.name.isdigit())


def _is_asterisk(pid: int, executables: Collection[str]) -> bool:
    try:
        comm = (_PROC / str(pid) / "comm").read_bytes().rstrip(b"\n")
        if not any(os.fsencode(name)[:15] == comm for name in executables):
            return False
        command = (_PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    except OSError:
        return False
    return command != [b""] and not is_client(command)  # what is dead already has no words


def is_client(command: Sequence[bytes]) -> bool:
    """Whether a command line is that of a remote console, which calls itself `rasterisk` soon after its start."""
    return os.path.basename(command[0]) == _REMOTE_CONSOLE or not _CLIENT_OPTIONS.isdisjoint(options(command))


def options(command: Sequence[bytes]) -> dict[str, str]:
    """The options of Asterisk's command line with their values, such as {"-g": "", "-U": "asterisk"}.

    None of them where there is one that Asterisk does not know.
    """
    try:
        given, _ = getopt.gnu_getopt([os.fsdecode(word) for word in command[1:]], _OPTIONS)
    except getopt.GetoptError:
        return {}
    return dict(given)


def _seen(pid: int) -> RunningAsterisk:
    """Trusts the name of a working directory only if it leads to the same directory from here."""
    link = _PROC / str(pid) / "cwd"
    try:
        name = os.readlink(link)
        theirs = Mounts.of(pid)
    except OSError as error:
        return RunningAsterisk(pid, None, f"its working directory cannot be read: {error.strerror}")
    ours, private = Mounts.now(), private_directories(theirs)
    if theirs.device_of("/") != ours.device_of("/"):
        return RunningAsterisk(pid, None, f"it runs in a container, where it works in {name}: {_NAME_IT}")
    here = name_here(name, private)
    hidden = _why_hidden(link, name, here, theirs, ours)
    if hidden:
        return RunningAsterisk(pid, None, f"its working directory {name} {hidden}")
    return RunningAsterisk(pid, here, None, private)


def _why_hidden(link: Path, name: str, here: str, theirs: Mounts, ours: Mounts) -> str | None:
    """Asks the directories themselves only where an answer is certain; else /proc alone has to do."""
    if theirs.served_by_others(name) or ours.served_by_others(here):
        return None if theirs.device_of(name) == ours.device_of(here) else "is private to it"
    try:
        return None if os.path.samefile(here, link) else "is private to it"
    except OSError:
        return "does not exist outside of it"


def name_here(path: str, private: Sequence[tuple[str, str]]) -> str:
    """What a path of a process with these private directories is called here."""
    for inside, outside in private:
        if path == inside or path.startswith(f"{inside}/"):
            return outside + path[len(inside) :]
    return path
