"""Decides what people are told, when, and why. Pure: the state is given and returned, and so is the time.

A new signature at once, known ones in a daily digest, a loop at its start and its end, a failed check once, a captured
deadlock. After six messages within an hour, the rest of it waits for one summary. Old cores are one message.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from astbtd.lib.quantities import pluralize
from astbtd.notify.events import Correction, Event, EventKind

MOST_PER_HOUR = 6
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SETTLED = timedelta(minutes=2)
"""Old cores are reported when none was added for so long: the daemon examines them one after the other."""

_MOST_SIGNATURES = 10_000
_MOST_LINES = 100


@dataclass(frozen=True)
class DigestLine:
    """How often something happened: `title` is the line about the last one, `at` its time."""

    title: str
    count: int
    at: datetime

    def plus(self, event: Event) -> "DigestLine":
        """Return the tally with one more."""
        if event.at < self.at:
            return replace(self, count=self.count + 1)
        return DigestLine(event.title, self.count + 1, event.at)


@dataclass(frozen=True)
class PolicyState:
    """What people know already, and what waits.

    `known` are the keys of the crashes that were announced, the oldest first. `digest`, by key, waits since
    `digest_since`. `old_cores` wait since `old_added`. `failed_checks` were announced and still fail. `sent` are the
    times of the messages of the last hour; `held` are the titles of those that exceed the limit.
    """

    known: tuple[str, ...] = ()
    digest: Mapping[str, DigestLine] = field(default_factory=dict)
    digest_since: datetime | None = None
    old_cores: tuple[str, ...] = ()
    old_added: datetime | None = None
    failed_checks: tuple[str, ...] = ()
    sent: tuple[datetime, ...] = ()
    held: tuple[str, ...] = ()


@dataclass(frozen=True)
class Announcement:
    """A message to send. `why` is the reason, for people; `key` tells it apart from other messages of this time."""

    title: str
    body: str
    why: str
    key: str


@dataclass
class Policy:
    """Takes events in the order in which they happened, and then returns what to send now."""

    state: PolicyState
    now: datetime
    _urgent: list[Announcement] = field(default_factory=list)

    def decide(self, events: Iterable[Event], failing: Iterable[str] | None = None) -> tuple[Announcement, ...]:
        """Return the messages to send now; `state` is what to remember then.

        `failing` are the names of the checks that fail, None if that is unknown.
        """
        if failing is not None:
            still = tuple(name for name in self.state.failed_checks if name in set(failing))
            self.state = replace(self.state, failed_checks=still)
        for event in events:
            self._take(event)
        self._take_old_cores()
        self._take_digest()
        return tuple(self._limit())

    def _take(self, event: Event) -> None:
        match event.kind:
            case EventKind.CRASH:
                self._take_crash(event)
            case EventKind.FOREIGN_CRASH:
                self._add_to_digest(event)
            case EventKind.OLD_CORE:
                self._learn(event.key)
                self.state = replace(self.state, old_cores=(*self.state.old_cores, event.title), old_added=self.now)
            case EventKind.CHECK_FAILED:
                self._take_failed_check(event)
            case _:
                self._urgent.append(Announcement(event.title, event.body, str(event.kind), event.key))

    def _take_crash(self, event: Event) -> None:
        if event.key in self.state.known:
            if not event.correction:
                self._add_to_digest(event)
            return
        self._learn(event.key)
        why = event.correction or "a new signature"
        remark = "its core was found" if event.correction is Correction.LATE_CORE else "new"
        self._urgent.append(Announcement(f"{event.title} ({remark})", event.body, why, event.key))

    def _take_failed_check(self, event: Event) -> None:
        if event.key not in self.state.failed_checks:
            self.state = replace(self.state, failed_checks=(*self.state.failed_checks, event.key))
            self._urgent.append(Announcement(event.title, event.body, str(event.kind), event.key))

    def _learn(self, key: str) -> None:
        others = tuple(each for each in self.state.known if each != key)
        self.state = replace(self.state, known=(*others, key)[-_MOST_SIGNATURES:])

    def _add_to_digest(self, event: Event) -> None:
        tally = self.state.digest.get(event.key)
        added = tally.plus(event) if tally else DigestLine(event.title, 1, event.at)
        since = self.state.digest_since or self.now
        self.state = replace(self.state, digest={**self.state.digest, event.key: added}, digest_since=since)

    def _take_old_cores(self) -> None:
        """Make one message of all old cores, as soon as there are no more."""
        added = self.state.old_added
        if not self.state.old_cores or added is None or timedelta(0) <= self.now - added < SETTLED:
            return
        count = pluralize(len(self.state.old_cores), "earlier crash", "earlier crashes")
        body = "They were recorded when astbtd or its notifications started. `astbtd list` shows them.\n\n"
        body += _list(self.state.old_cores)
        self._urgent.append(Announcement(f"{count} of Asterisk", body, "old cores", "old cores"))
        self.state = replace(self.state, old_cores=(), old_added=None)

    def _take_digest(self) -> None:
        since = self.state.digest_since
        if since is None or timedelta(0) <= self.now - since < DAY:
            return
        tallies = sorted(self.state.digest.values(), key=lambda tally: tally.count, reverse=True)
        total = sum(tally.count for tally in tallies)
        lines = [
            f"{tally.title}: {pluralize(tally.count, 'time', 'times')}, last at {tally.at:%F %T} UTC"
            for tally in tallies
        ]
        title = f"{pluralize(total, 'crash', 'crashes')} with known signatures within a day"
        self._urgent.append(Announcement(title, _list(lines), "the daily digest", "digest"))
        self.state = replace(self.state, digest={}, digest_since=None)

    def _limit(self) -> Iterable[Announcement]:
        """Yield as many messages as the hour permits; the titles of the others are held for a summary."""
        recent = tuple(at for at in self.state.sent if timedelta(0) <= self.now - at < HOUR)
        self.state = replace(self.state, sent=recent)
        if self.state.held and self._has_room():
            yield self._count(self._summary())
        for each in self._urgent:
            if self._has_room() and not self.state.held:
                yield self._count(each)
            else:
                self.state = replace(self.state, held=(*self.state.held, each.title))

    def _has_room(self) -> bool:
        return len(self.state.sent) < MOST_PER_HOUR

    def _count(self, announcement: Announcement) -> Announcement:
        self.state = replace(self.state, sent=(*self.state.sent, self.now))
        return announcement

    def _summary(self) -> Announcement:
        count = pluralize(len(self.state.held), "more event", "more events")
        body = f"More than {MOST_PER_HOUR} messages within an hour: these were not sent one by one.\n\n"
        body += _list(self.state.held)
        self.state = replace(self.state, held=())
        return Announcement(f"{count} after {MOST_PER_HOUR} messages within an hour", body, "the summary", "summary")


def _list(lines: Iterable[str]) -> str:
    """Return the lines as a list of limited length."""
    every = list(lines)
    shown = [f"- {line}" for line in every[:_MOST_LINES]]
    if len(every) > _MOST_LINES:
        shown.append(f"- and {len(every) - _MOST_LINES} more")
    return "\n".join(shown) + "\n"
