"""Finds out what is new in the store: crashes, corrected signatures, loops, captures, and what was lost unseen.

The store is the truth, not the journal, which has no entries for the crashes of a loop and for cores that waited.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from astbtd.errors import AstbtdError
from astbtd.model.crash import Crash, DiscoveredBy
from astbtd.model.deadlock_capture import Deadlock
from astbtd.notify.event_texts import WORTH_A_MESSAGE, capture_event, crash_event, loop_event
from astbtd.notify.events import Correction, Event, EventKind
from astbtd.notify.loops import LoopChange, LoopSettings, LoopTracker, SiteCrash
from astbtd.notify.message_policy import DAY
from astbtd.notify.spool_state import UNREAD, ReaderState, notified, parse_notified
from astbtd.pipeline.crash_site import logged_site_key, site_key
from astbtd.store.captures import Captures
from astbtd.store.removed_records import RemovedRecord, RemovedRecords
from astbtd.store.store import DamagedRecord, Store

OLD = timedelta(hours=1)
"""A core that waited for longer when the daemon started is an old one."""
MOST_FOREIGN = 20
"""How many foreign crashes trackers get within a day. Their number is up to other users of the machine."""

_SLACK = timedelta(seconds=5)  # between the clock and the times of files
_HISTORY = timedelta(days=30)  # what trackers get of older crashes, they drop


@dataclass(frozen=True)
class TrackedCrash:
    """A crash that trackers are to get. `corrects`: the signature that it had before, empty if it had none."""

    crash: Crash
    corrects: str | None = None


@dataclass
class NewInStore:
    """The result of a pass: events for people, crashes and loops for trackers, how many crashes were lost unseen."""

    events: list[Event] = field(default_factory=list)
    crashes: list[TrackedCrash] = field(default_factory=list)
    loops: list[LoopChange] = field(default_factory=list)
    lost: int = 0


@dataclass
class StoreReader:
    """Reads what is new since `state`, which is replaced."""

    store: Store
    state: ReaderState
    loop_settings: LoopSettings
    now: datetime

    def read(self) -> NewInStore:
        """Return what is new. Raise AstbtdError if the store cannot be read."""
        found = NewInStore()
        tracker = LoopTracker(self.loop_settings, dict(self.state.sites))
        removed = RemovedRecords(self.store.root).after(self.state.removed)
        ids = self._list_ids()  # only now: what is removed in between is in the list of the next pass
        found.lost += self._count_removed(removed, frozenset(ids))
        known = self.state.crashes
        crashes = list(self._changed(ids, found))
        found.lost += self._count_unseen(crash for crash, before in crashes if _has_new_signature(crash, before))
        replaced = {crash.replaces.id for crash, _ in crashes if crash.replaces}
        for crash, before in sorted(crashes, key=lambda each: (each[0].crashed_at, each[0].id)):
            if before is not None:
                self._take_again(crash, before, found)
            elif crash.id not in replaced:
                self._take_new(crash, _told_before(crash, known), found, tracker)
        self._finish_loops(found, tracker)
        self._take_captures(found)
        self.state = replace(self.state, sites=tracker.sites, read_at=self.now)
        return found

    def _list_ids(self) -> list[str]:
        """Return the ids of all crashes.

        A record that another one replaces is removed when that is stored, perhaps during the listing: list again then.
        """
        missing: set[str] = set()
        while True:
            ids = self.store.ids()
            missing_before, missing = missing, self.state.crashes.keys() - set(ids)
            if missing == missing_before:
                return ids

    def _changed(self, ids: Sequence[str], found: NewInStore) -> Iterator[tuple[Crash, str | None]]:
        """Yield the crashes that are new or were changed, with what is remembered of them."""
        known = self.state.crashes
        remembered = {crash_id: known[crash_id] for crash_id in ids if crash_id in known}
        for crash_id in ids:
            before = known.get(crash_id)
            if before not in (None, UNREAD) and not self._is_changed(crash_id):
                continue
            try:
                crash = self.store.load(crash_id)
            except DamagedRecord:
                found.lost += before is None
                remembered.setdefault(crash_id, UNREAD)
                continue
            signature = crash.signature.id if crash.signature else None
            remembered[crash_id] = notified(signature, len(crash.extraction_history))
            yield crash, None if before == UNREAD else before
        self.state = replace(self.state, crashes=remembered)

    def _is_changed(self, crash_id: str) -> bool:
        """Return whether files of a crash were replaced since the last pass, which changes its directory."""
        if self.state.read_at is None:
            return True
        with suppress(OSError):
            changed = os.stat(self.store.directory(crash_id)).st_mtime
            return changed >= (self.state.read_at - _SLACK).timestamp()
        return False

    def _count_removed(self, removed: Sequence[RemovedRecord], present: AbstractSet[str]) -> int:
        """Return how many crashes retention has removed before they were seen, or their deaths.

        The records count as seen in the numbers of their signature, which would reveal them once more.
        """
        if not removed:
            return 0
        seen = self.state.crashes.keys() | present
        unseen = {each.id: each for each in removed if each.id not in seen}
        highest = Counter(self.state.highest)
        highest.update(each.signature for each in unseen.values() if each.signature)
        is_first = self.state.is_first
        self.state = replace(self.state, highest=dict(highest), removed=removed[-1].number)
        return 0 if is_first else sum(each.replaces not in seen for each in unseen.values())

    def _count_unseen(self, crashes: Iterable[Crash]) -> int:
        """Return how many crashes the occurrence numbers reveal that were removed before they were seen.

        An older core that comes late moves the numbers of later ones up, so that they may be higher than was seen.
        """
        before = self.state.highest
        numbers: dict[str, list[int]] = {}
        for crash in crashes:
            if crash.signature:
                numbers.setdefault(crash.signature.id, []).append(crash.signature.occurrence)
        expected = {name: before.get(name, 0) + len(each) for name, each in numbers.items()}
        highest = {name: max(expected[name], *each) for name, each in numbers.items()}
        is_first = self.state.is_first
        self.state = replace(self.state, highest={**before, **highest})
        return 0 if is_first else sum(highest[name] - expected[name] for name in numbers)

    def _take_new(self, crash: Crash, told: str | None, found: NewInStore, tracker: LoopTracker) -> None:
        """Notify a crash that was not seen before. `told`: the signature under which its death was, None if it was not.

        One that was told of, without its core, counts towards a loop, but in no number that is notified.
        """
        if crash.foreign:
            found.events.append(crash_event(crash, EventKind.FOREIGN_CRASH))
            self._track_foreign(crash, found)
            return
        change = self._follow_loop(crash, told is not None, found, tracker)
        if change and not change.started:
            return
        self._track(crash, found, told)
        found.events.append(loop_event(change) if change else self._new_event(crash, told))

    def _new_event(self, crash: Crash, told: str | None) -> Event:
        if told is not None:
            return crash_event(crash, EventKind.CRASH, Correction.LATE_CORE)
        return crash_event(crash, EventKind.OLD_CORE if self._is_old(crash) else EventKind.CRASH)

    def _is_old(self, crash: Crash) -> bool:
        if self.state.is_first:
            return True
        return crash.core.found is DiscoveredBy.START and crash.collected_at - crash.crashed_at > OLD

    def _follow_loop(self, crash: Crash, is_told: bool, found: NewInStore, tracker: LoopTracker) -> LoopChange | None:
        """Count a crash; return its loop if it is in one. End the loops that were over when it happened.

        If it was told of without its core, it was counted at the site that the kernel had logged.
        """
        key = site_key(crash.process, crash.site)
        if key is None:
            return None
        self._take_ended(tracker.end(crash.crashed_at), found)
        if is_told and crash.replaces and crash.replaces.site:
            tracker.withdraw(logged_site_key(crash.replaces.site), crash.crashed_at)
        return tracker.add(SiteCrash(crash.id, key, crash.crashed_at, crash.what, is_told))

    def _finish_loops(self, found: NewInStore, tracker: LoopTracker) -> None:
        self._take_ended(tracker.end(self.now), found)
        found.loops += tracker.take_uncounted(self.now, DAY)

    def _take_ended(self, ended: list[LoopChange], found: NewInStore) -> None:
        found.loops += [change for change in ended if change.loop.uncounted]
        found.events += map(loop_event, ended)

    def _track(self, crash: Crash, found: NewInStore, corrects: str | None = None) -> None:
        if self.now - crash.crashed_at <= _HISTORY:
            found.crashes.append(TrackedCrash(crash, corrects))

    def _track_foreign(self, crash: Crash, found: NewInStore) -> None:
        recent = tuple(at for at in self.state.foreign if self.now - at < DAY)
        if len(recent) < MOST_FOREIGN:
            recent = (*recent, self.now)
            self._track(crash, found)
        self.state = replace(self.state, foreign=recent)

    def _take_again(self, crash: Crash, before: str, found: NewInStore) -> None:
        """Notify a crash again if a repeated extraction has given it another signature.

        Signatures that changed with the rules of a new version are those of the same bugs: nobody is told.
        """
        signature, extractions = parse_notified(before)
        current = crash.signature.id if crash.signature else None
        if current == signature or len(crash.extraction_history) <= extractions or crash.foreign:
            return
        found.crashes.append(TrackedCrash(crash, corrects=signature or ""))
        found.events.append(crash_event(crash, EventKind.CRASH, Correction.EXTRACTION))

    def _take_captures(self, found: NewInStore) -> None:
        captures = Captures(self.store.root)
        ids = captures.ids()
        load = partial(_load_capture, captures)
        for capture in filter(None, map(load, reversed([each for each in ids if each not in self.state.captures]))):
            if capture.finding in WORTH_A_MESSAGE and not self.state.is_first:
                found.events.append(capture_event(capture))
        self.state = replace(self.state, captures=tuple(ids))


def _told_before(crash: Crash, known: Mapping[str, str]) -> str | None:
    """Return the signature under which the death of a crash was notified without its core, None if it was not."""
    told = known.get(crash.replaces.id, UNREAD) if crash.replaces else UNREAD
    return None if told == UNREAD else parse_notified(told)[0] or ""


def _has_new_signature(crash: Crash, before: str | None) -> bool:
    """Return whether a crash was not counted under its signature yet."""
    current = crash.signature.id if crash.signature else None
    return before is None or parse_notified(before)[0] != current


def _load_capture(captures: Captures, capture_id: str) -> Deadlock | None:
    try:
        return captures.load(capture_id)
    except AstbtdError:  # `astbtd fsck` reports a damaged one
        return None
