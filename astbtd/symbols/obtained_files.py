"""Take over what the networked unit has downloaded: root copies it, verifies the copy, and gives it to gdb.

The unit could change its files at any time, so only the copy counts. The names in its directory are not trusted either:
only builds that were asked for are taken.
"""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from astbtd.lib import files, path_walk, sparse
from astbtd.symbols.debuginfod_client import find_problem_in
from astbtd.symbols.symbol_directories import SymbolDirectories, is_build_id

_EVERYBODY_ENTERS = 0o755


@dataclass(frozen=True)
class ObtainedFiles:
    """The directory with the debug files, of at most `keep` bytes, each of at most `size`.

    Members of the group `group` can read it: gdb's user is one. `check_reserve(bytes)` raises NoRoom if the disk has no
    such space, `log` writes a warning.
    """

    directories: SymbolDirectories
    group: int
    size: int
    keep: int
    check_reserve: Callable[[int], None]
    log: Callable[[str], None]

    def prepare(self) -> None:
        """Create the directories, and remove what a kill has left. Raise AstbtdError."""
        path_walk.refuse_exchangeable(self.directories.root)
        with files.wrap_os_error(f"cannot use {self.directories.root}"):
            self.directories.root.parent.mkdir(parents=True, exist_ok=True)
            files.make_directory(self.directories.root, _EVERYBODY_ENTERS)
            files.make_directory(self.directories.debug, group=self.group)
            files.make_directory(self.directories.debug / ".build-id", group=self.group)
            for leftover in self.directories.debug.glob(f".build-id/*/{files.TEMPORARY_PATTERN}"):
                leftover.unlink(missing_ok=True)

    def take_over(self, wanted: Collection[str], needed: Collection[str]) -> tuple[str, ...]:
        """Copy the downloaded files of the builds in `wanted`; return the builds that were taken over.

        Remove all other files of the unit. If there are too many debug files, remove those of builds that are not
        `needed`. Raise NoRoom, AstbtdError.
        """
        with (
            files.wrap_os_error(f"cannot take over files from {self.directories.found}"),
            suppress(FileNotFoundError),
            path_walk.opened_directory(self.directories.found) as found,
        ):
            return tuple(self._take_all(found, wanted, needed))
        return ()

    def _take_all(self, found: int, wanted: Collection[str], needed: Collection[str]) -> Iterator[str]:
        for name in os.listdir(found):
            if is_build_id(name) and name in wanted and self._take(found, name, needed):
                yield name
            with suppress(IsADirectoryError, FileNotFoundError):
                os.unlink(name, dir_fd=found)

    def _take(self, found: int, build_id: str, needed: Collection[str]) -> bool:
        """Copy a file of the open directory `found`, if it is what it should be and there is room for it."""
        with suppress(FileNotFoundError), _opened(found, build_id) as source:
            if source is None or os.fstat(source).st_size > self.size:
                self.log(f"refused the debug file of build {build_id}: not a file of at most symbols.size")
                return False
            if not self._make_room(sparse.allocated_bytes(source), needed):
                self.log(f"left out the debug file of build {build_id}: symbols.keep is reached")
                return False
            return self._copy(source, build_id)
        return False

    def _copy(self, source: int, build_id: str) -> bool:
        target = self.directories.debug_file(build_id)
        files.make_directory(target.parent, group=self.group)
        temporary = files.temporary_path(target)
        try:
            copy = sparse.make_readable_copy(source, temporary, self.group, self.check_reserve)
            try:
                problem = find_problem_in(copy, build_id, self.size)
                os.fsync(copy)
            finally:
                os.close(copy)
            if problem:
                self.log(f"refused the debug file of build {build_id}: {problem}")
                return False
            files.publish(temporary, target)
            return True
        finally:
            temporary.unlink(missing_ok=True)

    def _make_room(self, size: int, needed: Collection[str]) -> bool:
        """Remove files that are not needed if `size` more bytes exceed the limit; return whether they fit then."""
        kept = self._all()
        total = size + sum(kept.values())
        paths_needed = {self.directories.debug_file(build_id) for build_id in needed}
        for path in kept.keys() - paths_needed:
            if total > self.keep:
                path.unlink(missing_ok=True)
                total -= kept[path]
        return total <= self.keep

    def _all(self) -> dict[Path, int]:
        """Return the sizes of all debug files that were obtained."""
        return {path: path.stat().st_size for path in self.directories.debug.glob(".build-id/*/*.debug")}


@contextmanager
def _opened(directory: int, name: str) -> Iterator[int | None]:
    """Yield a descriptor of a regular file in an open directory; None if it is something else. Raise OSError."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=directory)
    except OSError:
        yield None
        return
    try:
        yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)
