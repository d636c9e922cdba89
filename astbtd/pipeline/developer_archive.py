"""Pack one crash for a developer who examines it on another machine: core, program, modules, debug files, texts.

The archive is written while it is read: no second copy of the core is made. Its memory holds passwords.
"""

import gzip
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import BinaryIO

from astbtd.elf import headers
from astbtd.lib import files
from astbtd.model.crash import RECORD_FILE, Crash, MappedFile, ObjectState
from astbtd.store.core_archive import opened_core
from astbtd.store.issue_bundle import BundleItem
from astbtd.store.kept_objects import KeptObjects
from astbtd.store.store import Store
from astbtd.symbols.symbol_directories import SymbolDirectories, debug_file_name

SCRIPT_FILE = "open.sh"
_SCRIPT = """\
#!/bin/sh
# Opens the core in gdb with the program, the libraries and the debug files of the machine on which it crashed. More
# arguments are gdb's, for example: sh open.sh -batch -ex 'thread apply all bt'
cd "$(dirname "$0")" || exit 1
exec gdb -nx -q -iex 'set auto-load no' -iex 'set debuginfod enabled off' -iex "set sysroot $PWD/sysroot" \\
    -iex "set debug-file-directory $PWD/debug" {program}-c core "$@"
"""
_FILE_MODE, _SCRIPT_MODE = 0o600, 0o700
_LEVEL = 3  # of gzip: the core is large
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # links into /usr on the machines of today


Opened = tuple[BinaryIO, int]
"""A file to read from its start, and its size in bytes."""


