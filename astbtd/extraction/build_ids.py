"""Lists the program and the shared objects that a process ran, by build id, for the end of info.txt."""

from astbtd.elf import headers
from astbtd.elf.core_memory import NT_FILE, CoreMemory, Mapping, mappings
from astbtd.extraction import shared_objects
from astbtd.lib.escaping import printable_line

_NO_BUILD_ID = "-" * 40
_PAGE = 4096


def listing(core: int, root: str = "") -> str:
    """A line for each object in the core open at `core`: its build id, its path, and whether it was replaced since.

    `root` is where the process's paths begin.
    """
    read = headers.file_reader(core)
    try:
        header = headers.read_header(read)
    except headers.NotElf as error:  # it was a core when it was claimed
        return f"Program and modules in use: not known, the core was changed meanwhile: {error}\n"
    memory = CoreMemory(header, read)
    first = _first_mappings(header, read)
    lines = [line for mapping in first if (line := _line(mapping, memory, root))]
    return f"Program and modules in use ({len(lines)}), by build id:\n" + "".join(lines)


def _first_mappings(header: headers.Header, read: headers.Read) -> list[Mapping]:
    note = next((note for note in headers.notes(header, read) if note.type == NT_FILE and note.owner == b"CORE"), None)
    first: dict[str, Mapping] = {}
    for mapping in mappings(note.content, header) if note else ():
        first.setdefault(mapping.path, mapping)
    return list(first.values())


def _line(mapping: Mapping, memory: CoreMemory, root: str) -> str | None:
    """What is said of one object; None of a file that is none.

    Where the first page in memory is the file's too, the build id in it needs no reading.
    """
    page, path = memory.read(mapping.start - mapping.offset, _PAGE), mapping.path
    ran = headers.build_id_in(page) or memory.build_id(mapping)
    if ran is None and not shared_objects.named_like_an_object(path):
        return None
    same = ran is not None and bytes.fromhex(ran) in page and shared_objects.begins_with(root + path, page)
    now = ran if same else shared_objects.build_id_on_disk(root + path)
    replaced = f"  (the file there now is another build, {now})" if ran and now not in (None, ran) else ""
    return f"{ran or _NO_BUILD_ID}  {printable_line(path)}{replaced}\n"
