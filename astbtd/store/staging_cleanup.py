"""What a kill leaves behind in a store, beside what a claim accounts for."""

from collections.abc import Callable, Collection
from contextlib import suppress
from itertools import chain
from pathlib import Path

from astbtd.lib import files
from astbtd.store.store import Store


def left_behind(store: Store, noted: Callable[[], Collection[str]]) -> list[Path]:
    """What is in staging though none of the claims that `noted` lists accounts for it, and files not yet renamed."""
    entries = list(store.incoming.iterdir())
    claimed = noted()  # only now: a claim is noted before it has anything here, and until it has nothing any more
    unclaimed = (entry for entry in entries if _is_staged(entry) and entry.name.split(".")[0] not in claimed)
    unfinished = (directory.glob(files.UNFINISHED) for directory in (store.incoming, store.root))
    return [entry for entry in chain(unclaimed, *unfinished) if entry.exists() or entry.is_symlink()]


def clean(store: Store, noted: Callable[[], Collection[str]]) -> None:
    """Removes all that was left behind, in crashes too; what resists, the next start tries again."""
    for entry in (*left_behind(store, noted), *store.root.glob(f"crashes/*/{files.UNFINISHED}")):
        with suppress(OSError):
            files.remove(entry)


def _is_staged(entry: Path) -> bool:
    """Whether it is a crash that was being made or removed, or a private copy of a core."""
    return entry.is_dir() or entry.suffix == ".core"
