"""The command line that runs a debugger without privileges and with limits, and the user that it runs as.

The tools are util-linux's (setpriv, prlimit, unshare, ionice, chrt). Each replaces itself with the next by exec, so
that no code of ours runs between fork and exec.
"""

import os
import pwd
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.extraction.sandbox_kernel import set_child_subreaper
from astbtd.lib import subprocesses
from astbtd.settings import GdbSettings

IDLE_PRIORITY = ("chrt", "--idle", "0", "ionice", "--class", "idle", "nice", "-n", "19")
"""Runs the command that follows with idle CPU and I/O priority."""

_TOOLS = frozenset({"chrt", "ionice", "nice", "unshare", "setpriv", "prlimit"})
_MAX_DESCRIPTORS = 1024
# The kernel counts all processes and threads of the user on the machine. If another gdb, such as that of `astbtd check`
# with a thread for each CPU, uses up the limit, gdb cannot start iconv and retries for 15 seconds (libiberty's pex).
_MAX_PROCESSES = 32
_KILL_TIMEOUT = 10  # seconds
_CAP_SYS_ADMIN = 21


@dataclass(frozen=True)
class SandboxUser:
    """The user that gdb runs as; `switched` if it is not our own user."""

    uid: int
    gid: int
    switched: bool

    def can_read(self, path: str) -> bool:
        """Return whether the user can read the file at `path`, by the mode of the file and of its directories."""
        if not self.switched:
            return os.access(path, os.R_OK)
        try:
            return self.may_read(os.stat(path)) and _others_can_enter(os.path.dirname(path))
        except OSError:
            return False

    def may_read(self, status: os.stat_result) -> bool:
        """Return whether the mode of the file permits the user to read it."""
        if not self.switched:
            return status.st_uid == self.uid or self.uid == 0 or bool(status.st_mode & stat.S_IROTH)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IRGRP)
        return bool(status.st_mode & stat.S_IROTH)


@contextmanager
def grant_read(descriptor: int, user: SandboxUser) -> Iterator[int]:
    """Yield a read-only descriptor of the file, and let `user` read the file until the block ends.

    The file must belong to the user's group, or be readable for the user already.
    """
    status = os.fstat(descriptor)
    mode = stat.S_IMODE(status.st_mode)
    needs_change = user.switched and status.st_gid == user.gid and not mode & stat.S_IRGRP
    readable = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if needs_change:
            os.fchmod(descriptor, mode | stat.S_IRGRP)
        yield readable
    finally:
        os.close(readable)
        if needs_change:
            os.fchmod(descriptor, mode)


@contextmanager
def kill_leftovers(user: SandboxUser) -> Iterator[None]:
    """Kill all processes of `user` that remain when the block ends, including daemonized ones.

    A process that loses its parent becomes our child, which is how it is found. Our children are killed one by one, as
    the user may also run the gdb of another extraction or of a person. If new ones still appear after as many attempts
    as gdb can have processes, one forks and exits in a loop: only kill(2) of all processes of the user is faster.
    """
    if not user.switched:
        yield
        return
    set_child_subreaper(True)
    try:
        yield
    finally:
        for attempt in count(1):
            left = [pid for pid in _children() if _runs_as(pid, user)]
            if not left:
                break
            targets = map(str, left) if attempt <= _MAX_PROCESSES else ["-1"]
            subprocesses.output([*setpriv_command(user), "kill", "-KILL", "--", *targets], timeout=_KILL_TIMEOUT)
            for pid in left:
                with suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)  # on a busy machine kill(1) may have run out of time: it is repeated
        set_child_subreaper(False)


def find_sandbox_user(name: str) -> SandboxUser:
    """Return the user that gdb runs as: `name` if we are root, otherwise our own. Raise AstbtdError if missing."""
    if os.geteuid() != 0:
        return SandboxUser(os.geteuid(), os.getegid(), switched=False)
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        raise AstbtdError(
            f"gdb must not run as root, and its user {name} does not exist",
            "create it: systemd-sysusers (with astbtd's sysusers.d file installed), or "
            f"useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {name}",
        ) from error
    if entry.pw_uid == 0:
        raise AstbtdError(
            f"gdb must not run as root, and its user {name} is root",
            "set gdb.user to a dedicated user without privileges",
        )
    return SandboxUser(entry.pw_uid, entry.pw_gid, switched=True)


def sandboxed_command(argv: Sequence[str], user: SandboxUser, settings: GdbSettings) -> list[str]:
    """Return the command line that runs `argv` as `user`, at idle priority, without network, with the limits."""
    limits = [
        f"--as={settings.address_space}",
        f"--cpu={int(settings.time)}",
        f"--fsize={settings.output}",
        "--core=0",
        f"--nofile={_MAX_DESCRIPTORS}",
    ]
    network: list[str] = []
    if user.switched:
        limits.append(f"--nproc={_MAX_PROCESSES}")
        if _can_unshare():
            network = ["unshare", "--net", "--"]
    tools = [*IDLE_PRIORITY, *network, *setpriv_command(user), "prlimit", *limits]
    program, *arguments = argv
    return [*(_find(word) if word in _TOOLS else word for word in tools), _find(program), *arguments]


@cache
def _find(program: str) -> str:
    """Return the path of a program, or its name if it is not found.

    Each tool would search for the next one in all directories, in vain in most of them.
    """
    return shutil.which(program, path=subprocesses.ENVIRONMENT["PATH"]) or program


def _children() -> Iterator[int]:
    """Yield the ids of our child processes."""
    for task in os.listdir("/proc/self/task"):
        with suppress(FileNotFoundError, ProcessLookupError):  # the thread has ended in the meantime
            yield from map(int, Path(f"/proc/self/task/{task}/children").read_text().split())


def _runs_as(pid: int, user: SandboxUser) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return f"\nUid:\t{user.uid}\t" in Path(f"/proc/{pid}/status").read_text()
    return False


def setpriv_command(user: SandboxUser) -> list[str]:
    """Return the command that runs what follows it as `user`, without any capability."""
    always = ["setpriv", "--no-new-privs", "--pdeathsig=KILL"]
    if not user.switched:
        return always
    ids = [f"--reuid={user.uid}", f"--regid={user.gid}", "--clear-groups"]
    return [*always, *ids, "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]


@cache
def _can_unshare() -> bool:
    """Return whether we may leave the network namespace. In the unit we may not, but there is no network either."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return bool(found and int(found[1], 16) >> _CAP_SYS_ADMIN & 1)


@cache
def _others_can_enter(directory: str) -> bool:
    """Return whether any user can enter `directory`; follow symbolic links as the kernel does."""
    real = os.path.realpath(directory)
    if not os.stat(real).st_mode & stat.S_IXOTH:
        return False
    return real == "/" or _others_can_enter(os.path.dirname(real))
