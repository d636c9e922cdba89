"""Tells people of crashes, and of crash loops: once when one begins, once when it has ended."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from astbtd.announce import journal
from astbtd.claims.claim import Claim
from astbtd.errors import AstbtdError
from astbtd.model.crash import Crash
from astbtd.model.crash_loop import CrashLoop
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.store.store import Store


def recalled(loops: CrashLoops, store: Store) -> None:
    """Takes up the loops of an earlier daemon, and tells of those that it did not get to tell of."""
    for loop in loops.recall(store.crashes(), datetime.now(UTC)):
        begun(loops, loop, store)


def crash(loops: CrashLoops, store: Store, claim: Claim, crash: Crash, directory: Path) -> None:
    """Tells of one crash, whose files are in `directory`.

    Cores that had been waiting when astbtd first started are said in one summary instead, later; and of the crashes in
    a loop only that it has begun and ended. Raises Unheard.
    """
    in_loop = loops.has(crash.signature.id)
    loop = loops.note(crash)
    try:
        if not in_loop and not (claim.note.quiet and store.is_new):
            journal.crash(crash, str(directory))
    except AstbtdError:
        loops.comes_again(crash)
        raise
    finally:
        if loop:
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
