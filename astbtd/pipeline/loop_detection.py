"""Crash loops: detect that Asterisk crashes repeatedly in the same way, so that each crash of a loop costs little."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path

from astbtd.lib import files
from astbtd.lib.serialization import Decoder, to_plain
from astbtd.model.crash import Crash, CrashLoop, CrashSignature
from astbtd.settings import CrashLoopSettings

_MAX_SITES = 64
"""How many sites of one loop are remembered. Part of a stack is garbage, so one bug may have a few sites."""


@dataclass(frozen=True)
class _SavedLoops:
    loops: tuple[CrashLoop, ...] = ()


@dataclass(frozen=True)
class _RecentCrash:
    """The fields of a crash that matter here. A loop that lasts for days has many."""

    id: str
    signature: str
    what: str
    crashed_at: datetime
    site: str | None

    @classmethod
    def from_crash(cls, crash: Crash, signature: CrashSignature) -> "_RecentCrash":
        return cls(crash.id, signature.id, crash.what, crash.crashed_at, crash.core.site)


class CrashLoops:
    """The current crash loops. The file `memory` keeps them across restarts. Thread-safe.

    A signature is in a loop from its N-th crash within the window on, until there was no crash of it for one window.
    """

    def __init__(self, settings: CrashLoopSettings, memory: Path) -> None:
        self._settings = settings
        self._memory = memory
        self._lock = threading.Lock()
        self._recent: dict[str, list[_RecentCrash]] = {}
        self._loops: dict[str, CrashLoop] = {}
        self._last_seen: dict[str, float] = {}  # by signature, on the monotonic clock
        self._sites: dict[str, dict[str, str]] = {}  # by signature: site to crash id
        self._already_counted: set[str] = set()

    def update_settings(self, settings: CrashLoopSettings) -> None:
        """Use other settings from now on."""
        with self._lock:
            self._settings = settings

    def restore(self, newest_first: Iterable[Crash], now: datetime) -> list[CrashLoop]:
        """Restore the loops that were current when an earlier daemon ended, from its memory file and the store.

        Return the loops that are not in the memory file: they have not been announced yet.
        """
        self._loops = {loop.signature: replace(loop, crashes=0) for loop in _read(self._memory)}
        self._last_seen = dict.fromkeys(self._loops, time.monotonic() - self._settings.within)
        crashes = list(self._relevant_crashes(newest_first, now))
        counted = (self._count(crash, now - crash.crashed_at) for crash in reversed(crashes))
        return [loop for loop in counted if loop]

    def save(self) -> None:
        """Write the current loops to the memory file. To be called after they were announced. Raises OSError."""
        with self._lock:
            text = json.dumps(to_plain(_SavedLoops(tuple(self._loops.values()))))
        files.replace(self._memory, text.encode(), files.PRIVATE_FILE_MODE)

    def count(self, crash: Crash) -> CrashLoop | None:
        """Count a crash. Return its loop if this crash began one."""
        with self._lock:
            if crash.id in self._already_counted:
                self._already_counted.discard(crash.id)
                return None
        return self._count(_RecentCrash.from_crash(crash, crash.signature)) if crash.signature else None

    def skip_next_count(self, crash: Crash) -> None:
        """Do not count this crash the next time: announcing it failed after it was counted, and will be repeated."""
        with self._lock:
            self._already_counted.add(crash.id)

    def take_ended(self) -> list[CrashLoop]:
        """Remove and return the loops that have had no crash for one window."""
        with self._lock:
            ended = [signature for signature, seen in self._last_seen.items() if self._seconds_left(seen) <= 0]
            return [self._remove(signature) for signature in ended]

    def seconds_until_next_end(self) -> float | None:
        """Return the seconds until a loop may have ended, None if there is no loop."""
        with self._lock:
            return min((max(0.0, self._seconds_left(seen)) for seen in self._last_seen.values()), default=None)

    @property
    def current(self) -> tuple[CrashLoop, ...]:
        """The current loops, oldest first."""
        with self._lock:
            return tuple(self._loops.values())

    def contains(self, signature: str) -> bool:
        """Return whether this signature is in a loop."""
        return signature in self._loops

    def match_site(self, site: str | None) -> str | None:
        """Return the id of a crash of a current loop that has exactly this site, None if there is none."""
        if site is None:
            return None
        with self._lock:
            return next((sites[site] for sites in self._sites.values() if site in sites), None)

    def forget_crash(self, crash_id: str) -> None:
        """Forget the sites of a crash whose record is gone."""
        with self._lock:
            for signature, sites in self._sites.items():
                self._sites[signature] = {site: known for site, known in sites.items() if known != crash_id}

    @property
    def _window(self) -> timedelta:
        return timedelta(seconds=self._settings.within)

    def _seconds_left(self, last_seen: float) -> float:
        return self._settings.within - (time.monotonic() - last_seen)

    def _count(self, crash: _RecentCrash, age: timedelta = timedelta()) -> CrashLoop | None:
        with self._lock:
            recent = self._add_recent(crash)
            known = self._loops.get(crash.signature)
            if known is None and len(recent) < self._settings.crashes:
                return None
            loop = _extend(known, crash) if known else _new_loop(recent)
            self._loops[crash.signature] = loop
            self._last_seen[crash.signature] = time.monotonic() - max(0.0, age.total_seconds())
            self._remember_sites([crash] if known else recent)
            return None if known else loop

    def _relevant_crashes(self, newest_first: Iterable[Crash], now: datetime) -> Iterator[_RecentCrash]:
        """Yield the crashes within the window and those of each saved loop.

        Skip unannounced crashes: they will be counted when they are announced. Skip crashes dated in the future: the
        clock was set back, and they are not recent.
        """
        window_start, window_end = now - self._window, now + self._window
        earliest = min([window_start, *(loop.since for loop in self._loops.values())])
        for crash in takewhile(lambda crash: crash.crashed_at >= earliest, newest_first):
            if crash.announced_at is None or crash.signature is None:
                continue
            loop = self._loops.get(crash.signature.id)
            relevant = crash.crashed_at >= loop.since if loop else window_start <= crash.crashed_at <= window_end
            if relevant:
                yield _RecentCrash.from_crash(crash, crash.signature)

    def _add_recent(self, crash: _RecentCrash) -> list[_RecentCrash]:
        """Return the latest crashes of this signature within the window, this one included, as many as make a loop."""
        near = {key: [other for other in some if self._is_near(other, crash)] for key, some in self._recent.items()}
        self._recent = {key: some for key, some in near.items() if some}
        before = self._recent.get(crash.signature, [])
        self._recent[crash.signature] = [*before[1 - self._settings.crashes :], crash]
        return self._recent[crash.signature]

    def _is_near(self, other: _RecentCrash, crash: _RecentCrash) -> bool:
        return abs(other.crashed_at - crash.crashed_at) < self._window and other.id != crash.id

    def _remember_sites(self, crashes: Iterable[_RecentCrash]) -> None:
        for crash in crashes:
            sites = self._sites.setdefault(crash.signature, {})
            if crash.site and len(sites) < _MAX_SITES:
                sites.setdefault(crash.site, crash.id)

    def _remove(self, signature: str) -> CrashLoop:
        self._sites.pop(signature, None)
        self._recent.pop(signature, None)
        del self._last_seen[signature]
        return self._loops.pop(signature)


def _new_loop(crashes: list[_RecentCrash]) -> CrashLoop:
    times = [crash.crashed_at for crash in crashes]
    return CrashLoop(crashes[-1].signature, crashes[-1].what, min(times), max(times), len(crashes))


def _extend(loop: CrashLoop, crash: _RecentCrash) -> CrashLoop:
    since, until = min(loop.since, crash.crashed_at), max(loop.until, crash.crashed_at)
    return replace(loop, since=since, until=until, crashes=loop.crashes + 1)


def _read(memory: Path) -> tuple[CrashLoop, ...]:
    """Read the saved loops. A missing or damaged file counts as empty: then a loop is announced twice, no more."""
    try:
        document = json.loads(memory.read_bytes())
    except (OSError, ValueError, RecursionError):
        return ()
    saved = Decoder(strict=False).decode(_SavedLoops, document, "")
    return saved.loops if saved else ()
