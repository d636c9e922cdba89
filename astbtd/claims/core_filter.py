"""Looks at one file and decides: a complete core of Asterisk, one still being written, or none of our business.

The file is opened once and never by name again, so what was checked is what is used. Of a packed core only the
beginning is unpacked here: enough to know the program, not enough to know whether the core was met elsewhere.
"""

import errno
import fcntl
import os
import signal
import stat
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from enum import Enum, auto

from astbtd.claims.hard_links import open_directory
from astbtd.elf import core_notes, headers
from astbtd.lib import mounts
from astbtd.lib.quantities import shown_size
from astbtd.lib.safe_open import reopened
from astbtd.model.crash import CoreFacts, IdentityFrom, Source
from astbtd.sources.collectors.apport_report import Malformed
from astbtd.sources.collectors.collector import Collector, CollectorMetadata, InconsistentMetadata, attested
from astbtd.sources.decompression import DamagedStream
from astbtd.sources.packed_core import LazyPrefix, packing

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

_DEBUGGERS = ("gdb", "lldb")  # gdb-minimal, gdb-multiarch, gdb-15, gdbserver, ...
_LONGEST_START = 18  # bytes of an ELF header that tell its type
_LARGEST = 1 << 40  # bytes, holes among them; a file of nothing but holes may claim to be millions of times as large
_STANDSTILL = 60.0  # seconds without a change after which a core is taken for as long as it will ever be
_AHEAD = 3600.0  # seconds by which a file server's clock may be ahead of ours
_UNSUPPORTED = (errno.EINVAL, errno.EACCES, errno.EPERM, errno.EOPNOTSUPP, errno.ENOLCK)


@dataclass(frozen=True)
class Candidate:
    """A complete core of Asterisk, open at `descriptor`; the receiver closes it.

    Of one that is packed in another file the facts are what its beginning tells, and its identity is that file's.
    """

    descriptor: int
    directory: str
    name: str
    facts: CoreFacts
    source: Source = Source.FILE
    packed: bool = False

    @property
    def path(self) -> str:
        return os.path.join(self.directory, self.name)


@dataclass(frozen=True)
class RefusedFile:
    """A file that looks like a core and is left alone, with the reason to tell people."""

    path: str
    reason: str


@dataclass(frozen=True)
class StillWritten:
    """A core that somebody still writes, where that is certain open at `descriptor`; the receiver closes it."""

    path: str
    descriptor: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class NotACoreFile:
    """A file that is no core."""


Finding = Candidate | RefusedFile | StillWritten | NotACoreFile


@dataclass(frozen=True)
class CoreFilter:
    """How files are judged: `executables` are the names of Asterisk, None for any program.

    `links` is how many names a core may have. `collector` is whose collection the files are in. With `empty_counts` an
    empty file that is being written counts as a core that is.
    """

    executables: Collection[str] | None
    links: int = 1
    collector: Collector | None = None
    empty_counts: bool = False

    def examine(self, directory: str, name: str, seen: os.stat_result | None = None) -> Finding:
        """What the file `name` in or below `directory` is; to look at again if it is not the one `seen`."""
        path = os.path.join(directory, name)
        try:
            handle = _handle(directory, name)
        except FileNotFoundError:
            return StillWritten(path) if seen else NotACoreFile()
        except OSError as error:
            return RefusedFile(path, f"it cannot be reached: {error.strerror}") if self.collector else NotACoreFile()
        try:
            replaced = seen and not os.path.samestat(os.fstat(handle), seen)
            return StillWritten(path) if replaced else self._examine_handle(handle, directory, name)
        except OSError as error:
            return RefusedFile(path, f"it cannot be read: {error.strerror}")
        finally:
            os.close(handle)

    def examine_open(self, descriptor: int, directory: str, name: str) -> Finding:
        """What the open file is that had this name; it is closed unless the finding has it."""
        finding: Finding = NotACoreFile()
        try:
            finding = self._judge(descriptor, directory, name)
        except OSError as error:
            finding = RefusedFile(os.path.join(directory, name), f"it cannot be read: {error.strerror}")
        finally:
            if getattr(finding, "descriptor", None) is None:
                os.close(descriptor)
        return finding

    def _examine_handle(self, handle: int, directory: str, name: str) -> Finding:
        mode = os.fstat(handle).st_mode
        if not stat.S_ISREG(mode):
            strange = (self.collector or name.startswith("core")) and not stat.S_ISDIR(mode)
            return RefusedFile(os.path.join(directory, name), "it is no regular file") if strange else NotACoreFile()
        return self.examine_open(reopened(handle), directory, name)

    def _judge(self, descriptor: int, directory: str, name: str) -> Finding:
        path = os.path.join(directory, name)
        look = _look(descriptor)
        if look is _Look.OTHER or (look is _Look.EMPTY and not self.empty_counts):
            return NotACoreFile()
        written = being_written(descriptor)
        if written:
            return (
                StillWritten(path, descriptor)
                if look is not _Look.PACKED or _may_hold_a_core(descriptor)
                else NotACoreFile()
            )
        if written is None and _changed_lately(descriptor) and _lacks_something(descriptor):
            return StillWritten(path)
        if look is _Look.EMPTY:
            return NotACoreFile()
        if os.fstat(descriptor).st_size > _LARGEST:
            return RefusedFile(path, f"it is larger than any core, {shown_size(_LARGEST)}")
        if os.fstat(descriptor).st_nlink > self.links:
            return RefusedFile(path, "it has another name as well (a hard link)")
        try:
            return self._as_core(descriptor, directory, name, packed=look is _Look.PACKED)
        except (core_notes.NotACore, DamagedStream, Malformed) as error:
            return RefusedFile(path, f"it is damaged: {error}")
        except InconsistentMetadata as error:
            return RefusedFile(path, str(error))

    def _as_core(self, descriptor: int, directory: str, name: str, *, packed: bool) -> Finding:
        status = os.fstat(descriptor)
        facts = _beginning(descriptor, status) if packed else core_notes.read_facts(descriptor)
        if facts is None:
            return NotACoreFile()
        if reason := not_ours(facts, self.executables):  # which is what a collection is full of
            return NotACoreFile() if self.collector else RefusedFile(os.path.join(directory, name), reason)
        told = self.collector.testimony(descriptor, directory, name) if self.collector else CollectorMetadata()
        return Candidate(
            descriptor,
            directory,
            name,
            attested(facts, told, status.st_mtime),
            self.collector.source if self.collector else Source.FILE,
            packed,
        )


