"""Announce crashes in the journal, and crash loops: once when a loop begins, and once when it has ended."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from astbtd.announce import journal
from astbtd.claims.claim import Claim
from astbtd.errors import AstbtdError
from astbtd.model.crash import Crash, CrashLoop
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.store.store import Store


def restore_loops(loops: CrashLoops, store: Store) -> None:
    """Restore the loops of an earlier daemon, and announce those that it did not announce any more."""
    for loop in loops.restore(store.crashes(), datetime.now(UTC)):
        _announce_start(loops, loop, store)


def announce_crash(loops: CrashLoops, store: Store, claim: Claim, crash: Crash, directory: Path) -> None:
    """Count a crash, whose files are in `directory`, and announce it. Raises JournalUnavailable.

    A crash in a loop gets no entry of its own. Neither does a core that was there when astbtd first started: one entry
    for all of these follows later.
    """
    in_loop = crash.signature is not None and loops.contains(crash.signature.id)
    loop = loops.count(crash)
    try:
        if not in_loop and not (claim.record.quiet and store.is_new):
            journal.announce_crash(crash, str(directory))
    except AstbtdError:
        loops.skip_next_count(crash)
        raise
    finally:
        if loop:
            _announce_start(loops, loop, store)


def announce_ended_loops(loops: CrashLoops, store: Store) -> None:
    """Announce all loops that have ended since the last call."""
    for loop in loops.take_ended():
        journal.announce_loop_end(loop, str(store.root))
        _save(loops)


def _announce_start(loops: CrashLoops, loop: CrashLoop, store: Store) -> None:
    journal.announce_loop_start(loop, str(store.root))
    _save(loops)


def _save(loops: CrashLoops) -> None:
    """Save which loops were announced. If that fails, the next daemon announces a loop twice."""
    with suppress(OSError):
        loops.save()
