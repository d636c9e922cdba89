"""Decides what the store gives up, and gives it up: first a pure plan, then its execution."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from astbtd.archive.store import DamagedRecord, Store
from astbtd.model import KEPT_CORE_FILE, CoreState
from astbtd.quantities import shown_duration, shown_size
from astbtd.settings import Limits, RetentionSettings


class What(StrEnum):
    """What of a crash is removed; the record goes with all its texts."""

    CORE = "core"
    RECORD = "record"


@dataclass(frozen=True)
class Holding:
    """What the store holds of one crash, in bytes; ages count from `collected_at`, order from `crashed_at`."""

    id: str
    crashed_at: datetime
    collected_at: datetime
    core: int
    texts: int


@dataclass(frozen=True)
class Removal:
    """One thing to remove, and why."""

    id: str
    what: What
    bytes: int
    reason: str


def holdings(store: Store) -> list[Holding]:
    """What the store holds."""
    found = []
    for crash_id in store.ids():
        try:
            crash = store.load(crash_id)
            crashed_at, collected_at = crash.crashed_at, crash.collected_at
        except DamagedRecord as error:
            crashed_at = collected_at = error.crashed_at
        sizes = {entry.name: entry.stat().st_size for entry in store.directory(crash_id).iterdir()}
        core = sizes.pop(KEPT_CORE_FILE, 0)
        found.append(Holding(crash_id, crashed_at, collected_at, core, sum(sizes.values())))
    return found


def plan(held: Sequence[Holding], limits: RetentionSettings, now: datetime) -> tuple[Removal, ...]:
    """What must go so that no limit is exceeded: the oldest crashes first, cores before records."""
    records = _over(held, limits.crashes, now, What.RECORD, lambda holding: holding.texts)
    gone = {removal.id for removal in records}
    cores = [holding for holding in held if holding.core and holding.id not in gone]
    return (*_over(cores, limits.cores, now, What.CORE, lambda holding: holding.core), *records)


def carry_out(store: Store, removals: Sequence[Removal]) -> None:
    """Removes what a plan says."""
    for removal in removals:
        if removal.what is What.RECORD:
            store.remove(removal.id)
        else:
            _remove_core(store, removal.id)
    if removals:
        store.point_latest()


def _over(
    held: Sequence[Holding], limits: Limits, now: datetime, what: What, size_of: Callable[[Holding], int]
) -> list[Removal]:
    total = 0
    removals = []
    for holding in sorted(held, key=lambda holding: (holding.crashed_at, holding.id), reverse=True):
        size = size_of(holding)
        age = (now - holding.collected_at).total_seconds()
        if age > limits.age:
            removals.append(Removal(holding.id, what, size, f"older than {shown_duration(limits.age)}"))
            continue
        if size <= limits.size:  # removing others would make no room for one that is too large by itself
            total += size
        if total > limits.size or size > limits.size:
            removals.append(Removal(holding.id, what, size, f"beyond {shown_size(limits.size)} in all"))
    return removals[::-1]


def _remove_core(store: Store, crash_id: str) -> None:
    """The record first: a core that it no longer mentions is still found by the next plan."""
    with suppress(DamagedRecord):
        crash = store.load(crash_id)
        if crash.core.state is not CoreState.REMOVED:
            store.update(replace(crash, core=replace(crash.core, state=CoreState.REMOVED)))
    store.kept_core(crash_id).unlink(missing_ok=True)
