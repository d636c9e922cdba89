"""Read the facts about a crashed process from the notes of a Linux core file.

Sources: the kernel's fs/binfmt_elf.c and include/linux/elfcore.h for the notes and their layouts.
"""

import hashlib
import os
import signal as signals
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate

from astbtd.elf import headers
from astbtd.elf.code_map import CodeMap
from astbtd.elf.core_memory import MAX_FILES, NT_FILE, CoreMemory, FileMapping, parse_file_mappings
from astbtd.elf.headers import PT_LOAD
from astbtd.elf.stack_fingerprint import compute_fingerprint
from astbtd.model.crash import CoreFacts, IdentityFrom, Process, SentBy, Signal

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
_PR_PID_OFFSET = {True: 32, False: 24}  # in NT_PRSTATUS, by whether the core is 64-bit
_SI_ADDR_OFFSET = {True: 16, False: 12}  # in NT_SIGINFO
_SI_PID_OFFSET = {True: 16, False: 12}  # si_uid follows it
_SENT_CODES = (0, -1, -6)  # SI_USER (kill), SI_QUEUE (sigqueue), SI_TKILL (tgkill)
_RANDOM_BYTES = 16
_MAX_PATHS = 1 << 20  # characters of their paths in all
_DIGEST_LENGTH = 32  # hexadecimal digits
# Python fails to convert times near the end of its range to some time zones.
_MAX_TIMESTAMP = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


class NotACore(ValueError):
    """The file is not an ELF core."""


@dataclass
class _Notes:
    """The wanted notes of a core by type. Of NT_PRSTATUS only the first is kept, that of the crashed thread."""

    content: dict[int, bytes] = field(default_factory=dict)

    def get(self, kind: int) -> bytes:
        return self.content.get(kind, b"")

    def unpack(self, kind: int, layout: str, offset: int) -> int | None:
        """Return a number in a note; None if the note is missing or too short."""
        content = self.get(kind)
        if len(content) < offset + struct.calcsize(layout):
            return None
        return int(struct.unpack_from(layout, content, offset)[0])


def read_facts(descriptor: int) -> CoreFacts:
    """Return the facts in the core open at `descriptor`. Raise NotACore."""
    return facts_from_reader(headers.file_reader(descriptor), os.fstat(descriptor))


def facts_from_reader(read: headers.Read, status: os.stat_result) -> CoreFacts:
    """Return the facts in a core that may be incomplete; `status` is that of its file. Raise NotACore."""
    try:
        header = headers.read_header(read)
    except headers.NotElf as error:
        raise NotACore(str(error)) from error
    if header.type != headers.FileType.CORE:
        raise NotACore("an ELF file, but not a core")
    return _Core(header, read, status).facts()


def is_snapshot(facts: CoreFacts) -> bool:
    """Return whether the process continued to run: gcore writes no signal, or the one that stopped the process."""
    return facts.signal is None or facts.signal.number not in _DUMPING


def file_identity(status: os.stat_result) -> str:
    """Return the identity of a file, regardless of its content."""
    return _digest(f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}".encode())


