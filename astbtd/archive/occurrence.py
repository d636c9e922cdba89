"""Numbers the crashes of each signature by crash time, in whatever order they are processed."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import dropwhile, takewhile

from astbtd.archive.outline import Outline
from astbtd.archive.store import DamagedRecord, Store
from astbtd.model import Crash, CrashSignature


def place_in_signature(
    store: Store, signature_id: str, text: str, crash_id: str, crashed_at: datetime
) -> CrashSignature:
    """The signature of a crash about to be committed, counted among the earlier ones of the same signature."""
    earlier = dropwhile(lambda crash: _order(crash) >= (crashed_at, crash_id), store.outlines())
    before = next((crash.signature for crash in earlier if crash.signature.id == signature_id), None)
    if before is None:
        return CrashSignature(signature_id, text, 1, crashed_at)
    return CrashSignature(signature_id, text, before.occurrence + 1, before.first_seen)


def renumber_after(store: Store, crash: Crash) -> None:
    """Moves later crashes of the same signature up, for a crash that was processed after them."""
    before = crash.signature
    later = list(takewhile(lambda other: _order(other) > _order(crash), store.outlines()))
    for other in reversed([other for other in later if other.signature.id == before.id]):
        number = max(other.signature.occurrence, before.occurrence + 1)
        moved = replace(other.signature, occurrence=number, first_seen=before.first_seen)
        if moved != other.signature:
            _move(store, other.id, moved)
        before = moved


def _move(store: Store, crash_id: str, moved: CrashSignature) -> None:
    with suppress(DamagedRecord):  # removed meanwhile
        store.change(crash_id, lambda crash: replace(crash, signature=moved))


def _order(crash: Crash | Outline) -> tuple[datetime, str]:
    return crash.crashed_at, crash.id
