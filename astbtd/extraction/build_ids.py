"""Compare the program and shared objects of a crashed process with the files on disk, by build id.

A file that was replaced after the process started, for example by an upgrade, must not give names to the frames in it:
another build has other functions at the same offsets.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from astbtd.elf import headers
from astbtd.elf.core_memory import NT_FILE, CoreMemory, FileMapping, parse_file_mappings
from astbtd.extraction import shared_objects
from astbtd.lib.escaping import printable_line
from astbtd.model.crash import MappedFile, ObjectState

_NO_BUILD_ID = "-" * 40
_PAGE = 4096
_MAX_RECORDED = 512
_WORST_FIRST = (ObjectState.REPLACED, ObjectState.GONE, ObjectState.KEPT, ObjectState.SAME)


@dataclass(frozen=True)
class MappedObject:
    """A program or shared object that the process had mapped. `build_id` is from the core, None if unknown.

    `state` is None if the build ids cannot be compared. `disk_build_id` and `replaced_at` are set if the file was
    replaced; the time is that of the last change of the inode, since packages keep the modification time of a file.
    """

    path: str
    build_id: str | None
    state: ObjectState | None
    disk_build_id: str | None = None
    replaced_at: datetime | None = None


def read_mapped_objects(core: int, root: str = "") -> tuple[MappedObject, ...]:
    """Return the objects in the core open at `core`. `root` is the root directory of the process. Raise NotElf."""
    read = headers.file_reader(core)
    header = headers.read_header(read)
    memory = CoreMemory(header, read)
    objects = (_mapped_object(mapping, memory, root) for mapping in _first_mappings(header, read))
    return tuple(filter(None, objects))


def list_mapped_objects(core: int, root: str = "") -> tuple[MappedObject, ...]:
    """Do the same, but return nothing if the core was changed since it was claimed."""
    try:
        return read_mapped_objects(core, root)
    except headers.NotElf:
        return ()


def outdated_paths(objects: Iterable[MappedObject]) -> frozenset[str]:
    """Return the paths at which another build than that of the process is now."""
    return frozenset(each.path for each in objects if each.state is ObjectState.REPLACED)


def to_record(objects: Iterable[MappedObject]) -> tuple[MappedFile, ...]:
    """Return the objects whose state is known, for the record: at most 512, those that are no longer there first."""
    known = [MappedFile(each.path, each.build_id, each.state) for each in objects if each.state is not None]
    kept = sorted(known, key=lambda each: _WORST_FIRST.index(each.state))[:_MAX_RECORDED]
    return tuple(kept)


def format_objects(objects: Sequence[MappedObject]) -> str:
    """Return the list for the end of info.txt."""
    lines = (
        f"{each.build_id or _NO_BUILD_ID}  {printable_line(each.path)}{_replacement_remark(each)}\n" for each in objects
    )
    return f"Program and modules in use ({len(objects)}), by build id:\n" + "".join(lines)


def _first_mappings(header: headers.Header, read: headers.Read) -> Iterator[FileMapping]:
    """Yield the first mapping of each file."""
    first: dict[str, FileMapping] = {}
    for note in headers.read_notes(header, read):
        if note.type == NT_FILE and note.owner == b"CORE":
            for mapping in parse_file_mappings(note.content, header):
                first.setdefault(mapping.path, mapping)
            break
    yield from first.values()


def _mapped_object(mapping: FileMapping, memory: CoreMemory, root: str) -> MappedObject | None:
    """Return the object that is mapped; None if the file is not an object."""
    page = memory.read(mapping.start - mapping.offset, _PAGE)
    build_id = headers.build_id_in(page) or memory.build_id(mapping)
    if build_id is None:
        named_like_object = shared_objects.is_named_like_object(mapping.path)
        return MappedObject(mapping.path, None, None) if named_like_object else None
    path = root + mapping.path
    disk_build_id = _build_id_on_disk(path, build_id, page)
    if disk_build_id == build_id:
        return MappedObject(mapping.path, build_id, ObjectState.SAME)
    if disk_build_id is None:
        state = None if os.path.lexists(path) else ObjectState.GONE
        return MappedObject(mapping.path, build_id, state)
    return MappedObject(mapping.path, build_id, ObjectState.REPLACED, disk_build_id, _changed_at(path))


def _changed_at(path: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(os.stat(path).st_ctime), UTC)
    except (OSError, ValueError, OverflowError):
        return None


def _replacement_remark(mapped: MappedObject) -> str:
    if mapped.state is not ObjectState.REPLACED:
        return ""
    return f"  (the file on disk is another build now: {mapped.disk_build_id})"


def _build_id_on_disk(path: str, core_build_id: str, page: bytes) -> str | None:
    """Return the build id of the file on disk; `page` is the first page of the object in memory.

    If that page contains the build id and the file begins with the same page, the build ids are equal: parsing the
    file would only cost time.
    """
    if bytes.fromhex(core_build_id) in page and shared_objects.file_starts_with(path, page):
        return core_build_id
    return shared_objects.build_id_on_disk(path)
