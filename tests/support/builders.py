"""Builds test data: crash records, and ELF files byte by byte."""

import os
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import overload

from astbtd.claims.claim import Claim, ClaimRecord
from astbtd.elf.headers import FileType, Segment
from astbtd.model.crash import (
    Asterisk,
    Core,
    CoreFacts,
    CoreState,
    Crash,
    CrashSignature,
    DiscoveredBy,
    Extraction,
    ExtractionOutcome,
    IdentityFrom,
    Process,
    Signal,
    Site,
    SiteFrame,
    Source,
    Symbols,
    Verdict,
)
from astbtd.model.diagnosis import DecidedSignature, Diagnosis, MemoryCorruption

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
SEGV = Signal(11, "SIGSEGV", 1, "0x10")
ABORT = Signal(6, "SIGABRT", -6, None)

PT_LOAD, PT_NOTE = 1, 4
NT_PRSTATUS, NT_PRPSINFO, NT_AUXV, NT_FILE, NT_SIGINFO = 1, 3, 6, 0x46494C45, 0x53494749
AT_ENTRY, AT_RANDOM = 9, 25
PAGE = 4096


def crash(
    minutes: float = 0,
    *,
    pid: int = 4242,
    identity: str = "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
    signature: str = "0123456789ab",
    function: str | None = "ast_bridge_join",
    signal: Signal | None = SEGV,
    state: CoreState = CoreState.KEPT,
    collected_at: datetime | None = None,
    ended: ExtractionOutcome = ExtractionOutcome.OK,
) -> Crash:
    """Return a crash `minutes` after NOON, with every field set."""
    at = NOON + timedelta(minutes=minutes)
    return Crash(
        id=f"{at:%Y%m%dT%H%M%SZ}-{pid}-{identity[:6]}",
        host="pbx1",
        boot_id="0f" * 16,
        crashed_at=at,
        collected_at=collected_at or at,
        core=Core(
            identity, IdentityFrom.AT_RANDOM, "/srv/core", 1 << 20, state, False, Source.FILE, DiscoveredBy.EVENT
        ),
        process=Process(pid, pid + 1, 110, 115, "/usr/sbin/asterisk", "ab" * 20, "asterisk -g -f", "/srv"),
        asterisk=Asterisk("22.10.0", ("DONT_OPTIMIZE", "OPTIONAL_API"), True, False, True),
        signal=signal,
        extraction=Extraction("13.1", 1.5, ended, {"backtrace.txt": 12}, Symbols.ALL, ("cut after 200 frames",)),
        diagnosis=diagnosis(function, signature),
        signature=CrashSignature(signature, "SIGSEGV ast_bridge_join", 1, at),
        site=Site(f"site of {signature}", (SiteFrame("ab" * 20, "/usr/sbin/asterisk", "0x1234"),)),
    )


def diagnosis(function: str | None, signature: str) -> Diagnosis:
    """Return the diagnosis of a usable backtrace."""
    return Diagnosis(
        signal="SIGSEGV",
        crash_thread=1,
        top_frame=function,
        crash_function=function,
        threads=3,
        frames=7,
        optimized=False,
        missing_symbols=False,
        memory_corruption=MemoryCorruption.NONE,
        debug_threads=False,
        deadlock=None,
        quality=0.9,
        verdict=Verdict.USABLE,
        reasons=("all frames have names",),
        advice=("File it.",),
        signature=DecidedSignature(signature, "SIGSEGV ast_bridge_join"),
    )


def facts(minutes: float = 0, pid: int = 4242) -> CoreFacts:
    """Return the facts in the core of a crash `minutes` after NOON."""
    return CoreFacts(
        identity=f"{pid:032x}",
        identity_from=IdentityFrom.AT_RANDOM,
        crashed_at=NOON + timedelta(minutes=minutes),
        size=1 << 20,
        truncated=False,
        process=Process(pid=pid, executable="/usr/sbin/asterisk"),
        signal=SEGV,
        objects=("/usr/sbin/asterisk",),
    )


