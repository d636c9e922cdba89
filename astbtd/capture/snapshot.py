"""Takes a snapshot of a process that lives on, as an ELF core, and holds it still as briefly as can be.

What can be found out beforehand is: which pages are there, and so need no disk to read. While the process stands still
its registers and these pages are copied into memory that is ready for them; files are written after it went on. Large
heaps are copied up to a limit; the rest is read afterwards, as it is by then.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from mmap import MAP_ANONYMOUS, MAP_POPULATE, MAP_PRIVATE, mmap

from astbtd.capture import process_memory, ptrace
from astbtd.capture.core_writer import CoreSegment, CoreWriter, Identity, Registers, notes
from astbtd.capture.freeze import standing_still
from astbtd.capture.live_process import LiveProcess, let_go_on
from astbtd.capture.process_memory import PAGE, Mapping, MemoryChunk
from astbtd.elf.registers import RegisterLayout, this_machine
from astbtd.errors import AstbtdError

_MOST_AT_STANDSTILL = 64 << 20  # bytes; 46 MB of a PBX at rest take about 10 ms
_TOP_OF_STACK = 32 << 10  # bytes that are read in any case: the stack may have grown since the pages were looked up
_RED_ZONE = 128  # bytes below the stack pointer that leaf functions use
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Snapshot:
    """How a snapshot went. `bytes_later` is memory that may have changed since the process stood still."""

    at: datetime
    stopped_seconds: float
    threads: int
    bytes_later: int
    not_stopped: tuple[int, ...]


@dataclass
class _Held:
    """What was copied while the process stood still."""

    maps: bytes = b""
    threads: list[Registers] = field(default_factory=list)
    pieces: list[MemoryChunk] = field(default_factory=list)
    not_stopped: tuple[int, ...] = ()
    seconds: float = 0.0


def take(process: LiveProcess, core: int, reserve: Callable[[int], None]) -> Snapshot:
    """Writes a core of the process to `core`, an empty file. `reserve` raises where there is no room for so many bytes.

    Raises AstbtdError where the process cannot be stopped, ProcessLookupError where it ends.
    """
    machine = this_machine()
    was_stopped = process.is_stopped()
    with _opened(process, "mem") as mem, _opened(process, "pagemap") as pagemap:
        at = datetime.now(UTC)
        plan = _planned(process_memory.mappings(process.read("maps")), pagemap)
        with ThreadPoolExecutor(1, "tracer") as tracer:  # at whose end the kernel lets go whatever it still held
            held = tracer.submit(_hold, process, mem, machine, plan).result()
        if not was_stopped:
            with suppress(OSError):
                let_go_on(process)
        later = _write(process, core, held, machine, mem, pagemap, reserve)
    return Snapshot(at, held.seconds, len(held.threads), later, held.not_stopped)


def _planned(mapped: Sequence[Mapping], pagemap: int) -> list[tuple[int, int]]:
    """(address, size) of what is to be copied at standstill: data of programs first, then from small to large."""
    wanted = sorted(
        filter(lambda mapping: mapping.writable, mapped), key=lambda one: (not one.of_a_file, one.end - one.start)
    )
    plan: list[tuple[int, int]] = []
    left = _MOST_AT_STANDSTILL
    for mapping in wanted:
        for address, size in process_memory.runs(process_memory.pages_at_hand(pagemap, mapping)):
            if left <= 0:
                return plan
            plan.append((address, min(size, left)))
            left -= size
    return plan


def _hold(process: LiveProcess, mem: int, machine: RegisterLayout, plan: Sequence[tuple[int, int]]) -> _Held:
    """Runs in a thread of its own, which traces."""
    held = _Held()
    room = memoryview(mmap(-1, max(PAGE, sum(size for _, size in plan)), MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE))
    with standing_still(process) as still:
        held.maps = process.read("maps")
        for address, size in plan:
            count = process_memory.read_into(mem, address, room[:size])
            held.pieces.append(MemoryChunk(address, room[:count]))
            room = room[size:]
        for tid in sorted(still.stopped, key=lambda tid: (tid != process.pid, tid)):
            _copy_thread(tid, mem, machine, held)
        held.not_stopped = tuple(sorted(still.moving))
    held.seconds = still.seconds
    if not held.threads:
        raise ProcessLookupError(process.pid)
    return held


def _copy_thread(tid: int, mem: int, machine: RegisterLayout, held: _Held) -> None:
    """Its registers, the top of its stack, and the page with the lock that it may be waiting for."""
    try:
        general = ptrace.registers(tid, ptrace.RegisterSet.GENERAL)
        floating_point = ptrace.registers(tid, ptrace.RegisterSet.FLOATING_POINT)
    except OSError:  # killed meanwhile
        return
    if len(general) != machine.size:
        raise AstbtdError("the process is of another machine than ours, such as 32 bits on 64", "use `gcore PID`")
    held.threads.append(Registers(tid, general, floating_point))
    top = (machine.register(general, machine.stack_pointer) - _RED_ZONE) // PAGE * PAGE
    argument = machine.register(general, machine.first_argument) // PAGE * PAGE
    for address, size in ((top, _TOP_OF_STACK), (argument, PAGE)):
        if content := process_memory.read(mem, address, size):
            held.pieces.append(MemoryChunk(address, content))


@dataclass(frozen=True)
class _Rest:
    """What of a process is still to be read: `changing` pages that it may write to, pages that stay as they are."""

    changing: tuple[int, ...]
    lasting: tuple[int, ...]
    extents: tuple[CoreSegment, ...]

    @classmethod
    def of(cls, mapped: Sequence[Mapping], pagemap: int, copied: Collection[int]) -> "_Rest":
        writable = [mapping for mapping in mapped if mapping.writable]
        own = {page for mapping in writable for page in process_memory.own_pages(pagemap, mapping)}
        of_files = {page for mapping in writable if mapping.of_a_file for page in mapping.pages}
        lasting = list(_lasting(mapped, pagemap))
        stay = {page for extent in lasting for page in range(extent.start // PAGE, extent.end // PAGE)}
        extents = (*(CoreSegment(one.start, one.end, one.permissions) for one in writable), *lasting)
        return cls(_sorted(own.difference(copied)), _sorted(stay | of_files.difference(own, copied)), extents)


def _write(
    process: LiveProcess,
    core: int,
    held: _Held,
    machine: RegisterLayout,
    mem: int,
    pagemap: int,
    reserve: Callable[[int], None],
) -> int:
    """Writes the core, reading what is still missing; returns how much of that may have changed, in bytes."""
    mapped = process_memory.mappings(held.maps)
    copied = {page for piece in held.pieces for page in piece.pages}
    rest = _Rest.of(mapped, pagemap, copied)
    reserve((len(copied) + len(rest.changing) + len(rest.lasting)) * PAGE)
    writer = CoreWriter(core, rest.extents)
    writer.begin(machine, notes(_identity(process), held.threads, process.read("auxv"), mapped))
    for piece in held.pieces:
        writer.write(piece)
    for address, size in (*process_memory.runs(rest.changing), *process_memory.runs(rest.lasting)):
        for at in range(address, address + size, _CHUNK):
            writer.write(MemoryChunk(at, process_memory.read(mem, at, min(_CHUNK, address + size - at))))
    return len(rest.changing) * PAGE


def _sorted(pages: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(pages))


def _lasting(mapped: Sequence[Mapping], pagemap: int) -> Iterator[CoreSegment]:
    """Memory that does not change: what was relocated and made read-only, the vDSO, the first page of each object."""
    for mapping in mapped:
        if mapping.writable or not mapping.private:
            continue
        if mapping.path == b"[vdso]":
            yield CoreSegment(mapping.start, mapping.end, mapping.permissions)
            continue
        pages = set(process_memory.own_pages(pagemap, mapping))
        if mapping.of_a_file and mapping.offset == 0:
            pages.add(mapping.start // PAGE)
        for address, size in process_memory.runs(sorted(pages)):
            yield CoreSegment(address, address + size, mapping.permissions)


def _identity(process: LiveProcess) -> Identity:
    status = process.status()
    return Identity(
        pid=process.pid,
        uid=int(status["Uid"].split()[0]),
        gid=int(status["Gid"].split()[0]),
        name=process.read("comm").rstrip(b"\n"),
        command_line=process.read("cmdline"),
    )


@contextmanager
def _opened(process: LiveProcess, name: str) -> Iterator[int]:
    descriptor = process.open(name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
