"""Gathers the figures that are exported: from the records of the store, its files, and the state of the daemon."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.lib import json_file
from astbtd.model.daemon_state import LARGEST, STATE_FILE, DaemonState
from astbtd.model.record_summary import CoreState
from astbtd.store.captures import Captures
from astbtd.store.kept_objects import KeptObjects
from astbtd.store.record import RecordSummary
from astbtd.store.retention.planning import count_store
from astbtd.store.retention.stored_crash import RemovedPart
from astbtd.store.store import DamagedRecord, RemovedCrash, Store

_SIGNALS = frozenset(each.name for each in signal.Signals)
_OTHER_SIGNAL = "other"
_NO_SIGNAL = "unknown"

FailedDeliveries = Callable[[], int]
"""Returns how many notifications were given up."""


@dataclass(frozen=True)
class CrashFigures:
    """Figures of the recorded crashes. All but `foreign` and `damaged` are of the PBX's own crashes.

    `by_signal_and_verdict` are counts; its keys are limited in number, whatever is in a record. `lost` are crashes
    whose core is lost, `damaged` records that cannot be read.
    """

    by_signal_and_verdict: Mapping[tuple[str, str], int]
    foreign: int
    lost: int
    damaged: int
    signatures: int
    last_crash: datetime | None


@dataclass(frozen=True)
class Figures:
    """All that is exported. `stored` is in bytes, by part of the store. `daemon` is None if no daemon runs.

    `failed_deliveries`: notifications that were given up, None if that is not known.
    """

    crashes: CrashFigures
    stored: Mapping[str, int]
    daemon: DaemonState | None
    failed_deliveries: int | None


def gather(store: Store, unit_directory: Path, failed_deliveries: FailedDeliveries) -> Figures:
    """Read all figures. `unit_directory` is where the daemon publishes its state. Raise AstbtdError."""
    failed: int | None = None
    with suppress(AstbtdError):  # a damaged state of a sink, which its unit has logged
        failed = failed_deliveries()
    return Figures(_count_crashes(store), _measure(store), _read_state(unit_directory), failed)


def _count_crashes(store: Store) -> CrashFigures:
    """Count while reading: the summaries of 100,000 crashes are never in memory together."""
    counts: Counter[tuple[str, str]] = Counter()
    totals: Counter[str] = Counter()
    signatures: set[str] = set()
    last_crash = None
    for crash in _readable(store, totals):
        if crash.foreign:
            totals["foreign"] += 1
            continue
        counts[_signal_label(crash), crash.diagnosis.verdict.value] += 1
        totals["lost"] += crash.core.state is CoreState.LOST
        if crash.signature:
            signatures.add(crash.signature.id)
        last_crash = last_crash or crash.crashed_at  # the newest comes first
    return CrashFigures(counts, totals["foreign"], totals["lost"], totals["damaged"], len(signatures), last_crash)


def _readable(store: Store, totals: Counter[str]) -> Iterator[RecordSummary]:
    """Yield the summaries of all crashes, newest first; count the damaged records in `totals`."""
    for crash_id in store.newest():
        try:
            yield store.load_summary(crash_id)
        except RemovedCrash:
            continue
        except DamagedRecord:
            totals["damaged"] += 1


def _signal_label(crash: RecordSummary) -> str:
    if crash.signal is None:
        return _NO_SIGNAL
    return crash.signal.name if crash.signal.name in _SIGNALS else _OTHER_SIGNAL


def _measure(store: Store) -> dict[str, int]:
    """Return the size of each part of the store in bytes."""
    crashes = count_store(store).sizes
    captures = Captures(store.root)
    return {
        "cores": crashes[RemovedPart.CORE],
        "texts": crashes[RemovedPart.TEXT],
        "records": crashes[RemovedPart.RECORD],
        "objects": sum(KeptObjects(store.root).sizes().values()),
        "captures": sum(captures.size(capture_id) for capture_id in captures.ids()),
    }


def _read_state(unit_directory: Path) -> DaemonState | None:
    """Return the state that the daemon has published; None if none runs. Raise AstbtdError."""
    try:
        return json_file.read(unit_directory / STATE_FILE, DaemonState, LARGEST)
    except json_file.Missing:
        return None
