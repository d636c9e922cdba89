"""Keep one record for each death of the PBX: of a death without a core, and of its core if that turns up later."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from astbtd.claims.claim import Claims
from astbtd.claims.deaths import Death
from astbtd.model.crash import CoreState, Crash
from astbtd.store.record import RecordSummary, crash_pid
from astbtd.store.store import DamagedRecord, Store

_WINDOW = timedelta(minutes=3)  # larger than any difference between the times of one death


def find_crash(store: Store, claims: Claims, death: Death, known: set[str]) -> str | None:
    """Return the id of the recorded or claimed crash that is this death, None if there is none; not one of `known`."""
    for summary in _around(store, death.at, death.pid):
        if summary.id not in known and not summary.foreign and death.is_crash(_pid(summary), summary.crashed_at):
            return summary.id
    for crash_id in claims.ids():
        record = None if crash_id in known else claims.read_record(crash_id)
        if record and not record.foreign and death.is_crash(record.facts.process.pid, record.facts.crashed_at):
            return crash_id
    return None


def replace_death(store: Store, crash: Crash) -> None:
    """Remove the record of the same death without a core, now that the crash is recorded with its core."""
    for summary in list(_around(store, crash.crashed_at, crash.process.pid)):
        if summary.core.state is CoreState.NONE and _is_same(summary, crash):
            store.remove(summary.id)
            return


def _is_same(death: RecordSummary, crash: Crash) -> bool:
    pid, difference = _pid(death), crash.crashed_at - death.crashed_at
    if pid is None or crash.process.pid is None:
        return abs(difference) <= timedelta(seconds=10)
    return pid == crash.process.pid and abs(difference) <= timedelta(seconds=120)


def _pid(summary: RecordSummary) -> int | None:
    return summary.process.pid


def _around(store: Store, moment: datetime, pid: int | None) -> Iterator[RecordSummary]:
    """Yield the summaries of the crashes around a time that may be of a process.

    In a burst of crashes very many are around: only those that may be meant are read.
    """
    first, last = (f"{moment + change:%Y%m%dT%H%M%SZ}" for change in (-_WINDOW, _WINDOW))
    for crash_id in store.between(first, last):
        if pid is None or crash_pid(crash_id) in (pid, None):
            with suppress(DamagedRecord):
                yield store.load_summary(crash_id)
