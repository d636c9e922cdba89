"""List the program and shared objects of a crashed process by build id, for the end of info.txt."""

from collections.abc import Iterable

from astbtd.elf import headers
from astbtd.elf.core_memory import NT_FILE, CoreMemory, FileMapping, parse_file_mappings
from astbtd.extraction import shared_objects
from astbtd.lib.escaping import printable_line

_NO_BUILD_ID = "-" * 40
_PAGE = 4096


def format_object_list(core: int, root: str = "") -> str:
    """Return one line for each object in the core open at `core`: build id, path, and whether it was replaced.

    `root` is the root directory of the process.
    """
    read = headers.file_reader(core)
    try:
        header = headers.read_header(read)
    except headers.NotElf as error:  # it was a core when it was claimed
        return f"Program and modules in use: unknown, the core was changed in the meantime: {error}\n"
    memory = CoreMemory(header, read)
    lines = [_format_object(mapping, memory, root) for mapping in _first_mappings(header, read)]
    objects = list(filter(None, lines))
    return f"Program and modules in use ({len(objects)}), by build id:\n" + "".join(objects)


def _first_mappings(header: headers.Header, read: headers.Read) -> Iterable[FileMapping]:
    """Return the first mapping of each file."""
    first: dict[str, FileMapping] = {}
    for note in headers.read_notes(header, read):
        if note.type == NT_FILE and note.owner == b"CORE":
            for mapping in parse_file_mappings(note.content, header):
                first.setdefault(mapping.path, mapping)
            break
    return first.values()


def _format_object(mapping: FileMapping, memory: CoreMemory, root: str) -> str | None:
    """Return the line for one object, None if the file is not an object."""
    page = memory.read(mapping.start - mapping.offset, _PAGE)
    core_build_id = headers.build_id_in(page) or memory.build_id(mapping)
    if core_build_id is None and not shared_objects.is_named_like_object(mapping.path):
        return None
    remark = _replacement_remark(root + mapping.path, core_build_id, page) if core_build_id else ""
    return f"{core_build_id or _NO_BUILD_ID}  {printable_line(mapping.path)}{remark}\n"


def _replacement_remark(path: str, core_build_id: str, page: bytes) -> str:
    disk_build_id = _build_id_on_disk(path, core_build_id, page)
    if disk_build_id in (None, core_build_id):
        return ""
    return f"  (the file on disk is another build now: {disk_build_id})"


def _build_id_on_disk(path: str, core_build_id: str, page: bytes) -> str | None:
    """Return the build id of the file on disk; `page` is the first page of the object in memory.

    If that page contains the build id and the file begins with the same page, the build ids are equal: parsing the
    file would only cost time.
    """
    if bytes.fromhex(core_build_id) in page and shared_objects.file_starts_with(path, page):
        return core_build_id
    return shared_objects.build_id_on_disk(path)
