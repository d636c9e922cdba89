"""Tells people of crash loops: once when one begins, once when it has ended."""

from contextlib import suppress
from datetime import UTC, datetime

from astbtd.announce import journal
from astbtd.archive.store import Store
from astbtd.crash_loops import CrashLoops
from astbtd.model import CrashLoop


def recalled(loops: CrashLoops, store: Store) -> None:
    """Takes up the loops of an earlier daemon, and tells of those that it did not get to tell of."""
    for loop in loops.recall(store.crashes(), datetime.now(UTC)):
        begun(loops, loop, store)


def begun(loops: CrashLoops, loop: CrashLoop, store: Store) -> None:
    """Tells that a loop has begun."""
    journal.loop_entered(loop, str(store.root))
    _remember(loops)


def ended(loops: CrashLoops, store: Store) -> None:
    """Tells of all loops that have ended."""
    for loop in loops.ended():
        journal.loop_ended(loop, str(store.root))
        _remember(loops)


def _remember(loops: CrashLoops) -> None:
    """Where that fails, the next daemon tells of a loop again that was told of."""
    with suppress(OSError):
        loops.remember()
