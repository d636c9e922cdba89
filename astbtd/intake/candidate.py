"""Looks at one file and decides: a complete core of Asterisk, one still being written, or none of our business.

The file is opened once and never by name again, so what was checked is what is used.
"""

import errno
import fcntl
import os
import signal
import stat
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

from astbtd import elf
from astbtd.intake import corefile, file_system
from astbtd.model import CoreFacts

_MODULES = frozenset(  # modules that practically every Asterisk loads, whatever its executable is called
    (
        "app_dial.so",
        "app_queue.so",
        "app_voicemail.so",
        "chan_pjsip.so",
        "func_callerid.so",
        "pbx_config.so",
        "res_musiconhold.so",
        "res_pjsip.so",
        "res_rtp_asterisk.so",
    )
)
ANY_NUMBER = 1 << 31
"""As many names as there may be."""

_DEBUGGERS = frozenset(("gdb", "gdb-minimal", "gdb-multiarch", "gdbserver", "lldb"))
_STANDSTILL = 60.0  # seconds without a change after which a core is taken for as long as it will ever be
_AHEAD = 3600.0  # seconds by which a file server's clock may be ahead of ours
_UNSUPPORTED = (errno.EINVAL, errno.EACCES, errno.EPERM, errno.EOPNOTSUPP, errno.ENOLCK)


@dataclass(frozen=True)
class Candidate:
    """A complete core of Asterisk, open at `descriptor`; the receiver closes it."""

    descriptor: int
    directory: str
    name: str
    facts: CoreFacts

    @property
    def path(self) -> str:
        return os.path.join(self.directory, self.name)


@dataclass(frozen=True)
class Refused:
    """A file that looks like a core and is left alone, with the reason to tell people."""

    path: str
    reason: str


@dataclass(frozen=True)
class NotYet:
    """A core that somebody still writes."""

    path: str


@dataclass(frozen=True)
class Nothing:
    """A file that is no core."""


Finding = Candidate | Refused | NotYet | Nothing


def examine(directory: str, name: str, executables: Collection[str] | None, links: int = 1) -> Finding:
    """What the file `name` in `directory` is.

    `executables` are the names of Asterisk, None for any program; `links` is how many names a core may have.
    """
    path = os.path.join(directory, name)
    try:
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return Nothing()
    try:
        return _examine_handle(handle, directory, name, executables, links)
    except OSError as error:
        return Refused(path, f"it cannot be read: {error.strerror}")
    finally:
        os.close(handle)


def _examine_handle(handle: int, directory: str, name: str, executables: Collection[str] | None, links: int) -> Finding:
    status = os.fstat(handle)
    path = os.path.join(directory, name)
    if not stat.S_ISREG(status.st_mode):
        strange = name.startswith("core") and not stat.S_ISDIR(status.st_mode)
        return Refused(path, "it is no regular file") if strange else Nothing()
    descriptor = os.open(f"/proc/self/fd/{handle}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    finding: Finding = Nothing()
    try:
        finding = _examine_open(descriptor, directory, name, executables, links)
    finally:
        if not isinstance(finding, Candidate):
            os.close(descriptor)
    return finding


def _examine_open(
    descriptor: int, directory: str, name: str, executables: Collection[str] | None, links: int
) -> Finding:
    path = os.path.join(directory, name)
    if not _looks_like_a_core(descriptor):
        return Nothing()
    if _is_unfinished(descriptor):
        return NotYet(path)
    if os.fstat(descriptor).st_nlink > links:
        return Refused(path, "it has another name as well (a hard link)")
    try:
        facts = corefile.read_facts(descriptor)
    except corefile.NotACore as error:
        return Refused(path, f"it is damaged: {error}")
    if reason := _not_ours(facts, executables):
        return Refused(path, reason)
    return Candidate(descriptor, directory, name, facts)


def being_written(descriptor: int) -> bool | None:
    """Whether anybody has the file open for writing, the dumping kernel included; None where that cannot be told.

    Asks with a read lease, which fcntl(2) grants only when nobody writes. It is no answer where others change the file
    system: FUSE grants it whoever writes behind, NFS refuses it for want of a delegation, with the same EAGAIN.
    """
    if not file_system.inotify_sees(file_system.type_of(os.readlink(f"/proc/self/fd/{descriptor}"))):
        return None
    fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # a broken lease must not kill us: SIGURG is ignored
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            return True
        if error.errno in _UNSUPPORTED:
            return None
        raise
    with suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def _is_unfinished(descriptor: int) -> bool:
    """Where nobody can tell who writes: whether a core that lacks what its headers promise may yet get it."""
    written = being_written(descriptor)
    return written if written is not None else _changed_lately(descriptor) and _lacks_something(descriptor)


def _changed_lately(descriptor: int) -> bool:
    return -_AHEAD < time.time() - os.fstat(descriptor).st_mtime < _STANDSTILL


def _lacks_something(descriptor: int) -> bool:
    try:
        return corefile.read_facts(descriptor).truncated
    except corefile.NotACore:
        return True


def _looks_like_a_core(descriptor: int) -> bool:
    """Reads no more than the first bytes: most files in a watched directory are no cores."""
    start = os.pread(descriptor, 18, 0)
    if len(start) < 18 or start[:4] != b"\x7fELF":
        return False
    return int.from_bytes(start[16:18], "little" if start[5] == 1 else "big") == elf.FileType.CORE


def _not_ours(facts: CoreFacts, executables: Collection[str] | None) -> str | None:
    """Why this core is not a crash of Asterisk, None if it is one."""
    program = facts.process.executable or ""
    name = os.path.basename(program)
    modules = {os.path.basename(path) for path in facts.objects}
    if executables is None:
        return None
    if name in _DEBUGGERS:
        return f"it is a core of a debugger, {program}"
    if name not in executables and not modules & _MODULES:
        return f"it is a core of {program or 'an unknown program'}, not of Asterisk"
    if corefile.is_snapshot(facts):
        return "it is a snapshot of a process that lived on, as gcore makes, not a crash"
    return None