class _Core:
    """One core file while it is read."""

    def __init__(self, header: headers.Header, read: headers.Read, status: os.stat_result) -> None:
        self._header = header
        self._status = status
        self._loads = [segment for segment in header.segments if segment.type == PT_LOAD and segment.file_size]
        self._notes = _collect_notes(headers.read_notes(header, read))
        self._memory = CoreMemory(header, read)
        self._mappings = parse_file_mappings(self._notes.get(NT_FILE), header)
        self._auxv = _parse_auxv(self._notes.get(_NT_AUXV), header)

    def facts(self) -> CoreFacts:
        process = self._process()
        signal = self._signal()
        identity, identity_from = self._identity(process.pid)
        paths = tuple(dict.fromkeys(mapping.path for mapping in self._mappings))
        objects = _limit(paths)
        return CoreFacts(
            identity=identity,
            identity_from=identity_from,
            crashed_at=_crash_time(self._status),
            size=self._status.st_size,
            truncated=self._is_truncated(),
            process=process,
            signal=signal,
            sent_by=self._sender(process.pid),
            objects=objects,
            omitted=len(paths) - len(objects),
            site=self._fingerprint(signal),
        )

    def _fingerprint(self, signal: Signal | None) -> str | None:
        """Return the fingerprint of the stack, which is defined for 64-bit little-endian machines."""
        if not self._header.is_64bit or self._header.byte_order != "<":
            return None
        status = self._notes.get(_NT_PRSTATUS)
        code = CodeMap(self._header, self._mappings, self._memory)
        return compute_fingerprint(self._header.machine, status, signal, code.find, self._memory.read)

    def _is_truncated(self) -> bool:
        return any(segment.offset + segment.file_size > self._status.st_size for segment in self._loads)

    def _process(self) -> Process:
        notes, byte_order = self._notes, self._header.byte_order
        program = self._program()
        path = program.path if program else None
        tid = _positive_or_none(notes.unpack(_NT_PRSTATUS, byte_order + "i", _PR_PID_OFFSET[self._header.is_64bit]))
        info = notes.get(_NT_PRPSINFO)
        layout = _INFO_LAYOUTS.get((self._header.is_64bit, len(info)))
        if layout is None:
            return Process(pid=tid, tid=tid, executable=path)
        arguments = info[layout.arguments :].split(b"\0")[0]
        return Process(
            pid=_positive_or_none(notes.unpack(_NT_PRPSINFO, byte_order + "i", layout.pid)),
            tid=tid,
            uid=notes.unpack(_NT_PRPSINFO, byte_order + layout.id_format, layout.uid),
            gid=notes.unpack(_NT_PRPSINFO, byte_order + layout.id_format, layout.gid),
            executable=path,
            build_id=self._memory.build_id(program) if program else None,
            command_line=arguments.decode(errors="replace").strip() or None,
        )

    def _program(self) -> FileMapping | None:
        """Return the first mapping of the file that holds the entry point; without one, the first mapping."""
        entry = self._auxv.get(_AT_ENTRY)
        path = None if entry is None else self._path_at(entry)
        for mapping in self._mappings:
            if path is None or mapping.path == path:
                return mapping
        return None

    def _path_at(self, address: int) -> str | None:
        """Return the path of the file mapped at `address`."""
        for mapping in self._mappings:
            if mapping.start <= address < mapping.end:
                return mapping.path
        return None

    def _signal(self) -> Signal | None:
        notes, byte_order = self._notes, self._header.byte_order
        number = notes.unpack(_NT_SIGINFO, byte_order + "i", 0) or notes.unpack(_NT_PRSTATUS, byte_order + "h", 12)
        if not number:
            return None
        code = notes.unpack(_NT_SIGINFO, byte_order + "i", 8)
        return Signal(number, _signal_name(number), code, self._fault_address(number, code))

    def _sender(self, pid: int | None) -> SentBy | None:
        """Return the process that sent the signal; None if it is a fault, or if the process sent it to itself.

        abort() is a signal of the process to itself.
        """
        offset = _SI_PID_OFFSET[self._header.is_64bit]
        byte_order = self._header.byte_order
        code, sender, uid = (
            self._notes.unpack(_NT_SIGINFO, f"{byte_order}{layout}", at)
            for layout, at in (("i", 8), ("i", offset), ("I", offset + 4))
        )
        if code not in _SENT_CODES or sender is None or uid is None or sender == pid:
            return None
        return SentBy(sender, uid)

    def _fault_address(self, number: int, code: int | None) -> str | None:
        """Return si_addr, which is only valid for a fault; a code of 0 or less means that a process sent the signal."""
        if number not in _FAULTS or code is None or code <= 0:
            return None
        header = self._header
        layout = header.byte_order + header.pointer_format
        address = self._notes.unpack(_NT_SIGINFO, layout, _SI_ADDR_OFFSET[header.is_64bit])
        return None if address is None else f"{address:#x}"

    def _identity(self, pid: int | None) -> tuple[str, IdentityFrom]:
        """Return the identity of the process: by its pid and AT_RANDOM, or else by the file."""
        address = self._auxv.get(_AT_RANDOM)
        random = self._memory.read(address, _RANDOM_BYTES) if address else b""
        if pid is not None and len(random) == _RANDOM_BYTES:
            return _digest(b"%d:" % pid + random), IdentityFrom.AT_RANDOM
        return file_identity(self._status), IdentityFrom.FILE


@dataclass(frozen=True)
class _InfoLayout:
    """The offsets of fields in NT_PRPSINFO, and the format of user and group ids."""

    uid: int
    gid: int
    pid: int
    arguments: int
    id_format: str


_INFO_LAYOUTS = {  # by (is_64bit, size of the note)
    (True, 136): _InfoLayout(16, 20, 24, 56, "I"),
    (False, 124): _InfoLayout(8, 10, 12, 44, "H"),
    (False, 128): _InfoLayout(8, 12, 16, 48, "I"),
}


def _collect_notes(notes: Iterable[headers.Note]) -> _Notes:
    found = _Notes()
    for note in notes:
        if note.type in _WANTED and note.owner == b"CORE":
            found.content.setdefault(note.type, note.content)
            if len(found.content) == len(_WANTED):
                break
    return found


def _limit(paths: Sequence[str]) -> tuple[str, ...]:
    """Return the first paths: as many as the limits on their number and their characters allow."""
    total = accumulate(len(path) for path in paths)
    return tuple(path for path, characters in zip(paths[:MAX_FILES], total, strict=False) if characters <= _MAX_PATHS)


def _parse_auxv(content: bytes, header: headers.Header) -> dict[int, int]:
    layout = struct.Struct(header.byte_order + 2 * header.pointer_format)
    whole = len(content) - len(content) % layout.size
    return dict(layout.iter_unpack(content[:whole]))


def _crash_time(status: os.stat_result) -> datetime:
    """Return when a core was written, to the millisecond. Raise NotACore if that is no valid time.

    The owner can set the modification time to anything. The earliest of it, of the last change of the inode, and of the
    current time can only be too early. The status must be read before we change the inode, as a claim does.
    """
    seconds = min(status.st_mtime_ns, status.st_ctime_ns, time.time_ns()) // 1_000_000 / 1000
    if not 0 <= seconds < _MAX_TIMESTAMP:
        raise NotACore(f"invalid modification time, {seconds:.0f} s after 1970")
    return datetime.fromtimestamp(seconds, UTC)


def _positive_or_none(number: int | None) -> int | None:
    return number if number is not None and number > 0 else None


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGEST_LENGTH]
