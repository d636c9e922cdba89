"""The first sight of a directory that nobody has named: decide which of the cores that lie there is collected.

They may be anybody's archive, or left from long ago. The newest one of the PBX is collected by copy. The others stay,
are reported once, and are collected when somebody asks for them.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from astbtd.claims import core_ownership
from astbtd.claims.core_filter import Candidate, Finding, Postponed, StillWritten
from astbtd.claims.finder import CoreFinder
from astbtd.claims.finder_results import OlderCoresLeft
from astbtd.sources.watched_directories import WatchedDirectory

_MAX_FOREIGN = 1000
"""How many cores of other users than the PBX's are remembered. Further ones count as foreign crashes."""


@dataclass(frozen=True)
class _Core:
    status: os.stat_result
    crashed_at: datetime
    is_fitting: bool
    is_foreign: bool


def survey(
    finder: CoreFinder, directory: WatchedDirectory, entries: Iterable[str], heartbeat: Callable[[], None]
) -> Iterator[OlderCoresLeft]:
    """Record, durably, which of the cores in a directory stay there. Raises OSError if that is not possible now.

    `heartbeat` is called before each access to a file.
    """
    cores = list(_find_cores(finder, directory, entries, heartbeat))
    fitting = [core for core in cores if core.is_fitting]
    newest = max(fitting, key=lambda core: core.crashed_at, default=None)
    old = [core for core in cores if core is not newest]
    of_pbx, foreign = ([core.status for core in old if core.is_foreign is wanted] for wanted in (False, True))
    remembered = [*of_pbx, *foreign[:_MAX_FOREIGN]]
    finder.first_sight.record(directory.directory, [newest.status] if newest else [], remembered)
    if old:
        yield OlderCoresLeft(directory.directory, len(old))


def _find_cores(
    finder: CoreFinder, directory: WatchedDirectory, entries: Iterable[str], heartbeat: Callable[[], None]
) -> Iterator[_Core]:
    for entry in entries:
        heartbeat()
        finding: Finding | None = None
        with suppress(OSError):  # the scan that follows reports it
            finding = finder.filter_for(directory).examine(directory.directory, entry)
        if isinstance(finding, StillWritten) and finding.descriptor is not None:
            os.close(finding.descriptor)
        if isinstance(finding, Candidate):
            yield _judge(finding, finder)
        elif finding is None or isinstance(finding, Postponed):
            with suppress(FileNotFoundError):
                yield _unexamined(os.lstat(os.path.join(directory.directory, entry)), finder)


def _unexamined(status: os.stat_result, finder: CoreFinder) -> _Core:
    """Return a file that could not be examined now. Whatever it is, it was there before: it must not be moved later."""
    is_foreign = not finder.identity.is_known(status.st_uid)
    return _Core(status, datetime.min.replace(tzinfo=UTC), is_fitting=False, is_foreign=is_foreign)


def _judge(candidate: Candidate, finder: CoreFinder) -> _Core:
    """Judge a core, and close its descriptor."""
    try:
        ownership = core_ownership.judge(candidate, finder.identity)
        status = os.fstat(candidate.descriptor)
    finally:
        os.close(candidate.descriptor)
    is_fitting = ownership.may_move and not ownership.is_foreign
    return _Core(status, candidate.facts.crashed_at, is_fitting, ownership.is_foreign)
