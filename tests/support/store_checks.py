"""Checks that a store is complete and consistent."""

import os

from astbtd.model.crash import REPORT_FILE, CoreState, Crash
from astbtd.store.core_archive import decompress_core
from astbtd.store.integrity import StoreCheck
from astbtd.store.store import Store

PERMANENT_FILES = {
    "lock",
    "changes",
    "deaths",
    "directories",
    "extraction-attempts",
    "extracting-again",
    "first-sight",
    "objects",
    "pbx-users",
    "rules",
}
"""What stays in the store's `incoming` while nothing is pending."""


def is_settled(store: Store, crashes: int) -> bool:
    """Return whether so many crashes are recorded and the daemon has nothing to write; `rules` is its last file."""
    if len(store.ids()) != crashes or store.is_new:
        return False
    files = set(os.listdir(store.incoming))
    return "rules" in files and files <= PERMANENT_FILES


def check_records_are_complete(store: Store) -> None:
    """Check that each listed record has all files that it names, even before the next daemon has started."""
    for recorded in map(store.load, store.ids()):
        names = set(os.listdir(store.directory(recorded.id)))
        assert {REPORT_FILE, *recorded.extraction.sections} <= names
        assert recorded.core.state is not CoreState.KEPT or "core.zst" in names


def check_store_is_consistent(store: Store) -> None:
    """Check that fsck finds nothing, contents of cores included."""
    check = StoreCheck(store, set, True, lambda _: None, write_report=lambda *_: None, set_core_state=lambda *_: None)
    assert [(finding.path, finding.problem) for finding in check.findings()] == []


def kept_content(store: Store, recorded: Crash) -> bytes:
    """Return the content of a kept core."""
    target = os.memfd_create("core")
    try:
        decompress_core(store.kept_core(recorded.id), target, lambda _: None)
        return os.pread(target, os.fstat(target).st_size, 0)
    finally:
        os.close(target)