def examine(directory: str, name: str, executables: Collection[str] | None, links: int = 1) -> Finding:
    """What the file `name` in `directory` is, as an `CoreFilter` sees it."""
    return CoreFilter(executables, links).examine(directory, name)


def _handle(directory: str, name: str) -> int:
    """A descriptor of the file itself; no link is followed on the way there."""
    *between, last = name.split("/")
    parent = open_directory(directory, os.O_PATH)
    try:
        for part in between:
            child = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            os.close(parent)
            parent = child
        return os.open(last, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    finally:
        os.close(parent)


def _may_hold_a_core(descriptor: int) -> bool:
    """Whether a packed file that is still being written begins as a core, as far as can be told: most are logs."""
    packed = packing(descriptor)
    try:
        start = LazyPrefix(packed.content()).read(0, _LONGEST_START) if packed else b""
    except (DamagedStream, Malformed):
        return False
    return len(start) < _LONGEST_START or _begins_as_a_core(start)


def _beginning(descriptor: int, status: os.stat_result) -> CoreFacts | None:
    """What the beginning of a packed core tells; None if what is packed there is no core."""
    packed = packing(descriptor)
    assert packed is not None
    content = LazyPrefix(packed.content())
    if not _begins_as_a_core(content.read(0, _LONGEST_START)):
        return None
    facts = core_notes.facts_of(content.read, status)
    identity = core_notes.file_identity(status)
    return replace(facts, truncated=False, identity=identity, identity_from=IdentityFrom.FILE)


def being_written(descriptor: int) -> bool | None:
    """Whether anybody has the file open for writing, the dumping kernel included; None where that cannot be told.

    Asks with a read lease, which fcntl(2) grants only when nobody writes. It is no answer where others change the file
    system: FUSE grants it whoever writes behind, NFS refuses it for want of a delegation, with the same EAGAIN.
    """
    if not mounts.inotify_sees(mounts.type_of(os.readlink(f"/proc/self/fd/{descriptor}"))):
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


def _changed_lately(descriptor: int) -> bool:
    return -_AHEAD < time.time() - os.fstat(descriptor).st_mtime < _STANDSTILL


def _lacks_something(descriptor: int) -> bool:
    try:
        return core_notes.read_facts(descriptor).truncated
    except core_notes.NotACore:
        return True


class _Look(Enum):
    """What the first bytes of a file look like."""

    CORE = auto()
    PACKED = auto()
    EMPTY = auto()
    OTHER = auto()


def _look(descriptor: int) -> _Look:
    """Reads no more than the first bytes: most files in a watched directory are no cores."""
    start = os.pread(descriptor, _LONGEST_START, 0)
    if not start:
        return _Look.EMPTY
    if _begins_as_a_core(start):
        return _Look.CORE
    return _Look.PACKED if packing(descriptor) else _Look.OTHER


def _begins_as_a_core(start: bytes) -> bool:
    if len(start) < _LONGEST_START or start[:4] != b"\x7fELF":
        return False
    return int.from_bytes(start[16:18], "little" if start[5] == 1 else "big") == headers.FileType.CORE


def not_ours(facts: CoreFacts, executables: Collection[str] | None) -> str | None:
    """Why this core is not a crash of Asterisk, None if it is one."""
    program = facts.process.executable or ""
    name = os.path.basename(program)
    modules = {os.path.basename(path) for path in facts.objects}
    if executables is None:
        return None
    if name.startswith(_DEBUGGERS):
        return f"it is a core of a debugger, {program}"
    if name not in executables and not modules & _MODULES:
        return f"it is a core of {program or 'an unknown program'}, not of Asterisk"
    if core_notes.is_snapshot(facts):
        return "it is a snapshot of a process that lived on, as gcore makes, not a crash"
    return None
