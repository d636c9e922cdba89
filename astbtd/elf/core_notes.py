"""Reads what a Linux core file says about the process that died.

Sources: the kernel's fs/binfmt_elf.c and include/linux/elfcore.h for the notes and their layouts.
"""

import hashlib
import os
import signal as signals
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from astbtd.elf import headers
from astbtd.elf.core_memory import NT_FILE, CoreMemory, Mapping, mappings
from astbtd.elf.stack_fingerprint import crash_site
from astbtd.model.crash import CoreFacts, IdentityFrom, Process, Signal

_PT_LOAD = 1
_PF_X = 1
_NT_PRSTATUS, _NT_PRPSINFO, _NT_AUXV = 1, 3, 6
_NT_SIGINFO = 0x53494749
_WANTED = frozenset((_NT_PRSTATUS, _NT_PRPSINFO, _NT_AUXV, NT_FILE, _NT_SIGINFO))
_AT_ENTRY, _AT_RANDOM = 9, 25
_FAULTS = frozenset((signals.SIGSEGV, signals.SIGBUS, signals.SIGILL, signals.SIGFPE, signals.SIGTRAP))
_DUMPING = frozenset(  # the signals whose default action is "Core" in signal(7)
    (
        *_FAULTS,
        signals.SIGABRT,
        signals.SIGQUIT,
        signals.SIGSYS,
        signals.SIGXCPU,
        signals.SIGXFSZ,
    )
)
_RANDOM_BYTES = 16
_LAST_MOMENT = datetime(9999, 1, 1, tzinfo=UTC).timestamp()  # times near the end of what Python knows break in zones


class NotACore(ValueError):
    """The file is no ELF core."""


@dataclass
class _Notes:
    """The wanted notes of a core; of NT_PRSTATUS only the first, the crashed thread's."""

    content: dict[int, bytes] = field(default_factory=dict)

    def unpack(self, kind: int, layout: str, offset: int) -> int | None:
        content = self.content.get(kind, b"")
        if len(content) < offset + struct.calcsize(layout):
            return None
        return int(struct.unpack_from(layout, content, offset)[0])


def read_facts(descriptor: int) -> CoreFacts:
    """The facts in the core open at `descriptor`. Raises NotACore."""
    return facts_of(headers.file_reader(descriptor), os.fstat(descriptor))


def facts_of(read: headers.Read, status: os.stat_result) -> CoreFacts:
    """The facts in a core, as far as `read` gives it; `status` is that of its file. Raises NotACore."""
    try:
        header = headers.read_header(read)
    except headers.NotElf as error:
        raise NotACore(str(error)) from error
    if header.type != headers.FileType.CORE:
        raise NotACore("an ELF file, but no core")
    return _Core(header, read, status).facts()


def is_snapshot(facts: CoreFacts) -> bool:
    """Whether the process lived on: gcore writes no signal, or the one that stopped the process for it."""
    return facts.signal is None or facts.signal.number not in _DUMPING


def file_identity(status: os.stat_result) -> str:
    """The identity of a file, whatever is in it."""
    return _digest(f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}".encode())


