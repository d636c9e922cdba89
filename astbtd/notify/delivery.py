"""Delivers what waits in the spool to each sink: in order, at least once, with retries, the mark after the answer."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from astbtd.announce.journal import Priority
from astbtd.errors import AstbtdError
from astbtd.lib.quantities import format_duration, pluralize
from astbtd.notify import backoff
from astbtd.notify.combined_message import combine
from astbtd.notify.message_policy import MOST_PER_HOUR
from astbtd.notify.payload import Audience
from astbtd.notify.sink_state import SinkState, SinkStates
from astbtd.notify.sinks.base import Outcome, Refused, Retry, Sink
from astbtd.notify.spool import DamagedEntry, Spool, SpoolEntry

_LONGEST_TEXT = 1000  # characters

PATIENCE = timedelta(minutes=8)
"""How long one run waits for the next attempt. A timer starts the next run."""


class Clock(Protocol):
    """The time, and waiting. Tests have one that does not wait."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        return datetime.now(UTC)

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


Log = Callable[[str, Priority], None]
"""Writes a line to the log, with its priority."""


@dataclass(frozen=True)
class Delivery:
    """Delivers from `spool`. `random` returns a number from 0 to 1, `log` writes an error or a remark, once each."""

    spool: Spool
    states: SinkStates
    clock: Clock
    random: Callable[[], float]
    log: Log

    def run(self, sinks: Sequence[Sink]) -> None:
        """Deliver all that waits, as far as possible now. Wait for attempts that are due soon.

        Raise AstbtdError if the spool or a mark cannot be read or written: without a mark nothing is sent. A sink whose
        mark is damaged does not hinder the others, which are served before.
        """
        end = self.clock.now() + PATIENCE
        working, errors = list(sinks), []
        while True:
            errors += self._serve_all(working)
            pause = self._pause(working, end)
            if pause is None:
                break
            self.clock.sleep(pause)
        if errors:
            raise errors[0]

    def serve(self, sink: Sink) -> None:
        """Deliver to one sink what waits for it, until the server does not accept any more. Raise AstbtdError."""
        state = self.states.read(sink.name)
        names = self._names_after(state.mark)
        if not names or not backoff.is_due(state, self.clock.now(), names[-1]):
            return
        damaged: dict[str, str] = {}
        attempt = _Attempt(self, sink, state, names[-1], damaged)
        if all(attempt.deliver(batch) for batch in self._batches(sink, names, damaged)):
            attempt.finish()

    def waiting(self, sink: Sink) -> Iterator[SpoolEntry]:
        """Yield the entries that wait for a sink. Raise AstbtdError."""
        damaged: dict[str, str] = {}
        yield from self._entries(sink, self._names_after(self.states.read(sink.name).mark), damaged)
        for message in damaged.values():
            self.log(message, Priority.WARNING)

    def _names_after(self, mark: str) -> list[str]:
        return [name for name in self.spool.names() if name > mark]

    def _entries(self, sink: Sink, names: Sequence[str], damaged: dict[str, str]) -> Iterator[SpoolEntry]:
        """Yield the entries for a sink. Add damaged ones to `damaged`: they must not stop the others."""
        for name in names:
            try:
                entry = self.spool.read(name)
            except DamagedEntry as error:
                damaged[name] = f"{error.message}; it is left out"
                continue
            if entry and entry.notification.audience is sink.audience:
                yield entry

    def _batches(self, sink: Sink, names: Sequence[str], damaged: dict[str, str]) -> Iterator[list[SpoolEntry]]:
        """Yield the entries in groups of which a sink gets one at a time. Many messages for people become one."""
        if sink.audience is Audience.PEOPLE:
            entries = list(self._entries(sink, names, damaged))
            if len(entries) > MOST_PER_HOUR:
                yield [SpoolEntry(entries[-1].name, combine([entry.notification for entry in entries]))]
                return
            yield from ([entry] for entry in entries)
            return
        batch: list[SpoolEntry] = []
        for entry in self._entries(sink, names, damaged):
            batch.append(entry)
            if len(batch) >= sink.batch:
                yield batch
                batch = []
        if batch:
            yield batch

    def _serve_all(self, working: list[Sink]) -> list[AstbtdError]:
        """Serve each sink; remove those from the list that cannot be served, and return why."""
        errors = []
        for sink in list(working):
            try:
                self.serve(sink)
            except AstbtdError as error:
                working.remove(sink)
                errors.append(error)
        return errors

    def _pause(self, sinks: Sequence[Sink], end: datetime) -> float | None:
        """Return the seconds until the next attempt; None if there is none before `end`."""
        now = self.clock.now()
        attempts = [at for sink in sinks if (at := self._next_attempt(sink)) and at > now]
        if not attempts or min(attempts) > end:
            return None
        return (min(attempts) - now).total_seconds()

    def _next_attempt(self, sink: Sink) -> datetime | None:
        state = self.states.read(sink.name)
        return state.next_attempt if state.given_up is None else None


