"""Plans what retention removes from a store: the one way from a store to a plan, for all callers.

Callers are `astbtd prune`, the daemon's timer, the daemon after a crash, and the daemon when a core needs space. The
limits decide what is read: a run reads the records of thousands of crashes only if a limit needs them.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from astbtd.model.record_summary import KEPT_CORE_FILE, RECORD_FILE, CoreState
from astbtd.settings import RetentionSettings
from astbtd.store.record import RetentionFields
from astbtd.store.retention.disk_reserve import Disk
from astbtd.store.retention.limits import Conditions
from astbtd.store.retention.policy import Policy
from astbtd.store.retention.removal_plan import Removal
from astbtd.store.retention.stored_crash import RemovedPart, StoredCrash, StoreTotals
from astbtd.store.store import DamagedRecord, Store


def plan_removals(
    store: Store,
    settings: RetentionSettings,
    now: datetime | None,
    *,
    needed: int = 0,
    totals: StoreTotals | None = None,
    after_crash: bool = False,
) -> tuple[Removal, ...]:
    """Return what retention removes from the store now.

    With `now` None the time is not known, and nothing is too old. `needed`: bytes to free in addition to the minimum.
    The other arguments save reading. `totals`: what the store holds. `after_crash`: since the last run, nothing has
    changed but that crashes were added.
    """
    crash_ids = store.ids()
    if not crash_ids:
        return ()
    policy = Policy.from_conditions(Conditions(settings, Disk.from_path(store.root), now, needed))
    if totals is None:
        return policy.plan(list(stored_crashes(store, crash_ids)))
    policy = policy.narrow(totals, after_crash=after_crash)
    return policy.plan(list(_read_for(policy, store, crash_ids)))


def stored_crashes(store: Store, crash_ids: Iterable[str] | None = None) -> Iterator[StoredCrash]:
    """Yield what the store holds of these crashes; by default of all, newest first. Omit those removed meanwhile."""
    for crash_id in store.newest() if crash_ids is None else crash_ids:
        crash = _read(store, crash_id)
        if crash is not None:
            yield crash


def count_store(store: Store) -> StoreTotals:
    """Return the totals of the store. No record is read."""
    return StoreTotals.from_part_sizes(part_sizes(store.sizes(crash_id)) for crash_id in store.newest())


def part_sizes(file_sizes: Mapping[str, int]) -> dict[RemovedPart, int]:
    """Return the size of each part of a crash in bytes, from the sizes of its files by name."""
    core = file_sizes.get(KEPT_CORE_FILE, 0)
    record = file_sizes.get(RECORD_FILE, 0)
    texts = sum(file_sizes.values()) - core - record
    return {RemovedPart.CORE: core, RemovedPart.TEXT: texts, RemovedPart.RECORD: record}


def _read_for(policy: Policy, store: Store, crash_ids: Iterable[str]) -> Iterator[StoredCrash]:
    """Yield the crashes that the policy needs. They are few, so that few are in memory at a time."""
    if policy.needs_only_cores:
        crash_ids = filter(store.has_core, crash_ids)
    yield from filter(policy.concerns, stored_crashes(store, crash_ids))


def _read(store: Store, crash_id: str) -> StoredCrash | None:
    """Return what the store holds of a crash, or None if it was removed meanwhile."""
    sizes = part_sizes(store.sizes(crash_id))
    core, texts, record = sizes[RemovedPart.CORE], sizes[RemovedPart.TEXT], sizes[RemovedPart.RECORD]
    try:
        fields = store.load_retention_fields(crash_id)
    except DamagedRecord as error:
        if not store.directory(crash_id).exists():
            return None
        return StoredCrash(crash_id, error.crashed_at, error.crashed_at, None, core, texts, record)
    return StoredCrash(
        crash_id,
        fields.crashed_at,
        fields.aging_since or fields.collected_at,
        fields.signature.id if fields.signature else None,
        core,
        texts,
        record,
        fixed=fields.pinned or fields.core.state is CoreState.CLAIMED,
        foreign=bool(fields.foreign),
        unfinished=_unfinished(fields, core, texts),
        site=_site(fields),
    )


def _site(fields: RetentionFields) -> str | None:
    """Return what identifies the site. Sites of other builds or users are others, whatever code is there."""
    if fields.site is None:
        return None
    program = fields.process
    return f"{program.build_id or program.executable} {program.uid} {fields.site.id}"


def _unfinished(fields: RetentionFields, core: int, texts: int) -> RemovedPart | None:
    """Return the part that the record calls removed but that still has bytes, or None."""
    if fields.texts_removed_at and texts:
        return RemovedPart.TEXT
    if fields.core.state is CoreState.REMOVED and core:
        return RemovedPart.CORE
    return None
