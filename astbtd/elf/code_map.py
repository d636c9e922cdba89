"""Map code addresses in a core to objects: which file, which build of it, and at which offset.

Offsets are relative to the start of the object in memory, so that they do not depend on where it was loaded. For a
shared object they are its link-time addresses, as `addr2line` and `objdump` use them.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from astbtd.elf import headers
from astbtd.elf.core_memory import NT_FILE, CoreMemory, FileMapping, parse_file_mappings
from astbtd.elf.headers import PT_LOAD
from astbtd.elf.registers import layout_for_machine

_PF_X = 1
_NT_PRSTATUS = 1
REGISTERS_OFFSET = 112  # of pr_reg in the 64-bit elf_prstatus (include/linux/elfcore.h)


@dataclass(frozen=True)
class CodeLocation:
    """A code address: the path of the object, its build id if the core contains it, and the offset in bytes."""

    path: str
    build_id: str | None
    offset: int


class CodeMap:
    """The executable file mappings of a process."""

    def __init__(self, header: headers.Header, mappings: Iterable[FileMapping], memory: CoreMemory) -> None:
        starts = {segment.address for segment in header.segments if segment.type == PT_LOAD and segment.flags & _PF_X}
        by_address = sorted(mappings, key=lambda mapping: mapping.start)
        self._code = [mapping for mapping in by_address if mapping.start in starts]
        self._images = [mapping for mapping in by_address if mapping.offset == 0]
        self._memory = memory
        self._build_ids: dict[int, str | None] = {}  # by the address of the image

    def find(self, address: int) -> CodeLocation | None:
        """Return the location of a code address, None if it is not one."""
        index = bisect_right(self._code, address, key=lambda mapping: mapping.start) - 1
        if index < 0 or address >= self._code[index].end:
            return None
        mapping = self._code[index]
        start = self._image_start(mapping)
        return CodeLocation(mapping.path, self._build_id(start), address - start)

    def _image_start(self, mapping: FileMapping) -> int:
        """Return the address of the start of the file that `mapping` is a part of."""
        index = bisect_right(self._images, mapping.start, key=lambda image: image.start) - 1
        if index >= 0 and self._images[index].path == mapping.path:
            return self._images[index].start
        return mapping.start - mapping.offset

    def _build_id(self, start: int) -> str | None:
        if start not in self._build_ids:
            self._build_ids[start] = headers.build_id(self._memory.read, start)
        return self._build_ids[start]


@dataclass(frozen=True)
class CrashedCode:
    """The code map of a core, and the program counter of the thread that crashed; None if it is not known."""

    map: CodeMap
    program_counter: int | None


def read_crashed_code(descriptor: int) -> CrashedCode | None:
    """Return the code of the core open at `descriptor`, None if it is not an ELF file."""
    read = headers.file_reader(descriptor)
    try:
        header = headers.read_header(read)
    except headers.NotElf:
        return None
    files, status = b"", b""
    for note in headers.read_notes(header, read):
        if note.owner == b"CORE" and note.type == NT_FILE:
            files = files or note.content
        elif note.owner == b"CORE" and note.type == _NT_PRSTATUS:
            status = status or note.content
        if files and status:
            break
    code_map = CodeMap(header, parse_file_mappings(files, header), CoreMemory(header, read))
    return CrashedCode(code_map, _program_counter(header, status))


def _program_counter(header: headers.Header, status: bytes) -> int | None:
    layout = layout_for_machine(header.machine)
    if layout is None or not header.is_64bit or header.byte_order != "<":
        return None
    if len(status) < REGISTERS_OFFSET + layout.size:
        return None
    return layout.register(status[REGISTERS_OFFSET:], layout.program_counter)
