"""How a debugger is started so that it can harm nothing: who it runs as and what it may take.

The tools are util-linux's (setpriv, prlimit, unshare, ionice, chrt), each of which becomes the next by exec, so that
nothing of ours runs between fork and exec.
"""

import os
import pwd
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.extraction.sandbox_kernel import adopt_orphans
from astbtd.lib import subprocesses
from astbtd.settings import GdbSettings

IDLE = ("chrt", "--idle", "0", "ionice", "--class", "idle", "nice", "-n", "19")
"""What starts a program so that it takes only what nobody else wants."""

_MOST_DESCRIPTORS = 1024
_MOST_PROCESSES = 32  # gdb runs iconv to learn which character sets there are
_KILL_SECONDS = 10
_CAP_SYS_ADMIN = 21


@dataclass(frozen=True)
class SandboxUser:
    """Whom gdb runs as; `switched` when that is another user than ours."""

    uid: int
    gid: int
    switched: bool

    def can_read(self, path: str) -> bool:
        """Whether the account can read the file at `path`, by the permission bits of it and its directories."""
        if not self.switched:
            return os.access(path, os.R_OK)
        try:
            return self.may_read(os.stat(path)) and _others_may_enter(os.path.dirname(path))
        except OSError:
            return False

    def may_read(self, status: os.stat_result) -> bool:
        """Whether the file's own permissions let the account read it."""
        if not self.switched:
            return status.st_uid == self.uid or self.uid == 0 or bool(status.st_mode & stat.S_IROTH)
        if status.st_gid == self.gid:
            return bool(status.st_mode & stat.S_IRGRP)
        return bool(status.st_mode & stat.S_IROTH)


@contextmanager
def lent(descriptor: int, account: SandboxUser) -> Iterator[int]:
    """Another descriptor of the file, that can only be read; for as long as the context lasts, the account can, too.

    The file has to be the account's group's, or readable for it anyway.
    """
    status = os.fstat(descriptor)
    mode = stat.S_IMODE(status.st_mode)
    withheld = account.switched and status.st_gid == account.gid and not mode & stat.S_IRGRP
    readable = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if withheld:
            os.fchmod(descriptor, mode | stat.S_IRGRP)
        yield readable
    finally:
        os.close(readable)
        if withheld:
            os.fchmod(descriptor, mode)


@contextmanager
def none_left(account: SandboxUser) -> Iterator[None]:
    """Ends what the account's processes that are started meanwhile leave behind, in whichever session that hides.

    What loses its parent becomes our child, and is found by that; then no process of the account's is spared, since
    only kill(2) of all at once is faster than one that forks and exits for ever.
    """
    if not account.switched:
        yield
        return
    adopt_orphans(True)
    try:
        yield
    finally:
        while left := [pid for pid in _children() if _runs_as(pid, account)]:
            subprocesses.output([*_setpriv(account), "kill", "-KILL", "--", "-1"], timeout=_KILL_SECONDS)
            for pid in left:
                with suppress(ChildProcessError):
                    os.waitpid(pid, 0)
        adopt_orphans(False)


def account(user: str) -> SandboxUser:
    """The account that gdb runs as: `user` where we are root, else ourselves. Raises AstbtdError if it is missing."""
    if os.geteuid() != 0:
        return SandboxUser(os.geteuid(), os.getegid(), switched=False)
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise AstbtdError(
            f"gdb must not run as root, and its user {user} does not exist",
            "create it: systemd-sysusers (with astbtd's sysusers.d file installed), or "
            f"useradd --system --user-group --no-create-home --shell /usr/sbin/nologin {user}",
        ) from error
    if entry.pw_uid == 0:
        raise AstbtdError(f"gdb must not run as root, which is what {user} is", "set gdb.user to a user of its own")
    return SandboxUser(entry.pw_uid, entry.pw_gid, switched=True)


def confined(argv: Sequence[str], account: SandboxUser, settings: GdbSettings) -> list[str]:
    """The command line that runs `argv` as that account, at idle priority, without network, under the limits."""
    limits = [
        f"--as={settings.address_space}",
        f"--cpu={int(settings.time)}",
        f"--fsize={settings.output}",
        "--core=0",
        f"--nofile={_MOST_DESCRIPTORS}",
        *([f"--nproc={_MOST_PROCESSES}"] if account.switched else []),
    ]
    network = ["unshare", "--net", "--"] if account.switched and _may_unshare() else []
    return [*IDLE, *network, *_setpriv(account), "prlimit", *limits, *argv]


def _children() -> Iterator[int]:
    for task in os.listdir("/proc/self/task"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile
            yield from map(int, Path(f"/proc/self/task/{task}/children").read_text().split())


def _runs_as(pid: int, account: SandboxUser) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return f"\nUid:\t{account.uid}\t" in Path(f"/proc/{pid}/status").read_text()
    return False


def _setpriv(account: SandboxUser) -> list[str]:
    always = ["setpriv", "--no-new-privs", "--pdeathsig=KILL"]
    if not account.switched:
        return always
    ids = [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
    return [*always, *ids, "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]


@cache
def _may_unshare() -> bool:
    """In the unit the network is gone already, and the capability to leave it as well."""
    found = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return bool(found and int(found[1], 16) >> _CAP_SYS_ADMIN & 1)


@cache
def _others_may_enter(directory: str) -> bool:
    """Whether a stranger can walk to `directory`; follows links as the kernel would."""
    real = os.path.realpath(directory)
    if not os.stat(real).st_mode & stat.S_IXOTH:
        return False
    return real == "/" or _others_may_enter(os.path.dirname(real))