def claim(minutes: float = 0, pid: int = 4242) -> Claim:
    """A claim on such a core that holds nothing open."""
    note = ClaimRecord(facts(minutes, pid), "/srv", f"core.{pid}", DiscoveredBy.EVENT, inode=pid, copied=False)
    return Claim(note.facts.crash_id, note, descriptor=-1, lock=-1)


@dataclass(frozen=True)
class Form:
    """An ELF format: 64 or 32 bits, little-endian ('<') or big-endian ('>'); `machine` is e_machine."""

    wide: bool = True
    order: str = "<"
    machine: int = 62

    def pack(self, layout: str, *values: int | bytes) -> bytes:
        """Pack values as struct.pack does. The code P is a pointer."""
        return struct.pack(self.order + layout.replace("P", "Q" if self.wide else "I"), *values)

    @property
    def header_size(self) -> int:
        return 64 if self.wide else 52

    @property
    def row_size(self) -> int:
        return 56 if self.wide else 32

    def header(self, kind: int, count: int, *, table: int | None = None, sections: int = 0) -> bytes:
        """Return an ELF header for `count` segments, with the program headers at offset `table`."""
        ident = b"\x7fELF" + bytes((2 if self.wide else 1, 1 if self.order == "<" else 2, 1)) + bytes(9)
        table = self.header_size if table is None else table
        sizes = (self.header_size, self.row_size, count, 0, 0, 0)
        return ident + self.pack("HHIPPPIHHHHHH", kind, self.machine, 1, 0, table, sections, 0, *sizes)

    def row(self, segment: Segment) -> bytes:
        """Return a program header."""
        size = segment.file_size
        if self.wide:
            rest = (segment.offset, segment.address, 0, size, size, 4)
            return self.pack("IIQQQQQQ", segment.type, segment.flags, *rest)
        return self.pack("IIIIIIII", segment.type, segment.offset, segment.address, 0, size, size, segment.flags, 4)

    def note(self, owner: bytes, kind: int, content: bytes) -> bytes:
        """Return one note with its padding."""
        name = owner + b"\0"
        return self.pack("III", len(name), len(content), kind) + _padded(name) + _padded(content)


FORMS = (Form(True, "<"), Form(True, ">"), Form(False, "<"), Form(False, ">"))


@dataclass(frozen=True)
class Part:
    """The type, the address and the content of a segment."""

    type: int
    address: int
    content: bytes


def elf_file(form: Form, kind: int, parts: Sequence[Part], *, count: int | None = None, sections: int = 0) -> bytes:
    """Return an ELF file with these segments. `count` replaces their number in the header."""
    rows, contents = b"", b""
    start = form.header_size + len(parts) * form.row_size
    for part in parts:
        rows += form.row(Segment(part.type, 5, start + len(contents), part.address, len(part.content)))
        contents += part.content
    return form.header(kind, len(parts) if count is None else count, sections=sections) + rows + contents


def program(form: Form = FORMS[0], build_id: bytes = b"\xab" * 20, linked_at: int = 0) -> bytes:
    """Return the first page of a program in memory: its headers, and a note with its build ID."""
    note = form.note(b"GNU", 3, build_id)
    note_at = form.header_size + 2 * form.row_size
    whole = Segment(PT_LOAD, 5, 0, linked_at, note_at + len(note))
    noted = Segment(PT_NOTE, 4, note_at, linked_at + note_at, len(note))
    return form.header(FileType.SHARED, 2) + form.row(whole) + form.row(noted) + note


