"""Examine one file: is it a complete core of Asterisk, a core that is still being written, or none of the two?

The file is opened once and never again by its name, so that the file that was checked is the one that is used. Of a
packed core only the beginning is unpacked here: enough to find the program, not enough to find the core's identity.
"""

import errno
import os
import stat
import time
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, auto

from astbtd.claims.hard_links import open_directory
from astbtd.claims.write_detection import is_being_written, may_still_grow
from astbtd.elf import core_notes, headers
from astbtd.lib.decompression import DamagedStream
from astbtd.lib.files import reopen
from astbtd.lib.quantities import format_size
from astbtd.model.crash import CoreFacts, IdentityFrom, Source
from astbtd.sources.collectors.apport_report import MalformedReport
from astbtd.sources.collectors.collector import Collector, CollectorMetadata, InconsistentMetadata, merge_metadata
from astbtd.sources.packed_core import LazyPrefix, detect_packing

_ASTERISK_MODULES = frozenset(  # practically every Asterisk loads some of them, whatever its executable is called
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
"""No limit for the number of hard links."""

_DEBUGGERS = ("gdb", "lldb")  # prefixes: gdb-minimal, gdb-multiarch, gdb-15, gdbserver, ...
_HEADER_BYTES = 18  # the bytes of an ELF header up to the file type
_SECOND_NAME_SECONDS = 60.0  # for which a file may have two names before it is refused
_NEVER_OPENED = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENXIO, errno.ENODEV)
_MAX_SIZE = 1 << 40  # bytes, holes included: a file of holes may claim to be millions of times larger


@dataclass(frozen=True)
class Candidate:
    """A complete core of Asterisk, open at `descriptor`, which the receiver closes.

    If it is packed, `facts` are those from the beginning of the core, with the identity of the packed file.
    """

    descriptor: int
    directory: str
    name: str
    facts: CoreFacts
    source: str = Source.FILE
    packed: bool = False

    @property
    def path(self) -> str:
        return os.path.join(self.directory, self.name)


@dataclass(frozen=True)
class OtherCore:
    """A core of a program that is not Asterisk. The name may be that of the PBX's core, which it has replaced then."""

    path: str
    program: str
    pid: int | None
    crashed_at: datetime


@dataclass(frozen=True)
class RefusedFile:
    """A file that looks like a core and is not collected, with a reason for people."""

    path: str
    reason: str
    other: OtherCore | None = field(default=None, compare=False)


@dataclass(frozen=True)
class StillWritten:
    """A core that is still being written. If that is certain, it is open at `descriptor`, which the receiver closes."""

    path: str
    descriptor: int | None = field(default=None, compare=False)


@dataclass(frozen=True)
class NotACoreFile:
    """A file that is not a core."""


Finding = Candidate | RefusedFile | StillWritten | NotACoreFile


class _Content(Enum):
    """What the first bytes of a file look like."""

    CORE = auto()
    PACKED = auto()
    EMPTY = auto()
    OTHER = auto()


@dataclass(frozen=True)
class CoreFilter:
    """Examines files. `executables` are the names of Asterisk, None to accept any program.

    `links` is how many hard links a core may have. `collector` is the collector to which the directory belongs, if any.
    With `empty_counts`, an empty file that is open for writing is regarded as a core that is being written.
    """

    executables: Collection[str] | None
    links: int = 1
    collector: Collector | None = None
    empty_counts: bool = False

    def examine(self, directory: str, name: str, seen: os.stat_result | None = None) -> Finding:
        """Examine the file `name` in or below `directory`. If it is no longer the file `seen`, it is `StillWritten`.

        Raises OSError if the file cannot be opened or read now: that says nothing about what it is.
        """
        path = os.path.join(directory, name)
        try:
            handle = _open_path(directory, name)
        except FileNotFoundError:
            return StillWritten(path) if seen else NotACoreFile()
        except OSError as error:
            if error.errno not in _NEVER_OPENED:
                raise
            return RefusedFile(path, f"it cannot be opened: {error.strerror}") if self.collector else NotACoreFile()
        try:
            if seen and not os.path.samestat(os.fstat(handle), seen):
                return StillWritten(path)
            return self._examine_handle(handle, directory, name)
        except OSError as error:
            if error.errno not in _NEVER_OPENED:
                raise
            return RefusedFile(path, f"it cannot be read: {error.strerror}")
        finally:
            os.close(handle)

    def examine_open(self, descriptor: int, directory: str, name: str) -> Finding:
        """Examine an open file that had this name. It is closed unless the finding contains the descriptor.

        Raises OSError if it cannot be read now.
        """
        finding: Finding = NotACoreFile()
        try:
            finding = self._examine_content(descriptor, directory, name)
        finally:
            if getattr(finding, "descriptor", None) is None:
                os.close(descriptor)
        return finding

    def _examine_handle(self, handle: int, directory: str, name: str) -> Finding:
        mode = os.fstat(handle).st_mode
        if stat.S_ISREG(mode):
            return self.examine_open(reopen(handle), directory, name)
        looks_like_core = self.collector is not None or name.startswith("core")
        if looks_like_core and not stat.S_ISDIR(mode):
            return RefusedFile(os.path.join(directory, name), "it is not a regular file")
        return NotACoreFile()

    def _examine_content(self, descriptor: int, directory: str, name: str) -> Finding:
        path = os.path.join(directory, name)
        content = _detect_content(descriptor)
        if content is _Content.OTHER or (content is _Content.EMPTY and not self.empty_counts):
            return NotACoreFile()
        is_written = is_being_written(descriptor)
        if is_written and content is _Content.PACKED and not _may_contain_core(descriptor):
            return NotACoreFile()
        if is_written:
            return StillWritten(path, descriptor)
        if is_written is None and may_still_grow(descriptor):
            return StillWritten(path)
        if content is _Content.EMPTY:
            return NotACoreFile()
        return self._examine_complete(descriptor, directory, name, packed=content is _Content.PACKED)

    def _examine_complete(self, descriptor: int, directory: str, name: str, *, packed: bool) -> Finding:
        path = os.path.join(directory, name)
        status = os.fstat(descriptor)
        if status.st_size > _MAX_SIZE:
            return RefusedFile(path, f"it is larger than any core, {format_size(_MAX_SIZE)}")
        if status.st_nlink > self.links:
            if abs(time.time() - status.st_ctime) < _SECOND_NAME_SECONDS:
                # Somebody moves it with `ln` and `rm`, or it gets its name back. It is not held open: its other name
                # keeps it, and the name examined here may be that of the next core by then.
                return StillWritten(path)
            return RefusedFile(path, "it has another name as well (a hard link)")
        try:
            return self._examine_core(descriptor, directory, name, packed=packed)
        except (core_notes.NotACore, DamagedStream, MalformedReport) as error:
            return RefusedFile(path, f"it is damaged: {error}")
        except InconsistentMetadata as error:
            return RefusedFile(path, str(error))

    def _examine_core(self, descriptor: int, directory: str, name: str, *, packed: bool) -> Finding:
        status = os.fstat(descriptor)
        facts = _read_packed_facts(descriptor, status) if packed else core_notes.read_facts(descriptor)
        if facts is None:
            return NotACoreFile()
        if reason := reason_to_refuse(facts, self.executables):
            # A collector stores the cores of all programs: it is normal that most are not Asterisk's.
            return NotACoreFile() if self.collector else _refuse(os.path.join(directory, name), reason, facts)
        metadata = self.collector.read_metadata(descriptor, directory, name) if self.collector else CollectorMetadata()
        source = self.collector.name if self.collector else Source.FILE
        facts = merge_metadata(facts, metadata, status.st_mtime)
        return Candidate(descriptor, directory, name, facts, source, packed)


