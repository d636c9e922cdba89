"""Keeps an eye on all places where cores can appear, and delivers a claim for each core of Asterisk found there."""

import os
from collections.abc import Callable
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.intake import asterisk, places
from astbtd.intake.claim import Claim, Claims
from astbtd.intake.places import Places
from astbtd.intake.search import Search
from astbtd.intake.watch import DirectoryWatch, Hint, Scan
from astbtd.model import Found
from astbtd.settings import Settings

Deliver = Callable[[Claim], None]


class Lookout:
    """The watches on all places. `memory` is a file of ours that holds the places of earlier Asterisks.

    Events only say where to look; a scan says what is there.
    """

    def __init__(self, settings: Settings, search: Search, memory: Path, deliver: Deliver) -> None:
        self._settings = settings
        self._search = search
        self._memory = memory
        self._deliver = deliver
        self._watch = DirectoryWatch()
        self._places = Places((), (), ())
        self._problems: dict[str, str] = {}

    def fileno(self) -> int:
        """What to wait on for events."""
        return self._watch.fileno()

    def close(self) -> None:
        """Ends the watches."""
        self._watch.close()

    def begin(self, *, quiet: bool) -> None:
        """Arms the watches, takes up the claims of an earlier run, and looks at all that is there."""
        self._take_up_left_claims()
        self._refresh()
        self._watch.hints()
        self._scan_all(Found.START, quiet=quiet)
        if self._search.lost:
            self._search.forget_lost_claims()
            self._scan_all(Found.START, quiet=quiet)

    def use(self, settings: Settings, claims: Claims) -> None:
        """Goes on under changed settings."""
        self._settings = settings
        self._search = self._search.under(claims, settings.asterisk.executables, settings.cores.action)
        self.rescan()

    def look(self) -> None:
        """Follows up what the watches have seen since the last call."""
        hints = self._watch.hints()
        self._follow(hints)
        if any(self._tells_of_a_start(hint) for hint in hints):
            self._refresh()
            self._follow(self._watch.hints())

    def rescan(self) -> None:
        """Looks everywhere, unasked."""
        self._take_up_left_claims()
        self._refresh()
        self._scan_all(Found.SCAN)

    def look_at_unfinished(self) -> None:
        """Looks again at cores that were being written."""
        for path in sorted(self._search.unfinished):
            self._file(*os.path.split(path), found=Found.EVENT)

    @property
    def has_unfinished(self) -> bool:
        """Whether a core is being written, as far as is known."""
        return bool(self._search.unfinished)

    @property
    def watched(self) -> tuple[str, ...]:
        """The places that are watched now."""
        absent = self._watch.absent()
        return tuple(directory for directory in self._places.cores if directory not in absent)

    @property
    def asterisks(self) -> frozenset[int]:
        """The processes that were Asterisk at the last look: after each sign of a start, and each scan."""
        return self._places.asterisks

    def unwatched(self) -> tuple[str, ...]:
        """What is not watched, as sentences for people."""
        absent = (f"{directory} cannot be watched" for directory in self._watch.absent() if directory in self._expected)
        return tuple(f"not watched: {what}" for what in (*self._places.unwatched, *absent))

    def problems(self) -> tuple[str, ...]:
        """What went wrong with cores that therefore wait where they are."""
        return tuple(self._problems.values())

    @property
    def _expected(self) -> tuple[str, ...]:
        return tuple(os.path.realpath(directory) for directory in self._settings.watch.directories)

    def _refresh(self) -> None:
        """Learns the places anew; looks into those that were not watched before."""
        before = self._places
        self._places = places.current(self._settings, self._memory)
        if self._places != before:
            self._watch.watch((*self._places.cores, *self._places.starts))
        else:
            self._watch.rearm()

    def _follow(self, hints: list[Hint]) -> None:
        for hint in hints:
            if hint.directory not in self._places.cores:
                continue
            if isinstance(hint, Scan):
                self._scan(hint.directory, Found.SCAN)
            else:
                self._file(hint.directory, hint.name, found=Found.EVENT)

    def _tells_of_a_start(self, hint: Hint) -> bool:
        if hint.directory not in self._places.starts:
            return False
        return isinstance(hint, Scan) or hint.name in asterisk.RUN_FILES

    def _take_up_left_claims(self) -> None:
        for claim in self._search.left_claims():
            self._deliver(claim)

    def _scan_all(self, found: Found, *, quiet: bool = False) -> None:
        for directory in self._places.cores:
            self._scan(directory, found, quiet=quiet)

    def _scan(self, directory: str, found: Found, *, quiet: bool = False) -> None:
        for name in self._search.names(directory):
            self._file(directory, name, found=found, quiet=quiet)

    def _file(self, directory: str, name: str, *, found: Found, quiet: bool = False) -> None:
        path = os.path.join(directory, name)
        try:
            claim = self._search.file(directory, name, found, quiet=quiet)
        except AstbtdError as error:
            self._problems[path] = f"{path}: {error.message}"
            return
        self._problems.pop(path, None)
        if claim:
            self._deliver(claim)
