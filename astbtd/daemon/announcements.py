"""Announce crashes in the journal, and crash loops: once when a loop begins, and once when it has ended."""

import shlex
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from astbtd.announce import journal
from astbtd.announce.journal import Priority
from astbtd.announce.rate_limit import RateLimitedJournal
from astbtd.claims.claim import Claim, ClaimRecord
from astbtd.errors import AstbtdError
from astbtd.lib.quantities import pluralize
from astbtd.model.crash import Crash
from astbtd.model.crash_loop import CrashLoop
from astbtd.pipeline.loop_detection import CrashLoops
from astbtd.store.store import Store


def restore_loops(loops: CrashLoops, store: Store) -> None:
    """Restore the loops of an earlier daemon, and announce those that it did not announce any more."""
    of_pbx = (crash for crash in store.crashes() if not crash.foreign)
    for loop in loops.restore(of_pbx, datetime.now(UTC)):
        _announce_start(loops, loop, store)


def announce_crash(
    loops: CrashLoops, store: Store, rate_limited: RateLimitedJournal, claim: Claim, crash: Crash, directory: Path
) -> None:
    """Count a crash, whose files are in `directory`, and announce it. Raises JournalUnavailable.

    A crash in a loop gets no entry of its own. Neither does a core that was there when astbtd first started: one entry
    for all of these follows later. A foreign crash is in no loop; it has an entry of its own kind, of which few are
    written.
    """
    if crash.foreign:
        rate_limited.announce_foreign_crash(crash, str(directory))
        return
    in_loop = loops.contains(crash)
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


def log_older_cores(directory: str, count: int) -> None:
    """Log once that cores were left in a directory that was searched for the first time."""
    cores = pluralize(count, "core was", "cores were")
    journal.log(
        f"{cores} in {directory} before astbtd watched it, and left there; "
        f"hint: `astbtd extract --newest {shlex.quote(directory)}` collects the newest of them",
        Priority.NOTICE,
    )


def log_replaced_core(record: ClaimRecord) -> None:
    """Log at once that a core is lost that could not be claimed. Its crash may be recorded only much later."""
    signal = record.facts.signal.name if record.facts.signal else "an unknown signal"
    process = f"{record.facts.process.executable or 'an unknown program'}, pid {record.facts.process.pid}, {signal}"
    loss = record.loss
    assert loss is not None
    journal.log(f"{record.path} ({process}): {loss.reason} hint: {loss.remedy}", Priority.ERROR)


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
