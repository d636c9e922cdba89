"""Numbers the crashes of each signature by crash time, in whatever order they are processed."""

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import dropwhile, takewhile

from astbtd.archive.outline import Outline
from astbtd.archive.store import DamagedRecord, Store
from astbtd.model import Crash, CrashSignature


def place_in_signature(store: Store, signature: CrashSignature, crash_id: str, version: str | None) -> CrashSignature:
    """The place of a crash about to be committed among the earlier ones of its signature.

    `signature` is that of a crash seen for the first time, `version` that of the Asterisk that crashed.
    """
    order = (signature.first_seen, crash_id)
    for crash in dropwhile(lambda crash: _order(crash) >= order, store.outlines()):
        before = crash.signature
        if before.id == signature.id:
            return replace(before, text=signature.text, occurrence=before.occurrence + 1)
        if signature.after_version is None and version and crash.asterisk.version not in (None, version):
            signature = replace(signature, after_version=crash.asterisk.version)
    return signature


def renumber_after(store: Store, crash: Crash) -> None:
    """Moves later crashes of the same signature up, for a crash that was processed after them."""
    before = crash.signature
    later = list(takewhile(lambda other: _order(other) > _order(crash), store.outlines()))
    for other in reversed([other for other in later if other.signature.id == before.id]):
        number = max(other.signature.occurrence, before.occurrence + 1)
        moved = replace(before, text=other.signature.text, occurrence=number)
        if moved != other.signature:
            _move(store, other.id, moved)
        before = moved


def _move(store: Store, crash_id: str, moved: CrashSignature) -> None:
    with suppress(DamagedRecord):  # removed meanwhile
        store.change(crash_id, lambda crash: replace(crash, signature=moved))


def _order(crash: Crash | Outline) -> tuple[datetime, str]:
    return crash.crashed_at, crash.id
