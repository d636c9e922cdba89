"""Looks after a set of directories: follows up what their watch sees, and delivers a claim for each core in them."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from astbtd.errors import AstbtdError
from astbtd.intake.claim import Claim
from astbtd.intake.search import Search
from astbtd.intake.watch import DirectoryWatch, Hint, Scan
from astbtd.model import Found

Deliver = Callable[[Claim], None]
"""Takes a claim over; may raise AstbtdError, and has then given it back."""


class Post:
    """One watch and one search, in whichever thread calls: every method may wait for the directories' file systems.

    `ours` tells whether claims that were left in a directory (None: nobody knows where) are to be taken up here.
    `alive` is called between any two files.
    """

    def __init__(
        self,
        search: Search,
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
        self._cores: tuple[str, ...] = ()
        self._problems: dict[str, str] = {}

    def fileno(self) -> int:
        """What to wait on for events."""
        return self._watch.fileno()

    def close(self) -> None:
        """Ends the watches."""
        self._watch.close()

    def watch(self, cores: Sequence[str], others: Sequence[str] = ()) -> None:
        """Looks for cores in the directories `cores` from now on, and sees what appears in `others`."""
        self._cores = tuple(cores)
        self._watch.watch((*cores, *others))

    def rearm(self) -> None:
        """Watches anew what came, went or was replaced without being seen."""
        self._watch.rearm()

    def begin(self, found: Found, *, quiet: bool) -> None:
        """Takes up the claims of an earlier run, and looks at all that is there."""
        self._take_up_left_claims()
        self._watch.hints()
        self._scan_all(found, quiet=quiet)
        if self._search.lost:
            self._search.forget_lost_claims()
            self._scan_all(found, quiet=quiet)

    def use(self, search: Search) -> None:
        """Goes on with a search under changed settings."""
        self._search = search

    def look(self) -> list[Hint]:
        """Follows up what the watches have seen since the last call, and returns it."""
        hints = self._watch.hints()
        for hint in hints:
            if hint.directory not in self._cores:
                continue
            if isinstance(hint, Scan):
                self._scan(hint.directory, Found.SCAN)
            else:
                self._file(hint.directory, hint.name, found=Found.EVENT)
        return hints

    def rescan(self) -> None:
        """Looks everywhere, unasked."""
        self._take_up_left_claims()
        self._scan_all(Found.SCAN)

    def look_at_unfinished(self) -> None:
        """Looks again at cores that were being written."""
        for path in sorted(self._search.unfinished):
            self._file(*os.path.split(path), found=Found.EVENT)

    @property
    def search(self) -> Search:
        """The search in use."""
        return self._search

    @property
    def has_unfinished(self) -> bool:
        """Whether a core is being written, as far as is known."""
        return bool(self._search.unfinished)

    @property
    def watched(self) -> tuple[str, ...]:
        """The directories that are watched for cores now."""
        absent = self._watch.absent()
        return tuple(directory for directory in self._cores if directory not in absent)

    @property
    def absent(self) -> tuple[str, ...]:
        """Those that cannot be watched now."""
        return tuple(directory for directory in self._watch.absent() if directory in self._cores)

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong with cores that therefore wait where they are."""
        return tuple(self._problems.values())

    def _take_up_left_claims(self) -> None:
        for claim in self._search.left_claims(self._ours):
            self._hand_on(claim)

    def _scan_all(self, found: Found, *, quiet: bool = False) -> None:
        for directory in self._cores:
            self._scan(directory, found, quiet=quiet)

    def _scan(self, directory: str, found: Found, *, quiet: bool = False) -> None:
        for name in self._search.names(directory):
            self._file(directory, name, found=found, quiet=quiet)

    def _file(self, directory: str, name: str, *, found: Found, quiet: bool = False) -> None:
        self._alive()
        path = os.path.join(directory, name)
        claim = None
        with self._problem_noted(path, path):
            claim = self._search.file(directory, name, found, quiet=quiet)
        if claim:
            self._hand_on(claim)

    def _hand_on(self, claim: Claim) -> None:
        with self._problem_noted(claim.id, claim.note.path):
            self._deliver(claim)

    @contextmanager
    def _problem_noted(self, what: str, path: str) -> Iterator[None]:
        try:
            yield
        except AstbtdError as error:
            self._problems[what] = f"{path}: {error.message}"
        else:
            self._problems.pop(what, None)
