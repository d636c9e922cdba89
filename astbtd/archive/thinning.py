"""Applies retention to the store: what it holds goes into the plan, what the plan says is removed.

Whoever does it, the daemon or a command beside it, however many at once, and wherever it is killed: a crash loses
something in one step for its readers, and what is then left to remove, the next run removes.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from astbtd import durable
from astbtd.archive.reserve import Disk
from astbtd.archive.retention import Holding, Removal, What, plan
from astbtd.archive.store import DamagedRecord, Store
from astbtd.errors import NoRoom
from astbtd.model import KEPT_CORE_FILE, RECORD_FILE, CoreState, Crash
from astbtd.settings import RetentionSettings


def planned(store: Store, limits: RetentionSettings, now: datetime | None, needed: int = 0) -> tuple[Removal, ...]:
    """What retention would remove from the store now; the arguments are those of retention.plan."""
    held = list(holdings(store))
    return plan(held, limits, Disk.of(store.root), now, needed) if held else ()


def carry_out(store: Store, removals: Sequence[Removal], at: datetime, removed: Callable[[Removal], None]) -> None:
    """Removes what a plan says; `removed` hears of each removal when it is done, and may raise to stop.

    What was pinned or removed since the plan was made is passed over. Raises AstbtdError where it is not permitted.
    """
    with durable.said_plainly(f"cannot remove anything from the store {store.root}"):
        store.finish_removals()
        try:
            for removal in removals:
                if _carried_out(store, removal, at):
                    removed(removal)
        finally:
            store.point_latest()


def holdings(store: Store) -> Iterator[Holding]:
    """What the store holds of each crash, the newest first."""
    for crash_id in store.ids():
        holding = _holding(store, crash_id)
        if holding:
            yield holding


def _holding(store: Store, crash_id: str) -> Holding | None:
    """None if the crash is gone by now."""
    sizes = store.sizes(crash_id)
    record, core = sizes.pop(RECORD_FILE, 0), sizes.pop(KEPT_CORE_FILE, 0)
    texts = sum(sizes.values())
    try:
        crash = store.outline(crash_id)
    except DamagedRecord as error:
        if not store.directory(crash_id).exists():
            return None
        return Holding(crash_id, error.crashed_at, error.crashed_at, None, core, texts, record)
    unfinished = None
    if crash.texts_removed_at and texts:
        unfinished = What.TEXT
    elif crash.core.state is CoreState.REMOVED and core:
        unfinished = What.CORE
    return Holding(
        crash_id,
        crash.crashed_at,
        crash.collected_at,
        crash.signature.id,
        core,
        texts,
        record,
        fixed=crash.pinned or crash.core.state is CoreState.CLAIMED,
        unfinished=unfinished,
    )


def _carried_out(store: Store, removal: Removal, at: datetime) -> bool:
    if removal.what is What.RECORD:
        return _forgotten(store, removal.id)
    return _thinned(store, removal, at)


def _forgotten(store: Store, crash_id: str) -> bool:
    with store.changing():
        if not store.directory(crash_id).exists() or _is_pinned(store, crash_id):
            return False
        store.remove(crash_id)
        return True


def _thinned(store: Store, removal: Removal, at: datetime) -> bool:
    """The record first: files that it says are removed are not shown, and found by the next run."""
    names = store.sizes(removal.id).keys() - {RECORD_FILE}
    doomed = names & {KEPT_CORE_FILE} if removal.what is What.CORE else names
    if not doomed:
        return False
    without = partial(_without, doomed, at)
    try:
        if store.change(removal.id, without).pinned:
            return False
    except NoRoom:  # not even for a record: what goes makes the room for saying so
        _unlink(store, removal.id, doomed)
        store.change(removal.id, without)
    except DamagedRecord:  # it says nothing, right or wrong
        pass
    _unlink(store, removal.id, doomed)
    return True


def _without(doomed: Collection[str], at: datetime, crash: Crash) -> Crash:
    if crash.pinned:
        return crash
    if KEPT_CORE_FILE in doomed and crash.core.state is not CoreState.REMOVED:
        crash = replace(crash, core=replace(crash.core, state=CoreState.REMOVED, removed_at=at))
    if set(doomed) - {KEPT_CORE_FILE}:
        crash = replace(crash, texts_removed_at=crash.texts_removed_at or at)
    return crash


def _unlink(store: Store, crash_id: str, names: Collection[str]) -> None:
    for name in names:
        (store.directory(crash_id) / name).unlink(missing_ok=True)


def _is_pinned(store: Store, crash_id: str) -> bool:
    try:
        return store.outline(crash_id).pinned
    except DamagedRecord:
        return False
