"""Removes what retention's plan says, and says in the journal what it took, once a run."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from astbtd.announce import journal
from astbtd.store.retention.apply import carry_out
from astbtd.store.retention.policy import Removal, in_words
from astbtd.store.store import Store


def tidy(store: Store, removals: Sequence[Removal], progress: Callable[[int], None]) -> tuple[Removal, ...]:
    """Carries a plan out, and returns what was removed; `progress` hears how much is done, and may raise to stop.

    Raises AstbtdError where it is not permitted.
    """
    taken: list[Removal] = []

    def removed(removal: Removal) -> None:
        taken.append(removal)
        progress(len(taken))

    try:
        carry_out(store, removals, datetime.now(UTC), removed)
    finally:
        if taken:
            journal.retention(in_words(taken))
    return tuple(taken)
