"""Carries out the removals of a plan.

Several processes may do so at once (the daemon, `astbtd prune`), and each may be killed at any moment. For readers, a
crash loses a part in one step: the record marks the part as removed before a file is deleted. The next run deletes
what is left.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

from astbtd.errors import NoRoom
from astbtd.lib import files
from astbtd.model.crash import KEPT_CORE_FILE, RECORD_FILE, CoreState, Crash
from astbtd.store.removed_records import RemovedRecords
from astbtd.store.retention.removal_plan import Removal
from astbtd.store.retention.stored_crash import RemovedPart
from astbtd.store.store import DamagedRecord, Store

WithoutCore = Callable[[Crash], Crash]
"""Returns what the record of a crash says once its core is removed. Called before the core is deleted."""


def carry_out(
    store: Store,
    removals: Sequence[Removal],
    at: datetime,
    on_removed: Callable[[Removal], None],
    without_core: WithoutCore = lambda crash: crash,
) -> None:
    """Carry out a plan; call `on_removed` after each removal. `on_removed` may raise to stop.

    Skip what was pinned or removed since the plan was made. Raise AstbtdError if permission is denied.
    """
    with files.wrap_os_error(f"cannot remove anything from the store {store.root}"):
        store.finish_removals()
        try:
            for removal in removals:
                if _carry_out(store, removal, at, without_core):
                    on_removed(removal)
        finally:
            store.update_latest()


def reset_age(store: Store, wrong: tuple[datetime, datetime], at: datetime) -> None:
    """Count ages from `at` for crashes that were collected while the clock was wrong, between these two moments."""
    earliest, latest = wrong
    for crash in list(store.summaries()):
        if earliest <= (crash.aging_since or crash.collected_at) <= latest:
            with suppress(DamagedRecord):  # removed meanwhile
                store.change(crash.id, lambda stored: replace(stored, aging_since=at))


def _carry_out(store: Store, removal: Removal, at: datetime, without_core: WithoutCore) -> bool:
    """Carry out one removal; return False if there was nothing to remove, or the crash is pinned."""
    with store.change_lock():
        crash = _load_if_sound(store, removal.id)
        if crash is not None and crash.pinned:
            return False
        if removal.what is RemovedPart.RECORD:
            return _remove_record(store, removal.id, crash)
        return _remove_files(store, removal, crash, at, without_core)


def _load_if_sound(store: Store, crash_id: str) -> Crash | None:
    try:
        return store.load(crash_id)
    except DamagedRecord:  # nothing in it needs to be kept up to date
        return None


def _remove_record(store: Store, crash_id: str, crash: Crash | None) -> bool:
    """Remove a record, and note that it was there, unless it is foreign: their number is up to others.

    It is noted before: what was noted and not removed is noted again by the next run, and does no harm.
    """
    if crash is not None and crash.foreign:
        return store.remove(crash_id)
    signature = crash.signature.id if crash and crash.signature else None
    replaced = crash.replaces.id if crash and crash.replaces else None
    removed = RemovedRecords(store.root, store.group)
    try:
        removed.add(crash_id, signature, replaced)
    except OSError:  # the disk may be full: the removal makes room for the note
        was_removed = store.remove(crash_id)
        with suppress(OSError):
            removed.add(crash_id, signature, replaced)
        return was_removed
    return store.remove(crash_id)


def _remove_files(store: Store, removal: Removal, crash: Crash | None, at: datetime, without_core: WithoutCore) -> bool:
    """Update the record, then delete the files. Files that the record calls removed are not shown to readers."""
    names = store.sizes(removal.id).keys() - {RECORD_FILE}
    if removal.what is RemovedPart.CORE:
        names &= {KEPT_CORE_FILE}
    if crash is not None and names:
        updated = _without(names, at, crash)
        if KEPT_CORE_FILE in names:
            updated = without_core(updated)
        try:
            store.write_record(updated)
        except NoRoom:  # not even for the record: deleting the files makes room for it
            _unlink(store, removal.id, names)
            store.write_record(updated)
    _unlink(store, removal.id, names)
    return bool(names)


def _without(names: Collection[str], at: datetime, crash: Crash) -> Crash:
    """Return the record of a crash that has lost these files."""
    if KEPT_CORE_FILE in names and crash.core.state is not CoreState.REMOVED:
        crash = replace(crash, core=replace(crash.core, state=CoreState.REMOVED, removed_at=at))
    if set(names) - {KEPT_CORE_FILE}:
        crash = replace(crash, texts_removed_at=crash.texts_removed_at or at)
    return crash


def _unlink(store: Store, crash_id: str, names: Collection[str]) -> None:
    for name in names:
        (store.directory(crash_id) / name).unlink(missing_ok=True)
