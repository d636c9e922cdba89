"""Take a snapshot of a running process as an ELF core, and stop the process as briefly as possible.

Beforehand, the pages that are in memory are determined: reading them does not wait for a disk. While the process is
stopped, its registers and these pages are copied into memory that was allocated for them; files are written after it
was resumed. Large heaps are copied up to a limit; the rest is read afterwards, in its state by then.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from mmap import MAP_ANONYMOUS, MAP_POPULATE, MAP_PRIVATE, mmap

from astbtd.capture import process_memory, ptrace
from astbtd.capture.core_writer import CoreSegment, CoreWriter, ProcessInfo, ThreadRegisters, build_notes
from astbtd.capture.freeze import freeze
from astbtd.capture.live_process import LiveProcess, resume
from astbtd.capture.process_memory import PAGE, MemoryChunk, MemoryMapping
from astbtd.elf.registers import RegisterLayout, native_layout
from astbtd.errors import AstbtdError

_MAX_BYTES_WHILE_STOPPED = 64 << 20  # 46 MB of an idle PBX take about 10 ms
# The top of the stack is always read: it may have grown since the pages were determined. A page has up
# to 64 KiB on arm64.
_STACK_BYTES = max(32 << 10, PAGE)
_RED_ZONE = 128  # bytes below the stack pointer that leaf functions use
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Snapshot:
    """How a snapshot was taken. `bytes_later` is memory that may have changed since the process was stopped.

    `not_stopped` are the ids of threads that did not stop in time and are missing.
    """

    at: datetime
    stopped_seconds: float
    threads: int
    bytes_later: int
    not_stopped: tuple[int, ...]


@dataclass
class _FrozenState:
    """What was copied while the process was stopped; `maps` is the content of /proc/PID/maps."""

    maps: bytes = b""
    threads: list[ThreadRegisters] = field(default_factory=list)
    chunks: list[MemoryChunk] = field(default_factory=list)
    not_stopped: tuple[int, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class _Memory:
    """The descriptors of /proc/PID/mem and /proc/PID/pagemap."""

    mem: int
    pagemap: int


def take_snapshot(process: LiveProcess, core: int, reserve: Callable[[int], None]) -> Snapshot:
    """Write a core of the process to `core`, an empty file. `reserve(bytes)` raises if the disk has no such space.

    Raise AstbtdError if the process cannot be stopped, ProcessLookupError if it ends.
    """
    machine = native_layout()
    was_stopped = process.is_stopped()
    with _open_proc_file(process, "mem") as mem, _open_proc_file(process, "pagemap") as pagemap:
        memory = _Memory(mem, pagemap)
        at = datetime.now(UTC)
        ranges = _plan_copy(process_memory.parse_maps(process.read("maps")), pagemap)
        # The tracing thread ends with the executor: then the kernel detaches whatever is still traced.
        with ThreadPoolExecutor(1, "tracer") as tracer:
            state = tracer.submit(_copy_frozen, process, mem, machine, ranges).result()
        if not was_stopped:
            with suppress(OSError):
                resume(process)
        bytes_later = _write_core(process, core, state, machine, memory, reserve)
    return Snapshot(at, state.seconds, len(state.threads), bytes_later, state.not_stopped)


def _plan_copy(mappings: Sequence[MemoryMapping], pagemap: int) -> list[tuple[int, int]]:
    """Return (address, size) of the memory to copy while stopped: data of programs first, then by ascending size."""
    writable = [mapping for mapping in mappings if mapping.is_writable]
    writable.sort(key=lambda mapping: (not mapping.is_file, mapping.end - mapping.start))
    ranges: list[tuple[int, int]] = []
    bytes_left = _MAX_BYTES_WHILE_STOPPED
    for mapping in writable:
        for address, size in process_memory.page_ranges(process_memory.resident_pages(pagemap, mapping)):
            if bytes_left <= 0:
                return ranges
            ranges.append((address, min(size, bytes_left)))
            bytes_left -= size
    return ranges


def _copy_frozen(
    process: LiveProcess, mem: int, machine: RegisterLayout, ranges: Sequence[tuple[int, int]]
) -> _FrozenState:
    """Stop the process, copy registers and memory, and resume it. Runs in a thread of its own, the tracer."""
    state = _FrozenState()
    total = sum(size for _, size in ranges)
    buffer = memoryview(mmap(-1, max(PAGE, total), MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE))
    with freeze(process) as threads:
        state.maps = process.read("maps")
        for address, size in ranges:
            count = process_memory.read_into(mem, address, buffer[:size])
            state.chunks.append(MemoryChunk(address, buffer[:count]))
            buffer = buffer[size:]
        for tid in sorted(threads.stopped, key=lambda tid: (tid != process.pid, tid)):  # the main thread first
            _copy_thread(tid, mem, machine, state)
        state.not_stopped = tuple(sorted(threads.running))
    state.seconds = threads.seconds
    if not state.threads:
        raise ProcessLookupError(process.pid)
    return state


def _copy_thread(tid: int, mem: int, machine: RegisterLayout, state: _FrozenState) -> None:
    """Copy the registers of a thread, the top of its stack, and the page with the lock that it may wait for."""
    try:
        general = ptrace.registers(tid, ptrace.RegisterSet.GENERAL)
        floating_point = ptrace.registers(tid, ptrace.RegisterSet.FLOATING_POINT)
    except OSError:  # killed in the meantime
        return
    if len(general) != machine.size:
        raise AstbtdError("the process has another architecture than astbtd, such as 32-bit", "use `gcore PID`")
    state.threads.append(ThreadRegisters(tid, general, floating_point, _further_sets(tid, machine)))
    stack_top = (machine.register(general, machine.stack_pointer) - _RED_ZONE) // PAGE * PAGE
    argument = machine.register(general, machine.first_argument) // PAGE * PAGE
    for address, size in ((stack_top, _STACK_BYTES), (argument, PAGE)):
        if content := process_memory.read(mem, address, size):
            state.chunks.append(MemoryChunk(address, content))


def _further_sets(tid: int, machine: RegisterLayout) -> dict[int, bytes]:
    """Return the other register sets of a thread by type, without those that this processor does not have."""
    found = {}
    for kind in machine.further_sets:
        with suppress(OSError):
            found[kind] = ptrace.registers(tid, kind)
    return found


@dataclass(frozen=True)
class _RemainingPages:
    """Pages to read after the process was resumed: `changing` ones it may write to, and `constant` ones.

    `segments` is all memory of the core.
    """

    changing: list[int]
    constant: list[int]
    segments: list[CoreSegment]

    @property
    def count(self) -> int:
        return len(self.changing) + len(self.constant)

    @classmethod
    def from_mappings(
        cls, mappings: Sequence[MemoryMapping], pagemap: int, copied: Collection[int]
    ) -> "_RemainingPages":
        writable = [mapping for mapping in mappings if mapping.is_writable]
        private = _private_pages(writable, pagemap)
        unmodified = _file_pages(writable).difference(private, copied)
        constant_segments = list(_constant_segments(mappings, pagemap))
        constant = set(chain.from_iterable(map(_pages_of, constant_segments)))
        return cls(
            changing=sorted(private.difference(copied)),
            constant=sorted(constant | unmodified),
            segments=[*map(_segment_of, writable), *constant_segments],
        )


def _private_pages(mappings: Sequence[MemoryMapping], pagemap: int) -> set[int]:
    return {page for mapping in mappings for page in process_memory.private_pages(pagemap, mapping)}


def _file_pages(mappings: Sequence[MemoryMapping]) -> set[int]:
    """Return all pages that map a file. Unless the process has written to them, they are the file's and constant."""
    return {page for mapping in mappings if mapping.is_file for page in mapping.pages}


