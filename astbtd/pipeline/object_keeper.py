"""Copy the program and the modules of Asterisk into the store, by build id, before an upgrade replaces them.

They are copied while Asterisk runs, and those that were loaded since then when it has crashed. Nothing is taken from a
path alone: a file must be the one that the running process has mapped (inode), or begin with the same page as its image
in the core (with the build id). What others than root can exchange is copied last.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

from astbtd.asterisk import mapped_files
from astbtd.errors import AstbtdError, Interrupted, NoRoom
from astbtd.extraction import build_ids
from astbtd.lib import files, sparse
from astbtd.lib.mounts import Mounts
from astbtd.lib.path_walk import opened_regular_file
from astbtd.lib.quantities import format_size
from astbtd.store.core_archive import Progress
from astbtd.store.kept_objects import KeptObjects, NotKept, read_build_id
from astbtd.store.retention import object_removal
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store

_MAX_IMAGES = 2000  # of one core; Debian's Asterisk has about 420
_LIKELY_RATIO = 3  # of the size of an object to its compressed size

IsWanted = Callable[[int], bool]
"""Returns whether an open file is the one that the process had mapped."""


@dataclass(frozen=True)
class _Source:
    """A path at which an object may be."""

    path: str
    is_wanted: IsWanted


@dataclass
class KeepResult:
    """What became of the objects of one process.

    `build_ids` are those of all that are kept. `refused` are sentences about files that are not what the process had
    mapped, or cannot be kept. `no_room` is why not all are kept, None if there was room; `added` counts new copies.
    """

    build_ids: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    no_room: str | None = None
    added: int = 0


@dataclass(frozen=True)
class ObjectKeeper:
    """Keeps objects in a store up to `limit` bytes in all, None for no limit.

    `reserve` guards the disk: no core is removed for an object. `progress` is called while an object is compressed, and
    may raise to interrupt that.
    """

    store: Store
    limit: int | None
    reserve: DiskReserve
    progress: Progress

    @property
    def objects(self) -> KeptObjects:
        """The kept objects."""
        return KeptObjects(self.store.root, self.store.group)

    def keep_running(self, pid: int, is_interrupted: Callable[[], bool] = lambda: False) -> KeepResult:
        """Keep the program and the modules of a running process; stop early if `is_interrupted` returns True.

        Raise OSError if the process has ended.
        """
        batch = _Batch(self, is_interrupted)
        with mapped_files.opened_process(pid) as process:
            mapped = mapped_files.read_mapped_code(process)
            program = mapped_files.open_executable(process)
            try:
                batch.keep(program, f"/proc/{pid}/exe")
            finally:
                os.close(program)
            batch.keep_all(_Source(each.path, partial(_has_inode, each.inode)) for each in mapped)
        return batch.result

    def keep_mapped(self, core: int) -> KeepResult:
        """Keep the objects that were mapped in the core open at `core`, as far as they are still on disk.

        Raise NotElf if the core is invalid.
        """
        batch = _Batch(self)
        sources = []
        for image in islice(build_ids.read_images(core), _MAX_IMAGES):
            if image.build_id is not None and self.objects.has(image.build_id):
                batch.result.build_ids.add(image.build_id)
            elif image.build_id is not None:
                sources.append(_Source(image.path, partial(_begins_with, image.page)))
        batch.keep_all(sources)
        return batch.result


@dataclass(frozen=True)
class _Batch:
    """The objects of one process, which are kept one after another until there is no room."""

    keeper: ObjectKeeper
    is_interrupted: Callable[[], bool] = lambda: False
    result: KeepResult = field(default_factory=KeepResult)

    def keep_all(self, sources: Iterable[_Source]) -> None:
        """Keep the files that only root can exchange, then the others: a forged copy must not be the first."""
        mounts = Mounts.current()
        local = [source for source in sources if not mounts.remote_mount(source.path)]  # others may block
        later = [source for source in local if not self._is_done and not self._keep_source(source, only_safe=True)]
        for source in later:
            if not self._is_done:
                self._keep_source(source, only_safe=False)

    def keep(self, descriptor: int, path: str) -> None:
        """Keep an open file, unless it is kept already. Record why it is not kept."""
        build_id = read_build_id(descriptor)
        if build_id is None:
            return
        try:
            if not self.keeper.objects.has(build_id):
                self._copy(descriptor)
            self.result.build_ids.add(build_id)
        except NotKept as error:
            self.result.refused.append(f"{path}: {error.message}")
        except Interrupted:
            raise
        except AstbtdError as error:  # nothing more can be written now
            self.result.no_room = error.message

    @property
    def _is_done(self) -> bool:
        return self.result.no_room is not None or self.is_interrupted()

    def _keep_source(self, source: _Source, *, only_safe: bool) -> bool:
        """Keep the file of one source. Return False if others can exchange it, and only safe files are wanted."""
        try:
            with opened_regular_file(source.path) as (descriptor, is_exchangeable):
                if is_exchangeable and only_safe:
                    return False
                if source.is_wanted(descriptor):
                    self.keep(descriptor, source.path)
                else:
                    self.result.refused.append(f"{source.path} is not the file that was mapped")
        except FileNotFoundError:  # nothing can be copied
            pass
        except OSError as error:
            self.result.refused.append(f"{source.path}: {error.strerror or error}")
        return True

    def _copy(self, descriptor: int) -> None:
        """Copy an open object into the store. Raise NotKept, NoRoom."""
        keeper, size = self.keeper, sparse.allocated_bytes(descriptor)
        keeper.reserve.check(size)
        room = None if keeper.limit is None else self._room(keeper.limit, size // _LIKELY_RATIO)
        with files.wrap_os_error("cannot keep an object"):
            keeper.objects.add(descriptor, room, keeper.progress)
        self.result.added += 1

    def _room(self, limit: int, needed: int) -> int:
        """Return how many bytes are left for objects; remove less important ones if `needed` do not fit.

        Raise NoRoom if they still do not fit.
        """
        store, objects = self.keeper.store, self.keeper.objects
        room = limit - sum(objects.sizes().values())
        if room < needed:
            needed_now = self.result.build_ids | object_removal.read_running(store)
            removals = object_removal.plan_object_removals(store, max(0, limit - needed), needed_now)
            object_removal.carry_out_object_removals(
                store, [removal for removal in removals if removal.build_id not in needed_now]
            )
            room = limit - sum(objects.sizes().values())
        if room < needed:
            raise NoRoom(f"the kept objects would exceed {format_size(limit)}", "raise retention.objects.size")
        return room


def _has_inode(inode: int, descriptor: int) -> bool:
    return os.fstat(descriptor).st_ino == inode


def _begins_with(page: bytes, descriptor: int) -> bool:
    return os.pread(descriptor, len(page), 0) == page
