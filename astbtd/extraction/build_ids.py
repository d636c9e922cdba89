"""Compare the program and shared objects of a crashed process with the files on disk, by build id.

A file that was replaced after the process started, for example by an upgrade, must not give names to the frames in it:
another build has other functions at the same offsets.
"""

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice

from astbtd.elf import headers
from astbtd.elf.core_memory import MAX_FILES, NT_FILE, CoreMemory, FileMapping, parse_file_mappings
from astbtd.extraction import object_paths
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


@dataclass(frozen=True)
class MappedImage:
    """What a core has of a mapped file: its path, its first page in memory, the build id; None if it is unknown."""

    path: str
    page: bytes
    build_id: str | None


def read_images(core: int) -> Iterator[MappedImage]:
    """Yield the files that were mapped in the core open at `core`. Raise NotElf."""
    read = headers.file_reader(core)
    header = headers.read_header(read)
    memory = CoreMemory(header, read)
    for mapping in _first_mappings(header, read):
        page = memory.read(mapping.start - mapping.offset, _PAGE)
        yield MappedImage(mapping.path, page, headers.build_id_in(page) or memory.build_id(mapping))


def read_mapped_objects(core: int, root: str = "") -> tuple[MappedObject, ...]:
    """Return the objects in the core open at `core`. `root` is the root directory of the process. Raise NotElf."""
    objects = (_mapped_object(image, root) for image in read_images(core))
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


def not_on_disk(objects: Iterable[MappedObject]) -> dict[str, str]:
    """Return the build ids, by path, of the objects of which the file on disk is missing or of another build."""
    return {each.path: each.build_id for each in objects if each.build_id and each.state is not ObjectState.SAME}


def mark_kept(objects: Iterable[MappedObject], kept: Collection[str]) -> tuple[MappedObject, ...]:
    """Return the objects; those at the paths in `kept` were read from the copies that astbtd keeps."""
    return tuple(replace(each, state=ObjectState.KEPT) if each.path in kept else each for each in objects)


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
    """Yield the first mapping of each file; of very many files, of the first ones."""
    first: dict[str, FileMapping] = {}
    for note in headers.read_notes(header, read):
        if note.type == NT_FILE and note.owner == b"CORE":
            for mapping in parse_file_mappings(note.content, header):
                first.setdefault(mapping.path, mapping)
            break
    yield from islice(first.values(), MAX_FILES)


def _mapped_object(image: MappedImage, root: str) -> MappedObject | None:
    """Return the object that is mapped; None if the file is not an object."""
    build_id = image.build_id
    if build_id is None:
        named_like_object = object_paths.is_named_like_object(image.path)
        return MappedObject(image.path, None, None) if named_like_object else None
    path = root + image.path
    disk_build_id = _build_id_on_disk(path, build_id, image.page)
    if disk_build_id == build_id:
        return MappedObject(image.path, build_id, ObjectState.SAME)
    if disk_build_id is None:
        state = None if os.path.lexists(path) else ObjectState.GONE
        return MappedObject(image.path, build_id, state)
    return MappedObject(image.path, build_id, ObjectState.REPLACED, disk_build_id, _changed_at(path))


def _changed_at(path: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(os.stat(path).st_ctime), UTC)
    except (OSError, ValueError, OverflowError):
        return None


def _replacement_remark(mapped: MappedObject) -> str:
    if mapped.state is ObjectState.KEPT:
        return "  (from the copy that astbtd kept: the file on disk is missing or another build)"
    if mapped.state is not ObjectState.REPLACED:
        return ""
    return f"  (the file on disk is another build now: {mapped.disk_build_id})"


def _build_id_on_disk(path: str, core_build_id: str, page: bytes) -> str | None:
    """Return the build id of the file on disk; `page` is the first page of the object in memory.

    If that page contains the build id and the file begins with the same page, the build ids are equal: parsing the
    file would only cost time.
    """
    if bytes.fromhex(core_build_id) in page and object_paths.file_starts_with(path, page):
        return core_build_id
    return object_paths.build_id_on_disk(path)