class _Attempt:
    """The attempt to deliver to a sink what waits for it, up to the entry `newest`.

    `damaged` are the messages about entries that cannot be read, logged when the mark moves beyond them: once.
    """

    def __init__(self, delivery: Delivery, sink: Sink, state: SinkState, newest: str, damaged: dict[str, str]) -> None:
        self._delivery = delivery
        self._sink = sink
        self._before = state
        self._state = state
        self._newest = newest
        self._damaged = damaged
        self._begun = False

    def deliver(self, batch: Sequence[SpoolEntry]) -> bool:
        """Deliver the entries; return False if the server does not accept more now."""
        rest = list(batch)
        while rest:
            if not self._begun:
                begun = backoff.begin_attempt(self._state, self._now(), self._delivery.random)
                self._save(begun)
                self._begun = True
            outcome = self._call(rest)
            self._note(outcome)
            if outcome.accepted:
                self._log_recovery()
                self._save(backoff.succeed(self._state, rest[outcome.accepted - 1].name, outcome.accepted))
            rest = rest[outcome.accepted :]
            if isinstance(outcome.problem, Retry):
                self._fail(outcome.problem)
                return False
            if isinstance(outcome.problem, Refused):
                self._refuse(rest.pop(0), outcome.problem)
        return True

    def finish(self) -> None:
        """Move the mark beyond entries for other sinks."""
        if self._state.mark < self._newest:
            self._save(replace(self._state, mark=self._newest))

    def _call(self, entries: Sequence[SpoolEntry]) -> Outcome:
        """Call the sink. Whatever it raises is a failed attempt: a library of ours may have any fault."""
        try:
            outcome = self._sink.deliver([entry.notification for entry in entries])
        except AstbtdError as error:
            hint = f"; hint: {error.remedy}" if error.remedy else ""
            outcome = Outcome(0, Retry(f"{error.message}{hint}"))
        except Exception as error:
            outcome = Outcome(0, Retry(f"internal error: {type(error).__name__}: {error}"))
        return _shortened(outcome)

    def _fail(self, problem: Retry) -> None:
        if self._state.attempts == 0:  # some of the batch was accepted before
            self._state = backoff.begin_attempt(self._state, self._now(), self._delivery.random)
        is_first = not self._state.is_failing
        failed = backoff.fail(self._state, problem, self._now(), self._newest, self._delivery.random)
        self._save(failed)
        if failed.given_up is not None:
            if self._before.given_up is None:
                self._log(
                    f"gave up after a week: {problem.reason}; it is tried again when there is something new",
                    Priority.ERROR,
                )
        elif is_first:
            self._log(f"cannot deliver: {problem.reason}; it is tried again for a week")

    def _refuse(self, entry: SpoolEntry, problem: Refused) -> None:
        self._log(f"refused notification {entry.notification.id}, which is left out: {problem.reason}", Priority.ERROR)
        done = backoff.succeed(self._state, entry.name, 0)
        self._save(replace(done, refused=done.refused + 1))

    def _note(self, outcome: Outcome) -> None:
        """Log a remark of the sink, such as a recipient that is refused while others are not, if it is a new one."""
        if outcome.remark and outcome.remark != self._state.remark:
            self._log(outcome.remark)
            self._state = replace(self._state, remark=outcome.remark)

    def _log_recovery(self) -> None:
        since = self._state.failing_since
        if since is not None and self._state.is_failing:
            duration = format_duration(max(0.0, (self._now() - since).total_seconds()))
            attempts = pluralize(self._state.attempts - 1, "failed attempt", "failed attempts")
            self._log(f"delivers again, after {duration} and {attempts}", Priority.NOTICE)

    def _save(self, state: SinkState) -> None:
        for name in [name for name in self._damaged if name <= state.mark]:
            self._log(self._damaged.pop(name))
        self._delivery.states.write(self._sink.name, state)
        self._state = state

    def _log(self, text: str, priority: Priority = Priority.WARNING) -> None:
        self._delivery.log(f"{self._sink.name}: {text}", priority)

    def _now(self) -> datetime:
        return self._delivery.clock.now()


def _shortened(outcome: Outcome) -> Outcome:
    """Return an outcome whose texts are of limited length: they go into the state, and a server can say anything."""
    problem = outcome.problem
    if problem:
        problem = replace(problem, reason=problem.reason[:_LONGEST_TEXT])
    return replace(outcome, problem=problem, remark=outcome.remark[:_LONGEST_TEXT])
