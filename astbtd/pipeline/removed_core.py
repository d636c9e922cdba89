"""Keep the advice of a crash true when its core is removed: nobody is told to read a core that is gone.

The record and the report of a crash may say how to extract its core again. Retention, and the settings that delete
cores, call this before the file is deleted, so that it is repeated if it was interrupted. So do the checks of a store
that find a core missing or empty.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from astbtd.diagnosis.advice import without_core
from astbtd.lib import files
from astbtd.model.crash import REPORT_FILE, CoreState, Crash
from astbtd.pipeline.crash_report import render_report
from astbtd.store.store import Store

_GONE = (CoreState.REMOVED, CoreState.LOST)


def record_core_state(store: Store, crash_id: str, state: CoreState) -> Crash:
    """Record what was done with the core of a crash, or what became of it. Raise DamagedRecord, NoRoom."""

    def update(crash: Crash) -> Crash:
        removed_at = datetime.now(UTC) if state is CoreState.REMOVED else crash.core.removed_at
        after = replace(crash, core=replace(crash.core, state=state, removed_at=removed_at))
        return without_core_advice(store, after) if state in _GONE else after

    return store.change(crash_id, update)


def without_core_advice(store: Store, crash: Crash) -> Crash:
    """Return the record of a crash whose core is gone, without advice to read the core. Replace its report.

    On a full disk the report stays as it is: it must not keep the core from being removed.
    """
    advice = without_core(crash.diagnosis.advice)
    after = replace(crash, diagnosis=replace(crash.diagnosis, advice=advice))
    report = store.directory(crash.id) / REPORT_FILE
    if after.texts_removed_at is None and report.exists():
        content = render_report(after, report.parent)
        with suppress(OSError):
            if content != report.read_bytes():
                files.replace(report, content, group=store.group)
    return after
