"""Scan a set of watched directories for cores: after events, and completely.

The methods that look for cores are generators. The caller handles each result before the next file is examined,
since the capacity of the worker's queue is checked before each file. They do nothing unless they are iterated.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

from astbtd.claims.claim import Claims
from astbtd.claims.finder import CoreFinder, FinderResult
from astbtd.claims.finder_results import MAX_PENDING_FOREIGN
from astbtd.claims.survey import survey
from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.model.crash import CoreAction, DiscoveredBy
from astbtd.sources.watched_directories import WatchedDirectory
from astbtd.watch.directory_watch import DirectoryCreated, DirectoryWatch, Hint, RescanNeeded
from astbtd.watch.fair_order import MAX_OTHERS, FoundFile, fair_order


class Problems:
    """What currently keeps cores from being claimed, as sentences for the status line."""

    def __init__(self) -> None:
        self._messages: dict[str, str] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._messages.values()))

    @contextmanager
    def recorded(self, key: str, path: str) -> Iterator[None]:
        """Record an AstbtdError or OSError of the block under `key`, and do not raise it. Success removes the entry."""
        try:
            with files.wrap_os_error("it cannot be claimed now"):
                yield
        except AstbtdError as error:
            self._messages[key] = f"{path}: {error.message}"
        else:
            self._messages.pop(key, None)

    def forget_removed_files(self) -> None:
        """Remove the entries under paths at which there is no file any more: nobody will try these again."""
        for key in list(self._messages):
            if key.startswith("/") and not os.path.lexists(key):
                del self._messages[key]


class DirectoryScanner:
    """Scans directories in the thread of the caller. Any method may block if a file system does not answer.

    `is_ours` decides whether to resume the claims that an earlier process left in a directory (None: unknown).
    `heartbeat` is called before each access to a file.
    """

    def __init__(
        self,
        finder: CoreFinder,
        watch: DirectoryWatch,
        is_ours: Callable[[str | None], bool],
        heartbeat: Callable[[], None] = lambda: None,
    ) -> None:
        self.finder = finder
        self.problems = Problems()
        self._watch = watch
        self._is_ours = is_ours
        self.heartbeat = heartbeat
        self._directories: dict[str, WatchedDirectory] = {}
        self._scanned_as = DiscoveredBy.SCAN, False
        self._early_hints: list[Hint] = []

    def fileno(self) -> int:
        """Return a descriptor that is readable when there are events."""
        return self._watch.fileno()

    def close(self) -> None:
        """End the watches."""
        self._watch.close()
        self.finder.incomplete.close()

    def watch(self, directories: Sequence[WatchedDirectory], others: Sequence[str] = ()) -> None:
        """Look for cores in these directories from now on. Of the directories in `others`, only report hints."""
        self._directories = {directory.directory: directory for directory in directories}
        self._watch.watch((*self._directories, *others))

    def renew_watches(self) -> None:
        """Add and remove watches for directories that came, went or were replaced without an event."""
        self._watch.renew()

    def update_settings(self, claims: Claims, executables: Collection[str], action: CoreAction) -> None:
        """Judge files by new settings from now on."""
        self.finder.update_settings(claims, executables, action)

    def start(self, found: DiscoveredBy, *, quiet: bool) -> Iterator[FinderResult]:
        """Resume the claims of an earlier process, and scan all directories."""
        self.read_hints()  # they only ask for the scan that follows
        yield from self._scan_everything(found, quiet=quiet)

    def rescan(self) -> Iterator[FinderResult]:
        """Do what `start` does, as the safety net for events that were lost. Owners of files get new budgets."""
        self.finder.examinations.renew_budgets()
        yield from self._scan_everything(DiscoveredBy.SCAN)

    def read_hints(self) -> list[Hint]:
        """Return the hints since the last call, without waiting."""
        early, self._early_hints = self._early_hints, []
        return early + self._watch.read_hints()

    def process(self, hints: Iterable[Hint]) -> Iterator[FinderResult]:
        """Examine the files that hints name. Ignore hints about other directories."""
        hints = [hint for hint in hints if hint.directory in self._directories]
        yield from self._examine_all(self._named_files(hints), DiscoveredBy.EVENT)
        for hint in hints:
            if isinstance(hint, RescanNeeded):
                yield from self._scan([self._directories[hint.directory]], DiscoveredBy.SCAN)

    def _named_files(self, hints: Iterable[Hint]) -> list[FoundFile]:
        """Return the files that hints name, without those in directories that wait for their first scan."""
        named: dict[tuple[str, str], None] = {}
        for hint in hints:
            directory = self._directories[hint.directory]
            is_file = not isinstance(hint, RescanNeeded | DirectoryCreated)
            if isinstance(hint, RescanNeeded) or not (is_file or directory.collector) or self._is_unsurveyed(directory):
                continue
            named[hint.directory, hint.name] = None
        return [self._found_file(self._directories[directory], name)[1] for directory, name in named]

    def recheck_incomplete(self) -> Iterator[FinderResult]:
        """Examine the cores again that were still being written."""
        for core in self.finder.incomplete.all():
            with self.problems.recorded(core.path, core.path):
                yield from self.finder.recheck(core)

    def recheck_postponed(self) -> Iterator[FinderResult]:
        """Scan again for the cores that were postponed, if there is capacity now."""
        capacity = self.finder.capacity
        postponed = self.finder.postponed and capacity.has_room(DiscoveredBy.SCAN)
        none_pending = capacity.has_room(DiscoveredBy.SCAN, MAX_PENDING_FOREIGN - 1, foreign=True)
        if postponed or (self.finder.postponed_foreign and none_pending):
            yield from self._scan_directories(*self._scanned_as)

    @property
    def has_incomplete(self) -> bool:
        """Whether a core is still being written."""
        return bool(self.finder.incomplete)

    @property
    def has_postponed(self) -> bool:
        """Whether there may be cores that were not claimed because there was no capacity."""
        return self.finder.postponed

    @property
    def has_unread_hints(self) -> bool:
        """Whether hints are left that were read during a scan. The descriptor is not readable because of them."""
        return bool(self._early_hints)

    @property
    def has_postponed_foreign(self) -> bool:
        """Whether files of other users than the PBX's were not examined because there was no capacity."""
        return self.finder.postponed_foreign

    @property
    def watched(self) -> tuple[str, ...]:
        """The directories that are watched for cores now."""
        unwatched = self._watch.unwatched()
        return tuple(directory for directory in self._directories if directory not in unwatched)

    @property
    def unwatched(self) -> tuple[str, ...]:
        """The directories that cannot be watched for cores now."""
        return tuple(directory for directory in self._watch.unwatched() if directory in self._directories)

    def _scan_everything(self, found: DiscoveredBy, *, quiet: bool = False) -> Iterator[FinderResult]:
        with self.problems.recorded("claims", "claims"):
            yield from self.finder.resume_claims(self._is_ours)
        self.problems.forget_removed_files()
        yield from self._scan_directories(found, quiet)
        with self.problems.recorded("replaced cores", "claims"):
            yield from self.finder.claim_replaced_cores()
        if self.finder.lost and not self.finder.postponed:  # what is postponed may be one of their cores
            with self.problems.recorded("lost claims", "claims"):
                self.finder.forget_lost_claims()
                # Without its old claim, a core that still exists is claimed anew. Only what is left then is lost.
                yield from self._scan_directories(found, quiet)
                yield from self.finder.claim_lost_cores()

    def _scan_directories(self, found: DiscoveredBy, quiet: bool = False) -> Iterator[FinderResult]:
        """Scan all directories. Cores that an earlier scan postponed keep the reason for which it found them."""
        if not self.finder.postponed:
            self._scanned_as = found, quiet
        self.finder.postponed = self.finder.postponed_foreign = False
        yield from self._scan(self._directories.values(), *self._scanned_as)

    def _scan(
        self, directories: Iterable[WatchedDirectory], found: DiscoveredBy, quiet: bool = False
    ) -> Iterator[FinderResult]:
        """Examine all entries; those of one directory and owner newest first, in case that there is no capacity."""
        files: list[tuple[float, FoundFile]] = []
        for directory in directories:
            if self._is_unsurveyed(directory):
                with self.problems.recorded(directory.directory, directory.directory):
                    yield from survey(self.finder, directory, _list(directory), self.heartbeat)
                if self._is_unsurveyed(directory):
                    continue
            files += [self._found_file(directory, entry) for entry in _entries(directory)]
        newest_first = sorted(files, key=lambda each: each[0], reverse=True)
        yield from self._examine_all([file for _, file in newest_first], found, quiet)

    def _is_unsurveyed(self, directory: WatchedDirectory) -> bool:
        """Return whether nobody has named the directory and it was never scanned."""
        return directory.is_learned and self.finder.first_sight.is_new(directory.directory)

    def _found_file(self, directory: WatchedDirectory, entry: str) -> tuple[float, FoundFile]:
        """Return an entry with the time of its last change, in seconds since 1970; 0.0 if it is gone.

        A modification time in the future is the choice of the file's owner. The time of the last change is not.
        """
        self.heartbeat()
        try:
            status = os.lstat(os.path.join(directory.directory, entry))
        except OSError:
            return 0.0, FoundFile(directory, entry)
        is_foreign = not self.finder.identity.is_known(status.st_uid)
        return min(status.st_mtime, status.st_ctime), FoundFile(directory, entry, status.st_uid, is_foreign)

    def _examine_all(
        self, files: Iterable[FoundFile], found: DiscoveredBy, quiet: bool = False
    ) -> Iterator[FinderResult]:
        """Examine files in turn. Files of other users do not delay a core that is written meanwhile."""
        others = 0
        for file in fair_order(files):
            yield from self._examine(file.directory, file.entry, found=found, quiet=quiet)
            others += file.is_foreign
            if file.is_foreign and others % MAX_OTHERS == 0:
                yield from self._examine_new()

    def _examine_new(self) -> Iterator[FinderResult]:
        """Examine what the PBX's users have written since the last hints were read. The hints are kept for later."""
        hints = self._watch.read_hints()
        self._early_hints += hints
        for file in self._named_files(hint for hint in hints if hint.directory in self._directories):
            if not file.is_foreign:
                yield from self._examine(file.directory, file.entry, found=DiscoveredBy.EVENT)

    def _examine(
        self, directory: WatchedDirectory, entry: str, *, found: DiscoveredBy, quiet: bool = False
    ) -> Iterator[FinderResult]:
        self.heartbeat()
        path = os.path.join(directory.directory, entry)
        with self.problems.recorded(path, path):
            yield from self.finder.examine_entry(directory, entry, found, quiet=quiet)


def _entries(directory: WatchedDirectory) -> list[str]:
    """Return the names in a directory. An empty list if it cannot be read."""
    try:
        return _list(directory)
    except OSError:
        return []


def _list(directory: WatchedDirectory) -> list[str]:
    """Return the names in a directory, an empty list if it is gone. Raise OSError if it cannot be read now."""
    try:
        return os.listdir(directory.directory)  # not os.scandir: it may block all threads while it asks for file types
    except (FileNotFoundError, NotADirectoryError):
        return []
