"""Fill a store with crashes."""

from dataclasses import replace

from astbtd.model.crash import Crash
from astbtd.store.occurrence import assign_occurrence, renumber_after
from astbtd.store.store import Store
from tests.support.builders import signature_of


def commit(store: Store, *crashes: Crash) -> None:
    """Store these crashes as they are."""
    for one in crashes:
        store.commit(store.stage(one.id), one)


def process(store: Store, one: Crash) -> None:
    """Store a crash as the pipeline does: with its occurrence number."""
    place = assign_occurrence(store, signature_of(one), one.id, one.asterisk.version)
    numbered = replace(one, signature=place)
    commit(store, numbered)
    renumber_after(store, numbered)
    store.update_latest()


def numbers(store: Store) -> list[int]:
    """Return the occurrence numbers of all crashes, oldest first."""
    return [signature_of(store.load(crash_id)).occurrence for crash_id in reversed(store.ids())]
