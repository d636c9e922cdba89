"""Finds and removes what a killed process left in the staging directory and that no claim accounts for.

A module of its own because the daemon and fsck share it, and the daemon needs nothing else of integrity.py.
"""

import fnmatch
import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from astbtd.lib import files
from astbtd.store.store import Store


def find_leftovers(store: Store, claimed_ids: Callable[[], Collection[str]]) -> list[Path]:
    """Return staged files and directories that belong to none of the claims, and files that were not yet renamed."""
    entries = list(store.incoming.iterdir())
    # Read the claims only now: a claim exists before anything of it is staged, and until nothing is staged any more.
    claimed = claimed_ids()
    staged = [entry for entry in entries if _is_staged(entry) and not files.is_in_use(entry)]
    unclaimed = [entry for entry in staged if entry.name.partition(".")[0] not in claimed]
    temporary = chain(store.incoming.glob(files.TEMPORARY_PATTERN), store.root.glob(files.TEMPORARY_PATTERN))
    return [entry for entry in chain(unclaimed, temporary) if os.path.lexists(entry)]


def remove_leftovers(store: Store, claimed_ids: Callable[[], Collection[str]]) -> None:
    """Remove all leftovers, also in crashes and objects. The next start tries again what could not be removed."""
    temporary = chain.from_iterable(_temporary_files_below(store.root / name) for name in ("crashes", "objects"))
    for entry in chain(find_leftovers(store, claimed_ids), temporary):
        with suppress(OSError):
            files.remove(entry)


def _temporary_files_below(directory: Path) -> Iterator[Path]:
    """Yield the temporary files in the directories below one; pathlib would hold the entries of 100,000 at once."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            with suppress(OSError):  # it was removed meanwhile
                names = fnmatch.filter(os.listdir(entry.path), files.TEMPORARY_PATTERN)
                yield from (Path(entry.path, name) for name in names)


def _is_staged(entry: Path) -> bool:
    """Return True for a crash that was being made or removed, and for a private copy of a core."""
    return entry.is_dir() or entry.suffix == ".core"
