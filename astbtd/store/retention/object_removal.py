"""Retention of kept objects: they are kept for the cores that need them, and for the Asterisk that runs.

Objects of greater importance are kept first, up to the limit: those of the Asterisk that runs or ran last, then those
of crashes with a core, pinned ones and newer ones first. All others are removed. `plan` is pure.
"""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from astbtd.lib import files
from astbtd.lib.quantities import format_size, pluralize
from astbtd.store.kept_objects import KeptObjects, is_build_id
from astbtd.store.record import ObjectFields
from astbtd.store.store import DamagedRecord, Store

_NOT_NEEDED = "no kept core needs it"
_GRACE = 3600.0  # seconds that an object is kept although no core needs it: its crash may not be recorded yet
_RUNNING = "running-objects"


@dataclass(frozen=True)
class ObjectRemoval:
    """One object to remove: its build id, its size in bytes, the reason."""

    build_id: str
    bytes: int
    reason: str


def plan(
    sizes: Mapping[str, int], needed: Iterable[Collection[str]], limit: int | None, new: Collection[str] = ()
) -> tuple[ObjectRemoval, ...]:
    """Return which of the objects to remove. `sizes` are in bytes, by build id; `limit` of all together, None if none.

    `needed` are sets of build ids, the most important one first. Objects in `new` are kept although none needs them.
    """
    left = dict(sizes)
    used = 0
    removals = []
    for build_ids in (*needed, new):
        for build_id in sorted(left.keys() & set(build_ids)):
            size = left.pop(build_id)
            if limit is not None and used + size > limit:
                removals.append(ObjectRemoval(build_id, size, f"beyond {format_size(limit)} of objects in all"))
            else:
                used += size
    return (*removals, *(ObjectRemoval(build_id, left[build_id], _NOT_NEEDED) for build_id in sorted(left)))


def plan_object_removals(
    store: Store, limit: int | None, needed_now: Collection[str] = (), without_cores: Collection[str] = ()
) -> tuple[ObjectRemoval, ...]:
    """Return what retention removes from the objects of a store.

    `needed_now` are needed by a crash being processed; `without_cores` are ids of crashes that will lose their cores.
    """
    objects = KeptObjects(store.root, store.group)
    sizes = objects.sizes()
    needed = (needed_now, read_running(store), *_needed_by_cores(store, without_cores)) if sizes else ()
    return plan(sizes, needed, limit, _new(objects, sizes))


def carry_out_object_removals(store: Store, removals: Iterable[ObjectRemoval]) -> None:
    """Remove these objects. Raise AstbtdError if permission is denied."""
    objects = KeptObjects(store.root, store.group)
    with files.wrap_os_error(f"cannot remove an object from the store {store.root}"):
        for removal in removals:
            objects.remove(removal.build_id)


def summarize_objects(removals: Collection[ObjectRemoval]) -> str:
    """Summarise removals for people: `3 kept objects (14M)`."""
    size = format_size(sum(removal.bytes for removal in removals))
    return f"{pluralize(len(removals), 'kept object', 'kept objects')} ({size})"


def write_running(store: Store, build_ids: Collection[str]) -> None:
    """Remember, durably, the objects of the Asterisks that run now: they are needed when the next one crashes."""
    if set(build_ids) != read_running(store):
        content = "\n".join(sorted(build_ids)).encode()
        files.replace(store.incoming / _RUNNING, content, files.PRIVATE_FILE_MODE)


def read_running(store: Store) -> frozenset[str]:
    """Return the build ids of the objects of the Asterisks that run or ran last."""
    try:
        return frozenset(filter(is_build_id, (store.incoming / _RUNNING).read_text().split()))
    except (FileNotFoundError, PermissionError):  # only root can read it
        return frozenset()


def _needed_by_cores(store: Store, without: Collection[str]) -> Iterator[frozenset[str]]:
    """Yield what each crash with a core needs: pinned crashes first, then newer ones."""
    fields = []
    for crash_id in filter(store.has_core, store.newest()):
        if crash_id in without:
            continue
        with suppress(DamagedRecord):
            fields.append(store.load_part(crash_id, ObjectFields))
    for crash in sorted(fields, key=lambda crash: not crash.pinned):
        yield frozenset(filter(None, (each.build_id for each in crash.objects or ())))


def _new(objects: KeptObjects, build_ids: Iterable[str]) -> frozenset[str]:
    """Return the objects that were kept within the last hour."""
    earliest = time.time() - _GRACE
    new = set()
    for build_id in build_ids:
        with suppress(FileNotFoundError):
            if objects.path(build_id).stat().st_mtime > earliest:
                new.add(build_id)
    return frozenset(new)
