"""Numbers the crashes of each signature by crash time, in whatever order they are processed.

Where many cores wait, the newest are processed first, and each older one would move all later ones up. So that is
postponed until there is time, and then done once.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import dropwhile, takewhile
from pathlib import Path

from astbtd.lib import files
from astbtd.model.crash import Crash, CrashSignature
from astbtd.store.outline import RecordSummary
from astbtd.store.store import DamagedRecord, Store, second


def place_in_signature(store: Store, signature: CrashSignature, crash_id: str, version: str | None) -> CrashSignature:
    """The place of a crash about to be committed among the earlier ones of its signature.

    `signature` is that of a crash seen for the first time, `version` that of the Asterisk that crashed.
    """
    order = (signature.first_seen, crash_id)
    for crash in dropwhile(lambda crash: _order(crash) >= order, store.outlines(until=crash_id)):
        before = crash.signature
        if before.id == signature.id:
            return replace(before, text=signature.text, occurrence=before.occurrence + 1)
        if signature.after_version is None and version and crash.asterisk.version not in (None, version):
            signature = replace(signature, after_version=crash.asterisk.version)
    return signature


def renumber_after(store: Store, crash: Crash | RecordSummary) -> None:
    """Moves later crashes of the same signature up, for a crash that was processed after them."""
    before = crash.signature
    later = takewhile(lambda other: _order(other) > _order(crash), store.outlines())
    kin = [other.id for other in later if other.signature.id == before.id]  # no more of each: there may be thousands
    for crash_id in reversed(kin):
        with suppress(DamagedRecord):  # removed meanwhile
            before = _moved_up(store, crash_id, before)


def postpone_numbering(store: Store, crash: Crash) -> None:
    """Notes, durably, that there are later crashes than this one, which may have to move up."""
    before = _postponed_since(store)
    if before is None or crash.id < before:
        files.replace(_note(store), crash.id.encode(), files.PRIVATE_FILE_MODE)


def number_postponed(store: Store) -> None:
    """Does what was postponed."""
    since = _postponed_since(store)
    if since is None:
        return
    later = takewhile(lambda crash: second(crash.id) >= second(since), store.outlines())
    for oldest in {crash.signature.id: crash for crash in later}.values():
        renumber_after(store, oldest)
    _note(store).unlink(missing_ok=True)


def _note(store: Store) -> Path:
    return store.incoming / "unnumbered"


def _postponed_since(store: Store) -> str | None:
    try:
        return _note(store).read_text()
    except FileNotFoundError:
        return None


def _moved_up(store: Store, crash_id: str, before: CrashSignature) -> CrashSignature:
    """Numbers a crash so that it comes after the one `before` it; returns its place. Raises DamagedRecord."""
    now = store.outline(crash_id).signature
    moved = replace(before, text=now.text, occurrence=max(now.occurrence, before.occurrence + 1))
    if moved != now:
        store.change(crash_id, lambda crash: replace(crash, signature=moved))
    return moved


def _order(crash: Crash | RecordSummary) -> tuple[datetime, str]:
    return crash.crashed_at, crash.id
