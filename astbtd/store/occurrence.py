"""Numbers the crashes of each signature by crash time, in whatever order they are processed.

If many cores are queued, the newest are processed first, and each older one would renumber all later ones. So
renumbering is postponed until the queue is empty, and then done once.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import dropwhile, takewhile
from pathlib import Path

from astbtd.lib import files
from astbtd.model.crash import Crash, CrashSignature
from astbtd.store.record import RecordSummary
from astbtd.store.store import DamagedRecord, Store, crash_second


def assign_occurrence(store: Store, signature: CrashSignature, crash_id: str, version: str | None) -> CrashSignature:
    """Return the signature of a crash to be committed, numbered after the earlier crashes of the signature.

    `signature` is what it would be for the first crash of its kind. `version` is that of the Asterisk that crashed.
    """
    order = (signature.first_seen, crash_id)
    of_pbx = (crash for crash in store.summaries(until=crash_id) if not crash.foreign)
    for crash in dropwhile(lambda crash: _order(crash) >= order, of_pbx):
        previous = crash.signature
        if previous is not None and previous.id == signature.id:
            return replace(previous, text=signature.text, occurrence=previous.occurrence + 1, rule=signature.rule)
        if signature.after_version is None and version and crash.asterisk.version not in (None, version):
            signature = replace(signature, after_version=crash.asterisk.version)
    return signature


def renumber_after(store: Store, crash: Crash | RecordSummary) -> None:
    """Renumber the later crashes of the same signature, after a crash that was processed late."""
    previous = crash.signature
    if previous is None:
        return
    later = takewhile(lambda other: _order(other) > _order(crash), store.summaries())
    counted = (other for other in later if not other.foreign)
    same = (other for other in counted if other.signature is not None and other.signature.id == previous.id)
    ids = [other.id for other in same]  # ids only: there may be thousands
    for crash_id in reversed(ids):
        with suppress(DamagedRecord):  # removed meanwhile
            previous = _renumber(store, crash_id, previous)


def lower_after(store: Store, crash: Crash) -> None:
    """Lower the numbers of the later crashes of a signature that a crash has no longer. `crash` is its old record.

    If that is interrupted, the numbers are still increasing.
    """
    previous = crash.signature
    if previous is None or crash.foreign:
        return
    later = takewhile(lambda other: _order(other) > _order(crash), store.summaries())
    ids = [each.id for each in later if not each.foreign and each.signature and each.signature.id == previous.id]
    for crash_id in reversed(ids):
        with suppress(DamagedRecord):  # removed meanwhile
            store.change(crash_id, _lowered)


def _lowered(crash: Crash) -> Crash:
    signature = crash.signature
    if signature is None or signature.occurrence <= 1:
        return crash
    return replace(crash, signature=replace(signature, occurrence=signature.occurrence - 1))


def postpone_numbering(store: Store, crash: Crash) -> None:
    """Record, durably, that crashes later than this one may have to be renumbered."""
    since = _postponed_since(store)
    if since is None or crash.id < since:
        files.replace(_marker(store), crash.id.encode(), files.PRIVATE_FILE_MODE)


def number_postponed(store: Store) -> None:
    """Do the renumbering that was postponed."""
    since = _postponed_since(store)
    if since is None:
        return
    later = takewhile(lambda crash: crash_second(crash.id) >= crash_second(since), store.summaries())
    grouped = ((crash.signature, crash) for crash in later if not crash.foreign)
    oldest = {signature.id: crash for signature, crash in grouped if signature}  # the last one replaces the others
    for crash in oldest.values():
        renumber_after(store, crash)
    _marker(store).unlink(missing_ok=True)


def _marker(store: Store) -> Path:
    """Return the path of the file that holds the id of the oldest crash processed late."""
    return store.incoming / "unnumbered"


def _postponed_since(store: Store) -> str | None:
    try:
        return _marker(store).read_text()
    except FileNotFoundError:
        return None


def _renumber(store: Store, crash_id: str, previous: CrashSignature) -> CrashSignature:
    """Number a crash after the `previous` one of its signature, and return its signature. Raise DamagedRecord."""
    before = store.load_summary(crash_id).signature
    if before is None:  # not grouped any more
        return previous
    number = max(before.occurrence, previous.occurrence + 1)
    after = replace(previous, text=before.text, occurrence=number, rule=before.rule)
    if after != before:
        store.change(crash_id, lambda crash: replace(crash, signature=after))
    return after


def _order(crash: Crash | RecordSummary) -> tuple[datetime, str]:
    return crash.crashed_at, crash.id
