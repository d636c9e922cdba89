"""Crash loops: detect that Asterisk crashes repeatedly at the same site, so that each crash of a loop costs little.

Crashes of another build, of another user or at another site never belong to a loop, whatever their signature: what a
loop skips cannot be made up for later.
"""

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path

from astbtd.lib import json_file
from astbtd.model.crash import Crash, Process
from astbtd.model.crash_loop import CrashLoop
from astbtd.pipeline.crash_site import program_key, site_key
from astbtd.pipeline.new_sites import WINDOW as NEW_SITES_WINDOW
from astbtd.pipeline.new_sites import NewSites
from astbtd.settings import CrashLoopSettings

_MAX_FINGERPRINTS = 64
"""How many fingerprints of one loop are remembered. Part of a stack is garbage, so one site may have a few."""


@dataclass(frozen=True)
class _SavedLoops:
    loops: tuple[CrashLoop, ...] = ()


@dataclass(frozen=True)
class _RecentCrash:
    """The fields of a crash that matter here. A loop that lasts for days has many."""

    id: str
    key: str
    signature: str | None
    what: str
    crashed_at: datetime
    fingerprint: str | None

    @classmethod
    def from_crash(cls, crash: Crash) -> "_RecentCrash | None":
        """Return the fields of a crash, None if its site is not known."""
        key = site_key(crash.process, crash.site)
        if key is None:
            return None
        signature = crash.signature.id if crash.signature else None
        return cls(crash.id, key, signature, crash.what, crash.crashed_at, crash.core.site)


