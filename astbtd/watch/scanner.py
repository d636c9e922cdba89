"""Looks after a set of directories: follows up what their watch sees, and delivers a claim for each core in them."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from astbtd.claims.claim import Claim
from astbtd.claims.finder import CoreFinder
from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.model.crash import DiscoveredBy
from astbtd.sources.spot import WatchedDirectory
from astbtd.watch.directory_watch import DirectoryCreated, DirectoryWatch, Hint, Scan

Deliver = Callable[[Claim], None]
"""Takes a claim over; may raise AstbtdError, and has then given it back."""


class DirectoryScanner:
    """One watch and one search, in whichever thread calls: every method may wait for the directories' file systems.

    `ours` tells whether claims that were left in a directory (None: nobody knows where) are to be taken up here.
    `alive` is called between any two files.
    """

    def __init__(
        self,
        search: CoreFinder,
        watch: DirectoryWatch,
        deliver: Deliver,
        ours: Callable[[str | None], bool],
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._search = search
        self._watch = watch
        self._deliver = deliver
        self._ours = ours
        self._alive = alive
        self._spots: dict[str, WatchedDirectory] = {}
        self._problems: dict[str, str] = {}
        self._scanned_as = DiscoveredBy.SCAN, False

    def fileno(self) -> int:
        """What to wait on for events."""
        return self._watch.fileno()

    def close(self) -> None:
        """Ends the watches."""
        self._watch.close()
        self._search.unfinished.close()

    def watch(self, spots: Sequence[WatchedDirectory], others: Sequence[str] = ()) -> None:
        """Looks for cores in these spots from now on, and sees what appears in the directories `others`."""
        self._spots = {spot.directory: spot for spot in spots}
        self._watch.watch((*self._spots, *others))

    def rearm(self) -> None:
        """Watches anew what came, went or was replaced without being seen."""
        self._watch.rearm()

    def begin(self, found: DiscoveredBy, *, quiet: bool) -> None:
        """Takes up the claims of an earlier run, and looks at all that is there."""
        self._watch.hints()
        self._look_everywhere(found, quiet=quiet)

    def use(self, search: CoreFinder) -> None:
        """Goes on with a search under changed settings."""
        self._search = search

    def look(self) -> list[Hint]:
        """Follows up what the watches have seen since the last call, and returns it."""
        hints = self._watch.hints()
        for hint in hints:
            spot = self._spots.get(hint.directory)
            if spot is None:
                continue
            if isinstance(hint, Scan):
                self._scan([spot], DiscoveredBy.SCAN)
            elif spot.collector or not isinstance(hint, DirectoryCreated):
                self._look_at(spot, hint.name, found=DiscoveredBy.EVENT)
        return hints

    def rescan(self) -> None:
        """Looks everywhere, unasked."""
        self._look_everywhere(DiscoveredBy.SCAN)

    def look_at_unfinished(self) -> None:
        """Looks again at cores that were being written."""
        for held in self._search.unfinished.all():
            self._hand_on_all(held.path, self._search.look_again(held))

    def look_at_postponed(self) -> None:
        """Looks again at what there was no room for."""
        if self._search.postponed and self._search.room(DiscoveredBy.SCAN):
            self._scan_all(*self._scanned_as)

    @property
    def search(self) -> CoreFinder:
        """The search in use."""
        return self._search

    @property
    def has_unfinished(self) -> bool:
        """Whether a core is being written, as far as is known."""
        return bool(self._search.unfinished)

    @property
    def has_postponed(self) -> bool:
        """Whether there may be cores for which there was no room."""
        return self._search.postponed

    @property
    def watched(self) -> tuple[str, ...]:
        """The directories that are watched for cores now."""
        absent = self._watch.absent()
        return tuple(directory for directory in self._spots if directory not in absent)

    @property
    def absent(self) -> tuple[str, ...]:
        """Those that cannot be watched now."""
        return tuple(directory for directory in self._watch.absent() if directory in self._spots)

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong with cores that therefore wait where they are."""
        return tuple(self._problems.values())

    def _look_everywhere(self, found: DiscoveredBy, *, quiet: bool = False) -> None:
        with self._problem_noted("claims", "claims"):
            for claim in self._search.left_claims(self._ours):
                self._hand_on(claim)
        self._scan_all(found, quiet)
        if self._search.lost:
            with self._problem_noted("lost claims", "claims"):
                forgotten = self._search.forget_lost_claims()
                self._scan_all(found, quiet)
                for claim in self._search.losses(forgotten):
                    self._hand_on(claim)

    def _scan_all(self, found: DiscoveredBy, quiet: bool = False) -> None:
        """What was postponed still counts as found when it was."""
        if not self._search.postponed:
            self._scanned_as = found, quiet
        self._search.postponed = False
        self._scan(self._spots.values(), *self._scanned_as)

    def _scan(self, spots: Iterable[WatchedDirectory], found: DiscoveredBy, quiet: bool = False) -> None:
        """The newest first, in case that there is no room for all."""
        entries = [(spot, entry) for spot in spots for entry in self._search.entries(spot)]
        for spot, entry in sorted(entries, key=lambda each: self._written(*each), reverse=True):
            self._look_at(spot, entry, found=found, quiet=quiet)

    def _written(self, spot: WatchedDirectory, entry: str) -> float:
        self._alive()
        return self._search.written(spot, entry)

    def _look_at(self, spot: WatchedDirectory, entry: str, *, found: DiscoveredBy, quiet: bool = False) -> None:
        self._alive()
        path = os.path.join(spot.directory, entry)
        self._hand_on_all(path, self._search.look(spot, entry, found, quiet=quiet))

    def _hand_on_all(self, path: str, claims: Iterable[Claim]) -> None:
        with self._problem_noted(path, path):
            for claim in claims:
                self._hand_on(claim)

    def _hand_on(self, claim: Claim) -> None:
        with self._problem_noted(claim.id, claim.note.path):
            self._deliver(claim)

    @contextmanager
    def _problem_noted(self, what: str, path: str) -> Iterator[None]:
        try:
            with files.said_plainly("it cannot be claimed now"):
                yield
        except AstbtdError as error:
            self._problems[what] = f"{path}: {error.message}"
        else:
            self._problems.pop(what, None)
