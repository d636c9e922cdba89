"""Cores of running processes are read back by the same code as those of the kernel."""

import os

from hypothesis import given
from hypothesis import strategies as st

from astbtd.capture.core_writer import CoreSegment, CoreWriter, ProcessInfo, ThreadRegisters, build_notes
from astbtd.capture.process_memory import PAGE, MemoryChunk, MemoryMapping
from astbtd.elf import headers
from astbtd.elf.core_notes import is_snapshot, read_facts
from astbtd.elf.registers import RegisterLayout
from tests.support.builders import AT_ENTRY, AT_RANDOM, FORMS, NT_PRSTATUS, program
from tests.support.fixture_types import OpenFile

X86_64 = RegisterLayout(62, 216, 16, 19, 14)
CODE, STACK = 0x10000000, 0x7F0000000000
IDENTITY = ProcessInfo(4242, 110, 115, b"asterisk", b"asterisk\0-g\0-f\0")
NT_ARM_TLS = 0x401
THREADS = [
    ThreadRegisters(4242, bytes(216), bytes(512), {NT_ARM_TLS: b"\x01" * 8}),
    ThreadRegisters(4250, b"\x11" * 216, bytes(512), {NT_ARM_TLS: b"\x02" * 8}),
]
AUXV = FORMS[0].pack("PPPPPP", AT_ENTRY, CODE + 0x40, AT_RANDOM, STACK + 32, 0, 0)
MAPPED = [
    MemoryMapping(CODE, CODE + PAGE, "r-xp", 0, b"/usr/sbin/asterisk"),
    MemoryMapping(STACK, STACK + PAGE, "rw-p", 0, b"[stack]"),
]


def core(descriptor: int, *chunks: MemoryChunk, segments: list[CoreSegment] | None = None) -> int:
    writer = CoreWriter(descriptor, segments or [CoreSegment(one.start, one.end, one.permissions) for one in MAPPED])
    writer.write_headers(X86_64, build_notes(IDENTITY, THREADS, AUXV, MAPPED))
    for chunk in chunks:
        writer.write_memory(chunk)
    return descriptor


def test_a_written_core_describes_the_process_and_is_a_snapshot(memory_file: OpenFile) -> None:
    stack = MemoryChunk(STACK, bytes(32) + bytes(range(16)))
    facts = read_facts(core(memory_file(b""), MemoryChunk(CODE, program(build_id=b"\xcd" * 20)), stack))

    assert (facts.process.pid, facts.process.uid, facts.process.gid) == (4242, 110, 115)
    assert facts.process.executable == "/usr/sbin/asterisk"
    assert facts.process.build_id == "cd" * 20
    assert facts.process.command_line == "asterisk -g -f"
    assert (facts.signal, facts.truncated, facts.objects) == (None, False, ("/usr/sbin/asterisk",))
    assert is_snapshot(facts)


def test_each_thread_has_its_registers(memory_file: OpenFile) -> None:
    read = headers.file_reader(core(memory_file(b"")))

    threads = [note.content for note in headers.read_notes(headers.read_header(read), read) if note.type == NT_PRSTATUS]

    assert [len(content) for content in threads] == [336, 336]
    assert [int.from_bytes(content[32:36], "little") for content in threads] == [4242, 4250]
    assert threads[1][112 : 112 + 216] == b"\x11" * 216


def test_the_register_sets_of_a_machine_follow_those_of_their_thread(memory_file: OpenFile) -> None:
    read = headers.file_reader(core(memory_file(b"")))

    notes = [note for note in headers.read_notes(headers.read_header(read), read) if note.type in (1, NT_ARM_TLS)]

    assert [(note.owner, note.type) for note in notes] == [(b"CORE", 1), (b"LINUX", NT_ARM_TLS)] * 2
    assert [note.content for note in notes[1::2]] == [b"\x01" * 8, b"\x02" * 8]


@given(st.lists(st.tuples(st.integers(-PAGE, 5 * PAGE), st.binary(min_size=1, max_size=3 * PAGE)), max_size=5))
def test_memory_is_written_to_its_segment_and_nothing_elsewhere(chunks: list[tuple[int, bytes]]) -> None:
    segments = [CoreSegment(STACK, STACK + PAGE, "rw-p"), CoreSegment(STACK + 2 * PAGE, STACK + 4 * PAGE, "rw-p")]
    memory = bytearray(4 * PAGE)
    for offset, content in chunks:
        for index, byte in enumerate(content):
            if 0 <= offset + index < PAGE or 2 * PAGE <= offset + index < 4 * PAGE:
                memory[offset + index] = byte

    descriptor = core(
        os.memfd_create("core"), *(MemoryChunk(STACK + at, what) for at, what in chunks), segments=segments
    )

    read = headers.file_reader(descriptor)
    loads = [segment for segment in headers.read_header(read).segments if segment.type == 1]
    found = [read(segment.offset, segment.file_size) for segment in loads]
    os.close(descriptor)
    assert found == [bytes(memory[:PAGE]), bytes(memory[2 * PAGE :])]
