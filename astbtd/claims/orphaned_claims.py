"""Finds what is left of claims with which nobody goes on: notes without a core, names of cores without a note."""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from astbtd.claims import claim_file
from astbtd.claims.claim import PREFIX
from astbtd.claims.claim_file import AlreadyClaimed, ClaimFiles, ClaimRecord
from astbtd.claims.hard_links import ASIDE_SUFFIX, drop_claim
from astbtd.model.crash import CRASH_ID


@dataclass(frozen=True)
class Leftover:
    """What is left, what that means, and how it is removed, where that loses nothing."""

    path: Path
    problem: str
    remedy: str
    remove: Callable[[], None] | None


def notes(incoming: Path) -> Iterator[Leftover]:
    """The notes that lead nowhere. Those of copies are for the daemon, which records that a core is lost."""
    kept = ClaimFiles(incoming)
    for crash_id in list(kept.ids()):
        try:
            os.close(kept.lock(crash_id))
        except (AlreadyClaimed, FileNotFoundError):  # it is in work, or was given up meanwhile
            continue
        left = kept.peek(crash_id)
        path = incoming / f"{crash_id}{claim_file.SUFFIX}"
        if left is None:
            yield Leftover(
                path, "the note of a claim that was never completed", "removed", partial(kept.remove, crash_id)
            )
        elif not left.copied and os.path.isdir(left.directory) and not _is_claimed(left, crash_id):
            problem = f"it notes a claim on {left.path}, which is gone or another file"
            yield Leftover(path, problem, "removed", partial(kept.remove, crash_id))


def names(directories: Collection[str], noted: Collection[str], kept: Callable[[str], bool]) -> Iterator[Leftover]:
    """The second names of cores in these directories that no claim in `noted` accounts for.

    `kept` tells whether the core of a crash is in the store.
    """
    for directory in directories:
        for name in _names(directory):
            crash_id = name.removeprefix(PREFIX).removesuffix(ASIDE_SUFFIX)
            if CRASH_ID.fullmatch(crash_id) and crash_id not in noted:
                yield _judged(directory, name, kept(crash_id))


def _judged(directory: str, name: str, kept: bool) -> Leftover:
    path = Path(directory, name)
    remove = partial(drop_claim, directory, name, None, 0)
    if kept:
        return Leftover(path, "a name of a core that is in the store", "removed", remove)
    if path.lstat().st_nlink > 1:
        problem = "a second name from a claim that is no more; because of it the core is left alone"
        return Leftover(path, problem, "removed; the core has its other name", remove)
    remedy = "the daemon collects it, if it had not done so before; else remove it when you need it no longer"
    return Leftover(path, "the only name of a core, from a claim that is no more", remedy, None)


def _names(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            return sorted(
                entry.name
                for entry in entries
                if entry.name.startswith(PREFIX) and stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode)
            )
    except OSError:
        return []


def _is_claimed(left: ClaimRecord, crash_id: str) -> bool:
    try:
        claim_file.expect(left, os.lstat(os.path.join(left.directory, PREFIX + crash_id)))
    except (OSError, ValueError):
        return False
    return True