class _Core:
    """One core file while it is being read."""

    def __init__(self, header: headers.Header, read: headers.Read, status: os.stat_result) -> None:
        self._header = header
        self._read = read
        self._status = status
        self._loads = [segment for segment in header.segments if segment.type == _PT_LOAD and segment.file_size]
        self._notes = _wanted_notes(headers.notes(header, read))
        self._memory = CoreMemory(header, read)
        self._mappings = mappings(self._notes.content.get(NT_FILE, b""), header)
        self._auxv = _auxv(self._notes.content.get(_NT_AUXV, b""), header)

    def facts(self) -> CoreFacts:
        process = self._process()
        identity, identity_from = self._identity(process.pid)
        return CoreFacts(
            identity=identity,
            identity_from=identity_from,
            crashed_at=_moment(self._status.st_mtime_ns // 1_000_000 / 1000),
            size=self._status.st_size,
            truncated=self._truncated(),
            process=process,
            signal=self._signal(),
            objects=tuple(dict.fromkeys(mapping.path for mapping in self._mappings)),
            site=self._site(),
        )

    def _site(self) -> str | None:
        if not self._header.wide or self._header.order != "<":
            return None
        segments = self._header.segments
        executable = {each.address for each in segments if each.type == _PT_LOAD and each.flags & _PF_X}
        code = sorted((each for each in self._mappings if each.start in executable), key=lambda each: each.start)
        status = self._notes.content.get(_NT_PRSTATUS, b"")
        return crash_site(self._header.machine, status, self._signal(), code, self._memory.read)

    def _truncated(self) -> bool:
        return any(segment.offset + segment.file_size > self._status.st_size for segment in self._loads)

    def _process(self) -> Process:
        notes, order = self._notes, self._header.order
        executable = self._executable()
        program = executable.path if executable else None
        layout = _INFO_LAYOUTS.get((self._header.wide, len(notes.content.get(_NT_PRPSINFO, b""))))
        tid = _positive(notes.unpack(_NT_PRSTATUS, order + "i", 32 if self._header.wide else 24))
        if layout is None:
            return Process(pid=tid, tid=tid, executable=program)
        arguments = notes.content[_NT_PRPSINFO][layout.arguments :].split(b"\0")[0]
        return Process(
            pid=_positive(notes.unpack(_NT_PRPSINFO, order + "i", layout.pid)),
            tid=tid,
            uid=notes.unpack(_NT_PRPSINFO, order + layout.id_format, layout.uid),
            gid=notes.unpack(_NT_PRPSINFO, order + layout.id_format, layout.gid),
            executable=program,
            build_id=self._memory.build_id(executable) if executable else None,
            command_line=arguments.decode(errors="replace").strip() or None,
        )

    def _executable(self) -> Mapping | None:
        """The first mapping of the file that holds the program's entry point."""
        entry = self._auxv.get(_AT_ENTRY)
        holder = next((m for m in self._mappings if entry is not None and m.start <= entry < m.end), None)
        if holder is None:
            return self._mappings[0] if self._mappings else None
        return next(mapping for mapping in self._mappings if mapping.path == holder.path)

    def _signal(self) -> Signal | None:
        order, notes = self._header.order, self._notes
        number = notes.unpack(_NT_SIGINFO, order + "i", 0) or notes.unpack(_NT_PRSTATUS, order + "h", 12)
        if not number:
            return None
        code = notes.unpack(_NT_SIGINFO, order + "i", 8)
        address = notes.unpack(
            _NT_SIGINFO, order + ("Q" if self._header.wide else "I"), 16 if self._header.wide else 12
        )
        faulted = number in _FAULTS and code is not None and code > 0 and address is not None
        return Signal(number, _signal_name(number), code, f"{address:#x}" if faulted else None)

    def _identity(self, pid: int | None) -> tuple[str, IdentityFrom]:
        at = self._auxv.get(_AT_RANDOM)
        random = self._memory.read(at, _RANDOM_BYTES) if at else b""
        if pid is not None and len(random) == _RANDOM_BYTES:
            return _digest(b"%d:" % pid + random), IdentityFrom.AT_RANDOM
        return file_identity(self._status), IdentityFrom.FILE


@dataclass(frozen=True)
class _InfoLayout:
    """Where NT_PRPSINFO has its fields."""

    uid: int
    gid: int
    pid: int
    arguments: int
    id_format: str


_INFO_LAYOUTS = {  # by pointer size and size of the note
    (True, 136): _InfoLayout(16, 20, 24, 56, "I"),
    (False, 124): _InfoLayout(8, 10, 12, 44, "H"),
    (False, 128): _InfoLayout(8, 12, 16, 48, "I"),
}


def _wanted_notes(notes: Iterable[headers.Note]) -> _Notes:
    found = _Notes()
    for note in notes:
        if note.type in _WANTED and note.owner == b"CORE":
            found.content.setdefault(note.type, note.content)
            if len(found.content) == len(_WANTED):
                break
    return found


def _auxv(content: bytes, header: headers.Header) -> dict[int, int]:
    layout = struct.Struct(header.order + ("QQ" if header.wide else "II"))
    whole = len(content) - len(content) % layout.size
    return dict(layout.iter_unpack(content[:whole]))


def _moment(seconds: float) -> datetime:
    """A file's time, which its owner can set to anything."""
    if not 0 <= seconds < _LAST_MOMENT:
        raise NotACore(f"its modification time, {seconds:.0f} s after 1970, is no time of a crash")
    return datetime.fromtimestamp(seconds, UTC)


def _positive(number: int | None) -> int | None:
    return number if number is not None and number > 0 else None


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]