class CrashLoops:
    """The current crash loops. The file `memory` keeps them across restarts. Thread-safe.

    A site is in a loop from its N-th crash within the window on, until there was no crash at it for one window.
    `new_sites` are the sites seen recently, whether in a loop or not.
    """

    def __init__(self, settings: CrashLoopSettings, memory: Path) -> None:
        self._settings = settings
        self._memory = memory
        self._lock = threading.Lock()
        self._recent: dict[str, list[_RecentCrash]] = {}
        self._loops: dict[str, CrashLoop] = {}
        self._last_seen: dict[str, float] = {}  # by key, on the monotonic clock
        self._fingerprints: dict[str, dict[str, str]] = {}  # by key: fingerprint to crash id
        self._already_counted: set[str] = set()
        self.new_sites = NewSites()

    def update_settings(self, settings: CrashLoopSettings) -> None:
        """Use other settings from now on."""
        with self._lock:
            self._settings = settings

    def restore(self, newest_first: Iterable[Crash], now: datetime) -> list[CrashLoop]:
        """Restore the loops that were current when an earlier daemon ended, from its memory file and the store.

        Return the loops that are not in the memory file: they have not been announced yet.
        """
        self._loops = {loop.key: replace(loop, crashes=0) for loop in _read(self._memory)}
        self._last_seen = dict.fromkeys(self._loops, time.monotonic() - self._settings.within)
        crashes = list(self._relevant_crashes(newest_first, now))
        counted = (self._count(crash, now - crash.crashed_at) for crash in reversed(crashes))
        return [loop for loop in counted if loop]

    def save(self) -> None:
        """Write the current loops to the memory file. To be called after they were announced. Raises OSError."""
        with self._lock:
            saved = _SavedLoops(tuple(self._loops.values()))
        json_file.replace(self._memory, saved)

    def count(self, crash: Crash) -> CrashLoop | None:
        """Count a crash. Return its loop if this crash began one."""
        with self._lock:
            if crash.id in self._already_counted:
                self._already_counted.discard(crash.id)
                return None
        self.new_sites.record(crash)
        recent = _RecentCrash.from_crash(crash)
        return self._count(recent) if recent else None

    def withdraw(self, crash_id: str) -> None:
        """Count a crash towards no loop that begins later: its record was replaced by another one of the same death."""
        with self._lock:
            self._recent = {key: [each for each in some if each.id != crash_id] for key, some in self._recent.items()}

    def skip_next_count(self, crash: Crash) -> None:
        """Do not count this crash the next time: announcing it failed after it was counted, and will be repeated."""
        with self._lock:
            self._already_counted.add(crash.id)

    def take_ended(self) -> list[CrashLoop]:
        """Remove and return the loops that have had no crash for one window."""
        with self._lock:
            ended = [key for key, seen in self._last_seen.items() if self._seconds_left(seen) <= 0]
            return [self._remove(key) for key in ended]

    def seconds_until_next_end(self) -> float | None:
        """Return the seconds until a loop may have ended, None if there is no loop."""
        with self._lock:
            return min((max(0.0, self._seconds_left(seen)) for seen in self._last_seen.values()), default=None)

    @property
    def current(self) -> tuple[CrashLoop, ...]:
        """The current loops, oldest first."""
        with self._lock:
            return tuple(self._loops.values())

    def contains(self, crash: Crash) -> bool:
        """Return True if the site of a crash is in a loop."""
        return self.contains_key(site_key(crash.process, crash.site))

    def contains_key(self, key: str | None) -> bool:
        """Return True if this site of a program (crash_site.site_key) is in a loop."""
        return key in self._loops

    def has_loop_of(self, program: str) -> bool:
        """Return True if a site of this program (crash_site.program_key) is in a loop."""
        with self._lock:
            return any(key.startswith(f"{program}|") for key in self._loops)

    def match_fingerprint(self, process: Process, fingerprint: str | None) -> str | None:
        """Return the id of a crash of a current loop of this program with exactly this stack, None if there is none."""
        if fingerprint is None:
            return None
        prefix = f"{program_key(process)}|"
        with self._lock:
            known = (prints for key, prints in self._fingerprints.items() if key.startswith(prefix))
            return next((prints[fingerprint] for prints in known if fingerprint in prints), None)

    def forget_crash(self, crash_id: str) -> None:
        """Forget the fingerprints of a crash whose record is gone."""
        with self._lock:
            for key, prints in self._fingerprints.items():
                self._fingerprints[key] = {each: known for each, known in prints.items() if known != crash_id}

    @property
    def _window(self) -> timedelta:
        return timedelta(seconds=self._settings.within)

    def _seconds_left(self, last_seen: float) -> float:
        return self._settings.within - (time.monotonic() - last_seen)

    def _count(self, crash: _RecentCrash, age: timedelta = timedelta()) -> CrashLoop | None:
        with self._lock:
            recent = self._add_recent(crash)
            known = self._loops.get(crash.key)
            if known is None and len(recent) < self._settings.crashes:
                return None
            loop = _extend(known, crash) if known else _new_loop(recent)
            self._loops[crash.key] = loop
            self._last_seen[crash.key] = time.monotonic() - max(0.0, age.total_seconds())
            self._remember_fingerprints([crash] if known else recent)
            return None if known else loop

    def _relevant_crashes(self, newest_first: Iterable[Crash], now: datetime) -> Iterator[_RecentCrash]:
        """Yield the crashes within the window and those of each saved loop.

        Skip unannounced crashes: they will be counted when they are announced. Skip crashes dated in the future: the
        clock was set back, and they are not recent.
        """
        window_start, window_end = now - self._window, now + self._window
        earliest = min([window_start, now - NEW_SITES_WINDOW, *(loop.since for loop in self._loops.values())])
        for crash in takewhile(lambda crash: crash.crashed_at >= earliest, newest_first):
            if crash.announced_at is None:
                continue
            if abs(now - crash.crashed_at) <= NEW_SITES_WINDOW:
                self.new_sites.record(crash)
            recent = _RecentCrash.from_crash(crash)
            loop = self._loops.get(recent.key) if recent else None
            relevant = crash.crashed_at >= loop.since if loop else window_start <= crash.crashed_at <= window_end
            if recent and relevant:
                yield recent

    def _add_recent(self, crash: _RecentCrash) -> list[_RecentCrash]:
        """Return the latest crashes at this site within the window, this one included, as many as make a loop."""
        near = {key: [other for other in some if self._is_near(other, crash)] for key, some in self._recent.items()}
        self._recent = {key: some for key, some in near.items() if some}
        before = self._recent.get(crash.key, [])
        self._recent[crash.key] = [*before[1 - self._settings.crashes :], crash]
        return self._recent[crash.key]

    def _is_near(self, other: _RecentCrash, crash: _RecentCrash) -> bool:
        return abs(other.crashed_at - crash.crashed_at) < self._window and other.id != crash.id

    def _remember_fingerprints(self, crashes: Iterable[_RecentCrash]) -> None:
        for crash in crashes:
            prints = self._fingerprints.setdefault(crash.key, {})
            if crash.fingerprint and len(prints) < _MAX_FINGERPRINTS:
                prints.setdefault(crash.fingerprint, crash.id)

    def _remove(self, key: str) -> CrashLoop:
        self._fingerprints.pop(key, None)
        self._recent.pop(key, None)
        del self._last_seen[key]
        return self._loops.pop(key)


def _new_loop(crashes: list[_RecentCrash]) -> CrashLoop:
    times = [crash.crashed_at for crash in crashes]
    last = crashes[-1]
    return CrashLoop(last.key, last.signature, last.what, min(times), max(times), len(crashes))


def _extend(loop: CrashLoop, crash: _RecentCrash) -> CrashLoop:
    since, until = min(loop.since, crash.crashed_at), max(loop.until, crash.crashed_at)
    return replace(loop, since=since, until=until, crashes=loop.crashes + 1)


def _read(memory: Path) -> tuple[CrashLoop, ...]:
    """Read the saved loops. A missing or damaged file counts as empty: then a loop is announced twice, no more."""
    return json_file.read_or(memory, _SavedLoops()).loops