@dataclass(frozen=True)
class DeadProcess:
    """A process that crashed, with the facts that its core contains. Notes with a type in `without` are omitted.

    `returns_to` are the code addresses on the stack, as offsets in the first mapped file; the crash was at the first.
    """

    form: Form = FORMS[0]
    pid: int = 4242
    tid: int = 4243
    uid: int = field(default_factory=os.geteuid)
    gid: int = 115
    signal: int = 11
    code: int = 1
    address: int = 0x10
    mapped: tuple[str, ...] = ("/usr/sbin/asterisk", "/usr/lib/asterisk/modules/app_dial.so")
    entry_in: int = 0
    command_line: str = "asterisk -g -f"
    random: bytes | None = bytes(range(16))
    build_id: bytes = b"\xab" * 20
    linked_at: int = 0
    short_ids: bool = False
    returns_to: Sequence[int] = ()
    without: Collection[int] = ()

    def core(self) -> bytes:
        """Return the core file."""
        return elf_file(self.form, FileType.CORE, [Part(PT_NOTE, 0, self.notes()), *self.memory()])

    def notes(self) -> bytes:
        """Return the notes in the order of the kernel."""
        contents = {
            NT_PRSTATUS: self._status(self.tid),
            NT_PRPSINFO: self._info(),
            NT_SIGINFO: self._signal_info(),
            NT_AUXV: self._auxiliary_vector(),
            NT_FILE: self._files(),
        }
        wanted = [(kind, content) for kind, content in contents.items() if kind not in self.without]
        other_thread = [(NT_PRSTATUS, self._status(self.tid ^ 1))] if NT_PRSTATUS not in self.without else []
        return b"".join(self.form.note(b"CORE", kind, content) for kind, content in [*wanted, *other_thread])

    def memory(self) -> list[Part]:
        """Return the first page of each mapped file, and the stack with the random bytes."""
        image = program(self.form, self.build_id, self.linked_at)
        parts = [Part(PT_LOAD, _base(index), image) for index in range(len(self.mapped))]
        stack = self.form.pack(f"{len(self.returns_to)}Q", *(_base(0) + offset for offset in self.returns_to))
        return parts if self.random is None else [*parts, Part(PT_LOAD, _STACK, b"\x55" * 32 + self.random + stack)]

    def _status(self, tid: int) -> bytes:
        pending = self.form.pack("iiihxxPPi", self.signal, self.code, 0, self.signal, 0, 0, tid)
        status = bytearray(pending.ljust(336 if self.form.wide else 144, b"\0"))
        if self.returns_to:
            struct.pack_into("<Q", status, _REGISTERS + 8 * _PROGRAM_COUNTER, _base(0) + self.returns_to[0])
            struct.pack_into("<Q", status, _REGISTERS + 8 * _STACK_POINTER, _STACK)
        return bytes(status)

    def _info(self) -> bytes:
        if self.form.wide:
            start = self.form.pack("8xQIIi12x", 0, self.uid, self.gid, self.pid)
        elif self.short_ids:
            start = self.form.pack("4xIHHi12x", 0, self.uid, self.gid, self.pid)
        else:
            start = self.form.pack("4xIIIi12x", 0, self.uid, self.gid, self.pid)
        return start + b"asterisk".ljust(16, b"\0") + self.command_line.encode().ljust(80, b"\0")

    def _signal_info(self) -> bytes:
        start = self.form.pack("iii4xP" if self.form.wide else "iiiP", self.signal, 0, self.code, self.address)
        return start.ljust(128, b"\0")

    def _auxiliary_vector(self) -> bytes:
        entry = _base(self.entry_in) + 0x100
        return self.form.pack("PPPPPP", AT_ENTRY, entry, AT_RANDOM, _STACK + 32, 0, 0)

    def _files(self) -> bytes:
        rows = [self.form.pack("PPP", _base(index), _base(index) + PAGE, 0) for index in range(len(self.mapped))]
        names = b"".join(path.encode() + b"\0" for path in self.mapped)
        return self.form.pack("PP", len(rows), PAGE) + b"".join(rows) + names


_STACK = 0x7F000000
_REGISTERS = 112  # offset in an NT_PRSTATUS note of x86-64
_PROGRAM_COUNTER, _STACK_POINTER = 16, 19


def _base(index: int) -> int:
    return 0x10000000 + index * 0x100000


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


@overload
def signature_of(signed: Crash) -> CrashSignature: ...
@overload
def signature_of(signed: Diagnosis) -> DecidedSignature: ...
def signature_of(signed: Crash | Diagnosis) -> CrashSignature | DecidedSignature:
    """Return the signature of a crash or diagnosis that must have one."""
    assert signed.signature is not None, signed
    return signed.signature