def _write_core(
    process: LiveProcess,
    core: int,
    state: _FrozenState,
    machine: RegisterLayout,
    memory: _Memory,
    reserve: Callable[[int], None],
) -> int:
    """Write the core, and read what is still missing; return how many bytes of that may have changed."""
    mappings = process_memory.parse_maps(state.maps)
    copied = {page for chunk in state.chunks for page in chunk.pages}
    remaining = _RemainingPages.from_mappings(mappings, memory.pagemap, copied)
    reserve((len(copied) + remaining.count) * PAGE)
    writer = CoreWriter(core, remaining.segments)
    notes = build_notes(_process_info(process), state.threads, process.read("auxv"), mappings)
    writer.write_headers(machine, notes)
    for chunk in state.chunks:
        writer.write_memory(chunk)
    for chunk in _read_pages(memory.mem, remaining.changing):
        writer.write_memory(chunk)
    for chunk in _read_pages(memory.mem, remaining.constant):
        writer.write_memory(chunk)
    return len(remaining.changing) * PAGE


def _read_pages(mem: int, pages: Sequence[int]) -> Iterator[MemoryChunk]:
    for start, size in process_memory.page_ranges(pages):
        end = start + size
        for address in range(start, end, _CHUNK):
            yield MemoryChunk(address, process_memory.read(mem, address, min(_CHUNK, end - address)))


def _constant_segments(mappings: Sequence[MemoryMapping], pagemap: int) -> Iterator[CoreSegment]:
    """Yield memory that does not change: relocated read-only data, the vDSO, and the first page of each object.

    The first page of an object contains its build id.
    """
    for mapping in mappings:
        if mapping.is_writable or not mapping.is_private:
            continue
        if mapping.path == b"[vdso]":
            yield _segment_of(mapping)
            continue
        pages = set(process_memory.private_pages(pagemap, mapping))
        if mapping.is_file and mapping.offset == 0:
            pages.add(mapping.pages.start)
        for address, size in process_memory.page_ranges(sorted(pages)):
            yield CoreSegment(address, address + size, mapping.permissions)


def _segment_of(mapping: MemoryMapping) -> CoreSegment:
    return CoreSegment(mapping.start, mapping.end, mapping.permissions)


def _pages_of(segment: CoreSegment) -> range:
    return range(segment.start // PAGE, segment.end // PAGE)


def _process_info(process: LiveProcess) -> ProcessInfo:
    status = process.status()
    return ProcessInfo(
        pid=process.pid,
        uid=int(status["Uid"].split()[0]),
        gid=int(status["Gid"].split()[0]),
        name=process.read("comm").rstrip(b"\n"),
        command_line=process.read("cmdline"),
    )


@contextmanager
def _open_proc_file(process: LiveProcess, name: str) -> Iterator[int]:
    descriptor = process.open(name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
