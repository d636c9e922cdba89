"""Runs the test programs as aarch64 programs, by emulation, and makes the cores of qemu like those of the kernel.

The programs are static: nothing of aarch64 needs to be installed but the cross compiler. qemu emulates the processor
and passes system calls on. Its cores lack the mapped files and the thread pointer, which are added.
"""

import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from astbtd.elf import headers
from astbtd.elf.headers import FileType, Header
from astbtd.elf.registers import layout_for_machine
from tests.support.builders import NT_FILE, NT_PRSTATUS, PAGE, PT_LOAD, PT_NOTE, Form, Part, elf_file
from tests.support.commands import build
from tests.support.harness import TIMEOUT

_QEMU = "qemu-aarch64"
_AARCH64 = Form(machine=183)
_REGISTERS = 112  # offset in NT_PRSTATUS
_NT_ARM_TLS = 0x401
_STATIC = ("CC=aarch64-linux-gnu-gcc", "LDFLAGS=-Wl,--build-id -static")


def build_for_aarch64(directory: Path, *options: str) -> Path:
    """Build the programs asterisk and locks into `directory` and return it."""
    return build(directory, *_STATIC, *options, f"{directory}/asterisk", f"{directory}/locks")


def crash_emulated(program: Path, directory: Path, *arguments: str) -> Path:
    """Run a program that crashes. Return its core."""
    done = subprocess.run(
        (_QEMU, program, *arguments), cwd=directory, capture_output=True, check=False, preexec_fn=_permit_cores
    )
    assert done.returncode < 0, done
    return _kernel_core(program, directory)


def abort_emulated(program: Path, directory: Path, *arguments: str) -> Path:
    """Run a program until it prints that it is ready, and abort it. Return its core."""
    with subprocess.Popen(
        (_QEMU, program, *arguments), cwd=directory, stdout=subprocess.PIPE, preexec_fn=_permit_cores
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGABRT)
        process.wait(TIMEOUT)
    return _kernel_core(program, directory)


def _permit_cores() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def _kernel_core(program: Path, directory: Path) -> Path:
    """Write `aarch64.core` from the core that qemu left, which is removed, and so is that of qemu itself."""
    (found,) = directory.glob("qemu_*.core")
    descriptor = os.open(found, os.O_RDONLY)
    try:
        read = headers.file_reader(descriptor)
        content = _convert(program, headers.read_header(read), read)
    finally:
        os.close(descriptor)
    found.unlink()
    (directory / "core").unlink(missing_ok=True)
    core = directory / "aarch64.core"
    core.write_bytes(content)
    return core


def _convert(program: Path, header: Header, read: headers.Read) -> bytes:
    loads = [segment for segment in header.segments if segment.type == PT_LOAD and segment.file_size]
    memory = [Part(PT_LOAD, each.address, read(each.offset, each.file_size)) for each in loads]
    notes = b"".join([*_thread_notes(header, read, memory), _mapped_program(program)])
    return elf_file(_AARCH64, FileType.CORE, [Part(PT_NOTE, 0, notes), *memory])


def _thread_notes(header: Header, read: headers.Read, memory: list[Part]) -> Iterator[bytes]:
    """Yield the notes of qemu, and behind the registers of each thread its thread pointer.

    That is between the descriptor of the thread and the end of the mapping of its stack. The end is close enough.
    """
    layout = layout_for_machine(header.machine)
    assert layout is not None
    for note in headers.read_notes(header, read):
        yield _AARCH64.note(note.owner, note.type, note.content)
        if note.type == NT_PRSTATUS:
            stack_pointer = layout.register(note.content[_REGISTERS:], layout.stack_pointer)
            stack = next(part for part in memory if 0 <= stack_pointer - part.address < len(part.content))
            pointer = stack.address + len(stack.content)
            yield _AARCH64.note(b"LINUX", _NT_ARM_TLS, _AARCH64.pack("PP", pointer, 0))


def _mapped_program(program: Path) -> bytes:
    """Return the note with the mapped files: the program, which is static and at its link-time addresses."""
    with program.open("rb") as file:
        header = headers.read_header(headers.file_reader(file.fileno()))
    rows = []
    for segment in header.segments:
        if segment.type == PT_LOAD:
            start, end = segment.address // PAGE * PAGE, -(-(segment.address + segment.file_size) // PAGE) * PAGE
            rows.append(_AARCH64.pack("PPP", start, end, segment.offset // PAGE))
    paths = (os.fsencode(program) + b"\0") * len(rows)
    return _AARCH64.note(b"CORE", NT_FILE, _AARCH64.pack("PP", len(rows), PAGE) + b"".join(rows) + paths)
