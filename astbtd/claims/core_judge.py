"""Judge the content of one open file: is it a core of Asterisk, and is it complete?

Of a packed core only the beginning is unpacked here: enough to find the program, not enough to find the core's
identity. All reading is charged to a budget.
"""

import os
import time
from collections.abc import Collection
from dataclasses import dataclass, replace

from astbtd.claims.findings import Candidate, Finding, NotACoreFile, OtherCore, RefusedFile, StillWritten
from astbtd.claims.write_detection import is_being_written, may_still_grow
from astbtd.elf import core_notes, headers
from astbtd.lib.decompression import DamagedStream
from astbtd.lib.quantities import format_size
from astbtd.lib.read_budget import ReadBudget
from astbtd.model.crash import CoreFacts, IdentityFrom, Source
from astbtd.sources.collectors.apport_report import MalformedReport
from astbtd.sources.collectors.collector import Collector, CollectorMetadata, InconsistentMetadata, merge_metadata
from astbtd.sources.packed_core import LazyPrefix, PackedCore, detect_packing, may_be_packed

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
_DEBUGGERS = ("gdb", "lldb")  # prefixes: gdb-minimal, gdb-multiarch, gdb-15, gdbserver, ...
_HEADER_BYTES = 18  # the bytes of an ELF header up to the file type
_SECOND_NAME_SECONDS = 60.0  # for which a file may have two names before it is refused
_MAX_SIZE = 1 << 40  # bytes, holes included: a file of holes may claim to be millions of times larger


@dataclass(frozen=True)
class OpenFile:
    """A file that is open at `descriptor`, and where it was found."""

    descriptor: int
    directory: str
    name: str

    @property
    def path(self) -> str:
        return os.path.join(self.directory, self.name)

    def start(self) -> bytes:
        """Return the first bytes: most files in a watched directory are not cores, and no more is read of them."""
        return os.pread(self.descriptor, _HEADER_BYTES, 0)

    def may_be_core(self, *, empty_counts: bool) -> bool:
        """Return whether the file begins like a core or a packed file, or is empty and that counts."""
        start = self.start()
        return _is_core_header(start) or may_be_packed(start) if start else empty_counts


@dataclass(frozen=True)
class CoreJudge:
    """Judges one file within a budget. The other fields are as in `CoreFilter`."""

    executables: Collection[str] | None
    links: int
    collector: Collector | None
    budget: ReadBudget

    def judge(self, file: OpenFile) -> Finding:
        """Judge a file that may be a core. Raises BudgetExceeded, OSError."""
        start = file.start()
        packing = detect_packing(file.descriptor, self.budget) if may_be_packed(start) else None
        if start and not packing and not _is_core_header(start):
            return NotACoreFile()
        is_written = is_being_written(file.descriptor)
        if is_written and packing and not _may_contain_core(packing):
            return NotACoreFile()
        if is_written:
            return StillWritten(file.path, file.descriptor)
        if is_written is None and may_still_grow(file.descriptor, self._reader(file)):
            return StillWritten(file.path)
        return self._judge_complete(file, packing) if start else NotACoreFile()

    def _judge_complete(self, file: OpenFile, packing: PackedCore | None) -> Finding:
        status = os.fstat(file.descriptor)
        if status.st_size > _MAX_SIZE:
            return RefusedFile(file.path, f"it is larger than any core, {format_size(_MAX_SIZE)}")
        if status.st_nlink > self.links:
            if abs(time.time() - status.st_ctime) < _SECOND_NAME_SECONDS:
                # Somebody moves it with `ln` and `rm`, or it gets its name back. It is not held open: its other name
                # keeps it, and the name examined here may be that of the next core by then.
                return StillWritten(file.path)
            return RefusedFile(file.path, "it has another name as well (a hard link)")
        try:
            return self._judge_core(file, packing)
        except (core_notes.NotACore, DamagedStream, MalformedReport) as error:
            return RefusedFile(file.path, f"it is damaged: {error}")
        except InconsistentMetadata as error:
            return RefusedFile(file.path, str(error))

    def _judge_core(self, file: OpenFile, packing: PackedCore | None) -> Finding:
        status = os.fstat(file.descriptor)
        facts = (
            _read_packed_facts(packing, status) if packing else core_notes.facts_from_reader(self._reader(file), status)
        )
        if facts is None:
            return NotACoreFile()
        if reason := reason_to_refuse(facts, self.executables):
            # A collector stores the cores of all programs: it is normal that most are not Asterisk's.
            return NotACoreFile() if self.collector else _refuse(file.path, reason, facts)
        facts = merge_metadata(facts, self._metadata(file), status.st_mtime)
        source = self.collector.name if self.collector else Source.FILE
        return Candidate(file.descriptor, file.directory, file.name, facts, source, packed=packing is not None)

    def _metadata(self, file: OpenFile) -> CollectorMetadata:
        if self.collector is None:
            return CollectorMetadata()
        self.budget.charge(0)
        return self.collector.read_metadata(file.descriptor, file.directory, file.name)

    def _reader(self, file: OpenFile) -> headers.Read:
        return self.budget.positional(headers.file_reader(file.descriptor))


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


def _is_core_header(start: bytes) -> bool:
    if len(start) < _HEADER_BYTES or start[:4] != b"\x7fELF":
        return False
    is_little_endian = start[5] == 1
    return int.from_bytes(start[16:18], "little" if is_little_endian else "big") == headers.FileType.CORE


def _may_contain_core(packing: PackedCore) -> bool:
    """Return whether a packed file that is still being written may begin with a core. Most are rotated logs."""
    try:
        start = LazyPrefix(packing.content()).read(0, _HEADER_BYTES)
    except (DamagedStream, MalformedReport):
        return False
    return len(start) < _HEADER_BYTES or _is_core_header(start)


def _read_packed_facts(packing: PackedCore, status: os.stat_result) -> CoreFacts | None:
    """Return the facts from the beginning of a packed core, None if the file does not contain a core."""
    content = LazyPrefix(packing.content())
    if not _is_core_header(content.read(0, _HEADER_BYTES)):
        return None
    facts = core_notes.facts_from_reader(content.read, status)
    identity = core_notes.file_identity(status)
    return replace(facts, truncated=False, identity=identity, identity_from=IdentityFrom.FILE)
