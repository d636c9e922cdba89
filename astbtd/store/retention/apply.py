"""Applies retention to the store: what it holds goes into the plan, what the plan says is removed.

Whoever does it, the daemon or a command beside it, however many at once, and wherever it is killed: a crash loses
something in one step for its readers, and what is then left to remove, the next run removes.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

from astbtd.errors import NoRoom
from astbtd.lib import files
from astbtd.model.crash import KEPT_CORE_FILE, RECORD_FILE, CoreState, Crash
from astbtd.settings import RetentionSettings
from astbtd.store.retention.disk_reserve import Disk
from astbtd.store.retention.policy import Removal, RemovedPart, StoredCrash, StoreTotals, concerns, plan, within
from astbtd.store.store import DamagedRecord, Store


def planned(store: Store, limits: RetentionSettings, now: datetime | None, needed: int = 0) -> tuple[Removal, ...]:
    """What retention would remove from the store now; the arguments are those of retention.plan."""
    held = list(holdings(store))
    return plan(held, limits, Disk.of(store.root), now, needed) if held else ()


def planned_within(store: Store, limits: RetentionSettings, now: datetime | None) -> tuple[Removal, ...]:
    """The same where Stock.exceeds is false, and the disk not short: few crashes are held in memory at a time."""
    return _planned_of(filter(partial(concerns, limits, now), holdings(store)), store, limits, now)


def planned_of_cores(store: Store, limits: RetentionSettings, now: datetime | None) -> tuple[Removal, ...]:
    """The same where only the cores are looked at: no other records are read."""
    return _planned_of(_holdings(store, filter(store.has_core, store.newest())), store, limits, now)


def carry_out(store: Store, removals: Sequence[Removal], at: datetime, removed: Callable[[Removal], None]) -> None:
    """Removes what a plan says; `removed` hears of each removal when it is done, and may raise to stop.

    What was pinned or removed since the plan was made is passed over. Raises AstbtdError where it is not permitted.
    """
    with files.said_plainly(f"cannot remove anything from the store {store.root}"):
        store.finish_removals()
        try:
            for removal in removals:
                if _carried_out(store, removal, at):
                    removed(removal)
        finally:
            store.point_latest()


def begin_aging(store: Store, wrong: tuple[datetime, datetime], at: datetime) -> None:
    """Lets the ages count from `at` of what was collected between two moments of a clock that was wrong."""
    earliest, latest = wrong
    for crash in list(store.outlines()):
        if earliest <= (crash.aging_since or crash.collected_at) <= latest:
            with suppress(DamagedRecord):  # removed meanwhile
                store.change(crash.id, lambda stored: replace(stored, aging_since=at))


def holdings(store: Store) -> Iterator[StoredCrash]:
    """What the store holds of each crash, the newest first."""
    return _holdings(store, store.newest())


def stock(store: Store) -> StoreTotals:
    """What the store holds in all."""
    return StoreTotals.of(parts(store.sizes(crash_id)) for crash_id in store.newest())


def parts(sizes: Mapping[str, int]) -> dict[RemovedPart, int]:
    """The bytes of each of the three, of files with these names and sizes."""
    core, record = sizes.get(KEPT_CORE_FILE, 0), sizes.get(RECORD_FILE, 0)
    return {RemovedPart.CORE: core, RemovedPart.TEXT: sum(sizes.values()) - core - record, RemovedPart.RECORD: record}


def _planned_of(
    some: Iterable[StoredCrash], store: Store, limits: RetentionSettings, now: datetime | None
) -> tuple[Removal, ...]:
    held = list(some)
    return plan(held, within(limits), Disk.of(store.root), now) if held else ()


def _holdings(store: Store, crash_ids: Iterable[str]) -> Iterator[StoredCrash]:
    return filter(None, (_holding(store, crash_id) for crash_id in crash_ids))


def _holding(store: Store, crash_id: str) -> StoredCrash | None:
    """None if the crash is gone by now."""
    core, texts, record = parts(store.sizes(crash_id)).values()
    try:
        crash = store.upkeep(crash_id)
    except DamagedRecord as error:
        if not store.directory(crash_id).exists():
            return None
        return StoredCrash(crash_id, error.crashed_at, error.crashed_at, None, core, texts, record)
    unfinished = None
    if crash.texts_removed_at and texts:
        unfinished = RemovedPart.TEXT
    elif crash.core.state is CoreState.REMOVED and core:
        unfinished = RemovedPart.CORE
    return StoredCrash(
        crash_id,
        crash.crashed_at,
        crash.aging_since or crash.collected_at,
        crash.signature.id,
        core,
        texts,
        record,
        fixed=crash.pinned or crash.core.state is CoreState.CLAIMED,
        unfinished=unfinished,
    )


def _carried_out(store: Store, removal: Removal, at: datetime) -> bool:
    with store.changing():
        crash = _record(store, removal.id)
        if crash is not None and crash.pinned:
            return False
        if removal.what is RemovedPart.RECORD:
            return store.remove(removal.id)
        return _thinned(store, removal, crash, at)


def _record(store: Store, crash_id: str) -> Crash | None:
    try:
        return store.load(crash_id)
    except DamagedRecord:  # it says nothing, right or wrong
        return None


def _thinned(store: Store, removal: Removal, crash: Crash | None, at: datetime) -> bool:
    """The record first: files that it says are removed are not shown, and found by the next run."""
    names = store.sizes(removal.id).keys() - {RECORD_FILE}
    doomed = names & {KEPT_CORE_FILE} if removal.what is RemovedPart.CORE else names
    if crash is not None and doomed:
        without = _without(doomed, at, crash)
        try:
            store.write(without)
        except NoRoom:  # not even for a record: what goes makes the room for saying so
            _unlink(store, removal.id, doomed)
            store.write(without)
    _unlink(store, removal.id, doomed)
    return bool(doomed)


def _without(doomed: Collection[str], at: datetime, crash: Crash) -> Crash:
    """The record of a crash that has lost these files."""
    if KEPT_CORE_FILE in doomed and crash.core.state is not CoreState.REMOVED:
        crash = replace(crash, core=replace(crash.core, state=CoreState.REMOVED, removed_at=at))
    if set(doomed) - {KEPT_CORE_FILE}:
        crash = replace(crash, texts_removed_at=crash.texts_removed_at or at)
    return crash


def _unlink(store: Store, crash_id: str, names: Collection[str]) -> None:
    for name in names:
        (store.directory(crash_id) / name).unlink(missing_ok=True)
