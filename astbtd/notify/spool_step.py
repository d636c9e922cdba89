"""One pass of the step without network: from the store to the spool."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from astbtd.lib import files
from astbtd.model.crash import Section
from astbtd.notify.attached_texts import read_attached_texts
from astbtd.notify.crash_facts import crash_facts
from astbtd.notify.failing_checks import FailingChecks
from astbtd.notify.loops import LoopChange, LoopSettings
from astbtd.notify.message_policy import Announcement, Policy
from astbtd.notify.payload import (
    Audience,
    CrashFacts,
    LoopFacts,
    Message,
    Notification,
    NotificationKind,
    notification_id,
)
from astbtd.notify.spool import MOST, DamagedEntry, Spool
from astbtd.notify.spool_state import SpoolState, read_state, write_state
from astbtd.notify.store_reader import NewInStore, StoreReader, TrackedCrash
from astbtd.settings import CrashLoopSettings
from astbtd.store.store import DamagedRecord, Store

_MAX_THREAD = 1 << 20  # characters of the crashed thread's text


@dataclass(frozen=True)
class Pass:
    """The result of a pass: what is to be sent, and the state to remember."""

    notifications: tuple[Notification, ...]
    state: SpoolState


@dataclass(frozen=True)
class SpoolStep:
    """Reads the store `store` and fills `spool`.

    `audiences` are those for which a sink is configured: nothing is written for others. `machine` and `host` are those
    of this machine. `checks` is None if nothing is known of them. `attach`: trackers get redacted texts as well.
    """

    store: Store
    spool: Spool
    loops: CrashLoopSettings
    audiences: Collection[Audience]
    machine: str
    host: str
    checks: FailingChecks | None = None
    attach: bool = False

    def run(self, now: datetime, delivered: str) -> Pass:
        """Commit one pass. `delivered` is the newest entry of the spool that all sinks have delivered.

        Raise AstbtdError; NoRoom if the disk is full. The next pass then does the same.
        """
        state = read_state(self.spool.state_file)
        with files.wrap_os_error(f"cannot write the spool {self.spool.root}"):
            self.spool.prepare(state.generation)
            self.spool.remove(name for name in self.spool.names() if name <= max(delivered, state.dropped))
            with files.wrap_os_error(f"cannot read the store {self.store.root}"):
                planned = self.plan(state, now)
            if not planned.notifications and _is_same(planned.state, state):
                return planned
            limited = self._limit(planned)
            self.spool.commit(
                limited.state.generation,
                limited.notifications,
                lambda: write_state(self.spool.state_file, limited.state),
            )
            self.spool.remove(name for name in self.spool.names() if name <= limited.state.dropped)
        return limited

    def plan(self, state: SpoolState, now: datetime) -> Pass:
        """Return what a pass would do. Raise AstbtdError if the store cannot be read."""
        within = timedelta(seconds=self.loops.within)
        reader = StoreReader(self.store, state.reader, LoopSettings(self.loops.crashes, within), now)
        found = reader.read()
        policy = Policy(state.policy, now)
        checks = self.checks.events if self.checks else ()
        failing = self.checks.names if self.checks else None
        announced = policy.decide([*found.events, *checks], failing)
        lost = {each.value: state.lost.get(each, 0) + found.lost for each in self.audiences}
        notifications = [*self._for_trackers(found), *self._messages(announced, now)]
        wanted = [each for each in notifications if each.audience in self.audiences]
        told, lost = _tell_lost(wanted, lost)
        next_state = replace(
            state, generation=state.generation + 1, reader=reader.state, policy=policy.state, lost=lost
        )
        return Pass(tuple(told), next_state)

    def _limit(self, planned: Pass) -> Pass:
        """Drop the oldest entries of the spool if there would be too many, and count them."""
        names = self.spool.names()
        excess = len(names) + len(planned.notifications) - MOST
        if excess <= 0:
            return planned
        doomed = names[:excess]
        lost = dict(planned.state.lost)
        for name in doomed:
            with suppress(DamagedEntry):  # nobody can say for whom it was
                entry = self.spool.read(name)
                if entry:
                    audience = entry.notification.audience.value
                    lost[audience] = lost.get(audience, 0) + 1 + entry.notification.gap
        return replace(planned, state=replace(planned.state, lost=lost, dropped=doomed[-1]))

    def _messages(self, announced: Iterable[Announcement], now: datetime) -> Iterator[Notification]:
        for number, each in enumerate(announced):
            made_of = notification_id(self.machine, "message", each.key, now.isoformat(), str(number))
            message = Message(f"[{self.host}] {each.title}", each.body, each.why)
            yield Notification(made_of, NotificationKind.MESSAGE, now, self.host, self.machine, message=message)

    def _for_trackers(self, found: NewInStore) -> Iterator[Notification]:
        if Audience.TRACKER not in self.audiences:
            return
        for tracked in found.crashes:
            yield self._crash(tracked)
        for change in found.loops:
            if notification := self._loop(change):
                yield notification

    def _crash(self, tracked: TrackedCrash) -> Notification:
        facts = self._facts(tracked)
        if self.attach:
            facts = replace(facts, texts=read_attached_texts(self.store.directory(facts.id), tracked.crash.host))
        made_of = notification_id(self.machine, "crash", facts.id, facts.signature.id if facts.signature else "")
        return Notification(made_of, NotificationKind.CRASH, facts.crashed_at, self.host, self.machine, crash=facts)

    def _loop(self, change: LoopChange) -> Notification | None:
        loop = change.loop
        try:
            facts = self._facts(TrackedCrash(self.store.load(loop.newest)))
        except DamagedRecord:  # removed by retention, or damaged since it was read
            return None
        told = LoopFacts(facts, loop.counted_at, loop.until, loop.uncounted, change.ended)
        made_of = notification_id(self.machine, "loop", loop.newest, loop.until.isoformat())
        return Notification(made_of, NotificationKind.LOOP, loop.until, self.host, self.machine, loop=told)

    def _facts(self, tracked: TrackedCrash) -> CrashFacts:
        path = self.store.directory(tracked.crash.id) / Section.THREAD1
        try:
            with files.open_text(path) as text:
                return crash_facts(tracked.crash, text.read(_MAX_THREAD), tracked.corrects)
        except OSError:  # removed by retention, or not readable: the record has the rest
            return crash_facts(tracked.crash, "", tracked.corrects)


def _is_same(one: SpoolState, other: SpoolState) -> bool:
    """Return whether only the number and the time of the pass differ: then nothing has to be written."""
    reader = replace(one.reader, read_at=other.reader.read_at)
    return not other.reader.is_first and replace(one, generation=other.generation, reader=reader) == other


def _tell_lost(
    notifications: Sequence[Notification], lost: dict[str, int]
) -> tuple[list[Notification], dict[str, int]]:
    """Tell each audience in its next notification how many were lost before; return what is left to tell."""
    left = dict(lost)
    told = []
    for notification in notifications:
        gap = left.pop(notification.audience.value, 0)
        told.append(notification.after_gap(gap) if gap else notification)
    return told, {audience: count for audience, count in left.items() if count}
