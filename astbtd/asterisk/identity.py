"""Decide whether a process is the PBX. No other module decides it.

A process with the name of Asterisk is the PBX unless it is shown to be foreign: its user is not a known user of the
PBX, or its executable can be replaced by a user who is not. Any user can run a program called asterisk, so a process
never proves by itself what it is: the known users come from what root has configured or started (`pbx_users`).
"""

import grp
import os
import pwd
import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from astbtd.asterisk import asterisk_processes, pbx_users
from astbtd.asterisk.asterisk_processes import RunningAsterisk
from astbtd.asterisk.pbx_users import IdentitySettings
from astbtd.lib.mounts import Mounts

_PROC = Path("/proc")
_SET_ID = stat.S_ISUID | stat.S_ISGID


@dataclass(frozen=True)
class ForeignProcess:
    """A running process with the name of Asterisk that is not the PBX. `user` is as in the setting `asterisk.users`."""

    pid: int
    user: str
    reason: str


@dataclass(frozen=True)
class PbxIdentity:
    """The uids that the PBX runs as; None if every user is accepted."""

    users: frozenset[int] | None = frozenset((0,))

    def is_known(self, uid: int | None) -> bool:
        """Return whether a user may be the PBX's. An unknown uid is not shown to be foreign."""
        return self.users is None or uid is None or uid in self.users

    def foreign_crash_reason(self, uid: int | None, owner: int | None, executable: str | None) -> str | None:
        """Return why a crash is foreign, None if it is the PBX's.

        `uid` is that in the notes of the core. In a user namespace it is chosen by the user who made the namespace, so
        the `owner` of the core file counts as well; None if that says nothing about the process. `executable` is the
        path in the core.
        """
        for user in (uid, owner):
            if not self.is_known(user):
                return _unknown_user(user)
        return self._executable_reason(executable) if executable else None

    def foreign_process_reason(self, pid: int) -> str | None:
        """Return why a running process is foreign, None if it is the PBX.

        A set-user-ID program is foreign: whoever started it decides what it works on.
        """
        try:
            uids = pbx_users.process_ids(pid, "Uid")
            gids = pbx_users.process_ids(pid, "Gid")
        except OSError as error:
            return f"its user cannot be read: {error.strerror}"
        for uid in uids:
            if not self.is_known(uid):
                return _unknown_user(uid)
        if len(uids) > 1 or len(gids) > 1:
            return "it runs with the rights of two users (set-user-ID)"
        return self._process_executable_reason(pid)

    def is_known_process(self, pid: int) -> bool:
        """Return whether a process runs as a known user of the PBX, whatever its program."""
        try:
            return all(map(self.is_known, pbx_users.process_ids(pid, "Uid")))
        except OSError:
            return False

    def running_asterisks(self, executables: Collection[str]) -> tuple[RunningAsterisk, ...]:
        """Return the running Asterisks that are the PBX, ordered by pid."""
        running = asterisk_processes.running_asterisks(executables)
        return tuple(process for process in running if self.foreign_process_reason(process.pid) is None)

    def foreign_processes(self, executables: Collection[str]) -> Iterator[ForeignProcess]:
        """Yield the running processes with the name of Asterisk that are not the PBX."""
        for pid in asterisk_processes.running_pids(executables):
            reason = self.foreign_process_reason(pid)
            if reason is not None:
                yield ForeignProcess(pid, _process_user(pid), reason)

    def _process_executable_reason(self, pid: int) -> str | None:
        link = _PROC / str(pid) / "exe"
        try:
            path = os.readlink(link)
            if Mounts.current().remote_mount(path):  # any access may block
                return None
            status = os.stat(link)
            on_host = os.path.samestat(status, os.stat(path))
        except OSError:
            return None
        if status.st_mode & _SET_ID:
            return f"its executable {path} is set-user-ID or set-group-ID"
        if on_host:
            return self._executable_reason(path)
        return self._writer_reason(path, path, status)

    def _executable_reason(self, executable: str) -> str | None:
        """Return why an executable, by its path on the host, does not prove the PBX; None if nothing speaks against it.

        An executable that is gone, or on a file system that may not respond, says nothing.
        """
        mounts = Mounts.current()
        path = mounts.resolve_links(executable)
        if self.users is None or not path.startswith("/") or mounts.remote_mount(path):
            return None
        try:
            for entry in _entry_and_parents(path):
                status = os.stat(entry)
                if entry == path and status.st_mode & _SET_ID:
                    return f"its executable {path} is set-user-ID or set-group-ID"
                if reason := self._writer_reason(executable, entry, status):
                    return reason
        except OSError:
            pass
        return None

    def _writer_reason(self, executable: str, entry: str, status: os.stat_result) -> str | None:
        """Return who can write the executable, or replace it by writing a directory above it; None if nobody can.

        In a sticky directory, only the owners of an entry and of the directory can replace it.
        """
        writers: list[int | None] = [status.st_uid]
        if not (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
            if status.st_mode & stat.S_IWOTH:
                return f"its executable {executable} can be written by everybody ({entry})"
            if status.st_mode & stat.S_IWGRP:
                writers += _group_members(status.st_gid)
        for uid in writers:
            if not self.is_known(uid):
                return f"its executable {executable} can be written by {_user_name(uid)} ({entry})"
        return None


def find_identity(settings: IdentitySettings, memory: Path | None = None) -> PbxIdentity:
    """Return the identity of the PBX on this machine.

    The known users are remembered in the file `memory`, so that the answer is the same while Asterisk is down.
    """
    return PbxIdentity(pbx_users.find_users(settings, memory))


def _process_user(pid: int) -> str:
    try:
        uid = pbx_users.process_ids(pid, "Uid")[0]
    except (OSError, IndexError):
        return "its user"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _unknown_user(uid: int | None) -> str:
    return f"{_user_name(uid)} is not a known user of the PBX"


def _user_name(uid: int | None) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}" if uid is not None else "an unknown user"
    except KeyError:
        return f"user {uid}"


def _entry_and_parents(path: str) -> Iterator[str]:
    yield path
    while path != "/":
        path = os.path.dirname(path)
        yield path


def _group_members(gid: int) -> list[int]:
    """Return the uids of the members of a group. A group without members gives nobody access."""
    try:
        names = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        names = set()
    accounts = pwd.getpwall()
    return [account.pw_uid for account in accounts if account.pw_gid == gid or account.pw_name in names]
