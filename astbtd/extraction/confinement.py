"""How a debugger is started so that it can harm nothing: who it runs as and what it may take.

The tools are util-linux's (setpriv, prlimit, unshare, ionice, chrt), each of which becomes the next by exec, so that
nothing of ours runs between fork and exec.
"""

import os
import pwd
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.settings import GdbSettings

IDLE = ("chrt", "--idle", "0", "ionice", "--class", "idle", "nice", "-n", "19")
"""What starts a program so that it takes only what nobody else wants."""

_MOST_DESCRIPTORS = 1024
_MOST_PROCESSES = 32
_CAP_SYS_ADMIN = 21


@dataclass(frozen=True)
class Account:
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


def account(user: str) -> Account:
    """The account that gdb runs as: `user` where we are root, else ourselves. Raises AstbtdError if it is missing."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switched=False)
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
    return Account(entry.pw_uid, entry.pw_gid, switched=True)


def confined(argv: Sequence[str], account: Account, settings: GdbSettings) -> list[str]:
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
    return [*network, *_setpriv(account), "prlimit", *limits, *IDLE, *argv]


def _setpriv(account: Account) -> list[str]:
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
