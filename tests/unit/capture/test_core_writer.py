"""The cores that are written of living processes are read back by the same code as the kernel's."""

import os

from hypothesis import given
from hypothesis import strategies as st

from astbtd.capture.core_writer import CoreSegment, CoreWriter, Identity, Registers, notes
from astbtd.capture.process_memory import PAGE, Mapping, MemoryChunk
from astbtd.elf import headers
from astbtd.elf.core_notes import is_snapshot, read_facts
from astbtd.elf.registers import RegisterLayout
from tests.support.builders import AT_ENTRY, AT_RANDOM, FORMS, NT_PRSTATUS, program
from tests.support.fixture_types import OpenFile

X86_64 = RegisterLayout(62, 216, 16, 19, 14)
CODE, STACK = 0x10000000, 0x7F0000000000
IDENTITY = Identity(4242, 110, 115, b"asterisk", b"asterisk\0-g\0-f\0")
THREADS = [Registers(4242, bytes(216), bytes(512)), Registers(4250, b"\x11" * 216, bytes(512))]
AUXV = FORMS[0].pack("PPPPPP", AT_ENTRY, CODE + 0x40, AT_RANDOM, STACK + 32, 0, 0)
MAPPED = [
    Mapping(CODE, CODE + PAGE, "r-xp", 0, b"/usr/sbin/asterisk"),
    Mapping(STACK, STACK + PAGE, "rw-p", 0, b"[stack]"),
]


def core(descriptor: int, *pieces: MemoryChunk, extents: list[CoreSegment] | None = None) -> int:
    writer = CoreWriter(descriptor, extents or [CoreSegment(one.start, one.end, one.permissions) for one in MAPPED])
    writer.begin(X86_64, notes(IDENTITY, THREADS, AUXV, MAPPED))
    for piece in pieces:
        writer.write(piece)
    return descriptor


def test_it_tells_who_the_process_is_and_is_no_crash(memory_file: OpenFile) -> None:
    stack = MemoryChunk(STACK, bytes(32) + bytes(range(16)))
    facts = read_facts(core(memory_file(b""), MemoryChunk(CODE, program(build_id=b"\xcd" * 20)), stack))

    assert (facts.process.pid, facts.process.uid, facts.process.gid) == (4242, 110, 115)
    assert facts.process.executable == "/usr/sbin/asterisk"
    assert facts.process.build_id == "cd" * 20
    assert facts.process.command_line == "asterisk -g -f"
    assert (facts.signal, facts.truncated, facts.objects) == (None, False, ("/usr/sbin/asterisk",))
    assert is_snapshot(facts)


def test_its_threads_have_their_registers(memory_file: OpenFile) -> None:
    read = headers.file_reader(core(memory_file(b"")))

    threads = [note.content for note in headers.notes(headers.read_header(read), read) if note.type == NT_PRSTATUS]

    assert [len(content) for content in threads] == [336, 336]
    assert [int.from_bytes(content[32:36], "little") for content in threads] == [4242, 4250]
    assert threads[1][112 : 112 + 216] == b"\x11" * 216


@given(st.lists(st.tuples(st.integers(-PAGE, 5 * PAGE), st.binary(min_size=1, max_size=3 * PAGE)), max_size=5))
def test_memory_is_found_where_it_was_and_nothing_is_written_elsewhere(pieces: list[tuple[int, bytes]]) -> None:
    extents = [CoreSegment(STACK, STACK + PAGE, "rw-p"), CoreSegment(STACK + 2 * PAGE, STACK + 4 * PAGE, "rw-p")]
    memory = bytearray(4 * PAGE)
    for offset, content in pieces:
        for index, byte in enumerate(content):
            if 0 <= offset + index < PAGE or 2 * PAGE <= offset + index < 4 * PAGE:
                memory[offset + index] = byte

    descriptor = core(os.memfd_create("core"), *(MemoryChunk(STACK + at, what) for at, what in pieces), extents=extents)

    read = headers.file_reader(descriptor)
    loads = [segment for segment in headers.read_header(read).segments if segment.type == 1]
    found = [read(segment.offset, segment.file_size) for segment in loads]
    os.close(descriptor)
    assert found == [bytes(memory[:PAGE]), bytes(memory[2 * PAGE :])]