@dataclass
class Contents:
    """What an archive contains. `missing` are the objects of which this machine has no copy of that build."""

    core_bytes: int = 0
    objects: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    debug_files: int = 0
    texts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DeveloperArchive:
    """Packs crashes of `store`. `progress` is called with the number of bytes read, and may raise to stop."""

    store: Store
    symbols: SymbolDirectories
    progress: Callable[[int], None]

    def write(self, crash: Crash, target: BinaryIO) -> Contents:
        """Write a tar.gz with a directory named after the crash; return what it contains.

        Raise AstbtdError if the kept core is damaged, OSError.
        """
        with (
            gzip.GzipFile(fileobj=target, mode="wb", filename="", compresslevel=_LEVEL) as compressed,
            tarfile.TarFile(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            writer = _Writer(archive, crash, self.progress)
            found = Contents()
            self._add_texts(writer, crash, found)
            self._add_objects(writer, crash, found)
            writer.add_bytes(SCRIPT_FILE, _script(crash, found).encode(), _SCRIPT_MODE)
            with opened_core(self.store.kept_core(crash.id)) as (core, found.core_bytes):
                writer.add_stream("core", core, found.core_bytes)
        return found

    def _add_texts(self, writer: "_Writer", crash: Crash, found: Contents) -> None:
        directory = self.store.directory(crash.id)
        for path in (*BundleItem(crash, directory).texts(), directory / RECORD_FILE):
            writer.add_bytes(f"texts/{path.name}", path.read_bytes())
            found.texts.append(path.name)

    def _add_objects(self, writer: "_Writer", crash: Crash, found: Contents) -> None:
        """Add the program and its objects below `sysroot`, with the links by which the process named them."""
        debugged: set[str] = set()
        for mapped in _objects(crash):
            with self._opened_object(mapped) as opened:
                if opened is None:
                    found.missing.append(mapped.path)
                    continue
                writer.add_stream(f"sysroot{mapped.path}", *opened)
            found.objects.append(mapped.path)
            if mapped.build_id and mapped.build_id not in debugged:
                debugged.add(mapped.build_id)
                found.debug_files += self._add_debug_file(writer, mapped.build_id)
        for name, link_target in _links(found.objects):
            writer.add_link(f"sysroot{name}", link_target)

    @contextmanager
    def _opened_object(self, mapped: MappedFile) -> Iterator[Opened | None]:
        """Yield the object of the build that crashed: the file on disk, or the kept copy; None if there is neither."""
        with _opened_file(mapped) as on_disk:
            if on_disk is not None or mapped.build_id is None or not self._kept.has(mapped.build_id):
                yield on_disk
                return
        with opened_core(self._kept.path(mapped.build_id)) as kept:
            yield kept

    @property
    def _kept(self) -> KeptObjects:
        return KeptObjects(self.store.root, self.store.group)

    def _add_debug_file(self, writer: "_Writer", build_id: str) -> bool:
        for directory in self.symbols.search_path.split(":"):
            try:
                descriptor = files.open_regular(f"{directory}/{debug_file_name(build_id)}")
            except OSError:
                continue
            with open(descriptor, "rb") as file:
                writer.add_stream(f"debug/{debug_file_name(build_id)}", file, os.fstat(descriptor).st_size)
            return True
        return False


class _Writer:
    """Adds members to an archive, below a directory named after the crash."""

    def __init__(self, archive: tarfile.TarFile, crash: Crash, progress: Callable[[int], None]) -> None:
        self._archive = archive
        self._crash = crash
        self._progress = progress

    def add_bytes(self, name: str, content: bytes, mode: int = _FILE_MODE) -> None:
        """Add a file."""
        self.add_stream(name, io.BytesIO(content), len(content), mode)

    def add_stream(self, name: str, stream: BinaryIO, size: int, mode: int = _FILE_MODE) -> None:
        """Add a file of exactly `size` bytes. Raise OSError if the stream ends before."""
        member = self._member(name)
        member.size, member.mode = size, mode
        self._archive.addfile(member, stream)
        self._progress(self._archive.offset)

    def add_link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        member = self._member(name)
        member.type, member.linkname = tarfile.SYMTYPE, target
        self._archive.addfile(member)

    def _member(self, name: str) -> tarfile.TarInfo:
        member = tarfile.TarInfo(f"{self._crash.id}/{name}")
        member.mtime = int(self._crash.crashed_at.timestamp())
        return member


def _script(crash: Crash, found: Contents) -> str:
    executable = crash.process.executable
    if executable not in found.objects or "'" in executable or not executable.isprintable():
        return _SCRIPT.format(program="")
    return _SCRIPT.format(program=f"'sysroot{executable}' ")


def _objects(crash: Crash) -> Iterator[MappedFile]:
    """Yield the program and the other objects whose paths can be names in an archive."""
    executable = crash.process.executable
    program = [MappedFile(executable, crash.process.build_id, ObjectState.SAME)] if executable else []
    seen: set[str] = set()
    for each in (*program, *(crash.objects or ())):
        if each.path not in seen and each.path.startswith("/") and os.path.normpath(each.path) == each.path:
            seen.add(each.path)
            yield each


@contextmanager
def _opened_file(mapped: MappedFile) -> Iterator[Opened | None]:
    """Yield the file on disk; None if it is not that build. The paths in a core are not trusted."""
    try:
        descriptor = files.open_regular(mapped.path)
    except OSError:
        yield None
        return
    with open(descriptor, "rb") as file:
        is_same = mapped.build_id is not None and headers.build_id(headers.file_reader(descriptor)) == mapped.build_id
        yield (file, os.fstat(descriptor).st_size) if is_same else None


def _links(paths: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the symbolic links on this machine through which a process may name these objects, with their targets."""
    for name in _MERGED:
        if os.path.islink(f"/{name}") and any(path.startswith(f"/usr/{name}/") for path in paths):
            yield f"/{name}", f"usr/{name}"
    packed = set(paths)
    for directory in sorted({str(PurePosixPath(path).parent) for path in paths}):
        for entry in os.scandir(directory) if os.path.isdir(directory) else ():
            if entry.is_symlink() and os.path.dirname(os.readlink(entry.path)) == "":
                target = os.readlink(entry.path)
                if os.path.join(directory, target) in packed and entry.path not in packed:
                    yield entry.path, target
