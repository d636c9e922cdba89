"""Notices that Asterisk crashes again and again in the same way, so that each of a thousand crashes costs little."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path

from astbtd.lib import files
from astbtd.lib.serialization import Decoder, plain
from astbtd.model.crash import Crash
from astbtd.model.crash_loop import CrashLoop
from astbtd.settings import CrashLoopSettings

_MOST_SITES = 64
"""How many crash sites are remembered of one loop: a stack has some garbage in it, so one bug may have a few."""


@dataclass(frozen=True)
class _SavedLoops:
    loops: tuple[CrashLoop, ...] = ()


@dataclass(frozen=True)
class _RecentCrash:
    """What matters here of a crash: of a loop of days there are many."""

    id: str
    signature: str
    what: str
    crashed_at: datetime
    site: str | None

    @classmethod
    def of(cls, crash: Crash) -> "_RecentCrash":
        return cls(crash.id, crash.signature.id, crash.what, crash.crashed_at, crash.core.site)


class CrashLoops:
    """The loops in force, remembered over restarts in the file `memory`; for two threads.

    A signature is in a loop from its N-th crash within the window on, until none came for as long as the window.
    """

    def __init__(self, settings: CrashLoopSettings, memory: Path) -> None:
        self._settings = settings
        self._memory = memory
        self._lock = threading.Lock()
        self._recent: dict[str, list[_RecentCrash]] = {}
        self._loops: dict[str, CrashLoop] = {}
        self._heard: dict[str, float] = {}
        self._sites: dict[str, dict[str, str]] = {}
        self._coming_again: set[str] = set()

    def use(self, settings: CrashLoopSettings) -> None:
        """Judges by other settings from now on."""
        with self._lock:
            self._settings = settings

    def recall(self, newest_first: Iterable[Crash], now: datetime) -> list[CrashLoop]:
        """Finds the loops that were in force when an earlier daemon ended, from what it remembered and the store.

        Returns those that it had not remembered: nobody was told of them yet.
        """
        self._loops = {loop.signature: replace(loop, crashes=0) for loop in _read(self._memory)}
        self._heard = dict.fromkeys(self._loops, time.monotonic() - self._settings.within)
        crashes = [_RecentCrash.of(crash) for crash in self._still_counting(newest_first, now)]
        return [loop for crash in reversed(crashes) if (loop := self._note(crash, now - crash.crashed_at))]

    def remember(self) -> None:
        """Writes down which loops are in force, once people were told."""
        with self._lock:
            text = json.dumps(plain(_SavedLoops(tuple(self._loops.values()))))
        files.replace(self._memory, text.encode(), files.PRIVATE_FILE_MODE)

    def note(self, crash: Crash) -> CrashLoop | None:
        """Counts a crash; returns its loop if this crash began one."""
        with self._lock:
            if crash.id in self._coming_again:
                self._coming_again.discard(crash.id)
                return None
        return self._note(_RecentCrash.of(crash))

    def comes_again(self, crash: Crash) -> None:
        """A crash that was counted could not be told of: it will be noted once more, which is not to count."""
        with self._lock:
            self._coming_again.add(crash.id)

    def ended(self) -> list[CrashLoop]:
        """Takes out the loops of which nothing was heard for as long as the window."""
        with self._lock:
            silent = [signature for signature, heard in self._heard.items() if self._left(heard) <= 0]
            return [self._take_out(signature) for signature in silent]

    def until_next_end(self) -> float | None:
        """The seconds until a loop may have ended, None if there is none."""
        with self._lock:
            return min((max(0.0, self._left(heard)) for heard in self._heard.values()), default=None)

    @property
    def current(self) -> tuple[CrashLoop, ...]:
        """The loops in force, the oldest first."""
        with self._lock:
            return tuple(self._loops.values())

    def has(self, signature: str) -> bool:
        """Whether this signature is in a loop."""
        return signature in self._loops

    def recognised(self, site: str | None) -> str | None:
        """The id of a crash of a loop that died at this very site, None if there is none."""
        with self._lock:
            return next((sites[site] for sites in self._sites.values() if site in sites), None) if site else None

    def unlearn(self, crash_id: str) -> None:
        """Recognises no crash any more by this one, which has no record now."""
        with self._lock:
            for signature, sites in self._sites.items():
                self._sites[signature] = {site: known for site, known in sites.items() if known != crash_id}

    @property
    def _window(self) -> timedelta:
        return timedelta(seconds=self._settings.within)

    def _left(self, heard: float) -> float:
        return self._settings.within - (time.monotonic() - heard)

    def _note(self, crash: _RecentCrash, ago: timedelta = timedelta()) -> CrashLoop | None:
        with self._lock:
            recent = self._with_recent(crash)
            known = self._loops.get(crash.signature)
            if known is None and len(recent) < self._settings.crashes:
                return None
            loop = _extended(known, crash) if known else _begun(recent)
            self._loops[crash.signature] = loop
            self._heard[crash.signature] = time.monotonic() - max(0.0, ago.total_seconds())
            self._learn_sites([crash] if known else recent)
            return None if known else loop

    def _still_counting(self, newest_first: Iterable[Crash], now: datetime) -> Iterator[Crash]:
        """The crashes within the window, and those of each remembered loop; not those that are yet to be told of.

        Of a clock that is behind, all that was recorded is in the future, and was not lately.
        """
        lately = now - self._window
        earliest = min([lately, *(loop.since for loop in self._loops.values())])
        for crash in takewhile(lambda crash: crash.crashed_at >= earliest, newest_first):
            loop = self._loops.get(crash.signature.id)
            counts = crash.crashed_at >= loop.since if loop else lately <= crash.crashed_at <= now + self._window
            if counts and crash.announced_at is not None:
                yield crash

    def _with_recent(self, crash: _RecentCrash) -> list[_RecentCrash]:
        """The latest crashes of this signature within the window, this one included, as many as matter."""
        near = {key: [other for other in some if self._is_near(other, crash)] for key, some in self._recent.items()}
        self._recent = {key: some for key, some in near.items() if some}
        before = self._recent.get(crash.signature, [])
        self._recent[crash.signature] = [*before[1 - self._settings.crashes :], crash]
        return self._recent[crash.signature]

    def _is_near(self, other: _RecentCrash, crash: _RecentCrash) -> bool:
        return abs(other.crashed_at - crash.crashed_at) < self._window and other.id != crash.id

    def _learn_sites(self, crashes: Iterable[_RecentCrash]) -> None:
        for crash in crashes:
            sites = self._sites.setdefault(crash.signature, {})
            if crash.site and len(sites) < _MOST_SITES:
                sites.setdefault(crash.site, crash.id)

    def _take_out(self, signature: str) -> CrashLoop:
        self._sites.pop(signature, None)
        self._recent.pop(signature, None)
        del self._heard[signature]
        return self._loops.pop(signature)


def _begun(crashes: list[_RecentCrash]) -> CrashLoop:
    moments = [crash.crashed_at for crash in crashes]
    return CrashLoop(crashes[-1].signature, crashes[-1].what, min(moments), max(moments), len(crashes))


def _extended(loop: CrashLoop, crash: _RecentCrash) -> CrashLoop:
    since, until = min(loop.since, crash.crashed_at), max(loop.until, crash.crashed_at)
    return replace(loop, since=since, until=until, crashes=loop.crashes + 1)


def _read(memory: Path) -> tuple[CrashLoop, ...]:
    """What was remembered; nothing where that is missing or damaged, which costs no more than an announcement."""
    try:
        document = json.loads(memory.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ()
    remembered = Decoder(strict=False).dataclass(_SavedLoops, document, "")
    return remembered.loops if remembered else ()