def examine(directory: str, name: str, executables: Collection[str] | None, links: int = 1) -> Finding:
    """Examine the file `name` in `directory` with a `CoreFilter`."""
    return CoreFilter(executables, links).examine(directory, name)


def reason_to_refuse(facts: CoreFacts, executables: Collection[str] | None) -> str | None:
    """Return why this core is not a crash of Asterisk, None if it is one."""
    if executables is None:
        return None
    program = facts.process.executable or ""
    name = os.path.basename(program)
    if name.startswith(_DEBUGGERS):
        return f"it is a core of a debugger, {program}"
    if name not in executables and not _has_asterisk_modules(facts):
        return f"it is a core of {program or 'an unknown program'}, not of Asterisk"
    if core_notes.is_snapshot(facts):
        return "it is a snapshot of a process that lived on, as gcore makes, not a crash"
    return None


def _refuse(path: str, reason: str, facts: CoreFacts) -> RefusedFile:
    process = facts.process
    return RefusedFile(path, reason, OtherCore(path, process.executable or "?", process.pid, facts.crashed_at))


def _has_asterisk_modules(facts: CoreFacts) -> bool:
    return not _ASTERISK_MODULES.isdisjoint(os.path.basename(path) for path in facts.objects)


def _open_path(directory: str, name: str) -> int:
    """Open the file itself with O_PATH, without following links in `name`."""
    *subdirectories, last = name.split("/")
    parent = open_directory(directory, os.O_PATH)
    try:
        for subdirectory in subdirectories:
            child = os.open(subdirectory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            os.close(parent)
            parent = child
        return os.open(last, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    finally:
        os.close(parent)


def _detect_content(descriptor: int) -> _Content:
    """Read only the first bytes: most files in a watched directory are not cores."""
    start = os.pread(descriptor, _HEADER_BYTES, 0)
    if not start:
        return _Content.EMPTY
    if _is_core_header(start):
        return _Content.CORE
    return _Content.PACKED if detect_packing(descriptor) else _Content.OTHER


def _is_core_header(start: bytes) -> bool:
    if len(start) < _HEADER_BYTES or start[:4] != b"\x7fELF":
        return False
    is_little_endian = start[5] == 1
    return int.from_bytes(start[16:18], "little" if is_little_endian else "big") == headers.FileType.CORE


def _may_contain_core(descriptor: int) -> bool:
    """Return whether a packed file that is still being written may begin with a core. Most are rotated logs."""
    packing = detect_packing(descriptor)
    try:
        start = LazyPrefix(packing.content()).read(0, _HEADER_BYTES) if packing else b""
    except (DamagedStream, MalformedReport):
        return False
    return len(start) < _HEADER_BYTES or _is_core_header(start)


def _read_packed_facts(descriptor: int, status: os.stat_result) -> CoreFacts | None:
    """Return the facts from the beginning of a packed core, None if the file does not contain a core."""
    packing = detect_packing(descriptor)
    assert packing is not None
    content = LazyPrefix(packing.content())
    if not _is_core_header(content.read(0, _HEADER_BYTES)):
        return None
    facts = core_notes.facts_from_reader(content.read, status)
    identity = core_notes.file_identity(status)
    return replace(facts, truncated=False, identity=identity, identity_from=IdentityFrom.FILE)
