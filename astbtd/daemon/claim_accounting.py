"""Checks that no claim is forgotten: each one that this process holds is queued, being processed, or deferred."""

import os
from collections.abc import Callable

from astbtd.announce import journal
from astbtd.announce.journal import Priority
from astbtd.claims.claim import Claims
from astbtd.daemon.worker import Worker


class ClaimAccounting:
    """Compares the claims that this process holds with those of its worker. Used in the watch thread.

    `is_local` returns whether the claims of a directory go from the watch thread straight to the worker. Those of a
    remote mount may be on their way for a long time; the scanner of that mount resumes what it could not deliver.
    """

    def __init__(self, worker: Worker, is_local: Callable[[str | None], bool]) -> None:
        self._worker = worker
        self._is_local = is_local
        self._suspected: set[tuple[int, str]] = set()

    def recover(self, claims: Claims) -> list[str]:
        """Repair violations, log each one, and return the sentences about them.

        A claim that nobody has in work is released here, so that the next scan resumes it. That is done only if it is
        found so twice: while a packed core is given its final id, its claim has two claim files for a moment.
        """
        sentences = self._worker.recover()
        known = {claim.lock for claim in self._worker.claims()}  # before the locks are read: claims may end meanwhile
        forgotten = {
            (lock, crash_id)
            for lock, crash_id in claims.held_locks().items()
            if lock not in known and self._is_local(claims.directory(crash_id))
        }
        for lock, crash_id in forgotten & self._suspected:
            os.close(lock)
            sentences.append(f"the claim {crash_id} was held, but neither queued nor processed: it is resumed")
        self._suspected = forgotten - self._suspected
        for sentence in sentences:
            journal.log(f"internal error: {sentence}", Priority.ERROR)
        return sentences
