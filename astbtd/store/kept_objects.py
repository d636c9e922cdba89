"""Keeps programs and shared objects by build id, compressed: `objects/<xx>/<build id>.zst`, `xx` being its first byte.

A kept object serves when the file on disk is missing or of another build. Interface:

    objects = KeptObjects(store.root, store.group)
    objects.has(build_id)                    whether it is kept
    objects.add(descriptor, most_bytes)      keep the open file; returns (build id, compressed size)
    objects.write_out(build_id, descriptor)  write it, decompressed and verified, to a new file
    objects.sizes()                          all kept objects: build id -> compressed size in bytes

What an object is called, and which crash needs it, is in the records: `crash.objects` has path and build id.
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from astbtd.elf import headers
from astbtd.errors import AstbtdError, NoRoom
from astbtd.lib import files
from astbtd.store.core_archive import Progress, compress_file, decompress_core, verify_core

DIRECTORY = "objects"
LARGEST = 256 << 20
"""The size in bytes of the largest object that is kept."""

UNKNOWN_FILE = "astbtd makes no such file"

_BUILD_ID = re.compile(r"[0-9a-f]{4,128}")
_SUFFIX = ".zst"


class NotKept(AstbtdError):
    """An object cannot be kept: it is not an object, or was changed while it was copied."""


def _no_progress(_: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class KeptObjects:
    """The objects in the store with the directory `store`. Members of `group` can read them; -1: our own group."""

    store: Path
    group: int = -1

    @property
    def directory(self) -> Path:
        """The directory with all objects. It is missing until the first object is kept."""
        return self.store / DIRECTORY

    def path(self, build_id: str) -> Path:
        """Return the path that the object with this build id has if it is kept."""
        assert is_build_id(build_id)
        return self.directory / build_id[:2] / f"{build_id}{_SUFFIX}"

    def has(self, build_id: str | None) -> bool:
        """Return whether the object with this build id is kept."""
        return build_id is not None and is_build_id(build_id) and os.path.exists(self.path(build_id))

    def add(self, source: int, most_bytes: int | None = None, progress: Progress = _no_progress) -> tuple[str, int]:
        """Keep a copy of the program or shared object open at `source`. Return its build id and its compressed size.

        It is compressed at idle priority. One that is kept already is not copied again. Raise NotKept, OSError, NoRoom
        if the copy would have more than `most_bytes`, and what `progress` raises.
        """
        build_id = _build_id_of_object(source)
        path = self.path(build_id)
        for directory in (self.directory, path.parent):
            files.make_directory(directory, group=self.group)
        with files.locked(self.store / "incoming" / DIRECTORY):
            if not path.exists():
                self._copy(source, path, most_bytes, progress)
        return build_id, path.stat().st_size

    def write_out(self, build_id: str, target: int) -> None:
        """Write an object, decompressed, to the new file open at `target`. Raise AstbtdError if it is damaged."""
        path = self.path(build_id)
        decompress_core(path, target, _refuse_beyond_largest)
        if read_build_id(target) != build_id:
            raise AstbtdError(f"{path} is damaged: it has another build id", "remove it; it is copied again")

    def sizes(self) -> dict[str, int]:
        """Return the compressed size of each kept object in bytes, by build id."""
        sizes = {}
        for entry in self.entries():
            build_id = entry.name.removesuffix(_SUFFIX)
            if is_build_id(build_id) and entry == self.path(build_id):
                with suppress(FileNotFoundError):  # removed meanwhile
                    sizes[build_id] = entry.stat().st_size
        return sizes

    def entries(self) -> Iterator[Path]:
        """Yield all files below the directories of objects, whatever they are."""
        yield from sorted(self.directory.glob("*/*"))

    def find_problem(self, path: Path, progress: Progress, *, whole: bool) -> str | None:
        """Return what is wrong with a file below `directory`; None if it is a sound object.

        Read it to its end, or only its beginning, and the build id only in the first case.
        """
        build_id = path.name.removesuffix(_SUFFIX)
        try:
            if not is_build_id(build_id) or path != self.path(build_id):
                return UNKNOWN_FILE
            if not whole:
                verify_core(path, progress, whole=False)
                return None
            memory = os.memfd_create(build_id, os.MFD_CLOEXEC)
            try:
                self.write_out(build_id, memory)
            finally:
                os.close(memory)
        except (AstbtdError, OSError) as error:
            return str(error)
        return None

    def remove(self, build_id: str) -> None:
        """Remove an object. A missing one is not an error."""
        self.path(build_id).unlink(missing_ok=True)

    def _copy(self, source: int, path: Path, most_bytes: int | None, progress: Progress) -> None:
        before = _version(source)

        def check(size: int) -> None:
            if _version(source) != before:
                raise NotKept("it was changed while it was copied")
            if most_bytes is not None and size > most_bytes:
                raise NoRoom(f"the object has {size} bytes when compressed, and {most_bytes} are left for objects")

        compress_file(source, path, progress, self.group, check)


def is_build_id(text: str) -> bool:
    """Return whether a text is a build id as it is used in names: hexadecimal, in lower case."""
    return _BUILD_ID.fullmatch(text) is not None


def read_build_id(descriptor: int) -> str | None:
    """Return the build id of an open program or shared object; None if it is none, or has no build id."""
    read = headers.file_reader(descriptor)
    try:
        kind = headers.read_file_header(read).type
    except headers.NotElf:
        return None
    return headers.build_id(read) if kind in (headers.FileType.EXECUTABLE, headers.FileType.SHARED) else None


def _build_id_of_object(source: int) -> str:
    """Return the build id of an open file. Raise NotKept if it must not be kept."""
    if os.fstat(source).st_size > LARGEST:
        raise NotKept(f"it is larger than {LARGEST >> 20} MB")
    build_id = read_build_id(source)
    if build_id is None or not is_build_id(build_id):
        raise NotKept("it is not a program or shared object with a build id")
    return build_id


def _version(source: int) -> tuple[int, int]:
    """Return what changes when the content of an open file is changed."""
    status = os.fstat(source)
    return status.st_size, status.st_mtime_ns


def _refuse_beyond_largest(done: int) -> None:
    if done > LARGEST:
        raise AstbtdError(f"a kept object is damaged: it has more than {LARGEST >> 20} MB", "astbtd fsck")
