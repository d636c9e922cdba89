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
from astbtd.claims.core_filter import Candidate, Postponed, StillWritten
from astbtd.claims.finder import CoreFinder
from astbtd.claims.finder_results import OlderCoresLeft
from astbtd.sources.watched_directories import WatchedDirectory


@dataclass(frozen=True)
class _Core:
    status: os.stat_result
    crashed_at: datetime
    is_fitting: bool


def survey(
    finder: CoreFinder, directory: WatchedDirectory, entries: Iterable[str], heartbeat: Callable[[], None]
) -> Iterator[OlderCoresLeft]:
    """Record, durably, which of the cores in a directory stay there. Raises OSError if that is not possible now.

    `heartbeat` is called before each access to a file.
    """
    cores = list(_find_cores(finder, directory, entries, heartbeat))
    fitting = [core for core in cores if core.is_fitting]
    newest = max(fitting, key=lambda core: core.crashed_at, default=None)
    old = [core.status for core in cores if core is not newest]
    finder.first_sight.record(directory.directory, [newest.status] if newest else [], old)
    if old:
        yield OlderCoresLeft(directory.directory, len(old))


def _find_cores(
    finder: CoreFinder, directory: WatchedDirectory, entries: Iterable[str], heartbeat: Callable[[], None]
) -> Iterator[_Core]:
    for entry in entries:
        heartbeat()
        try:
            finding = finder.filter_for(directory).examine(directory.directory, entry)
        except OSError:  # the scan that follows reports it
            continue
        if isinstance(finding, StillWritten) and finding.descriptor is not None:
            os.close(finding.descriptor)
        if isinstance(finding, Candidate):
            yield _judge(finding, finder)
        elif isinstance(finding, Postponed):  # whatever it is, it was there before
            with suppress(OSError):
                yield _Core(os.lstat(finding.path), datetime.min.replace(tzinfo=UTC), is_fitting=False)


def _judge(candidate: Candidate, finder: CoreFinder) -> _Core:
    """Judge a core, and close its descriptor."""
    try:
        ownership = core_ownership.judge(candidate, finder.identity)
        status = os.fstat(candidate.descriptor)
    finally:
        os.close(candidate.descriptor)
    return _Core(status, candidate.facts.crashed_at, ownership.may_move and not ownership.is_foreign)
