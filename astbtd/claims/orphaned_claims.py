"""Find what is left of abandoned claims: claim files without a core, and hard links without a claim file."""

import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from astbtd.claims import claim_file
from astbtd.claims.claim import PREFIX, Claims
from astbtd.claims.claim_file import AlreadyClaimed, ClaimFiles, ClaimRecord
from astbtd.claims.hard_links import ASIDE_SUFFIX, remove_link
from astbtd.model.crash import CRASH_ID


@dataclass(frozen=True)
class Orphan:
    """A file that is left. `remove` removes it; None if that would lose a core."""

    path: Path
    problem: str
    remedy: str
    remove: Callable[[], None] | None


def find_claim_files(incoming: Path) -> Iterator[Orphan]:
    """Yield the claim files without a core. Those of private copies are left to the daemon, which records the loss."""
    claim_files = ClaimFiles(incoming)
    for crash_id in list(claim_files.ids()):
        try:
            os.close(claim_files.lock(crash_id))
        except (AlreadyClaimed, FileNotFoundError):  # it is being processed, or was released meanwhile
            continue
        problem = _problem_of_file(claim_files.read(crash_id), crash_id)
        if problem:
            yield Orphan(claim_files.path(crash_id), problem, "removed", partial(claim_files.remove, crash_id))


def _problem_of_file(record: ClaimRecord | None, crash_id: str) -> str | None:
    if record is None:
        return "the file of a claim that was never completed"
    if record.copied or not os.path.isdir(record.directory) or _has_link(record, crash_id):
        return None
    return f"it records a claim of {record.path}, which is gone or another file"


def find_links(
    directories: Collection[str], claimed: Collection[str], is_stored: Callable[[str], bool]
) -> Iterator[Orphan]:
    """Yield the hard links of claims in these directories that belong to no claim in `claimed`.

    `is_stored` returns whether the core of a crash is in the store.
    """
    for directory in directories:
        for name in _link_names(directory):
            crash_id = name.removeprefix(PREFIX).removesuffix(ASIDE_SUFFIX)
            if CRASH_ID.fullmatch(crash_id) and crash_id not in claimed:
                yield _judge_link(directory, name, is_stored(crash_id))


def has_link_of_claim(claims: Claims, directory: str, status: os.stat_result) -> bool:
    """Return whether a second name of the file with this status is the link of a claim, maybe of another process."""
    return status.st_nlink > 1 and any(_is_link(directory, crash_id, status) for crash_id in claims.ids())


def _is_link(directory: str, crash_id: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.lstat(os.path.join(directory, PREFIX + crash_id)), status)
    except OSError:
        return False


def _judge_link(directory: str, name: str, is_stored: bool) -> Orphan:
    path = Path(directory, name)
    remove = partial(remove_link, directory, name, None, 0)
    if is_stored:
        return Orphan(path, "a hard link of a core that is in the store", "removed", remove)
    if path.lstat().st_nlink > 1:
        problem = "a hard link of an abandoned claim; because of it the core is not collected"
        return Orphan(path, problem, "removed; the core has its other name", remove)
    remedy = "the daemon collects it unless it did so before; otherwise remove it when you no longer need it"
    return Orphan(path, "the only name of a core, from an abandoned claim", remedy, None)


def _link_names(directory: str) -> list[str]:
    try:
        with os.scandir(directory) as entries:
            links = [entry for entry in entries if entry.name.startswith(PREFIX)]
            return sorted(entry.name for entry in links if stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode))
    except OSError:
        return []


def _has_link(record: ClaimRecord, crash_id: str) -> bool:
    try:
        claim_file.check_same_file(record, os.lstat(os.path.join(record.directory, PREFIX + crash_id)))
    except (OSError, ValueError):
        return False
    return True
